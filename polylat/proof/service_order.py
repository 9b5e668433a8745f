"""Check that the ports serve in the order that the report names, by visiting all services."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from heapq import heappop, heappush

import numpy as np

from polylat.proof.broken_rule import BrokenRule
from polylat.proof.checked_schedule import CheckedSchedule
from polylat.proof.shifts import largest_trips
from polylat.proof.tabulated_times import TabulatedTimes
from polylat.schedule.arrays import Ints, Times

__all__ = ["MAX_SERVICES", "check_service_order"]

_PLACES = {"fill": 0, "foreground": 1, "write_back": 2}

MAX_SERVICES = 50_000
"""Largest number of services that are visited one by one."""


def check_service_order(
    schedule: CheckedSchedule, order: str, shifts: Mapping[int, Sequence[int]]
) -> int | None:
    """Check that every port serves in a given order.

    Parameters
    ----------
    schedule
        The schedule.
    order
        ``"program"``, ``"skew"`` or ``"oldest"``.
    shifts
        Tree node of a Pipeline → the shift of each stage in skewed dates; without, its dates are
        those of program order.

    Returns
    -------
    int or None
        The number of services; None where there are more than `MAX_SERVICES`.

    Raises
    ------
    BrokenRule
        A port serves in another order.
    """
    if schedule.schedule.service_count > MAX_SERVICES:
        return None
    radices = largest_trips(schedule.sets)
    skew = None if order == "program" else shifts
    count = 0
    for port in range(len(schedule.ports)):
        starts: list[Times] = []
        ends: list[Times] = []
        ready: list[Times] = []
        keys: list[tuple[list[Ints], ...]] = []
        for stream in schedule.schedule.blocks:
            if port not in stream.tasks:
                continue
            digits, start = TabulatedTimes(stream.tasks[port]).table
            may = TabulatedTimes(stream.ready)
            block = schedule.expected.blocks[stream.leaf][stream.block]
            hosts = digits
            if block.ahead and skew is not None:
                hosts = _tiles_before(digits, may.table[0])
            every = np.full(len(start), 0)
            behind = order == "oldest" and block.background
            host, own = (_dates(schedule, stream.leaf, x, radices, skew) for x in (hosts, digits))
            hosted: Ints = np.asarray((hosts != digits).any(axis=1), dtype=np.int64)
            keys.append(
                (
                    [every + behind],
                    host,
                    [every + _PLACES[block.kind], hosted],
                    own,
                    [every + stream.block],
                )
            )
            starts.append(start)
            ends.append(TabulatedTimes(schedule.ends(stream.tasks[port])).table[1])
            ready.append(may.table[1][may.find(digits)[0]])
        if not starts:
            continue
        rank = _ranks(keys)
        start = np.concatenate(starts)
        count += len(start)
        if order == "oldest":
            right = _is_oldest_first(rank, start, np.concatenate(ends), np.concatenate(ready))
        else:
            by_date = start[np.argsort(rank)]
            right = bool(np.asarray(by_date[1:] >= by_date[:-1], dtype=np.bool_).all())
        if not right:
            raise BrokenRule(
                f"{schedule.words.port(port)} does not serve in the order {order!r} of the report"
            )
    return count


def _dates(
    schedule: CheckedSchedule,
    leaf: int,
    digits: Ints,
    radices: Mapping[int, int],
    shifts: Mapping[int, Sequence[int]] | None,
) -> list[Ints]:
    """Return the dates of tile iterations (one per row), column by column."""
    path = schedule.sets.leaves[leaf]
    found: list[Ints] = []
    above = 0
    zero = np.zeros(len(digits), dtype=np.int64)
    for split in path.splits:
        turn = zero
        for k in range(above, split.depth):
            turn = turn * radices[path.temporal[k].node] + digits[:, k]
        stage = split.branch
        if split.pipeline and shifts is not None and split.node in shifts:
            turn = turn + shifts[split.node][stage]
            stage = -stage
        found += [turn, zero + stage]
        above = split.depth
    return [*found, *(digits[:, k] for k in range(above, digits.shape[1]))]


def _tiles_before(digits: Ints, entries: Ints) -> Ints:
    """Return, per entry into a tile, the entry into the previous one; of the first, itself."""
    keys = {tuple(row): at for at, row in enumerate(entries.tolist())}
    at = np.array([keys[tuple(row)] for row in digits.tolist()], dtype=np.int64)
    return entries[np.maximum(at - 1, 0)]


def _ranks(keys: Sequence[tuple[Sequence[Ints], ...]]) -> Ints:
    """Return the rank of each key in lexicographic order.

    A key consists of parts, each of some columns. Shorter parts are padded, as dates of different
    lengths differ in an earlier column.
    """
    columns: list[Ints] = []
    for part in zip(*keys, strict=True):
        for column in range(max(len(some) for some in part)):
            columns.append(
                np.concatenate(
                    [
                        some[column] if column < len(some) else np.zeros_like(key[-1][0])
                        for some, key in zip(part, keys, strict=True)
                    ]
                )
            )
    rank = np.empty(len(columns[0]), dtype=np.int64)
    rank[np.lexsort(columns[::-1])] = np.arange(len(rank))
    return rank


def _is_oldest_first(rank: Ints, start: Times, end: Times, ready: Times) -> bool:
    """Return whether a free port always serves the service of least rank that may start."""
    by_start, by_ready = np.argsort(start, kind="stable"), np.argsort(ready, kind="stable")
    waiting: list[int] = []
    coming = 0
    free = 0
    for which in by_start.tolist():
        # The port idles only until the next service is ready.
        begin = free if waiting else max(free, int(ready[by_ready[coming]]))
        while coming < len(by_ready) and ready[by_ready[coming]] <= begin:
            heappush(waiting, int(rank[by_ready[coming]]))
            coming += 1
        if start[which] != begin or heappop(waiting) != rank[which]:
            return False
        free = int(end[which])
    return True
