"""Hypothesis strategies: random cascades as plain data, most of them legal by construction.

``cascades()`` draws ``(spec, options)``: the data that ``Spec.from_dict`` takes and the keyword
arguments of ``analyze``. It is composed of ``workloads()``, ``architectures()``,
``mappings()`` and ``options()``, which can be used on their own.

A mapping is drawn along its tree. Questions are answered by enumeration as the tree grows, so that
what is drawn has a schedule: does whoever brings a tensor to a shared holder bring all that the
others read there (``covers``), final (``finishes``), may a Sequential split wait for it
(``in_order``), and does a backing storage keep the sums of an output (``keeps``)? A few draws
ignore one of the questions, and are often illegal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any, TypeVar

from hypothesis import strategies as st

import oracle
from builders import LEGAL, RECURRENT_LEGAL, stretched
from oracle import Einsum, Element, Index

Data = dict[str, Any]
Draw = Callable[[st.SearchStrategy[Any]], Any]
T = TypeVar("T")

MAX_OPERATIONS = 64
THROUGHPUTS: tuple[int | float | str, ...] = (1, 2, 3, 4, "1/2", "4/3", "inf", 0.4)
PORT_PER_ACTION = "max(a.n_calls / a.throughput for a in actions)"
ONE_PORT = "sum(a.n_calls / a.throughput for a in actions)"


def chances(tenths: int) -> st.SearchStrategy[bool]:
    """True in this number of ten draws; shrinks to False."""
    return st.sampled_from((False,) * (10 - tenths) + (True,) * tenths)


def throughputs() -> st.SearchStrategy[int | float | str]:
    """Throughputs: whole, fractional, decimal and infinite."""
    return st.sampled_from(THROUGHPUTS)


# --------------------------------------------------------------------------------------------
# Workloads
# --------------------------------------------------------------------------------------------

Axis = tuple[str, int]
"""The rank variable that wrote (or first read) a rank of a tensor, and the rank's size."""


@dataclass(frozen=True)
class Operand:
    """A tensor and the expressions that index it."""

    tensor: str
    expressions: tuple[str, ...]


