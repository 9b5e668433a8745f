"""What ports serve before a task in the order "skew", where fills are served one tile ahead.

A fill that is served ahead has the date of its host: the first tile iteration of the previous tile.
So the tasks of a leaf on a port are not in the order of their tile iterations. But those of each
*block* are. So it suffices to know, per pair of blocks, up to which tile iteration a port serves
the one before the other. That tile iteration is a function of the loop indices of the task, found
in one or more *moves*: to the host, to the last tile iteration of another leaf with an earlier
date, to a tile, to the next tile.

Where no further move follows, the tile iteration need not exist: the last one up to there is meant.
These functions assume that each stream that is served ahead has a fill for every tile, and that the
variables of its leaf are not tied together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from polylat.engine.tile_steps import (
    Place,
    Step,
    entry,
    itself,
    next_tile,
    predecessor_in,
    previous_tile,
)
from polylat.lowering.iterations import IterationTable
from polylat.lowering.logical_dates import latest_turn
from polylat.lowering.mixed_radix import last_turn
from polylat.lowering.numbering import BlockStream, Numbering
from polylat.lowering.paths import separating_split
from polylat.schedule.arrays import Ints, Mask
from polylat.schedule.graph import TaskGraph

__all__ = ["BlockKey", "Move", "ServedAhead"]

BlockKey = tuple[int, int]
"""A leaf, and the position of one of its blocks."""


@dataclass(frozen=True)
class Move:
    """A function from the loop indices of a task to those of a tile iteration.

    Parameters
    ----------
    at
        Loop indices, shape (depth, n) → those of the tile iterations, shape (depth, n), and whether
        there are any, shape (n,).
    depth
        In this number of outer loops the tile iterations move as the tasks do; they do not move in
        the others.
    """

    at: Step
    depth: int


@dataclass(frozen=True, eq=False)
class ServedAhead:
    """Up to which tile iterations a port serves one block before another one.

    Parameters
    ----------
    layout
        The numbering of the tile iterations and blocks.
    shifts
        Tree node of a Pipeline → the shift of each stage in the skewed dates.
    tile_depth
        Block that is served ahead → number of loops that index its tiles.
    """

    layout: Numbering
    shifts: Mapping[int, Sequence[int]]
    tile_depth: Mapping[BlockKey, int]

    @staticmethod
    def of(
        layout: Numbering, graph: TaskGraph, shifts: Mapping[int, Sequence[int]]
    ) -> ServedAhead | None:
        """Find the streams that are served ahead.

        Parameters
        ----------
        layout, graph, shifts
            The numbering, the task graph, and the shifts.

        Returns
        -------
        ServedAhead or None
            None where a stream that is served ahead has no fill for some tile, or where a leaf with
            such a stream lacks tile iterations because variables are tied together.
        """
        found: dict[BlockKey, int] = {}
        for leaf, streams in enumerate(layout.streams):
            for index, stream in enumerate(streams):
                if (graph.host[stream.span] != graph.owner[stream.span]).any():
                    depth = _tile_depth(layout.tiles[leaf], stream)
                    if depth is None:
                        return None
                    found[leaf, index] = depth
        return ServedAhead(layout, shifts, found)

    def hosts(self, block: BlockKey, digits: Ints) -> Ints:
        """Return by the dates of which tile iterations a port serves a block.

        Parameters
        ----------
        block
            The block.
        digits
            Loop indices of its tile iterations, shape (depth, n).

        Returns
        -------
        numpy.ndarray
            Loop indices of the hosts, shape (depth, n).
        """
        return self._host(block).at(digits)[0] if block in self.tile_depth else digits

    def shared_depth(self, leaf: int, other: int) -> int:
        """Return the number of loops above the split that separates two leaves.

        Parameters
        ----------
        leaf, other
            Two different leaves.

        Returns
        -------
        int
            The number of loops.
        """
        mine, theirs = self.layout.tiles[leaf].leaf, self.layout.tiles[other].leaf
        return mine.splits[separating_split(mine, theirs)].depth

    def moves(self, target: BlockKey, source: BlockKey) -> tuple[Move, ...]:
        """Return up to which tile iteration a port serves a block before a task of another one.

        Parameters
        ----------
        target, source
            The block of the task, and the one that is served before.

        Returns
        -------
        tuple of Move
            The last one leads to that tile iteration, the other ones to those on the way.
        """
        if target[0] == source[0]:
            ahead = target in self.tile_depth
            return self._from_ahead(target, source) if ahead else self._from_base(target, source)
        return self._from_other_leaf(target, source)

    def _from_base(self, target: BlockKey, source: BlockKey) -> tuple[Move, ...]:
        """Of a task that is served by the date of its own tile iteration, and a block of its leaf.

        In a tile iteration, the next fills that are served ahead follow its own fills.
        """
        leaf, position = target
        tiles, first = self.layout.tiles[leaf], source[1] < position
        if source not in self.tile_depth:
            return (Move(itself if first else predecessor_in(tiles), tiles.depth),)
        depth = self.tile_depth[source]
        filled = self._kind(target) == "fill"

        def at(digits: Ints) -> Place:
            inside = digits[depth:].any(axis=0)
            tile, following = entry(digits, depth), next_tile(tiles, depth)(digits)[0]
            found = np.where(inside | (not filled), following, tile)
            # The first tile is served by the date of its own tile iteration.
            return found, np.asarray(digits.any(axis=0) | first | (not filled), dtype=np.bool_)

        return (Move(at, depth),)

    def _from_ahead(self, target: BlockKey, source: BlockKey) -> tuple[Move, ...]:
        """Of a fill that is served ahead, and a block of its leaf."""
        leaf, position = target
        tiles, depth = self.layout.tiles[leaf], self.tile_depth[target]
        first = source[1] < position
        host = self._host(target)
        before = previous_tile(tiles, depth)
        previous = Move(before, depth)
        if source == target:
            return (previous,)
        if source in self.tile_depth:
            inner = self.tile_depth[source]

            def other_fill(digits: Ints) -> Place:
                hosts, later = before(digits)
                tile = entry(hosts, inner)
                following, _ = next_tile(tiles, inner)(hosts)
                # With the same host, the fill of the earlier tile iteration comes first.
                go = hosts[inner:].any(axis=0) | _less(following, digits, first)
                found = np.where(go, following, tile)
                return np.where(later, found, 0), np.asarray(later | first, dtype=np.bool_)

            return host, Move(other_fill, min(depth, inner))
        if self._kind(source) == "fill":

            def own_fill(digits: Ints) -> Place:
                exists = np.asarray(digits.any(axis=0) | first, dtype=np.bool_)
                return host.at(digits)[0], exists

            return host, Move(own_fill, depth)
        return previous, _then(previous, predecessor_in(tiles), depth)

    def _from_other_leaf(self, target: BlockKey, source: BlockKey) -> tuple[Move, ...]:
        (leaf, _), (other, _) = target, source
        mine, theirs = self.layout.tiles[leaf].leaf, self.layout.tiles[other].leaf
        at = separating_split(mine, theirs)
        split, branch = mine.splits[at], theirs.splits[at].branch
        above = mine.splits[at - 1].depth if at else 0
        delay = latest_turn(split, branch, self.shifts.get(split.node))
        others = self.layout.tiles[other]
        trips = others.trips

        def last(digits: Ints) -> Place:
            found = np.repeat(trips[:, None] - 1, digits.shape[1], axis=1)
            turn, exists = last_turn(trips[: split.depth], digits, above, delay)
            found[: split.depth] = turn[: split.depth]
            return found, exists

        ahead = target in self.tile_depth
        host = self._host(target) if ahead else Move(itself, self.layout.tiles[leaf].depth)
        found = [host, _then(host, last, min(host.depth, split.depth))]
        if source in self.tile_depth:
            depth = self.tile_depth[source]
            following = next_tile(others, depth)
            found.append(_then(found[-1], following, min(found[-1].depth, depth)))
        return tuple(found if ahead else found[1:])

    def _host(self, block: BlockKey) -> Move:
        """Return the move to the host of a fill; the first tile has none but itself."""
        depth = self.tile_depth[block]
        previous = previous_tile(self.layout.tiles[block[0]], depth)

        def at(digits: Ints) -> Place:
            found, later = previous(digits)
            return np.where(later, found, digits), np.ones(digits.shape[1], dtype=np.bool_)

        return Move(at, depth)

    def _kind(self, block: BlockKey) -> str:
        return self.layout.streams[block[0]][block[1]].block.kind


def _tile_depth(tiles: IterationTable, stream: BlockStream) -> int | None:
    """Return the number of loops that index the tiles of a stream, None if they are irregular."""
    if tiles.leaf.coupled and not tiles.full:
        return None
    for depth in range(tiles.depth + 1):
        if np.array_equal(tiles.firsts(depth), stream.iterations):
            return depth
    return None


def _then(before: Move, step: Step, depth: int) -> Move:
    """Return a move that goes on where another one ends."""

    def at(digits: Ints) -> Place:
        found, exists = before.at(digits)
        further, also = step(found)
        return further, exists & also

    return Move(at, depth)


def _less(digits: Ints, others: Ints, equal: bool) -> Mask:
    """Return whether loop indices are lexicographically less than others; `equal` if equal."""
    found = np.full(digits.shape[1], equal)
    for mine, theirs in zip(digits[::-1], others[::-1], strict=True):
        found = np.where(mine == theirs, found, mine < theirs)
    return found
