"""Random cascades whose loops disagree, long enough to be extrapolated, as plain data.

``draw(seed)`` returns a `Case`: the data that ``Spec.from_dict`` takes and the arguments of
``analyze``. ``cases()`` is the same as a Hypothesis strategy. The producer of a tensor completes
its elements in another order than the one in which its readers need them: blocked against flat
loops, reversed nesting, blocks of Spatial loops, interleaved or scattered output indices, sliding
windows, filter loops outside. Most tensors are exchanged above all loops, so that most cases are
legal.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any, NamedTuple

from hypothesis import strategies as st

from builders import compute, leaf, loop, memory, nested, storage
from disagreeing_workloads import Drawn, Tensor, WorkloadDraw

Data = dict[str, Any]

FEWEST, MOST = 200, 6_000
"""Bounds on the number of operations: small enough to visit all tile iterations."""

RATES: tuple[int | str, ...] = (1, 1, 2, "1/2", "1/3", "1/5", "1/7", "1/9", "2/3", "3/7", "inf")
QUICK_RATES: tuple[int | str, ...] = ("inf", "inf", "inf", 1, 2, 4, "1/2", "3/4")
SLOW_RATES: tuple[int | str, ...] = ("1/2", "1/3", "1/4", "1/8", "1/11")
LATENCIES = (1, 2, 3, 5, 7, 12, 20, 40)
ONE_PORT = "sum(a.n_calls / a.throughput for a in actions)"


class Case(NamedTuple):
    """A cascade as plain data, and the arguments of ``analyze``."""

    spec: Data
    options: Data


Placed = tuple[int, str, str]
"""A holder in a leaf: its place among the leaf's loops, its component, and its tensor."""


@dataclass
class Holders:
    """Tensors that are held in DRAM and in SRAM at the top, in SRAM above the split, in leaves."""

    own: dict[str, list[Placed]]
    dram: list[str] = field(default_factory=list)
    sram: list[str] = field(default_factory=list)
    middle: list[str] = field(default_factory=list)


