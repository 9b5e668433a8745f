"""Earliest (ASAP) times of events under precedences, as longest paths in topological order.

A precedence may be on an event k periods later than a sampled one, whose time is extrapolated:
value + k · (later − back). Without such terms the times solve a linear system of max-plus algebra
(Baccelli et al. 1992). One pass in topological order (Kahn 1962) computes them. On the reversed
precedences the same pass yields the tails behind each event, hence the latest (ALAP) times.
"""

from __future__ import annotations

from math import inf
from typing import Any

import numpy as np

from polylat.schedule.arrays import Ints, Times, group_by_key
from polylat.schedule.compilation import compiled

__all__ = ["PrecedenceSystem"]

_LIMIT = float(1 << 61)
"""Values beyond it are computed again in Python integers: the sum of two still fits 64 bits."""


class PrecedenceSystem:
    """Precedences between events, sorted once to be evaluated for many durations.

    Parameters
    ----------
    count
        Number of events.
    source, target
        Shape (precedences,): each target waits for its source.
    lag
        Shape (precedences,), in steps: how long after its source the target happens at the
        earliest, its own duration aside.
    terms
        (precedence, factor, later, back), each of shape (terms,): what the precedence waits for is
        `factor` times (value of `later` − value of `back`) later than its source. None: the
        precedences are on the sources themselves.

    Attributes
    ----------
    waiting
        Shape (events,): the number of unmet precedences of each event.
    undone
        Number of events on or behind a cycle, which have no times.
    """

    def __init__(
        self,
        count: int,
        source: Ints,
        target: Ints,
        lag: Times,
        terms: tuple[Ints, Ints, Ints, Ints] | None = None,
    ) -> None:
        which, factor, later, back = terms or (np.zeros(0, dtype=np.int64),) * 4
        into, edges = group_by_key(target, count)
        rank = np.empty(len(edges), dtype=np.int64)
        rank[edges] = np.arange(len(edges))
        # Terms by precedence, in the order of the precedences by target.
        start, by_edge = group_by_key(rank[which], len(edges))
        self._precedences = (
            into,
            source[edges],
            lag[edges],
            start,
            factor[by_edge],
            later[by_edge],
            back[by_edge],
        )
        needs = np.concatenate((source, later, back))
        needed_by = np.concatenate((target, target[which], target[which]))
        self.waiting: Ints = np.bincount(needed_by, minlength=count).astype(np.int64)
        self._sequence = _topological_order(*_grouped(needs, needed_by, count), self.waiting)
        self.undone = count - len(self._sequence)

    def earliest(self, durations: Times, unit: int = 1) -> Times:
        """Return the time of every event: its duration after the last event that it waits for.

        Parameters
        ----------
        durations
            Shape (events,), in steps.
        unit
            Number of these steps per step of the lags.

        Returns
        -------
        numpy.ndarray
            Shape (events,), in steps; Python integers (dtype object) where 64 bits do not suffice.
        """
        exact = self._precedences[2].dtype == object and durations.dtype != object
        if exact:
            return self.earliest(durations.astype(object), unit)
        values = np.full_like(durations, 0)
        if self._run(_longest_paths, unit, durations, values):
            return values
        return self.earliest(durations.astype(object), unit)

    def _run(self, kernel: Any, unit: int, *arrays: Times) -> bool:
        """Run a compiled function; return False if a value might not fit 64 bits."""
        into, sources, lag, terms, factor, later, back = self._precedences
        exact = arrays[0].dtype == object
        if exact:
            lag, factor = lag.astype(object), factor.astype(object)
        elif unit * int(lag.max(initial=0)) > _LIMIT:
            return False
        if unit != 1:
            lag = lag * unit
        precedences = into, sources, lag, terms, factor, later, back
        run = kernel.py_func if exact else kernel
        return bool(run(self._sequence, *precedences, inf if exact else _LIMIT, *arrays))


def _grouped(keys: Ints, values: Ints, count: int) -> tuple[Ints, Ints]:
    start, order = group_by_key(keys, count)
    return start, values[order]


@compiled
def _topological_order(out_start: Any, out: Any, waiting: Any) -> Any:
    """Return the events in topological order, without those on or behind a cycle.

    `waiting`, the number of predecessors, is counted down to that of unmet ones.
    """
    count = len(waiting)
    sequence = np.empty(count, np.int64)
    stack = np.empty(count, np.int64)
    top = 0
    for event in range(count):
        if waiting[event] == 0:
            stack[top] = event
            top += 1
    settled = 0
    while top > 0:
        top -= 1
        event = stack[top]
        sequence[settled] = event
        settled += 1
        for k in range(out_start[event], out_start[event + 1]):
            target = out[k]
            waiting[target] -= 1
            if waiting[target] == 0:
                stack[top] = target
                top += 1
    return sequence[:settled]


@compiled
def _longest_paths(
    sequence: Any,
    into: Any,
    sources: Any,
    lag: Any,
    terms: Any,
    factor: Any,
    later: Any,
    back: Any,
    limit: float,
    durations: Any,
    values: Any,
) -> bool:
    """Compute earliest times into `values`; return False if one exceeds the limit."""
    for event in sequence:
        best = durations[event] * 0
        for edge in range(into[event], into[event + 1]):
            value = values[sources[edge]] + lag[edge]
            for term in range(terms[edge], terms[edge + 1]):
                grown = values[later[term]] - values[back[term]]
                if abs(grown) > limit / factor[term]:
                    return False
                value += factor[term] * grown
                if abs(value) > limit:
                    return False
            best = max(best, value)
        values[event] = best + durations[event]
        if values[event] > limit:
            return False
    return True
