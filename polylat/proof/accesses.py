"""Which accesses a leaf has, and of how many values in each tile iteration."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from polylat.lowering.paths import Leaf, PathHolder
from polylat.proof.footprints import Part
from polylat.proof.loop_counts import LoopCounts, at_extreme, constant, together
from polylat.proof.problem import Problem
from polylat.proof.relation_text import independent_parts
from polylat.spec.arch import Component

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
    """

    component: str
    tensor: str | None
    action: str
    counts: LoopCounts


@dataclass(frozen=True, eq=False)
class ExpectedBlock:
    """Accesses of a leaf that a port serves as one block per tile iteration.

    Parameters
    ----------
    kind
        Prefetched fill, foreground, or background write-back.
    tensor, level
        Of a fill or write-back: the tensor, and the index of its Storage on the path. Of the
        foreground: None and 0.
    accesses
        The accesses, in the order of service.
    """

    kind: Literal["fill", "foreground", "background"]
    tensor: str | None
    level: int
    accesses: tuple[ExpectedAccess, ...]

    @property
    def identity(self) -> tuple[str, str | None, int]:
        """The kind, the tensor and the level."""
        return self.kind, self.tensor, self.level


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
        Prefetched fills, outermost first; the foreground; write-backs in the background, innermost
        first.
    """
    components = {c.name: c for c in problem.spec.arch.paths[leaf.einsum.name]}
    if leaf.einsum.is_copy:
        moved = _moved_out(problem, leaf, components)
        return (ExpectedBlock("foreground", None, 0, tuple(moved)),)
    fills: list[tuple[int, ExpectedBlock]] = []
    backs: list[tuple[int, ExpectedBlock]] = []
    front: list[ExpectedAccess] = []
    entries: dict[int, LoopCounts] = {}
    for access in leaf.einsum.accesses:
        tensor = access.tensor
        transfers = _Transfers(problem, leaf, tensor, components, leaf.holders[tensor], entries)
        for level, storage in enumerate(transfers.storages):
            place = leaf.holders[tensor].index(storage)
            if level == 0:
                continue
            if access.output:
                front += transfers.read_back(level)
                back = transfers.write_back(level)
                if (tensor, storage.component) in problem.background:
                    block = ExpectedBlock("background", tensor, level, tuple(back))
                    backs.append((-place, block))
                else:
                    front += back
            elif level > problem.sources[leaf.number, tensor].level:
                fill = transfers.fill(level)
                if storage.above_split:
                    fills.append((place, ExpectedBlock("fill", tensor, level, tuple(fill))))
                else:
                    front += fill
        front += transfers.by_operations()
    counts = constant(1)
    for variables in tied_parts(leaf):
        part = Part(leaf, problem.depths[leaf.number], variables)
        counts = together(counts, part.operations(()), "*")
    front.append(ExpectedAccess(leaf.component, None, "compute", counts))
    # Sorting is stable: equal places stay in the order of the Einsum's accesses.
    return (
        *(block for _, block in sorted(fills, key=lambda item: item[0])),
        ExpectedBlock("foreground", None, 0, tuple(front)),
        *(block for _, block in sorted(backs, key=lambda item: item[0])),
    )


def tied_parts(leaf: Leaf) -> list[tuple[str, ...]]:
    """Return the variables of a leaf that constraints of the iteration space tie together.

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


def _moved_out(
    problem: Problem, leaf: Leaf, components: Mapping[str, Component]
) -> list[ExpectedAccess]:
    """Return the transfers of a copy Einsum: every tile moves to the next Storage outward."""
    every = sorted(
        (h for holders in leaf.holders.values() for h in holders),
        key=lambda h: (h.position, h.node),
    )
    holders = list({h.component: h for h in reversed(every)}.values())
    holders.sort(key=lambda h: (h.position, h.node))
    (tensor,) = leaf.einsum.inputs
    transfers = _Transfers(problem, leaf, tensor, components, holders, {})
    found: list[ExpectedAccess] = []
    for level in range(1, len(transfers.storages)):
        found += transfers.whole_tiles(level, upward=True)
    return found


@dataclass(frozen=True)
class _End:
    """A component that takes part in a transfer, and the number of loops above it."""

    component: str
    action: str
    position: int
    toll: bool