class WorkloadDraw:
    """Draws Einsums one after the other; each reads tensors of those before it, or new ones."""

    def __init__(self, draw: Draw) -> None:
        self.draw = draw
        self.sizes: dict[str, int] = {}
        self.tensors: dict[str, tuple[Axis, ...]] = {}
        self.produced: list[str] = []
        self.einsums: list[Data] = []

    def variable(self, size: int, taken: Sequence[str]) -> str:
        """Make a rank variable, or give one of other Einsums another role in this one."""
        others = [name for name in self.sizes if self.sizes[name] == size and name not in taken]
        if others and self.draw(chances(6)):
            return str(self.draw(st.sampled_from(others)))
        name = f"x{len(self.sizes)}"
        self.sizes[name] = size
        return name

    def size(self, room: int, most: int = 4) -> int:
        """Draw the size of a rank variable, at most ``room``; few sizes, so that many agree."""
        sizes = [size for size in (2, 3, 2, 3, 4, 1) if size <= min(room, most)]
        return int(self.draw(st.sampled_from(sizes)))

    def room(self, variables: set[str]) -> int:
        """How large one more rank variable may be."""
        return MAX_OPERATIONS // prod(self.sizes[name] for name in variables)

    def tensor(self, prefix: str, axes: Sequence[Axis]) -> str:
        """Make a new tensor."""
        name = f"{prefix}{len(self.tensors)}"
        self.tensors[name] = tuple(axes)
        return name

    def source(self) -> str:
        """Choose the tensor that the next Einsum reads first: mostly the last one produced."""
        if not self.produced or self.draw(chances(2)):
            inputs = [name for name in self.tensors if name not in self.produced]
            if inputs and self.draw(chances(6)):
                return str(self.draw(st.sampled_from(inputs)))
            axes: list[Axis] = []
            for _ in range(self.draw(st.sampled_from((2, 1)))):
                size = self.size(MAX_OPERATIONS)
                axes.append((self.variable(size, [name for name, _ in axes]), size))
            return self.tensor("i", axes)
        if self.draw(chances(3)):
            return str(self.draw(st.sampled_from(self.produced)))
        return self.produced[-1]

    def read(self, tensor: str) -> list[Axis]:
        """The axes by which an Einsum reads a tensor; sometimes with a variable of its own."""
        axes: list[Axis] = []
        for name, size in self.tensors[tensor]:
            taken = [other for other, _ in axes]
            own = name in taken or self.draw(chances(1))
            axes.append((self.variable(size, taken) if own else name, size))
        return axes

    def window(self, axes: list[Axis], operands: list[Operand]) -> list[Axis] | None:
        """Turn the longest axis into a window; returns the output's axes.

        Windows slide or are strided; some are dilated, and some have padding at both ends.
        """
        place = max(range(len(axes)), key=lambda at: axes[at][1])
        length = axes[place][1]
        others = {name for at, (name, _) in enumerate(axes) if at != place}
        if length < 2:
            return None
        stride = self.draw(st.sampled_from((1, 2))) if length > 2 else 1
        taps = self.draw(st.integers(1, min(3, length)))
        gap = pad = 0
        if self.draw(chances(4)):
            gap, pad = self.draw(st.sampled_from((1, 1, 2))), self.draw(st.sampled_from((1, 2, 0)))
        outputs = (length + 2 * pad - max(gap, 1) * (taps - 1) - 1) // stride + 1
        if outputs < 1 or outputs * taps > self.room(others):
            return None
        taken = [name for name, _ in axes]
        p = self.variable(outputs, taken)
        r = self.variable(taps, [*taken, p])
        expression = f"{p} + " if stride == 1 else f"{stride}*{p} + "
        expression += f"{gap}*{r}" if gap > 1 else r
        expression += f" - {pad}" if pad else ""
        expressions = [name for name, _ in axes]
        expressions[place] = expression
        operands[0] = replace(operands[0], expressions=tuple(expressions))
        if self.draw(chances(5)):
            operands.append(Operand(self.tensor("w", [(r, taps)]), (r,)))
        return [(p, outputs) if at == place else axis for at, axis in enumerate(axes)]

    def contraction(self, axes: list[Axis], operands: list[Operand]) -> list[Axis]:
        """Multiply by a weight: the last axis is summed, a new one comes in its place."""
        k, depth = axes[-1]
        for name, shape in self.tensors.items():
            fits = len(shape) == 2 and shape[0][1] == depth and name not in self.produced
            fits = fits and all(operand.tensor != name for operand in operands)
            kept = {variable for variable, _ in axes}
            if fits and shape[1][1] <= self.room(kept) and self.draw(chances(7)):
                width = shape[1][1]
                b = shape[1][0] if shape[1][0] not in kept else self.variable(width, sorted(kept))
                operands.append(Operand(name, (k, b)))
                return [*axes[:-1], (b, width)]
        width = self.size(self.room({name for name, _ in axes}))
        b = self.variable(width, [name for name, _ in axes])
        operands.append(Operand(self.tensor("w", [(k, depth), (b, width)]), (k, b)))
        return [*axes[:-1], (b, width)]

    def elementwise(self, axes: list[Axis], operands: list[Operand]) -> list[Axis]:
        """Combine with nothing, another tensor of the same shape, or a vector."""
        shape = [size for _, size in axes]
        same = [
            name
            for name, other in self.tensors.items()
            if [size for _, size in other] == shape and name != operands[0].tensor
        ]
        if same and self.draw(chances(6)):
            other = self.draw(st.sampled_from(same))
            operands.append(Operand(other, tuple(name for name, _ in axes)))
        elif self.draw(chances(4)):
            bias = self.tensor("b", axes[-1:])
            operands.append(Operand(bias, (axes[-1][0],)))
        return axes

    def einsum(self) -> None:
        """Draw one Einsum."""
        source = self.source()
        axes = self.read(source)
        operands = [Operand(source, tuple(name for name, _ in axes))]
        kind = self.draw(st.sampled_from(("matmul", "map", "matmul", "window", "reduce", "expand")))
        out: list[Axis] | None = None
        if kind == "window":
            out = self.window(axes, operands)
        elif kind == "reduce" and len(axes) > 1:
            drop = self.draw(st.integers(0, len(axes) - 1))
            out = [axis for at, axis in enumerate(axes) if at != drop]
        elif kind == "expand" and len(axes) < 3:
            size = self.size(self.room({name for name, _ in axes}))
            out = [*axes, (self.variable(size, [name for name, _ in axes]), size)]
            operands.append(Operand(self.tensor("s", out[-1:]), (out[-1][0],)))
        elif kind == "matmul":
            out = self.contraction(axes, operands)
        copies = False
        if out is None:
            out = self.elementwise(axes, operands)
            copies = len(operands) == 1 and self.draw(chances(3))
        result = self.tensor("t", out)
        self.produced.append(result)
        accesses = [self.access(operand) for operand in operands]
        accesses.append(
            {**self.access(Operand(result, tuple(name for name, _ in out))), "output": True}
        )
        einsum = {"name": f"e{len(self.einsums)}", "tensor_accesses": accesses}
        self.einsums.append({**einsum, "is_copy_operation": True} if copies else einsum)

    def access(self, operand: Operand) -> Data:
        """A tensor access as plain data."""
        ranks = [f"{operand.tensor.upper()}_{at}" for at in range(len(operand.expressions))]
        return {
            "name": operand.tensor,
            "projection": dict(zip(ranks, operand.expressions, strict=True)),
        }


