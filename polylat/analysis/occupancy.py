"""The tiles that are resident in each memory, and when."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from itertools import pairwise
from math import ceil, floor, lcm

import numpy as np

from polylat.analysis.access import port_name
from polylat.analysis.levels import (
    ChangeSeries,
    TooManyChangesError,
    level_steps,
    merge_series,
    peak_level,
)
from polylat.analysis.residency import (
    HolderResidency,
    IrregularResidencyError,
    ServiceSpans,
    service_spans,
)
from polylat.analysis.residency_pieces import holder_residency
from polylat.engine.model import build
from polylat.engine.solution import Solution
from polylat.errors import CapacityError, TooLargeError, UnsupportedError
from polylat.lowering.holder_tiles import Memory, memories, memory_sizes, storages_once
from polylat.lowering.units import users_label
from polylat.numbers import Number, reduce_number
from polylat.schedule.arrays import Times
from polylat.schedule.list_scheduling import ExplicitTaskGraph

__all__ = [
    "Occupancy",
    "ResidentTile",
    "check_capacity",
    "largest_peaks",
    "occupancies",
    "peak_or_none",
]

_MOST_LISTED = 20_000
"""Most changes of an outline that are listed: beyond, only the peaks are computed."""

MAX_STEPS = 1_000_000
"""Most changes that are listed at once."""

MAX_EXPLICIT = 1_000_000
"""Most tile iterations that are all visited where the sampled ones cannot be extrapolated."""


@dataclass(frozen=True)
class ResidentTile:
    """A tile in a memory.

    Parameters
    ----------
    tensor
        The tensor that it is a tile of.
    index
        Indices of the Temporal loops above its holder: (rank variable, index), from outer to inner.
    start, end
        The start of its first access and the end of its last one, in the architecture's unit of
        time.
    bits
        Its size in bits.
    """

    tensor: str
    index: tuple[tuple[str, int], ...]
    start: int | Fraction
    end: int | Fraction
    bits: int | Fraction


@dataclass(frozen=True, eq=False)
class Occupancy:
    """Occupancy of a memory over time: a relation from times to resident tiles.

    It is exact for any number of tiles. Where it cannot be extrapolated from the sampled tile
    iterations, everything but the memory's name, units and size raises an `UnsupportedError`.

    Parameters
    ----------
    component
        The memory.
    units
        The units of the memory, named by the Einsums that use them; empty where they are not
        divided.
    size
        Bits that one unit can hold; None if unlimited.
    """

    component: str
    units: str
    size: Number | None
    _held: tuple[HolderResidency, ...] = field(repr=False)
    _scale: int = field(repr=False)
    _error: UnsupportedError | None = field(repr=False, default=None)

    @cached_property
    def steps(self) -> tuple[tuple[Number, Number], ...]:
        """(time, resident bits from then on) at every change.

        Raises
        ------
        UnsupportedError
            There are more than a million changes, most of them of tiles that were not sampled: use
            `steps_between`, `peak_between` or `level`.
        """
        sampled = 2 * sum(len(held.start) for held in self._residents)
        times, level = self._levels(-1, self._last + 1, max(sampled, MAX_STEPS))
        return self._numbers(times[1:], level[1:])

    def steps_between(self, start: Number, end: Number) -> tuple[tuple[Number, Number], ...]:
        """Return the occupancy in a time window.

        Parameters
        ----------
        start, end
            The window, in the architecture's unit of time.

        Returns
        -------
        tuple of (time, bits)
            The resident bits from `start` on, and from every change after it and before `end` on.

        Raises
        ------
        UnsupportedError
            There are more than a million changes.
        """
        if start >= end:
            return ()
        low, high = floor(start * self._scale), ceil(end * self._scale)
        found = self._numbers(*self._levels(low, high, MAX_STEPS))
        return ((reduce_number(start), found[0][1]), *found[1:])

    def outline(
        self, start: Number, end: Number, bins: int, most: int
    ) -> tuple[tuple[tuple[Number, Number], ...], bool]:
        """Return the occupancy in a time window in few steps.

        Parameters
        ----------
        start, end
            The window, in the architecture's unit of time.
        bins
            Number of parts of the window, where there are too many changes.
        most
            Largest number of changes to list.

        Returns
        -------
        (steps, exact)
            (time, bits): every change, as of `steps_between`, and True; or the beginning of every
            part of the window with the largest occupancy in it, and False.
        """
        if start >= end:
            return (), True
        window = floor(start * self._scale), ceil(end * self._scale)
        each = Fraction(end - start) / bins
        edges = [start + k * each for k in range(bins + 1)]
        try:
            times, level = level_steps(self._changes, *window, max(most, _MOST_LISTED))
        except TooManyChangesError:
            peaks = [self.peak_between(*bounds) for bounds in pairwise(edges)]
        else:
            if len(times) <= most:
                found = self._numbers(times, level)
                return ((reduce_number(start), found[0][1]), *found[1:]), True
            peaks = self._largest(times, level, edges)
        return tuple((reduce_number(t), peak) for t, peak in zip(edges, peaks, strict=False)), False

    def _largest(self, times: Times, level: Times, edges: Sequence[Fraction]) -> list[Number]:
        """Return the largest level between neighboring edges, from all changes."""
        found = []
        for start, end in pairwise(edges):
            low = int(np.searchsorted(times, floor(start * self._scale), side="right")) - 1
            high = int(np.searchsorted(times, ceil(end * self._scale), side="left"))
            found.append(reduce_number(Fraction(int(level[low:high].max()), self._denominator)))
        return found

    def level(self, time: Number) -> Number:
        """Return the occupancy at an instant.

        Parameters
        ----------
        time
            The instant, in the architecture's unit of time.

        Returns
        -------
        int or Fraction
            The resident bits (of one unit).
        """
        low = floor(time * self._scale)
        return self._numbers(*self._levels(low, low + 1, MAX_STEPS))[0][1]

    @property
    def name(self) -> str:
        """The memory in one word, such as ``SRAM`` or ``SRAM[e1]``."""
        return port_name(self.component, "", self.units)

    @cached_property
    def peak(self) -> Number:
        """Largest number of resident bits (of one unit)."""
        return self._peak(-1, self._last + 1)

    def peak_between(self, start: Number, end: Number) -> Number:
        """Return the largest occupancy in a time window.

        Parameters
        ----------
        start, end
            The window: from `start` on and before `end`, in the architecture's unit of time.

        Returns
        -------
        int or Fraction
            The largest number of resident bits (of one unit); 0 for an empty window.
        """
        if start >= end:
            return 0
        return self._peak(floor(start * self._scale), ceil(end * self._scale))

    @property
    def exceeded(self) -> bool:
        """Whether the peak is larger than the memory."""
        return self.size is not None and self.peak > self.size

    def tiles(self) -> Iterator[ResidentTile]:
        """List all tiles that are ever resident.

        Yields
        ------
        ResidentTile
            The tiles, tensor by tensor, in the order of the loops above their holder.
        """
        for held in self._residents:
            for piece, periods in held.every():
                yield self._tile(held, piece, periods)

    def at(self, time: Number) -> tuple[ResidentTile, ...]:
        """List the tiles that are resident at an instant.

        Parameters
        ----------
        time
            The instant, in the architecture's unit of time.

        Returns
        -------
        tuple of ResidentTile
            The tiles, tensor by tensor, in the order of the loops above their holder.
        """
        now = floor(time * self._scale)
        return tuple(
            self._tile(held, piece, periods)
            for held in self._residents
            for piece, periods in held.at(now)
        )

    @property
    def _residents(self) -> tuple[HolderResidency, ...]:
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
    def _changes(self) -> ChangeSeries:
        return merge_series([held.changes(self._denominator) for held in self._residents])

    def _levels(self, low: int, high: int, most: int) -> tuple[Times, Times]:
        try:
            return level_steps(self._changes, low, high, most)
        except TooManyChangesError:
            raise UnsupportedError(
                f"the occupancy of {self.component!r} changes more than {most} times",
                fix="call steps_between for a shorter time, or peak_between, level or at",
            ) from None

    def _peak(self, low: int, high: int) -> Number:
        return reduce_number(Fraction(peak_level(self._changes, low, high), self._denominator))

    def _numbers(self, times: Times, level: Times) -> tuple[tuple[Number, Number], ...]:
        return tuple(
            (
                reduce_number(Fraction(int(t), self._scale)),
                reduce_number(Fraction(int(b), self._denominator)),
            )
            for t, b in zip(times, level, strict=True)
        )

    def _tile(self, held: HolderResidency, piece: int, periods: Sequence[int]) -> ResidentTile:
        start, end = held.span(piece, periods)
        return ResidentTile(
            held.tensor,
            tuple(zip(held.variables, held.index(piece, periods), strict=True)),
            reduce_number(Fraction(start, self._scale)),
            reduce_number(Fraction(end, self._scale)),
            reduce_number(int(held.elements[piece]) * held.bits_per_value),
        )


def occupancies(solution: Solution) -> tuple[Occupancy, ...]:
    """Compute the occupancy of every memory under a schedule.

    A tile is resident from the start of the first access to it in that memory to the end of the
    last one, background write-backs included. An access that takes no time happens when the last
    port of its block starts. In the outermost storage, tensors that no Einsum produces are
    resident from time 0, and tensors that no Einsum reads stay to the end.

    Parameters
    ----------
    solution
        The schedule, with its model.

    Returns
    -------
    tuple of Occupancy
        One per memory, in the order of the architecture; one per range of units that no
        leaf divides.
    """
    model = solution.model
    found = _occupancies(solution)
    if any(memory._error for memory in found) and model.lowered.size <= MAX_EXPLICIT:
        model = build(model.lowered, model.options)
        assert isinstance(model.plan, ExplicitTaskGraph)
        found = _occupancies(Solution(model, model.plan.time(solution.schedule.order)))
    return found


def _occupancies(solution: Solution) -> tuple[Occupancy, ...]:
    model = solution.model
    spec, leaves = model.lowered.spec, model.lowered.leaves
    spans: dict[str, ServiceSpans] = {}
    held: dict[Memory, list[HolderResidency]] = {}
    errors: dict[Memory, UnsupportedError] = {}
    sizes = memory_sizes(spec, leaves)
    for (leaf, tensor, level), keys in zip(
        storages_once(leaves), memories(spec, leaves), strict=True
    ):
        holder = leaf.storages(tensor)[level]
        if holder.component not in spans:
            spans[holder.component] = service_spans(solution, holder.component)
        resident, error = None, None
        try:
            span = spans[holder.component]
            resident = holder_residency(solution, span, tensor, level, holder)
        except IrregularResidencyError:
            error = _not_periodic(holder.component)
        except TooLargeError as cause:  # a tile with too many elements to count
            error = UnsupportedError(cause.what, where=cause.where, fix=cause.fix)
        for key in keys:
            of_memory = held.setdefault(key, [])
            if resident is not None:
                of_memory.append(resident)
            if error is not None:
                errors[key] = error
    order = {name: i for i, name in enumerate(spec.arch.order)}
    return tuple(
        Occupancy(
            component,
            users_label(leaves, users),
            reduce_number(sizes[component]) if component in sizes else None,
            tuple(some),
            model.costs.scale,
            errors.get((component, users)),
        )
        for (component, users), some in sorted(
            held.items(), key=lambda item: (order.get(item[0][0], 0), item[0])
        )
    )


def _not_periodic(component: str) -> UnsupportedError:
    return UnsupportedError(
        f"the tiles in {component!r} do not start and end at constant rates: its occupancy is not"
        " periodic",
        where="mapping",
        fix="use granularity='tile', or larger tiles",
    )


def peak_or_none(memory: Occupancy) -> Number | None:
    """Return a memory's peak, if it is determined.

    Parameters
    ----------
    memory
        The memory's occupancy.

    Returns
    -------
    int, Fraction or None
        The largest number of resident bits; None where it cannot be extrapolated.
    """
    try:
        return memory.peak
    except UnsupportedError:
        return None


def largest_peaks(memories: Iterable[Occupancy]) -> dict[str, Number | None]:
    """Return the largest peak of each component.

    Parameters
    ----------
    memories
        The occupancy of every memory; of a component with several ranges of units, of each range.

    Returns
    -------
    dict
        Component → its largest peak in bits; None where one of its peaks is not determined.
    """
    peaks: dict[str, Number | None] = {}
    for memory in memories:
        peak, known = peak_or_none(memory), peaks.get(memory.component, 0)
        peaks[memory.component] = None if peak is None or known is None else max(peak, known)
    return peaks


def check_capacity(memories: Iterable[Occupancy]) -> None:
    """Refuse a schedule that does not fit its memories.

    Parameters
    ----------
    memories
        The occupancy of every memory.

    Raises
    ------
    CapacityError
        A memory holds more than its size.
    UnsupportedError
        An occupancy cannot be determined.
    """
    for memory in memories:
        if memory.exceeded:
            raise CapacityError(
                f"memory {memory.component!r} holds up to {memory.peak} bits, and its size is"
                f" {memory.size}",
                where=f"arch, component {memory.component!r}",
                fix="use smaller tiles, fewer slots or a larger memory; or do not enforce capacity",
            )