class _Transfers:
    """The transfers of one tensor of a leaf between its holders, and by the operations.

    `entries` is shared by the tensors of a leaf: depth of a holder → where its tiles begin.
    """

    def __init__(
        self,
        problem: Problem,
        leaf: Leaf,
        tensor: str,
        components: Mapping[str, Component],
        holders: Sequence[PathHolder],
        entries: dict[int, LoopCounts],
    ) -> None:
        self.leaf = leaf
        self.depth = problem.depths[leaf.number]
        self.tensor = tensor
        self.components = components
        self.holders = list(holders)
        self.storages = [h for h in holders if not h.toll]
        self.access = leaf.einsum.access(tensor)
        self._entries = entries
        self._known: dict[tuple[str, int, tuple[int, ...]], LoopCounts] = {}

    @cached_property
    def parts(self) -> list[Part]:
        """The independent parts of the variables, with the ranks that they index."""
        projection = self.access.projection
        ties = [*(i.variables for i in projection), *(c.variables for c in self.leaf.coupled)]
        return [
            Part(
                self.leaf,
                self.depth,
                variables,
                tuple(i for i in projection if i.variables and i.variables[0] in variables),
            )
            for variables in independent_parts(self.leaf.einsum.rank_variables, ties)
        ]

    def fill(self, level: int) -> list[ExpectedAccess]:
        return self.whole_tiles(level, upward=False)

    def whole_tiles(self, level: int, *, upward: bool) -> list[ExpectedAccess]:
        return self._accesses(
            level, upward, lambda end: self._on_entry(level, self._footprint(level, end))
        )

    def read_back(self, level: int) -> list[ExpectedAccess]:
        """Return the accesses that bring back elements that were written back before."""

        def count(end: _End) -> LoopCounts:
            whole = self._footprint(level, end)
            outer = not end.toll and end.position < self.storages[level].position
            if self._skips(level) and (not outer or self._skips(level - 1)):
                first = self._counted(
                    "first", level, self._summed(end, self.storages[level].position)
                )
                whole = together(whole, first, "-")
            return self._on_entry(level, whole)

        return self._accesses(level, False, count)

    def write_back(self, level: int) -> list[ExpectedAccess]:
        """Return the write-backs of elements, where they are updated last in a tile."""
        position = self.storages[level].position
        return self._accesses(
            level,
            True,
            lambda end: self._counted("last", level, self._summed(end, position)),
        )

    def by_operations(self) -> list[ExpectedAccess]:
        """Return the accesses of the operations to the innermost Storage."""
        level = len(self.storages)

        def each(end: _End) -> LoopCounts:
            return self._counted("operations", level, self._summed(end, len(self.leaf.loops)))

        def again(end: _End) -> LoopCounts:
            count = each(end)
            skips = self.components[self.leaf.component].skip_initial_output_write
            if skips and (end.toll or self._skips(level - 1)):
                first = self._counted("first", level, self._summed(end, len(self.leaf.loops)))
                count = together(count, first, "-")
            return count

        if not self.access.output:
            return self._accesses(level, False, each)
        return [*self._accesses(level, False, again), *self._accesses(level, True, each)]

    def _accesses(
        self, level: int, upward: bool, count: Callable[[_End], LoopCounts]
    ) -> list[ExpectedAccess]:
        found = []
        for end in self._ends(level, upward):
            counts = count(end)
            if (counts.values != 0).any():
                found.append(ExpectedAccess(end.component, self.tensor, end.action, counts))
        return found

    def _ends(self, level: int, upward: bool) -> list[_End]:
        """Return what takes part in a transfer between a Storage and the next one outward."""
        outer = self.storages[level - 1]
        found = [_End(outer.component, "write" if upward else "read", outer.position, False)]
        between = self.holders[self.holders.index(outer) + 1 :]
        if level < len(self.storages):
            between = between[: between.index(self.storages[level])]
        charged = {"up_and_down", "up" if upward else "down"}
        for toll in between:
            if self.components[toll.component].direction.get(self.tensor) in charged:
                found.append(_End(toll.component, "read", toll.position, True))
        if level < len(self.storages):
            inner = self.storages[level]
            found.append(
                _End(inner.component, "read" if upward else "write", inner.position, False)
            )
        return found

    def _summed(self, end: _End, inner: int) -> tuple[int, ...]:
        """Return the Spatial loops below one end, and above the inner end, that multiply a count.

        Over a loop that the tensor does not depend on, the hardware may multicast or reduce.
        """
        found = []
        for p in range(end.position, inner):
            loop = self.leaf.loops[p]
            if loop.unit is None:
                continue
            component, dimension = loop.unit
            reuse = {d.name: d.may_reuse for d in self.components[component].spatial}[dimension]
            if loop.variable in self.access.variables or self.tensor not in reuse:
                found.append(p)
        return tuple(found)

    def _skips(self, level: int) -> bool:
        return self.components[self.storages[level].component].skip_initial_output_write

    def _footprint(self, level: int, end: _End) -> LoopCounts:
        summed = self._summed(end, self.storages[level].position)
        return self._counted("footprint", level, summed)

    def _counted(self, what: str, level: int, summed: tuple[int, ...]) -> LoopCounts:
        """Return a number of elements or operations: the product over the parts."""
        key = what, level, summed
        if key not in self._known:
            found = constant(1)
            inside = level == len(self.storages)
            depth = self.depth if inside else self.storages[level].depth
            above = len(self.leaf.loops) if inside else self.storages[level].position
            if what == "operations":
                for variables in tied_parts(self.leaf):
                    part = Part(self.leaf, self.depth, variables)
                    found = together(found, part.operations(summed), "*")
            else:
                for part in self.parts:
                    count = {"footprint": part.footprint, "first": part.first, "last": part.last}
                    found = together(found, count[what](depth, summed, above), "*")
            self._known[key] = found
        return self._known[key]

    def _on_entry(self, level: int, counts: LoopCounts) -> LoopCounts:
        """Return counts in the first tile iteration in each tile, and 0 in the others."""
        outer = self.storages[level].depth
        if outer not in self._entries:
            entry = constant(1)
            for variables in tied_parts(self.leaf):
                part = Part(self.leaf, self.depth, variables)
                there = part.footprint(self.depth, (), 0)
                inner = [p for p in part.temporal(self.depth) if p not in part.temporal(outer)]
                if inner:
                    entry = together(entry, at_extreme(there, inner, last=False), "*")
            self._entries[outer] = entry
        return together(counts, self._entries[outer], "*")
