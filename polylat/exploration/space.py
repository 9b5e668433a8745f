"""The space of an exploration: the numbered variants of a mapping."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from itertools import product
from math import prod
from typing import Any

import numpy as np

from polylat.exploration.axes import Loop, SplitName, WriteBack
from polylat.exploration.choice import CellChoice, Choice
from polylat.exploration.fingerprint import fingerprint
from polylat.spec import Spec

__all__ = ["Space"]


@dataclass(frozen=True)
class Space:
    """All variants of a mapping: the product of the axes.

    Variants are numbered in mixed radix, the first axis most significant: tile shapes,
    granularity, order, splits, write-backs, slots. A *cell* consists of all variants that differ
    in write-backs and slots only.

    Parameters
    ----------
    spec
        The input as it was given.
    tiles
        (loop, tile shapes) of each loop whose tile shapes are explored.
    granularities, orders
        The granularities and the orders to explore.
    splits
        (name, kinds to explore) of each split.
    background
        The write-backs that are explored, as (tensor, component).
    fixed_background
        The write-backs that are in the background in every variant.
    slots
        (tensor, slot counts to explore) of each tensor whose slots are explored.
    other_slots
        The slots of all other tensors.
    max_tiles, enforce_capacity
        The options of `analyze`.
    """

    # Names and fields are part of the fingerprint of stored results.
    spec: Spec
    tiles: tuple[tuple[Loop, tuple[int, ...]], ...]
    granularities: tuple[str, ...]
    orders: tuple[str, ...]
    splits: tuple[tuple[SplitName, tuple[str, ...]], ...]
    background: tuple[WriteBack, ...]
    fixed_background: tuple[WriteBack, ...]
    slots: tuple[tuple[str, tuple[int | None, ...]], ...]
    other_slots: int | Mapping[str, int | None] | None
    max_tiles: int
    enforce_capacity: bool

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """Number of options of each axis."""
        return (
            *(len(shapes) for _, shapes in self.tiles),
            len(self.granularities),
            len(self.orders),
            *(len(kinds) for _, kinds in self.splits),
            *(2 for _ in self.background),
            *(len(counts) for _, counts in self.slots),
        )

    @cached_property
    def size(self) -> int:
        """Number of variants."""
        return prod(self.shape)

    @cached_property
    def background_sets(self) -> int:
        """Number of sets of write-backs in the background."""
        return 1 << len(self.background)

    @cached_property
    def slot_assignments(self) -> int:
        """Number of assignments of slot counts to tensors."""
        return prod(len(counts) for _, counts in self.slots)

    @cached_property
    def variants_per_cell(self) -> int:
        """Number of variants of a cell."""
        return self.background_sets * self.slot_assignments

    @cached_property
    def cells(self) -> int:
        """Number of cells."""
        return self.size // self.variants_per_cell

    @cached_property
    def cells_per_shape(self) -> int:
        """Number of cells with the same tile shapes and granularity, which share one graph."""
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
            Tile shapes, granularity, order and kinds of splits.
        """
        radices = self.shape[: len(self.tiles) + 2 + len(self.splits)]
        digits = _digits(cell, radices)
        count = len(self.tiles)
        shapes = tuple(
            some[digit] for (_, some), digit in zip(self.tiles, digits[:count], strict=True)
        )
        kinds = tuple(
            some[digit] for (_, some), digit in zip(self.splits, digits[count + 2 :], strict=True)
        )
        granularity, order = digits[count : count + 2]
        return CellChoice(shapes, self.granularities[granularity], self.orders[order], kinds)

    def background_mask(self, number: int) -> tuple[bool, ...]:
        """Return which of the explored write-backs are in the background.

        Parameters
        ----------
        number
            The number of the set of write-backs.

        Returns
        -------
        tuple of bool
            One entry per write-back of `background`.
        """
        return tuple(bool(d) for d in _digits(number, [2] * len(self.background)))

    def write_backs(self, mask: Sequence[bool]) -> frozenset[WriteBack]:
        """Return the write-backs in the background.

        Parameters
        ----------
        mask
            Which of the explored write-backs are in the background.

        Returns
        -------
        frozenset of WriteBack
            These, and those that are in the background in every variant.
        """
        explored = [pair for pair, here in zip(self.background, mask, strict=True) if here]
        return frozenset({*self.fixed_background, *explored})

    @cached_property
    def slot_table(self) -> tuple[tuple[int | None, ...], ...]:
        """All assignments of slot counts to the tensors of `slots`."""
        return tuple(product(*(counts for _, counts in self.slots)))

    @cached_property
    def slot_array(self) -> np.ndarray:
        """`slot_table` as an array of shape (assignments, tensors); 0: unlimited."""
        table = [[count or 0 for count in counts] for counts in self.slot_table]
        return np.array(table, dtype=np.int64).reshape(self.slot_assignments, len(self.slots))

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
        cell, rest = divmod(number, self.variants_per_cell)
        background_set, assignment = divmod(rest, self.slot_assignments)
        common = self.cell_choice(cell)
        counts = self.slot_table[assignment]
        return Choice(
            tuple((name, kind) for (name, _), kind in zip(self.splits, common.kinds, strict=True)),
            tuple(sorted(self.write_backs(self.background_mask(background_set)))),
            tuple((t, n) for (t, _), n in zip(self.slots, counts, strict=True)),
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
