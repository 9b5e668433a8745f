"""The LoopTree mapping: a tree of loops, storage nodes, splits and compute leaves.

Reservations are dropped and Nested nodes dissolved when a mapping is read: a `Branch` is a run of
loops and storage nodes that ends in a Split or in a Compute.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from polylat.spec.workload import Workload


@dataclass(frozen=True)
class Temporal:
    """A loop over time: tiles of `tile_shape` values of the rank variable, one after another.

    Parameters
    ----------
    rank_variable
        Its rank variable. If the Einsums below use different ones: all of them, as text.
    tile_shape
        Number of values per tile.
    where
        Location in the input, for messages.
    by_einsum
        (Einsum, its rank variable) pairs, if the Einsums below use different rank variables.
    initial_tile_shape
        Number of values of the first tile, within each tile of the loops around it; None: as of the
        others.
    """

    rank_variable: str
    tile_shape: int
    where: str = field(default="", compare=False)
    by_einsum: tuple[tuple[str, str], ...] = ()
    initial_tile_shape: int | None = None

    def variable(self, einsum: str) -> str:
        """Return the rank variable over which the loop runs for an Einsum.

        Parameters
        ----------
        einsum
            Name of the Einsum.

        Returns
        -------
        str
            Name of the rank variable.
        """
        return dict(self.by_einsum).get(einsum, self.rank_variable)


@dataclass(frozen=True)
class Spatial:
    """A loop over the units of a component's spatial dimension.

    Parameters
    ----------
    rank_variable, tile_shape
        As for `Temporal`.
    component, dimension
        The component whose units the loop runs over, and the spatial dimension of these units.
    where, by_einsum
        As for `Temporal`.
    """

    rank_variable: str
    tile_shape: int
    component: str
    dimension: str
    where: str = field(default="", compare=False)
    by_einsum: tuple[tuple[str, str], ...] = ()

    def variable(self, einsum: str) -> str:
        """Return the rank variable over which the loop runs for an Einsum.

        Parameters
        ----------
        einsum
            Name of the Einsum.

        Returns
        -------
        str
            Name of the rank variable.
        """
        return dict(self.by_einsum).get(einsum, self.rank_variable)


class _Holder:
    """What Storages and Tolls have in common: they name tensors."""

    tensors: tuple[str, ...]
    original: tuple[str, ...] | None

    @cached_property
    def _places(self) -> Mapping[str, int]:
        return {tensor: place for place, tensor in enumerate(self.tensors)}

    def among(self, tensors: Iterable[str]) -> list[str]:
        """Return those of some tensors that the node names.

        Parameters
        ----------
        tensors
            Names of tensors.

        Returns
        -------
        list of str
            Their names, in the order of the node.
        """
        found = {tensor for tensor in tensors if tensor in self._places}
        return sorted(found, key=self._places.__getitem__)

    def named(self, workload: Workload) -> tuple[str, ...]:
        """Return the tensors by all names that the input gives them.

        Parameters
        ----------
        workload
            The workload.

        Returns
        -------
        tuple of str
            The node's tensors as the input has them; where the node is not one of the input, with
            the names of their earlier states.
        """
        if self.original is not None:
            return self.original
        return tuple(name for tensor in self.tensors for name in workload.names_of(tensor))


@dataclass(frozen=True)
class Storage(_Holder):
    """A storage node: the component keeps tiles of the tensors for all nodes below.

    Parameters
    ----------
    component
        Name of the Memory.
    tensors
        Names of the tensors.
    where
        Location in the input, for messages.
    merged
        Whether the input has a node in each branch of the split below instead.
    original
        The tensors as the input has them, where it names earlier states as tensors of their own
        (`Workload.earlier`); None: not a node of such an input.
    """

    component: str
    tensors: tuple[str, ...]
    where: str = field(default="", compare=False)
    merged: bool = field(default=False, compare=False)
    original: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Toll(_Holder):
    """A node whose tensors pass through the component, which charges for them without storing.

    Parameters
    ----------
    component
        Name of the Toll.
    tensors
        Names of the tensors.
    where
        Location in the input, for messages.
    original
        As for `Storage`.
    """

    component: str
    tensors: tuple[str, ...]
    where: str = field(default="", compare=False)
    original: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Compute:
    """A leaf: the operations of one Einsum.

    Parameters
    ----------
    einsum
        Name of the Einsum.
    component
        Name of the Compute that runs it.
    where
        Location in the input, for messages.
    """

    einsum: str
    component: str
    where: str = field(default="", compare=False)


@dataclass(frozen=True)
class Sequential:
    """A split whose branches run one after another: each starts when the previous has finished.

    Parameters
    ----------
    branches
        The branches, in order.
    where
        Location in the input, for messages.
    """

    branches: tuple[Branch, ...]
    where: str = field(default="", compare=False)

    @property
    def name(self) -> str:
        """The Einsums of the branches, such as ``e1|e2+e3``."""
        return _name(self)


@dataclass(frozen=True)
class Pipeline:
    """A split whose branches (stages) overlap as far as dependences, capacity and ports allow.

    Parameters
    ----------
    branches
        The stages, in order.
    where
        Location in the input, for messages.
    binding
        Per stage, the number of the units that it uses: stages with equal numbers share units.
        Empty: each stage has units of its own, in order, where these suffice.
    """

    branches: tuple[Branch, ...]
    where: str = field(default="", compare=False)
    binding: tuple[int, ...] = ()

    @property
    def name(self) -> str:
        """The Einsums of the branches, such as ``e1|e2+e3``."""
        return _name(self)


def name_of_split(branches: Iterable[Iterable[str]]) -> str:
    """Return the name of a split.

    Parameters
    ----------
    branches
        Per branch, the names of its Einsums.

    Returns
    -------
    str
        The names, joined by ``+`` within a branch and by ``|`` between branches.

    Examples
    --------
    >>> name_of_split([["e1"], ["e2", "e3"]])
    'e1|e2+e3'
    """
    return "|".join("+".join(branch) for branch in branches)


def _name(split: Split) -> str:
    return name_of_split([leaf.einsum for leaf in b.leaves()] for b in split.branches)


Split = Sequential | Pipeline
Holder = Storage | Toll
Loop = Temporal | Spatial


@dataclass(frozen=True)
class Branch:
    """A run of loops and storage nodes that ends in a split or a leaf.

    Parameters
    ----------
    nodes
        The loops and storage nodes, outer to inner.
    end
        The Split or Compute below all of them.
    """

    nodes: tuple[Loop | Holder, ...]
    end: Split | Compute

    def leaves(self) -> Iterator[Compute]:
        """Iterate over the leaves below.

        Yields
        ------
        Compute
            The leaves, in tree order.
        """
        if isinstance(self.end, Compute):
            yield self.end
        else:
            for branch in self.end.branches:
                yield from branch.leaves()

    def merged_holders(self) -> Iterator[tuple[str, str]]:
        """Iterate over the holders that stand in each branch of a split in the input.

        Yields
        ------
        tuple of (str, str)
            Tensor and component, in tree order.
        """
        for node in self.nodes:
            if isinstance(node, Storage) and node.merged:
                yield from ((tensor, node.component) for tensor in node.tensors)
        if not isinstance(self.end, Compute):
            for branch in self.end.branches:
                yield from branch.merged_holders()

    def splits(self) -> Iterator[Split]:
        """Iterate over the splits below that have several branches.

        Yields
        ------
        Sequential or Pipeline
            The splits, in tree order.
        """
        if isinstance(self.end, Compute):
            return
        if len(self.end.branches) > 1:
            yield self.end
        for branch in self.end.branches:
            yield from branch.splits()

    def with_sequentials(self) -> Branch:
        """Replace every Pipeline below by a Sequential.

        Returns
        -------
        Branch
            The branch without overlapping stages.
        """
        if isinstance(self.end, Compute):
            return self
        branches = tuple(branch.with_sequentials() for branch in self.end.branches)
        return replace(self, end=Sequential(branches, self.end.where))

    def with_pipelines(self, names: Collection[str] | None = None) -> Branch:
        """Replace Sequential splits below by Pipelines.

        Parameters
        ----------
        names
            Names of the splits, such as ``"e1|e2+e3"``; None: all.

        Returns
        -------
        Branch
            The branch with overlapping stages.
        """
        end = self.end
        if isinstance(end, Compute):
            return self
        stages = tuple(branch.with_pipelines(names) for branch in end.branches)
        if isinstance(end, Sequential) and (names is None or end.name in names):
            return replace(self, end=Pipeline(stages, end.where))
        return replace(self, end=replace(end, branches=stages))


def describe_node(node: Temporal | Spatial | Storage | Toll | Compute) -> str:
    """Describe a node of a mapping in a few words, without its trip count and sizes.

    Parameters
    ----------
    node
        The node.

    Returns
    -------
    str
        The description, such as ``"for m"``.
    """
    match node:
        case Temporal():
            return f"for {node.rank_variable}"
        case Spatial():
            return f"for {node.rank_variable} over {node.component}.{node.dimension}"
        case Storage():
            return f"{node.component} keeps {', '.join(node.tensors)}"
        case Toll():
            return f"{node.component} passes on {', '.join(node.tensors)}"
        case Compute():
            return f"{node.einsum} on {node.component}"
