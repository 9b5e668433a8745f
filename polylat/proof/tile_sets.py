"""The tile iterations of a mapping as ISL sets: all of a leaf, those of a block, of an access."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import islpy as isl

from polylat.analysis.isl_pieces import pieces_to_set
from polylat.analysis.starts import piece_per_sample
from polylat.engine.model import Model
from polylat.lowering.paths import Leaf
from polylat.lowering.sharing import SourceHolder, source_holders
from polylat.proof.element_flow import tile_set
from polylat.schedule.arrays import Ints
from polylat.schedule.pieces import Pieces, merge_pieces

__all__ = ["TileSets", "event_set"]


class TileSets:
    """The tile iterations of a mapping as ISL sets, and the blocks of its leaves.

    Parameters
    ----------
    model
        The mapping. Only its leaves, their depths, blocks and accesses are used.
    """

    def __init__(self, model: Model) -> None:
        self.model = model
        self.leaves = model.lowered.leaves
        self.depths = model.lowered.depths
        self.sources: Mapping[tuple[int, str], SourceHolder] = source_holders(self.leaves)
        self.spaces = [tile_set(leaf, n) for leaf, n in zip(self.leaves, self.depths, strict=True)]
        self._touching: dict[tuple[int, str, str], isl.Set] = {}

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
        """Return the index of a leaf's block of fills or background write-backs.

        Parameters
        ----------
        leaf
            The number of the leaf.
        kind
            ``"fill"`` or ``"background"``.
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
        blocks = self.model.layout.blocks[leaf]
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
            seen: set[bytes] = set()
            for block in self.model.layout.blocks[leaf]:
                for access in block.accesses:
                    if (access.component, access.tensor) == (component, tensor):
                        raw = access.iterations.tobytes()
                        if raw not in seen:
                            seen.add(raw)
                            found = found | self._set_of(leaf, access.iterations)
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
        return self._set_of(leaf, self.model.layout.streams[leaf, block][1])

    def _set_of(self, leaf: int, iterations: Ints) -> isl.Set:
        tiles = self.model.layout.tiles[leaf]
        if len(iterations) == tiles.size:
            return self.spaces[leaf]
        nothing = iterations * 0
        return pieces_to_set(merge_pieces(piece_per_sample(tiles, iterations, nothing, nothing)))

    def prefixes(self, some: Sequence[Leaf], depth: int) -> isl.Set:
        """Return the values of the first loops for which any of the leaves has tile iterations.

        Parameters
        ----------
        some
            The leaves, at least one.
        depth
            The number of first loops.

        Returns
        -------
        islpy.Set
            The values of these loops, as points without a name.
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