def with_lists(einsums: Sequence[Data]) -> list[Data]:
    """Write projections as lists of variables, if each tensor is indexed alike everywhere."""
    seen: dict[str, list[str]] = {}
    for einsum in einsums:
        for access in einsum["tensor_accesses"]:
            expressions = list(access["projection"].values())
            plain = all(expression.isalnum() for expression in expressions)
            if not plain or seen.setdefault(access["name"], expressions) != expressions:
                return list(einsums)
    return [
        {
            **einsum,
            "tensor_accesses": [
                {**access, "projection": list(access["projection"].values())}
                for access in einsum["tensor_accesses"]
            ],
        }
        for einsum in einsums
    ]


@st.composite
def workloads(draw: Draw, max_einsums: int = 4) -> Data:
    """One to four Einsums: products, element-wise ones, reductions, windows, broadcasts."""
    drawn = WorkloadDraw(draw)
    for _ in range(draw(st.sampled_from([n for n in (2, 1, 2, 3, 3, 4) if n <= max_einsums]))):
        drawn.einsum()
    einsums = with_lists(drawn.einsums) if draw(chances(3)) else drawn.einsums
    used = {
        name
        for einsum in oracle_einsums({"iteration_space_shape": {}, "einsums": einsums}, drawn.sizes)
        for name, _ in einsum.bounds
    }
    bits: Data = {"All": draw(st.sampled_from((8, 1, 2)))}
    if draw(chances(4)):
        bits = {name: draw(st.sampled_from((8, 1, 2, 4))) for name in drawn.tensors}
    return {
        "iteration_space_shape": {
            name: f"0 <= {name} < {size}" for name, size in drawn.sizes.items() if name in used
        },
        "bits_per_value": bits,
        "einsums": einsums,
    }


def oracle_einsums(workload: Data, sizes: Mapping[str, int] | None = None) -> list[Einsum]:
    """The Einsums of a workload, read by the oracle."""
    bounds = oracle.read_bounds(workload)
    bounds |= {name: (0, size) for name, size in (sizes or {}).items()}
    return [oracle.read_einsum(einsum, bounds, {}) for einsum in workload["einsums"]]


# --------------------------------------------------------------------------------------------
# Architectures
# --------------------------------------------------------------------------------------------


@st.composite
def memories(draw: Draw, name: str) -> Data:
    """A Memory with one port, or one per action."""
    memory: Data = {
        "type": "Memory",
        "name": name,
        "size": "inf",
        "actions": [
            {"name": "read", "throughput": draw(throughputs())},
            {"name": "write", "throughput": draw(throughputs())},
        ],
    }
    ports = draw(st.sampled_from(("default", "sum", "max", "max", "separate")))
    if ports == "separate":
        memory["separate_read_write_ports"] = True
    elif ports != "default":
        memory["total_latency"] = ONE_PORT if ports == "sum" else PORT_PER_ACTION
    if draw(chances(1)):
        memory["bits_per_action"] = draw(st.sampled_from((2, 4)))
    return memory


@st.composite
def spatials(draw: Draw, tensors: Sequence[str]) -> list[Data]:
    """One spatial dimension of a component."""
    spatial: Data = {"name": "X", "fanout": draw(st.sampled_from((2, 4, 3, 6)))}
    if draw(chances(3)):
        tensor = draw(st.sampled_from(tensors))
        spatial["may_reuse"] = draw(st.sampled_from(("All", tensor, f"~{tensor}")))
    return [spatial]


@st.composite
def architectures(draw: Draw, workload: Data) -> Data:
    """Two or three memories, perhaps a Toll and arrays, one or two kinds of compute."""
    tensors = tensor_names(workload)
    nodes = [draw(memories("DRAM"))]
    if draw(chances(1)):
        direction: Any = draw(st.sampled_from(("up_and_down", "down", "up")))
        link = {"type": "Toll", "name": "Link", "direction": direction}
        nodes.append({**link, "actions": [{"name": "read", "throughput": draw(throughputs())}]})
    nodes.append(draw(memories("SRAM")))
    array = draw(st.sampled_from(("none", "none", "none", "mac", "mac", "PE", "RF")))
    if array == "PE":
        nodes.append({"type": "Container", "name": "PE", "spatial": draw(spatials(tensors))})
    if array in ("PE", "RF") or draw(st.booleans()):
        memory = draw(memories("RF"))
        if array == "RF":
            memory["spatial"] = draw(spatials(tensors))
        nodes.append(memory)
    for name in ("mac", "alu") if draw(chances(5)) else ("mac",):
        actions = [{"name": "compute", "throughput": draw(throughputs())}]
        compute: Data = {"type": "Compute", "name": name, "actions": actions}
        if name == "mac" and (array == "mac" or (array != "none" and draw(chances(3)))):
            compute["spatial"] = draw(spatials(tensors))
        nodes.append(compute)
    if array != "none" and draw(chances(1)):
        draw(st.sampled_from(nodes))["support_concurrent_binding"] = draw(st.booleans())
        for node in nodes:
            if node["type"] not in ("Memory", "Compute"):
                node.pop("support_concurrent_binding", None)
    return {"nodes": nodes}


