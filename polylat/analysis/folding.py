"""Fold a timeline: show each repeating window of time once, with its number of repetitions."""

from __future__ import annotations

from dataclasses import dataclass

from polylat.analysis.services import ServiceRuns

__all__ = ["SegmentWindow", "TimelineFold", "fold_timeline"]

_MOST_SEGMENTS = 20
"""Largest number of segments of a folded timeline."""

_MOST_OPENED = 100_000
"""Largest number of repetitions that are split to find what repeats within them. A window without
a common period that has more of them is one segment."""

_PERIODS = 3
"""From this number of periods on, a repetition is folded."""


@dataclass(frozen=True)
class SegmentWindow:
    """The window of time of a segment.

    Parameters
    ----------
    start, finish
        Its first occurrence, in steps of time.
    times
        Number of occurrences.
    """

    start: int
    finish: int
    times: int


TimelineFold = tuple[int, int, int, int]
"""(first segment, last segment, number of periods, period in steps) of a repetition."""


def fold_timeline(
    runs: ServiceRuns, low: int, high: int, limit: int
) -> tuple[list[SegmentWindow], tuple[TimelineFold, ...]]:
    """Split a window of time into segments, with each repetition shown once.

    Nested repetitions are folded as deeply as the number of segments allows.

    Parameters
    ----------
    runs
        The services of the schedule.
    low, high
        The window, in steps of time.
    limit
        Largest number of bars of a timeline. Windows with at most an eighth of it are not folded.

    Returns
    -------
    (windows, folds)
        The segments in order of time; and the repetitions, outer ones before those within them.
    """
    best: tuple[list[SegmentWindow], tuple[TimelineFold, ...]] = [SegmentWindow(low, high, 1)], ()
    for depth in range(1, len(runs.rate) + 1):
        pieces: list[SegmentWindow] = []
        folds: list[TimelineFold] = []
        _fold(runs, (low, high), depth, limit, 1, pieces, folds)
        if len(pieces) > _MOST_SEGMENTS:
            break
        # Outer folds first: of two folds of the same segments, the one that was closed last.
        order = sorted(range(len(folds)), key=lambda k: (folds[k][0], -folds[k][1], -k))
        best = pieces, tuple(folds[k] for k in order)
    return best


def _fold(
    runs: ServiceRuns,
    window: tuple[int, int],
    depth: int,
    limit: int,
    times: int,
    pieces: list[SegmentWindow],
    folds: list[TimelineFold],
) -> None:
    low, high = window
    runs = runs.seen(low, high)
    again = bool((runs.count > 1).any())
    if not depth or not again or runs.number(low, high) <= max(limit // 8, 1):
        pieces.append(SegmentWindow(low, high, times))
        return
    stretches = runs.repeated_ranges(low, high, _PERIODS)
    if not stretches:
        _fold_inside(runs, window, depth, limit, times, pieces, folds)
        return
    at = low
    for stretch in stretches:
        if at < stretch.start:
            _fold_inside(runs, (at, stretch.start), depth, limit, times, pieces, folds)
        first = len(pieces)
        period = stretch.start, stretch.start + stretch.period
        _fold_inside(runs, period, depth, limit, times * stretch.count, pieces, folds)
        folds.append((first, len(pieces) - 1, stretch.count, stretch.period))
        at = stretch.start + stretch.count * stretch.period
    if at < high:
        _fold_inside(runs, (at, high), depth, limit, times, pieces, folds)


def _fold_inside(
    runs: ServiceRuns,
    window: tuple[int, int],
    depth: int,
    limit: int,
    times: int,
    pieces: list[SegmentWindow],
    folds: list[TimelineFold],
) -> None:
    """Fold what repeats within the repetitions with the longest rate."""
    low, high = window
    if runs.repetitions(low, high) > _MOST_OPENED:
        pieces.append(SegmentWindow(low, high, times))
        return
    inner = runs.opened(low, high) if depth > 1 else runs
    _fold(inner, window, depth - 1, limit, times, pieces, folds)