class MappingDraw:
    """Draws loops, holders, splits, architecture and options for the drawn Einsums."""

    def __init__(self, workload: WorkloadDraw, outer: int) -> None:
        self.workload = workload
        self.chance = workload.chance
        self.einsums = workload.einsums
        self.outer = outer
        self.often, self.choose = workload.often, workload.choose
        self.fanouts: dict[str, int] = {}
        self.registers = 0
        self.batch_sizes: dict[str, int] = {}
        self.backed: dict[str, str] = {}
        self.background: list[tuple[str, str]] = []
        self.common: list[Data] = []
        self.extents: dict[str, int] = {}

    # ---- loops -------------------------------------------------------------------------------

    def shapes(self, size: int) -> list[int]:
        """Tile shapes of the loops over one rank variable, from the outermost."""
        found = []
        rest = size
        for _ in range(self.choose((0, 0, 0, 1, 1, 1, 2))):
            whole = [d for d in range(2, rest) if rest % d == 0]
            if rest > 3 and (not whole or self.often(0.3)):
                rest = self.chance.randrange(2, rest)
            elif whole:
                rest = self.choose(whole)
            else:
                break
            found.append(rest)
        if rest > 1 or not found:
            found.append(1)
        return found

    def nest(self, einsum: Drawn) -> list[Data]:
        """The private loops of a leaf."""
        chains: list[list[Data]] = []
        for name in einsum.variables:
            extent = self.extents.get(name, self.workload.sizes[name])
            chains.append([loop(name, shape) for shape in self.shapes(extent)])
        if self.often(0.35):
            chains.reverse()
        if self.often(0.4):
            return [one for chain in chains for one in chain]
        found: list[Data] = []
        while any(chains):
            found.append(self.choose([chain for chain in chains if chain]).pop(0))
        return found

    def with_units(self, einsum: Drawn) -> None:
        """Units take blocks of a rank variable side by side."""
        long = [v for v in einsum.variables if self.extents.get(v, self.workload.sizes[v]) >= 8]
        if not long:
            return
        name = self.choose(long)
        size = self.extents.get(name, self.workload.sizes[name])
        units = self.choose((2, 3, 4))
        block = -(-size // units)
        if self.often(0.2) and block > 4:
            block -= self.chance.randrange(block // 3)
            units = -(-size // block)
        where = einsum.compute
        if self.often(0.4):
            where = "RF"
            self.registers = max(self.registers, units)
        else:
            self.fanouts[where] = max(self.fanouts.get(where, 1), units)
        rest = [
            one for one in einsum.loops if one["rank_variable"] != name or one["tile_shape"] < block
        ]
        spatial = {**loop(name, block), "type": "Spatial", "component": where, "name": "X"}
        first = next((k for k, one in enumerate(rest) if one["rank_variable"] == name), len(rest))
        place = self.chance.randrange(first + 1) if self.often(0.3) else 0
        einsum.loops = [*rest[:place], spatial, *rest[place:]]

    def make_common(self) -> None:
        """A shared loop over blocks of a rank variable that all Einsums have."""
        names = [v for v in self.workload.sizes if all(v in e.variables for e in self.einsums)]
        names = [v for v in names if self.workload.sizes[v] >= 12]
        if names and self.often(0.3):
            name = self.choose(names)
            shape = self.chance.randrange(3, self.workload.sizes[name] // 2 + 1)
            self.common.append(loop(name, shape))
            self.extents[name] = shape

    # ---- holders -----------------------------------------------------------------------------

    def own_holder(self, einsum: Drawn, tensor: str, *, output: bool = False) -> Placed:
        """A holder in a leaf: its place among the loops, its component, its tensor.

        An SRAM stands above the loops of units, registers below those of their own.
        """
        loops = einsum.loops
        spatial = [k for k, one in enumerate(loops) if one["type"] == "Spatial"]
        first, last = 0, len(loops)
        component = "RF" if not output and self.often(0.25) else "SRAM"
        if spatial and component == "RF" and loops[spatial[0]]["component"] == "RF":
            first = spatial[0] + 1
        elif spatial:
            last = spatial[0]
        if component == "RF":
            self.registers = max(self.registers, 1)
        if output and not self.often(0.15):
            inside = [k for k, one in enumerate(loops) if one["rank_variable"] in einsum.sums]
            last = min([last, *inside])
        return self.chance.randrange(first, last + 1), component, tensor

    def holders(self) -> Holders:
        """All holders: each tensor has one above all Einsums that access it."""
        produced = {e.output[0].name for e in self.einsums}
        readers: dict[str, list[Drawn]] = {}
        for einsum in self.einsums:
            for tensor, _, _ in einsum.reads:
                readers.setdefault(tensor.name, []).append(einsum)
        below = self.outer > 0 and not self.common and self.often(0.5)
        found = Holders(own={e.name: [] for e in self.einsums})
        for name in dict.fromkeys([*readers, *sorted(produced)]):
            users = readers.get(name, [])
            maker = next((e for e in self.einsums if e.output[0].name == name), None)
            if maker is not None and users:
                self.exchanged(found, name, maker, users, below=below)
            elif maker is not None:
                self.result(found, name, maker)
            else:
                self.fetched(found, name, users, below=below)
        return found

    def exchanged(
        self, found: Holders, name: str, maker: Drawn, users: list[Drawn], *, below: bool
    ) -> None:
        """Holders of a tensor that another Einsum reads."""
        if self.often(0.7):
            inner = below and self.often(0.7)
            (found.middle if inner else found.sram).append(name)
            if self.often(0.4 if inner else 0.25):
                found.dram.append(name)
                self.background.append((name, "SRAM"))
            return
        found.dram.append(name)
        if self.often(0.7):
            found.own[maker.name].append(self.own_holder(maker, name, output=True))
            self.background.append((name, "SRAM"))
        for user in users:
            if self.often(0.4):
                found.own[user.name].append(self.own_holder(user, name))

    def result(self, found: Holders, name: str, maker: Drawn) -> None:
        """Holders of a tensor that nobody reads."""
        if self.often(0.4):
            found.sram.append(name)
            return
        found.dram.append(name)
        if self.often(0.7):
            if self.often(0.2) and not self.common:
                found.middle.append(name)
            else:
                found.own[maker.name].append(self.own_holder(maker, name, output=True))
            self.background.append((name, "SRAM"))

    def fetched(self, found: Holders, name: str, users: list[Drawn], *, below: bool) -> None:
        """Holders of a tensor that nobody produces."""
        if self.often(0.45):
            found.sram.append(name)
            return
        found.dram.append(name)
        if self.often(0.45):
            (found.middle if below or self.often(0.4) else found.sram).append(name)
            return
        for user in users:
            if self.often(0.6):
                found.own[user.name].append(self.own_holder(user, name))

    # ---- the whole ---------------------------------------------------------------------------

    def batch(self) -> list[Data]:
        """Shared outer loops over a rank of their own, with unequal trip counts at times."""
        if not self.outer:
            return []
        names: dict[str, str] = {}
        sizes: dict[str, int] = {}
        unequal = self.often(0.3)
        made = {e.output[0].name: e for e in self.einsums}
        for einsum in self.einsums:
            before = [sizes[made[t.name].name] for t, _, b in einsum.reads if b and t.name in made]
            size = min(before, default=self.outer)
            if unequal and size > 2 and self.often(0.5):
                size -= self.chance.randrange(1, max(2, size // 3))
            sizes[einsum.name] = size
            names[einsum.name] = f"b{self.outer - size}" if size < self.outer else "b"
            einsum.batch = names[einsum.name]
            self.batch_sizes[einsum.batch] = size
        variable: Any = names if len(set(names.values())) > 1 else self.einsums[0].batch
        shape = self.choose((2, 3)) if self.outer >= 8 and self.often(0.25) else 1
        loops = [{"type": "Temporal", "rank_variable": variable, "tile_shape": shape}]
        if shape > 1:
            loops.append({"type": "Temporal", "rank_variable": variable, "tile_shape": 1})
        return loops

    def split(self, branches: list[Data], numbers: Sequence[int], depth: int = 0) -> Data:
        """A Pipeline or a Sequential, at times with another one in it."""
        kind = "Sequential" if self.often(0.2) else "Pipeline"
        if len(numbers) > 2 and depth < 2 and self.often(0.35):
            cut = self.chance.randrange(1, len(numbers))
            parts = [numbers[:cut], numbers[cut:]]
        else:
            parts = [[n] for n in numbers]
        nodes = [
            branches[part[0]] if len(part) == 1 else nested(self.split(branches, part, depth + 1))
            for part in parts
        ]
        return {"type": kind, "nodes": nodes}

    def case(self) -> Case:
        """The whole cascade."""
        shared = self.batch()
        self.make_common()
        computes = [f"c{k}" for k in range(len(self.einsums))]
        for number, einsum in enumerate(self.einsums):
            einsum.compute = (
                self.choose(computes[: number + 1]) if self.often(0.3) else f"c{number}"
            )
            einsum.loops = self.nest(einsum)
            if self.often(0.25):
                self.with_units(einsum)
        holders = self.holders()
        branches = []
        for einsum in self.einsums:
            nodes: list[Data] = []
            for place in range(len(einsum.loops) + 1):
                nodes += [storage(c, t) for at, c, t in holders.own[einsum.name] if at == place]
                nodes += einsum.loops[place : place + 1]
            branches.append(nested(*nodes, leaf(einsum.name, einsum.compute)))
        above = [*shared, *self.common] if self.often(0.6) else [*self.common, *shared]
        top = [storage(c, *t) for c, t in (("DRAM", holders.dram), ("SRAM", holders.sram)) if t]
        middle = [storage("SRAM", *holders.middle)] if holders.middle else []
        split = self.split(branches, range(len(branches)))
        spec: Data = {
            "workload": self.workload_data(),
            "arch": {"nodes": self.arch()},
            "mapping": {"nodes": [*top, *above, *middle, split]},
        }
        options: Data = {
            "granularity": self.choose(("full", "full", "flow", "auto")),
            "slots": self.choose((2, 2, 1, 3, 4, None)),
        }
        background = [pair for pair in self.background if self.often(0.6)]
        if background:
            options["background"] = background
        options["order"] = self.choose(("best", "best", "best", "program", "skew", "oldest"))
        held = self.inner_holders(holders)
        staged = self.staged(held)
        if staged:
            options["staged"] = staged
        if self.often(0.2):
            options["slots"] = self.slots(held, options["slots"])
        machine = self.machine(spec["arch"]["nodes"])
        if machine:
            spec["schedule"] = machine
        return Case(spec, options)

    # ---- transfers ---------------------------------------------------------------------------

    def inner_holders(self, holders: Holders) -> list[tuple[str, str]]:
        """The (tensor, component) pairs of all holders but backing ones."""
        found = [(t, "SRAM") for t in holders.sram if t in holders.dram]
        found += [(t, "SRAM") for t in holders.middle if t in (*holders.dram, *holders.sram)]
        found += [(t, c) for placed in holders.own.values() for _, c, t in placed]
        return list(dict.fromkeys(found))

    def staged(self, held: list[tuple[str, str]]) -> list[tuple[str, str]]:
        """Some holders that hand over whole tiles, more often of outputs than of inputs.

        Fills of inputs are served ahead in some orders, and where tiles differ they are not
        extrapolated then.
        """
        produced = {e.output[0].name for e in self.einsums}
        outputs, inputs = self.often(0.5), self.often(0.2)
        return [
            pair
            for pair in held
            if (outputs if pair[0] in produced else inputs) and self.often(0.7)
        ]

    def slots(self, held: list[tuple[str, str]], default: int | None) -> Data:
        """The numbers of tiles of some tensors and holders."""
        names = [*dict.fromkeys(t for t, _ in held), *(f"{t}@{c}" for t, c in held)]
        if default is not None and self.often(0.3):
            names += [e.output[0].name for e in self.einsums]
        return {name: self.choose((1, 1, 2, 3, None)) for name in names if self.often(0.5)}

    def machine(self, nodes: list[Data]) -> Data:
        """Latencies, setups and bursts of actions, and rigid pipelines."""
        found: Data = {}
        for key, likely, values in (
            ("latency", 0.2, (1, 2, 7, "5/2", 40)),
            ("setup", 0.1, (1, "1/2", 6)),
            ("burst", 0.1, (2, 3, 8)),
        ):
            if not self.often(likely):
                continue
            table: Data = {}
            for node in nodes:
                for action in node["actions"]:
                    moves = action["name"] != "compute"
                    if (moves or key == "latency") and self.often(0.4):
                        table.setdefault(node["name"], {})[action["name"]] = self.choose(values)
            if table:
                found[key] = table
        if self.often(0.03):
            names = [node["name"] for node in nodes if node["type"] == "Compute"]
            found["rigid"] = [self.choose(names)]
        return found

    def arch(self) -> list[Data]:
        """The architecture: slow or fast DRAM, SRAM, registers perhaps, own and shared units."""
        slow = SLOW_RATES if self.often(0.35) else QUICK_RATES
        dram: tuple[int | str, int | str] = (
            ("inf", "inf") if self.often(0.3) else (self.choose(QUICK_RATES), self.choose(slow))
        )
        free = self.often(0.5)
        sram = ("inf", "inf") if free else (self.choose(QUICK_RATES), self.choose(QUICK_RATES))
        nodes = [memory("DRAM", *dram), memory("SRAM", *sram)]
        for node in nodes:
            node["size"] = "inf"
            if self.often(0.3):
                node["separate_read_write_ports"] = True
            elif self.often(0.3):
                node["total_latency"] = ONE_PORT
        if self.registers:
            register = memory("RF", "inf", "inf", size="inf")
            if self.registers > 1:
                register["spatial"] = [{"name": "X", "fanout": self.registers}]
            nodes.append(register)
        rates = self.balanced() if self.often(0.5) else {}
        for name in dict.fromkeys(e.compute for e in self.einsums):
            node = compute(name, rates.get(name) or self.choose(RATES))
            if name in self.fanouts:
                more = self.choose((1, 1, 2))
                node["spatial"] = [{"name": "X", "fanout": more * self.fanouts[name]}]
            nodes.append(node)
        return nodes

    def balanced(self) -> dict[str, str]:
        """Throughputs with which all units are busy for about the same time."""
        operations: dict[str, int] = {}
        for e in self.einsums:
            size = prod(e.variables.values())
            operations[e.compute] = operations.get(e.compute, 0) + size
        longest = max(operations.values()) * self.choose((1, 2, 5, 9))
        return {
            name: f"1/{max(1, longest // size + self.choose((-1, 0, 0, 1)))}"
            for name, size in operations.items()
        }

    def workload_data(self) -> Data:
        """The workload."""
        einsums = []
        used: dict[str, int] = {}
        for einsum in self.einsums:
            accesses = [self.access(einsum, t, index, b) for t, index, b in einsum.reads]
            accesses.append({**self.access(einsum, *einsum.output, True), "output": True})
            einsums.append({"name": einsum.name, "tensor_accesses": accesses})
            used |= einsum.variables
        used |= self.batch_sizes
        return {
            "iteration_space_shape": {name: f"0 <= {name} < {size}" for name, size in used.items()},
            "bits_per_value": {"All": 1},
            "einsums": einsums,
        }

    def access(self, einsum: Drawn, tensor: Tensor, index: Sequence[str], batched: bool) -> Data:
        """A tensor access as plain data."""
        expressions = [*([einsum.batch] if batched and einsum.batch else []), *index]
        ranks = [f"{tensor.name.upper()}_{at}" for at in range(len(expressions))]
        return {"name": tensor.name, "projection": dict(zip(ranks, expressions, strict=True))}


def draw(seed: int | random.Random, fewest: int = FEWEST, most: int = MOST) -> Case:
    """Draw a case with a number of operations between these; the same one for the same seed."""
    chance = random.Random(seed) if isinstance(seed, int) else seed
    while True:
        workload = WorkloadDraw(chance)
        outer = chance.choice((0, 0, 0, 0, 3, 4, 5, 6, 8, 10, 12, 16))
        times = max(outer, 1)
        number = chance.choice((2, 2, 3, 3, 4))
        for _ in range(number):
            workload.einsum(MOST // times // 2, 0.5 if outer else 0.0)
        size = times * sum(prod(e.variables.values()) for e in workload.einsums)
        if fewest <= size <= most:
            return MappingDraw(workload, outer).case()


def draw_late(seed: int) -> Case:
    """Draw a case with rigid pipelines, and the latencies that make them stall."""
    case, chance = draw(seed), random.Random(seed)
    names = [node["name"] for node in case.spec["arch"]["nodes"] if node["type"] == "Compute"]
    machine = dict(case.spec.get("schedule", {}))
    machine["rigid"] = [name for name in names if chance.random() < 0.7] or names[:1]
    late = {name: {"compute": chance.choice(LATENCIES)} for name in names if chance.random() < 0.8}
    machine["latency"] = machine.get("latency", {}) | late
    options = case.options | ({"staged": []} if chance.random() < 0.5 else {})
    return Case(case.spec | {"schedule": machine}, options)


def draw_padded(seed: int, fewest: int = FEWEST, most: int = MOST) -> Case:
    """Draw a case whose Einsums also read in front of, or behind, what others compute."""
    case, chance = draw(seed, fewest, most), random.Random(seed)
    einsums = case.spec["workload"]["einsums"]
    produced = {a["name"] for e in einsums for a in e["tensor_accesses"] if a.get("output")}
    for einsum in einsums:
        for access in einsum["tensor_accesses"]:
            if access["name"] in produced and not access.get("output"):
                last = list(access["projection"])[-1]
                if chance.random() < 0.8:
                    by = chance.choice((-1, -1, -2, -7, 1, 3))
                    access["projection"][last] += f" {'-' if by < 0 else '+'} {abs(by)}"
    return case


def draw_first_tiles(seed: int, fewest: int = FEWEST, most: int = MOST) -> Case:
    """Draw a case some of whose loops have a first tile of another size."""
    case, chance = draw(seed, fewest, most), random.Random(seed)
    space = case.spec["workload"]["iteration_space_shape"]
    sizes = {name: int(text.split("<")[-1]) for name, text in space.items()}
    give_first_tiles(case.spec["mapping"]["nodes"], sizes, chance)
    return case


def give_first_tiles(nodes: list[Data], extents: dict[str, int], chance: random.Random) -> None:
    """Give some loops at or below nodes a first tile of another size.

    ``extents``: the sizes of the tiles around. No loop needs more units than before.
    """
    extents = dict(extents)
    at = 0
    while at < len(nodes):
        node = nodes[at]
        at += 1
        if node["type"] in ("Temporal", "Spatial"):
            variable, shape = node["rank_variable"], node["tile_shape"]
            names = {variable} if isinstance(variable, str) else {*variable.values()}
            extent = min(extents[name] for name in names)
            extents |= dict.fromkeys(names, min(extent, shape))
            units = '"Spatial"' in json.dumps(nodes[at:])
            most = min(shape, extent - shape + 1) if units else extent
            sizes = [n for n in range(1, most) if n != shape and max(n, extent - n) >= shape]
            if node["type"] == "Spatial" or extent <= 1 or not sizes or chance.random() > 0.25:
                continue
            first = chance.choice((chance.choice(sizes), min(shape + 1, max(sizes)), min(sizes)))
            if first == shape:
                continue
            node["initial_tile_shape"] = first
            extents |= dict.fromkeys(names, max(first, min(shape, extent - first)))
            if shape == 1:
                nodes.insert(at, {**node, "initial_tile_shape": 1})
        for branch in node.get("nodes", ()):
            give_first_tiles(branch["nodes"], extents, chance)


DRAWS: dict[str, Callable[[int], Case]] = {
    "plain": draw,
    "late": draw_late,
    "padded": draw_padded,
    "first": draw_first_tiles,
}
"""What draws a case from a seed, by name."""


def cases(fewest: int = FEWEST, most: int = MOST) -> st.SearchStrategy[Case]:
    """Cases as a strategy; a failing seed is replayed by ``draw`` with the same arguments."""
    return st.integers(0, 2**63).map(lambda seed: draw(seed, fewest, most))
