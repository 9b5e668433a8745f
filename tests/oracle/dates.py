"""Logical dates, shifts, and the sequence of blocks on a port.

Implements *Ports and their orders*, *Orders*, up to *Sequence on a port*.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .lowered import Lowered
from .model import Model
from .paths import Leaf
from .problem import Index, Node
from .steps import Step

Shifts = Mapping[Node, list[int]]
"""Per Pipeline, the shift of each stage."""

Priority = Callable[[Step], tuple[Any, ...]]
"""What a port serves earlier compares less."""


def linear(lowered: Lowered, leaf: Leaf, start: int, end: int, iteration: Index) -> int:
    """The linearised index of the loops between two splits.

    Mixed radix, radix = the loop's largest trip count: of all leaves below the loop, so that they
    number its iterations alike.
    """
    index = 0
    for place in range(start, end):
        node = leaf.temporal[place].node
        trips = (loop.trips for x in lowered.leaves for loop in x.temporal if loop.node == node)
        index = index * max(trips) + iteration[place]
    return index


def date(lowered: Lowered, leaf: Leaf, iteration: Index, shifts: Shifts | None) -> Index:
    """The logical date of a tile iteration, with skew where ``shifts`` are given.

    For each Split the linearised index t of the loops between it and the split above it, then the
    branch s; last the remaining indices. Under Pipeline with skew, (t, s) becomes (t + c_s, −s).
    """
    result: list[int] = []
    start = 0
    for split, branch in leaf.turns:
        end = leaf.depth(split)
        t = linear(lowered, leaf, start, end, iteration)
        if shifts is not None and split.kind == "Pipeline":
            result += [t + shifts[split][branch], -branch]
        else:
            result += [t, branch]
        start = end
    return (*result, *iteration[start:])


def shifts_of(model: Model) -> Shifts:
    """The shifts of all Pipelines."""
    shifts: dict[Node, list[int]] = {}
    for leaf in model.lowered.leaves:
        start = 0
        for split, _ in leaf.turns:
            end = leaf.depth(split)
            if split.kind == "Pipeline" and split not in shifts:
                shifts[split] = shifts_of_pipeline(model, split, start, end)
            start = end
    return shifts


def shifts_of_pipeline(model: Model, split: Node, start: int, end: int) -> list[int]:
    """The least shifts ≥ 0 with which every flow between stages goes forward.

    Every flow from an earlier stage a into s, between tile iterations that agree on all loops
    above t, has t_consumer + c_s ≥ t_producer + c_a + 1.
    """
    lowered = model.lowered
    shifts = [0] * len(split.branches)
    stage_of = {
        leaf.order: branch
        for leaf in lowered.leaves
        for node, branch in leaf.turns
        if node == split
    }
    for stage in range(1, len(shifts)):
        for flow in model.flows:
            early = stage_of.get(flow.source, stage)
            if stage_of.get(flow.target) != stage or early >= stage:
                continue
            if flow.source_iteration[:start] != flow.target_iteration[:start]:
                continue
            source, target = lowered.leaves[flow.source], lowered.leaves[flow.target]
            produced = linear(lowered, source, start, end, flow.source_iteration)
            consumed = linear(lowered, target, start, end, flow.target_iteration)
            shifts[stage] = max(shifts[stage], produced + shifts[early] + 1 - consumed)
    return shifts


def sequence(model: Model, shifts: Shifts | None) -> Priority:
    """Sequence on a port, of the program order (no ``shifts``) or with skew.

    Blocks by (date of the host; fills and read-backs, foreground, write-backs; own before hosted;
    date of the own tile iteration; level; order of the Einsum's accesses).
    """
    dates = {
        (run.leaf.order, iteration): date(model.lowered, run.leaf, iteration, shifts)
        for run in model.runs
        for iteration in run.iterations
    }

    def priority(step: Step) -> tuple[Any, ...]:
        place = step.place
        host = step.iteration if shifts is None else place.host
        return (
            dates[step.leaf, host],
            place.kind,
            host != step.iteration,
            dates[step.leaf, step.iteration],
            place.number,
        )

    return priority
