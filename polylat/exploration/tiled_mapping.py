"""The mapping with some tile shapes and transfers, and the graph that its variants share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from functools import cached_property, partial
from typing import cast

import numpy as np

from polylat.analysis.mapping_energy import EnergyByLatency, energy_by_latency
from polylat.errors import (
    CapacityError,
    MappingError,
    PolylatError,
    ScheduleError,
    TooLargeError,
    UnsupportedError,
)
from polylat.exploration.cell import Cell
from polylat.exploration.choice import TransferChoice
from polylat.exploration.held_tiles import IntegerRangeError
from polylat.exploration.pareto import Outcome
from polylat.exploration.shared_tables import SharedTables
from polylat.exploration.space import Space
from polylat.exploration.variant_input import slots_option, with_tiles
from polylat.exploration.variants import VariantGraph
from polylat.lowering.holder_tiles import memory_sizes
from polylat.lowering.lowered import LoweredMapping, RequestedGranularity, lower, lower_requested
from polylat.lowering.paths import with_pipelines
from polylat.lowering.transfers import TransferOptions
from polylat.lowering.units import check_bindings
from polylat.numbers import Number
from polylat.schedule.arrays import Ints
from polylat.spec.mapping import name_of_split
from polylat.spec.slots import DEFAULT_SLOTS, slots_of

__all__ = ["ILLEGAL", "MOST_SHARED", "TiledMapping", "TransferMapping", "one_line"]

MOST_SHARED = 100_000
"""Up to this number of tile iterations all are visited, and variants share a `VariantGraph`."""
_MOST_CELLS = 16
"""Largest number of cells that a graph keeps."""

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
        self.error = ""
        """Why all variants are illegal; otherwise empty."""
        self._shared: dict[tuple[int, ...], SharedTables] = {}
        numbers = {loop.number: shape for (loop, _), shape in zip(space.tiles, shapes, strict=True)}
        try:
            self.spec = with_tiles(space.spec, numbers)
            self.leaves = lower(self.spec, "tile").leaves
        except ILLEGAL as error:
            self.error = one_line(error)

    def error_of(self, kinds: tuple[str, ...]) -> str:
        """Return why all variants with certain kinds of splits are illegal.

        Parameters
        ----------
        kinds
            Kinds of the splits of `Space.splits`.

        Returns
        -------
        str
            The error, such as a binding that needs more units than there are; otherwise empty.
        """
        if self.error:
            return self.error
        try:
            check_bindings(self.spec, with_pipelines(self.leaves, self.pipelines(kinds)))
        except MappingError as error:
            return one_line(error)
        return ""

    def shared(self, lowered: LoweredMapping) -> SharedTables:
        """Return what all graphs with the same tile iterations have in common.

        Parameters
        ----------
        lowered
            The mapping with these tile shapes. Transfers may change the loops that index its tile
            iterations.

        Returns
        -------
        SharedTables
            The mapping with its tile iterations.
        """
        if lowered.depths not in self._shared:
            self._shared[lowered.depths] = SharedTables(lowered)
        return self._shared[lowered.depths]

    @cached_property
    def slot_counts(self) -> list[int | None]:
        """The slot counts that any holder has in any variant."""
        others = self.space.other_slots
        fixed = [DEFAULT_SLOTS, *others.values()] if isinstance(others, Mapping) else [others]
        return [*fixed, *(count for _, counts in self.space.slots for count in counts)]

    @cached_property
    def _split_nodes(self) -> dict[str, int]:
        """Name of a split → its tree node."""
        branches: dict[int, dict[int, list[str]]] = {}
        for leaf in self.leaves:
            for split in leaf.splits:
                below = branches.setdefault(split.node, {})
                below.setdefault(split.branch, []).append(leaf.einsum.name)
        return {name_of_split(below.values()): n for n, below in branches.items() if len(below) > 1}

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
            for leaf in self.leaves
            for split in leaf.splits
            if (split.pipeline if split.node not in chosen else chosen[split.node] == "Pipeline")
        )

    @cached_property
    def _sizes(self) -> dict[str, Fraction]:
        """Memory → its size in bits, if it is limited."""
        return memory_sizes(self.spec, self.leaves)

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


class TransferMapping:
    """The variants of a tiled mapping with the same transfers, and the graph that they share.

    Parameters
    ----------
    tiled
        The mapping with its tile shapes.
    transfers
        Which transfers are separate.
    """

    def __init__(self, tiled: TiledMapping, transfers: TransferChoice) -> None:
        self.tiled = tiled
        self.transfers = transfers
        self.graph: VariantGraph | None = None
        """The graph of all variants; None where there are too many tile iterations."""
        self.error = tiled.error
        """Why all variants are illegal; otherwise empty."""
        self._cells: dict[frozenset[int], Cell] = {}
        if self.error:
            return
        granularity = cast("RequestedGranularity", tiled.granularity)
        options = TransferOptions(transfers.background, transfers.staged)
        try:
            lowered = lower_requested(
                partial(lower, tiled.spec), granularity, options, tiled.space.max_tiles
            )
            if lowered.size <= min(MOST_SHARED, tiled.space.max_tiles):
                shared = tiled.shared(lowered)
                self.graph = VariantGraph(shared, transfers, tiled.slot_counts)
        except IntegerRangeError:
            pass
        except ILLEGAL as error:
            self.error = one_line(error)

    def cell(self, pipelines: frozenset[int]) -> Cell:
        """Return the variants with these Pipelines.

        Parameters
        ----------
        pipelines
            Tree nodes.

        Returns
        -------
        Cell
            The variants, which share `graph`.
        """
        assert self.graph is not None
        if pipelines not in self._cells:
            if len(self._cells) > _MOST_CELLS:
                self._cells.clear()
            self._cells[pipelines] = Cell(self.graph, pipelines, self.slot_rows[0])
        return self._cells[pipelines]

    def energy(self, latency: Number) -> Number | None:
        """Return the energy of a variant.

        Parameters
        ----------
        latency
            Its latency, or a lower bound on it.

        Returns
        -------
        Number or None
            The energy, or a lower bound on it; None if energies are not evaluated.

        Raises
        ------
        SpecError, UnsupportedError
            As for `polylat.analysis.mapping_energy.mapping_energy`.
        """
        return self._energy.at(latency) if self.tiled.space.with_energy else None

    @cached_property
    def _energy(self) -> EnergyByLatency:
        """The energy of a variant by its latency, the same for all variants."""
        assert self.graph is not None
        options = TransferOptions(self.transfers.background, self.transfers.staged)
        return energy_by_latency(self.graph.shared.lowered, self.graph.layout, options)

    @cached_property
    def slot_rows(self) -> tuple[Ints, Ints]:
        """The distinct slot counts of the holders of the graph, and which of them are assigned.

        Shape (rows, holders), 0: unlimited; shape (slot assignments,).
        """
        counts, of = np.unique(self._slot_counts(), axis=0, return_inverse=True)
        return counts, of.reshape(-1)

    def _slot_counts(self) -> Ints:
        """Return the slot counts, 0: unlimited, shape (slot assignments, holders of the graph)."""
        assert self.graph is not None
        space, holders = self.tiled.space, self.graph.holders
        names = [name for name, _ in space.slots]
        # Which axis a holder's count is of: the option with the number of an axis in its place.
        marks = {name: -1 - axis for axis, name in enumerate(names)}
        option = slots_option(space, marks)
        axes = np.array(space.slot_table, dtype=object).reshape(space.variants_per_cell, len(names))
        axes = np.where(axes == None, 0, axes).astype(np.int64)  # noqa: E711
        table = np.empty((space.variants_per_cell, len(holders)), dtype=np.int64)
        for column, holder in enumerate(holders):
            count = slots_of(option, *holder)
            axis = None if count is None or count >= 0 else -1 - count
            table[:, column] = (count or 0) if axis is None else axes[:, axis]
        return table


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
