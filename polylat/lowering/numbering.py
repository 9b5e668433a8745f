"""The numbering of tile iterations and blocks, and the dependence edges between them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from polylat.lowering.accesses.blocks import Block
from polylat.lowering.dependences.extend import shared_depth
from polylat.lowering.dependences.tables import union_of
from polylat.lowering.iterations import IterationTable
from polylat.lowering.sampling import LoopSample
from polylat.schedule.arrays import Ints

__all__ = ["DependenceEdges", "Numbering"]


@dataclass(frozen=True, eq=False)
class Numbering:
    """The numbering of sampled tile iterations and of blocks.

    Tile iterations are numbered consecutively, leaf by leaf; then follow the blocks that are not
    foreground, stream by stream. A stream is one `Block` of a leaf, which occurs in some of its
    tile iterations. The number of a tile iteration is also that of its foreground block.

    Parameters
    ----------
    tiles
        Per leaf, its tile iterations.
    blocks
        Per leaf, its blocks.
    bases
        Per leaf, the number of its first tile iteration.
    streams
        (leaf, index of the block) → (number of the stream's first block, its tile iterations,
        numbered within the leaf).
    iterations, total
        Number of tile iterations; number of tile iterations and other blocks together.
    """

    tiles: tuple[IterationTable, ...]
    blocks: tuple[tuple[Block, ...], ...]
    bases: tuple[int, ...]
    streams: Mapping[tuple[int, int], tuple[int, Ints]]
    iterations: int
    total: int

    @property
    def whole(self) -> bool:
        """Whether all tile iterations are sampled."""
        return all(tiles.whole for tiles in self.tiles)

    @property
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
    def shared(self) -> Ints:
        """Number of loops that index the tile iterations of both leaves, shape (leaves, leaves)."""
        some = self.tiles
        return np.array([[a.depth if a is b else shared_depth(a, b) for b in some] for a in some])

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
        streams: dict[tuple[int, int], tuple[int, Ints]] = {}
        for leaf, mine in enumerate(blocks):
            for index, block in enumerate(mine):
                if block.kind != "foreground":
                    where = union_of([a.iterations for a in block.accesses], tiles[leaf].size)
                    streams[leaf, index] = (count, where)
                    count += len(where)
        return Numbering(tuple(tiles), tuple(blocks), tuple(bases), streams, iterations, count)

    def accesses_to(self, leaf: int, tensor: str, component: str) -> Iterator[tuple[int, Ints]]:
        """Collect the accesses of a leaf to a tensor in a component, block by block.

        Parameters
        ----------
        leaf
            Number of the leaf.
        tensor, component
            The tensor and the component.

        Yields
        ------
        (index, iterations)
            The index of a block with such accesses, and the tile iterations that have them, shape
            (n,), increasing, numbered within the leaf.
        """
        for index, block in enumerate(self.blocks[leaf]):
            parts = [
                access.iterations
                for access in block.accesses
                if access.component == component and access.tensor == tensor
            ]
            if parts:
                yield index, union_of(parts, self.tiles[leaf].size)

    def occurrences(self, leaf: int, index: int, iterations: Ints) -> Ints:
        """Return the numbers of a block in tile iterations in which it occurs.

        Parameters
        ----------
        leaf, index
            Number of the leaf, and index of the block among its blocks.
        iterations
            Tile iterations, numbered within the leaf: shape (n,).

        Returns
        -------
        numpy.ndarray
            Numbers of blocks, shape (n,).
        """
        if self.blocks[leaf][index].kind == "foreground":
            return self.bases[leaf] + iterations
        first, where = self.streams[leaf, index]
        return first + np.searchsorted(where, iterations)

    def block(self, leaf: int, kind: str, tensor: str, level: int) -> Block | None:
        """Return a block of separate transfers of a leaf.

        Parameters
        ----------
        leaf
            Number of the leaf.
        kind, tensor, level
            As in `Block`.

        Returns
        -------
        Block or None
            None if there is no such block.
        """
        for block in self.blocks[leaf]:
            if (block.kind, block.tensor, block.level) == (kind, tensor, level):
                return block
        return None

    def stream(self, leaf: int, kind: str, tensor: str, level: int) -> tuple[int, Ints] | None:
        """Return a stream of fills or write-backs of a leaf.

        Parameters
        ----------
        leaf
            Number of the leaf.
        kind, tensor, level
            As in `Block`.

        Returns
        -------
        (first, iterations) or None
            The number of its first block and its tile iterations, numbered within the leaf; None
            if there is no such stream.
        """
        for index, block in enumerate(self.blocks[leaf]):
            if (block.kind, block.tensor, block.level) == (kind, tensor, level):
                return self.streams[leaf, index]
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

    source: Ints
    target: Ints
    until: Ints
    reason: Ints
    rule: Ints
    periods: Ints
