"""The compiled loops over boxes of skipped iterations, see `boxes`.

They also run uncompiled (``.py_func``), on Python integers, where times do not fit 64 bits.
"""

from __future__ import annotations

from math import gcd
from typing import Any

import numpy as np

from polylat.schedule.compilation import compiled

__all__ = ["HOLDS", "TIGHT", "UNDECIDED", "VIOLATED", "decide", "split"]

HOLDS, TIGHT, VIOLATED, UNDECIDED = range(4)
"""Outcome of a precedence: it holds, it holds with equality throughout, it is violated somewhere,
or its source does not stay in few pieces."""

_MOST_IN_ALL = 1 << 21
"""Largest number of parts of all boxes, beyond which no box is split into more than usual."""

inlined = compiled(inline="always")
"""Decorator of parts of compiled loops: calls with many arrays take as long as what they do."""

_WHOLE, _SPLIT, _SPREAD, _LOST = range(4)
"""Whether the source of a part stays in one piece, the part is to be split in two, or into several
parts whose members take turns, or it has no source."""


@compiled
def decide(
    part_start: Any,
    key: Any,
    details: Any,
    low: Any,
    extent: Any,
    stride: Any,
    periods: Any,
    slope: Any,
    first: Any,
    target: Any,
    family: Any,
    source: Any,
    own: Any,
    weight: Any,
    values: Any,
    rates: Any,
    exists: Any,
    outcome: Any,
) -> None:
    """Decide precedences for all members of their targets' boxes.

    Parameters
    ----------
    part_start, key, details, low, extent, stride, periods, slope
        The columns of `Parts`.
    first, target, family, source, own, weight, values, rates, exists
        As for `boxes.decide_rows`; `target`, `family`, `source` and `own` are columns of `Rows`.
    outcome
        Result, shape (rows,).
    """
    width = low.shape[1]
    for r in range(len(target)):
        event = target[r]
        start, end = part_start[source[r]], part_start[source[r] + 1]
        found = TIGHT if start < end else UNDECIDED
        for part in range(start, end):
            other = first[family[r]] + key[part]
            difference = values[event] - values[other] - weight[r]
            least = difference
            detail = details[part]
            flat = True
            if detail >= 0:
                for k in range(width):
                    if low[detail, k] > 0:
                        difference += low[detail, k] * rates[event, k]
                    if periods[detail, k] > 0:
                        difference -= periods[detail, k] * rates[other, k]
                least = difference
                for k in range(width):
                    if extent[detail, k] > 0:
                        grows = stride[detail, k] * rates[event, k]
                        for p in range(width):
                            if slope[detail, p, k] != 0:
                                grows -= slope[detail, p, k] * rates[other, p]
                        if grows != 0:
                            flat = False
                        if grows < 0:
                            least += grows * extent[detail, k]
            if least < 0:
                found = VIOLATED
                break
            if difference != 0 or not flat or (own[r] and not exists[other]):
                found = HOLDS
        outcome[r] = found


@compiled
def split(
    depth: Any,
    trips: Any,
    count: Any,
    stride: Any,
    runs: Any,
    run_first: Any,
    run_place: Any,
    run_period: Any,
    places: Any,
    period: Any,
    skipped: Any,
    usual: int,
    most: int,
    leaf: Any,
    target: Any,
    others: Any,
    base: Any,
    same: Any,
    slope: Any,
    slopes: Any,
) -> Any:
    """Split the targets' boxes into parts within which the source stays in one piece.

    Parameters
    ----------
    depth, trips, count, stride, runs, run_first, run_place, run_period, places, period, skipped
        The columns of `Grid`.
    usual, most
        Largest number of parts that a box is split into: while there are few parts in all, `most`.
    leaf, target, others, base, same, slope, slopes
        The columns of `Sources`.

    Returns
    -------
    (first, key, detail, low, extent, stride, periods, slope)
        The columns of `Parts`.
    """
    width = stride.shape[1]
    sources = len(target)
    first = np.zeros(sources + 1, np.int64)
    keys = np.zeros(2 * sources + 16, np.int64)
    details = np.zeros(len(keys), np.int64)
    wide = sources // 4 + 16
    lows = np.zeros((wide, width), np.int64)
    extents = np.zeros((wide, width), np.int64)
    apart = np.zeros((wide, width), np.int64)
    laters = np.zeros((wide, width), np.int64)
    grows = np.zeros((wide, width, width), np.int64)
    low = np.zeros((most + 2, width), np.int64)
    high = np.zeros((most + 2, width), np.int64)
    by = np.ones((most + 2, width), np.int64)
    step = np.zeros(width, np.int64)
    moves = np.zeros((width, width), np.int64)
    length = np.zeros(width, np.int64)
    later = np.zeros(width, np.int64)
    written, detail = 0, 0
    for r in range(sources):
        begun, detailed, limit = written, detail, most if written < _MOST_IN_ALL else usual
        mine, other = leaf[r], others[r]
        outer, inner = depth[mine], depth[other]
        _set_box(
            mine, outer, target[r], count, stride, places, period, skipped, low, high, by, step
        )
        _set_moves(outer, inner, step, same[r], slope[r], slopes, moves)
        # The parts that are not yet examined are on a stack.
        top = 1
        while top > 0:
            top -= 1
            piece, source, loop, at = _piece(
                other,
                inner,
                outer,
                base,
                r,
                moves,
                low,
                high,
                by,
                top,
                trips,
                stride,
                runs,
                run_first,
                run_place,
                run_period,
                length,
                later,
            )
            if written - begun < limit:
                more = _divide(piece, outer, loop, at, low, high, by, top, limit)
                if more:
                    top += more
                    continue
            if piece != _WHOLE:
                written, detail = begun, detailed
                break
            if written == len(keys):
                keys = np.concatenate((keys, np.zeros_like(keys)))
                details = np.concatenate((details, np.zeros_like(details)))
            keys[written] = source
            details[written] = -1
            if _is_wide(outer, inner, high, top, later):
                if detail == len(lows):
                    lows, extents, apart, laters, grows = _enlarged(
                        lows, extents, apart, laters, grows
                    )
                details[written] = detail
                _describe(
                    outer,
                    inner,
                    moves,
                    low,
                    high,
                    by,
                    top,
                    length,
                    later,
                    lows,
                    extents,
                    apart,
                    laters,
                    grows,
                    detail,
                )
                detail += 1
            written += 1
        first[r + 1] = written
    return (
        first,
        keys[:written],
        details[:written],
        lows[:detail],
        extents[:detail],
        apart[:detail],
        laters[:detail],
        grows[:detail],
    )


