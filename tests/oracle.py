"""The model by brute force: the oracle of the tests.

Everything here is explicit. Operations are enumerated one by one, footprints are sets of element
tuples, a schedule is simulated with exact fractions. Nothing is imported from polylat. Speed and
generality are given up for one aim: that a reader can hold each function against the paragraph of
the model that its docstring names.

The parts, in the order of the model: input, paths and operations, tile iterations, transfers
(what is counted), flow and steps (what waits for what), ports, orders, results.
"""

from __future__ import annotations

import ast
import itertools
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from heapq import heappop, heappush
from typing import Any

Number = int | Fraction
Element = tuple[int, ...]
Index = tuple[int, ...]
Port = tuple[str, str, tuple[tuple[int, int], ...]]
Key = tuple[Any, ...]
Slots = int | None | Mapping[str, int | None]

ORDERS = ("program", "skew", "oldest")


class Illegal(Exception):
    """The mapping is illegal: the model gives it no schedule."""


class NoOrder(Illegal):
    """The dependences contradict every order."""


# --------------------------------------------------------------------------------------------
# Input
# --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Affine:
    """An affine expression of rank variables, such as ``2*p + r``."""

    coefficients: tuple[tuple[str, int], ...]
    constant: int

    def at(self, point: Mapping[str, int]) -> int:
        """The value at a point of the iteration space."""
        return self.constant + sum(factor * point[name] for name, factor in self.coefficients)

    @property
    def variables(self) -> frozenset[str]:
        """The rank variables that the expression depends on."""
        return frozenset(name for name, factor in self.coefficients if factor)


def parse_affine(text: str | int) -> Affine:
    """Read an affine expression."""

    def read(node: ast.expr) -> dict[str, int]:
        match node:
            case ast.Constant(value=int(value)):
                return {"": value}
            case ast.Name(id=name):
                return {name: 1}
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return scale(read(operand), -1)
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                return add(read(left), read(right))
            case ast.BinOp(left=left, op=ast.Sub(), right=right):
                return add(read(left), scale(read(right), -1))
            case ast.BinOp(left=left, op=ast.Mult(), right=right):
                one, two = read(left), read(right)
                if set(one) <= {""}:
                    return scale(two, one.get("", 0))
                if set(two) <= {""}:
                    return scale(one, two.get("", 0))
        raise ValueError(f"not affine: {text}")

    def scale(terms: dict[str, int], factor: int) -> dict[str, int]:
        return {name: value * factor for name, value in terms.items()}

    def add(one: dict[str, int], two: dict[str, int]) -> dict[str, int]:
        return {name: one.get(name, 0) + two.get(name, 0) for name in one | two}

    terms = read(ast.parse(str(text), mode="eval").body)
    constant = terms.pop("", 0)
    return Affine(tuple(sorted(terms.items())), constant)


def parse_number(text: str | float) -> Fraction | None:
    """Read a number exactly; None represents infinity."""
    return None if str(text) in ("inf", ".inf") else Fraction(str(text))


@dataclass(frozen=True)
class TensorAccess:
    """One tensor of one Einsum."""

    tensor: str
    projection: tuple[Affine, ...]
    output: bool

    @property
    def variables(self) -> frozenset[str]:
        """The rank variables that index the tensor."""
        return frozenset().union(*(expression.variables for expression in self.projection))

    def element(self, point: Mapping[str, int]) -> Element:
        """The element that the operation at this point accesses."""
        return tuple(expression.at(point) for expression in self.projection)


@dataclass(frozen=True)
class Einsum:
    """An Einsum and the bounds (first value, one past the last) of its rank variables."""

    name: str
    accesses: tuple[TensorAccess, ...]
    bounds: tuple[tuple[str, tuple[int, int]], ...]

    def access(self, tensor: str) -> TensorAccess:
        """The access of one tensor."""
        return next(access for access in self.accesses if access.tensor == tensor)


def points(einsum: Einsum) -> Iterator[dict[str, int]]:
    """The iteration domain of an Einsum, point by point."""
    names = [name for name, _ in einsum.bounds]
    for values in itertools.product(*(range(start, end) for _, (start, end) in einsum.bounds)):
        yield dict(zip(names, values, strict=True))


@dataclass(frozen=True)
class Component:
    """A component: its fan-out, its port for each action, and what an action costs."""

    name: str
    kind: str
    position: int
    data: Mapping[str, Any] = field(hash=False)

    @property
    def fanout(self) -> int:
        """The number of units; 1 without any spatial dimension."""
        fanout = 1
        for dimension in self.data.get("spatial", ()):
            fanout *= int(dimension["fanout"])
        return fanout

    def port(self, action: str) -> str:
        """The argument of the outermost ``max`` of the total latency that counts an action."""
        total = str(self.data.get("total_latency", "sum(...)")).replace(" ", "")
        if total.startswith("max(") or self.data.get("separate_read_write_ports"):
            return action
        return ""

    def throughput(self, action: str) -> Fraction | None:
        """Actions per unit of time; None when the action takes no time."""
        for entry in self.data.get("actions", ()):
            if entry["name"] == action:
                return parse_number(entry.get("throughput", "inf"))
        return None

    def actions(self, action: str, tensor: str | None, values: int, bits: Fraction) -> Fraction:
        """The number of actions that move a number of values of a tensor."""
        if tensor is None:
            return Fraction(values)
        entry: Mapping[str, Any] = next(
            (entry for entry in self.data.get("actions", ()) if entry["name"] == action), {}
        )
        for source in (entry, self.data):
            per_action = chosen(source.get("values_per_action"), tensor)
            if per_action is not None:
                return values / Fraction(str(per_action))
        override = chosen(self.data.get("bits_per_value"), tensor)
        bits = bits if override is None else Fraction(str(override))
        per = entry.get("bits_per_action") or self.data.get("bits_per_action") or 1
        return values * bits / Fraction(str(per))

    def direction(self, tensor: str) -> str:
        """Which way a Toll counts: ``up``, ``down`` or ``up_and_down``."""
        direction = self.data["direction"]
        return str(direction if isinstance(direction, str) else chosen(direction, tensor))

    def may_reuse(self, dimension: str, tensor: str) -> bool:
        """Whether the units along a spatial dimension may share values of a tensor."""
        for entry in self.data.get("spatial", ()):
            if entry["name"] == dimension:
                return names(entry.get("may_reuse", "All"), tensor)
        return True


