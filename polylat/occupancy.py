"""Which tiles are resident in a memory, and when."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from math import ceil, floor, lcm
from typing import NoReturn

import numpy as np

from polylat.accesses.blocks import Block
from polylat.accesses.counting import tile_elements
from polylat.errors import UnsupportedError
from polylat.exact import Number, number
from polylat.lowering.kept import Kept
from polylat.lowering.paths import Leaf, PathHolder
from polylat.lowering.scan import Ints
from polylat.lowering.sharing import sharers
from polylat.lowering.tiles import Tiles, common_keys
from polylat.model import Model, build
from polylat.residency import Changes, Residents, highest, joined, levels
from polylat.schedule.graph import Times
from polylat.schedule.timing import Plan, Timing
from polylat.tasks import own_stages, separations

__all__ = ["Occupancy", "ResidentTile", "occupancies", "stage_name"]

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
        return max((held.last for held in self._residents), default=0)

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
    try:
        return _occupancies(model, timing, _refuse)
    except _AlikeError:
        pass
    lowered = model.lowered
    if lowered.size <= MOST_EXPLICIT:
        whole = build(lowered, model.background, model.slots)
        assert isinstance(whole.plan, Plan)
        return _occupancies(whole, whole.plan.time(timing.order), _refuse)
    return _occupancies(model, timing, _note)


class _AlikeError(Exception):
    """Tiles do not come and go as those that stand for them."""


def _refuse() -> NoReturn:
    raise _AlikeError


def _note() -> UnsupportedError:
    return UnsupportedError(
        "the tiles in a memory do not come and go at constant rates",
        where="mapping",
        mend="use granularity='tile', or larger tiles",
    )


def _occupancies(
    model: Model, timing: Timing, unlike: Callable[[], UnsupportedError]
) -> tuple[Occupancy, ...]:
    spec, leaves = model.lowered.spec, model.lowered.leaves
    separate = separations(spec, leaves)
    spans: dict[str, tuple[Times, Times, Bools]] = {}
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
                        spans[holder.component] = _block_spans(model, timing, holder.component)
                    span = spans[holder.component]
                    mine = held.setdefault(key, [])
                    try:
                        mine.append(_held_tiles(model, timing, span, sharing, tensor, level, holder))
                    except _AlikeError:
                        errors[key] = unlike()
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
        for key, some in sorted(
            held.items(), key=lambda item: (order.get(item[0][0], 0), item[0])
        )
    )


def _held_tiles(
    model: Model,
    timing: Timing,
    span: tuple[Times, Times],
    sharing: Sequence[Leaf],
    tensor: str,
    level: int,
    holder: PathHolder,
) -> _Held:
    spec, layout = model.lowered.spec, model.layout
    order = common_keys([layout.tiles[o.number] for o in sharing], holder.depth)
    dtype = timing.finish.dtype
    start = np.full(len(order), timing.makespan, dtype=dtype)
    end = np.full(len(order), 0, dtype=dtype)
    elements = np.zeros(len(order), dtype=np.int64)
    for leaf in sharing:
        tiles, base = layout.tiles[leaf.number], layout.bases[leaf.number]
        kappa = np.searchsorted(order, tiles.prefix_keys(holder.depth))
        components = {c.name: c for c in spec.arch.paths[leaf.einsum.name]}
        np.maximum.at(elements, kappa, tile_elements(tiles, components, tensor, level))
        for index, block in enumerate(layout.blocks[leaf.number]):
            for access in block.accesses:
                if access.component != holder.component or access.tensor != tensor:
                    continue
                where = kappa[access.iterations]
                numbers = base + access.iterations
                if block.kind != "foreground":
                    first, iterations = layout.streams[leaf.number, index]
                    numbers = first + np.searchsorted(iterations, access.iterations)
                np.minimum.at(start, where, span[0][numbers])
                np.maximum.at(end, where, span[1][numbers])
    backing = level == 0 and holder.depth == 0
    if backing and not spec.workload.producers(tensor):
        start[:] = 0
    if backing and not spec.workload.readers(tensor):
        end[:] = timing.makespan
    there = end > start
    component = spec.arch.component(sharing[0].einsum.name, holder.component)
    access_bits = sharing[0].einsum.access(tensor).bits_per_value
    return _Held(
        tensor,
        tuple(loop.variable for loop in sharing[0].temporal[: holder.depth]),
        _digits(order, [k.count for k in layout.tiles[sharing[0].number].kept[: holder.depth]])[
            :, there
        ],
        start[there],
        end[there],
        elements[there],
        Fraction(component.bits_per_value.get(tensor, access_bits)),
    )


def _block_spans(model: Model, timing: Timing, component: str) -> tuple[Times, Times]:
    """Per block, when a component's ports begin to serve it, and when they have."""
    graph = model.graph
    mine = np.array([key.component == component for key in model.costs.ports], dtype=np.bool_)
    ready = timing.begin[graph.owner].copy()
    fills = graph.kind == 0
    ready[fills] = timing.fill_begin[fills]
    begin, end = ready, timing.block_finish.copy()
    np.maximum.at(begin, graph.task_block, timing.task_begin)
    tasks = np.flatnonzero(mine[graph.task_port])
    served = graph.task_block[tasks]
    begin[served] = timing.makespan
    end[served] = 0
    np.minimum.at(begin, served, timing.task_begin[tasks])
    np.maximum.at(end, served, timing.task_begin[tasks] + graph.task_duration[tasks])
    return begin, end


def _digits(keys: Ints, radices: Sequence[int]) -> Ints:
    digits = np.zeros((len(radices), len(keys)), dtype=np.int64)
    rest = keys.copy()
    for k in range(len(radices) - 1, -1, -1):
        digits[k] = rest % radices[k]
        rest //= radices[k]
    return digits


def stage_name(leaves: Sequence[Leaf], node: int, branch: int) -> str:
    """A stage of a Pipeline as its Einsums, joined by ``+``."""
    return "+".join(
        leaf.einsum.name
        for leaf in leaves
        if any(s.node == node and s.branch == branch for s in leaf.splits)
    )