def tensor_names(workload: Data) -> list[str]:
    """The tensors of a workload, in the order in which they appear."""
    return list(
        dict.fromkeys(
            access["name"] for einsum in workload["einsums"] for access in einsum["tensor_accesses"]
        )
    )


# --------------------------------------------------------------------------------------------
# Mappings
# --------------------------------------------------------------------------------------------

Loops = tuple[tuple[str, int, int], ...]
"""Shared Temporal loops: rank variable, tile shape and size of the first tile."""


def located(
    einsum: Einsum, tensor: str, loops: Loops, *, written: bool
) -> list[tuple[Index, Element]]:
    """Per operation: its indices in shared loops, and the elements that it reads or writes."""
    result = []
    output = einsum.output(tensor)
    accesses = [output] if written and output else einsum.inputs(tensor)
    for point in oracle.points(einsum):
        rest = {name: point[name] - start for name, (start, _) in einsum.bounds}
        index = []
        for variable, shape, first in loops:
            at, inside = 0, rest[variable]
            if inside >= first:
                at, inside = divmod(inside - first, shape)
                at += 1
            rest[variable] = inside
            index.append(at)
        result += [(tuple(index), access.element(point)) for access in accesses]
    return result


def covers(
    bringer: Einsum, reader: Einsum, tensor: str, loops: Loops, computed: set[Element] | None
) -> bool:
    """Whether all that one reads in a residency is brought by the other in that residency.

    ``computed``: all elements that an Einsum computes, if the tensor is not an input. Others are
    padding.
    """
    read = set(located(reader, tensor, loops, written=False))
    if computed is not None:
        read = {(index, element) for index, element in read if element in computed}
    return read <= set(located(bringer, tensor, loops, written=True))


def finishes(producer: Einsum, reader: Einsum, tensor: str, loops: Loops) -> bool:
    """Whether a producer updates nothing in a later tile than a reader reads it."""
    latest: dict[Element, Index] = {}
    for index, element in located(producer, tensor, loops, written=True):
        latest[element] = max(latest.get(element, index), index)
    read = located(reader, tensor, loops, written=False)
    return all(latest.get(x, index) <= index for index, x in read)


def keeps(producer: Einsum, tensor: str, loops: Loops) -> bool:
    """Whether a producer updates each element in one tile only."""
    tiles = set(located(producer, tensor, loops, written=True))
    return len(tiles) == len({element for _, element in tiles})


def in_order(producer: Einsum, reader: Einsum, tensor: str, loops: Loops, depth: int) -> bool:
    """Whether a reader never needs what a producer writes in later iterations of the loops.

    ``depth`` is the depth of the holder in which they exchange the tensor.
    """
    latest: dict[tuple[Index, Element], Index] = {}
    for index, element in located(producer, tensor, loops, written=True):
        key = (index[:depth], element)
        latest[key] = max(latest.get(key, index), index)
    return all(
        latest.get((index[:depth], element), index) <= index
        for index, element in located(reader, tensor, loops, written=False)
    )


def produces(einsum: Einsum, tensor: str) -> bool:
    """Whether an Einsum writes a tensor."""
    return any(access.output and access.tensor == tensor for access in einsum.accesses)


def reads(einsum: Einsum, tensor: str) -> bool:
    """Whether an Einsum reads a tensor as an input."""
    return any(not access.output and access.tensor == tensor for access in einsum.accesses)


def exchanges(group: Sequence[Einsum]) -> list[tuple[Einsum, Einsum, str]]:
    """The (producer, reader, tensor) within a group."""
    return [
        (one, two, access.tensor)
        for one in group
        for access in one.accesses
        if access.output
        for two in group
        if reads(two, access.tensor)
    ]


@dataclass(frozen=True)
class Above:
    """The nodes above a place in the tree: loops, remaining extents, holders per tensor.

    A holder is (component, depth); components are numbered from the outermost.
    """

    loops: Loops
    extents: Mapping[str, int]
    holders: Mapping[str, tuple[tuple[int, int], ...]]

    def next_component(self, tensor: str) -> int:
        """The outermost component that may still hold a tensor."""
        held = self.holders.get(tensor, ())
        return held[-1][0] + 1 if held else 0

    def with_loop(self, variable: str, shape: int, first: int) -> Above:
        """One more shared loop."""
        extents = {**self.extents, variable: largest(self.extents[variable], shape, first)}
        return replace(self, loops=(*self.loops, (variable, shape, first)), extents=extents)

    def with_holder(self, tensor: str, component: int) -> Above:
        """One more holder."""
        held = (*self.holders.get(tensor, ()), (component, len(self.loops)))
        return replace(self, holders={**self.holders, tensor: held})


