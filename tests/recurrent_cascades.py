"""Hypothesis strategies: random cascades with recurrences as plain data, about half of them legal.

``recurrent_cascades()`` draws ``(spec, options)``, as ``strategies.cascades`` does, and with the
same machines, mappings and options. Its workloads are built around a state that an Einsum reads
from one step or two before: by itself or by an earlier Einsum.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from hypothesis import strategies as st

import oracle
from oracle import Einsum
from recurrent import access, einsum, written
from strategies import (
    Above,
    Draw,
    Loops,
    MappingDraw,
    architectures,
    chances,
    covers,
    finishes,
    keeps,
    located,
    machines,
    options,
    produces,
    reads,
    tensor_names,
)

Data = dict[str, Any]


# --------------------------------------------------------------------------------------------
# Workloads
# --------------------------------------------------------------------------------------------


class StepsDraw:
    """Draws the Einsums of one step; ``t`` numbers the steps, ``b`` a batch.

    ``distance``: how many steps before a state is read. ``ahead``: what an index of a state adds
    to the step that writes it; it may be 0, so that initial states have negative indices.
    """

    def __init__(self, draw: Draw) -> None:
        self.draw = draw
        self.sizes = {
            "t": draw(st.sampled_from((3, 2, 4, 5))),
            "b": draw(st.sampled_from((2, 1, 3))),
        }
        self.distance: int = draw(st.sampled_from((1, 1, 2)))
        self.ahead: int = draw(st.sampled_from((self.distance, self.distance, 0, 1)))

    def at(self, tensor: str, steps: int, *rest: str, output: bool = False) -> Data:
        """An access to a state, that many steps after the one in which it is read at first."""
        offset = self.ahead - self.distance + steps
        index = "t" if offset == 0 else f"t {'+' if offset > 0 else '-'} {abs(offset)}"
        return access(tensor, index, *(rest or ("b",)), output=output)

    def new(self, tensor: str, *rest: str) -> Data:
        """The access that writes a state."""
        return self.at(tensor, self.distance, *rest, output=True)

    def old(self, tensor: str, *rest: str) -> list[Data]:
        """The accesses that read a state: that before the distance, perhaps a later one, too."""
        found = [self.at(tensor, 0, *rest)]
        if self.distance > 1 and self.draw(chances(4)):
            found.append(self.at(tensor, 1, *rest))
        return found

    def itself(self) -> list[Data]:
        """``h[t+1] = f(h[t], x[t])``."""
        return [einsum("e", *self.old("h"), access("x", "t", "b"), self.new("h"))]

    def across(self) -> list[Data]:
        """``g[t] = f(h[t], x[t])``, ``h[t+1] = f(g[t])``, perhaps with another stage between."""
        more = self.draw(st.booleans())
        result = [einsum("e", *self.old("h"), access("x", "t", "b"), written("g", "t", "b"))]
        if more:
            result.append(einsum("f", access("g", "t", "b"), written("q", "t", "b")))
        last = access("q" if more else "g", "t", "b")
        return [*result, einsum("k", last, self.new("h"))]

    def stencil(self) -> list[Data]:
        """``h[t+1, b]`` from a window of ``h[t]``, with padding at one end or at both."""
        self.sizes["r"] = self.draw(st.sampled_from((2, 3)))
        place = self.draw(st.sampled_from(("b + r", "b + r - 1")))
        return [einsum("e", *self.old("h", place), access("w", "r"), self.new("h"))]

    def wavefront(self) -> list[Data]:
        """``h[t+1, b+1]`` from its neighbors in both directions."""
        reads = [self.at("h", 0, "b + 1"), self.at("h", self.distance, "b")]
        return [einsum("e", *reads, access("x", "t", "b"), self.new("h", "b + 1"))]

    def network(self) -> list[Data]:
        """``h[t+1, b] = sum of h[t, i] w[i, b]``, perhaps with an activation between."""
        self.sizes["i"] = self.sizes["b"]
        product = [*self.old("h", "i"), access("w", "i", "b")]
        if self.draw(st.booleans()):
            return [einsum("e", *product, self.new("h"))]
        return [
            einsum("e", *product, written("s", "t", "b")),
            einsum("f", access("s", "t", "b"), access("x", "t", "b"), self.new("h")),
        ]

    def states(self) -> list[Data]:
        """Two states: ``c[t+1]`` from both, ``h[t+1]`` from the new ``c`` and perhaps ``h[t]``."""
        more = self.old("h") if self.draw(st.booleans()) else []
        return [
            einsum("e", *self.old("c"), *self.old("h"), self.new("c")),
            einsum("f", self.at("c", self.distance), *more, self.new("h")),
        ]

    def softmax(self) -> list[Data]:
        """A running maximum, and a sum that is scaled by its change."""
        self.sizes["z"] = self.draw(st.sampled_from((1, 2)))
        score = access("s", "t", "z", "b")
        old, new = self.at("m", 0), self.at("m", self.distance)
        weight = access("p", "t", "z", "b")
        return [
            einsum("e", old, score, self.new("m")),
            einsum("f", score, new, written("p", "t", "z", "b")),
            einsum("k", self.at("d", 0), old, new, weight, self.new("d")),
        ]

    def observed(self) -> list[Data]:
        """A state that another Einsum reads, before or after it is computed."""
        state = einsum("e", *self.old("h"), access("x", "t", "b"), self.new("h"))
        some = [self.at("h", steps) for steps in (0, self.distance) if self.draw(chances(6))]
        other = einsum("f", *(some or [self.at("h", 0)]), access("w", "t"), written("y", "t", "b"))
        return [other, state] if self.draw(st.booleans()) else [state, other]

    def einsums(self) -> list[Data]:
        """The Einsums of all steps; perhaps one before, and one that copies the last state."""
        kinds: tuple[Callable[[], list[Data]], ...] = (
            *(self.itself, self.across, self.stencil, self.wavefront, self.network),
            *(self.states, self.softmax, self.observed, self.across, self.observed),
        )
        result: list[Data] = self.draw(st.sampled_from(kinds))()
        names = {entry["name"] for one in result for entry in one["tensor_accesses"]}
        if "x" in names and self.draw(chances(2)):
            result.insert(0, einsum("a", access("i", "t", "b"), written("x", "t", "b")))
        if "h" in names and self.draw(chances(1)):
            last = self.sizes["t"] - 1 + self.ahead
            copy = einsum("z", access("h", last, "b"), written("o", "b"))
            result.append({**copy, "is_copy_operation": True})
        return list(self.draw(st.permutations(result))) if self.draw(chances(2)) else result


@st.composite
def recurrent_workloads(draw: Draw) -> Data:
    """One to five Einsums around a recurrence."""
    drawn = StepsDraw(draw)
    einsums = drawn.einsums()
    workload: Data = {
        "iteration_space_shape": {name: f"0 <= {name} < {n}" for name, n in drawn.sizes.items()},
        "bits_per_value": {"All": draw(st.sampled_from((1, 8, 2)))},
        "einsums": einsums,
    }
    if draw(chances(3)):
        bits = {name: draw(st.sampled_from((8, 1, 2, 4))) for name in tensor_names(workload)}
        workload["bits_per_value"] = bits
    return workload


# --------------------------------------------------------------------------------------------
# Mappings
# --------------------------------------------------------------------------------------------


class RecurrentMappingDraw(MappingDraw):
    """Draws mappings such that most states exist before they are read, in the order of the tree."""

    def is_state(self, tensor: str) -> bool:
        """Whether a tensor is read by its producer, or by an Einsum before it."""
        producer = next(at for at, e in enumerate(self.einsums) if produces(e, tensor))
        return any(reads(e, tensor) for e in self.einsums[: producer + 1])

    def goes_back(self, group: Sequence[Einsum]) -> bool:
        """Whether an Einsum of a group reads what a later one of it computes."""
        return any(
            reads(one, access.tensor)
            for number, two in enumerate(group)
            for access in two.accesses
            if access.output
            for one in group[:number]
        )

    def shared_loops(self, group: Sequence[Einsum]) -> int:
        """Draw the number of loops above a split: a recurrence that goes back needs one."""
        if self.goes_back(group):
            return self.choose((1, 1, 2, 3, 0))
        return super().shared_loops(group)

    def shared_variable(self, group: Sequence[Einsum], above: Above, common: Sequence[str]) -> str:
        """Draw the variable of a loop above a split, mostly that over steps if it is needed."""
        needed = "t" in common and above.extents["t"] > 1 and self.goes_back(group)
        if needed and self.chance(7):
            return "t"
        return super().shared_variable(group, above, common)

    def shared_shape(self, group: Sequence[Einsum], variable: str, extent: int) -> int:
        """Draw the tile shape of a loop above a split: mostly single steps if they are needed."""
        if variable == "t" and self.goes_back(group) and self.chance(6):
            return 1
        return super().shared_shape(group, variable, extent)

    def may_be_spatial(self, einsum: Einsum, variable: str) -> bool:
        """Whether a leaf's loop may be Spatial: hardly one over steps."""
        return variable != "t" or self.chance(1)

    def may_back(self, einsum: Einsum, tensor: str, loops: Loops) -> bool:
        """Whether the backing storage of a leaf's output may stand below these loops."""
        computed = self.produced[tensor]
        state = reads(einsum, tensor)
        return keeps(einsum, tensor, loops) and (
            not state or covers(einsum, einsum, tensor, loops, computed)
        )

    def may_share(self, group: Sequence[Einsum], above: Above, tensor: str, number: int) -> bool:
        """Whether a holder above a split serves everybody below it.

        Of a state, the first one that accesses it fills what others find there, or it is brought.
        """
        if tensor not in self.produced or not self.is_state(tensor):
            return super().may_share(group, above, tensor, number)
        users = [e for e in group if produces(e, tensor) or reads(e, tensor)]
        if self.ignores == "cover" or self.holders[number][1] or not users:
            return True
        computed = self.produced[tensor]
        producer = next((e for e in users if produces(e, tensor)), None)
        backing = not above.holders.get(tensor)
        if producer and self.ignores != "sums":
            if backing and not keeps(producer, tensor, above.loops):
                return False
            if not all(finishes(producer, e, tensor, above.loops) for e in users):
                return False
        if backing:
            return producer is not None and all(
                covers(producer, e, tensor, above.loops, computed) for e in users
            )
        there = set(located(users[0], tensor, above.loops, written=False))
        if producer:
            there |= set(located(producer, tensor, above.loops, written=True))
        return all(
            (index, element) in there or element not in computed
            for e in users
            for index, element in located(e, tensor, above.loops, written=False)
        )

    def branches(self, group: Sequence[Einsum]) -> list[list[Einsum]]:
        """Cut a group into two branches or more; mostly, all steps before what has none."""
        steps = [e for e in group if "t" in dict(e.bounds)]
        first = list(group[: len(steps)])
        if 0 < len(steps) < len(group) and steps == first and self.chance(9):
            return [steps, list(group[len(steps) :])]
        return super().branches(group)


@st.composite
def recurrent_mappings(draw: Draw, workload: Data, arch: Data) -> Data:
    """A tree of loops, holders and splits for a workload with recurrences."""
    drawn = RecurrentMappingDraw(draw, workload, arch)
    extents = {name: end - start for e in drawn.einsums for name, (start, end) in e.bounds}
    nodes = drawn.group(drawn.einsums, Above((), extents, {}))
    return {"nodes": nodes}


@st.composite
def recurrent_cascades(draw: Draw) -> tuple[Data, Data]:
    """A cascade with recurrences as plain data, and options for ``analyze``."""
    workload = draw(recurrent_workloads())
    arch = draw(architectures(workload))
    spec = {"workload": workload, "arch": arch, "mapping": draw(recurrent_mappings(workload, arch))}
    machine = draw(machines(arch))
    if machine:
        spec["schedule"] = machine
    return spec, draw(options(spec))


def is_legal(spec: Data, chosen: Data) -> bool:
    """Whether a mapping is legal."""
    try:
        oracle.analyze(spec, **chosen)
    except oracle.Illegal:
        return False
    return True
