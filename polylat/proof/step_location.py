"""Find the steps of a critical path in a schedule: each one's block, tile iteration and port."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from polylat.analysis.access import Step
from polylat.proof.broken_rule import BrokenRule
from polylat.proof.checked_schedule import CheckedSchedule
from polylat.proof.loop_counts import LoopCounts, constant, together
from polylat.proof.passing import numbers_at
from polylat.proof.tabulated_times import TabulatedTimes
from polylat.proof.units import PortName
from polylat.proof.waits import Place
from polylat.schedule.arrays import Ints, Times
from polylat.schedule.pieces import Pieces

__all__ = ["describe_step", "locate_steps"]

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
    groups: dict[tuple[int, str, str, str, str | None, str], list[int]] = {}
    known: set[tuple[str, str, tuple[str, ...]]] = set()
    for k, s in enumerate(steps):
        kind = s.einsum, s.component, tuple([v for v, _ in s.tile])
        if kind not in known:
            if not _exists(schedule, s):
                raise BrokenRule(f"the mapping has no access like {s}")
            known.add(kind)
        key = leaf_of[s.einsum], s.component, s.port, s.units, s.tensor, s.action
        groups.setdefault(key, []).append(k)
    for (leaf, component, port_name, units, tensor, action), members in groups.items():
        depth, path = schedule.sets.depths[leaf], schedule.sets.leaves[leaf]
        rows = [[x for _, x in steps[k].tile] for k in members]
        digits = np.array(rows, dtype=np.int64).reshape(len(members), depth)
        start = np.array([times[k][0] for k in members], dtype=object)
        lasts = np.array([times[k][1] - times[k][0] for k in members], dtype=object)
        access = component, port_name, units, tensor, action
        for block, port, offset, duration in _candidates(schedule, leaf, access):
            stream = schedule.block_starts(leaf, block)
            if port not in stream.tasks:
                continue
            begin, there = _times_at(stream.tasks[port], digits)
            fits = there & np.asarray(
                begin.astype(object) + numbers_at(path, offset, digits) == start,
                dtype=np.bool_,
            )
            fits &= np.asarray(numbers_at(path, duration, digits) == lasts, dtype=np.bool_)
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
    path = schedule.expected.problem.spec.arch.paths[step.einsum]
    loops = schedule.sets.leaves[leaf].temporal[: schedule.sets.depths[leaf]]
    return [v for v, _ in step.tile] == [loop.variable for loop in loops] and any(
        c.name == step.component for c in path
    )


def _candidates(
    schedule: CheckedSchedule, leaf: int, access: tuple[str, str, str, str | None, str]
) -> list[tuple[int, int, LoopCounts, LoopCounts]]:
    """Return the services of an access: block, port, offset within the block, and duration."""
    component, port_name, units, tensor, action = access
    einsum = schedule.sets.leaves[leaf].einsum.name
    named = schedule.expected.problem.spec.arch.component(einsum, component).ports
    number = {name: port for port, name in enumerate(schedule.ports)}
    found = []
    for block in range(len(schedule.expected.blocks[leaf])):
        into: dict[PortName, LoopCounts] = {}
        for service in schedule.expected.services(leaf, block):
            offset = into.get(service.port, constant(0))
            same = (service.component, service.tensor, service.action) == (
                component,
                tensor,
                action,
            )
            _, index, users = service.port
            same &= schedule.expected.units.label(users) == units
            if same and named[index].name == port_name:
                found.append((block, number[service.port], offset, service.duration))
            into[service.port] = together(offset, service.duration, "+")
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
