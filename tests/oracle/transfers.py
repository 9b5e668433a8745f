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

from .moves import Moves, Part, moves
from .networks import busiest_share, passing, routes
from .options import Options
from .paths import Leaf, tile_depth
from .problem import Einsum, Element, Index, Node, Problem

Update = tuple[Index, Index, Element]
"""What brings an element into a holder: tile iteration, unit of the inner end, element."""


@dataclass(frozen=True)
class Transfer:
    """What moves between holder ``level - 1`` and holder ``level`` of a tensor, or the leaf.

    ``inner`` is the node at the inner end: a Storage, or the Compute for the leaf itself, whose
    accesses are the operations' own. ``fills``, ``read_backs`` and ``write_backs`` are for the
    leaf itself the reads of inputs, those of partial sums, and the writes. What is filled and what
    is read back of a tensor is one transfer. ``separate``: the transfer is a block of its own.
    """

    tensor: str
    level: int
    inner: Node
    fills: tuple[Part, ...]
    read_backs: tuple[Part, ...]
    write_backs: tuple[Part, ...]
    separate: bool

    @property
    def own(self) -> bool:
        """Whether these are the operations' own accesses."""
        return self.inner.kind != "Storage"

    def parts(self, way: str) -> tuple[Part, ...]:
        """What moves ``down`` or ``up``."""
        return self.fills + self.read_backs if way == "down" else self.write_backs

    @cached_property
    def filled(self) -> Mapping[Index, set[Element]]:
        """Per tile iteration: what is filled, or read as an input, by all units together."""
        return elements_of(self.fills)

    @cached_property
    def read_back(self) -> Mapping[Index, set[Element]]:
        """Per tile iteration: what is read back."""
        return elements_of(self.read_backs)

    @cached_property
    def down(self) -> Mapping[Index, set[Element]]:
        """Per tile iteration: what moves inwards."""
        return elements_of(self.parts("down"))

    @cached_property
    def up(self) -> Mapping[Index, set[Element]]:
        """Per tile iteration: what moves outwards."""
        return elements_of(self.parts("up"))


def elements_of(parts: Iterable[Part]) -> Mapping[Index, set[Element]]:
    """Per tile iteration, the elements that move for all units together."""
    found: dict[Index, set[Element]] = {}
    for part in parts:
        for iteration, units in part.moves.items():
            found.setdefault(iteration, set()).update(*units.values())
    return found


