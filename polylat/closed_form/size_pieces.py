"""Figures as functions of the sizes: ranges of sizes in steps, and single sizes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import pairwise, product
from math import ceil, floor, lcm
from typing import Literal

from polylat.closed_form.multilinear import Multilinear
from polylat.engine.trip_ranges import Sizes

__all__ = [
    "Proof",
    "SizePiece",
    "SizeTable",
    "common_high",
    "in_classes",
    "largest_of",
    "least_of",
    "table_of",
]

Proof = Literal["all sizes", "each size"]
"""Proven for all sizes of a range; or computed at each of them."""

_FEWEST = 4
"""Number of sizes that make a pattern: fewer are listed one by one."""

_PERIODS = (1, 2, 3, 4)
"""Numbers of tiles after which computed figures may repeat."""


@dataclass(frozen=True)
class SizePiece:
    """A figure as a function of the sizes: at `low`, and in steps from there.

    Parameters
    ----------
    low, high, step
        The range of every size; None: unbounded.
    value
        The figure.
    proof
        How it is known.
    """

    low: Sizes
    high: tuple[int | None, ...]
    step: Sizes
    value: Multilinear
    proof: Proof

    def covers(self, sizes: Sizes) -> bool:
        """Return whether the piece contains given sizes.

        Parameters
        ----------
        sizes
            The sizes.

        Returns
        -------
        bool
            Whether they are within its range and in its steps.
        """
        return all(
            a <= n and (b is None or n <= b) and (n - a) % step == 0
            for n, a, b, step in zip(sizes, self.low, self.high, self.step, strict=True)
        )

    @property
    def is_empty(self) -> bool:
        """Whether the range ends before it begins."""
        return any(b is not None and b < a for a, b in zip(self.low, self.high, strict=True))

    def is_in_steps_of(self, other: SizePiece) -> bool:
        """Return whether all sizes of the piece are in the steps of another one.

        Parameters
        ----------
        other
            The other piece.

        Returns
        -------
        bool
            Whether they are, within its range or not.
        """
        return all(
            x % y == 0 and (a - b) % y == 0
            for x, y, a, b in zip(self.step, other.step, self.low, other.low, strict=True)
        )

    @property
    def residues(self) -> Sizes:
        """The sizes modulo the steps."""
        return tuple(a % step for a, step in zip(self.low, self.step, strict=True))

    def in_steps(self, steps: Sizes) -> Iterator[SizePiece]:
        """Split the range into ranges with larger steps.

        Parameters
        ----------
        steps
            Multiples of `step`.

        Yields
        ------
        SizePiece
            One piece per class of sizes.
        """
        factors = [b // a for a, b in zip(self.step, steps, strict=True)]
        for more in product(*map(range, factors)):
            low = tuple(a + k * s for a, k, s in zip(self.low, more, self.step, strict=True))
            if all(b is None or a <= b for a, b in zip(low, self.high, strict=True)):
                yield replace(self, low=low, step=steps)

    def from_size(self, low: Sizes) -> SizePiece:
        """Return the part of the range from some sizes on.

        Parameters
        ----------
        low
            The sizes.

        Returns
        -------
        SizePiece
            The part, in step with this piece.
        """
        first = tuple(
            a + max(-(-(b - a) // step), 0) * step
            for a, b, step in zip(self.low, low, self.step, strict=True)
        )
        return replace(self, low=first)


@dataclass(frozen=True)
class SizeTable:
    """A figure as a function of the sizes.

    Parameters
    ----------
    pieces
        Ranges of sizes.
    points
        Single sizes outside them.
    """

    pieces: tuple[SizePiece, ...]
    points: Mapping[Sizes, Fraction] = field(default_factory=dict)

    def at(self, sizes: Sizes) -> Fraction | None:
        """Return the figure at some sizes.

        Parameters
        ----------
        sizes
            The sizes.

        Returns
        -------
        Fraction or None
            None where it is not known.
        """
        if sizes in self.points:
            return self.points[sizes]
        return next((p.value.at(sizes) for p in self.pieces if p.covers(sizes)), None)


def in_classes(*groups: Sequence[SizePiece]) -> Iterator[list[list[SizePiece]]]:
    """Split groups of pieces into classes of sizes, with common steps.

    Parameters
    ----------
    *groups
        Groups of pieces.

    Yields
    ------
    list of list of SizePiece
        Per class, the pieces of each group.
    """
    every = [piece for group in groups for piece in group]
    if not every:
        return
    steps = tuple(lcm(*column) for column in zip(*(piece.step for piece in every), strict=True))
    classes: dict[Sizes, list[list[SizePiece]]] = {}
    for residues in product(*map(range, steps)):
        classes[residues] = [[] for _ in groups]
    for number, group in enumerate(groups):
        for piece in group:
            for part in piece.in_steps(steps):
                classes[part.residues][number].append(part)
    yield from classes.values()


def largest_of(piece: SizePiece, values: Sequence[Multilinear]) -> list[SizePiece]:
    """Return the ranges in which each of several functions is the largest.

    Parameters
    ----------
    piece
        The range of sizes.
    values
        The functions.

    Returns
    -------
    list of SizePiece
        Ranges that follow each other; empty where there are several sizes, and no function is the
        largest throughout.
    """
    for value in values:
        gaps = [value.minus(other) for other in values]
        if all(gap.is_nonnegative(piece.low, piece.high) for gap in gaps):
            return [replace(piece, value=value)]
    if len(piece.low) > 1:
        return []
    found = []
    (low,), (high,), (step,) = piece.low, piece.high, piece.step
    while high is None or low <= high:
        # The largest at this size; of equals the one that grows fastest.
        best = max(values, key=lambda value: (value.at((low,)), value.coefficients[1]))
        ends = [
            _next_in_step(low, step, (best.coefficients[0] - v.coefficients[0]) / slope)
            for v in values
            if (slope := v.coefficients[1] - best.coefficients[1]) > 0
        ]
        end = min(ends, default=None)
        last = high if end is None else end - step if high is None else min(end - step, high)
        found.append(replace(piece, low=(low,), high=(last,), value=best))
        if end is None:
            break
        low = end
    return found


def _next_in_step(low: int, step: int, size: Fraction) -> int:
    """Return the smallest ``low + k * step`` above a size."""
    return low + (floor((size - low) / step) + 1) * step


def least_of(pieces: Sequence[SizePiece]) -> SizePiece | None:
    """Return the least of several figures.

    Parameters
    ----------
    pieces
        The figures, in the same steps.

    Returns
    -------
    SizePiece or None
        From the size on from which one of them is the least; None if that is not known.
    """
    low = tuple(max(column) for column in zip(*(piece.low for piece in pieces), strict=True))
    high = common_high(pieces)
    for best in pieces:
        gaps = [piece.value.minus(best.value) for piece in pieces]
        found = replace(best, high=high).from_size(low)
        if all(gap.is_nonnegative(found.low, high) for gap in gaps):
            return found
        if len(low) > 1:
            continue
        # It may be the least for large sizes: from where all affine differences are positive.
        starts = [low[0]]
        for rest, slope in (gap.coefficients for gap in gaps):
            if slope > 0:
                starts.append(ceil(-rest / slope))
            elif slope < 0 or rest < 0:
                break
        else:
            return found.from_size((max(starts),))
    return None


def common_high(pieces: Sequence[SizePiece]) -> tuple[int | None, ...]:
    """Return where ranges end in common.

    Parameters
    ----------
    pieces
        The ranges.

    Returns
    -------
    tuple of int or None
        Per size, the least end; None: unbounded.
    """
    columns = zip(*(piece.high for piece in pieces), strict=True)
    return tuple(min((n for n in column if n is not None), default=None) for column in columns)


def table_of(
    pieces: Sequence[SizePiece], points: Mapping[Sizes, Fraction], step: int = 1
) -> SizeTable:
    """Make a table of ranges and single sizes, with as few ranges as possible.

    Parameters
    ----------
    pieces
        The ranges.
    points
        Single sizes.
    step
        Without ranges: the number of sizes after which tiles repeat, to find patterns in points.

    Returns
    -------
    SizeTable
        Ranges are extended by the points that fit them, and joined where they have one value.
    """
    one = all(len(sizes) == 1 for sizes in points) and all(len(p.low) == 1 for p in pieces)
    if one and points and not pieces:
        pieces = _patterns(points, step)
    joined, more = _joined([_extended(piece, points) for piece in pieces]) if one else (pieces, {})
    every = {**points, **more}
    grown = tuple(_extended(piece, every) for piece in joined)
    left = {n: v for n, v in every.items() if not any(piece.covers(n) for piece in grown)}
    return SizeTable(grown, left)


def _extended(piece: SizePiece, points: Mapping[Sizes, Fraction]) -> SizePiece:
    """Let a range begin at a smaller size, as far as the points fit its figure."""
    low = piece.low
    while len(low) == 1:
        smaller = (low[0] - piece.step[0],)
        if smaller not in points or points[smaller] != piece.value.at(smaller):
            break
        low = smaller
    return replace(piece, low=low)


def _joined(
    pieces: Sequence[SizePiece],
) -> tuple[list[SizePiece], dict[Sizes, Fraction]]:
    """Join ranges with one value to ranges in smaller steps; return what is left below these."""
    groups: dict[object, list[SizePiece]] = {}
    for piece in pieces:
        groups.setdefault((piece.value, piece.step, piece.proof), []).append(piece)
    found: list[SizePiece] = []
    more: dict[Sizes, Fraction] = {}
    for group in groups.values():
        (step,) = group[0].step
        highs = {piece.high[0] for piece in group}
        bounded = None not in highs
        for smaller in range(1, step + 1):
            if step % smaller or (
                bounded and smaller != step and len(group) > 1 and not _tight(group, smaller)
            ):
                continue
            classes: dict[int, list[SizePiece]] = {}
            for piece in group:
                classes.setdefault(piece.low[0] % smaller, []).append(piece)
            if all(len(some) == step // smaller for some in classes.values()):
                break
        else:
            found += group
            continue
        for some in classes.values():
            low = max(piece.low[0] for piece in some) - step + smaller
            high = None if not bounded else max(h for p in some if (h := p.high[0]) is not None)
            joined = replace(some[0], low=(low,), high=(high,), step=(smaller,))
            found.append(joined)
            for piece in some:
                for n in range(piece.low[0], low, step):
                    more[n,] = piece.value.at((n,))
    return found, more


def _tight(group: Sequence[SizePiece], step: int) -> bool:
    """Whether bounded ranges end next to each other."""
    ends = sorted(n for piece in group if (n := piece.high[0]) is not None)
    return all(b - a == step for a, b in pairwise(ends))


def _patterns(points: Mapping[Sizes, Fraction], step: int) -> list[SizePiece]:
    """The affine figures that the largest sizes of each class fit, if they are computed."""
    sizes = sorted(n for (n,) in points)
    for factor in _PERIODS:
        classes: dict[int, list[int]] = {}
        for n in sizes:
            classes.setdefault(n % (step * factor), []).append(n)
        found = [_pattern(some, points, step * factor) for some in classes.values()]
        if found and all(piece is not None for piece in found):
            return [piece for piece in found if piece is not None]
    return []


def _pattern(sizes: Sequence[int], points: Mapping[Sizes, Fraction], step: int) -> SizePiece | None:
    if len(sizes) < _FEWEST or sizes[-1] - sizes[-2] != step:
        return None
    last, before = sizes[-1], sizes[-2]
    value = Multilinear.between((before,), (last,), (points[before,], points[last,]))
    first = last
    for n in reversed(sizes[:-1]):
        if first - n != step or points[n,] != value.at((n,)):
            break
        first = n
    if (last - first) // step + 1 < _FEWEST:
        return None
    return SizePiece((first,), (last,), (step,), value, "each size")
