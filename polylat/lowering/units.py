"""Units of components: which of them each leaf uses, and which leaves contend for them.

A component with fanout F has units 0 to F - 1. The stages of a Pipeline divide the units that the
Pipeline may use into ranges of their own, if they fit (docs/model.md, "Stages that share an
array"). So a leaf uses an interval of the units of every component, and of a component below, these
units in each of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from typing import NoReturn

from polylat.errors import MappingError
from polylat.lowering.paths import Leaf, PathSplit
from polylat.spec import Spec

__all__ = ["Users", "check_bindings", "divided_users", "unit_users", "users_label"]

Users = tuple[int, ...]
"""The numbers of the leaves that use some units, increasing."""

_LISTED = 3
"""A run of more Einsums than this, one after another in the tree, is named by its ends."""


def unit_users(spec: Spec, leaves: Sequence[Leaf]) -> dict[str, tuple[Users, ...]]:
    """Return which leaves use the units of each component.

    Parameters
    ----------
    spec, leaves
        The input and its leaves, in tree order.

    Returns
    -------
    dict
        Component → the leaves that use each range of its units, together with the units of the
        components above it, that no leaf's use divides; ranges with the same leaves are one.
    """
    above: dict[str, tuple[str, ...]] = {}
    fanout: dict[str, int] = {}
    divisible: dict[str, bool] = {}
    for leaf in leaves:
        path = spec.arch.paths[leaf.einsum.name]
        for place, component in enumerate(path):
            above[component.name] = tuple(c.name for c in path[: place + 1])
            fanout[component.name] = max(fanout.get(component.name, 1), component.fanout)
            divisible[component.name] = component.divisible
    if max(fanout.values(), default=1) == 1:
        # All leaves below a component use its only unit.
        below = {
            name: tuple(leaf.number for leaf in leaves if name in above[leaf.component])
            for name in above
        }
        return {name: (users,) if users else () for name, users in below.items()}
    ranges = {
        name: _Division(leaves, above, name, divisible[name]).ranges(fanout[name]) for name in above
    }
    found = {}
    for name, chain in above.items():
        users = {frozenset(leaf for leaf, units in ranges[name].items() if units)}
        for outer in chain:
            parts = _parts(ranges[outer])
            users = {some & part for some, part in product(users, parts)} - {frozenset()}
        found[name] = tuple(sorted(tuple(sorted(some)) for some in users))
    return found


def _parts(ranges: Mapping[int, range]) -> set[frozenset[int]]:
    """Return the leaves that use each range of units that no leaf's use divides."""
    ends = {end for units in ranges.values() for end in (units.start, units.stop)}
    return {frozenset(leaf for leaf, units in ranges.items() if first in units) for first in ends}


class _Division:
    """How the leaves divide the units of one component.

    Parameters
    ----------
    leaves
        All leaves, in tree order.
    above
        Component → the components above it and itself, outermost first.
    component
        The component.
    divisible
        Whether stages may have ranges of its units of their own.
    """

    def __init__(
        self,
        leaves: Sequence[Leaf],
        above: Mapping[str, tuple[str, ...]],
        component: str,
        divisible: bool,
    ) -> None:
        self._leaves = leaves
        self._component = component
        self._divisible = divisible
        self._inside = {name for name, chain in above.items() if component in chain}

    def ranges(self, fanout: int) -> dict[int, range]:
        """Return the units that each leaf uses; none where its path lacks the component."""
        if fanout == 1:
            return {leaf.number: range(leaf.component in self._inside) for leaf in self._leaves}
        return self._divide(self._leaves, 0, range(fanout))

    def _divide(self, leaves: Sequence[Leaf], level: int, may: range) -> dict[int, range]:
        """Divide the units that a node of the tree may use; `level` splits are above it."""
        if level == len(leaves[0].splits):
            return {leaves[0].number: may[: self._needed(leaves, level)]}
        split, branches = leaves[0].splits[level], _branches(leaves, level)
        sharers = _sharers(split, branches)
        needs = [max(self._needed(branch, level + 1) for branch in some) for some in sharers]
        units = may.stop - may.start  # `len` has a limit
        own = split.pipeline and self._divisible and sum(needs) <= units
        own = own and not self._meet(sharers)
        found: dict[int, range] = {}
        first = 0
        for some, need in zip(sharers, needs, strict=True):
            for branch in some:
                found |= self._divide(branch, level + 1, may[first : first + need] if own else may)
            first += need
        return found

    def _needed(self, leaves: Sequence[Leaf], level: int) -> int:
        """Return the number of units that a node of the tree needs."""
        if level == len(leaves[0].splits):
            (leaf,) = leaves
            if leaf.component not in self._inside:
                return 0
            units = 1
            for loop, trips in zip(leaf.loops, leaf.trips, strict=True):
                if loop.unit is not None and loop.unit[0] == self._component:
                    units *= trips
            return units
        split, branches = leaves[0].splits[level], _branches(leaves, level)
        needs = [
            max(self._needed(branch, level + 1) for branch in some)
            for some in _sharers(split, branches)
        ]
        return sum(needs) if split.pipeline else max(needs)

    def _meet(self, sharers: Sequence[Sequence[Sequence[Leaf]]]) -> bool:
        """Return whether stages share a Storage inside the units, with a tensor that both access.

        Such a tile lies in units that all of these stages use. Stages with one number do anyway.
        """
        seen: set[tuple[str, int]] = set()
        for stages in sharers:
            mine = {
                (tensor, holder.node)
                for stage in stages
                for leaf in stage
                for tensor in leaf.einsum.tensors
                for holder in leaf.storages(tensor)
                if holder.component in self._inside
            }
            if mine & seen:
                return True
            seen |= mine
        return False