class MappingDraw:
    """Draws the tree of a mapping from the root to the leaves."""

    def __init__(self, draw: Draw, workload: Data, arch: Data) -> None:
        self.draw = draw
        self.einsums = oracle_einsums(workload)
        ignored = ("",) * 14 + ("order",) * 3 + ("cover",) * 2 + ("holder", "sums", "sums")
        self.ignores = draw(st.sampled_from(ignored))
        holders = [node for node in arch["nodes"] if node["type"] in ("Memory", "Toll")]
        self.holders = [(node["name"], node["type"] == "Toll") for node in holders]
        self.fanouts = {
            node["name"]: int(node["spatial"][0]["fanout"])
            for node in arch["nodes"]
            if node.get("spatial")
        }
        self.computes = [node["name"] for node in arch["nodes"] if node["type"] == "Compute"]
        self.produced = {
            access.tensor: {access.element(point) for point in oracle.points(einsum)}
            for einsum in self.einsums
            for access in einsum.accesses
            if access.output
        }

    def chance(self, tenths: int) -> bool:
        """Draw a boolean."""
        return bool(self.draw(chances(tenths)))

    def choose(self, options: Sequence[T]) -> T:
        """Draw one of several."""
        choice: T = self.draw(st.sampled_from(options))
        return choice

    # ---- holders ---------------------------------------------------------------------------

    def components(self, above: Above, tensor: str) -> list[int]:
        """The components that may hold a tensor next: a backing storage is no Toll."""
        first = above.next_component(tensor)
        backing = not above.holders.get(tensor)
        return [
            number
            for number in range(first, len(self.holders))
            if not (backing and self.holders[number][1])
        ]

    def may_share(self, group: Sequence[Einsum], above: Above, tensor: str, number: int) -> bool:
        """Whether a holder above a split serves everybody below it."""
        users = [e for e in group if produces(e, tensor) or reads(e, tensor)]
        if self.ignores == "cover" or self.holders[number][1]:
            return True
        backing = not above.holders.get(tensor)
        if backing and tensor not in self.produced:
            return True
        bringer = next((e for e in users if produces(e, tensor)), users[0])
        if produces(bringer, tensor) and self.ignores != "sums":
            if backing and not keeps(bringer, tensor, above.loops):
                return False
            if not all(finishes(bringer, e, tensor, above.loops) for e in users if e != bringer):
                return False
        computed = self.produced.get(tensor)
        return all(covers(bringer, e, tensor, above.loops, computed) for e in users if e != bringer)

    def storage_nodes(self, placed: Sequence[tuple[int, str]]) -> list[Data]:
        """Storage and Toll nodes for (component, tensor) pairs, outermost component first."""
        nodes = []
        for number, (name, toll) in enumerate(self.holders):
            tensors = [tensor for component, tensor in placed if component == number]
            kind = "Toll" if toll else "Storage"
            if tensors and self.chance(8):
                nodes.append({"type": kind, "component": name, "tensors": tensors})
            else:
                nodes += [{"type": kind, "component": name, "tensors": [t]} for t in tensors]
        return nodes

    def shared_holders(
        self, group: Sequence[Einsum], above: Above, forced: set[str]
    ) -> tuple[list[Data], Above]:
        """Holders above a split; the forced tensors get one if they have none."""
        placed = []
        tensors = dict.fromkeys(access.tensor for e in group for access in e.accesses)
        for tensor in tensors:
            backed = bool(above.holders.get(tensor))
            needed = tensor in forced and not backed
            shared = sum(reads(e, tensor) or produces(e, tensor) for e in group) > 1
            likely = 6 if shared or not backed else 3
            while needed or self.chance(likely):
                numbers = [
                    number
                    for number in self.components(above, tensor)
                    if needed or self.may_share(group, above, tensor, number)
                ]
                if not numbers:
                    break
                number = numbers[0] if self.chance(6) else self.choose(numbers)
                placed.append((number, tensor))
                above = above.with_holder(tensor, number)
                needed, likely = False, 5 if shared else 3
        return self.storage_nodes(placed), above

    # ---- groups and splits -----------------------------------------------------------------

    def group(self, group: Sequence[Einsum], above: Above) -> list[Data]:
        """The nodes for one or more Einsums below a place in the tree."""
        if len(group) == 1:
            return self.leaf(group[0], above)
        nodes: list[Data] = []
        common = [
            name for name in above.extents if all(name in dict(einsum.bounds) for einsum in group)
        ]
        for _ in range(self.shared_loops(group) if common else 0):
            variable = self.shared_variable(group, above, common)
            extent = above.extents[variable]
            if extent == 1 and not self.chance(2):
                continue
            shape = self.shared_shape(group, variable, extent)
            deeper = above.with_loop(variable, shape, self.first(shape, extent))
            forced = {
                tensor
                for one, two, tensor in exchanges(group)
                if self.ignores != "cover"
                and not covers(one, two, tensor, deeper.loops, self.produced[tensor])
            }
            forced |= {
                access.tensor
                for one in group
                for access in one.accesses
                if access.output
                and self.ignores not in ("cover", "sums")
                and not keeps(one, access.tensor, deeper.loops)
            }
            if any(not self.may_hold(group, above, tensor) for tensor in forced):
                continue
            storages, above = self.shared_holders(group, above, forced)
            variable, shape, first = deeper.loops[-1]
            above = above.with_loop(variable, shape, first)
            nodes += [*storages, temporal(variable, shape, first)]
        branches = self.branches(group)
        forced = {
            tensor
            for one, two, tensor in exchanges(group)
            if not any(one in branch and two in branch for branch in branches)
        }
        storages, above = self.shared_holders(group, above, forced)
        kind = self.split_kind(group, above)
        stages = [{"type": "Nested", "nodes": self.group(b, above)} for b in branches]
        split: Data = {"type": kind, "nodes": stages}
        if kind == "Pipeline" and self.chance(2):
            numbers = (0, 0, 1) if self.fanouts or len(self.computes) > 1 else (0,)
            split["binding"] = [self.choose(numbers) for _ in branches]
        return [*nodes, *storages, split]

    def shared_loops(self, group: Sequence[Einsum]) -> int:
        """Draw the number of loops above a split."""
        return self.choose((1, 0, 1, 2))

    def shared_variable(self, group: Sequence[Einsum], above: Above, common: Sequence[str]) -> str:
        """Draw the variable of a loop above a split."""
        return self.choose(common)

    def shared_shape(self, group: Sequence[Einsum], variable: str, extent: int) -> int:
        """Draw the tile shape of a loop above a split."""
        return int(self.draw(st.integers(1, max(1, extent - 1))))

    def may_be_spatial(self, einsum: Einsum, variable: str) -> bool:
        """Whether a leaf's loop over a variable may be Spatial."""
        return True

    def may_hold(self, group: Sequence[Einsum], above: Above, tensor: str) -> bool:
        """Whether a tensor has a holder here, or may get one."""
        if above.holders.get(tensor):
            return True
        return bool(self.components(above, tensor)) and self.may_share(group, above, tensor, 0)

    def branches(self, group: Sequence[Einsum]) -> list[list[Einsum]]:
        """Cut a group into two branches or more, in its order."""
        branches: list[list[Einsum]] = [[group[0]]]
        for number, einsum in enumerate(group[1:], 1):
            last = number == len(group) - 1 and len(branches) == 1
            if last or self.chance(6):
                branches.append([einsum])
            else:
                branches[-1].append(einsum)
        return branches

    def split_kind(self, group: Sequence[Einsum], above: Above) -> str:
        """Sequential or Pipeline; Sequential only where nobody needs a later iteration."""
        sequential = self.ignores == "order" or all(
            in_order(one, two, tensor, above.loops, above.holders[tensor][-1][1])
            for one, two, tensor in exchanges(group)
            if above.holders.get(tensor)
        )
        kinds = ("Sequential", "Pipeline", "Pipeline") if sequential else ("Pipeline",)
        if self.ignores == "order":
            kinds = ("Sequential",)
        return self.choose(kinds)

    # ---- leaves ----------------------------------------------------------------------------

    def leaf(self, einsum: Einsum, above: Above) -> list[Data]:
        """Private loops and holders of a leaf, and its Compute."""
        compute = self.choose(self.computes)
        array = next((name for name in ("PE", "RF") if name in self.fanouts), "")
        register = next((n for n, (name, _) in enumerate(self.holders) if name == "RF"), -1)
        held = any(n == register for held in above.holders.values() for n, _ in held)
        room = {array: 1 if held or not array else self.fanouts[array]}
        room[compute] = self.fanouts.get(compute, 1)
        outer: list[Data] = []
        middle: list[Data] = []
        inner: list[Data] = []
        last: list[Data] = []
        for name, _ in einsum.bounds:
            extent = above.extents[name]
            while extent > 1 or (extent == 1 and self.chance(1)):
                shape = self.choose((1, self.draw(st.integers(1, max(1, extent - 1)))))
                trips, first = -(-extent // shape), shape
                unrolled = shape if self.may_be_spatial(einsum, name) else 0
                if unrolled == 1 and 1 < trips <= room[compute] and self.chance(7):
                    room[compute] //= trips
                    last.append(spatial(name, 1, compute))
                elif unrolled and 1 < trips <= room[array] and self.chance(7):
                    room[array] //= trips
                    middle.append(spatial(name, shape, array))
                elif any(loop["rank_variable"] == name for loop in middle):
                    first = self.first(shape, extent)
                    inner.append(temporal(name, shape, first))
                else:
                    first = self.first(shape, extent)
                    side = outer if self.chance(7) or not middle else inner
                    side.append(temporal(name, shape, first))
                    if inner and inner[-1]["rank_variable"] == name:
                        room[array] = 1
                extent = largest(extent, shape, first) if extent > 1 else 0
        outer, inner = self.interleaved(outer), self.interleaved(inner)
        loops = [*outer, *middle, *inner, *last]
        places = self.private_holders(
            einsum,
            above,
            loops,
            len(outer),
            (len(outer) + len(middle), len(loops) - len(last)),
            register,
        )
        if not middle:
            places = self.private_holders(
                einsum, above, loops, len(outer), (0, len(outer) + len(inner)), register
            )
        nodes: list[Data] = []
        for place in range(len(loops) + 1):
            nodes += self.storage_nodes([(n, tensor) for at, n, tensor in places if at == place])
            nodes += loops[place : place + 1]
        return [*nodes, {"type": "Compute", "einsum": einsum.name, "component": compute}]

    def first(self, shape: int, extent: int) -> int:
        """Draw the size of a loop's first tile, mostly that of the others."""
        if extent > 1 and self.draw(chances(1)):
            return int(self.draw(st.integers(1, extent)))
        return shape

    def interleaved(self, loops: Sequence[Data]) -> list[Data]:
        """Loops in another order, each variable's own in theirs."""
        order = self.draw(st.permutations(range(len(loops))))
        queues: dict[str, list[Data]] = {}
        for loop in loops:
            queues.setdefault(loop["rank_variable"], []).append(loop)
        return [queues[loops[at]["rank_variable"]].pop(0) for at in order]

    def may_back(self, einsum: Einsum, tensor: str, loops: Loops) -> bool:
        """Whether the backing storage of a leaf's output may stand below these loops."""
        return keeps(einsum, tensor, loops)

    def private_holders(
        self,
        einsum: Einsum,
        above: Above,
        loops: Sequence[Data],
        outer: int,
        registers: tuple[int, int],
        register: int,
    ) -> list[tuple[int, int, str]]:
        """Places (among the loops), components and tensors of a leaf's own holders.

        Registers stand at the places ``registers`` (first and last), other memories at 0 to
        ``outer``.
        """
        places = []
        for tensor in einsum.tensors:
            place = 0
            needed = not above.holders.get(tensor)
            while needed or self.chance(4):
                numbers = self.components(above, tensor)
                if not numbers:
                    break
                number = numbers[0] if self.chance(7) else self.choose(numbers)
                first, most = registers if number == register else (0, outer)
                first = max(first, place)
                if needed and einsum.writes(tensor) and self.ignores != "sums":
                    while most > first and not self.may_back(
                        einsum, tensor, (*above.loops, *map(tiling, loops[:most]))
                    ):
                        most -= 1
                if first > most:
                    break
                still = needed and self.chance(8)
                place = first if still else self.draw(st.integers(first, most))
                places.append((place, number, tensor))
                above = above.with_holder(tensor, number)
                needed = False
        return places


def tiling(loop: Data) -> tuple[str, int, int]:
    """The rank variable, the tile shape and the size of the first tile of a loop."""
    shape = int(loop["tile_shape"])
    return loop["rank_variable"], shape, int(loop.get("initial_tile_shape", shape))


def largest(extent: int, shape: int, first: int) -> int:
    """The size of the largest tile of a loop in a tile of this extent."""
    return max(min(first, extent), min(shape, extent - first))


def temporal(variable: str, shape: int, first: int) -> Data:
    """A Temporal loop."""
    loop = {"type": "Temporal", "rank_variable": variable, "tile_shape": shape}
    return loop if first == shape else {**loop, "initial_tile_shape": first}


def spatial(variable: str, shape: int, component: str) -> Data:
    """A Spatial loop."""
    loop = {"type": "Spatial", "rank_variable": variable, "tile_shape": shape}
    return {**loop, "component": component, "name": "X"}


@st.composite
def mappings(draw: Draw, workload: Data, arch: Data) -> Data:
    """A tree of loops, holders and splits for a workload on an architecture."""
    drawn = MappingDraw(draw, workload, arch)
    extents = {
        name: end - start for einsum in drawn.einsums for name, (start, end) in einsum.bounds
    }
    nodes = drawn.group(drawn.einsums, Above((), extents, {}))
    if drawn.ignores == "holder":
        storages = list(storage_nodes(nodes))
        drop = draw(st.sampled_from(storages))
        drop["tensors"] = drop["tensors"][1:]
    return {"nodes": nodes}


def storage_nodes(nodes: Sequence[Data]) -> Iterator[Data]:
    """All Storage nodes of a tree."""
    for node in nodes:
        if node["type"] == "Storage":
            yield node
        yield from storage_nodes(node.get("nodes", ()))


# --------------------------------------------------------------------------------------------
# Options and cascades
# --------------------------------------------------------------------------------------------


def holders(spec: Data) -> list[tuple[str, str]]:
    """The (tensor, component) pairs of the holders of a mapping, but for backing ones."""
    leaves = oracle.read_leaves(oracle.read_problem(spec))
    found = [
        (access.tensor, node.data["component"])
        for leaf in leaves
        for access in leaf.einsum.accesses
        for node in leaf.storages(access.tensor)[1:]
    ]
    return list(dict.fromkeys(found))


def write_backs(spec: Data) -> list[tuple[str, str]]:
    """The (tensor, component) pairs that a mapping writes back from."""
    leaves = oracle.read_leaves(oracle.read_problem(spec))
    return [
        (access.tensor, node.data["component"])
        for leaf in leaves
        for access in leaf.einsum.accesses
        if access.output
        for node in leaf.storages(access.tensor)[1:]
    ]


@st.composite
def options(draw: Draw, spec: Data) -> Data:
    """The arguments of ``analyze``: granularity, background, staged holders and slots."""
    pairs = write_backs(spec)
    background: list[str | tuple[str, str]] = []
    if pairs and draw(chances(6)):
        background += draw(st.lists(st.sampled_from(pairs), min_size=1, unique=True))
        if draw(chances(2)):
            background = list(dict.fromkeys(str(pair[0]) for pair in background))
    held = holders(spec)
    staged: Any = []
    if held and draw(chances(6)):
        staged = draw(
            st.one_of(st.just("all"), st.lists(st.sampled_from(held), min_size=1, unique=True))
        )
    slots = draw(st.sampled_from((2, 1, 3, None, {})))
    if slots == {}:
        names = [*tensor_names(spec["workload"]), *(f"{t}@{c}" for t, c in held)]
        numbers = st.sampled_from((1, 2, 3, None))
        slots = draw(st.dictionaries(st.sampled_from(names), numbers, max_size=3))
    granularity = draw(st.sampled_from(("flow", "tile", "full", "auto")))
    return {
        "granularity": granularity,
        "background": background,
        "staged": staged,
        "slots": slots,
    }


@st.composite
def machines(draw: Draw, arch: Data) -> Data:
    """Properties of a machine, for the key ``schedule``: latency, setup, burst and rigid."""
    actions = [
        (node["name"], action["name"])
        for node in arch["nodes"]
        for action in node.get("actions", ())
    ]
    moving = [(name, action) for name, action in actions if action != "compute"]
    tolls = {node["name"] for node in arch["nodes"] if node["type"] == "Toll"}
    passing = [(name, action) for name, action in actions if name not in tolls]
    found: Data = {}
    for key, chosen, values in (
        ("latency", passing, (0, 1, 3, "5/2", 20)),
        ("setup", moving, (0, 1, "1/2", 7)),
        ("burst", moving, (1, 2, 3)),
    ):
        if draw(chances(2)):
            table: Data = {}
            for name, action in draw(st.lists(st.sampled_from(chosen), min_size=1, unique=True)):
                table.setdefault(name, {})[action] = draw(st.sampled_from(values))
            found[key] = table
    computes = [node["name"] for node in arch["nodes"] if node["type"] == "Compute"]
    if draw(chances(1)):
        found["rigid"] = draw(st.lists(st.sampled_from(computes), min_size=1, unique=True))
    return found


@st.composite
def cascades(draw: Draw, max_einsums: int = 4) -> tuple[Data, Data]:
    """A cascade as plain data, and options for ``analyze``."""
    workload = draw(workloads(max_einsums))
    arch = draw(architectures(workload))
    spec = {"workload": workload, "arch": arch, "mapping": draw(mappings(workload, arch))}
    machine = draw(machines(arch))
    if machine:
        spec["schedule"] = machine
    return spec, draw(options(spec))


@st.composite
def options_of_long(draw: Draw, case: Data) -> Data:
    """Options for a known cascade with longer loops, mostly such that few iterations are visited.

    Fills of staged inputs are served ahead unless there is one slot; where tiles differ, all are
    visited then.
    """
    options = dict(case["options"])
    options["slots"] = draw(st.sampled_from((1, 2, 2, 3, 5, None)))
    options["background"] = [tuple(pair) for pair in options["background"] if draw(st.booleans())]
    if options["slots"] != 1 and draw(chances(9)):
        staged = draw(st.booleans())
        pairs = dict.fromkeys(write_backs(case["spec"]))
        options["staged"] = [pair for pair in pairs if staged and draw(chances(7))]
    return options


@st.composite
def long_cascades(draw: Draw) -> tuple[Data, Data]:
    """A cascade with loops of many iterations, and options for `analyze`."""
    case = draw(st.sampled_from(RECURRENT_LEGAL if draw(chances(3)) else LEGAL))
    variables = sorted(case["spec"]["workload"]["iteration_space_shape"])
    factors = {v: draw(st.sampled_from((1, 1, 3, 7, 20, 50))) for v in variables}
    return stretched(case["spec"], factors), draw(options_of_long(case))
