"""Loops that may run inside the one that carries a recurrence: copies of it that overlap."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import isqrt

from polylat.analysis.recurrences import Recurrence
from polylat.lowering.paths import Leaf, producer_of
from polylat.spec import Spec
from polylat.spec.mapping import Branch, Temporal
from polylat.spec.rewriting import (
    Place,
    is_loop_over,
    node_at,
    nodes_below,
    temporal_loops_of,
    with_nodes,
)

__all__ = ["InnerLoops", "inner_loops"]

_LARGEST_DIVISOR = 10_000
"""Largest divisor of a trip count that is searched for; its cofactor is found with it."""


@dataclass(frozen=True)
class InnerLoops:
    """A loop of which some iterations may run inside the one that carries a recurrence.

    Parameters
    ----------
    root
        The root of the mapping.
    carrying
        The place of the loop that carries the recurrence.
    outer
        The place of a loop above it, whose iterations move inside; None: the loop is a new one,
        over a part of the tile.
    loop
        The loop inside. Of a new one, the tile shape is that of all of the tile.
    trips
        The number of iterations that there are.
    """

    root: Branch
    carrying: Place
    outer: Place | None
    loop: Temporal
    trips: int

    @property
    def name(self) -> str:
        """The rank variable."""
        return self.loop.rank_variable

    @property
    def counts(self) -> tuple[int, ...]:
        """The numbers of iterations to try, in order: those that leave equal groups, and all.

        If there are none, powers of two, and all.
        """
        most = min(isqrt(self.trips), _LARGEST_DIVISOR)
        small = [count for count in range(2, most + 1) if self.trips % count == 0]
        powers = (1 << k for k in range(1, self.trips.bit_length()))
        counts = (*small, *(self.trips // count for count in small)) if small else powers
        return tuple(sorted({*counts, self.trips}))

    @property
    def _is_inside(self) -> bool:
        """Whether there is a loop over the variable directly inside already."""
        return any(is_loop_over(n, self.loop) for n in nodes_below(self.root, self.carrying))

    def _inner(self, count: int) -> Temporal:
        if self.outer is not None:
            return self.loop
        return replace(self.loop, tile_shape=-(-self.loop.tile_shape // count))

    def mapping(self, count: int) -> Branch:
        """Return the mapping with some iterations inside.

        Parameters
        ----------
        count
            Their number.

        Returns
        -------
        Branch
            The root of the mapping.
        """
        found = self.root
        if self.outer is None or not self._is_inside:
            carrying = node_at(found, self.carrying)
            found = with_nodes(found, self.carrying, carrying, self._inner(count))
        if self.outer is None:
            return found
        if count >= self.trips:
            return with_nodes(found, self.outer)
        larger = replace(self.loop, tile_shape=self.loop.tile_shape * count)
        return with_nodes(found, self.outer, larger)

    def words(self, count: int) -> str:
        """Return the change in words.

        Parameters
        ----------
        count
            The number of iterations inside.

        Returns
        -------
        str
            Such as ``"4 of the 32 iterations of b inside the loop over t"``.
        """
        inside = f"of {self.name} inside the loop over {self._steps}"
        if self.outer is None:
            return f"{count} iterations {inside}"
        if count >= self.trips:
            return f"all {self.trips} iterations {inside}"
        return f"{count} of the {self.trips} iterations {inside}"

    def text(self, count: int) -> str:
        """Return what to write in the mapping.

        Parameters
        ----------
        count
            The number of iterations inside.

        Returns
        -------
        str
            The nodes, and where they stand.
        """
        variable = f"[{self.name}]" if self.loop.by_einsum else self.name
        node = (
            f"!Temporal {{rank_variable: {variable}, tile_shape: {self._inner(count).tile_shape}}}"
            f" directly below the loop over {self._steps}"
        )
        if self.outer is None:
            return node
        shape = self.loop.tile_shape
        old = f"the loop over {self.name} above (tile_shape: {shape})"
        old = f"without {old}" if count >= self.trips else f"tile_shape: {shape * count} in {old}"
        return old if self._is_inside else f"{node}, {old}"

    @property
    def _steps(self) -> str:
        loop = node_at(self.root, self.carrying)
        assert isinstance(loop, Temporal), "a Temporal loop carries a recurrence"
        return loop.rank_variable


def inner_loops(
    spec: Spec, below: Sequence[Leaf], rings: Sequence[Recurrence], leaves: Mapping[str, Leaf]
) -> Iterator[InnerLoops]:
    """Yield the loops of which iterations may run inside the loop that carries some rings.

    Parameters
    ----------
    spec
        The input.
    below
        The leaves below the loop that carries the rings.
    rings
        The rings, all of which one loop carries.
    leaves
        Einsum → its leaf.

    Yields
    ------
    InnerLoops
        The loops over other variables above it, innermost first; then, per variable that indexes
        all states and has several values in the tile, a new loop.
    """
    ring = rings[0]
    name = ring.einsums[0]
    leaf, root = leaves[name], spec.mapping
    places = temporal_loops_of(root, name)
    carrying = places[ring.depth]
    for k in reversed(range(ring.depth)):
        loop = node_at(root, places[k])
        assert isinstance(loop, Temporal), "these are the places of Temporal loops"
        trips = max(other.temporal_trips[k] for other in below)
        if loop.variable(name) != ring.variable and loop.initial_tile_shape is None and trips > 1:
            yield InnerLoops(root, carrying, places[k], loop, trips)
    extents = {v: high - low + 1 for v, (low, high) in leaf.ranges.items()}
    for path_loop in leaf.loops[: leaf.temporal_positions[ring.depth] + 1]:
        if path_loop.variable in extents:
            tiles = path_loop.tiles(extents[path_loop.variable])
            extents[path_loop.variable] = max(length for length, _ in tiles)
    for variable in _variables_of_states(rings, leaves):
        loop = Temporal(variable, extents.get(variable, 1))
        if (
            variable != ring.variable
            and extents.get(variable, 1) > 1
            and all(variable in other.einsum.rank_variables for other in below)
            and not any(is_loop_over(node, loop) for node in nodes_below(root, carrying))
        ):
            yield InnerLoops(root, carrying, None, loop, extents[variable])


def _variables_of_states(rings: Sequence[Recurrence], leaves: Mapping[str, Leaf]) -> list[str]:
    """Return the variables that index all states where they are computed."""
    found: list[str] | None = None
    for ring in rings:
        for tensor in ring.tensors:
            written = producer_of(leaves.values(), tensor).einsum.written(tensor)
            own = [v for index in written for v in index.variables]
            found = own if found is None else [v for v in found if v in own]
    return found or []