def _branches(leaves: Iterable[Leaf], level: int) -> list[list[Leaf]]:
    """Return the leaves of each branch of a split, which is the given one on their paths."""
    found: dict[int, list[Leaf]] = {}
    for leaf in leaves:
        found.setdefault(leaf.splits[level].branch, []).append(leaf)
    return list(found.values())


def _sharers(split: PathSplit, branches: Sequence[list[Leaf]]) -> list[list[list[Leaf]]]:
    """Return the branches of a split in groups that share units, in the order of their ranges.

    Without a binding, every branch is a group of its own.
    """
    numbers = split.binding if split.pipeline and split.binding else range(len(branches))
    groups: dict[int, list[list[Leaf]]] = {number: [] for number in sorted(set(numbers))}
    for number, branch in zip(numbers, branches, strict=True):
        groups[number].append(branch)
    return list(groups.values())


def check_bindings(spec: Spec, leaves: Sequence[Leaf]) -> None:
    """Check that stages to which a binding gives units of their own compute on different ones.

    Parameters
    ----------
    spec, leaves
        The input and its leaves, in tree order.

    Raises
    ------
    MappingError
        Two stages with different numbers use a unit of a Compute.
    """
    bound = {
        split.node: level
        for leaf in leaves
        for level, split in enumerate(leaf.splits)
        if split.pipeline and len(set(split.binding)) > 1
    }
    if not bound:
        return
    users = unit_users(spec, leaves)
    for component in dict.fromkeys(leaf.component for leaf in leaves):
        for some in users[component]:
            for node, level in bound.items():
                meeting = {
                    leaves[number].splits[level].branch: leaves[number]
                    for number in some
                    if len(leaves[number].splits) > level
                    and leaves[number].splits[level].node == node
                }
                numbers: dict[int, Leaf] = {}
                for branch, leaf in meeting.items():
                    numbers.setdefault(leaf.splits[level].binding[branch], leaf)
                if len(numbers) > 1:
                    _refuse_binding(spec, component, list(numbers.values()), level)


def _refuse_binding(spec: Spec, component: str, leaves: Sequence[Leaf], level: int) -> NoReturn:
    first, second = leaves[:2]
    path = spec.arch.paths[first.einsum.name]
    arrays = [c for c in path if c.fanout > 1]
    locked = [c.name for c in arrays if not c.divisible]
    if locked:
        fix = f"write support_concurrent_binding: true in {locked[-1]!r}"
    elif arrays:
        fix = (
            "use fewer units per stage, or hold the tensors that the stages exchange outside of"
            f" the units of {arrays[0].name!r}"
        )
    else:
        fix = f"give {component!r} several units (spatial: [{{name: X, fanout: 2}}])"
    binding = list(first.splits[level].binding)
    raise MappingError(
        f"the binding {binding} gives {first.einsum.name!r} and {second.einsum.name!r} units of"
        f" their own, but both need the same unit of {component!r}",
        where=first.splits[level].where or "mapping",
        fix=f"{fix}, map them to different Computes, or give both stages one number",
    )


def divided_users(ranges: Iterable[Users], concerned: Iterable[int]) -> tuple[Users, ...]:
    """Return the ranges of units that differ in the leaves concerned.

    Parameters
    ----------
    ranges
        The leaves that use each range of units of a component.
    concerned
        The leaves that matter: for example those that keep a certain port busy.

    Returns
    -------
    tuple of tuple
        The leaves concerned that use each range. Ranges with the same ones are one: what happens
        in them is the same.
    """
    chosen = set(concerned)
    users = {tuple(leaf for leaf in some if leaf in chosen) for some in ranges} - {()}
    return tuple(sorted(users))


def users_label(leaves: Sequence[Leaf], users: Users) -> str:
    """Return a name for the units that some leaves use.

    Parameters
    ----------
    leaves
        All leaves of the mapping, in tree order.
    users
        The numbers of the leaves; none where the component's units are not divided.

    Returns
    -------
    str
        Their Einsums, as in ``e1+e3``; of more than three in a row the first and the last, as in
        ``e1+e3..e9``.
    """
    runs: list[list[int]] = []
    for leaf in users:
        if runs and runs[-1][-1] == leaf - 1:
            runs[-1].append(leaf)
        else:
            runs.append([leaf])
    words = []
    for run in runs:
        names = [leaves[leaf].einsum.name for leaf in run]
        words += [f"{names[0]}..{names[-1]}"] if len(run) > _LISTED else names
    return "+".join(words)
