"""Precedences by source, for simulations: in as little memory as possible."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from polylat.schedule.arrays import Ints, Narrow, Times, narrow_type
from polylat.schedule.compilation import compiled
from polylat.schedule.events import EventNumbering
from polylat.schedule.precedences import list_links

__all__ = ["EventLinks", "event_links"]


class EventLinks(NamedTuple):
    """Precedences by source, without their rules and reasons.

    Parameters
    ----------
    start, out
        Shape (events + 1,): where the targets of each event begin in `out`; the targets.
    lag
        The lags of the precedences, as in `EventPrecedences`; none where all of them are 0.
    awaited
        Shape (events,): the number of precedences of each event, in a type that has room for one
        more.
    """

    start: Narrow
    out: Narrow
    lag: Times
    awaited: Narrow


def event_links(events: EventNumbering) -> EventLinks:
    """List all precedences but those of ports, where every tile iteration is sampled.

    Parameters
    ----------
    events
        The task graph, and the numbering of its events.

    Returns
    -------
    EventLinks
        The precedences by source. Integers are in few bits where they fit.

    Notes
    -----
    They take much memory, so that no two arrays of all of them are made: they are listed twice in
    small parts, first to be counted, then to be placed (counting sort).
    """
    number: Any = events.number_type
    found = _Counter(events, np.int8)
    if not found.fits:
        found = _Counter(events, number)
    start, awaited = found.start, found.awaited
    del found
    count = int(start.sum(dtype=np.int64))
    if count >= 1 << 31:
        start, number = start.astype(np.int64), np.int64
    _begin_links(start)
    late = events.graph.late
    out: Narrow = np.empty(count, dtype=number)
    lags: Times = np.full(count if late else 0, 0, dtype=_lag_type(events))
    place = _place_links.py_func if lags.dtype == object else _place_links

    def placed(source: Ints, target: Ints, lag: Times | int) -> None:
        each = np.broadcast_to(lag, len(source)).astype(lags.dtype) if late else lags
        place(_as_type(source, number), _as_type(target, number), each, start, out, lags)

    list_links(events, placed)
    _end_links(start)
    return EventLinks(start, out, lags, awaited)


class _Counter:
    """Counts precedences by source, one place behind, and by target in a given type."""

    def __init__(self, events: EventNumbering, few: Any) -> None:
        self.number: Any = events.number_type
        self.start: Narrow = np.zeros(events.count + 1, dtype=self.number)
        self.awaited: Narrow = np.zeros(events.count, dtype=few)
        self.most = int(np.iinfo(few).max) - 1
        self.fits = True
        list_links(events, self._count)

    def _count(self, source: Ints, target: Ints, _: Times | int) -> None:
        if self.fits:
            links = _as_type(source, self.number), _as_type(target, self.number)
            self.fits = _count_links(*links, self.start, self.awaited, self.most)


def _lag_type(events: EventNumbering) -> Any:
    """Return a type in which all lags fit: latencies, and of stalls a duration more."""
    graph = events.graph
    if graph.latency.dtype == object:
        return object
    longest = [int(duration.max(initial=0)) for duration in graph.rigid.values()]
    return narrow_type(int(graph.latency.max(initial=0)) + max(longest, default=0))


def _as_type(numbers: Ints, dtype: Any) -> Narrow:
    return np.ascontiguousarray(numbers, dtype=dtype)


@compiled
def _count_links(source: Any, target: Any, start: Any, awaited: Any, most: int) -> bool:
    """Count precedences by source, one place behind, and by target; return whether they fit."""
    for k in range(len(source)):
        start[source[k] + 1] += 1
        if awaited[target[k]] == most:
            return False
        awaited[target[k]] += 1
    return True


@compiled
def _begin_links(start: Any) -> None:
    """Turn the numbers of precedences, one place behind, into where those of a source begin."""
    for event in range(len(start) - 1):
        start[event + 1] += start[event]


@compiled
def _place_links(source: Any, target: Any, lag: Any, start: Any, out: Any, lags: Any) -> None:
    """Place precedences by source (stable); `start` moves on to the next free places."""
    for k in range(len(source)):
        at = start[source[k]]
        out[at] = target[k]
        if len(lag):
            lags[at] = lag[k]
        start[source[k]] = at + 1


@compiled
def _end_links(start: Any) -> None:
    """Return to where the precedences of a source begin, once all of them are placed."""
    for event in range(len(start) - 1, 0, -1):
        start[event] = start[event - 1]
    start[0] = 0
