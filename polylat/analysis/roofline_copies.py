"""AccelForge's counts of the actions of copy Einsums, which its releases count differently.

Both count what the holders of one tensor, the input, exchange; there is no computation.

- 1.0 (`convert_to_copy` in 1.0.467): the holders of the output count as holders of the input, and
  of several in one component only the outermost does. Data moves outwards only.
- main (2026-08-12): the holders further in than all backing storages are ignored. The input is read
  and the output written once per operation, and further out data moves outwards only, from the
  input's holders as well. Of the numbers of actions of the two tensors in one component, the least
  counts; none if one is zero, so that a copy within one memory costs nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, combinations

from polylat.analysis.roofline_counts import (
    ActionCount,
    segments_above,
    tensor_counts,
    tiles_of,
)
from polylat.analysis.roofline_paths import Holding, MappingPath
from polylat.errors import MappingError, UnsupportedError

__all__ = ["copy_counts", "joint_holdings"]


def copy_counts(path: MappingPath, accounting: str) -> Iterator[ActionCount]:
    """Yield the numbers of all actions on a path to a copy Einsum.

    Parameters
    ----------
    path
        The path to a leaf.
    accounting
        The release: ``"1.0"`` or ``"main"``.

    Yields
    ------
    ActionCount
        Per component, tensor and action.

    Raises
    ------
    MappingError
        AccelForge refuses the mapping.
    UnsupportedError
        The Einsum has several inputs.
    """
    einsum = path.einsum
    if len(path.inputs) != 1:
        raise UnsupportedError(
            f"copy Einsum {einsum.name!r} has {len(path.inputs)} inputs",
            where=einsum.where or None,
            fix="give it one input",
        )
    yield from _counts_of_main(path) if accounting == "main" else _counts_of_1_0(path)
    yield ActionCount(path.components[-1].name, None, "compute", 0, 0)


def joint_holdings(path: MappingPath) -> list[Holding]:
    """Return the holders of a copy Einsum's tensors as those of its input, in release 1.0.

    Parameters
    ----------
    path
        The path to a leaf.

    Returns
    -------
    list of Holding
        The outermost holder in each component.
    """
    outermost: dict[int, Holding] = {}
    for holding in sorted(_all_holdings(path), key=lambda p: p.position):
        outermost.setdefault(holding.level, holding._replace(until=holding.position))
    return list(outermost.values())


def _counts_of_1_0(path: MappingPath) -> Iterator[ActionCount]:
    for every, own in path.holdings:
        segments_above(every, path.loops, own)  # raises where AccelForge does
    access, holdings = path.inputs[0], joint_holdings(path)
    tiles = tiles_of(access, segments_above(access, path.loops, holdings), path.sizes)
    yield from tensor_counts(access, holdings, tiles, inwards=False, reads=False, writes=False)


def _counts_of_main(path: MappingPath) -> Iterator[ActionCount]:
    _check_neighbors(path)
    backing = max(holdings[0].number for _, holdings in path.holdings)
    found: dict[tuple[str, str], ActionCount] = {}
    for access, every in path.holdings:
        holdings = [holding for holding in every if holding.number <= backing]
        tiles = tiles_of(access, segments_above(access, path.loops, holdings), path.sizes)
        for count in tensor_counts(
            access, holdings, tiles, inwards=False, reads=not access.output, writes=access.output
        ):
            key = count.component, count.action
            found[key] = _least(found[key], count) if key in found else count
    for count in found.values():
        yield count._replace(access=path.inputs[0])


def _all_holdings(path: MappingPath) -> Iterator[Holding]:
    return chain.from_iterable(holdings for _, holdings in path.holdings)


def _least(one: ActionCount, other: ActionCount) -> ActionCount:
    """Return the smaller numbers; 0 is one of them, as numbers of actions are not negative."""
    return one._replace(
        one_unit=min(one.one_unit, other.one_unit), all_units=min(one.all_units, other.all_units)
    )


def _check_neighbors(path: MappingPath) -> None:
    """Refuse, as AccelForge does, holders in one component with a loop between them."""
    every = sorted(_all_holdings(path), key=lambda p: p.position)
    for outer, inner in combinations(every, 2):
        between = [p for p in path.loops if outer.position < p.position < inner.position]
        if outer.level == inner.level and between:
            raise MappingError(
                f"copy Einsum {path.einsum.name!r} has Storage nodes in {outer.component.name!r}"
                " with a loop between them, which AccelForge's main refuses",
                where=between[0].where or None,
                fix="place the two next to each other, or use accounting '1.0'",
            )
