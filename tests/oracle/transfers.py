"""Transfers: what moves between neighbouring holders, in which tile iteration, and what is counted.

Implements *Accesses and their counts*, and of *What waits for what* which transfers are separate,
and to which tile iteration a transfer belongs.
"""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property

from .networks import busiest_share, passing, routes
from .options import Options
from .paths import Leaf, tile_depth
from .problem import Element, Index, Node, Problem, TensorAccess

Moves = Mapping[Index, Mapping[Index, list[Element]]]
"""Per tile iteration and unit (indices of the Spatial loops above the inner end): the values."""

Update = tuple[Index, Index, Element]
"""What brings an element into a holder: tile iteration, unit of the inner end, element."""


def moves() -> defaultdict[Index, defaultdict[Index, list[Element]]]:
    """No moves."""
    return defaultdict(lambda: defaultdict(list))


@dataclass(frozen=True)
class Transfer:
    """What moves between holder ``level - 1`` and holder ``level`` of a tensor, or the leaf.

    ``inner`` is the node at the inner end: a Storage, or the Compute for the leaf itself, whose
    accesses are the operations' own. ``separate``: the transfer is a block of its own.
    """

    access: TensorAccess
    level: int
    inner: Node
    down: Moves
    up: Moves
    separate: bool

    @property
    def tensor(self) -> str:
        """The tensor that moves."""
        return self.access.tensor

    @property
    def own(self) -> bool:
        """Whether these are the operations' own accesses."""
        return self.inner.kind != "Storage"

    def elements(self, way: Moves, iteration: Index) -> set[Element]:
        """The elements, of all units together, that move in a tile iteration."""
        return {x for values in way.get(iteration, {}).values() for x in values}


