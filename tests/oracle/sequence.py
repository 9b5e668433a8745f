"""Shifts, and the sequence of blocks on a port.

Implements *Ports and their orders*, *Orders*, up to *Sequence on a port*.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .dates import Shifts, date, linear
from .model import Model
from .problem import Node
from .steps import Step

Priority = Callable[[Step], tuple[Any, ...]]
"""What a port serves earlier compares less."""


def shifts_of(model: Model) -> Shifts:
    """The shifts of all Pipelines that have skew."""
    shifts: dict[Node, list[int]] = {}
    for leaf in model.lowered.leaves:
        start = 0
        for split, _ in leaf.turns:
            end = leaf.depth(split)
            if split.kind == "Pipeline" and split not in shifts:
                found = shifts_of_pipeline(model, split, start, end)
                if found is not None:
                    shifts[split] = found
            start = end
    return shifts


def shifts_of_pipeline(model: Model, split: Node, start: int, end: int) -> list[int] | None:
    """The least shifts ≥ 0 with which every flow between stages goes forward; None without any.

    Every flow from a stage a into another stage s, between tile iterations that agree on all loops
    above t, has t_consumer + c_s ≥ t_producer + c_a + 1, without the + 1 where s stands before a.
    """
    lowered = model.lowered
    stage_of = {
        leaf.order: branch
        for leaf in lowered.leaves
        for node, branch in leaf.turns
        if node == split
    }
    least: dict[tuple[int, int], int] = {}
    for flow in model.flows:
        a, s = stage_of.get(flow.source), stage_of.get(flow.target)
        if a is None or s is None or a == s:
            continue
        if flow.source_iteration[:start] != flow.target_iteration[:start]:
            continue
        source, target = lowered.leaves[flow.source], lowered.leaves[flow.target]
        produced = linear(lowered, source, start, end, flow.source_iteration)
        consumed = linear(lowered, target, start, end, flow.target_iteration)
        apart = produced - consumed + (s > a)
        least[a, s] = max(least.get((a, s), apart), apart)
    shifts = [0] * len(split.branches)
    # The longest chain of flows that repeats no stage has one flow less than there are stages.
    for _ in shifts:
        before = list(shifts)
        for (a, s), apart in least.items():
            shifts[s] = max(shifts[s], shifts[a] + apart)
        if shifts == before:
            return shifts
    return None


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
