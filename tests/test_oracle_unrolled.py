"""A recurrence with its state in registers, and the same cascade with Einsums for each step."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

import oracle
from builders import leaf, loop, memory, nested, spec, storage
from recurrent import access, einsum, unit

Data = dict[str, Any]


@dataclass(frozen=True)
class Scan:
    """One or two Einsums per step, the loop over steps outermost and a batch inside.

    ``pattern``: what of an earlier state is read for one of the next: the same place, a window, or
    everything (times a matrix). ``loads``: whether x is moved into registers at every step.
    """

    steps: int
    batch: int
    distance: int
    pattern: str
    pair: bool
    kind: str
    loads: bool
    nodes: tuple[Data, ...]
    staged: bool

    def einsums(self, step: int | None) -> list[Data]:
        """The Einsums of one step, whose states are tensors of their own; of all steps if None."""

        def at(tensor: str, ahead: int, *rest: str, output: bool = False) -> Data:
            if step is None:
                return access(tensor, f"t + {ahead}", *rest, output=output)
            if tensor == "x":
                return access("x", step + ahead, *rest)
            return access(f"{tensor}{step + ahead}", *rest, output=output)

        suffix = "" if step is None else str(step)
        place = {"same": "b", "window": "b + r", "all": "k"}[self.pattern]
        reads = [at("h", 0, place), at("x", 0, "b")]
        if self.distance > 1:
            reads.append(at("h", 1, "b"))
        if self.pattern == "all":
            reads.append(access("w", "k", "b"))
        if self.pattern == "window":
            reads.append(access("w", "r"))
        if not self.pair:
            return [einsum(f"e{suffix}", *reads, at("h", self.distance, "b", output=True))]
        return [
            einsum(f"e{suffix}", *reads, at("g", 0, "b", output=True)),
            einsum(f"f{suffix}", at("g", 0, "b"), at("h", self.distance, "b", output=True)),
        ]

    def branch(self, name: str) -> list[Data]:
        """The nodes of an Einsum below the loop over steps."""
        if name[0] == "f":
            return [loop("b"), leaf(name, "two")]
        inner = {"same": [], "window": [loop("r")], "all": [loop("k")]}[self.pattern]
        moved = [storage("RF", "x")] if self.loads else []
        return [*moved, loop("b"), *inner, leaf(name, "one")]

    @property
    def sizes(self) -> dict[str, int]:
        """The sizes of the rank variables that are used below the loop over steps."""
        sizes = {"b": self.batch}
        if self.pattern == "window":
            sizes["r"] = 2
        if self.pattern == "all":
            sizes["k"] = self.batch
        return sizes

    def rolled(self) -> Data:
        """The cascade as a recurrence."""
        names = ["e", "f"] if self.pair else ["e"]
        branches = [nested(*self.branch(name)) for name in names]
        inner = [{"type": self.kind, "nodes": branches}] if self.pair else self.branch("e")
        registers = storage("RF", "h", *(["g"] if self.pair else []), *self.weights)
        return spec(
            {"t": self.steps, **self.sizes},
            self.einsums(None),
            self.nodes,
            [storage("SRAM", "x"), registers, loop("t"), *inner],
        )

    def unrolled(self) -> Data:
        """The cascade with Einsums for each step, on the same units."""
        einsums = [one for step in range(self.steps) for one in self.einsums(step)]
        states = [f"h{step}" for step in range(self.steps + self.distance)]
        states += [f"g{step}" for step in range(self.steps)] if self.pair else []
        used = {one["name"] for entry in einsums for one in entry["tensor_accesses"]}
        registers = storage("RF", *(name for name in states if name in used), *self.weights)
        branches = [nested(*self.branch(entry["name"])) for entry in einsums]
        split = [{"type": self.kind, "nodes": branches}]
        return spec(
            self.sizes,
            einsums,
            self.nodes,
            [storage("SRAM", "x"), registers, *(split if len(branches) > 1 else branches)],
        )

    @property
    def weights(self) -> list[str]:
        """The tensor that the states are multiplied with."""
        return [] if self.pattern == "same" else ["w"]


@st.composite
def memories(draw: Any, name: str) -> Data:
    """A Memory, perhaps with a port per action and with latencies."""
    times = st.sampled_from(("inf", 2, 1, "1/2", "2/3"))
    found = memory(name, draw(times), draw(times), size="inf")
    for action in found["actions"]:
        action["latency"] = draw(st.sampled_from((0, 0, 1, 5)))
    if draw(st.booleans()):
        found["separate_read_write_ports"] = True
    return found


@st.composite
def scans(draw: Any) -> Scan:
    """A small scan; a Sequential only where there are two Einsums per step."""
    units = [
        unit(name, draw(st.sampled_from((1, 2, 3))), draw(st.sampled_from((0, 1, 4, 10))))
        for name in ("one", "two")
    ]
    pair = draw(st.booleans())
    return Scan(
        steps=draw(st.integers(1, 4)),
        batch=draw(st.integers(1, 3)),
        distance=draw(st.sampled_from((1, 1, 2))),
        pattern=draw(st.sampled_from(("same", "window", "all"))),
        pair=pair,
        kind=draw(st.sampled_from(("Pipeline", "Sequential"))) if pair else "Pipeline",
        loads=draw(st.booleans()),
        nodes=(draw(memories("SRAM")), draw(memories("RF")), *units),
        staged=draw(st.booleans()),
    )


@given(scans())
def test_unrolling(case: Scan) -> None:
    """The program order's latency and both bounds, and the accesses, are those of single steps.

    Tile iterations of an Einsum start in order, across steps, too: the dependence bounds agree
    because no tile iteration of a step could start before the last one of the step before.
    """
    options: Data = {"granularity": "full", "slots": None, "staged": "x" if case.staged else ()}
    rolled = oracle.analyze(case.rolled(), **options)
    unrolled = oracle.analyze(case.unrolled(), **options)
    assert rolled["latency_by_order"]["program"] == unrolled["latency_by_order"]["program"]
    assert rolled["resource_bound"] == unrolled["resource_bound"]
    assert rolled["dependence_bound"] == unrolled["dependence_bound"]
    assert actions(rolled) == actions(unrolled)


def actions(answer: Data) -> dict[tuple[str, ...], Fraction]:
    """The actions per component, tensor and Einsum, those of all steps together."""
    total: dict[tuple[str, ...], Fraction] = defaultdict(Fraction)
    for (name, component, tensor, action), count in answer["accesses"].items():
        key = name[0], component, (tensor or "")[:1], action
        total[key] += count
    return total