@dataclass(frozen=True, eq=False)
class Run:
    """A leaf at a granularity, with everything it moves.

    ``arrival`` is, per tensor, the level of the innermost holder that the leaf shares with an
    earlier leaf that accesses the tensor, or None: from the next level on it fills by itself.
    """

    leaf: Leaf
    depth: int
    arrival: Mapping[str, int | None]
    options: Options

    @cached_property
    def iterations(self) -> tuple[Index, ...]:
        """The tile iterations in order."""
        return tuple(sorted(self.operations))

    @cached_property
    def operations(self) -> Mapping[Index, int]:
        """Per tile iteration, the operations of the busiest unit, the first one."""
        counts: Counter[Index] = Counter()
        for operation in self.leaf.operations:
            counts[operation.time[: self.depth]] += not any(operation.lane)
        return counts

    @cached_property
    def transfers(self) -> dict[tuple[str, int], Transfer]:
        """All transfers, by tensor and the level of their inner end, from the inside out."""
        transfers = {}
        for access in self.leaf.einsum.accesses:
            level = len(self.leaf.storages(access.tensor))
            transfer = self.transfer_of_leaf(access, level)
            transfers[access.tensor, level] = transfer
            while level > 1:
                level -= 1
                if access.output:
                    transfer = self.transfer_of_output(access, level, transfer)
                else:
                    transfer = self.transfer_of_input(access, level)
                transfers[access.tensor, level] = transfer
        return transfers

    def of(self, tensor: str) -> list[Transfer]:
        """The transfers of a tensor between its holders, from the outside in."""
        return [self.transfers[tensor, j] for j in range(1, len(self.leaf.storages(tensor)))]

    def is_separate(self, access: TensorAccess, level: int) -> bool:
        """Staged, an input above a Split, in the background, or another further in."""
        nodes = self.leaf.storages(access.tensor)
        for node in nodes[level:]:
            place = access.tensor, node.data["component"]
            if self.options.is_staged(*place):
                return True
            if not access.output and self.is_above_a_split(node):
                return True
            if access.output and self.options.is_background(*place):
                return True
        return False

    def is_above_a_split(self, node: Node) -> bool:
        """Whether a node of the path stands above a Split."""
        return any(other.is_split for other in self.leaf.path[self.leaf.path.index(node) :])

    def tiles(self, node: Node) -> dict[Index, list[Index]]:
        """Per tile of a holder, in order: the tile iterations in it."""
        tiles: dict[Index, list[Index]] = defaultdict(list)
        for iteration in self.iterations:
            tiles[iteration[: self.leaf.depth(node)]].append(iteration)
        return tiles

    def transfer_of_input(self, access: TensorAccess, level: int) -> Transfer:
        """Entering a tile of h_j, an input is filled whole, unless it is resident.

        A tile held above a Split is filled by the first leaf that reads it, and a producer's tile
        is never filled for its consumer. A fill belongs to the tile iteration that first uses the
        tile.
        """
        leaf, down = self.leaf, moves()
        node = leaf.storages(access.tensor)[level]
        arrival = self.arrival[access.tensor]
        if arrival is None or level > arrival:
            footprints: dict[Index, set[tuple[Index, Element]]] = defaultdict(set)
            for operation in leaf.operations:
                unit = operation.lane[: leaf.lanes(node)]
                element = operation.elements[access.tensor]
                footprints[operation.time[: leaf.depth(node)]].add((unit, element))
            for tile, iterations in self.tiles(node).items():
                for unit, element in sorted(footprints[tile]):
                    down[iterations[0]][unit].append(element)
        return Transfer(access, level, node, down, moves(), self.is_separate(access, level))

    def transfer_of_output(self, access: TensorAccess, level: int, within: Transfer) -> Transfer:
        """An output tile reads back what was written back from h_j before.

        A write-back of a staged holder belongs to the tile iteration that updates the tile last;
        any other one, element by element, to the tile iteration that brings the element into the
        tile last, by an operation or by the write-back from further in.
        """
        leaf, down, up = self.leaf, moves(), moves()
        node = leaf.storages(access.tensor)[level]
        staged = self.options.is_staged(access.tensor, node.data["component"])
        updates: dict[Index, list[Update]] = defaultdict(list)
        for iteration, values in sorted(within.up.items()):
            for unit, elements in values.items():
                for element in elements:
                    update = iteration, unit[: leaf.lanes(node)], element
                    updates[iteration[: leaf.depth(node)]].append(update)
        before: set[tuple[Index, Element]] = set()
        for tile, iterations in self.tiles(node).items():
            last = {(unit, element): iteration for iteration, unit, element in updates[tile]}
            for unit, element in sorted(last):
                if (unit, element) in before:
                    down[iterations[0]][unit].append(element)
                owner = iterations[-1] if staged else last[unit, element]
                up[owner][unit].append(element)
            before |= set(last)
        return Transfer(access, level, node, down, up, self.is_separate(access, level))

    def transfer_of_leaf(self, access: TensorAccess, level: int) -> Transfer:
        """Each input is read, the output is written once.

        Except the first time, the output is read once, too.
        """
        down, up = moves(), moves()
        before: set[tuple[Index, Element]] = set()
        for operation in self.leaf.operations:
            iteration = operation.time[: self.depth]
            element = operation.elements[access.tensor]
            if access.output:
                up[iteration][operation.lane].append(element)
            if not access.output or (operation.lane, element) in before:
                down[iteration][operation.lane].append(element)
            before.add((operation.lane, element))
        return Transfer(access, level, self.leaf.path[-1], down, up, False)


def read_runs(leaves: Sequence[Leaf], options: Options) -> tuple[Run, ...]:
    """The leaves at the granularity of the options."""
    return tuple(
        Run(
            leaf,
            tile_depth(leaf, leaves, options),
            {access.tensor: arrival_level(leaf, leaves, access) for access in leaf.einsum.accesses},
            options,
        )
        for leaf in leaves
    )


