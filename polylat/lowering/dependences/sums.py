"""Where the sum of an output is computed: it is read when it is final, and it is not lost.

Whether an element is updated in a later tile of a holder is decided per group of variables. Tiles
are compared lexicographically, so there is one question per loop above the holder: can this loop be
the first one whose index differs? The number of questions does not depend on trip counts. There
is none for a loop whose index the element itself determines.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from polylat.errors import MappingError
from polylat.lowering.dependences.exchange import Exchange
from polylat.lowering.groups import GroupText, first_point
from polylat.lowering.isl_text import set_text
from polylat.lowering.paths import Leaf

__all__ = ["check_final", "check_kept"]


def check_kept(leaf: Leaf, tensor: str) -> None:
    """Check that each element of an output is updated in one tile of its backing storage.

    The loops above the backing storage are Temporal and Spatial ones: units have tiles of their
    own.

    Parameters
    ----------
    leaf, tensor
        A leaf and its output.

    Raises
    ------
    MappingError
        An element is updated in two tiles.
    """
    written = leaf.einsum.written(tensor)
    pair = Exchange(leaf, leaf, tensor, 0, leaf, written, written)
    backing = pair.holder
    found = _later_update(pair, range(backing.position))
    if found is None:
        return
    loop = leaf.loops[found.loop]
    if loop.unit is None:
        fix = f"put the Storage of {tensor!r} in {backing.component!r} above the loop over"
    else:
        fix = f"put a Storage of {tensor!r} in an outer component above the Spatial loop over"
    raise MappingError(
        f"Einsum {leaf.einsum.name!r} updates an element of its output {tensor!r} in two tiles of"
        f" {backing.component!r}, its outermost holder, so that the sum of one of them is lost:"
        f" {found.element} (tiles {found.tile}, and {found.later_tile})",
        where=backing.where or leaf.where or "mapping",
        fix=f"{fix} {loop.variable!r}",
    )


def check_final(pair: Exchange) -> None:
    """Check that no element is updated again after the tile in which it is read.

    Parameters
    ----------
    pair
        A reader, the producer, and the storage in which they exchange the tensor.

    Raises
    ------
    MappingError
        An element is updated again in a later tile of the storage: a partial sum is read.
    """
    found = _later_update(pair, pair.reader.temporal_positions[: pair.holder.depth])
    if found is None:
        return
    reader, producer = pair.reader.einsum.name, pair.bringer.einsum.name
    variable = pair.bringer.loops[found.loop].variable
    raise MappingError(
        f"Einsum {reader!r} reads a partial sum of tensor {pair.tensor!r} in"
        f" {pair.holder.component!r}: {found.element} (tile {found.tile}), which {producer!r}"
        f" updates again (tile {found.later_tile})",
        where=pair.reader.where or pair.holder.where or "mapping",
        fix=f"put the loop over {variable!r} into the branch of {producer!r}, below the split, or"
        f" move the Storage of {pair.tensor!r} above that loop",
    )


class _Update(NamedTuple):
    """An element that is updated in a later tile, as texts, and the loop that separates the two."""

    loop: int
    element: str
    tile: str
    later_tile: str


def _later_update(pair: Exchange, loops: Sequence[int]) -> _Update | None:
    """Return an element that the reader accesses, and the bringer in a later tile; None if none.

    Parameters
    ----------
    pair
        The two leaves, which may be the same one.
    loops
        Positions of the loops by whose indices tiles are compared, outermost first.
    """
    asked = [
        (at, loop)
        for at, loop in enumerate(loops)
        if pair.bringer.trips[loop] > 1 and not _determined(pair, loop)
    ]
    groups = list(pair.groups(pair.holder.depth)) if asked else []
    for at, loop in asked:
        element: dict[int, int] = {}
        tile: dict[int, int] = {}
        later: dict[int, int] = {}
        for group in groups:
            mine = [p for p in loops if pair.reader.loops[p].variable in group.read]
            text = _text(pair, group.read, group.brought, group.ranks, mine, loops[:at], loop)
            point = first_point(text)
            if point is None:
                break
            n, m = len(mine), len(mine) + len(group.ranks)
            tile |= zip(mine, point[:n], strict=True)
            element |= zip(group.ranks, point[n:m], strict=True)
            later |= zip(mine, point[m:], strict=True)
        else:
            return _Update(
                loop,
                _element(pair, element),
                _tile(pair.reader, tile),
                _tile(pair.bringer, later),
            )
    return None


def _determined(pair: Exchange, loop: int) -> bool:
    """Return whether both leaves access an element in only one, the same, iteration of a loop.

    So it is if one of its ranks has the loop's variable, and nothing else, in the same way for
    both: the tiles of a variable do not overlap.
    """
    mine, other = pair.reader.loops[loop].variable, pair.bringer.loops[loop].variable
    if pair.reader.ranges[mine] != pair.bringer.ranges[other]:
        return False
    return any(
        read.variables == (mine,)
        and brought.variables == (other,)
        and (read.terms[0][1], read.constant) == (brought.terms[0][1], brought.constant)
        for read, brought in zip(pair.read, pair.brought, strict=True)
    )


def _text(
    pair: Exchange,
    read: Sequence[str],
    brought: Sequence[str],
    ranks: Sequence[int],
    shown: Sequence[int],
    equal: Sequence[int],
    later: int,
) -> str:
    """Return the text of a group's set of (tile, element, later tile)."""
    reader = GroupText(pair.reader, read, "r", shown)
    bringer = GroupText(pair.bringer, brought, "b", shown)
    reads, brings = pair.read, pair.brought
    names = [f"z{r}" for r in ranks]
    conditions = [*reader.conditions, *bringer.conditions]
    conditions += [f"{n} = {reader.index(reads[r])}" for n, r in zip(names, ranks, strict=True)]
    conditions += [f"{n} = {bringer.index(brings[r])}" for n, r in zip(names, ranks, strict=True)]
    conditions += [f"{reader.shown[p]} = {bringer.shown[p]}" for p in shown if p in equal]
    conditions += [f"{reader.shown[p]} < {bringer.shown[p]}" for p in shown if p == later]
    dims = [*(reader.shown[p] for p in shown), *names, *(bringer.shown[p] for p in shown)]
    return set_text(dims, [*reader.hidden, *bringer.hidden], conditions)


def _element(pair: Exchange, found: Mapping[int, int]) -> str:
    ranks = pair.reader.einsum.access(pair.tensor).ranks
    values = [found.get(r, index.constant) for r, index in enumerate(pair.read)]
    text = ", ".join(f"{rank}={x}" for rank, x in zip(ranks, values, strict=True))
    return text or "its only element"


def _tile(leaf: Leaf, digits: Mapping[int, int]) -> str:
    return ", ".join(f"{leaf.loops[p].variable}: {digits[p]}" for p in sorted(digits))
