"""The critical path in the user's words: its tasks, taken apart into accesses."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import numpy as np

from polylat.model import Model
from polylat.report import Number, Step, WaitedFor
from polylat.schedule.critical import (
    BARRIER,
    CAPACITY,
    FLOW,
    PORT,
    START,
    Link,
    critical_links,
)
from polylat.schedule.timing import Timing

__all__ = ["critical_steps"]

_REASONS: dict[int, WaitedFor | None] = {
    FLOW: "flow",
    BARRIER: "barrier",
    CAPACITY: "capacity",
    PORT: "port",
    START: None,
}


def critical_steps(model: Model, timing: Timing) -> tuple[Step, ...]:
    """The accesses of the critical path, in order."""
    steps: list[Step] = []
    for link in critical_links(model.plan, timing):
        steps += _steps(model, timing, link)
    return tuple(steps)


def _steps(model: Model, timing: Timing, link: Link) -> Iterator[Step]:
    graph, layout, costs = model.graph, model.layout, model.costs
    block_number = int(graph.task_block[link.task])
    port = int(graph.task_port[link.task])
    owner = int(graph.owner[block_number])
    leaf_number = int(np.searchsorted(layout.bases, owner, side="right")) - 1
    tiles = layout.tiles[leaf_number]
    iteration = owner - layout.bases[leaf_number]
    block = layout.blocks[leaf_number][int(graph.sequence[block_number])]
    key = costs.ports[port]
    components = model.lowered.spec.arch.paths[tiles.leaf.einsum.name]
    component = next(c for c in components if c.name == key.component)
    tile = tuple(
        (loop.variable, int(tiles.digits[k, iteration]))
        for k, loop in enumerate(tiles.leaf.temporal[: tiles.depth])
    )
    parts: list[tuple[str | None, str, int]] = []
    for access in block.accesses():
        cost = (leaf_number, access.component, access.tensor, access.action)
        each = costs.per_value[cost].get(port, 0)
        at = int(np.searchsorted(access.iterations, iteration))
        there = at < len(access.iterations) and access.iterations[at] == iteration
        if each and there:
            parts.append((access.tensor, access.action, each * int(access.counts[at])))
    if block.kind == "foreground" and iteration == 0:
        once = costs.constant.get((leaf_number, key.component), {}).get(port, 0)
        if once:
            parts.append((None, "overhead", once))
    now = int(timing.task_begin[link.task])
    reason = _REASONS[link.reason]
    for tensor, action, duration in parts:
        yield Step(
            einsum=tiles.leaf.einsum.name,
            tile=tile,
            component=key.component,
            port=component.ports[key.index].name,
            tensor=tensor,
            action=action,
            start=_number(now, costs.scale),
            finish=_number(now + duration, costs.scale),
            waited_for=reason,
        )
        now += duration
        reason = "port"


def _number(steps: int, scale: int) -> Number:
    time = Fraction(steps, scale)
    return time.numerator if time.denominator == 1 else time
