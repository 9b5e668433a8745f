"""The LoopTree mapping: a tree of loops, storage nodes, splits and compute leaves.

Reservations are dropped and Nested nodes dissolved when a mapping is read: a `Branch` is a run of
loops and storage nodes that ends in a Split or in a Compute.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from polylat.draw.tree import Tree


@dataclass(frozen=True)
class Temporal:
    """A loop over time: tiles of `tile_shape` values of the rank variable, one after another.

    Parameters
    ----------
    rank_variable
        Its rank variable. Where the Einsums below it go by different ones: all of them, in text.
    tile_shape
        How many values a tile has.
    where
        Where it stands in the input.
    by_einsum
        (Einsum, its rank variable), where the Einsums below go by different ones.
    """

    rank_variable: str
    tile_shape: int
    where: str = field(default="", compare=False)
    by_einsum: tuple[tuple[str, str], ...] = ()

    def variable(self, einsum: str) -> str:
        """The rank variable over which it runs for an Einsum."""
        return dict(self.by_einsum).get(einsum, self.rank_variable)


@dataclass(frozen=True)
class Spatial:
    """A loop over the units of a component's spatial dimension.

    Parameters
    ----------
    rank_variable, tile_shape, where, by_einsum
        As for `Temporal`.
    component, dimension
        The component whose units it runs over, and along which of its dimensions.
    """

    rank_variable: str
    tile_shape: int
    component: str
    dimension: str
    where: str = field(default="", compare=False)
    by_einsum: tuple[tuple[str, str], ...] = ()

    def variable(self, einsum: str) -> str:
        """The rank variable over which it runs for an Einsum."""
        return dict(self.by_einsum).get(einsum, self.rank_variable)


@dataclass(frozen=True)
class Storage:
    """Tiles of the tensors are kept in the component from here down."""

    component: str
    tensors: tuple[str, ...]
    where: str = field(default="", compare=False)


@dataclass(frozen=True)
class Toll:
    """The tensors pass through the component, which charges and does not keep them."""

    component: str
    tensors: tuple[str, ...]
    where: str = field(default="", compare=False)


@dataclass(frozen=True)
class Compute:
    """A leaf: the operations of one Einsum."""

    einsum: str
    component: str
    where: str = field(default="", compare=False)


@dataclass(frozen=True)
class Sequential:
    """Branches one after another; the next starts when all of the one before has finished."""

    branches: tuple[Branch, ...]
    where: str = field(default="", compare=False)


@dataclass(frozen=True)
class Pipeline:
    """Branches (stages) that overlap as far as dependences, capacity and ports allow."""

    branches: tuple[Branch, ...]
    where: str = field(default="", compare=False)


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
        What stands below them all.
    """

    nodes: tuple[Loop | Holder, ...]
    end: Split | Compute

    def leaves(self) -> Iterator[Compute]:
        """The leaves below, in tree order."""
        if isinstance(self.end, Compute):
            yield self.end
        else:
            for branch in self.end.branches:
                yield from branch.leaves()

    def with_pipelines(self) -> Branch:
        """The same with a Pipeline for every Sequential split below: stages overlap."""
        if isinstance(self.end, Compute):
            return self
        stages = tuple(branch.with_pipelines() for branch in self.end.branches)
        return replace(self, end=Pipeline(stages, self.end.where))

    def tree(self) -> Tree:
        """The tree, to be drawn: in text (`str`), as SVG, in a notebook.

        `Spec.tree` knows more: trip counts, and what leaves exchange; `Report.mapping_tree` also
        what is on the critical path.
        """
        from polylat.draw.tree import mapping_tree

        return mapping_tree(self)

    def to_text(self) -> str:
        """The tree in letters."""
        return self.tree().to_text()

    def to_svg(self) -> str:
        """The tree as SVG."""
        return self.tree().to_svg()

    def _repr_html_(self) -> str:
        return self.to_svg()