def arrival_level(leaf: Leaf, leaves: Sequence[Leaf], access: TensorAccess) -> int | None:
    """Rule 1: the innermost holder shared with an earlier leaf that accesses the tensor."""
    if access.output:
        return None
    shared = None
    for level, node in enumerate(leaf.storages(access.tensor)):
        for other in leaves[: leaf.order]:
            if other.below(node) and other.einsum.reads_or_writes(access.tensor):
                shared = level
    return shared


@dataclass(frozen=True)
class Access:
    """One access: a number of actions on a component; of a transfer, or of operations.

    In a Network, of the values that pass along a dimension.
    """

    component: str
    tensor: str | None
    action: str
    actions: Fraction
    transfer: bool
    dimension: str = ""


def accesses_of(
    problem: Problem,
    run: Run,
    transfer: Transfer,
    way: str,
    iteration: Index,
    *,
    every_unit: bool = False,
) -> list[Access]:
    """The accesses of one way (``down`` or ``up``) of a transfer in a tile iteration.

    Those of the busiest unit, or of every unit. Downward, the outer holder is read and the inner
    one written; upward, the inner one is read and the outer one written. Tolls in between are read
    in the directions that they count.
    """
    units = (transfer.down if way == "down" else transfer.up).get(iteration, {})
    leaf, tensor = run.leaf, transfer.tensor
    outer = leaf.storages(tensor)[transfer.level - 1]
    start, end = leaf.path.index(outer), leaf.path.index(transfer.inner)
    tolls = [node for node in leaf.path[start:end] if node.kind == "Toll" and node.holds(tensor)]
    uses = [(outer, "read" if way == "down" else "write")]
    for toll in tolls:
        if way in problem.component(toll.data["component"]).direction(tensor).split("_"):
            uses.append((toll, "read"))
    if not transfer.own:
        uses.append((transfer.inner, "write" if way == "down" else "read"))
    result = []
    for node, action in uses:
        values = seen_from(problem, leaf, transfer, units, node, every_unit)
        if values:
            component = problem.component(node.data["component"])
            if not every_unit:
                values = busiest_share(problem, leaf, component.name, values)
            actions = component.actions(action, tensor, values, problem.bits_per_value(tensor))
            result.append(Access(component.name, tensor, action, actions, not transfer.own))
    for one, other in itertools.pairwise([outer, *tolls, transfer.inner]):
        for route in routes(problem, leaf, one, other):
            values = passing(problem, leaf, transfer.access, units, one, route, hops=every_unit)
            if values:
                network = route.network
                actions = network.actions("hop", tensor, values, problem.bits_per_value(tensor))
                access = Access(network.name, tensor, "hop", actions, not transfer.own)
                result.append(replace(access, dimension=route.dimension))
    return result


def seen_from(
    problem: Problem,
    leaf: Leaf,
    transfer: Transfer,
    units: Mapping[Index, list[Element]],
    at: Node,
    every_unit: bool,
) -> int:
    """The values that the busiest unit of a node on the way sees, or all its units.

    The busiest unit has index 0 in every Spatial loop above the node. Below it, all units of the
    inner end count, but only one along a loop that the tensor does not depend on where reuse
    (multicast or reduction) is allowed.
    """
    position = leaf.path.index(at)
    count = 0
    for unit, values in units.items():
        for index, loop in zip(unit, leaf.spatial, strict=False):
            above = loop.position < position
            component = problem.component(loop.node.data["component"])
            shared = loop.variable not in transfer.access.variables and component.may_reuse(
                loop.node.data["name"], transfer.tensor
            )
            if index and (not every_unit if above else shared):
                break
        else:
            count += len(values)
    return count


def compute_accesses(run: Run, iteration: Index) -> Iterable[Access]:
    """A computation is one action per operation; a copy Einsum computes nothing."""
    if not run.leaf.einsum.copies:
        component = run.leaf.path[-1].data["component"]
        yield Access(component, None, "compute", Fraction(run.operations[iteration]), False)
