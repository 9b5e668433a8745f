"""What is to be made small, and the front of what nothing is better than."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import inf

from polylat.errors import OptionError
from polylat.exact import Number
from polylat.spec.options import _mend

__all__ = ["Bar", "Objective", "Outcome", "Vector", "front_of", "objectives_of", "vector"]

Vector = tuple[Number | float, ...]
"""Values of the objectives; infinite where a value is not known or not limited."""


@dataclass(frozen=True)
class Objective:
    """Something to be made small.

    Parameters
    ----------
    name
        ``"latency"``, ``"peak@SRAM"`` (bits that the memory holds at most) or ``"slots"`` (the sum
        of all slots).
    component
        The memory of a peak.
    """

    name: str
    component: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a variant comes to.

    Parameters
    ----------
    latency
        Its latency, None where it is illegal.
    order
        The order of the ports that it is of.
    waits_for_background
        Whether it is that of the schedule that waits for the write-backs.
    exact
        Whether the latency is known exactly.
    peaks
        (memory, bits that it holds at most, None if not known); of the stage that needs most.
    error
        Why it is illegal.
    """

    latency: Number | None
    order: str = ""
    waits_for_background: bool = False
    exact: bool = True
    peaks: tuple[tuple[str, Number | None], ...] = ()
    error: str = ""


def objectives_of(names: Iterable[str], memories: Sequence[str]) -> tuple[Objective, ...]:
    """Objectives by name; ``"peak"`` is the peak of every memory.

    Raises
    ------
    OptionError
        There is no such objective.
    """
    found: dict[str, Objective] = {}
    for name in [names] if isinstance(names, str) or not isinstance(names, Iterable) else names:
        if not isinstance(name, str):
            raise OptionError(
                f"{name!r} is no objective", mend='write "latency", "peak" or "slots"'
            )
        kind, mark, component = name.partition("@")
        if name in ("latency", "slots"):
            found[name] = Objective(name)
        elif name == "peak":
            for memory in memories:
                found[f"peak@{memory}"] = Objective(f"peak@{memory}", memory)
        elif kind == "peak" and mark and component in memories:
            found[name] = Objective(name, component)
        else:
            known = ["latency", "peak", *(f"peak@{m}" for m in memories), "slots"]
            raise OptionError(f"there is no objective {name!r}", mend=_mend(name, known))
    if not found:
        raise OptionError("there is no objective", mend='give "latency", at least')
    return tuple(found.values())


def vector(
    objectives: Sequence[Objective],
    latency: Number,
    peaks: Mapping[str, Number | None],
    slots: Iterable[int | None],
) -> Vector:
    """Values of the objectives."""
    values: list[Number | float] = []
    for objective in objectives:
        if objective.component:
            peak = peaks.get(objective.component, 0)
            values.append(inf if peak is None else peak)
        elif objective.name == "latency":
            values.append(latency)
        else:
            counts = list(slots)
            values.append(inf if None in counts else sum(n for n in counts if n is not None))
    return tuple(values)


@dataclass(frozen=True)
class Bar:
    """What a variant has to beat.

    Parameters
    ----------
    objectives
        What is to be made small.
    members
        Variants that are known, as (values, number).
    """

    objectives: tuple[Objective, ...]
    members: tuple[tuple[Vector, int], ...]

    def with_members(self, more: Iterable[tuple[Vector, int]]) -> Bar:
        """The bar with further variants that are known."""
        return Bar(self.objectives, tuple(front_of([*self.members, *more])))

    def excludes(self, least: Vector, index: int) -> bool:
        """Whether variants from a number on, with no smaller values, cannot be in the front.

        One that is no larger anywhere dominates them, or equals them and stands before them.
        """
        return any(
            all(mine <= theirs for mine, theirs in zip(values, least, strict=True))
            and (number < index or values != least)
            for values, number in self.members
        )


def front_of(members: Iterable[tuple[Vector, int]]) -> list[tuple[Vector, int]]:
    """Of all points that no other one dominates, the first variant each; by values.

    A point dominates another one if it is no larger in any objective and smaller in one.
    """
    first: dict[Vector, int] = {}
    for values, index in members:
        known = first.get(values)
        if known is None or index < known:
            first[values] = index
    kept: list[tuple[Vector, int]] = []
    for values in sorted(first):
        # Whatever dominates it is smaller in the first value that differs, so it came before.
        if not any(
            all(mine <= theirs for mine, theirs in zip(other, values, strict=True))
            for other, _ in kept
        ):
            kept.append((values, first[values]))
    return kept


def as_fraction(text: str | None) -> Number | None:
    """A number from its text."""
    if text is None:
        return None
    value = Fraction(text)
    return value.numerator if value.denominator == 1 else value
