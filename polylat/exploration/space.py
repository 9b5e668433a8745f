"""The space of an exploration: the numbered variants of a mapping, and the input of each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from itertools import product
from math import prod
from typing import Any, NamedTuple

import numpy as np

from polylat.errors import OptionError, TooLargeError
from polylat.exploration.axes import (
    Loop,
    SplitName,
    WriteBack,
    background_axes,
    one_or_several,
    slot_axes,
    split_axes,
    split_name,
    tile_axes,
)
from polylat.exploration.fingerprint import fingerprint
from polylat.lowering.lowered import lower
from polylat.spec import Spec
from polylat.spec.mapping import Branch, Pipeline, Sequential, Spatial, Temporal
from polylat.spec.options import normalize_granularity, normalize_order

__all__ = ["CellChoice", "Choice", "Space", "with_tiles"]

_MOST_VARIANTS = 2_000_000
"""Largest number of variants of a space."""


@dataclass(frozen=True)
class Choice:
    """One variant of a mapping, as plain data.

    Parameters
    ----------
    splits
        (name, ``"Sequential"`` or ``"Pipeline"``) of each split. A split is named by the Einsums
        of its branches: ``e1|e2+e3``.
    background
        The write-backs in the background, as (tensor, component that it is written back from).
    slots
        (tensor, slot count) of each tensor whose slots are explored: the number of tiles that its
        holders keep, None: unlimited.
    granularity, order
        The options of `analyze`.
    tiles
        (loop, tile shape) of each loop whose tile shapes are explored.
    """

    splits: tuple[tuple[SplitName, str], ...]
    background: tuple[tuple[str, str], ...]
    slots: tuple[tuple[str, int | None], ...]
    granularity: str
    order: str
    tiles: tuple[tuple[str, int], ...] = ()

    def __str__(self) -> str:
        parts = {
            "tiles": [f"{loop}={shape}" for loop, shape in self.tiles],
            "Pipeline": [name for name, kind in self.splits if kind == "Pipeline"],
            "background": [f"{t}@{c}" for t, c in self.background],
            "slots": [f"{t}={'none' if n is None else n}" for t, n in self.slots],
        }
        texts = [f"{axis} {' '.join(values)}" for axis, values in parts.items() if values]
        return "; ".join(texts) or "Sequential"

    def to_dict(self) -> dict[str, Any]:
        """Return the choice as plain data for JSON.

        Returns
        -------
        dict
            As ``docs/json.md`` describes it.
        """
        return {
            "splits": dict(self.splits),
            "background": [f"{tensor}@{component}" for tensor, component in self.background],
            "slots": dict(self.slots),
            "granularity": self.granularity,
            "order": self.order,
            "tiles": dict(self.tiles),
        }


class CellChoice(NamedTuple):
    """The choices that all variants of a cell have in common.

    Parameters
    ----------
    shapes
        Tile shapes of the loops of `Space.tiles`.
    granularity, order
        The options of `analyze`.
    kinds
        Kinds of the splits of `Space.splits`.
    """

    shapes: tuple[int, ...]
    granularity: str
    order: str
    kinds: tuple[str, ...]


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

    @staticmethod
    def of(
        spec: Spec,
        *,
        splits: bool,
        background: bool | Iterable[Any],
        slots: Any,
        granularity: str | Sequence[str],
        order: str | Sequence[str],
        tiles: Mapping[str, Sequence[int]],
        max_tiles: int,
        enforce_capacity: bool,
    ) -> Space:
        """Return the space of the requested options.

        Parameters
        ----------
        spec
            The input.
        splits, background, slots, granularity, order, tiles
            As for `polylat.explore`.
        max_tiles, enforce_capacity
            The options of `analyze`.

        Returns
        -------
        Space
            All variants.

        Raises
        ------
        OptionError
            An option does not exist, or cannot be used.
        TooLargeError
            There are too many variants.
        """
        if not isinstance(splits, bool):
            raise OptionError(f"splits is {splits!r}", fix="give True or False: all, or none")
        lowered = lower(spec, "tile")
        explored, fixed = background_axes(spec, lowered, background)
        counts, others = slot_axes(spec, lowered, slots)
        space = Space(
            spec,
            tile_axes(spec.mapping, tiles),
            one_or_several(granularity, "granularity", normalize_granularity),
            one_or_several(order, "order", normalize_order),
            split_axes(spec.mapping, explored=splits),
            explored,
            fixed,
            counts,
            others,
            max_tiles,
            enforce_capacity,
        )
        if space.size > _MOST_VARIANTS:
            raise TooLargeError(
                f"the choices make {space.size:,} variants, more than {_MOST_VARIANTS:,}",
                fix="explore fewer of them at a time: fewer slots, tile shapes or write-backs",
            )
        return space

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
        mask = self.background_mask(background_set)
        chosen = [pair for pair, here in zip(self.background, mask, strict=True) if here]
        counts = self.slot_table[assignment]
        return Choice(
            tuple((name, kind) for (name, _), kind in zip(self.splits, common.kinds, strict=True)),
            tuple(sorted({*self.fixed_background, *chosen})),
            tuple((t, n) for (t, _), n in zip(self.slots, counts, strict=True)),
            common.granularity,
            common.order,
            tuple((loop.name, s) for (loop, _), s in zip(self.tiles, common.shapes, strict=True)),
        )

    def slots_with(self, counts: Mapping[str, int | None]) -> int | Mapping[str, int | None] | None:
        """Return the option ``slots`` of `analyze` for a variant.

        Parameters
        ----------
        counts
            Slot counts of the tensors that are explored.

        Returns
        -------
        int, mapping or None
            `other_slots` if no tensor is explored; otherwise slot counts by tensor.
        """
        others = self.other_slots
        if not counts:
            return others
        if isinstance(others, Mapping):
            return {**others, **counts}
        return {**dict.fromkeys(self.spec.workload.tensors, others), **counts}

    def options(self, choice: Choice) -> dict[str, Any]:
        """Return the options of `analyze` for a variant.

        Parameters
        ----------
        choice
            The variant.

        Returns
        -------
        dict
            All options, in their normal forms.
        """
        return {
            "granularity": choice.granularity,
            "order": choice.order,
            "background": choice.background,
            "slots": self.slots_with(dict(choice.slots)),
            "max_tiles": self.max_tiles,
            "enforce_capacity": self.enforce_capacity,
        }

    def apply(self, choice: Choice) -> Spec:
        """Return the input with the tile shapes, splits and options of a variant.

        Parameters
        ----------
        choice
            The variant.

        Returns
        -------
        Spec
            An input of which `analyze`, without options, gives the variant.
        """
        shapes = dict(choice.tiles)
        numbers = {loop.number: shapes[loop.name] for loop, _ in self.tiles}
        spec = with_tiles(self.spec, numbers)
        mapping = _with_splits(spec.mapping, dict(choice.splits))
        return replace(spec, mapping=mapping, schedule=self.options(choice))

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


def _with_splits(mapping: Branch, kinds: Mapping[SplitName, str]) -> Branch:
    """Return the mapping with splits of these kinds."""
    end = mapping.end
    if not isinstance(end, Sequential | Pipeline):
        return mapping
    name = split_name([c.einsum for c in branch.leaves()] for branch in end.branches)
    kind = kinds.get(name, type(end).__name__)
    branches = tuple(_with_splits(branch, kinds) for branch in end.branches)
    split = Pipeline if kind == "Pipeline" else Sequential
    return replace(mapping, end=split(branches, end.where))


def with_tiles(spec: Spec, shapes: Mapping[int, int]) -> Spec:
    """Return the input with other tile shapes of some loops.

    Parameters
    ----------
    spec
        The input.
    shapes
        Number of a loop, in tree order → its tile shape.

    Returns
    -------
    Spec
        The input with these tile shapes; `spec` itself if there are none.
    """
    if not shapes:
        return spec
    number = 0

    def walk(branch: Branch) -> Branch:
        nonlocal number
        nodes = []
        for node in branch.nodes:
            new = node
            if isinstance(node, Temporal | Spatial):
                new = replace(node, tile_shape=shapes.get(number, node.tile_shape))
                number += 1
            nodes.append(new)
        end = branch.end
        if isinstance(end, Sequential | Pipeline):
            end = replace(end, branches=tuple(walk(below) for below in end.branches))
        return Branch(tuple(nodes), end)

    return replace(spec, mapping=walk(spec.mapping))
