"""Fold a schedule: find the windows of time that repeat, to show each of them once."""

from __future__ import annotations

from dataclasses import dataclass

from polylat.analysis.services import Runs

__all__ = ["Fold", "Window", "folded"]

_MOST_SEGMENTS = 20
"""Largest number of segments of a folded timeline."""

_PERIODS = 3
"""From this number of periods on, a repetition is folded."""


@dataclass(frozen=True)
class Window:
    """Where a segment is, in steps of time, and how often."""

    start: int
    finish: int
    times: int


Fold = tuple[int, int, int, int]
"""(first segment, last one, count, period)"""


def folded(runs: Runs, low: int, high: int, limit: int) -> tuple[list[Window], tuple[Fold, ...]]:
    """The segments of a window, with what repeats once: as far inwards as there is room for."""
    best: tuple[list[Window], tuple[Fold, ...]] = [Window(low, high, 1)], ()
    for depth in range(1, len(runs.rate) + 1):
        pieces: list[Window] = []
        folds: list[Fold] = []
        _fold(runs, (low, high), depth, limit, 1, pieces, folds)
        if len(pieces) > _MOST_SEGMENTS:
            break
        # Outer ones first: of two around the same segments, the one that was closed last.
        order = sorted(range(len(folds)), key=lambda k: (folds[k][0], -folds[k][1], -k))
        best = pieces, tuple(folds[k] for k in order)
    return best


def _fold(
    runs: Runs,
    window: tuple[int, int],
    depth: int,
    limit: int,
    times: int,
    pieces: list[Window],
    folds: list[Fold],
) -> None:
    low, high = window
    runs = runs.seen(low, high)
    again = bool((runs.count > 1).any())
    if not depth or not again or runs.number(low, high) <= max(limit // 8, 1):
        pieces.append(Window(low, high, times))
        return
    stretches = runs.stretches(low, high, _PERIODS)
    if not stretches:
        _fold(runs.opened(low, high), window, depth - 1, limit, times, pieces, folds)
        return
    opened = runs.opened(low, high) if depth > 1 else runs
    at = low
    for stretch in stretches:
        if at < stretch.start:
            _fold(opened, (at, stretch.start), depth - 1, limit, times, pieces, folds)
        first = len(pieces)
        end = stretch.start + stretch.period
        inner = runs.opened(stretch.start, end)
        _fold(inner, (stretch.start, end), depth - 1, limit, times * stretch.count, pieces, folds)
        folds.append((first, len(pieces) - 1, stretch.count, stretch.period))
        at = stretch.start + stretch.count * stretch.period
    if at < high:
        _fold(opened, (at, high), depth - 1, limit, times, pieces, folds)
