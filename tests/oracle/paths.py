"""Paths, operations and tile iterations.

Implements lowering, by enumeration, and *Tile iterations* of the model.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from .options import Options
from .problem import Einsum, Element, Illegal, Index, Node, Problem, points


@dataclass(frozen=True)
class Loop:
    """A loop of a path: where it stands, and the largest number of its iterations."""

    position: int
    node: Node
    variable: str
    trips: int
    first: int
    shape: int

    def split(self, value: int) -> tuple[int, int]:
        """``initial_tile_shape``: the index of the iteration, and what is left in it."""
        if value < self.first:
            return 0, value
        index, rest = divmod(value - self.first, self.shape)
        return 1 + index, rest

    @property
    def temporal(self) -> bool:
        """Whether the loop is a Temporal one."""
        return self.node.kind == "Temporal"


@dataclass(frozen=True)
class Operation:
    """A point of the iteration space: its loop indices and the elements that it accesses.

    ``reads``: per tensor, an element for each access as an input; ``writes``: that of the output.
    """

    time: Index
    lane: Index
    reads: Mapping[str, tuple[Element, ...]]
    writes: Mapping[str, Element]


@dataclass(frozen=True, eq=False)
class Leaf:
    """A Compute node with its path, in tree order; ``turns`` are the splits and branches taken."""

    order: int
    einsum: Einsum
    path: tuple[Node, ...]
    turns: tuple[tuple[Node, int], ...]

    @cached_property
    def loops(self) -> tuple[Loop, ...]:
        """The loops of the path with their largest trip counts."""
        extent = {name: end - start for name, (start, end) in self.einsum.bounds}
        loops = []
        for position, node in enumerate(self.path):
            if node.kind in ("Temporal", "Spatial"):
                variable, shape = node.data["rank_variable"], int(node.data["tile_shape"])
                if isinstance(variable, Mapping):
                    variable = variable[self.einsum.name]
                if variable not in extent:
                    raise Illegal(f"{self.einsum.name} has no rank variable {variable}")
                first = int(node.data.get("initial_tile_shape") or shape)
                if not (1 <= shape <= extent[variable] and 1 <= first <= extent[variable]):
                    raise Illegal(f"tile shape {shape} of {extent[variable]}")
                trips = 1 - (first - extent[variable]) // shape
                loops.append(Loop(position, node, variable, trips, first, shape))
                extent[variable] = max(first, min(shape, extent[variable] - first))
        if any(size > 1 for size in extent.values()):
            raise Illegal(f"{self.einsum.name} lacks a loop")
        return tuple(loops)

    @cached_property
    def temporal(self) -> tuple[Loop, ...]:
        """The Temporal loops."""
        return tuple(loop for loop in self.loops if loop.temporal)

    @cached_property
    def spatial(self) -> tuple[Loop, ...]:
        """The Spatial loops."""
        return tuple(loop for loop in self.loops if not loop.temporal)

    def depth(self, node: Node) -> int:
        """The number of Temporal loops above a node of the path."""
        position = self.path.index(node)
        return sum(loop.position < position for loop in self.temporal)

    def lanes(self, node: Node) -> int:
        """The number of Spatial loops above a node of the path."""
        position = self.path.index(node)
        return sum(loop.position < position for loop in self.spatial)

    def storages(self, tensor: str) -> list[Node]:
        """The Storage nodes of a tensor, outermost first."""
        return [node for node in self.path if node.kind == "Storage" and node.holds(tensor)]

    @cached_property
    def operations(self) -> tuple[Operation, ...]:
        """The iteration domain, lowered: each operation with its loop indices and elements.

        A loop runs over its parent's tile, clipped; iterations without operations do not exist.
        """
        operations = []
        einsum = self.einsum
        for point in points(self.einsum):
            rest = {name: point[name] - start for name, (start, _) in self.einsum.bounds}
            time: list[int] = []
            lane: list[int] = []
            for loop in self.loops:
                index, rest[loop.variable] = loop.split(rest[loop.variable])
                (time if loop.temporal else lane).append(index)
            reads = {x: tuple(a.element(point) for a in einsum.inputs(x)) for x in einsum.tensors}
            writes = {a.tensor: a.element(point) for a in einsum.accesses if a.output}
            operations.append(Operation(tuple(time), tuple(lane), reads, writes))
        return tuple(sorted(operations, key=lambda operation: operation.time))

    def below(self, node: Node) -> bool:
        """Whether the path passes through a node."""
        return node in self.path


def read_leaves(problem: Problem) -> tuple[Leaf, ...]:
    """The leaves in tree order."""
    einsums = {einsum.name: einsum for einsum in problem.einsums}
    order = itertools.count()

    def walk(
        nodes: Sequence[Node], path: tuple[Node, ...], turns: tuple[tuple[Node, int], ...]
    ) -> Iterator[Leaf]:
        for place, node in enumerate(nodes):
            path = (*path, node)
            if node.is_split:
                for branch, inner in enumerate(node.branches):
                    yield from walk(inner, path, (*turns, (node, branch)))
            if node.kind == "Compute":
                yield Leaf(next(order), einsums[node.data["einsum"]], path, turns)
            if node.is_split or node.kind == "Compute":
                if place != len(nodes) - 1:
                    raise Illegal("nodes after a split or a Compute")
                return
        raise Illegal("a branch without a Compute")

    leaves = tuple(walk(problem.nodes, (), ()))
    placed = [leaf.einsum.name for leaf in leaves]
    if sorted(placed) != sorted(einsums):
        raise Illegal("each Einsum needs exactly one Compute")
    return leaves


def check_holders(problem: Problem, leaf: Leaf) -> None:
    """The lowering's rules on holders, fan-outs and computes.

    A path holds a tensor at most once per component, and never below a holder that is closer to
    the compute.
    """
    compute = problem.component(leaf.path[-1].data["component"])
    for access in leaf.einsum.accesses:
        holders = [node for node in leaf.path if node.holds(access.tensor)]
        places = [problem.component(node.data["component"]).position for node in holders]
        if not holders or holders[0].kind != "Storage":
            raise Illegal(f"{leaf.einsum.name}: {access.tensor} has no backing storage")
        if any(one >= two for one, two in itertools.pairwise([*places, compute.position])):
            raise Illegal(f"{leaf.einsum.name}: holders of {access.tensor} out of order")
    used: dict[tuple[str, str], int] = defaultdict(lambda: 1)
    for loop in leaf.spatial:
        used[loop.node.data["component"], loop.node.data["name"]] *= loop.trips
    for (name, dimension), units in used.items():
        entries = problem.component(name).data.get("spatial", ())
        if not any(e["name"] == dimension and units <= int(e["fanout"]) for e in entries):
            raise Illegal(f"{leaf.einsum.name}: {units} units of {name} {dimension}")


def tile_depth(leaf: Leaf, leaves: Sequence[Leaf], options: Options) -> int:
    """*Tile iterations*: how many Temporal loops make a tile iteration of this leaf."""
    inner = [node for node in leaf.path if node.kind in ("Storage", "Toll") or node.is_split]
    tile = max(recurrence_depth(leaf), *(leaf.depth(node) for node in inner))
    if options.granularity == "full":
        return len(leaf.temporal)
    if options.granularity == "tile":
        return tile
    variables = frozenset[str]()
    for tensor in leaf.einsum.tensors:
        if is_exchanged(tensor, leaves) or (
            leaf.einsum.writes(tensor) and streams_into_background(leaf, tensor, options)
        ):
            variables |= leaf.einsum.variables(tensor)
    positions = [at for at, loop in enumerate(leaf.temporal, 1) if loop.variable in variables]
    return max([tile, *positions])


def recurrence_depth(leaf: Leaf) -> int:
    """*Tile iterations*: the innermost loop that carries a recurrence of a leaf to itself.

    The least depth at which no tile iteration reads an element that it brings. Where there is
    none (a Spatial loop carries the recurrence), all loops: rule 1 refuses the mapping.
    """
    written: dict[tuple[str, Element], list[Index]] = defaultdict(list)
    for operation in leaf.operations:
        for tensor, element in operation.writes.items():
            written[tensor, element].append(operation.time)
    depth = 0
    for operation in leaf.operations:
        for tensor, elements in operation.reads.items():
            for element in elements:
                for time in written.get((tensor, element), ()):
                    depth = max(depth, common(time, operation.time) + 1)
    return min(depth, len(leaf.temporal))


def common(one: Index, two: Index) -> int:
    """The number of outermost indices in which two agree."""
    pairs = zip(one, two, strict=True)
    return sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))


def is_exchanged(tensor: str, leaves: Sequence[Leaf]) -> bool:
    """*Tile iterations*, flow: produced by one leaf, consumed by another or the same."""
    accesses = [access for leaf in leaves for access in leaf.einsum.accesses]
    outputs = {access.output for access in accesses if access.tensor == tensor}
    return outputs == {True, False}


def streams_into_background(leaf: Leaf, tensor: str, options: Options) -> bool:
    """Flow: written back in ``background`` out of a holder that is not staged."""
    places = [(tensor, node.data["component"]) for node in leaf.storages(tensor)[1:]]
    return any(options.is_background(*at) and not options.is_staged(*at) for at in places)
