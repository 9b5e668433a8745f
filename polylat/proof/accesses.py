"""Which accesses a leaf has, and of how many values in each tile iteration."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any, Literal

from polylat.lowering.paths import Leaf, PathHolder
from polylat.proof.footprints import Meeting, Part
from polylat.proof.loop_counts import LoopCounts, at_extreme, constant, together
from polylat.proof.networks import Crossing, crossings, shared, spread
from polylat.proof.problem import Problem
from polylat.proof.relation_text import (
    LeafAccess,
    Projection,
    element_groups,
    independent_parts,
)
from polylat.proof.sources import found_at, level_of, producer_of
from polylat.spec.arch import Component
from polylat.spec.network import HOP

__all__ = ["ExpectedAccess", "ExpectedBlock", "expected_blocks", "tied_parts", "tile_counts"]


@dataclass(frozen=True, eq=False)
class ExpectedAccess:
    """The accesses of a leaf to one tensor in one component by one action.

    Parameters
    ----------
    component, tensor, action
        The component, the tensor (None for a computation) and the action.
    counts
        Per tile iteration, the number of values that the busiest unit accesses.
    inward
        Whether the values move towards the compute.
    transfer
        Whether it is part of a transfer between Storages, instead of the operations' own.
    link
        In a Network: the index of the port that the values occupy; else None.
    hops
        In a Network: the hops of the longest route; else 1.
    """

    component: str
    tensor: str | None
    action: str
    counts: LoopCounts
    inward: bool = False
    transfer: bool = False
    link: int | None = None
    hops: int = 1


@dataclass(frozen=True, eq=False)
class ExpectedBlock:
    """Accesses of a leaf that a port serves as one block per tile iteration.

    Parameters
    ----------
    kind
        Separate fill or read-back, foreground, or separate write-back.
    tensor, level
        Of a separate transfer: the tensor, and the index of the Storage at its inner end. Of the
        foreground: None and 0.
    accesses
        The accesses, in the order of service.
    background
        Whether it is a write-back in the background.
    ahead
        Whether it is a fill that a skewed order serves one tile ahead.
    """

    kind: Literal["fill", "foreground", "write_back"]
    tensor: str | None
    level: int
    accesses: tuple[ExpectedAccess, ...]
    background: bool = False
    ahead: bool = False


def tile_counts(leaf: Leaf, depth: int) -> LoopCounts:
    """Return which tile iterations exist.

    Parameters
    ----------
    leaf
        The leaf.
    depth
        The number of Temporal loops that index its tile iterations.

    Returns
    -------
    LoopCounts
        1 per index that has an operation, else 0.
    """
    found = constant(1)
    for variables in tied_parts(leaf):
        part = Part(leaf, depth, variables)
        found = together(found, part.footprint(depth, (), 0), "*")
    return found


def expected_blocks(problem: Problem, leaf: Leaf) -> tuple[ExpectedBlock, ...]:
    """Derive the accesses of a leaf.

    Parameters
    ----------
    problem
        The mapping and its options.
    leaf
        The leaf.

    Returns
    -------
    tuple of ExpectedBlock
        Separate fills and read-backs, from the outside in; the foreground; separate write-backs,
        from the inside out.
    """
    components = {c.name: c for c in problem.spec.arch.paths[leaf.einsum.name]}
    fills: list[ExpectedBlock] = []
    backs: list[ExpectedBlock] = []
    front: list[ExpectedAccess] = []
    bounds: dict[tuple[int, bool], LoopCounts] = {}
    for access in leaf.einsum.accesses:
        tensor = access.tensor
        transfers = _Transfers(problem, leaf, tensor, components, bounds)
        separate = problem.separate_levels(leaf, tensor)
        for level in range(1, len(transfers.storages)):
            moved = transfers.inward(level)
            if level not in separate:
                front += moved
            elif moved:
                ahead = not access.output and problem.served_ahead(leaf, tensor, level)
                fills.append(ExpectedBlock("fill", tensor, level, tuple(moved), ahead=ahead))
            if not access.output:
                continue
            back = transfers.write_back(level)
            if level not in separate:
                front += back
            else:
                pair = tensor, transfers.storages[level].component
                behind = pair in problem.background
                backs.append(ExpectedBlock("write_back", tensor, level, tuple(back), behind))
        front += transfers.by_operations()
    if not leaf.einsum.is_copy:
        counts = constant(1)
        for variables in tied_parts(leaf):
            part = Part(leaf, problem.depths[leaf.number], variables)
            counts = together(counts, part.operations(()), "*")
        front.append(ExpectedAccess(leaf.component, None, "compute", counts))
    # Sorting is stable: equal levels stay in the order of the Einsum's accesses.
    return (
        *sorted(fills, key=lambda block: block.level),
        ExpectedBlock("foreground", None, 0, tuple(front)),
        *sorted(backs, key=lambda block: -block.level),
    )


def tied_parts(leaf: Leaf) -> list[tuple[str, ...]]:
    """Split the variables of a leaf into parts that no constraint of the iteration space relates.

    Parameters
    ----------
    leaf
        The leaf.

    Returns
    -------
    list of tuple of str
        The independent parts.
    """
    return independent_parts(leaf.einsum.rank_variables, (c.variables for c in leaf.coupled))


@dataclass(frozen=True)
class _End:
    """A component that takes part in a transfer, and the number of loops above it.

    The variables index the values: units of other Spatial loops may share them. Values only pass a
    Toll, or the links of a Network.
    """

    component: str
    action: str
    position: int
    variables: frozenset[str]
    passed: bool = False
    crossing: Crossing | None = None

    @property
    def place(self) -> tuple[str, str, int, int | None]:
        """What identifies the accesses: component, action, position and port of a Network."""
        link = None if self.crossing is None else self.crossing.port
        return self.component, self.action, self.position, link

    @property
    def hops(self) -> int:
        return 1 if self.crossing is None else self.crossing.hops


_Moved = tuple[frozenset[str], Callable[[_End], LoopCounts]]
"""The variables that index a part of the values that a transfer moves, and their number."""

_Key = tuple[str, int, tuple[int, ...], tuple[int, tuple[int, ...]] | None]


class _Transfers:
    """The transfers of one tensor of a leaf between its holders, and by the operations.

    `bounds` is a cache for all tensors of a leaf: (depth of a holder, last) → 1 where its tiles
    end, or begin, else 0.
    """

    def __init__(
        self,
        problem: Problem,
        leaf: Leaf,
        tensor: str,
        components: Mapping[str, Component],
        bounds: dict[tuple[int, bool], LoopCounts],
    ) -> None:
        self.problem = problem
        self.leaf = leaf
        self.depth = problem.depths[leaf.number]
        self.tensor = tensor
        self.components = components
        self.holders = leaf.holders[tensor]
        self.storages = leaf.storages(tensor)
        self.access = leaf.einsum.access(tensor)
        self._bounds = bounds
        self._known: dict[_Key, LoopCounts] = {}
        self._found_at = found_at(problem.leaves, leaf, tensor) if self.access.reads else 0
        self._producer = producer_of(problem.leaves, tensor)

    @cached_property
    def _written(self) -> list[Part]:
        """The independent parts of the variables, with the ranks that the output has."""
        return self._parts((self.leaf.einsum.written(self.tensor),), None, ())

    @cached_property
    def _read(self) -> list[Part]:
        """The independent parts of the variables, with the ranks that are read."""
        return self._parts(self.access.reads, None, ())

    def _brought(self, level: int) -> list[Part]:
        """The same, of the elements that this leaf, or a later one, brings into the same tile."""
        above = range(self.storages[level].position)
        return self._parts(self.access.reads, self._producer, above)

    def _parts(
        self, projections: tuple[Projection, ...], producer: Leaf | None, shared: Sequence[int]
    ) -> list[Part]:
        accesses = [LeafAccess(self.leaf, projections)]
        if producer is not None:
            accesses.append(LeafAccess(producer, (producer.einsum.written(self.tensor),)))
        parts = []
        for group in element_groups(accesses, shared):
            indices = [tuple(some[r] for r in group.ranks) for some in projections]
            one, *others = dict.fromkeys(indices)
            meeting = None
            if producer is not None:
                brought = producer.einsum.written(self.tensor)
                met = tuple(brought[r] for r in group.ranks)
                meeting = Meeting(producer, tuple(group.variables[1]), met)
            parts.append(
                Part(
                    self.leaf,
                    self.depth,
                    tuple(group.variables[0]),
                    one,
                    others=tuple(others),
                    meeting=meeting,
                )
            )
        return parts

    def inward(self, level: int) -> list[ExpectedAccess]:
        """Return the accesses of fills and read-backs into a holder, which are one transfer."""

        def filled(end: _End) -> LoopCounts:
            return self._on_entry(level, self._filled(level, end))

        def read_back(end: _End) -> LoopCounts:
            return self._on_entry(level, self._read_back(level, end))

        parts: list[_Moved] = []
        if self.access.reads and level > self._found_at:
            parts.append((_variables(*self.access.reads), filled))
        if self.access.output:
            parts.append((_variables(self.leaf.einsum.written(self.tensor)), read_back))
        return self._accesses(level, False, parts)

    def _filled(self, level: int, end: _End) -> LoopCounts:
        """Return what is read, but for what this leaf, or a later one, brings into the tile."""
        whole = self._counted("read", level, end)
        producer, node = self._producer, self.storages[level].node
        if producer is None or level_of(producer, self.tensor, node) is None:
            return whole
        return together(whole, self._counted("brought", level, end), "-")

    def _read_back(self, level: int, end: _End) -> LoopCounts:
        """Return the elements that were written back before."""
        whole = self._counted("footprint", level, end)
        outer = not end.passed and end.position < self.storages[level].position
        if self._skips(level) and (not outer or self._skips(level - 1)):
            first = self._counted("first", level, end)
            whole = together(whole, first, "-")
        return whole

    def write_back(self, level: int) -> list[ExpectedAccess]:
        """Return the write-backs: an element leaves after it has arrived last in its tile."""
        within = self.problem.hand_over_depth(self.leaf, self.tensor, level)

        def count(end: _End) -> LoopCounts:
            counts = self._counted("last", level, end)
            return self._at_bound(within, counts, last=True)

        variables = _variables(self.leaf.einsum.written(self.tensor))
        return self._accesses(level, True, [(variables, count)])

    def by_operations(self) -> list[ExpectedAccess]:
        """Return the accesses of the operations to the innermost Storage."""
        level = len(self.storages)

        def each(end: _End) -> LoopCounts:
            return self._counted("operations", level, end)

        def again(end: _End) -> LoopCounts:
            count = each(end)
            skips = self.components[self.leaf.component].skip_initial_output_write
            if skips and (end.passed or self._skips(level - 1)):
                first = self._counted("first", level, end)
                count = together(count, first, "-")
            return count

        parts: list[_Moved] = [(_variables(read), each) for read in self.access.reads]
        if not self.access.output:
            return self._accesses(level, False, parts)
        variables = _variables(self.leaf.einsum.written(self.tensor))
        return [
            *self._accesses(level, False, [*parts, (variables, again)]),
            *self._accesses(level, True, [(variables, each)]),
        ]

    def _accesses(self, level: int, upward: bool, parts: Sequence[_Moved]) -> list[ExpectedAccess]:
        """Return the accesses of a transfer, which moves the values of all parts together."""
        ends: dict[tuple[str, str, int, int | None], _End] = {}
        counted: dict[tuple[str, str, int, int | None], LoopCounts] = {}
        for variables, count in parts:
            for end in self._ends(level, upward, variables):
                known = ends.setdefault(end.place, end)
                ends[end.place] = max(known, end, key=lambda one: one.hops)
                before = counted.get(end.place)
                here = count(end)
                counted[end.place] = here if before is None else together(before, here, "+")
        found = []
        for place, end in ends.items():
            counts = counted[place]
            instances = spread(self.leaf, self.components, end.component)
            if instances > 1:
                counts = counts.mapped(partial(_largest_share, instances))
            if (counts.values != 0).any():
                moved = level < len(self.storages)
                found.append(
                    ExpectedAccess(
                        end.component,
                        self.tensor,
                        end.action,
                        counts,
                        not upward,
                        moved,
                        link=place[-1],
                        hops=end.hops,
                    )
                )
        return found

    def _ends(self, level: int, upward: bool, variables: frozenset[str]) -> list[_End]:
        """Return the components of a transfer between a Storage and the next one outward."""
        outer = self.storages[level - 1]
        action = "write" if upward else "read"
        found = [_End(outer.component, action, outer.position, variables)]
        between = self.holders[self.holders.index(outer) + 1 :]
        if level < len(self.storages):
            between = between[: between.index(self.storages[level])]
        charged = {"up_and_down", "up" if upward else "down"}
        before = outer
        for toll in between:
            found += self._crossed(before, toll.component, toll.position, variables)
            before = toll
            if self.components[toll.component].direction.get(self.tensor) in charged:
                found.append(_End(toll.component, "read", toll.position, variables, passed=True))
        if level == len(self.storages):
            end = len(self.leaf.loops)
            found += self._crossed(before, self.leaf.component, end, variables)
        else:
            inner = self.storages[level]
            found += self._crossed(before, inner.component, inner.position, variables)
            action = "read" if upward else "write"
            found.append(_End(inner.component, action, inner.position, variables))
        return found

    def _crossed(
        self, outer: PathHolder, inner: str, end: int, variables: frozenset[str]
    ) -> list[_End]:
        """Return the links between a holder and the component of the next one, or of the leaf."""
        between = range(outer.position, end)
        ends = (outer.component, inner)
        return [
            _End(found.network, HOP, outer.position, variables, passed=True, crossing=found)
            for found in crossings(
                self.leaf, self.components, self.tensor, variables, ends, between
            )
        ]

    def _summed(self, position: int, inner: int, variables: frozenset[str]) -> tuple[int, ...]:
        """Return the Spatial loops between an end and the inner end that multiply its count.

        Over a loop that the values do not depend on, the hardware may multicast or reduce.
        """
        return tuple(
            p
            for p in range(position, inner)
            if self.leaf.loops[p].unit is not None
            and not shared(self.leaf, self.components, self.tensor, variables, p)
        )

    def _skips(self, level: int) -> bool:
        return self.components[self.storages[level].component].skip_initial_output_write

    def _counted(self, what: str, level: int, end: _End) -> LoopCounts:
        """Return a number of elements or operations; of a link, the sum over its loops."""
        inside = level == len(self.storages)
        above = len(self.leaf.loops) if inside else self.storages[level].position
        if end.crossing is None:
            summed = self._summed(end.position, above, end.variables)
            return self._product(what, level, summed, None)
        found = constant(0)
        for position, weights in end.crossing.loops:
            summed = (position, *self._summed(position + 1, above, end.variables))
            found = together(found, self._product(what, level, summed, (position, weights)), "+")
        return found

    def _product(
        self,
        what: str,
        level: int,
        summed: tuple[int, ...],
        weights: tuple[int, tuple[int, ...]] | None,
    ) -> LoopCounts:
        """Return a number of elements or operations: the product over the parts."""
        key = what, level, summed, weights
        if key not in self._known:
            found = constant(1)
            inside = level == len(self.storages)
            depth = self.depth if inside else self.storages[level].depth
            above = len(self.leaf.loops) if inside else self.storages[level].position
            if what == "operations":
                for variables in tied_parts(self.leaf):
                    part = Part(self.leaf, self.depth, variables, weights=weights)
                    found = together(found, part.operations(summed), "*")
            else:
                parts = self._parts_of(what, level)
                for part in (replace(part, weights=weights) for part in parts):
                    if what == "last":
                        within = self.problem.hand_over_depth(self.leaf, self.tensor, level)
                        counts = part.last(depth, summed, above, within)
                    else:
                        count = part.first if what == "first" else part.footprint
                        counts = count(depth, summed, above)
                    found = together(found, counts, "*")
            self._known[key] = found
        return self._known[key]

    def _parts_of(self, what: str, level: int) -> list[Part]:
        if what == "brought":
            return self._brought(level)
        return self._read if what == "read" else self._written

    def _on_entry(self, level: int, counts: LoopCounts) -> LoopCounts:
        """Return counts in the first tile iteration in each tile, and 0 in the others."""
        return self._at_bound(self.storages[level].depth, counts, last=False)

    def _at_bound(self, outer: int, counts: LoopCounts, *, last: bool) -> LoopCounts:
        """Return counts in the first or last tile iterations of tiles, and 0 in the others."""
        if (outer, last) not in self._bounds:
            bound = constant(1)
            for variables in tied_parts(self.leaf):
                part = Part(self.leaf, self.depth, variables)
                there = part.footprint(self.depth, (), 0)
                inner = [p for p in part.temporal(self.depth) if p not in part.temporal(outer)]
                if inner:
                    bound = together(bound, at_extreme(there, inner, last=last), "*")
            self._bounds[outer, last] = bound
        return together(counts, self._bounds[outer, last], "*")


def _variables(*projections: Projection) -> frozenset[str]:
    """Return the variables that index values."""
    return frozenset(v for some in projections for index in some for v in index.variables)


def _largest_share(instances: int, values: Any) -> Any:
    """Return the part of the busiest of several instances."""
    return -(-values // instances)
