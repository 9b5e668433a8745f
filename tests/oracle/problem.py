"""Input: workload, architecture and mapping, read from plain data.

Implements *Words* of the model, as far as single words are concerned, and the parts of
*Results* on numbers and plain data.
"""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from .costs import Costs, read_costs
from .recurrences import without_names

Element = tuple[int, ...]
Index = tuple[int, ...]


class Illegal(Exception):
    """The mapping is illegal: the model gives it no schedule."""


class NoOrder(Illegal):
    """The dependences contradict every order."""


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
    copies: bool = False

    @property
    def tensors(self) -> tuple[str, ...]:
        """The tensors, each once, in the order of their first accesses."""
        return tuple(dict.fromkeys(access.tensor for access in self.accesses))

    def access(self, tensor: str) -> TensorAccess:
        """The first access of one tensor."""
        return next(access for access in self.accesses if access.tensor == tensor)

    def inputs(self, tensor: str) -> tuple[TensorAccess, ...]:
        """The accesses that read a tensor as an input: there may be several."""
        return tuple(a for a in self.accesses if a.tensor == tensor and not a.output)

    def output(self, tensor: str) -> TensorAccess | None:
        """The access that writes a tensor."""
        return next((a for a in self.accesses if a.tensor == tensor and a.output), None)

    def variables(self, tensor: str) -> frozenset[str]:
        """The rank variables that index a tensor in any of its accesses."""
        return frozenset[str]().union(*(a.variables for a in self.accesses if a.tensor == tensor))

    def reads(self, tensor: str) -> bool:
        """Whether the tensor is an input."""
        return bool(self.inputs(tensor))

    def writes(self, tensor: str) -> bool:
        """Whether the tensor is an output; one that is an input, too, counts as an output."""
        return self.output(tensor) is not None

    def reads_or_writes(self, tensor: str) -> bool:
        """Whether the Einsum accesses the tensor."""
        return any(access.tensor == tensor for access in self.accesses)


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
        """The argument of the outermost ``max`` of the total latency that counts an action.

        A Network has a port per dimension instead (`Access.dimension`).
        """
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
    costs: Costs

    def may_divide(self, component: Component) -> bool:
        """Units: whether stages may have units of their own of a component.

        Where some components support concurrent binding, these and those above them.
        """
        flags = [c.data.get("support_concurrent_binding") for c in self.components]
        if not any(flags):
            return flags[component.position] is None
        if component.kind == "Compute":
            return bool(flags[component.position])
        return any(flags[component.position :])

    def component(self, name: str) -> Component:
        """The component of that name."""
        for component in self.components:
            if component.name == name:
                return component
        raise Illegal(f"no component {name}")

    def path_of(self, compute: str) -> list[Component]:
        """The components on the path to a Compute, outer to inner."""
        end = self.component(compute)
        above = [c for c in self.components if c.position < end.position and c.kind != "Compute"]
        return [*above, end]

    def bits_per_value(self, tensor: str) -> Fraction:
        """The width of a tensor's values; 1 where none is given (AccelForge requires one)."""
        bits = chosen(dict(self.bits), tensor)
        return Fraction(1) if bits is None else Fraction(str(bits))


def read_problem(data: Mapping[str, Any], pipelines: bool = True) -> Problem:
    """Read plain data; without ``pipelines`` every Pipeline is read as a Sequential."""
    data = without_names(data)
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
                binding = node.get("binding") if kind == "Pipeline" else None
                data = {
                    "bound": bool(binding),
                    "binding": binding or list(range(len(branches))),
                }
                result.append(Node(next(uids), kind, data, branches))
            elif kind != "Reservation":
                result.append(Node(next(uids), kind, node))
        return tuple(result)

    return Problem(
        tuple(read_einsum(einsum, bounds, sizes) for einsum in workload["einsums"]),
        tuple(workload.get("bits_per_value", {}).items()),
        tuple(
            Component(node["name"], node["type"], position, node)
            for position, node in enumerate(flattened(data["arch"]["nodes"]))
        ),
        read_nodes(data["mapping"]["nodes"]),
        read_costs(data),
    )


def flattened(nodes: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """The components, outer to inner: those in an Array before its units.

    The dimensions of a component in an Array are those over which it is distributed.
    """
    for node in nodes:
        if node["type"] != "Array":
            yield node
            continue
        units = {entry["name"]: entry["fanout"] for entry in node["spatial"]}
        for inner in node["nodes"]:
            physical = [
                {**entry, "units": units[entry["name"]], "array": node["name"]}
                for entry in inner.get("spatial", ())
            ]
            yield {**inner, "spatial": [], "physical": physical}
        yield {**node, "nodes": [], "type": "Container"}


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
            plain = Affine(((rank.lower(), 1),), 0)
            if rank in sizes and expression == plain:
                ranges[rank.lower()] = (0, int(sizes[rank]))
    variables = sorted(frozenset[str]().union(*(access.variables for access in accesses)))
    return Einsum(
        data["name"],
        tuple(accesses),
        tuple((name, bounds[name] if name in bounds else ranges[name]) for name in variables),
        bool(data.get("is_copy_operation", False)),
    )
