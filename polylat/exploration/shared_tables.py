"""What the graphs of a mapping have in common, whatever transfers are separate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from polylat.exploration.held_tiles import TilesOfHolder, tiles_of_holders
from polylat.lowering.accesses.blocks import Block
from polylat.lowering.dependences.skew import skew_distances
from polylat.lowering.holder_tiles import Memory, memories
from polylat.lowering.lowered import LoweredMapping, with_sequential_splits
from polylat.lowering.numbering import Numbering
from polylat.lowering.paths import Leaf, with_pipelines
from polylat.lowering.task_graph import blocks_of_leaf, iteration_tables
from polylat.lowering.transfers import TransferOptions
from polylat.lowering.units import Users, unit_users

__all__ = ["DividedUnits", "SharedTables"]


@dataclass(frozen=True)
class DividedUnits:
    """How the stages of Pipelines divide the units of components.

    Parameters
    ----------
    leaves
        The leaves, with these Pipelines.
    users
        As `polylat.lowering.units.unit_users` returns them.
    memories
        As `polylat.lowering.holder_tiles.memories` returns them.
    """

    leaves: tuple[Leaf, ...]
    users: Mapping[str, tuple[Users, ...]]
    memories: tuple[tuple[Memory, ...], ...]


class SharedTables:
    """A mapping with its tile iterations, and what depends on nothing else.

    Parameters
    ----------
    lowered
        The mapping. Whether its splits are Sequential or Pipeline makes no difference.
    """

    def __init__(self, lowered: LoweredMapping) -> None:
        self.lowered = with_sequential_splits(lowered)
        self._tables = iteration_tables(self.lowered)
        self._blocks: dict[Any, tuple[Block, ...]] = {}
        self._divided: dict[frozenset[int], DividedUnits] = {}

    def layout(self, options: TransferOptions) -> Numbering:
        """Number the tile iterations and blocks.

        Parameters
        ----------
        options
            Which transfers are separate.

        Returns
        -------
        Numbering
            The numbering. The blocks of a leaf are counted once for all transfers of other leaves.
        """
        blocks = []
        for leaf, table in zip(self.lowered.leaves, self._tables, strict=True):
            key = leaf.number, _own_transfers(leaf, options)
            if key not in self._blocks:
                self._blocks[key] = blocks_of_leaf(self.lowered, table, options)
            blocks.append(self._blocks[key])
        return Numbering.of(self._tables, blocks)

    def divided(self, pipelines: frozenset[int]) -> DividedUnits:
        """Divide the units of components among the stages of Pipelines.

        Parameters
        ----------
        pipelines
            Tree nodes of the splits that are Pipelines.

        Returns
        -------
        DividedUnits
            The same for all transfers.
        """
        if pipelines not in self._divided:
            spec, leaves = self.lowered.spec, with_pipelines(self.lowered.leaves, pipelines)
            self._divided[pipelines] = DividedUnits(
                leaves, unit_users(spec, leaves), memories(spec, leaves)
            )
        return self._divided[pipelines]

    @cached_property
    def _any_layout(self) -> Numbering:
        return self.layout(TransferOptions(slots=None))

    @cached_property
    def distances(self) -> dict[int, dict[tuple[int, int], int]]:
        """Distances from producers to readers, as if all splits were Pipelines."""
        splits = {split.node for leaf in self.lowered.leaves for split in leaf.splits}
        leaves = with_pipelines(self.lowered.leaves, splits)
        return skew_distances(leaves, self._any_layout, self.lowered.found)

    @cached_property
    def held(self) -> tuple[TilesOfHolder, ...]:
        """The tiles of all holders."""
        return tiles_of_holders(self.lowered.spec, self.lowered.leaves, self._any_layout)


def _own_transfers(leaf: Leaf, options: TransferOptions) -> tuple[tuple[bool, bool], ...]:
    """Return, per holder of a leaf, whether it is staged, and writes back in the background."""
    return tuple(
        (
            options.is_staged(tensor, holder.component),
            (tensor, holder.component) in options.background,
        )
        for tensor in leaf.einsum.tensors
        for holder in leaf.storages(tensor)
    )
