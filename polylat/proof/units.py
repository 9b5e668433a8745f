"""Which units of a component each leaf uses, and which leaves share units and ports."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cache, cached_property
from math import prod

from polylat.lowering.paths import Leaf, PathSplit
from polylat.spec import Spec

__all__ = ["PortName", "Units"]

PortName = tuple[str, int, tuple[int, ...]]
"""(component, index of the port, the leaves that it serves where several ports have that index)"""

_NAMED = 3


class Units:
    """The units of components that the leaves use.

    Parameters
    ----------
    spec, leaves
        The input and its leaves, in tree order.
    """

    def __init__(self, spec: Spec, leaves: Sequence[Leaf]) -> None:
        self.spec = spec
        self.leaves = leaves
        self._path = {
            leaf.number: [component.name for component in spec.arch.paths[leaf.einsum.name]]
            for leaf in leaves
        }
        self._needs = cache(self._count_needs)
        self._interval = cache(self._find_interval)
        self._joined = cache(self._are_joined)
        self.groups = cache(self._groups)

    @cached_property
    def pipelines(self) -> list[int]:
        """The tree nodes of the Pipelines, in the order of the tree."""
        nodes = [s.node for leaf in self.leaves for s in leaf.splits if s.pipeline]
        return list(dict.fromkeys(nodes))

    @cached_property
    def stages(self) -> Mapping[int, tuple[tuple[Leaf, ...], ...]]:
        """Tree node of a split → per branch, its leaves."""
        found: dict[int, dict[int, list[Leaf]]] = {}
        for leaf in self.leaves:
            for split in leaf.splits:
                found.setdefault(split.node, {}).setdefault(split.branch, []).append(leaf)
        return {
            node: tuple(tuple(leaves) for _, leaves in sorted(branches.items()))
            for node, branches in found.items()
        }

    def _groups(self, component: str) -> frozenset[frozenset[int]]:
        """Return the sets of leaves that share a unit of a component.

        A unit of a component below others belongs to one unit of each of them.
        """
        here = {n: path for n, path in self._path.items() if component in path}
        path = next(iter(here.values()))
        found = {frozenset(here)}
        for name in path[: path.index(component) + 1]:
            used = {n: self._interval(n, name) for n in self._path}
            # The users of a unit change only where the interval of some leaf begins or ends.
            places = {place for interval in used.values() for place in interval}
            users = [{n for n, (low, high) in used.items() if low <= p < high} for p in places]
            found = {some & members for some in found for members in users}
        return frozenset(some for some in found if some)

    def _find_interval(self, number: int, component: str) -> tuple[int, int]:
        """Return the first unit that a leaf uses, and the one after the last."""
        if component not in self._path[number]:
            return 0, 0
        leaf, low, room = self.leaves[number], 0, self._fanout(component)
        for split in leaf.splits:
            needs = self._needs_by_number(split, component)
            divided = split.pipeline and self._divisible(component)
            if divided and sum(needs.values()) <= room and not self._joined(split, component):
                mine = self._number(split, split.branch)
                low += sum(need for number, need in needs.items() if number < mine)
                room = needs[mine]
        return low, low + self._own(leaf, component)

    def _number(self, split: PathSplit, branch: int) -> int:
        """Return the number of the units of a branch of a split; equal ones are shared."""
        return split.binding[branch] if split.pipeline and split.binding else branch

    def _needs_by_number(self, split: PathSplit, component: str) -> dict[int, int]:
        """Return how many units the branches of a split need that share units, by number."""
        found: dict[int, int] = {}
        for branch in range(self._branches(split)):
            number = self._number(split, branch)
            need = self._needs(split.node, branch, component)
            found[number] = max(found.get(number, 0), need)
        return found

    def _divisible(self, component: str) -> bool:
        return all(
            c.divisible
            for path in self.spec.arch.paths.values()
            for c in path
            if c.name == component
        )

    def _fanout(self, component: str) -> int:
        return max(
            c.fanout for path in self.spec.arch.paths.values() for c in path if c.name == component
        )

    def _branches(self, split: PathSplit) -> int:
        return len(self.stages[split.node])

    def _own(self, leaf: Leaf, component: str) -> int:
        """Return the number of units that a leaf needs."""
        if component not in self._path[leaf.number]:
            return 0
        pairs = zip(leaf.loops, leaf.trips, strict=True)
        return prod(trips for loop, trips in pairs if loop.unit and loop.unit[0] == component)

    def _count_needs(self, node: int, branch: int, component: str) -> int:
        """Return the number of units that a branch of a split needs."""
        leaves = self.stages[node][branch]
        at = [s.node for s in leaves[0].splits].index(node) + 1
        if at == len(leaves[0].splits):
            return self._own(leaves[0], component)
        below = leaves[0].splits[at]
        needs = self._needs_by_number(below, component).values()
        return sum(needs) if below.pipeline else max(needs)

    def _are_joined(self, split: PathSplit, component: str) -> bool:
        """Return whether a tile in a unit of a component belongs to stages with different numbers.

        That is a tile in a Storage above the Pipeline, of a tensor that both stages access, in the
        component or in one below.
        """
        users: dict[tuple[int, str], set[int]] = {}
        for stage, leaves in enumerate(self.stages[split.node]):
            for leaf in leaves:
                path = self._path[leaf.number]
                below = path[path.index(component) :] if component in path else []
                for tensor, holders in leaf.holders.items():
                    for holder in holders:
                        if holder.component in below and not holder.toll:
                            number = self._number(split, stage)
                            users.setdefault((holder.node, tensor), set()).add(number)
        return any(len(numbers) > 1 for numbers in users.values())

    def ports(
        self, component: str, served: Mapping[int, Collection[int]]
    ) -> dict[tuple[int, int], list[PortName]]:
        """Return the ports of a component that serve the accesses of each leaf.

        Parameters
        ----------
        component
            The component.
        served
            Index of a port → the leaves whose accesses it serves.

        Returns
        -------
        dict
            (leaf, index of a port) → its ports: one per set of these leaves that share units. If no
            index has several ports, the last part of every name is empty.
        """
        groups = {
            index: {tuple(sorted(set(leaves) & some)) for some in self.groups(component)} - {()}
            for index, leaves in served.items()
        }
        plain = all(len(some) <= 1 for some in groups.values())
        return {
            (leaf, index): [
                (component, index, () if plain else users)
                for users in sorted(groups[index])
                if leaf in users
            ]
            for index, leaves in served.items()
            for leaf in leaves
        }

    def label(self, users: Iterable[int]) -> str:
        """Return the name of the units that some leaves share.

        Parameters
        ----------
        users
            The numbers of the leaves.

        Returns
        -------
        str
            Their Einsums, joined by ``+``; more than three consecutive ones as ``first..last``.
        """
        rest, words = sorted(users), []
        while rest:
            length = next((k for k, n in enumerate(rest) if n != rest[0] + k), len(rest))
            names = [self.leaves[n].einsum.name for n in rest[:length]]
            words.append(f"{names[0]}..{names[-1]}" if length > _NAMED else "+".join(names))
            rest = rest[length:]
        return "+".join(words)
