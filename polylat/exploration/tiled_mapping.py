"""The mapping with some tile shapes, and the graph that its variants share."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np

from polylat.errors import (
    CapacityError,
    MappingError,
    PolylatError,
    ScheduleError,
    TooLargeError,
    UnsupportedError,
)
from polylat.exploration.axes import split_name
from polylat.exploration.cell import Cell
from polylat.exploration.held_tiles import IntegerRangeError
from polylat.exploration.pareto import Outcome
from polylat.exploration.space import Space
from polylat.exploration.variant_input import with_tiles
from polylat.exploration.variants import VariantGraph
from polylat.lowering.dependences.rules import slots_of
from polylat.lowering.holder_tiles import memory_sizes
from polylat.lowering.lowered import lower

__all__ = ["ILLEGAL", "MOST_SHARED", "TiledMapping", "one_line"]

MOST_SHARED = 100_000
"""Up to this number of tile iterations all are visited, and variants share a `VariantGraph`."""
_MOST_CELLS = 16
"""Largest number of cells that a mapping keeps."""

ILLEGAL = (MappingError, ScheduleError, CapacityError, TooLargeError, UnsupportedError)
"""The errors of `analyze` that make a variant illegal."""


class TiledMapping:
    """The mapping with some tile shapes, at one granularity.

    Parameters
    ----------
    space
        The space.
    shapes
        Tile shapes of the loops of `Space.tiles`.
    granularity
        The option of `analyze`.
    """

    def __init__(self, space: Space, shapes: tuple[int, ...], granularity: str) -> None:
        self.space = space
        self.granularity = granularity
        self.graph: VariantGraph | None = None
        """The graph of all variants; None where there are too many tile iterations."""
        self.error = ""
        """Why all variants are illegal; otherwise empty."""
        self._cells: dict[tuple[str, ...], Cell] = {}
        numbers = {loop.number: shape for (loop, _), shape in zip(space.tiles, shapes, strict=True)}
        try:
            self.spec = with_tiles(space.spec, numbers)
            finest: Any = "flow" if granularity == "auto" else granularity
            self.lowered = lower(self.spec, finest)
            if self.lowered.size <= min(MOST_SHARED, space.max_tiles):
                write_backs = (*space.fixed_background, *space.background)
                self.graph = VariantGraph(self.lowered, write_backs, self._distinct_slot_counts())
        except IntegerRangeError:
            pass
        except ILLEGAL as error:
            self.error = one_line(error)

    def _distinct_slot_counts(self) -> list[int | None]:
        """Return the slot counts that any tensor has in any variant."""
        fixed = [slots_of(self.space.other_slots, t) for t in self.spec.workload.tensors]
        return [*fixed, *(count for _, counts in self.space.slots for count in counts)]

    # Choices

    @cached_property
    def _split_nodes(self) -> dict[str, int]:
        """Name of a split → its tree node."""
        branches: dict[int, dict[int, list[str]]] = {}
        for leaf in self.lowered.leaves:
            for split in leaf.splits:
                below = branches.setdefault(split.node, {})
                below.setdefault(split.branch, []).append(leaf.einsum.name)
        return {split_name(below.values()): n for n, below in branches.items() if len(below) > 1}

    def pipelines(self, kinds: Sequence[str]) -> frozenset[int]:
        """Return the tree nodes of the splits that are Pipelines.

        Parameters
        ----------
        kinds
            Kinds of the splits of `Space.splits`.

        Returns
        -------
        frozenset of int
            Numbers of tree nodes.
        """
        names = [name for name, _ in self.space.splits]
        chosen = {self._split_nodes[name]: kind for name, kind in zip(names, kinds, strict=True)}
        return frozenset(
            split.node
            for leaf in self.lowered.leaves
            for split in leaf.splits
            if (split.pipeline if split.node not in chosen else chosen[split.node] == "Pipeline")
        )

    def cell(self, kinds: tuple[str, ...]) -> Cell:
        """Return the variants with splits of these kinds.

        Parameters
        ----------
        kinds
            Kinds of the splits of `Space.splits`.

        Returns
        -------
        Cell
            The variants, which share `graph`.
        """
        assert self.graph is not None
        if kinds not in self._cells:
            if len(self._cells) > _MOST_CELLS:
                self._cells.clear()
            self._cells[kinds] = Cell(self.graph, self.pipelines(kinds))
        return self._cells[kinds]

    def background(self, mask: Sequence[bool]) -> list[bool]:
        """Return, per write-back of the graph, whether it is in the background.

        Parameters
        ----------
        mask
            Which of the explored write-backs are in the background.

        Returns
        -------
        list of bool
            One entry per write-back of the graph.
        """
        assert self.graph is not None
        chosen = self.space.write_backs(mask)
        return [pair in chosen for pair in self.graph.write_backs]

    @cached_property
    def slot_counts(self) -> np.ndarray:
        """Shape (slot assignments, tensors of the graph): slot counts; 0: unlimited."""
        assert self.graph is not None
        explored = [tensor for tensor, _ in self.space.slots]
        tensors = self.graph.tensors
        table = np.empty((self.space.slot_assignments, len(tensors)), dtype=np.int64)
        for column, tensor in enumerate(tensors):
            if tensor in explored:
                table[:, column] = self.space.slot_array[:, explored.index(tensor)]
            else:
                table[:, column] = slots_of(self.space.other_slots, tensor) or 0
        return table

    @cached_property
    def _sizes(self) -> dict[str, Fraction]:
        """Memory → its size in bits, if it is limited."""
        return memory_sizes(self.spec, self.lowered.leaves)

    def checked(self, outcome: Outcome) -> Outcome:
        """Return the outcome; an illegal one if capacity is enforced and a memory exceeds it.

        Parameters
        ----------
        outcome
            The evaluation of a variant.

        Returns
        -------
        Outcome
            `outcome`, or an illegal one.
        """
        if self.space.enforce_capacity:
            for component, peak in outcome.peaks:
                size = self._sizes.get(component)
                if size is not None and peak is not None and peak > size:
                    text = f"memory {component!r} holds up to {peak} bits, and its size is {size}"
                    return Outcome(None, error=f"CapacityError: {text}")
        return outcome


def one_line(error: PolylatError) -> str:
    """Return the class and the message of an error on one line.

    Parameters
    ----------
    error
        The error.

    Returns
    -------
    str
        Such as ``"MappingError: …"``.
    """
    return f"{type(error).__name__}: {' '.join(str(error).split())}"
