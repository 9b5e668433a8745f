"""The accesses of a leaf per tile iteration, counted from footprints.

The rules are AccelForge's, applied element by element instead of on average. All counts are
numbers of elements; `lowering.ports` turns them into time.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import combinations
from typing import Literal, NamedTuple

import numpy as np

from polylat.errors import UnsupportedError
from polylat.lowering.accesses.blocks import Access, Block
from polylat.lowering.accesses.common_elements import AccessSide, common_groups
from polylat.lowering.accesses.elements import GroupCount, operations
from polylat.lowering.accesses.links import Link, instances_in_use, is_shared, links_between
from polylat.lowering.enumeration import tied_groups
from polylat.lowering.groups import connected_groups
from polylat.lowering.integer_types import Counts, count_type
from polylat.lowering.iterations import IterationTable
from polylat.lowering.paths import Leaf, PathHolder
from polylat.lowering.sharing import SourceHolder
from polylat.lowering.transfers import (
    FreeTransfer,
    TransferOptions,
    hand_over_depth,
    separate_levels,
)
from polylat.schedule.arrays import Ints
from polylat.spec.arch import Component
from polylat.spec.network import HOP
from polylat.spec.slots import slots_of
from polylat.spec.workload import Projection

__all__ = ["Units", "leaf_blocks", "tile_elements"]

_MOST_PROJECTIONS = 8
"""Largest number of projections of an Einsum to one tensor: their subsets are counted."""

Units = Literal["busiest", "all"]
"""The units of components whose values are counted: the busiest one, or all of them together."""


def leaf_blocks(
    tiles: IterationTable,
    components: Mapping[str, Component],
    found: Mapping[str, SourceHolder],
    leaves: Sequence[Leaf],
    produced: frozenset[str],
    options: TransferOptions,
    units: Units = "busiest",
) -> tuple[Block, ...]:
    """Return the accesses of a leaf as blocks in the order in which a port serves them.

    Parameters
    ----------
    tiles
        The leaf's tile iterations.
    components
        Component name → the component as this Einsum sees it.
    found
        Tensor that the leaf reads → the holder in which it finds it (`source_holders`).
    leaves
        All leaves.
    produced
        The tensors that some Einsum produces.
    options
        Which transfers are separate.
    units
        The units whose values are counted.

    Returns
    -------
    tuple of Block
        Fills and read-backs, the foreground, write-backs.

    Raises
    ------
    TooLargeError
        A relation has too many points.
    """
    leaf = tiles.leaf
    fills: list[tuple[int, int, Block]] = []
    backs: list[tuple[int, int, Block]] = []
    foreground: list[Access] = []
    for rank, access in enumerate(leaf.einsum.accesses):
        tensor = access.tensor
        storages = leaf.storages(tensor)
        source = found.get(tensor)
        producer = None
        if source is not None and source.recurrent:
            assert source.producer is not None, "a recurrence has a producer"
            producer = leaves[source.producer]
        counter = _Counter(tiles, tensor, components, producer, units=units)
        separate = separate_levels(leaf, tensor, options)
        filled = len(storages) if source is None else source.level + 1
        for level in range(1 if access.output else filled, len(storages)):
            component = storages[level].component
            recurs = source is not None and level < source.recurrent
            inward = counter.inward(level, fills=level >= filled, recurs=recurs)
            inward = _freed(inward, (tensor, component, True), options)
            if level > separate:
                foreground += inward
            elif inward:
                ahead = tensor not in produced and _served_ahead(leaf, tensor, level, options)
                fill = Block("fill", tensor, level, inward, ahead=ahead)
                fills.append((level, rank, fill))
            if not access.output:
                continue
            back = counter.write_back(level, hand_over_depth(leaf, tensor, level, options))
            back = _freed(back, (tensor, component, False), options)
            if level > separate:
                foreground += back
            else:
                behind = (tensor, component) in options.background
                block = Block("write_back", tensor, level, back, background=behind)
                backs.append((-level, rank, block))
        foreground += counter.operands()
    fills.sort(key=lambda item: item[:2])
    backs.sort(key=lambda item: item[:2])
    if not leaf.einsum.is_copy:
        performed = operations(tiles, every_unit=units == "all")
        compute = Access(leaf.component, None, "compute", *_occurrences(tiles, performed))
        foreground.append(compute)
    front = Block("foreground", None, 0, tuple(foreground))
    return (*(b for *_, b in fills), front, *(b for *_, b in backs))


def _freed(
    accesses: tuple[Access, ...], transfer: FreeTransfer, options: TransferOptions
) -> tuple[Access, ...]:
    """Return the accesses of a transfer, which take no time if the options say so."""
    if transfer not in options.free:
        return accesses
    return tuple(replace(access, free=True) for access in accesses)


def _served_ahead(leaf: Leaf, tensor: str, level: int, options: TransferOptions) -> bool:
    """Return whether a fill is served one tile ahead in a skewed order, as by a prefetching DMA.

    It is if the storage or one further in is staged, unless it keeps a single tile.
    """
    storages = leaf.storages(tensor)
    staged = any(options.is_staged(tensor, h.component) for h in storages[level:])
    return staged and slots_of(options.slots, tensor, storages[level].component) != 1


def tile_elements(
    tiles: IterationTable, components: Mapping[str, Component], tensor: str, level: int
) -> Counts:
    """Return the number of elements of a storage's tile that a leaf touches.

    Parameters
    ----------
    tiles, components
        As for `leaf_blocks`.
    tensor, level
        The tensor, and the index of the storage among its storages on the path.

    Returns
    -------
    numpy.ndarray
        Elements in one unit, of the tile that contains each tile iteration: shape (size,).
    """
    counter = _Counter(tiles, tensor, components)
    storage = counter.storages[level]
    variables = frozenset(counter.access.variables)
    side = _Side(storage.component, "read", storage.position, variables)
    return counter.share(storage.component, counter.touched(level, side))


@dataclass(frozen=True, eq=False)
class _Side:
    """A component that takes part in a transfer; `position` is that of its holder on the path.

    `variables` index the values: units of other Spatial loops may share them. Values only pass a
    Toll, or the links of a Network.
    """

    component: str
    action: str
    position: int
    variables: frozenset[str]
    passed: bool = False
    link: Link | None = None


class _Summed(NamedTuple):
    """The Spatial loops whose units are summed over; of one of them, with a weight per unit."""

    positions: tuple[int, ...]
    weighted: int | None = None
    weights: tuple[int, ...] = ()


class _Counter:
    """Counts the transfers of one tensor of one leaf."""

    def __init__(
        self,
        tiles: IterationTable,
        tensor: str,
        components: Mapping[str, Component],
        producer: Leaf | None = None,
        *,
        units: Units = "busiest",
    ) -> None:
        self.tiles = tiles
        self.leaf = tiles.leaf
        self.tensor = tensor
        self.access = tiles.leaf.einsum.access(tensor)
        self.producer = producer
        self.components = components
        self.holders = self.leaf.holders[tensor]
        self.storages = tuple(h for h in self.holders if not h.toll)
        self._every_unit = units == "all"
        # Both ends of a transfer usually have the same counts.
        self._known: dict[Hashable, Counts] = {}
        self._type = count_type(self.leaf)

    def inward(self, level: int, *, fills: bool, recurs: bool) -> tuple[Access, ...]:
        """Return the transfers into a storage, in the tile iterations that enter its tiles.

        Parameters
        ----------
        level
            The index of the storage.
        fills
            Whether the leaf fills it with what it reads as an input. If it produces the tensor, it
            also reads back the elements that it has written back from there before.
        recurs
            Whether this or a later leaf brings elements into the tile that are read there: they are
            not filled.
        """
        depth = self.storages[level].depth
        found = _Accesses(self)
        if fills and self.access.reads:
            for side in self._sides(level, _variables(self.access.reads), upward=False):
                found.add(side, self._at_entry(depth, self._filled(level, side, recurs=recurs)))
        if self.access.output:
            for side in self._sides(level, _variables([self._written]), upward=False):
                found.add(side, self._at_entry(depth, self._read_back(level, side)))
        return found.joined(inward=True, transfer=True)

    def _filled(self, level: int, side: _Side, *, recurs: bool) -> Counts:
        """Return the number of elements that are read and not brought into the same tile."""
        reads = tuple(dict.fromkeys(self.access.reads))
        brought: tuple[AccessSide, ...] = ()
        if recurs:
            assert self.producer is not None, "a recurrence has a producer"
            brought = (AccessSide(self.producer, self.producer.einsum.written(self.tensor)),)
        return self._union(level, side, reads, brought)

    def _read_back(self, level: int, side: _Side) -> Counts:
        """Return the number of elements that were written back from the storage before."""
        whole = self._union(level, side, (self._written,))
        parent = side.position < self.storages[level].position and not side.passed
        if self._skips(level) and (not parent or self._skips(level - 1)):
            whole = whole - self._first(self.storages[level].depth, level, side)
        return whole

    @property
    def _written(self) -> Projection:
        return self.leaf.einsum.written(self.tensor)

    def write_back(self, level: int, tile_depth: int | None) -> tuple[Access, ...]:
        """Return the write-backs: per tile, each element where it is brought there last."""
        found = _Accesses(self)
        for side in self._sides(level, _variables([self._written]), upward=True):
            counts = self._last(level, side, tile_depth)
            if tile_depth is not None:
                counts = self._at_end(tile_depth, counts)
            found.add(side, counts)
        return found.joined(inward=False, transfer=True)

    def operands(self) -> tuple[Access, ...]:
        """Return the accesses of the operations to the innermost storage."""
        level = len(self.storages)
        reads = _Accesses(self)
        for read in self.access.reads:
            for side in self._sides(level, _variables([read]), upward=False):
                reads.add(side, self._all(side))
        if not self.access.output:
            return reads.joined(inward=True)
        variables = _variables([self._written])
        skips = self.components[self.leaf.component].skip_initial_output_write
        for side in self._sides(level, variables, upward=False):
            count = self._all(side)
            if skips and (side.passed or self._skips(level - 1)):
                count = count - self._first(self.tiles.depth, level, side)
            reads.add(side, count)
        writes = _Accesses(self)
        for side in self._sides(level, variables, upward=True):
            writes.add(side, self._all(side))
        return (*reads.joined(inward=True), *writes.joined(inward=False))

    def _skips(self, level: int) -> bool:
        return self.components[self.storages[level].component].skip_initial_output_write

    def _sides(self, level: int, variables: frozenset[str], *, upward: bool) -> list[_Side]:
        """Return the components that take part in a transfer between neighboring storages.

        `variables` index the values that are transferred.
        """
        parent = self.storages[level - 1]
        child = self.storages[level] if level < len(self.storages) else None
        at_parent, at_child = ("write", "read") if upward else ("read", "write")
        sides = [_Side(parent.component, at_parent, parent.position, variables)]
        before = parent
        for holder in self.holders[self.holders.index(parent) + 1 :]:
            if not holder.toll:
                break
            sides += self._links(before, holder, variables)
            before = holder
            direction = self.components[holder.component].direction.get(self.tensor)
            if direction in ("up_and_down", "up" if upward else "down"):
                position = holder.position
                sides.append(_Side(holder.component, "read", position, variables, passed=True))
        sides += self._links(before, child, variables)
        if child is not None:
            sides.append(_Side(child.component, at_child, child.position, variables))
        return sides

    def _links(
        self, outer: PathHolder, inner: PathHolder | None, variables: frozenset[str]
    ) -> list[_Side]:
        links = links_between(self.leaf, self.components, self.tensor, variables, outer, inner)
        return [
            _Side(x.network, HOP, outer.position, variables, passed=True, link=x) for x in links
        ]

    def made_access(self, side: _Side, counts: Counts, *, inward: bool, transfer: bool) -> Access:
        """Return an access to a component, from the number of elements per tile iteration."""
        if not self._every_unit and side.link is None:
            counts = self.share(side.component, counts)
        return Access(
            side.component,
            self.tensor,
            side.action,
            *_occurrences(self.tiles, counts),
            inward=inward,
            transfer=transfer,
            link=side.link.port if side.link is not None else None,
            hops=side.link.longest if side.link is not None else 1,
        )

    def share(self, component: str, counts: Counts) -> Counts:
        """Return the counts of the busiest instance of a memory, which may be distributed."""
        instances = instances_in_use(self.leaf, self.components, component)
        return -(-counts // instances) if instances > 1 else counts

    def _at_entry(self, depth: int, per_iteration: Counts) -> Counts:
        """Return the counts in the tile iterations that enter a new tile, 0 elsewhere."""
        return self._only(self.tiles.firsts(depth), per_iteration)

    def _at_end(self, depth: int, per_iteration: Counts) -> Counts:
        """Return the counts in the last tile iterations of the tiles at a depth, 0 elsewhere."""
        return self._only(self.tiles.lasts(depth), per_iteration)

    def _only(self, iterations: Ints, per_iteration: Counts) -> Counts:
        counts: Counts = np.zeros(self.tiles.size, dtype=per_iteration.dtype)
        counts[iterations] = per_iteration[iterations]
        return counts

    # Counts per tile iteration are products over the groups.

    def _summed(self, child_position: int, side: _Side) -> list[_Summed]:
        """Return the Spatial loops above the inner end that multiply the count of a side.

        Of loops between the side and the inner end: those over whose dimension the hardware may not
        multicast (inputs) or reduce (outputs), and those that the tensor depends on. Loops above
        the side multiply its units, if all of them count. What passes a link is the sum over
        several loops, each with weights: outside the loop, units have a link each.
        """
        if side.link is None:
            multiplying = self._multiplying(child_position, side.position, side.variables)
            return [_Summed(tuple(multiplying))]
        found = []
        for loop in side.link.loops:
            around = [p for p, other in enumerate(self.leaf.loops[: loop.position]) if other.unit]
            inside = self._multiplying(
                child_position, loop.position + 1, side.variables, within=True
            )
            positions = (*(around if self._every_unit else ()), *inside, loop.position)
            weights = loop.hops if self._every_unit else loop.traffic
            found.append(_Summed(positions, loop.position, weights))
        return found

    def _multiplying(
        self, child: int, outside: int, variables: frozenset[str], *, within: bool = False
    ) -> list[int]:
        """Return the Spatial loops that multiply a count: `within`: only those inside."""
        summed = []
        for p, loop in enumerate(self.leaf.loops[:child]):
            if loop.unit is None:
                continue
            if p < outside:
                if self._every_unit and not within:
                    summed.append(p)
            elif not is_shared(self.leaf, self.components, self.tensor, variables, p):
                summed.append(p)
        return summed

    def touched(self, level: int, side: _Side) -> Counts:
        """Return the number of elements of a storage's tile that are accessed."""
        return self._union(level, side, self.access.projections)

    def _union(
        self,
        level: int,
        side: _Side,
        projections: Sequence[Projection],
        without: Sequence[AccessSide] = (),
    ) -> Counts:
        """Return the number of elements of a tile that are accessed by any of some projections.

        `without`: but not there by another access. By inclusion and exclusion, as the numbers of
        elements that accesses have in common are products over groups of variables.
        """
        if len(projections) == 1 and not without:
            return self._footprint(level, side, (AccessSide(self.leaf, projections[0]),))
        if len(projections) > _MOST_PROJECTIONS:
            raise UnsupportedError(
                f"Einsum {self.leaf.einsum.name!r} accesses tensor {self.tensor!r} by"
                f" {len(projections)} projections, more than {_MOST_PROJECTIONS}",
                where=self.leaf.where or "mapping",
                fix="divide the Einsum, or hold the tensor in one memory only",
            )
        total: Counts = np.zeros(self.tiles.size, dtype=self._type)
        own = [AccessSide(self.leaf, projection) for projection in projections]
        for size in range(1, len(own) + 1):
            for some in combinations(own, size):
                common = self._footprint(level, side, some)
                if without:
                    common = common - self._footprint(level, side, (*some, *without))
                total = total + common if size % 2 else total - common
        return total

    def _footprint(self, level: int, side: _Side, sides: tuple[AccessSide, ...]) -> Counts:
        """Return the number of elements of a tile that all of some accesses have in common."""
        storage = self.storages[level]
        for rank in zip(*(some.projection for some in sides), strict=True):
            constants = {index.constant for index in rank}
            if len(constants) > 1 and not any(index.variables for index in rank):
                return np.zeros(self.tiles.size, dtype=self._type)
        if len(sides) == 1:
            groups = partial(self._groups, sides[0].projection)
        else:
            groups = partial(common_groups, self.tiles, sides, storage.position)
        return self._once(
            ("footprint", *((some.leaf.number, some.projection) for some in sides)),
            level,
            self._summed(storage.position, side),
            lambda g, summed: g.footprint(storage.depth, summed, range(storage.position)),
            groups,
        )

    def _groups(
        self, projection: Projection, weights: Mapping[int, Sequence[int]]
    ) -> Iterator[GroupCount]:
        """Yield the counts of the groups of one projection."""
        for variables, ranks in connected_groups(
            self.leaf.einsum.rank_variables,
            [index.variables for index in projection],
            [c.variables for c in self.leaf.coupled],
        ):
            yield GroupCount(self.tiles, variables, [projection[r] for r in ranks], weights)

    def _first(self, depth: int, level: int, side: _Side) -> Counts:
        child = self._child_position(level)
        return self._once(
            "first",
            level,
            self._summed(child, side),
            lambda g, summed: g.first(depth, summed, range(child)),
            partial(self._groups, self._written),
        )

    def _last(self, level: int, side: _Side, tile_depth: int | None) -> Counts:
        storage = self.storages[level]
        inner = self.tiles.depth if tile_depth is None else tile_depth
        return self._once(
            "last",
            level,
            self._summed(storage.position, side),
            lambda g, summed: g.last(storage.depth, summed, range(storage.position), inner),
            partial(self._groups, self._written),
        )

    def _all(self, side: _Side) -> Counts:
        summed = self._summed(len(self.leaf.loops), side)
        return self._once(
            "all", len(self.storages), summed, lambda g, units: g.operations(units), self._tied
        )

    def _tied(self, weights: Mapping[int, Sequence[int]]) -> Iterator[GroupCount]:
        """Yield the counts of the groups of variables that constraints tie together."""
        for variables in tied_groups(self.leaf):
            yield GroupCount(self.tiles, variables, (), weights)

    def _child_position(self, level: int) -> int:
        if level < len(self.storages):
            return self.storages[level].position
        return len(self.leaf.loops)

    def _once(
        self,
        what: Hashable,
        level: int,
        summed: Sequence[_Summed],
        count: Callable[[GroupCount, Sequence[int]], Counts],
        groups: Callable[[Mapping[int, Sequence[int]]], Iterator[GroupCount]],
    ) -> Counts:
        """Return the product of a count over the groups, computed once; summed over loops."""
        total: Counts = np.zeros(self.tiles.size, dtype=self._type)
        for some in summed:
            key = what, level, some
            if key not in self._known:
                product: Counts = np.ones(self.tiles.size, dtype=self._type)
                weights = {} if some.weighted is None else {some.weighted: some.weights}
                for group in groups(weights):
                    product = product * count(group, some.positions)
                self._known[key] = product
            if len(summed) == 1:
                return self._known[key]
            total = total + self._known[key]
        return total


