"""What is to be scheduled: the input, the paths of its leaves, and the options."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from polylat.engine.model import Model
from polylat.lowering.paths import Leaf
from polylat.proof.sources import Source, find_sources
from polylat.spec import Spec

__all__ = ["Problem"]


@dataclass(frozen=True, eq=False)
class Problem:
    """A mapping and its options, without anything that an engine derives from them.

    Parameters
    ----------
    spec
        The input.
    leaves
        Its leaves with their paths, in tree order.
    depths
        Per leaf, the number of Temporal loops that index its tile iterations.
    background, staged, slots
        The options: (tensor, component) pairs whose write-backs are in the background; pairs that
        are staged, with None for all tensors or all components; and the number of tiles that
        holders keep, for all or by ``"tensor"`` and ``"tensor@component"``.
    """

    spec: Spec
    leaves: tuple[Leaf, ...]
    depths: tuple[int, ...]
    background: frozenset[tuple[str, str]]
    staged: tuple[tuple[str | None, str | None], ...]
    slots: int | Mapping[str, int | None] | None

    @staticmethod
    def of(model: Model) -> Problem:
        """Return the mapping and options of a model.

        Parameters
        ----------
        model
            The model, of which nothing else is used.

        Returns
        -------
        Problem
            The mapping and its options.
        """
        lowered, options = model.lowered, model.options
        return Problem(
            lowered.spec,
            lowered.leaves,
            lowered.depths,
            options.background,
            options.staged,
            options.slots,
        )

    def is_like(self, other: Problem) -> bool:
        """Return whether another problem is the same mapping with the same options.

        Parameters
        ----------
        other
            The other problem.

        Returns
        -------
        bool
            Whether it is.
        """
        return (
            self.spec is other.spec
            and self.leaves == other.leaves
            and self.depths == other.depths
            and self.has_options_of(other)
        )

    def has_options_of(self, other: Problem) -> bool:
        """Return whether another problem has the same options.

        Parameters
        ----------
        other
            The other problem.

        Returns
        -------
        bool
            Whether it has.
        """
        return (self.background, self.staged, self.slots) == (
            other.background,
            other.staged,
            other.slots,
        )

    def is_staged(self, tensor: str, component: str) -> bool:
        """Return whether a holder hands over whole tiles.

        Parameters
        ----------
        tensor, component
            The holder.

        Returns
        -------
        bool
            Whether it does.
        """
        return any(t in (None, tensor) and c in (None, component) for t, c in self.staged)

    def kept_tiles(self, tensor: str, component: str) -> int | None:
        """Return the number of tiles that a holder keeps.

        Parameters
        ----------
        tensor, component
            The holder.

        Returns
        -------
        int or None
            The number; None if it is unlimited.
        """
        if not isinstance(self.slots, Mapping):
            return self.slots
        for name in (f"{tensor}@{component}", tensor):
            if name in self.slots:
                return self.slots[name]
        return 2

    @cached_property
    def sources(self) -> Mapping[tuple[int, str], tuple[Source, ...]]:
        """(leaf, tensor that it reads) → what brings elements that the leaf reads."""
        return find_sources(self.leaves)

    @cached_property
    def produced(self) -> frozenset[str]:
        """The tensors that some Einsum produces."""
        return frozenset(t for leaf in self.leaves for t in leaf.einsum.outputs)

    def separate_levels(self, leaf: Leaf, tensor: str) -> range:
        """Return the Storages of a tensor whose transfers are blocks of their own.

        Parameters
        ----------
        leaf, tensor
            A leaf, and a tensor that it accesses.

        Returns
        -------
        range
            Their indices on the path: from 1 to the innermost Storage that is staged, holds an
            input above a split, or is written back in the background.
        """
        storages = leaf.storages(tensor)
        output = tensor in leaf.einsum.outputs
        named = [
            level
            for level, holder in enumerate(storages)
            if self.is_staged(tensor, holder.component)
            or (not output and holder.above_split)
            or (output and (tensor, holder.component) in self.background)
        ]
        return range(1, 1 + max(named, default=0))

    def hand_over_depth(self, leaf: Leaf, tensor: str, level: int) -> int:
        """Return the number of loops above the parts of a tile that are written back as a whole.

        Parameters
        ----------
        leaf, tensor, level
            A leaf, its output, and the index of a Storage on the path.

        Returns
        -------
        int
            The depth of the outermost staged Storage, from this one inwards; without one, the
            number of loops that index tile iterations.
        """
        for holder in leaf.storages(tensor)[level:]:
            if self.is_staged(tensor, holder.component):
                return holder.depth
        return self.depths[leaf.number]

    def served_ahead(self, leaf: Leaf, tensor: str, level: int) -> bool:
        """Return whether fills of a Storage are served one tile ahead in a skewed order.

        Parameters
        ----------
        leaf, tensor, level
            A leaf, its input, and the index of a Storage on the path.

        Returns
        -------
        bool
            Whether they are.
        """
        storages = leaf.storages(tensor)
        return (
            tensor not in self.produced
            and any(self.is_staged(tensor, holder.component) for holder in storages[level:])
            and self.kept_tiles(tensor, storages[level].component) != 1
        )
