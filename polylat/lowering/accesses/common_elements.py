"""Counts of the elements that several accesses to a tensor have in common within a tile."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from polylat.lowering.accesses.elements import GroupCount
from polylat.lowering.groups import GroupText, joint_groups
from polylat.lowering.integer_types import Counts
from polylat.lowering.iterations import IterationTable
from polylat.lowering.paths import Leaf
from polylat.schedule.arrays import Ints
from polylat.spec.affine import Affine
from polylat.spec.workload import Projection

__all__ = ["AccessSide", "common_groups"]


class AccessSide(NamedTuple):
    """An access to a tensor.

    Parameters
    ----------
    leaf, projection
        The leaf, and the projection by which it accesses the tensor.
    """

    leaf: Leaf
    projection: Projection


def common_groups(
    tiles: IterationTable,
    sides: Sequence[AccessSide],
    position: int,
    weights: Mapping[int, Sequence[int]],
) -> Iterator[GroupCount]:
    """Yield counts, one per group of variables, whose product is that of common elements.

    Parameters
    ----------
    tiles
        The tile iterations of the leaf of the first side.
    sides
        The accesses; at least one.
    position
        Number of loops above the storage of the tile. All leaves share these loops.
    weights
        As for `GroupCount`.

    Yields
    ------
    GroupCount
        Its `footprint` at the storage counts elements that all sides access within the tile.
    """
    shared = [(i, p) for i in range(1, len(sides)) for p in range(position)]
    for variables, ranks in joint_groups(sides, shared):
        parts = [
            _Part(side.leaf, own, tuple(side.projection[r] for r in ranks))
            for side, own in zip(sides, variables, strict=True)
        ]
        yield _CommonCount(tiles, parts, position, weights)


class _Part(NamedTuple):
    """The part of a side that concerns one group: its variables and indices."""

    leaf: Leaf
    variables: tuple[str, ...]
    indices: tuple[Affine, ...]


class _CommonCount(GroupCount):
    """Counts of the common elements for one group of variables."""

    def __init__(
        self,
        tiles: IterationTable,
        parts: Sequence[_Part],
        position: int,
        weights: Mapping[int, Sequence[int]],
    ) -> None:
        super().__init__(tiles, parts[0].variables, parts[0].indices, weights)
        self.parts = parts
        self.position = position

    @property
    def simple(self) -> bool:
        """Whether all sides access equally long intervals of one rank, at constant distances."""
        if len(self.indices) > 1 or not all(len(part.variables) == 1 for part in self.parts):
            return False
        if any(set(c.variables) & {v} for leaf, (v,), _ in self.parts for c in leaf.coupled):
            return False
        if len({self._interval(part) for part in self.parts}) > 1:
            return False
        factors = {index.terms for _, _, indices in self.parts for index in indices}
        return len({tuple(factor for _, factor in terms) for terms in factors}) <= 1

    def _interval(self, part: _Part) -> tuple[tuple[int, int], tuple[int, ...]]:
        """Return what the interval of a side's only variable within a tile depends on."""
        (variable,) = part.variables
        loops = enumerate(part.leaf.loops[: self.position])
        return part.leaf.ranges[variable], tuple(p for p, x in loops if x.variable == variable)

    def footprint(self, depth: int, summed: Sequence[int], above: range) -> Counts:
        """Return the number of common elements: see `GroupCount.footprint`."""
        if not self.simple or not self.indices:
            return super().footprint(depth, summed, above)
        constants = [index.constant for part in self.parts for index in part.indices]
        ((_, factor),) = self.indices[0].terms
        loops, units = self._within(depth), self._over_variables(summed)
        table = self._lengths(loops, units, above)
        if any((c - constants[0]) % factor for c in constants):
            table = table * 0
        table = np.maximum(table - (max(constants) - min(constants)) // abs(factor), 0)
        return self._look_up(loops, self._sum_units(table, len(loops), units))

    def _points(
        self, loops: Sequence[int], summed: Sequence[int], above: range
    ) -> tuple[Ints, Counts | None]:
        units = self._over_variables(summed)
        shown = self._shown(loops, units)
        zero = [p for p in above if self.leaf.loops[p].unit is not None and p not in units]
        texts = [
            GroupText(leaf, variables, f"s{i}x", shown, zero)
            for i, (leaf, variables, _) in enumerate(self.parts)
        ]
        names = [f"z{i}" for i in range(len(self.indices))]
        conditions = [c for text in texts for c in text.conditions]
        hidden = [h for text in texts for h in text.hidden]
        for text, part in zip(texts, self.parts, strict=True):
            conditions += [
                f"{n} = {text.index(i)}" for n, i in zip(names, part.indices, strict=True)
            ]
        first = texts[0].shown
        for text in texts[1:]:
            conditions += [f"{first[p]} = {name}" for p, name in text.shown.items()]
            hidden += text.shown.values()
        dims = [*(first[p] for p in shown), *names]
        return self._counted(dims, hidden, conditions, loops, units)