def names(expression: str | Sequence[str], tensor: str) -> bool:
    """Whether a set expression (``All``, ``A | B``, ``~A``, a list of names) names a tensor."""
    if not isinstance(expression, str):
        return tensor in expression
    negated = expression.strip().startswith("~")
    words = {word.strip(" ~()") for word in expression.split("|")}
    return (tensor in words or "All" in words) != negated


def chosen(table: Mapping[str, Any] | None, tensor: str) -> Any:
    """The entry of a table keyed by set expressions that holds for a tensor, or None.

    Another name's entry wins over ``All``, wherever it stands.
    """
    found = [entry for entry in (table or {}).items() if names(entry[0], tensor)]
    found.sort(key=lambda entry: entry[0] == "All")
    return found[0][1] if found else None


@dataclass(frozen=True)
class Node:
    """A node of the mapping; splits hold their branches, each a tuple of nodes."""

    uid: int
    kind: str
    data: Mapping[str, Any] = field(hash=False, compare=False)
    branches: tuple[tuple[Node, ...], ...] = field(default=(), hash=False, compare=False)

    @property
    def is_split(self) -> bool:
        """Whether this node is a Sequential or a Pipeline."""
        return self.kind in ("Sequential", "Pipeline")

    def holds(self, tensor: str) -> bool:
        """Whether this node is a Storage or a Toll that names the tensor."""
        return self.kind in ("Storage", "Toll") and tensor in self.data["tensors"]


@dataclass(frozen=True)
class Problem:
    """A workload, an architecture and a mapping."""

    einsums: tuple[Einsum, ...]
    bits: tuple[tuple[str, Any], ...]
    components: tuple[Component, ...]
    nodes: tuple[Node, ...]

    def component(self, name: str) -> Component:
        """The component of that name."""
        for component in self.components:
            if component.name == name:
                return component
        raise Illegal(f"no component {name}")

    def bits_per_value(self, tensor: str) -> Fraction:
        """The width of a tensor's values."""
        bits = chosen(dict(self.bits), tensor)
        return Fraction(8) if bits is None else Fraction(str(bits))


def read_problem(data: Mapping[str, Any], pipelines: bool = True) -> Problem:
    """Read plain data; without ``pipelines`` every Pipeline is read as a Sequential."""
    workload = data["workload"]
    bounds = read_bounds(workload)
    sizes = workload.get("rank_sizes", {})
    uids = itertools.count()

    def read_nodes(nodes: Iterable[Mapping[str, Any]]) -> tuple[Node, ...]:
        result: list[Node] = []
        for node in nodes:
            kind = node["type"]
            if kind == "Nested":
                result.extend(read_nodes(node["nodes"]))
            elif kind in ("Sequential", "Pipeline"):
                kind = kind if pipelines else "Sequential"
                branches = tuple(read_nodes([branch]) for branch in node["nodes"])
                result.append(Node(next(uids), kind, {}, branches))
            elif kind != "Reservation":
                result.append(Node(next(uids), kind, node))
        return tuple(result)

    return Problem(
        tuple(read_einsum(einsum, bounds, sizes) for einsum in workload["einsums"]),
        tuple(workload.get("bits_per_value", {}).items()),
        tuple(
            Component(node["name"], node["type"], position, node)
            for position, node in enumerate(data["arch"]["nodes"])
        ),
        read_nodes(data["mapping"]["nodes"]),
    )


def read_bounds(workload: Mapping[str, Any]) -> dict[str, tuple[int, int]]:
    """Read the ranges of rank variables, written ``0 <= m < 8``."""
    bounds = {}
    for variable, text in workload.get("iteration_space_shape", {}).items():
        match = re.fullmatch(r"(-?\d+)<=(\w+)(<=?)(-?\d+)", str(text).replace(" ", ""))
        if match is None or match[2] != variable:
            raise ValueError(f"not a plain range: {text}")
        bounds[variable] = (int(match[1]), int(match[4]) + (match[3] == "<="))
    return bounds


def read_einsum(
    data: Mapping[str, Any], bounds: Mapping[str, tuple[int, int]], sizes: Mapping[str, int]
) -> Einsum:
    """Read one Einsum; a list of variables is a projection onto ranks of the same name."""
    accesses = []
    ranges: dict[str, tuple[int, int]] = {}
    for entry in data["tensor_accesses"]:
        projection = entry["projection"]
        if not isinstance(projection, Mapping):
            projection = {variable.upper(): variable for variable in projection}
        expressions = {rank: parse_affine(text) for rank, text in projection.items()}
        access = TensorAccess(
            entry["name"], tuple(expressions.values()), bool(entry.get("output", False))
        )
        accesses.append(access)
        for rank, expression in expressions.items():
            if rank in sizes and expression.coefficients == ((rank.lower(), 1),):
                ranges[rank.lower()] = (0, int(sizes[rank]))
    variables = sorted(frozenset[str]().union(*(access.variables for access in accesses)))
    return Einsum(
        data["name"],
        tuple(accesses),
        tuple((name, bounds[name] if name in bounds else ranges[name]) for name in variables),
    )


# --------------------------------------------------------------------------------------------
# Paths, operations, tile iterations
# --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Loop:
    """A loop of a path: where it stands, and the largest number of its iterations."""

    position: int
    node: Node
    variable: str
    trips: int

    @property
    def temporal(self) -> bool:
        """Whether the loop is a Temporal one."""
        return self.node.kind == "Temporal"


