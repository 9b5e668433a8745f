"""The numbering of tile iterations and blocks, and the dependence edges between them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from polylat.lowering.accesses.blocks import Block
from polylat.lowering.dependences.tables import union_of
from polylat.lowering.iterations import IterationTable
from polylat.lowering.paths import Leaf
from polylat.lowering.sampling import LoopSample
from polylat.schedule.arrays import Ints, Narrow, narrow_type

__all__ = ["BlockStream", "DependenceEdges", "Numbering"]


@dataclass(frozen=True, eq=False)
class BlockStream:
    """The occurrences of one `Block` of a leaf, numbered consecutively.

    Parameters
    ----------
    block
        The block.
    first
        Number of its first occurrence.
    iterations
        The tile iterations in which it occurs, numbered within the leaf: increasing, shape (n,).
    """

    block: Block
    first: int
    iterations: Ints

    @property
    def numbers(self) -> Ints:
        """The numbers of all occurrences, shape (n,)."""
        return self.first + np.arange(len(self.iterations))

    @property
    def span(self) -> slice:
        """The numbers of all occurrences, as a slice of arrays with one entry per block."""
        return slice(self.first, self.first + len(self.iterations))

    @cached_property
    def uniform(self) -> bool:
        """Whether all occurrences have the same accesses, so that they pass in order."""
        return all(
            len(access.iterations) == len(self.iterations)
            and (access.counts == access.counts[0]).all()
            for access in self.block.accesses
        )

    def numbers_in(self, iterations: Ints) -> Ints:
        """Return the numbers of the occurrences in given tile iterations.

        Parameters
        ----------
        iterations
            Tile iterations in which the block occurs, numbered within the leaf: shape (n,).

        Returns
        -------
        numpy.ndarray
            Shape (n,).
        """
        if self.block.kind == "foreground":
            return self.first + iterations
        return self.first + np.searchsorted(self.iterations, iterations)


@dataclass(frozen=True, eq=False)
class Numbering:
    """The numbering of sampled tile iterations and of blocks.

    Tile iterations are numbered consecutively, leaf by leaf; then follow the blocks that are not
    foreground, stream by stream. The number of a tile iteration is also that of its foreground
    block.

    Parameters
    ----------
    tiles
        Per leaf, its tile iterations.
    bases
        Per leaf, the number of its first tile iteration.
    streams
        Per leaf, the occurrences of each of its blocks.
    iterations, total
        Number of tile iterations; number of tile iterations and other blocks together.
    """

    tiles: tuple[IterationTable, ...]
    bases: tuple[int, ...]
    streams: tuple[tuple[BlockStream, ...], ...]
    iterations: int
    total: int

    @cached_property
    def blocks(self) -> tuple[tuple[Block, ...], ...]:
        """Per leaf, its blocks."""
        return tuple(tuple(stream.block for stream in streams) for streams in self.streams)

    @cached_property
    def whole(self) -> bool:
        """Whether all tile iterations are sampled."""
        return all(tiles.whole for tiles in self.tiles)

    @property
    def number_type(self) -> Any:
        """The type of the numbers of tile iterations and of blocks in large arrays.

        It has 64 bits where they are multiplied and sorted: where tile iterations are skipped.
        """
        return narrow_type(self.total) if self.whole else np.int64

    @cached_property
    def depth(self) -> int:
        """Largest number of loops that index the tile iterations of a leaf."""
        return max((tiles.depth for tiles in self.tiles), default=0)

    @cached_property
    def places(self) -> Ints:
        """`IterationTable.places`, shape (depth, iterations); 0 in loops that a leaf lacks."""
        return self._rows([tiles.places for tiles in self.tiles])

    @cached_property
    def digits(self) -> Ints:
        """`IterationTable.digits`, shape (depth, iterations); 0 in loops that a leaf lacks."""
        return self._rows([tiles.digits for tiles in self.tiles])

    @cached_property
    def period_lengths(self) -> Ints:
        """`LoopSample.period_lengths` of each place, shape (depth, iterations)."""
        return self._of_places(lambda kept: kept.period_lengths)

    @cached_property
    def skipped_periods(self) -> Ints:
        """`LoopSample.skipped_periods` of each place, shape (depth, iterations)."""
        return self._of_places(lambda kept: kept.skipped_periods)

    @cached_property
    def earlier(self) -> Ints:
        """The tile iteration one period earlier per loop, or -1: shape (depth, iterations).

        It is -1 where a tile iteration represents no skipped ones.
        """
        found = np.full((self.depth, self.iterations), -1, dtype=np.int64)
        for tiles, base in zip(self.tiles, self.bases, strict=True):
            rows = tiles.earlier
            here = slice(base, base + tiles.size)
            found[: tiles.depth, here] = np.where(rows < 0, -1, rows + base)
        return found

    @cached_property
    def apart(self) -> bool:
        """Whether leaves below one loop sample different iterations of it."""
        sampled: dict[int, LoopSample] = {}
        return any(
            sampled.setdefault(loop.node, kept) != kept
            for tiles in self.tiles
            for loop, kept in zip(tiles.leaf.temporal, tiles.kept, strict=False)
        )

    @cached_property
    def shared(self) -> Ints:
        """Number of loops that index the tile iterations of both leaves, shape (leaves, leaves)."""
        found = np.zeros((len(self.tiles), len(self.tiles)), dtype=np.int64)
        for k in range(self.depth):
            # A loop of the tree has one path to it: where it is the same, so are those above it.
            loops = np.array(
                [
                    tiles.leaf.temporal[k].node if k < tiles.depth else -1 - leaf
                    for leaf, tiles in enumerate(self.tiles)
                ]
            )
            found += (loops[:, None] == loops[None, :]) & (loops[:, None] >= 0)
        return found

    def later(self, iterations: Ints, periods: Ints) -> Ints:
        """Return the loop indices of tile iterations, numbers of periods later.

        Parameters
        ----------
        iterations
            Tile iterations, shape (n,).
        periods
            Number of periods per loop, shape (loops, n).

        Returns
        -------
        numpy.ndarray
            Indices of the first loops, shape (loops, n).
        """
        loops = slice(len(periods))
        return self.digits[loops, iterations] + periods * self.period_lengths[loops, iterations]

    def _of_places(self, column: Callable[[LoopSample], Ints]) -> Ints:
        """Return a number per place of a loop, for all tile iterations."""
        return self._rows(
            [
                [column(kept)[row] for kept, row in zip(tiles.kept, tiles.places, strict=True)]
                for tiles in self.tiles
            ]
        )

    def _rows(self, by_leaf: Sequence[Sequence[Ints] | Ints]) -> Ints:
        found = np.zeros((self.depth, self.iterations), dtype=np.int64)
        for tiles, base, rows in zip(self.tiles, self.bases, by_leaf, strict=True):
            for k, row in enumerate(rows):
                found[k, base : base + tiles.size] = row
        return found

    @staticmethod
    def of(tiles: Sequence[IterationTable], blocks: Sequence[tuple[Block, ...]]) -> Numbering:
        """Number the tile iterations and blocks.

        Parameters
        ----------
        tiles, blocks
            Per leaf, its tile iterations and its blocks.

        Returns
        -------
        Numbering
            The numbering.
        """
        bases, count = [], 0
        for some in tiles:
            bases.append(count)
            count += some.size
        iterations = count
        streams = []
        for base, some, mine in zip(bases, tiles, blocks, strict=True):
            of_leaf = []
            for block in mine:
                if block.kind == "foreground":
                    of_leaf.append(BlockStream(block, base, some.every))
                else:
                    where = union_of([a.iterations for a in block.accesses], some.size)
                    if len(where) == some.size:
                        where = some.every  # one array for all of its streams
                    of_leaf.append(BlockStream(block, count, where))
                    count += len(where)
            streams.append(tuple(of_leaf))
        return Numbering(tuple(tiles), tuple(bases), tuple(streams), iterations, count)

    def with_leaves(self, leaves: Sequence[Leaf]) -> Numbering:
        """Return the same numbering for leaves that differ in their splits only.

        Parameters
        ----------
        leaves
            The other leaves.

        Returns
        -------
        Numbering
            The numbering, which shares the tile iterations and the blocks.
        """
        tables = zip(self.tiles, leaves, strict=True)
        return replace(self, tiles=tuple(replace(tiles, leaf=leaf) for tiles, leaf in tables))

    def accesses_to(
        self, leaf: int, tensor: str, component: str
    ) -> Iterator[tuple[BlockStream, Ints]]:
        """Collect the accesses of a leaf to a tensor in a component, block by block.

        Parameters
        ----------
        leaf
            Number of the leaf.
        tensor, component
            The tensor and the component.

        Yields
        ------
        (stream, iterations)
            A block with such accesses, and the tile iterations that have them, shape (n,),
            increasing, numbered within the leaf.
        """
        for stream in self.streams[leaf]:
            parts = [
                access.iterations
                for access in stream.block.accesses
                if access.component == component and access.tensor == tensor
            ]
            if parts:
                yield stream, union_of(parts, self.tiles[leaf].size)

    def stream(self, leaf: int, kind: str, tensor: str, level: int) -> BlockStream | None:
        """Return a stream of fills or write-backs of a leaf.

        Parameters
        ----------
        leaf
            Number of the leaf.
        kind, tensor, level
            As in `Block`.

        Returns
        -------
        BlockStream or None
            None if there is no such stream.
        """
        for stream in self.streams[leaf]:
            block = stream.block
            if (block.kind, block.tensor, block.level) == (kind, tensor, level):
                return stream
        return None


@dataclass(frozen=True, eq=False)
class DependenceEdges:
    """Dependence edges: `target` waits for `source`.

    Parameters
    ----------
    source
        A tile iteration (its finish), or a block other than foreground: shape (n,).
    target
        A tile iteration (its start), or a block other than foreground: shape (n,).
    until
        Whether it must have passed, been served, or started (`schedule.reasons`): shape (n,).
    reason
        `FLOW`, `BARRIER` or `CAPACITY`: shape (n,).
    rule
        Number of the relation that the edge belongs to. Where tile iterations are skipped, a
        target has at most one source per relation. Shape (n,).
    periods
        Per loop of the source's leaf, the number of periods by which the awaited instance is later
        than `source`: shape (depth, n), or (0, n) where no tile iteration is skipped.
    """

    source: Narrow
    target: Narrow
    until: Narrow
    reason: Narrow
    rule: Narrow
    periods: Ints