@dataclass(frozen=True, eq=False)
class Run:
    """A leaf at a granularity, with everything it moves.

    ``arrival`` is, per tensor that it reads as an input, the level of the innermost holder that
    the leaf shares with an earlier leaf that accesses the tensor, or None: from the next level on
    it fills by itself. ``producers`` are those of each output tensor.
    """

    leaf: Leaf
    depth: int
    arrival: Mapping[str, int | None]
    producers: Mapping[str, Leaf]
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
        for tensor in self.leaf.einsum.tensors:
            level = len(self.leaf.storages(tensor))
            transfers[tensor, level] = self.transfer_of_leaf(tensor, level)
            while level > 1:
                level -= 1
                within = transfers[tensor, level + 1]
                transfers[tensor, level] = self.transfer(tensor, level, within)
        return transfers

    def of(self, tensor: str) -> list[Transfer]:
        """The transfers of a tensor between its holders, from the outside in."""
        return [self.transfers[tensor, j] for j in range(1, len(self.leaf.storages(tensor)))]

    def is_separate(self, tensor: str, level: int) -> bool:
        """Staged, an input above a Split, in the background, or another further in.

        A tensor that the Einsum reads and writes counts as its output.
        """
        output = self.leaf.einsum.writes(tensor)
        for node in self.leaf.storages(tensor)[level:]:
            place = tensor, node.data["component"]
            if self.options.is_staged(*place):
                return True
            if not output and self.is_above_a_split(node):
                return True
            if output and self.options.is_background(*place):
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

    def transfer(self, tensor: str, level: int, within: Transfer) -> Transfer:
        """What moves between two holders; ``within`` is the transfer from the inner one inwards."""
        einsum, node = self.leaf.einsum, self.leaf.storages(tensor)[level]
        fills: tuple[Part, ...] = ()
        if einsum.reads(tensor):
            inputs = (access.variables for access in einsum.inputs(tensor))
            fills = (Part(tensor, frozenset().union(*inputs), self.fills(tensor, level)),)
        down, up = self.read_backs_and_write_backs(tensor, node, within)
        variables = output_variables(einsum, tensor)
        return Transfer(
            tensor,
            level,
            node,
            fills,
            (Part(tensor, variables, down),),
            (Part(tensor, variables, up),),
            self.is_separate(tensor, level),
        )

    def fills(self, tensor: str, level: int) -> Moves:
        """Entering a tile of h_j, an input is filled, unless it is resident.

        Its footprint, the union over its accesses, but for the elements that this leaf, or a later
        one, brings into the same tile. A tile that several leaves access is filled by the first of
        them, which fills what it reads of it, and a producer's tile is never filled for a later
        consumer. A fill belongs to the tile iteration that first uses the tile.
        """
        leaf, down = self.leaf, moves()
        node = leaf.storages(tensor)[level]
        arrival = self.arrival[tensor]
        if arrival is not None and level <= arrival:
            return down
        brought = self.brought_into(tensor, node)
        footprints: dict[Index, set[tuple[Index, Element]]] = defaultdict(set)
        for operation in leaf.operations:
            tile, unit = operation.time[: leaf.depth(node)], operation.lane[: leaf.lanes(node)]
            for element in operation.reads[tensor]:
                if (tile, unit, element) not in brought:
                    footprints[tile].add((unit, element))
        for tile, iterations in self.tiles(node).items():
            for unit, element in sorted(footprints[tile]):
                down[iterations[0]][unit].append(element)
        return down

    def brought_into(self, tensor: str, node: Node) -> set[Update]:
        """What the producer brings into the tiles of a holder: tile, unit and element."""
        producer = self.producers.get(tensor)
        if producer is None or not producer.below(node):
            return set()
        depth, lanes = producer.depth(node), producer.lanes(node)
        return {
            (operation.time[:depth], operation.lane[:lanes], operation.writes[tensor])
            for operation in producer.operations
        }

    def read_backs_and_write_backs(
        self, tensor: str, node: Node, within: Transfer
    ) -> tuple[Moves, Moves]:
        """An output tile reads back what was written back from h_j before.

        A write-back of a staged holder belongs to the tile iteration that updates the tile last;
        any other one, element by element, to the tile iteration that brings the element into the
        tile last, by an operation or by the write-back from further in.
        """
        leaf, down, up = self.leaf, moves(), moves()
        staged = self.options.is_staged(tensor, node.data["component"])
        updates: dict[Index, list[Update]] = defaultdict(list)
        for part in within.write_backs:
            for iteration, values in sorted(part.moves.items()):
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
        return down, up

    def transfer_of_leaf(self, tensor: str, level: int) -> Transfer:
        """Each input is read once per access, the output is written once.

        Except the first time, the output is read once, too.
        """
        einsum = self.leaf.einsum
        inputs = [(access, moves()) for access in einsum.inputs(tensor)]
        sums, up = moves(), moves()
        before: set[tuple[Index, Element]] = set()
        for operation in self.leaf.operations:
            iteration, unit = operation.time[: self.depth], operation.lane
            for (_, reads), element in zip(inputs, operation.reads[tensor], strict=True):
                reads[iteration][unit].append(element)
            if tensor in operation.writes:
                element = operation.writes[tensor]
                if (unit, element) in before:
                    sums[iteration][unit].append(element)
                up[iteration][unit].append(element)
                before.add((unit, element))
        variables = output_variables(einsum, tensor)
        return Transfer(
            tensor,
            level,
            self.leaf.path[-1],
            tuple(Part(tensor, access.variables, reads) for access, reads in inputs),
            (Part(tensor, variables, sums),),
            (Part(tensor, variables, up),),
            False,
        )


def output_variables(einsum: Einsum, tensor: str) -> frozenset[str]:
    """The rank variables that index a tensor as an output; none if it is not one."""
    access = einsum.output(tensor)
    return frozenset() if access is None else access.variables


def read_runs(
    leaves: Sequence[Leaf], producers: Mapping[str, Leaf], options: Options
) -> tuple[Run, ...]:
    """The leaves at the granularity of the options."""
    return tuple(
        Run(
            leaf,
            tile_depth(leaf, leaves, options),
            {tensor: arrival_level(leaf, leaves, tensor) for tensor in leaf.einsum.tensors},
            producers,
            options,
        )
        for leaf in leaves
    )


def arrival_level(leaf: Leaf, leaves: Sequence[Leaf], tensor: str) -> int | None:
    """Residency: the innermost holder shared with an earlier leaf that accesses the tensor."""
    shared = None
    for level, node in enumerate(leaf.storages(tensor)):
        for other in leaves[: leaf.order]:
            if other.below(node) and other.einsum.reads_or_writes(tensor):
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
    parts = [(part, part.of(iteration)) for part in transfer.parts(way)]
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
        values = sum(seen_from(problem, leaf, *part, node, every_unit) for part in parts)
        if values:
            component = problem.component(node.data["component"])
            if not every_unit:
                values = busiest_share(problem, leaf, component.name, values)
            actions = component.actions(action, tensor, values, problem.bits_per_value(tensor))
            result.append(Access(component.name, tensor, action, actions, not transfer.own))
    for one, other in itertools.pairwise([outer, *tolls, transfer.inner]):
        for route in routes(problem, leaf, one, other):
            values = sum(
                passing(problem, leaf, *part, one, route, hops=every_unit) for part in parts
            )
            if values:
                network = route.network
                actions = network.actions("hop", tensor, values, problem.bits_per_value(tensor))
                access = Access(network.name, tensor, "hop", actions, not transfer.own)
                result.append(replace(access, dimension=route.dimension))
    return result


def seen_from(
    problem: Problem,
    leaf: Leaf,
    part: Part,
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
            shared = loop.variable not in part.variables and component.may_reuse(
                loop.node.data["name"], part.tensor
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
