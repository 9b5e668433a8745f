"""Which tiles are resident in a memory, and when."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from math import ceil, floor, lcm

from polylat.errors import UnsupportedError
from polylat.exact import Number, number
from polylat.levels import Changes, highest, joined, levels
from polylat.lowering.paths import Leaf
from polylat.lowering.sharing import sharers
from polylat.model import Model, build
from polylat.residency import Residents, Spans, UnlikeError, block_spans, residents
from polylat.schedule.graph import Times
from polylat.schedule.timing import Plan, Timing
from polylat.tasks import own_stages, separations

__all__ = ["Occupancy", "ResidentTile", "known_peak", "occupancies", "stage_name"]

MOST_STEPS = 1_000_000
"""Up to this many changes are listed at once."""

MOST_EXPLICIT = 1_000_000
"""Up to this many tile iterations are looked at where they do not tell of each other."""


@dataclass(frozen=True)
class ResidentTile:
    """A tile in a memory.

    Parameters
    ----------
    tensor
        Its tensor.
    index
        Indices of the Temporal loops above its holder: {rank variable: indices, outer to inner}.
    start, end
        When its first access begins, and when its last one has finished.
    bits
        Its size.
    """

    tensor: str
    index: tuple[tuple[str, int], ...]
    start: int | Fraction
    end: int | Fraction
    bits: int | Fraction


@dataclass(frozen=True, eq=False)
class Occupancy:
    """Occupancy of a memory over time: a relation time → resident tiles.

    It is exact however many tiles there are. Where these cannot be told from those of the tile
    iterations that were looked at, everything but the memory's names and size raises an
    `UnsupportedError`.

    Parameters
    ----------
    component
        The memory.
    stages
        The Pipeline stages, as the Einsums that they compute, whose own units these are; empty
        where all share the memory.
    size
        Bits that one unit can hold, None if unlimited.
    """

    component: str
    stages: tuple[str, ...]
    size: Number | None
    _held: tuple[Residents, ...] = field(repr=False)
    _scale: int = field(repr=False)
    _error: UnsupportedError | None = field(repr=False, default=None)

    @cached_property
    def steps(self) -> tuple[tuple[Number, Number], ...]:
        """(time, bits from then on), at every change.

        Raises
        ------
        UnsupportedError
            There are more than a million changes, most of them of tiles that were not looked at:
            use `steps_between`, `peak_between` or `level`.
        """
        seen = 2 * sum(len(held.start) for held in self._residents)
        times, level = self._levels(-1, self._last + 1, max(seen, MOST_STEPS))
        return self._numbers(times[1:], level[1:])

    def steps_between(self, start: Number, end: Number) -> tuple[tuple[Number, Number], ...]:
        """(time, bits from then on), at `start` and at every change after it and before `end`.

        Raises
        ------
        UnsupportedError
            There are more than a million changes.
        """
        if start >= end:
            return ()
        low, high = floor(start * self._scale), ceil(end * self._scale)
        found = self._numbers(*self._levels(low, high, MOST_STEPS))
        return ((number(start), found[0][1]), *found[1:])

    def level(self, time: Number) -> Number:
        """Number of resident bits at an instant (of one unit)."""
        low = floor(time * self._scale)
        return self._numbers(*self._levels(low, low + 1, MOST_STEPS))[0][1]

    @cached_property
    def peak(self) -> Number:
        """Largest number of resident bits (of one unit)."""
        return self._highest(-1, self._last + 1)

    def peak_between(self, start: Number, end: Number) -> Number:
        """Largest number of resident bits from `start` on and before `end`."""
        if start >= end:
            return 0
        return self._highest(floor(start * self._scale), ceil(end * self._scale))

    @property
    def exceeded(self) -> bool:
        """Whether the peak is more than the memory can hold."""
        return self.size is not None and self.peak > self.size

    def tiles(self) -> Iterator[ResidentTile]:
        """All tiles that are ever resident, tensor by tensor, one after another."""
        for held in self._residents:
            for tile, copies in held.every():
                yield self._tile(held, tile, copies)

    def at(self, time: Number) -> tuple[ResidentTile, ...]:
        """The tiles that are resident at an instant."""
        now = floor(time * self._scale)
        return tuple(
            self._tile(held, tile, copies)
            for held in self._residents
            for tile, copies in held.at(now)
        )

    @property
    def _residents(self) -> tuple[Residents, ...]:
        if self._error is not None:
            raise self._error
        return self._held

    @cached_property
    def _last(self) -> int:
        return max((int(held.latest.max(initial=0)) for held in self._residents), default=0)

    @cached_property
    def _denominator(self) -> int:
        return lcm(*(held.bits_per_value.denominator for held in self._residents))

    @cached_property
    def _changes(self) -> Changes:
        return joined([held.changes(self._denominator) for held in self._residents])

    def _levels(self, low: int, high: int, most: int) -> tuple[Times, Times]:
        try:
            return levels(self._changes, low, high, most)
        except UnsupportedError:
            raise UnsupportedError(
                f"what is resident in {self.component!r} changes more than {most} times",
                mend="use steps_between for a shorter time, or peak_between, level or at",
            ) from None

    def _highest(self, low: int, high: int) -> Number:
        return number(Fraction(highest(self._changes, low, high), self._denominator))

    def _numbers(self, times: Times, level: Times) -> tuple[tuple[Number, Number], ...]:
        return tuple(
            (number(Fraction(int(t), self._scale)), number(Fraction(int(b), self._denominator)))
            for t, b in zip(times, level, strict=True)
        )

    def _tile(self, held: Residents, tile: int, copies: Sequence[int]) -> ResidentTile:
        start, end = held.span(tile, copies)
        return ResidentTile(
            held.tensor,
            tuple(zip(held.variables, held.index(tile, copies), strict=True)),
            number(Fraction(start, self._scale)),
            number(Fraction(end, self._scale)),
            number(int(held.elements[tile]) * held.bits_per_value),
        )


def occupancies(model: Model, timing: Timing) -> tuple[Occupancy, ...]:
    """Occupancy of every memory under a schedule.

    A tile is resident from the start of the first access to it in that memory to the end of the
    last one, write-backs in the background included; an access that takes no time happens when
    the last port of its block begins. In the outermost storage, tensors that no Einsum produces
    are there from the start, and tensors that none reads stay to the end.
    """
    found = _occupancies(model, timing)
    lowered = model.lowered
    if any(memory._error for memory in found) and lowered.size <= MOST_EXPLICIT:
        model = build(lowered, model.background, model.slots)
        assert isinstance(model.plan, Plan)
        found = _occupancies(model, model.plan.time(timing.order))
    return found


def _occupancies(model: Model, timing: Timing) -> tuple[Occupancy, ...]:
    spec, leaves = model.lowered.spec, model.lowered.leaves
    separate = separations(spec, leaves)
    spans: dict[str, Spans] = {}
    held: dict[tuple[str, tuple[tuple[int, int], ...]], list[Residents]] = {}
    errors: dict[tuple[str, tuple[tuple[int, int], ...]], UnsupportedError] = {}
    sizes: dict[str, Fraction | None] = {}
    done: set[tuple[int, str]] = set()
    for leaf in leaves:
        path = spec.arch.paths[leaf.einsum.name]
        stages = own_stages(leaf, [c.name for c in path], separate)
        for component in path:
            known = sizes.get(component.name, component.size)
            if component.kind == "Memory":
                limits = [s for s in (known, component.size) if s is not None]
                sizes[component.name] = min(limits, default=None)
        for tensor in leaf.einsum.tensors:
            for level, holder in enumerate(leaf.storages(tensor)):
                if (holder.node, tensor) not in done:
                    done.add((holder.node, tensor))
                    sharing = sharers(leaves, tensor, holder)
                    key = (holder.component, stages[holder.component])
                    if holder.component not in spans:
                        spans[holder.component] = block_spans(model, timing, holder.component)
                    span = spans[holder.component]
                    mine = held.setdefault(key, [])
                    try:
                        mine.append(residents(model, timing, span, sharing, tensor, level, holder))
                    except UnlikeError:
                        errors[key] = _unlike(holder.component)
    order = {name: i for i, name in enumerate(spec.arch.order)}
    return tuple(
        Occupancy(
            key[0],
            tuple(dict.fromkeys(stage_name(leaves, *s) for s in key[1])),
            None if sizes[key[0]] is None else number(sizes[key[0]]),  # type: ignore[arg-type]
            tuple(some),
            model.costs.scale,
            errors.get(key),
        )
        for key, some in sorted(held.items(), key=lambda item: (order.get(item[0][0], 0), item[0]))
    )


def _unlike(component: str) -> UnsupportedError:
    return UnsupportedError(
        f"the tiles in {component!r} do not come and go at constant rates: its occupancy is not"
        " periodic",
        where="mapping",
        mend="use granularity='tile', or larger tiles",
    )


def known_peak(memory: Occupancy) -> Number | None:
    """A memory's peak, None where it cannot be told."""
    try:
        return memory.peak
    except UnsupportedError:
        return None


def stage_name(leaves: Sequence[Leaf], node: int, branch: int) -> str:
    """A stage of a Pipeline as its Einsums, joined by ``+``."""
    return "+".join(
        leaf.einsum.name
        for leaf in leaves
        if any(s.node == node and s.branch == branch for s in leaf.splits)
    )
