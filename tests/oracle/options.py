"""The options of an analysis: granularity, background, staged, slots.

Implements the paragraph on options at the head of *Results*.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

Slots = int | None | Mapping[str, int | None]
Names = str | Iterable[str | Sequence[str]]
"""``"all"``, or (tensor, component) pairs, ``"o2@SRAM"``, bare tensors, bare components."""


@dataclass(frozen=True)
class Options:
    """The options as they were given; ``granularity`` is not ``"auto"`` any more."""

    granularity: str = "flow"
    background: frozenset[str] = frozenset()
    staged: frozenset[str] = frozenset()
    slots: Slots = field(default=2, hash=False)

    def is_background(self, tensor: str, component: str) -> bool:
        """Whether the write-back of a tensor out of a component is named in ``background``."""
        return bool(self.background & {tensor, f"{tensor}@{component}"})

    def is_staged(self, tensor: str, component: str) -> bool:
        """Staged: named as a pair, as a tensor, as a component, or by ``"all"``."""
        return bool(self.staged & {"all", tensor, component, f"{tensor}@{component}"})

    def slots_of(self, tensor: str, component: str) -> int | None:
        """Rule 3: the tiles that a holder keeps; 2 where a mapping does not name it."""
        if not isinstance(self.slots, Mapping):
            return self.slots
        return self.slots.get(f"{tensor}@{component}", self.slots.get(tensor, 2))


def read_names(named: Names) -> frozenset[str]:
    """Names as texts: a (tensor, component) pair as ``"tensor@component"``."""
    named = (named,) if isinstance(named, str) else named
    return frozenset(name if isinstance(name, str) else "@".join(name) for name in named)


def read_options(
    granularity: str, background: Names = (), staged: Names = (), slots: Slots = 2
) -> Options:
    """Options from the arguments of ``analyze``."""
    return Options(granularity, read_names(background), read_names(staged), slots)
