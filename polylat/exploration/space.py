"""The space of an exploration: the numbered variants of a mapping."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from itertools import product
from math import prod
from typing import Any

from polylat.exploration.axes import Loop, SplitName, WriteBack
from polylat.exploration.choice import CellChoice, Choice, TransferChoice
from polylat.exploration.fingerprint import fingerprint
from polylat.spec import Spec
from polylat.spec.slots import Slots
from polylat.spec.staged import Staged

__all__ = ["Space"]


@dataclass(frozen=True)
class Space:
    """All variants of a mapping: the product of the axes.

    Variants are numbered in mixed radix, the first axis most significant: tile shapes,
    granularity, staged memories, write-backs, order, splits, slots. A *cell* consists of all
    variants that differ in slots only. Cells that differ in order and splits share a graph.

    Parameters
    ----------
    spec
        The input as it was given.
    tiles
        (loop, tile shapes) of each loop whose tile shapes are explored.
    granularities
        The granularities to explore.
    staged
        The memories that are explored staged and streaming.
    fixed_staged
        The holders in other memories that are staged in every variant.
    background
        The write-backs that are explored, as (tensor, component).
    fixed_background
        The write-backs that are in the background in every variant.
    orders
        The orders to explore.
    splits
        (name, kinds to explore) of each split.
    slots
        (tensor or tensor@component, slot counts to explore) of each one whose slots are explored.
    other_slots
        The slots of all others.
    max_tiles, enforce_capacity
        The options of `analyze`.
    with_energy
        Whether the energy of each variant is evaluated.
    """

    # Names and fields are part of the fingerprint of stored results.
    spec: Spec
    tiles: tuple[tuple[Loop, tuple[int, ...]], ...]
    granularities: tuple[str, ...]
    staged: tuple[str, ...]
    fixed_staged: Staged
    background: tuple[WriteBack, ...]
    fixed_background: tuple[WriteBack, ...]
    orders: tuple[str, ...]
    splits: tuple[tuple[SplitName, tuple[str, ...]], ...]
    slots: tuple[tuple[str, tuple[int | None, ...]], ...]
    other_slots: Slots
    max_tiles: int
    enforce_capacity: bool
    with_energy: bool

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """Number of options of each axis."""
        return (*self._cell_shape, *(len(counts) for _, counts in self.slots))

    @cached_property
    def _cell_shape(self) -> tuple[int, ...]:
        """Number of options of each axis but slots."""
        return (
            *(len(shapes) for _, shapes in self.tiles),
            len(self.granularities),
            *(2 for _ in self.staged),
            *(2 for _ in self.background),
            len(self.orders),
            *(len(kinds) for _, kinds in self.splits),
        )

    @cached_property
    def size(self) -> int:
        """Number of variants."""
        return prod(self.shape)

    @cached_property
    def variants_per_cell(self) -> int:
        """Number of variants of a cell: of assignments of slot counts."""
        return prod(len(counts) for _, counts in self.slots)

    @cached_property
    def cells(self) -> int:
        """Number of cells."""
        return self.size // self.variants_per_cell

    @cached_property
    def cells_per_graph(self) -> int:
        """Number of cells that differ in order and splits only, which share one graph."""
        return len(self.orders) * prod(len(kinds) for _, kinds in self.splits)

    def cell_choice(self, cell: int) -> CellChoice:
        """Return the choices that all variants of a cell have in common.

        Parameters
        ----------
        cell
            The number of the cell.

        Returns
        -------
        CellChoice
            Everything but slots.
        """
        digits = iter(_digits(cell, self._cell_shape))
        shapes = tuple(some[next(digits)] for _, some in self.tiles)
        granularity = self.granularities[next(digits)]
        staged = [memory for memory in self.staged if next(digits)]
        background = [pair for pair in self.background if next(digits)]
        order = self.orders[next(digits)]
        kinds = tuple(some[next(digits)] for _, some in self.splits)
        transfers = TransferChoice(
            (*((None, memory) for memory in staged), *self.fixed_staged),
            frozenset({*self.fixed_background, *background}),
        )
        return CellChoice(shapes, granularity, transfers, order, kinds)

    @cached_property
    def slot_table(self) -> tuple[tuple[int | None, ...], ...]:
        """All assignments of slot counts to the names of `slots`."""
        return tuple(product(*(counts for _, counts in self.slots)))

    def choice(self, number: int) -> Choice:
        """Return a variant.

        Parameters
        ----------
        number
            The number of the variant.

        Returns
        -------
        Choice
            The variant as plain data.
        """
        cell, assignment = divmod(number, self.variants_per_cell)
        common = self.cell_choice(cell)
        staged, background = common.transfers
        counts = self.slot_table[assignment]
        return Choice(
            tuple((name, kind) for (name, _), kind in zip(self.splits, common.kinds, strict=True)),
            tuple(sorted(background)),
            tuple(f"{t}@{c}" if t is not None else str(c) for t, c in staged),
            tuple((name, n) for (name, _), n in zip(self.slots, counts, strict=True)),
            common.granularity,
            common.order,
            tuple((loop.name, s) for (loop, _), s in zip(self.tiles, common.shapes, strict=True)),
        )

    @cached_property
    def key(self) -> str:
        """Fingerprint of the space, equal in every process."""
        return fingerprint(self)

    def __getstate__(self) -> dict[str, Any]:
        """Return the fields and the key: other processes derive the rest themselves."""
        return {f.name: getattr(self, f.name) for f in fields(self)} | {"key": self.key}


def _digits(number: int, radices: Sequence[int]) -> list[int]:
    """Return the digits of a number in mixed radix, most significant first."""
    digits = []
    for radix in reversed(radices):
        number, digit = divmod(number, radix)
        digits.append(digit)
    return digits[::-1]