def _occurrences(tiles: IterationTable, counts: Counts) -> tuple[Ints, Counts]:
    """Return the tile iterations with a count other than 0, and their counts.

    Where all are the same, the counts are a view of a single one.
    """
    found = np.flatnonzero(counts)
    some: Counts = counts[found]
    if len(some) and (some == some[0]).all():
        some = np.broadcast_to(some[:1].copy(), some.shape)
    return tiles.every if len(found) == tiles.size else found, some


def _variables(projections: Sequence[Projection]) -> frozenset[str]:
    """Return the rank variables of projections."""
    return frozenset(v for some in projections for index in some for v in index.variables)


class _Accesses:
    """The accesses of a transfer or of operations, one per component that takes part."""

    def __init__(self, counter: _Counter) -> None:
        self._counter = counter
        self._found: dict[Hashable, tuple[_Side, Counts]] = {}

    def add(self, side: _Side, counts: Counts) -> None:
        """Add elements per tile iteration."""
        key = side.component, side.action, side.position, side.link and side.link.port
        if key in self._found:
            counts = self._found[key][1] + counts
        self._found[key] = side, counts

    def joined(self, *, inward: bool, transfer: bool = False) -> tuple[Access, ...]:
        """Return the accesses that have elements."""
        accesses = [
            self._counter.made_access(side, counts, inward=inward, transfer=transfer)
            for side, counts in self._found.values()
        ]
        return tuple(access for access in accesses if len(access.iterations))