@dataclass(frozen=True)
class Operation:
    """A point of the iteration space: its loop indices and the elements that it accesses."""

    time: Index
    lane: Index
    elements: Mapping[str, Element]


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
                if not 1 <= shape <= extent[variable]:
                    raise Illegal(f"tile shape {shape} of {extent[variable]}")
                loops.append(Loop(position, node, variable, -(-extent[variable] // shape)))
                extent[variable] = shape
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
        for point in points(self.einsum):
            rest = {name: point[name] - start for name, (start, _) in self.einsum.bounds}
            time: list[int] = []
            lane: list[int] = []
            for loop in self.loops:
                index, rest[loop.variable] = divmod(
                    rest[loop.variable], int(loop.node.data["tile_shape"])
                )
                (time if loop.temporal else lane).append(index)
            elements = {access.tensor: access.element(point) for access in self.einsum.accesses}
            operations.append(Operation(tuple(time), tuple(lane), elements))
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


def tile_depth(leaf: Leaf, leaves: Sequence[Leaf], granularity: str) -> int:
    """The granularity: how many Temporal loops make a tile iteration of this leaf."""
    inner = [node for node in leaf.path if node.kind in ("Storage", "Toll") or node.is_split]
    tile = max(leaf.depth(node) for node in inner)
    if granularity == "full":
        return len(leaf.temporal)
    if granularity == "tile":
        return tile
    produced = {a.tensor for other in leaves for a in other.einsum.accesses if a.output}
    consumed = {a.tensor for other in leaves for a in other.einsum.accesses if not a.output}
    exchanged: frozenset[str] = frozenset()
    for access in leaf.einsum.accesses:
        if access.tensor in produced & consumed:
            exchanged |= access.variables
    positions = [at for at, loop in enumerate(leaf.temporal, 1) if loop.variable in exchanged]
    return max([tile, *positions])


# --------------------------------------------------------------------------------------------
# Transfers: what moves between neighbouring holders, and what is counted
# --------------------------------------------------------------------------------------------

Moves = dict[Index, dict[Index, list[Element]]]
"""Per tile iteration and unit (indices of the Spatial loops above the inner end): the values."""


def moves() -> Moves:
    """No moves."""
    return defaultdict(lambda: defaultdict(list))


@dataclass(frozen=True)
class Transfer:
    """What moves between holder ``level - 1`` and holder ``level`` of a tensor, or the leaf.

    ``inner`` is the node at the inner end: a Storage, or the Compute for the leaf itself.
    """

    access: TensorAccess
    level: int
    inner: Node
    down: Moves
    up: Moves

    def elements(self, way: Moves, iteration: Index) -> set[Element]:
        """The elements, of all units together, that move in a tile iteration."""
        return {x for values in way.get(iteration, {}).values() for x in values}


@dataclass(frozen=True)
class Access:
    """One access: a number of actions on a component."""

    component: str
    tensor: str | None
    action: str
    actions: Fraction


@dataclass(frozen=True, eq=False)
class Run:
    """A leaf at a granularity, with everything it moves.

    ``arrival`` is, per input, the level of the innermost holder that it shares with an earlier
    leaf that accesses the tensor, or None: the level from which on it fills by itself.
    """

    leaf: Leaf
    depth: int
    arrival: Mapping[str, int | None]

    @cached_property
    def iterations(self) -> tuple[Index, ...]:
        """The tile iterations in order."""
        return tuple(sorted({operation.time[: self.depth] for operation in self.leaf.operations}))

    @cached_property
    def transfers(self) -> dict[tuple[str, int], Transfer]:
        """All transfers, by tensor and the level of their inner end."""
        transfers = {}
        for access in self.leaf.einsum.accesses:
            holders = self.leaf.storages(access.tensor)
            for level in range(1, len(holders)):
                transfer = self.transfer_of_output if access.output else self.transfer_of_input
                transfers[access.tensor, level] = transfer(access, level, holders[level])
            level = len(holders)
            transfers[access.tensor, level] = self.transfer_of_leaf(access, level)
        return transfers

    def tiles(self, tensor: str, node: Node) -> dict[Index, list[tuple[Index, Index, Element]]]:
        """Per tile of a holder, in order: (tile iteration, unit, element) of its operations."""
        depth, lanes = self.leaf.depth(node), self.leaf.lanes(node)
        tiles: dict[Index, list[tuple[Index, Index, Element]]] = defaultdict(list)
        for operation in self.leaf.operations:
            tiles[operation.time[:depth]].append(
                (operation.time[: self.depth], operation.lane[:lanes], operation.elements[tensor])
            )
        return tiles

    def transfer_of_input(self, access: TensorAccess, level: int, node: Node) -> Transfer:
        """Counting: entering a tile of h_j, an input is filled whole, unless it is resident.

        A tile held above a split is filled by the first leaf that reads it, and a producer's tile
        is never filled for its consumer.
        """
        down = moves()
        arrival = self.arrival[access.tensor]
        if arrival is None or level > arrival:
            for operations in self.tiles(access.tensor, node).values():
                first = operations[0][0]
                for unit, element in sorted({(unit, x) for _, unit, x in operations}):
                    down[first][unit].append(element)
        return Transfer(access, level, node, down, moves())

    def transfer_of_output(self, access: TensorAccess, level: int, node: Node) -> Transfer:
        """Counting: an output tile reads back what was written back from h_j before.

        Every element is written back once per tile, by the tile iteration that updates it last
        within that tile.
        """
        down, up = moves(), moves()
        before: set[tuple[Index, Element]] = set()
        for operations in self.tiles(access.tensor, node).values():
            first = operations[0][0]
            last = {(unit, element): iteration for iteration, unit, element in operations}
            for unit, element in sorted(last):
                if (unit, element) in before:
                    down[first][unit].append(element)
                up[last[unit, element]][unit].append(element)
            before |= set(last)
        return Transfer(access, level, node, down, up)

    def transfer_of_leaf(self, access: TensorAccess, level: int) -> Transfer:
        """Counting: per operation, each input is read once, the output is written once.

        Except the first time, the output is read once, too.
        """
        down, up = moves(), moves()
        before: set[tuple[Index, Element]] = set()
        compute = self.leaf.path[-1]
        for operation in self.leaf.operations:
            iteration = operation.time[: self.depth]
            element = operation.elements[access.tensor]
            if access.output:
                up[iteration][operation.lane].append(element)
            if not access.output or (operation.lane, element) in before:
                down[iteration][operation.lane].append(element)
            before.add((operation.lane, element))
        return Transfer(access, level, compute, down, up)


def seen_from(
    problem: Problem, leaf: Leaf, transfer: Transfer, units: Mapping[Index, list[Element]], at: Node
) -> int:
    """Counting, spatial loops: the values that the busiest unit of a node on the way sees.

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
                loop.node.data["name"], transfer.access.tensor
            )
            if index and (above or shared):
                break
        else:
            count += len(values)
    return count


def accesses_of(
    problem: Problem, leaf: Leaf, transfer: Transfer, way: str, iteration: Index
) -> list[Access]:
    """Counting: the accesses of one way (``down`` or ``up``) of a transfer in a tile iteration.

    Downward, the outer holder is read and the inner one written; upward, the inner one is read
    and the outer one written. Tolls in between are read in the directions that they count.
    """
    units = (transfer.down if way == "down" else transfer.up).get(iteration, {})
    tensor = transfer.access.tensor
    outer = leaf.storages(tensor)[transfer.level - 1]
    start, end = leaf.path.index(outer), leaf.path.index(transfer.inner)
    tolls = [node for node in leaf.path[start:end] if node.kind == "Toll" and node.holds(tensor)]
    uses = [(outer, "read" if way == "down" else "write")]
    for toll in tolls:
        if way in problem.component(toll.data["component"]).direction(tensor).split("_"):
            uses.append((toll, "read"))
    if transfer.inner.kind == "Storage":
        uses.append((transfer.inner, "write" if way == "down" else "read"))
    result = []
    for node, action in uses:
        values = seen_from(problem, leaf, transfer, units, node)
        if values:
            component = problem.component(node.data["component"])
            bits = problem.bits_per_value(tensor)
            actions = component.actions(action, tensor, values, bits)
            result.append(Access(component.name, tensor, action, actions))
    return result


def compute_access(leaf: Leaf, depth: int, iteration: Index) -> Access:
    """Counting: the operations of the busiest unit in a tile iteration."""
    operations = sum(
        operation.time[:depth] == iteration and not any(operation.lane)
        for operation in leaf.operations
    )
    return Access(leaf.path[-1].data["component"], None, "compute", Fraction(operations))


# --------------------------------------------------------------------------------------------
# Ports
# --------------------------------------------------------------------------------------------


def units_used(problem: Problem, nodes: Sequence[Node], leaves: Sequence[Leaf], name: str) -> int:
    """A Pipeline shares an array where it fits: the units of a component that a subtree uses."""
    last = nodes[-1]
    if last.is_split:
        used = [units_used(problem, branch, leaves, name) for branch in last.branches]
        return max(used) if last.kind == "Sequential" else sum(used)
    leaf = next(leaf for leaf in leaves if leaf.path[-1] == last)
    component = problem.component(name)
    compute = problem.component(last.data["component"])
    on_path = component == compute or (
        component.kind != "Compute" and component.position < compute.position
    )
    units = int(on_path)
    for loop in leaf.spatial:
        if loop.node.data["component"] == name:
            units *= loop.trips
    return units


def own_units(problem: Problem, leaves: Sequence[Leaf], split: Node, name: str) -> bool:
    """Whether each stage of a Pipeline has units of its own of a component.

    They do where the units of that component, or of one above it, suffice for all stages.
    """
    component = problem.component(name)
    above = [
        other
        for other in problem.components
        if other == component or (other.kind != "Compute" and other.position < component.position)
    ]
    return any(
        sum(units_used(problem, branch, leaves, other.name) for branch in split.branches)
        <= other.fanout
        for other in above
    )


class Ports:
    """Which port serves an access of a leaf, and for how long."""

    def __init__(self, problem: Problem, leaves: Sequence[Leaf]) -> None:
        self.problem = problem
        self.units: dict[tuple[int, str], tuple[tuple[int, int], ...]] = {}
        for leaf in leaves:
            pipelines = [turn for turn in leaf.turns if turn[0].kind == "Pipeline"]
            for component in problem.components:
                own: list[tuple[int, int]] = []
                for split, stage in pipelines:
                    if not own_units(problem, leaves, split, component.name):
                        break  # where stages contend, nothing is left for the stages inside
                    own.append((split.uid, stage))
                self.units[leaf.order, component.name] = tuple(own)

    def work(self, leaf: Leaf, accesses: Iterable[Access]) -> dict[Port, Fraction]:
        """Ports: a block's duration is the sum of its accesses'; no time needs no port."""
        work: dict[Port, Fraction] = defaultdict(Fraction)
        for access in accesses:
            component = self.problem.component(access.component)
            throughput = component.throughput(access.action)
            if throughput is not None and access.actions:
                units = self.units[leaf.order, component.name]
                port = (component.name, component.port(access.action), units)
                work[port] += access.actions / throughput
        return dict(work)


# --------------------------------------------------------------------------------------------
# What waits for what
# --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Step:
    """Something that may start after other steps and then occupies ports.

    A step is a prefetched fill, the foreground accesses or a background write-back of a tile
    iteration, or a milestone without work: ``may`` (a tile iteration may start), ``end`` (it has
    finished), ``may fill`` (a prefetched fill may start).
    """

    leaf: int
    iteration: Index
    after: tuple[Key, ...]
    work: Mapping[Port, Fraction]
    background: bool
    sequence: tuple[int, ...]


@dataclass(frozen=True)
class Arrival:
    """What brought an element to a holder: steps to wait for, and the tile iterations they are."""

    steps: tuple[Key, ...]
    sources: tuple[tuple[int, Index], ...]


@dataclass(frozen=True)
class Flow:
    """An element flows from a tile iteration of one leaf to a tile iteration of a later one."""

    source: int
    source_iteration: Index
    target: int
    target_iteration: Index


def arrival_level(leaf: Leaf, leaves: Sequence[Leaf], access: TensorAccess) -> int | None:
    """Rule 1: the innermost holder shared with an earlier leaf that accesses the tensor."""
    if access.output:
        return None
    shared = None
    for level, node in enumerate(leaf.storages(access.tensor)):
        for other in leaves[: leaf.order]:
            if node in other.path and any(a.tensor == access.tensor for a in other.einsum.accesses):
                shared = level
    return shared


class Model:
    """A mapping at a granularity: runs of its leaves and the steps of its schedule."""

    def __init__(
        self,
        problem: Problem,
        granularity: str,
        background: Iterable[str | Sequence[str]],
        slots: Slots,
    ) -> None:
        self.problem = problem
        self.leaves = read_leaves(problem)
        for leaf in self.leaves:
            check_holders(problem, leaf)
        self.named_background = [b if isinstance(b, str) else tuple(b) for b in background]
        self.slots = slots
        self.producers = self.find_producers()
        self.check_exchanges()
        self.runs = [
            Run(
                leaf,
                tile_depth(leaf, self.leaves, granularity),
                {a.tensor: arrival_level(leaf, self.leaves, a) for a in leaf.einsum.accesses},
            )
            for leaf in self.leaves
        ]
        self.ports = Ports(problem, self.leaves)
        self.brought_cache: dict[tuple[Node, str], dict[tuple[Index, Element], Arrival]] = {}
        self.touched_cache: dict[tuple[Node, str], dict[Index, set[tuple[int, Index]]]] = {}
        self.executed_cache: dict[Node, list[tuple[tuple[Index, int], dict[int, Index]]]] = {}
        self.accesses: dict[tuple[str, str, str | None, str], Fraction] = defaultdict(Fraction)
        self.flows: set[Flow] = set()
        self.steps: dict[Key, Step] = {}
        for run in self.runs:
            self.add_steps(run)

    # ---- tensors and holders ---------------------------------------------------------------

    def find_producers(self) -> dict[str, Leaf]:
        """The leaf that produces each tensor that an Einsum produces."""
        producers: dict[str, Leaf] = {}
        for leaf in self.leaves:
            for access in leaf.einsum.accesses:
                if access.output:
                    if access.tensor in producers:
                        raise Illegal(f"two producers of {access.tensor}")
                    producers[access.tensor] = leaf
        return producers

    def consumers(self, tensor: str) -> list[Leaf]:
        """The leaves that read a tensor as an input."""
        return [
            leaf
            for leaf in self.leaves
            if any(a.tensor == tensor and not a.output for a in leaf.einsum.accesses)
        ]

    def exchange_holder(self, tensor: str, consumer: Leaf) -> Node:
        """The innermost holder that is above both a consumer and the producer."""
        shared = [node for node in consumer.storages(tensor) if self.producers[tensor].below(node)]
        if not shared:
            raise Illegal(f"{consumer.einsum.name}: no holder of {tensor} shared with its producer")
        return shared[-1]

    def check_exchanges(self) -> None:
        """Without an exchange holder the mapping is illegal."""
        for tensor in self.producers:
            for consumer in self.consumers(tensor):
                self.exchange_holder(tensor, consumer)

    def is_background(self, tensor: str, node: Node) -> bool:
        """Whether write-backs of a tensor from a holder are background ones."""
        return (
            tensor in self.named_background
            or (tensor, node.data["component"]) in self.named_background
        )

    def is_prefetched(self, leaf: Leaf, transfer: Transfer) -> bool:
        """Fills of an input into a holder above a split are prefetched."""
        if transfer.access.output or transfer.inner.kind != "Storage":
            return False
        return any(node.is_split for node in leaf.path[leaf.path.index(transfer.inner) :])

    def slots_of(self, tensor: str) -> int | None:
        """Capacity: the number of tiles that the holders of a tensor keep."""
        if isinstance(self.slots, Mapping):
            return self.slots.get(tensor, 2)
        return self.slots

    def place(self, leaf: Leaf, tensor: str, node: Node) -> int:
        """The index of a holder in the tensor's own list of holders."""
        return [holder for holder in leaf.path if holder.holds(tensor)].index(node)

    # ---- rule 1: flow ----------------------------------------------------------------------

    def brought(self, node: Node, tensor: str) -> dict[tuple[Index, Element], Arrival]:
        """Rule 1: what brought each element to a holder, per residency (indices above it)."""
        if (node, tensor) not in self.brought_cache:
            producer = self.producers.get(tensor)
            if producer is not None and producer.below(node):
                brought = self.brought_by_producer(node, tensor, self.runs[producer.order])
            else:
                first = next(leaf for leaf in self.consumers(tensor) if leaf.below(node))
                brought = self.brought_by_reader(node, tensor, self.runs[first.order])
            self.brought_cache[node, tensor] = brought
        return self.brought_cache[node, tensor]

    def brought_by_producer(
        self, node: Node, tensor: str, run: Run
    ) -> dict[tuple[Index, Element], Arrival]:
        """Rule 1: written or written back there by a producer.

        Every tile iteration that did so has finished, and so have the background write-backs, of
        these tile iterations, through which the element got there.
        """
        leaf = run.leaf
        holders, depth = leaf.storages(tensor), leaf.depth(node)
        level = holders.index(node)
        steps: dict[tuple[Index, Element], list[Key]] = defaultdict(list)
        sources: dict[tuple[Index, Element], list[tuple[int, Index]]] = defaultdict(list)
        into = run.transfers[tensor, level + 1]
        for iteration in run.iterations:
            for element in into.elements(into.up, iteration):
                target = (iteration[:depth], element)
                sources[target].append((leaf.order, iteration))
                steps[target].append(("end", leaf.order, iteration))
                for inner in range(level + 1, len(holders)):
                    through = run.transfers[tensor, inner]
                    if self.is_background(tensor, holders[inner]) and element in through.elements(
                        through.up, iteration
                    ):
                        steps[target].append(("back", leaf.order, iteration, inner, tensor))
        return {t: Arrival(tuple(steps[t]), tuple(sources[t])) for t in steps}

    def brought_by_reader(
        self, node: Node, tensor: str, run: Run
    ) -> dict[tuple[Index, Element], Arrival]:
        """Rule 1: filled there by another reader's leaf.

        That fill has finished, and so have the same leaf's fills of the outer holders it came
        through (not the tile iteration to which they belong).
        """
        leaf = run.leaf
        holders, depth = leaf.storages(tensor), leaf.depth(node)
        level = holders.index(node)
        fills = {}
        for inner in range(1, level + 1):
            transfer = run.transfers[tensor, inner]
            deep = leaf.depth(holders[inner])
            for iteration in run.iterations:
                for element in transfer.elements(transfer.down, iteration):
                    fills[inner, iteration[:deep], element] = iteration
        brought = {}
        for inner, tile, element in fills:
            if inner != level:
                continue
            source = fills[level, tile, element]
            steps: list[Key] = []
            for outer in range(1, level + 1):
                at = fills.get((outer, tile[: leaf.depth(holders[outer])], element))
                if at is not None:
                    steps.append(("fill", leaf.order, at, outer, tensor))
            brought[tile[:depth], element] = Arrival(tuple(steps), ((leaf.order, source),))
        return brought

    def reads_at_arrival(self, run: Run, tensor: str, iteration: Index) -> set[Element]:
        """What a tile iteration, its prefetched fills included, reads in the shared holder."""
        level = run.arrival[tensor]
        assert level is not None
        transfer = run.transfers[tensor, level + 1]
        return transfer.elements(transfer.down, iteration)

    def wait_for_flow(self, run: Run, tensor: str, iteration: Index) -> set[Key]:
        """Rule 1 for one input of a tile iteration; records the flows for the skew."""
        leaf = run.leaf
        level = run.arrival[tensor]
        if level is None:
            if tensor in self.producers:
                raise Illegal(f"{leaf.einsum.name}: reads {tensor} before it is produced")
            return set()
        if level == 0 and tensor not in self.producers:
            return set()
        node = leaf.storages(tensor)[level]
        producer = self.producers.get(tensor)
        if producer is not None and producer.order > leaf.order:
            raise Illegal(f"{leaf.einsum.name}: reads {tensor} before it is produced")
        tile = iteration[: leaf.depth(node)]
        steps: set[Key] = set()
        for element in self.reads_at_arrival(run, tensor, iteration):
            arrival = self.brought(node, tensor).get((tile, element))
            if arrival is None:
                raise Illegal(f"{leaf.einsum.name}: nobody brought {tensor}{element} at {tile}")
            steps.update(arrival.steps)
            self.flows.update(
                Flow(source, at, leaf.order, iteration) for source, at in arrival.sources
            )
        return steps

    # ---- rule 2: Sequential ----------------------------------------------------------------

    def iterations_at(self, leaves: Iterable[Leaf], depth: int) -> list[Index]:
        """The existing indices of the outermost ``depth`` loops, in order."""
        return sorted({i[:depth] for leaf in leaves for i in self.runs[leaf.order].iterations})

    def executed(self, split: Node) -> list[tuple[tuple[Index, int], dict[int, Index]]]:
        """Rule 2: the branches of a split in order, for all indices of the loops above it.

        Each with the last tile iterations of its leaves: these finish in order. A branch without
        tile iterations for an index is missing, so that it hands on what it waited for.
        """
        if split not in self.executed_cache:
            found: dict[tuple[Index, int], dict[int, Index]] = defaultdict(dict)
            for leaf in self.leaves:
                for branch in (number for node, number in leaf.turns if node == split):
                    for iteration in self.runs[leaf.order].iterations:
                        prefix = iteration[: leaf.depth(split)]
                        found[prefix, branch][leaf.order] = iteration
            self.executed_cache[split] = sorted(found.items())
        return self.executed_cache[split]

    def wait_for_branches(self, run: Run, iteration: Index) -> set[Key]:
        """Rule 2: a branch waits for the one executed before it, maybe for an earlier index."""
        steps: set[Key] = set()
        for split, branch in run.leaf.turns:
            if split.kind != "Sequential":
                continue
            here = iteration[: run.leaf.depth(split)], branch
            before = [lasts for place, lasts in self.executed(split) if place < here]
            if before:
                steps.update(("end", order, last) for order, last in before[-1].items())
        return steps

    # ---- rule 3: capacity ------------------------------------------------------------------

    def touched(self, node: Node, tensor: str) -> dict[Index, set[tuple[int, Index]]]:
        """Capacity: per tile of a holder, the tile iterations that touch it.

        A tile iteration touches a tile if it reads or writes that holder for that tensor.
        """
        if (node, tensor) not in self.touched_cache:
            touched: dict[Index, set[tuple[int, Index]]] = defaultdict(set)
            for run in self.runs:
                if not run.leaf.below(node) or node not in run.leaf.storages(tensor):
                    continue
                if all(access.tensor != tensor for access in run.leaf.einsum.accesses):
                    continue
                level, depth = run.leaf.storages(tensor).index(node), run.leaf.depth(node)
                for inner in (level, level + 1):
                    transfer = run.transfers.get((tensor, inner))
                    if transfer is not None:
                        for iteration in {*transfer.down, *transfer.up}:
                            touched[iteration[:depth]].add((run.leaf.order, iteration))
            self.touched_cache[node, tensor] = touched
        return self.touched_cache[node, tensor]

    def tile_before(self, leaf: Leaf, tensor: str, node: Node, iteration: Index) -> Index | None:
        """Capacity: tile κ − slots of a holder, where κ is the tile of a tile iteration."""
        slots, depth = self.slots_of(tensor), leaf.depth(node)
        if slots is None or depth == 0:
            return None
        sharing = (
            other
            for other in self.leaves
            if other.below(node) and any(a.tensor == tensor for a in other.einsum.accesses)
        )
        tiles = self.iterations_at(sharing, depth)
        place = tiles.index(iteration[:depth]) - slots
        return tiles[place] if place >= 0 else None

    def backs_out_of(self, node: Node, tensor: str, tile: Index) -> set[Key]:
        """The background write-backs of a tensor out of a tile of a holder."""
        producer = self.producers.get(tensor)
        if producer is None or not producer.below(node) or not self.is_background(tensor, node):
            return set()
        run = self.runs[producer.order]
        level = producer.storages(tensor).index(node)
        if level == 0:
            return set()
        transfer = run.transfers[tensor, level]
        return {
            ("back", producer.order, iteration, level, tensor)
            for iteration in transfer.up
            if iteration[: len(tile)] == tile
        }

    def wait_for_tile(self, node: Node, tensor: str, tile: Index) -> set[Key]:
        """Everything that touches a tile has finished, with the background write-backs."""
        ends: set[Key] = {
            ("end", leaf, iteration)
            for leaf, iteration in self.touched(node, tensor).get(tile, set())
        }
        return ends | self.backs_out_of(node, tensor, tile)

    def wait_for_capacity(self, run: Run, iteration: Index) -> set[Key]:
        """Rule 3: the producer waits for room in exchange holders and where it writes back from."""
        steps: set[Key] = set()
        for access in run.leaf.einsum.accesses:
            if not access.output:
                continue
            tensor = access.tensor
            exchanges = {self.exchange_holder(tensor, c) for c in self.consumers(tensor)}
            for node in run.leaf.storages(tensor):
                tile = self.tile_before(run.leaf, tensor, node, iteration)
                if tile is None:
                    continue
                if node in exchanges:
                    steps |= self.wait_for_tile(node, tensor, tile)
                else:
                    steps |= self.backs_out_of(node, tensor, tile)
        return steps

    # ---- steps -----------------------------------------------------------------------------

    def add_steps(self, run: Run) -> None:
        """All steps of a leaf: start, prefetched fills, foreground, background, finish."""
        leaf = run.leaf
        before: Index | None = None
        written: dict[tuple[str, int, Element], list[Key]] = defaultdict(list)
        for iteration in run.iterations:
            after = self.wait_for_branches(run, iteration) | self.wait_for_capacity(run, iteration)
            flow = {
                access.tensor: self.wait_for_flow(run, access.tensor, iteration)
                for access in leaf.einsum.accesses
                if not access.output
            }
            after.update(*flow.values())
            ends: set[Key] = {("fore", leaf.order, iteration)}
            if before is not None:
                after.add(("may", leaf.order, before))
                ends.add(("end", leaf.order, before))
            fills = self.add_fills(run, iteration, flow)
            after.update(("may fill", *fill[1:]) for fill in fills)
            ends.update(fills)
            self.add_foreground(run, iteration)
            ends |= self.add_backgrounds(run, iteration, written)
            self.add(("may", leaf.order, iteration), after)
            self.add(("end", leaf.order, iteration), ends)
            before = iteration

    def add(
        self,
        key: Key,
        after: Iterable[Key],
        accesses: Iterable[Access] = (),
        sequence: tuple[int, ...] = (),
    ) -> None:
        """Add one step and count its accesses."""
        leaf, accesses = self.leaves[key[1]], list(accesses)
        for access in accesses:
            self.accesses[leaf.einsum.name, access.component, access.tensor, access.action] += (
                access.actions
            )
        work = self.ports.work(leaf, accesses)
        self.steps[key] = Step(leaf.order, key[2], tuple(after), work, key[0] == "back", sequence)

    def add_fills(self, run: Run, iteration: Index, flow: Mapping[str, set[Key]]) -> list[Key]:
        """Prefetch: once what it reads has arrived from another leaf, and there is room."""
        fills = []
        for number, access in enumerate(run.leaf.einsum.accesses):
            for (tensor, level), transfer in run.transfers.items():
                if tensor != access.tensor or iteration not in transfer.down:
                    continue
                if not self.is_prefetched(run.leaf, transfer):
                    continue
                arrival = run.arrival[tensor]
                after = set(flow[tensor]) if arrival == level - 1 else set()
                tile = self.tile_before(run.leaf, tensor, transfer.inner, iteration)
                if tile is not None:
                    after |= self.wait_for_tile(transfer.inner, tensor, tile)
                name = (run.leaf.order, iteration, level, tensor)
                place = self.place(run.leaf, tensor, transfer.inner)
                self.add(("may fill", *name), after)
                self.add(
                    ("fill", *name),
                    [("may fill", *name)],
                    accesses_of(self.problem, run.leaf, transfer, "down", iteration),
                    (0, place, number),
                )
                fills.append(("fill", *name))
        return fills

    def add_foreground(self, run: Run, iteration: Index) -> None:
        """Foreground: all accesses that are neither prefetched fills nor background write-backs."""
        accesses = [compute_access(run.leaf, run.depth, iteration)]
        for (tensor, _), transfer in run.transfers.items():
            if not self.is_prefetched(run.leaf, transfer):
                accesses += accesses_of(self.problem, run.leaf, transfer, "down", iteration)
            if transfer.inner.kind != "Storage" or not self.is_background(tensor, transfer.inner):
                accesses += accesses_of(self.problem, run.leaf, transfer, "up", iteration)
        may = ("may", run.leaf.order, iteration)
        self.add(("fore", run.leaf.order, iteration), [may], accesses, (1,))

    def add_backgrounds(
        self, run: Run, iteration: Index, written: dict[tuple[str, int, Element], list[Key]]
    ) -> set[Key]:
        """Background write-backs of a tile iteration.

        Finish: a tile iteration that reads back what was written back in the background has
        finished when those write-backs have. They are returned.
        """
        read_back: set[Key] = set()
        for number, access in enumerate(run.leaf.einsum.accesses):
            for level, node in enumerate(run.leaf.storages(access.tensor)):
                tensor = access.tensor
                if not access.output or level == 0 or not self.is_background(tensor, node):
                    continue
                transfer = run.transfers[tensor, level]
                for element in transfer.elements(transfer.down, iteration):
                    read_back.update(written[tensor, level, element])
                if iteration not in transfer.up:
                    continue
                key = ("back", run.leaf.order, iteration, level, tensor)
                for element in transfer.elements(transfer.up, iteration):
                    written[tensor, level, element].append(key)
                self.add(
                    key,
                    [("may", run.leaf.order, iteration)],
                    accesses_of(self.problem, run.leaf, transfer, "up", iteration),
                    (2, -self.place(run.leaf, tensor, node), number),
                )
        return read_back

    # ---- dates -----------------------------------------------------------------------------

    def linear(self, leaf: Leaf, start: int, end: int, iteration: Index) -> int:
        """The linearised index of loops: mixed radix, radix = the loop's largest trip count.

        That is the largest of all leaves below the loop, so that they number its iterations alike.
        """
        index = 0
        for place in range(start, end):
            node = leaf.temporal[place].node
            trips = (loop.trips for x in self.leaves for loop in x.temporal if loop.node == node)
            index = index * max(trips) + iteration[place]
        return index

    def date(self, leaf: Leaf, iteration: Index, shifts: Mapping[Node, list[int]] | None) -> Index:
        """Orders: the logical date of a tile iteration, skewed where ``shifts`` are given."""
        date: list[int] = []
        start = 0
        for split, branch in leaf.turns:
            end = leaf.depth(split)
            t = self.linear(leaf, start, end, iteration)
            if shifts is not None and split.kind == "Pipeline":
                date += [t + shifts[split][branch], -branch]
            else:
                date += [t, branch]
            start = end
        return (*date, *iteration[start:])

    def shifts(self) -> dict[Node, list[int]]:
        """Orders, skew: per Pipeline the least shift of each stage that puts it after its flows."""
        shifts: dict[Node, list[int]] = {}
        for leaf in self.leaves:
            for turn, (split, _) in enumerate(leaf.turns):
                if split.kind == "Pipeline" and split not in shifts:
                    start = leaf.depth(leaf.turns[turn - 1][0]) if turn else 0
                    shifts[split] = self.shifts_of(split, start, leaf.depth(split))
        return shifts

    def shifts_of(self, split: Node, start: int, end: int) -> list[int]:
        """The shifts of the stages of one Pipeline; t linearises the loops from start to end."""
        shifts = [0] * len(split.branches)
        stage_of = {
            leaf.order: branch
            for leaf in self.leaves
            for node, branch in leaf.turns
            if node == split
        }
        for stage in range(1, len(shifts)):
            for flow in self.flows:
                early = stage_of.get(flow.source, stage)
                if stage_of.get(flow.target) != stage or early >= stage:
                    continue
                if flow.source_iteration[:start] != flow.target_iteration[:start]:
                    continue
                source, target = self.leaves[flow.source], self.leaves[flow.target]
                produced = self.linear(source, start, end, flow.source_iteration)
                consumed = self.linear(target, start, end, flow.target_iteration)
                shifts[stage] = max(shifts[stage], produced + shifts[early] + 1 - consumed)
        return shifts


# --------------------------------------------------------------------------------------------
# Orders
# --------------------------------------------------------------------------------------------

Priority = Callable[[Step], tuple[Any, ...]]


def finish_in_order(steps: Mapping[Key, Step], priority: Priority | None) -> Fraction | None:
    """The last finish when each port serves in a fixed order (None: nobody waits for a port).

    All times are the earliest possible. None is returned where the order contradicts the
    dependences.
    """
    served: dict[Port, list[Key]] = defaultdict(list)
    graph: dict[Any, set[Any]] = {}
    for key, step in steps.items():
        graph["ready", key] = {("done", other) for other in step.after}
        graph["done", key] = {("ready", key)} | {("block", key, port) for port in step.work}
        for port in step.work:
            graph["block", key, port] = {("ready", key)}
            served[port].append(key)
    if priority is not None:
        for port, keys in served.items():
            keys.sort(key=lambda key: priority(steps[key]))
            for one, two in itertools.pairwise(keys):
                graph["block", two, port].add(("block", one, port))
    finish: dict[Any, Fraction] = {}
    try:
        for node in TopologicalSorter(graph).static_order():
            start = max((finish[other] for other in graph[node]), default=Fraction(0))
            finish[node] = start + (steps[node[1]].work[node[2]] if node[0] == "block" else 0)
    except CycleError:
        return None
    return max(finish.values(), default=Fraction(0))


def finish_oldest(steps: Mapping[Key, Step], priority: Priority) -> Fraction | None:
    """The last finish of the order "oldest": an idle port takes the first block that may start.

    Everything that finishes at an instant is taken into account before the ports choose.
    """
    followers: dict[Key, list[Key]] = defaultdict(list)
    missing = {key: len(set(step.after)) for key, step in steps.items()}
    for key, step in steps.items():
        for other in set(step.after):
            followers[other].append(key)
    blocks = {key: len(step.work) for key, step in steps.items()}
    waiting: dict[Port, list[tuple[Any, ...]]] = defaultdict(list)
    busy: set[Port] = set()
    running: list[tuple[Fraction, int, Key, Port]] = []
    number = itertools.count()
    done = 0

    def become_ready(first: Iterable[Key]) -> None:
        nonlocal done
        ready = list(first)
        while ready:
            key = ready.pop()
            if blocks[key]:
                for port in steps[key].work:
                    heappush(waiting[port], (priority(steps[key]), next(number), key))
            else:
                done += 1
                ready += finished(key)

    def finished(key: Key) -> list[Key]:
        ready = []
        for other in followers[key]:
            missing[other] -= 1
            if missing[other] == 0:
                ready.append(other)
        return ready

    now = Fraction(0)
    become_ready([key for key in steps if missing[key] == 0])
    while True:
        for port, queue in waiting.items():
            if queue and port not in busy:
                _, _, key = heappop(queue)
                busy.add(port)
                heappush(running, (now + steps[key].work[port], next(number), key, port))
        if not running:
            return now if done == len(steps) else None
        now = running[0][0]
        while running and running[0][0] == now:
            _, _, key, port = heappop(running)
            busy.remove(port)
            blocks[key] -= 1
            if blocks[key] == 0:
                done += 1
                become_ready(finished(key))


def latencies(model: Model) -> dict[str, Fraction | None]:
    """The latency with each order; None where the order is not available."""
    shifts = model.shifts()

    def dated(skewed: Mapping[Node, list[int]] | None) -> Priority:
        dates = {
            (run.leaf.order, iteration): model.date(run.leaf, iteration, skewed)
            for run in model.runs
            for iteration in run.iterations
        }
        return lambda step: (dates[step.leaf, step.iteration], step.sequence)

    skewed = dated(shifts)
    return {
        "program": finish_in_order(model.steps, dated(None)),
        "skew": finish_in_order(model.steps, skewed),
        "oldest": finish_oldest(model.steps, lambda step: (step.background, *skewed(step))),
    }


# --------------------------------------------------------------------------------------------
# Results
# --------------------------------------------------------------------------------------------


def resource_bound(model: Model) -> Fraction:
    """Results: the largest total busy time of a port."""
    load: dict[Port, Fraction] = defaultdict(Fraction)
    for step in model.steps.values():
        for port, duration in step.work.items():
            load[port] += duration
    return max(load.values(), default=Fraction(0))


def least(*tables: Mapping[str, Fraction | None]) -> Fraction | None:
    """Orders, best: the least latency that is available."""
    available = [value for table in tables for value in table.values() if value is not None]
    return min(available, default=None)


def sequential_latency(data: Mapping[str, Any], granularity: str, slots: Slots) -> Fraction | None:
    """Results: the latency with every Pipeline as Sequential and no background."""
    try:
        return least(latencies(Model(read_problem(data, pipelines=False), granularity, (), slots)))
    except Illegal:
        return None


def chosen_granularity(data: Mapping[str, Any], granularity: str, max_tiles: int | None) -> str:
    """Tile iterations, auto: flow where their number stays within ``max_tiles``, else tile."""
    if granularity != "auto":
        return granularity
    leaves = read_leaves(read_problem(data))
    tiles = 0
    for leaf in leaves:
        depth = tile_depth(leaf, leaves, "flow")
        tiles += len({operation.time[:depth] for operation in leaf.operations})
    return "flow" if max_tiles is None or tiles <= max_tiles else "tile"


def analyze(
    data: Mapping[str, Any],
    granularity: str = "auto",
    background: Iterable[str | Sequence[str]] = (),
    slots: Slots = 2,
    max_tiles: int | None = None,
) -> dict[str, Any]:
    """Results of a mapping with the order "best", by brute force.

    Raises
    ------
    Illegal
        The mapping is illegal, or no order is available.
    """
    background = tuple(background)
    granularity = chosen_granularity(data, granularity, max_tiles)
    model = Model(read_problem(data), granularity, background, slots)
    by_order = latencies(model)
    foreground: dict[str, Fraction | None] = {}
    if background:
        foreground = latencies(Model(read_problem(data), granularity, (), slots))
    latency = least(by_order, foreground)
    if latency is None:
        raise NoOrder("the dependences contradict every order")
    return {
        "latency": latency,
        "latency_by_order": by_order,
        "resource_bound": resource_bound(model),
        "dependence_bound": finish_in_order(model.steps, None),
        "tiles": sum(len(run.iterations) for run in model.runs),
        "accesses": {key: actions for key, actions in model.accesses.items() if actions},
        "sequential": sequential_latency(data, granularity, slots),
        "granularity": granularity,
    }
