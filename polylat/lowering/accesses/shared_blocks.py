"""The blocks of equal leaves, counted once.

Leaves are equal if they differ only in names: of their Einsums, rank variables and tensors. Then
they have the same numbers of accesses in the same tile iterations. Networks consist of few
different layers, each of which occurs many times.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from itertools import takewhile

from polylat.lowering.accesses.blocks import Access, Block
from polylat.lowering.accesses.counting import Units, leaf_blocks
from polylat.lowering.iterations import IterationTable
from polylat.lowering.paths import Leaf
from polylat.lowering.sharing import SourceHolder
from polylat.lowering.transfers import TransferOptions
from polylat.spec import Spec
from polylat.spec.arch import Component, Port
from polylat.spec.slots import slots_of

__all__ = ["CountedBlocks", "SharedBlocks"]


@dataclass(eq=False)
class CountedBlocks:
    """The blocks of leaves that have been counted: of one input, or of several that are alike.

    Parameters
    ----------
    known
        Key that equal leaves have in common → the tensors of one of them, and its blocks.
    paths
        Components, with positions in place of tensors → a number, which is faster to compare.
    iterations
        Number of tile iterations of these blocks.
    """

    known: dict[Hashable, tuple[tuple[str, ...], tuple[Block, ...]]] = field(default_factory=dict)
    paths: dict[Hashable, int] = field(default_factory=dict)
    iterations: int = 0


class SharedBlocks:
    """Counts the accesses of leaves, those of equal leaves once.

    Parameters
    ----------
    spec
        The input.
    counted
        What has been counted, also of other inputs.
    """

    def __init__(self, spec: Spec, counted: CountedBlocks) -> None:
        self._spec = spec
        self._counted = counted
        self._components: dict[str, tuple[int, Mapping[str, Component]]] = {}

    def of(
        self,
        tiles: IterationTable,
        found: Mapping[str, SourceHolder],
        leaves: Sequence[Leaf],
        produced: frozenset[str],
        options: TransferOptions,
        units: Units = "busiest",
    ) -> tuple[Block, ...]:
        """Return the blocks of a leaf.

        Parameters
        ----------
        tiles, found, leaves, produced, options, units
            As for `leaf_blocks`.

        Returns
        -------
        tuple of Block
            As `leaf_blocks` returns them.

        Raises
        ------
        TooLargeError
            A relation has too many points.
        """
        leaf = tiles.leaf
        tensors = leaf.einsum.tensors
        path, components = self._path(leaf)
        key = (
            leaf.shape,
            path,
            tiles.depth,
            tiles.kept,
            tuple(_source(leaf, found[t], t, leaves) for t in tensors if t in found),
            tuple(tensor in produced for tensor in tensors),
            _transfers(leaf, options),
            units,
        )
        known = self._counted.known.get(key)
        if known is None:
            blocks = leaf_blocks(tiles, components, found, leaves, produced, options, units)
            known = self._counted.known[key] = tensors, blocks
            self._counted.iterations += tiles.size
        names, blocks = known
        if names == tensors:
            return blocks
        renamed = dict(zip(names, tensors, strict=True))
        return tuple(_renamed(block, renamed) for block in blocks)

    def _path(self, leaf: Leaf) -> tuple[int, Mapping[str, Component]]:
        """Return the components of a leaf, and a number for them with its tensors as positions."""
        einsum = leaf.einsum
        if einsum.name not in self._components:
            places = {tensor: place for place, tensor in enumerate(einsum.tensors)}
            path = tuple(_without_times(c) for c in self._spec.arch.paths[einsum.name])
            paths = self._counted.paths
            number = paths.setdefault(_positional(path, places), len(paths))
            self._components[einsum.name] = number, {c.name: c for c in path}
        return self._components[einsum.name]


def _without_times(component: Component) -> Component:
    """Return a component with only those fields that numbers of accesses may depend on."""
    return Component(
        component.name,
        component.kind,
        component.spatial,
        ports=tuple(Port(port.name, {}) for port in component.ports),
        skip_initial_output_write=component.skip_initial_output_write,
        direction=component.direction,
        network=component.network,
        physical=component.physical,
    )


def _source(
    leaf: Leaf, found: SourceHolder, tensor: str, leaves: Sequence[Leaf]
) -> tuple[int, int, Hashable]:
    """Return where a leaf finds a tensor; of a recurrence, with what its producer brings there."""
    if not found.recurrent or found.producer is None or found.producer == leaf.number:
        return found.level, found.recurrent, None
    producer = leaves[found.producer]
    pairs = zip(leaf.loops, producer.loops, strict=False)
    shared = sum(1 for _ in takewhile(lambda pair: pair[0].node == pair[1].node, pairs))
    brought = producer.shape, producer.einsum.tensors.index(tensor), shared
    return found.level, found.recurrent, brought


def _transfers(leaf: Leaf, options: TransferOptions) -> Hashable:
    """Return what the options say about each holder of a leaf."""
    return tuple(
        (
            options.is_staged(tensor, holder.component),
            (tensor, holder.component) in options.background,
            (tensor, holder.component, True) in options.free,
            (tensor, holder.component, False) in options.free,
            slots_of(options.slots, tensor, holder.component),
        )
        for tensor in leaf.einsum.tensors
        for holder in leaf.storages(tensor)
    )


def _positional(value: object, places: Mapping[str, int]) -> Hashable:
    """Return a value as nested tuples in which names of tensors are positions."""
    if isinstance(value, str):
        return ("tensor", places[value]) if value in places else value
    if is_dataclass(value):
        parts = (_positional(getattr(value, f.name), places) for f in fields(value) if f.compare)
        return (type(value).__name__, *parts)
    if isinstance(value, Mapping):
        pairs = value.items()
        return tuple((_positional(k, places), _positional(v, places)) for k, v in pairs)
    if isinstance(value, frozenset):
        return frozenset(_positional(part, places) for part in value)
    if isinstance(value, tuple | list):
        return tuple(_positional(part, places) for part in value)
    assert isinstance(value, Hashable), f"{type(value).__name__} is no part of a component"
    return value


def _renamed(block: Block, names: Mapping[str, str]) -> Block:
    """Return a block of an equal leaf, with this leaf's tensors."""
    return replace(
        block,
        tensor=None if block.tensor is None else names[block.tensor],
        accesses=tuple(_renamed_access(access, names) for access in block.accesses),
    )


def _renamed_access(access: Access, names: Mapping[str, str]) -> Access:
    return access if access.tensor is None else replace(access, tensor=names[access.tensor])
