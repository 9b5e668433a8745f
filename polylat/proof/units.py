"""Which stages of a Pipeline have units of their own, and hence ports of their own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property

from polylat.lowering.paths import Leaf
from polylat.spec import Spec

__all__ = ["PortName", "Units"]

PortName = tuple[str, int, tuple[tuple[int, int], ...]]
"""(component, index of the port, (tree node of a Pipeline, stage) pairs with units of their own)"""


class Units:
    """The units of components that the stages of Pipelines use.

    Parameters
    ----------
    spec, leaves
        The input and its leaves, in tree order.
    """

    def __init__(self, spec: Spec, leaves: Sequence[Leaf]) -> None:
        self.spec = spec
        self.leaves = leaves

    @cached_property
    def pipelines(self) -> list[int]:
        """The tree nodes of the Pipelines, in the order of the tree."""
        nodes = [s.node for leaf in self.leaves for s in leaf.splits if s.pipeline]
        return list(dict.fromkeys(nodes))

    def stages(self, node: int) -> list[list[Leaf]]:
        """Return the leaves of each branch of a split.

        Parameters
        ----------
        node
            The tree node of the split.

        Returns
        -------
        list of list of Leaf
            Per branch, its leaves.
        """
        found: dict[int, list[Leaf]] = {}
        for leaf in self.leaves:
            for split in leaf.splits:
                if split.node == node:
                    found.setdefault(split.branch, []).append(leaf)
        return [found[branch] for branch in sorted(found)]

    def own_units(self, leaf: Leaf) -> dict[str, tuple[tuple[int, int], ...]]:
        """Return, per component of a leaf, the stages that have units of their own.

        Parameters
        ----------
        leaf
            The leaf.

        Returns
        -------
        dict
            Component → (tree node of the Pipeline, stage) pairs, outermost first. Inside a
            Pipeline whose stages contend, all stages contend.
        """
        path = [component.name for component in self.spec.arch.paths[leaf.einsum.name]]
        found = {}
        for place, name in enumerate(path):
            own: list[tuple[int, int]] = []
            for split in leaf.splits:
                if split.pipeline:
                    if not any((split.node, outer) in self._divided for outer in path[: place + 1]):
                        break
                    own.append((split.node, split.branch))
            found[name] = tuple(own)
        return found

    @cached_property
    def _divided(self) -> set[tuple[int, str]]:
        """(Pipeline, component) pairs where the stages together need no more than all units."""
        available = {
            component.name: component.fanout
            for leaf in self.leaves
            for component in self.spec.arch.paths[leaf.einsum.name]
        }
        return {
            (node, name)
            for node in self.pipelines
            for name, fanout in available.items()
            if sum(self._used(stage, node, name) for stage in self.stages(node)) <= fanout
        }

    def _used(self, leaves: Iterable[Leaf], above: int | None, component: str) -> int:
        """Return the units of a component that leaves use together, below a split."""
        some = list(leaves)
        below = {}
        for leaf in some:
            nodes = [s.node for s in leaf.splits]
            rest = leaf.splits[nodes.index(above) + 1 :] if above is not None else leaf.splits
            below[leaf.number] = rest
        first = below[some[0].number]
        if not first:
            (leaf,) = some
            used = 1
            for loop, trips in zip(leaf.loops, leaf.trips, strict=True):
                if loop.unit is not None and loop.unit[0] == component:
                    used *= trips
            here = self.spec.arch.paths[leaf.einsum.name]
            return used if component in {c.name for c in here} else 0
        split = first[0]
        branches: dict[int, list[Leaf]] = {}
        for leaf in some:
            branches.setdefault(below[leaf.number][0].branch, []).append(leaf)
        each = [self._used(branch, split.node, component) for branch in branches.values()]
        return sum(each) if split.pipeline else max(each)
