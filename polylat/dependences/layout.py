"""How tile iterations and blocks are numbered, and the edges between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from polylat.accesses.blocks import Block
from polylat.dependences.arrays import union_of
from polylat.dependences.follow import shared_depth
from polylat.lowering.scan import Ints
from polylat.lowering.tiles import Tiles

__all__ = ["BARRIER", "CAPACITY", "FLOW", "Edges", "Layout"]

FLOW, BARRIER, CAPACITY = 0, 1, 2


@dataclass(frozen=True, eq=False)
class Layout:
    """How tile iterations and blocks are numbered.

    Tile iterations of all leaves are numbered through, leaf by leaf; then come the blocks that
    are not foreground, stream by stream (a stream: one `Block` of a leaf, which occurs in some of
    its tile iterations). A tile iteration's number also stands for its foreground block.

    Parameters
    ----------
    tiles
        Per leaf, its tile iterations.
    blocks
        Per leaf, its blocks.
    bases
        Per leaf, the number of its first tile iteration.
    streams
        (leaf, index of the block) → (number of its first block, its tile iterations).
    iterations, total
        Number of tile iterations; of these and the other blocks together.
    """

    tiles: tuple[Tiles, ...]
    blocks: tuple[tuple[Block, ...], ...]
    bases: tuple[int, ...]
    streams: Mapping[tuple[int, int], tuple[int, Ints]]
    iterations: int
    total: int

    @property
    def whole(self) -> bool:
        """Whether all tile iterations are looked at."""
        return all(tiles.whole for tiles in self.tiles)

    @property
    def depth(self) -> int:
        """Largest number of loops that index the tile iterations of a leaf."""
        return max((tiles.depth for tiles in self.tiles), default=0)

    @cached_property
    def places(self) -> Ints:
        """Shape (loops, tile iterations): `Tiles.places`; 0 in loops that a leaf does not have."""
        return self._rows([tiles.places for tiles in self.tiles])

    @cached_property
    def digits(self) -> Ints:
        """Shape (loops, tile iterations): `Tiles.digits`; 0 in loops that a leaf does not have."""
        return self._rows([tiles.digits for tiles in self.tiles])

    @cached_property
    def periods(self) -> Ints:
        """Shape (loops, tile iterations): the period of the cut that each stands before, or 0."""
        return self._rows(
            [
                [kept.periods[row] for kept, row in zip(tiles.kept, tiles.places, strict=True)]
                for tiles in self.tiles
            ]
        )

    @cached_property
    def shared(self) -> Ints:
        """Per pair of leaves, the number of loops that index the tile iterations of both."""
        some = self.tiles
        return np.array([[a.depth if a is b else shared_depth(a, b) for b in some] for a in some])

    def later(self, iterations: Ints, copies: Ints) -> Ints:
        """Shape (loops, some): indices of the loops of tile iterations so many periods later."""
        loops = slice(len(copies))
        return self.digits[loops, iterations] + copies * self.periods[loops, iterations]

    def _rows(self, by_leaf: Sequence[Sequence[Ints] | Ints]) -> Ints:
        found = np.zeros((self.depth, self.iterations), dtype=np.int64)
        for tiles, base, rows in zip(self.tiles, self.bases, by_leaf, strict=True):
            for k, row in enumerate(rows):
                found[k, base : base + tiles.size] = row
        return found

    @staticmethod
    def of(tiles: Sequence[Tiles], blocks: Sequence[tuple[Block, ...]]) -> Layout:
        """Number the tile iterations and blocks."""
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
        return Layout(tuple(tiles), tuple(blocks), tuple(bases), streams, iterations, count)

    def stream(self, leaf: int, kind: str, tensor: str, level: int) -> tuple[int, Ints] | None:
        """The stream of a leaf's fills or write-backs, None if it has none."""
        for index, block in enumerate(self.blocks[leaf]):
            if (block.kind, block.tensor, block.level) == (kind, tensor, level):
                return self.streams[leaf, index]
        return None


@dataclass(frozen=True, eq=False)
class Edges:
    """Edges: `target` waits until `source` has finished.

    Parameters
    ----------
    source
        A tile iteration (its finish), or a block other than foreground (its finish).
    target
        A tile iteration (its start); a fill (its start); or, from `Layout.total` on, a tile
        iteration's finish.
    reason
        `FLOW`, `BARRIER` or `CAPACITY`.
    rule
        Which relation the edge is of: a target waits for one source of each at most, where tile
        iterations stand for others.
    copies
        Shape (loops, edges): how many periods later than `source` the target waits for, per loop
        of the source's leaf.
    """

    source: Ints
    target: Ints
    reason: Ints
    rule: Ints
    copies: Ints