@inlined
def _set_box(
    leaf: int,
    outer: int,
    target: int,
    count: Any,
    stride: Any,
    places: Any,
    period: Any,
    skipped: Any,
    low: Any,
    high: Any,
    by: Any,
    step: Any,
) -> None:
    """Write the whole box of a target as a part to the first row, and its periods."""
    for k in range(outer):
        place = places[leaf, k] + target // stride[leaf, k] % count[leaf, k]
        low[0, k], high[0, k], by[0, k] = 0, skipped[place], 1
        step[k] = period[place]


@inlined
def _set_moves(
    outer: int, inner: int, step: Any, same: int, slope: int, slopes: Any, moves: Any
) -> None:
    """Write by how much each index of a source moves per period of each loop of the target."""
    for k in range(outer):
        for p in range(inner):
            if slope >= 0:
                moves[p, k] = slopes[slope, p, k]
            else:
                moves[p, k] = step[k] if p == k and p < same else 0


@inlined
def _halve(outer: int, loop: int, at: int, low: Any, high: Any, by: Any, top: int) -> None:
    """Split a part before a member; what lies before it goes to the next row."""
    for k in range(outer):
        low[top + 1, k] = low[top, k]
        high[top + 1, k] = high[top, k]
        by[top + 1, k] = by[top, k]
    low[top, loop] = at
    high[top + 1, loop] = at - by[top, loop]


@inlined
def _spread(outer: int, loop: int, turns: int, low: Any, high: Any, by: Any, top: int) -> None:
    """Split a part into a number of parts whose members take turns, in as many rows."""
    for number in range(turns - 1, -1, -1):
        for k in range(outer):
            low[top + number, k] = low[top, k]
            high[top + number, k] = high[top, k]
            by[top + number, k] = by[top, k]
        start = low[top, loop] + number * by[top, loop]
        length = turns * by[top, loop]
        low[top + number, loop] = start
        high[top + number, loop] -= (high[top, loop] - start) % length
        by[top + number, loop] = length


@inlined
def _divide(
    piece: int, outer: int, loop: int, at: int, low: Any, high: Any, by: Any, top: int, most: int
) -> int:
    """Split a part as `_piece` says; return the number of its parts, or 0 if they are too many."""
    if piece == _SPLIT and top < most:
        _halve(outer, loop, at, low, high, by, top)
        return 2
    if piece == _SPREAD and top + at <= most:
        _spread(outer, loop, at, low, high, by, top)
        return at
    return 0


@inlined
def _enlarged(lows: Any, extents: Any, strides: Any, laters: Any, grows: Any) -> Any:
    """Return the arrays with twice as many rows."""
    return (
        np.concatenate((lows, np.zeros_like(lows))),
        np.concatenate((extents, np.zeros_like(extents))),
        np.concatenate((strides, np.zeros_like(strides))),
        np.concatenate((laters, np.zeros_like(laters))),
        np.concatenate((grows, np.zeros_like(grows))),
    )


@inlined
def _is_wide(outer: int, inner: int, high: Any, top: int, later: Any) -> bool:
    """Return whether a part has several members, or its source is not sampled."""
    wide = False
    for k in range(outer):
        wide = wide or high[top, k] > 0
    for p in range(inner):
        wide = wide or later[p] > 0
    return wide


