"""Find the steps of a critical path in a schedule: each one's block, tile iteration and port."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from polylat.analysis.access import Step
from polylat.lowering.iterations import IrregularError
from polylat.proof.checked_schedule import CheckedSchedule
from polylat.proof.tabulated_times import TabulatedTimes
from polylat.proof.words import BrokenRule
from polylat.schedule.arrays import Ints, Times
from polylat.schedule.pieces import Pieces

__all__ = ["Place", "describe_step", "locate_steps"]

Index = tuple[int, ...]
Place = tuple[int, int, Index]
"""(leaf, block, tile iteration)"""

_MAX_TABLE = 2_000_000


def locate_steps(
    schedule: CheckedSchedule, steps: Sequence[Step], times: Sequence[tuple[int, int]]
) -> list[tuple[Place, int]]:
    """Find the services of a schedule that are the steps of a critical path.

    Parameters
    ----------
    schedule
        The schedule.
    steps
        The steps.
    times
        (start, finish) of each step, in steps of 1/scale.

    Returns
    -------
    list of (Place, int)
        Each step's block and tile iteration, and its port.

    Raises
    ------
    BrokenRule
        A step is not in the schedule.
    """
    leaf_of = {leaf.einsum.name: leaf.number for leaf in schedule.sets.leaves}
    found: list[tuple[Place, int] | None] = [None] * len(steps)
    groups: dict[tuple[int, str, str, str | None, str], list[int]] = {}
    for k, s in enumerate(steps):
        if not _exists(schedule, s):
            raise BrokenRule(f"the mapping has no access like {s}")
        key = leaf_of[s.einsum], s.component, s.port, s.tensor, s.action
        groups.setdefault(key, []).append(k)
    for (leaf, component, port_name, tensor, action), members in groups.items():
        tiles = schedule.model.layout.tiles[leaf]
        rows = [[x for _, x in steps[k].tile] for k in members]
        digits = np.array(rows, dtype=np.int64).reshape(len(members), tiles.depth)
        try:
            samples, _ = tiles.locate(np.ascontiguousarray(digits.T))
        except IrregularError:
            continue  # a tile iteration does not exist
        start = np.array([times[k][0] for k in members], dtype=object)
        lasts = np.array([times[k][1] - times[k][0] for k in members], dtype=object)
        for block, port, offset, duration in _candidates(
            schedule, leaf, component, port_name, tensor, action
        ):
            stream = schedule.block_starts(leaf, block)
            if port not in stream.tasks:
                continue
            begin, there = _times_at(stream.tasks[port], digits)
            fits = there & np.asarray(
                begin.astype(object) + offset[samples] == start, dtype=np.bool_
            )
            fits &= np.asarray(duration[samples] == lasts, dtype=np.bool_)
            for at in np.flatnonzero(fits).tolist():
                index = tuple(int(x) for x in digits[at])
                found[members[at]] = found[members[at]] or ((leaf, block, index), port)
    result = []
    for k, place in enumerate(found):
        if place is None:
            raise BrokenRule(
                f"{describe_step(schedule, steps[k])} is not at {steps[k].start} in the schedule"
            )
        result.append(place)
    return result


def _exists(schedule: CheckedSchedule, step: Step) -> bool:
    """Return whether the mapping has the step's Einsum, component and loops."""
    leaf = next((x.number for x in schedule.sets.leaves if x.einsum.name == step.einsum), None)
    if leaf is None:
        return False
    tiles = schedule.model.layout.tiles[leaf]
    path = schedule.model.lowered.spec.arch.paths[step.einsum]
    return [v for v, _ in step.tile] == [
        loop.variable for loop in tiles.leaf.temporal[: tiles.depth]
    ] and any(c.name == step.component for c in path)


def _candidates(
    schedule: CheckedSchedule,
    leaf: int,
    component: str,
    port_name: str,
    tensor: str | None,
    action: str,
) -> list[tuple[int, int, Times, Times]]:
    """Return the accesses of a name: block, port, offset within the block, and duration."""
    costs, tiles = schedule.model.costs, schedule.model.layout.tiles[leaf]
    einsum = schedule.model.lowered.leaves[leaf].einsum.name
    named = schedule.model.lowered.spec.arch.component(einsum, component).ports
    found = []
    for block, what in enumerate(schedule.model.layout.blocks[leaf]):
        into: dict[int, Times] = {}
        for access in what.accesses:
            key = leaf, access.component, access.tensor, access.action
            for port, each in costs.per_value[key].items():
                offset = into.setdefault(port, np.full(tiles.size, 0, dtype=object))
                lasts = np.full(tiles.size, 0, dtype=object)
                lasts[access.iterations] = access.counts.astype(object) * each
                same = (access.component, access.tensor, access.action) == (
                    component,
                    tensor,
                    action,
                )
                if same and named[costs.ports[port].index].name == port_name:
                    found.append((block, port, offset.copy(), lasts))
                into[port] = offset + lasts
        if action == "overhead" and tensor is None and what.kind == "foreground":
            for port, once in costs.constant.get((leaf, component), {}).items():
                lasts = np.full(tiles.size, 0, dtype=object)
                lasts[0] = once
                zero = np.full(tiles.size, 0, dtype=object)
                found.append((block, port, into.get(port, zero), lasts))
    return found


def describe_step(schedule: CheckedSchedule, step: Step) -> str:
    """Return a step in words.

    Parameters
    ----------
    schedule
        The schedule.
    step
        The step.

    Returns
    -------
    str
        Its component, tensor, action and tile iteration.
    """
    index = tuple(x for _, x in step.tile)
    leaf = next(x.number for x in schedule.sets.leaves if x.einsum.name == step.einsum)
    tile = schedule.words.tile(leaf, index)
    return f"{step.component} {step.tensor or ''} {step.action} of {tile}".replace("  ", " ")


def _times_at(pieces: Pieces, digits: Ints) -> tuple[Times, np.ndarray]:
    """Return start times in tile iterations (one per row), and where the event occurs."""
    if pieces.points <= _MAX_TABLE and pieces.size > 50:
        points = TabulatedTimes(pieces)
        at, there = points.find(digits)
        return points.table[1][at], there
    times = np.full(len(digits), 0, dtype=pieces.start.dtype)
    found = np.zeros(len(digits), dtype=np.bool_)
    for f in range(pieces.size):
        apart = digits - pieces.low[:, f][None, :]
        steps = apart // pieces.stride[:, f][None, :]
        here = (apart == steps * pieces.stride[:, f][None, :]) & (steps >= 0)
        here = (here & (steps < pieces.count[:, f][None, :])).all(axis=1)
        rates = pieces.rate[:, f][None, :]
        moved = (steps[here].astype(times.dtype) * rates).sum(axis=1)
        times[here] = pieces.start[f] + moved
        found |= here
    return times, found
