"""Which tiles are resident in a memory, and when."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property

import numpy as np

from polylat.accesses.counting import tile_elements
from polylat.exact import number
from polylat.lowering.paths import Leaf, PathHolder
from polylat.lowering.scan import Ints
from polylat.lowering.sharing import sharers
from polylat.lowering.tiles import common_keys
from polylat.model import Model
from polylat.schedule.graph import Times
from polylat.schedule.timing import Timing
from polylat.tasks import own_stages, separations

__all__ = ["Occupancy", "ResidentTile", "occupancies", "stage_name"]


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
class _Held:
    """All tiles of one holder, as arrays."""

    tensor: str
    variables: tuple[str, ...]
    digits: Ints
    start: Times
    end: Times
    elements: Ints
    bits_per_value: Fraction


@dataclass(frozen=True, eq=False)
class Occupancy:
    """Occupancy of a memory over time: a relation time → resident tiles.

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
    size: int | Fraction | None
    _held: tuple[_Held, ...] = field(repr=False)
    _scale: int = field(repr=False)

    @cached_property
    def steps(self) -> tuple[tuple[int | Fraction, int | Fraction], ...]:
        """(time, bits from then on), at every change."""
        denominator = int(np.lcm.reduce([h.bits_per_value.denominator for h in self._held] or [1]))
        times = [np.concatenate((h.start, h.end)) for h in self._held]
        changes = []
        for held in self._held:
            bits = held.elements.astype(object) * int(held.bits_per_value * denominator)
            changes.append(np.concatenate((bits, -bits)))
        if not times:
            return ()
        at, change = np.concatenate(times), np.concatenate(changes)
        moments, where = np.unique(at, return_inverse=True)
        delta = np.full(len(moments), 0, dtype=object)
        np.add.at(delta, where, change)
        level = np.cumsum(delta)
        return tuple(
            (number(Fraction(int(t), self._scale)), number(Fraction(int(b), denominator)))
            for t, b in zip(moments, level, strict=True)
        )

    @cached_property
    def peak(self) -> int | Fraction:
        """Largest number of resident bits (of one unit)."""
        return max((bits for _, bits in self.steps), default=0)

    @property
    def exceeded(self) -> bool:
        """Whether the peak is more than the memory can hold."""
        return self.size is not None and self.peak > self.size

    def tiles(self) -> Iterator[ResidentTile]:
        """All tiles that are ever resident."""
        for held in self._held:
            for k in range(len(held.start)):
                yield ResidentTile(
                    held.tensor,
                    tuple(
                        (v, int(d)) for v, d in zip(held.variables, held.digits[:, k], strict=True)
                    ),
                    number(Fraction(int(held.start[k]), self._scale)),
                    number(Fraction(int(held.end[k]), self._scale)),
                    number(int(held.elements[k]) * held.bits_per_value),
                )

    def at(self, time: int | Fraction) -> tuple[ResidentTile, ...]:
        """The tiles that are resident at an instant."""
        return tuple(tile for tile in self.tiles() if tile.start <= time < tile.end)


def occupancies(model: Model, timing: Timing) -> tuple[Occupancy, ...]:
    """Occupancy of every memory under a schedule.

    A tile is resident from the start of the first access to it in that memory to the end of the
    last one, write-backs in the background included; an access that takes no time happens when
    the last port of its block begins. In the outermost storage, tensors that no Einsum produces
    are there from the start, and tensors that none reads stay to the end.
    """
    spec, leaves = model.lowered.spec, model.lowered.leaves
    separate = separations(spec, leaves)
    spans: dict[str, tuple[Times, Times]] = {}
    held: dict[tuple[str, tuple[tuple[int, int], ...]], list[_Held]] = {}
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
                    found = _held_tiles(model, timing, span, sharing, tensor, level, holder)
                    held.setdefault(key, []).append(found)
    order = {name: i for i, name in enumerate(spec.arch.order)}
    return tuple(
        Occupancy(
            component,
            tuple(dict.fromkeys(stage_name(leaves, *s) for s in stages)),
            None if sizes[component] is None else number(sizes[component]),  # type: ignore[arg-type]
            tuple(some),
            model.costs.scale,
        )
        for (component, stages), some in sorted(
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
