"""Edges of precedence between tile iterations and separate transfers, and what finds them.

The tile iterations of a leaf start in order and finish in order. So of all tile iterations of a
leaf that another one waits for, only the last needs an edge, and of all that wait for one, only
the first: relations are solved for lexicographic maxima and minima, and most edges are implied.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from polylat.lowering.dependences.extend import through_skipped
from polylat.lowering.iterations import IrregularError, joint_tile_keys
from polylat.lowering.numbering import BlockStream, DependenceEdges, Numbering
from polylat.lowering.paths import Leaf
from polylat.schedule.arrays import Ints, Mask, concatenated_ranges
from polylat.schedule.reasons import PASSED

__all__ = [
    "RuleEdges",
    "find_keys",
    "joined_edges",
    "tile_keys",
    "write_backs_in_tiles",
]


class RuleEdges(NamedTuple):
    """The edges of one relation, and the options that they depend on.

    Parameters
    ----------
    source, target, reason, periods
        As in `DependenceEdges`, in any type of integers; `periods` is None where all of them are 0.
    until
        What of the sources the targets wait for (`PASSED`, `SERVED` or `STARTED`).
    split
        The Sequential (tree node) whose barrier they belong to.
    holder, slots
        The (tensor, component) on whose number of slots they depend, and that number.
    """

    source: Ints
    target: Ints
    reason: int
    periods: Ints | None
    until: int = PASSED
    split: int | None = None
    holder: tuple[str, str] | None = None
    slots: int | None = None

    def in_type_of(self, layout: Numbering) -> RuleEdges:
        """Return the edges with sources and targets in `Numbering.number_type`.

        Parameters
        ----------
        layout
            The numbering of tile iterations and blocks.

        Returns
        -------
        RuleEdges
            The edges.
        """
        number = layout.number_type
        source, target = self.source.astype(number), self.target.astype(number)
        return self._replace(source=source, target=target)


def joined_edges(layout: Numbering, parts: Sequence[RuleEdges]) -> DependenceEdges:
    """Join the edges of relations.

    Parameters
    ----------
    layout
        The numbering of tile iterations and blocks.
    parts
        The edges of each relation.

    Returns
    -------
    DependenceEdges
        The edges; `DependenceEdges.rule` is the position of their relation in `parts`.
    """
    depth = 0 if layout.whole else layout.depth
    if not parts:
        empty = np.zeros(0, dtype=np.int64)
        none = np.zeros((depth, 0), dtype=np.int64)
        return DependenceEdges(empty, empty, empty, empty, empty, none)
    number = layout.number_type
    source = np.concatenate([p.source for p in parts], dtype=number)
    target = np.concatenate([p.target for p in parts], dtype=number)
    sizes = [len(p.source) for p in parts]
    reason = np.repeat(np.array([p.reason for p in parts], dtype=np.int8), sizes)
    periods = np.zeros((depth, len(source)), dtype=np.int64)
    at = 0
    for part in parts:
        size = len(part.source)
        if depth and part.periods is not None:
            periods[: len(part.periods), at : at + size] = part.periods
        at += size
    few = np.int8 if len(parts) < 1 << 7 else np.int32
    rule = np.repeat(np.arange(len(parts), dtype=few), sizes)
    until = np.repeat(np.array([p.until for p in parts], dtype=np.int8), sizes)
    return DependenceEdges(source, target, until, reason, rule, periods)


def tile_keys(layout: Numbering, leaves: Sequence[Leaf], depth: int) -> Ints:
    """Return the keys of the tiles at a depth that exist for any of some leaves.

    Parameters
    ----------
    layout, leaves, depth
        The numbering of tile iterations, the leaves, and the depth.

    Returns
    -------
    numpy.ndarray
        Keys, increasing, shape (tiles,).
    """
    return joint_tile_keys([layout.tiles[leaf.number] for leaf in leaves], depth)


def write_backs_in_tiles(
    layout: Numbering,
    leaf: Leaf,
    waiting: Ints,
    other: Leaf,
    written: BlockStream,
    keys: Ints,
    depth: int,
) -> tuple[Ints, Ints, Ints]:
    """Find the write-backs of a stream in tiles at a depth.

    Parameters
    ----------
    layout
        The numbering of tile iterations and blocks.
    leaf, waiting
        A leaf, and its tile iterations that wait, shape (n,).
    other, written
        The leaf that writes back, and the stream.
    keys, depth
        Per waiting tile iteration, the key of the tile that it waits for, shape (n,); and the depth
        of these tiles.

    Returns
    -------
    (source, which, periods)
        Write-backs, and the positions of the tile iterations that wait for them, shape (m,) each;
        and the number of periods per loop by which the awaited ones are later. If all write-backs
        take equally long, only those that pass last.

    Raises
    ------
    IrregularError
        The tile iteration that represents an awaited one has no such write-back.
    """
    tiles, others = layout.tiles[leaf.number], layout.tiles[other.number]
    here = others.prefix_keys(depth)[written.iterations]
    first = np.searchsorted(here, keys)
    behind = np.searchsorted(here, keys, side="right")
    if written.uniform:
        first = np.maximum(first, behind - 1)  # they pass in order
    which, at = concatenated_ranges(first, behind - first)
    iterations, periods = through_skipped(
        tiles, waiting[which], others, written.iterations[at], depth=depth
    )
    if not others.whole:
        exists, at = find_keys(written.iterations, iterations)
        if not exists.all():
            raise IrregularError("a write-back does not occur in every period")
    return written.first + at, which, periods


def find_keys(keys: Ints, wanted: Ints) -> tuple[Mask, Ints]:
    """Return which keys occur among increasing ones.

    Parameters
    ----------
    keys, wanted
        The increasing keys, shape (m,), and those to look for, shape (n,).

    Returns
    -------
    (exist, positions)
        Whether each one occurs, shape (n,), and the first position of those that do.
    """
    at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    exists = np.asarray(keys[at] == wanted, dtype=np.bool_)
    return exists, at[exists]