@inlined
def _piece(
    other: int,
    inner: int,
    outer: int,
    base: Any,
    number: int,
    moves: Any,
    low: Any,
    high: Any,
    by: Any,
    top: int,
    trips: Any,
    stride: Any,
    runs: Any,
    run_first: Any,
    run_place: Any,
    run_period: Any,
    length: Any,
    later: Any,
) -> Any:
    """Find the piece of the source of a part, from row `top` of `low` to that of `high`.

    Returns whether it stays in one piece; the point that represents the source of the first member;
    and a loop of the target, with its first member behind the piece, where the part is to be split,
    or with the number of parts to spread its members over.
    Writes, by loop of the source, the period of its piece (0: sampled), and by how many of these
    the source is later.
    """
    source = 0
    for p in range(inner):
        start, least, most, moving, several = _extremes(
            p, outer, base[number, p], moves, low, high, top
        )
        if least < 0 or most >= trips[other, p]:
            return _LOST, 0, 0, 0
        run = runs[other, p]
        while run + 1 < runs[other, p + 1] and run_first[run + 1] <= start:
            run += 1
        ahead = start - run_first[run]
        length[p] = run_period[run]
        if length[p] == 0:
            later[p] = 0
            source += (run_place[run] + ahead) * stride[other, p]
        else:
            later[p] = ahead // length[p]
            source += (run_place[run] + ahead % length[p]) * stride[other, p]
        if least == most:
            continue
        end = trips[other, p] if run + 1 == runs[other, p + 1] else run_first[run + 1]
        inside = length[p] > 0 and least >= run_first[run] and most < end
        # In the run, members that are as far apart as several periods have one piece.
        spread, turns = -1, 1
        if inside:
            for k in range(outer):
                if high[top, k] > low[top, k] and moves[p, k] * by[top, k] % length[p] != 0:
                    spread = k
                    turns = length[p] // gcd(length[p], abs(moves[p, k] * by[top, k]))
            if spread < 0:
                continue
            if turns <= (high[top, spread] - low[top, spread]) // by[top, spread]:
                return _SPREAD, 0, spread, turns
        if several:
            loop = _widest(p, outer, moves, low, high, by, top)
            members = (high[top, loop] - low[top, loop]) // by[top, loop] + 1
            return _SPLIT, 0, loop, low[top, loop] + members // 2 * by[top, loop]
        # All members up to the end of the run; if it is sampled, or the part is in it and has few
        # members, only one.
        move = moves[p, moving] * by[top, moving]
        members = 1
        if length[p] > 0 and not inside:
            members = (end - start + move - 1) // move if move > 0 else ahead // -move + 1
        return _SPLIT, 0, moving, low[top, moving] + members * by[top, moving]
    return _WHOLE, source, 0, 0


@inlined
def _extremes(p: int, outer: int, base: int, moves: Any, low: Any, high: Any, top: int) -> Any:
    """Return the extremes of a source's index in a loop, and with which loops it changes.

    These are: the index of the first member, the least and the largest index; the last loop of the
    target with which it changes (-1: none), and whether there are several of these loops.
    """
    start, least, most = base, base, base
    moving = -1
    several = False
    for k in range(outer):
        move = moves[p, k]
        if move == 0:
            continue
        first, last = low[top, k], high[top, k]
        start += move * first
        least += move * (first if move > 0 else last)
        most += move * (last if move > 0 else first)
        if last > first:
            several = moving >= 0
            moving = k
    return start, least, most, moving, several


@inlined
def _widest(p: int, outer: int, moves: Any, low: Any, high: Any, by: Any, top: int) -> int:
    """Return the loop with the most members of those with which a source's index changes."""
    widest, found = 0, 0
    for k in range(outer):
        members = (high[top, k] - low[top, k]) // by[top, k]
        if moves[p, k] != 0 and members > widest:
            widest = members
            found = k
    return found


@inlined
def _describe(
    outer: int,
    inner: int,
    moves: Any,
    low: Any,
    high: Any,
    by: Any,
    top: int,
    length: Any,
    later: Any,
    first: Any,
    extent: Any,
    stride: Any,
    periods: Any,
    slope: Any,
    row: int,
) -> None:
    """Write a part: its first member, its extent, and how its source moves, all in periods."""
    # The row may hold a part of a source that was given up.
    for k in range(first.shape[1]):
        first[row, k] = low[top, k] if k < outer else 0
        extent[row, k] = (high[top, k] - low[top, k]) // by[top, k] if k < outer else 0
        stride[row, k] = by[top, k] if k < outer else 1
        periods[row, k] = later[k] if k < inner else 0
    for p in range(first.shape[1]):
        repeats = p < inner and length[p] > 0
        for k in range(first.shape[1]):
            moves_on = repeats and extent[row, k] > 0
            slope[row, p, k] = moves[p, k] * by[top, k] // length[p] if moves_on else 0
