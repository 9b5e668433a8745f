"""The tile iterations of a mapping as ISL sets: all of a leaf, those of a block, of an access."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import islpy as isl
import numpy as np

from polylat.analysis.isl_pieces import (
    first_within,
    last_within,
    pieces_to_set,
    prefix_function,
    prefix_map,
)
from polylat.lowering.paths import Leaf
from polylat.proof.durations import Expectation
from polylat.proof.loop_counts import LoopCounts, as_boxes, over_iterations
from polylat.proof.relation_text import tile_iterations
from polylat.proof.sources import Source
from polylat.schedule.pieces import Pieces, merge_pieces

__all__ = ["TileSets", "event_set"]


class TileSets:
    """The tile iterations of a mapping as ISL sets, and the blocks of its leaves.

    Parameters
    ----------
    expected
        The blocks and accesses of the mapping.
    """

    def __init__(self, expected: Expectation) -> None:
        self.expected = expected
        self.leaves = expected.problem.leaves
        self.depths = expected.problem.depths
        self.sources: Mapping[tuple[int, str], tuple[Source, ...]] = expected.problem.sources
        self.spaces = [
            tile_iterations(leaf, n) for leaf, n in zip(self.leaves, self.depths, strict=True)
        ]
        self._touching: dict[tuple[int, str, str], isl.Set] = {}
        self._firsts: dict[tuple[int, int], isl.Set] = {}
        self._block_sets: dict[tuple[int, int], isl.Set] = {}

    def foreground(self, leaf: int) -> int:
        """Return the index of a leaf's foreground block.

        Parameters
        ----------
        leaf
            The number of the leaf.

        Returns
        -------
        int
            The index among the leaf's blocks.
        """
        return self._first_block(leaf, lambda block: block.kind == "foreground") or 0

    def separate_block(self, leaf: int, kind: str, tensor: str, level: int) -> int | None:
        """Return the index of a leaf's block of separate transfers.

        Parameters
        ----------
        leaf
            The number of the leaf.
        kind
            ``"fill"`` or ``"write_back"``.
        tensor, level
            The tensor, and the index of its holder among the leaf's holders of it.

        Returns
        -------
        int or None
            The index among the leaf's blocks; None if those transfers stream.
        """
        return self._first_block(
            leaf, lambda b: (b.kind, b.tensor, b.level) == (kind, tensor, level)
        )

    def _first_block(self, leaf: int, wanted: Callable[..., bool]) -> int | None:
        blocks = self.expected.blocks[leaf]
        return next((i for i, block in enumerate(blocks) if wanted(block)), None)

    def touching(self, leaf: int, tensor: str, component: str) -> isl.Set:
        """Return the tile iterations that access a tensor in a component.

        Parameters
        ----------
        leaf
            The number of the leaf.
        tensor, component
            The tensor and the component.

        Returns
        -------
        islpy.Set
            The tile iterations of the leaf, as points without a name.
        """
        key = (leaf, tensor, component)
        if key not in self._touching:
            found = isl.Set.empty(self.spaces[leaf].get_space())
            for block in self.expected.blocks[leaf]:
                for access in block.accesses:
                    if (access.component, access.tensor) == (component, tensor):
                        found = found | self.set_of(leaf, access.counts)
            self._touching[key] = found.coalesce()
        return self._touching[key]

    def block_set(self, leaf: int, block: int) -> isl.Set:
        """Return the tile iterations that have a block.

        Parameters
        ----------
        leaf, block
            The number of the leaf, and the index of the block among its blocks.

        Returns
        -------
        islpy.Set
            The tile iterations of the leaf, as points without a name.
        """
        if (leaf, block) not in self._block_sets:
            some = self.set_of(leaf, self.expected.iterations(leaf, block))
            self._block_sets[leaf, block] = some
        return self._block_sets[leaf, block]

    def identity(self, leaf: int) -> isl.PwMultiAff:
        """Return the function from the tile iterations of a leaf to themselves.

        Parameters
        ----------
        leaf
            The number of the leaf.

        Returns
        -------
        islpy.PwMultiAff
            Tile iteration → the same one.
        """
        return isl.PwMultiAff.from_map(
            isl.Map.identity(self.spaces[leaf].get_space().map_from_set())
        )

    def firsts(self, leaf: int, depth: int) -> isl.Set:
        """Return the first tile iterations of a leaf in the tiles below some loops.

        Parameters
        ----------
        leaf
            The number of the leaf.
        depth
            The number of loops above the tiles.

        Returns
        -------
        islpy.Set
            The tile iterations, as points without a name.
        """
        if depth == self.depths[leaf]:
            return self.spaces[leaf]
        if (leaf, depth) not in self._firsts:
            first = isl.Map.from_pw_multi_aff(first_within(self.spaces[leaf], depth))
            self._firsts[leaf, depth] = first.range().coalesce()
        return self._firsts[leaf, depth]

    def entry(self, leaf: int, other: int, depth: int) -> isl.PwMultiAff:
        """Return, per tile iteration of a leaf, the first one of another leaf in the same tile.

        Parameters
        ----------
        leaf, other
            The numbers of the two leaves, which may be equal.
        depth
            The number of loops above the tiles. Both leaves have all of them.

        Returns
        -------
        islpy.PwMultiAff
            Tile iteration of `leaf` → tile iteration of `other`.
        """
        first = first_within(self.spaces[other], depth)
        return first.pullback_pw_multi_aff(prefix_function(self.depths[leaf], depth))

    def within_tiles(
        self, tile: isl.PwMultiAff, awaited: tuple[int, int], depth: int
    ) -> tuple[isl.PwMultiAff, isl.Map]:
        """Relate tile iterations to those in a tile that have a block.

        Parameters
        ----------
        tile
            Waiting tile iteration → the indices of the loops above a tile.
        awaited
            The number of a leaf, and the index of the block among its blocks.
        depth
            The number of loops above the tile.

        Returns
        -------
        (last, relation)
            Waiting tile iteration → the last one in the tile that has the block, and → all of them.
        """
        some = self.block_set(*awaited)
        last = last_within(some, depth).pullback_pw_multi_aff(tile).coalesce()
        inside = prefix_map(self.depths[awaited[0]], depth).reverse().intersect_range(some)
        return last, isl.Map.from_pw_multi_aff(tile).apply_range(inside)

    def set_of(self, leaf: int, counts: LoopCounts) -> isl.Set:
        """Return the tile iterations for which a number is not 0.

        Parameters
        ----------
        leaf
            The number of the leaf.
        counts
            A number per tile iteration.

        Returns
        -------
        islpy.Set
            The tile iterations of the leaf, as points without a name.
        """
        some = counts.mapped(lambda values: np.asarray(values != 0, dtype=np.int64)).merged()
        if some.values.all():
            return self.spaces[leaf]
        low, size = as_boxes(over_iterations(self.leaves[leaf], some, self.depths[leaf]))
        nothing = np.zeros(low.shape[1], dtype=np.int64)
        boxes = Pieces(low, np.ones_like(low), size, nothing, low * 0, nothing)
        return pieces_to_set(merge_pieces(boxes)) & self.spaces[leaf]

    def prefixes(self, some: Sequence[Leaf], depth: int) -> isl.Set:
        """Return the indices of the outer loops at which any of the leaves has tile iterations.

        Parameters
        ----------
        some
            The leaves, at least one.
        depth
            The number of outer loops.

        Returns
        -------
        islpy.Set
            The indices of these loops, as points without a name.
        """
        found = None
        for leaf in some:
            space = self.spaces[leaf.number]
            inner = space.dim(isl.dim_type.set) - depth
            prefixes = space.project_out(isl.dim_type.set, depth, inner)
            found = prefixes if found is None else found | prefixes
        if found is None:
            raise AssertionError("a split has leaves")
        return found.coalesce()


def event_set(pieces: Pieces) -> isl.Set:
    """Return the tile iterations that have an event.

    Parameters
    ----------
    pieces
        The starts of the event.

    Returns
    -------
    islpy.Set
        The tile iterations, as points without a name.
    """
    without_times = Pieces(
        pieces.low,
        pieces.stride,
        pieces.count,
        pieces.start * 0,
        pieces.rate * 0,
        pieces.duration,
    )
    return pieces_to_set(merge_pieces(without_times))
