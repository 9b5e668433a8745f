"""Tensors that an Einsum fetches back from where their producer has written them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from polylat.analysis.variation import Rescheduled, reschedule
from polylat.engine.model import Model
from polylat.errors import PolylatError
from polylat.lowering.ports import total_values
from polylat.numbers import Number, format_number
from polylat.spec import Spec
from polylat.spec.mapping import Split
from polylat.spec.names import short_split

__all__ = ["Refetch", "refetches"]


@dataclass(frozen=True)
class Refetch:
    """An Einsum that fetches what another one has computed.

    Parameters
    ----------
    einsum, producer
        The Einsum that fetches, and the one that computes.
    tensor
        The tensor.
    source, into
        The component that it is fetched from, and the one that it is fetched into.
    values
        Number of values that are fetched, in the busiest unit.
    split
        The name of a split between the two.
    energy
        The energy of the mapping as it is; None where the architecture does not give energies.
    spec, options
        The input, and all options of `analyze` in their normal forms.
    """

    einsum: str
    producer: str
    tensor: str
    source: str
    into: str
    values: int
    split: str
    energy: Number | None
    spec: Spec
    options: Mapping[str, Any]

    @cached_property
    def hoisted(self) -> Spec | None:
        """The mapping that keeps the tensor in `into` above the split; None if there is none.

        Then nothing is fetched (`Spec.hoist`).
        """
        try:
            return self.spec.hoist(self.tensor, self.into)
        except PolylatError:
            return None

    @cached_property
    def found(self) -> Rescheduled | None:
        """The latency of that mapping with the same options; None if there is none."""
        return None if self.hoisted is None else reschedule(self.hoisted, self.options)

    def __str__(self) -> str:
        fetch = (
            f"{self.einsum} fetches {self.tensor} back from {self.source}:"
            f" {format_number(self.values)} values."
        )
        if self.found is None or self.found.latency is None:
            return fetch
        return (
            f"{fetch} If {self.into} kept it above the split {short_split(self.split)}"
            f" (spec.hoist({self.tensor!r}, {self.into!r})), the latency would be {self.found}"
            f"{self._saved_energy}."
        )

    @property
    def _saved_energy(self) -> str:
        """What becomes of the energy, in words; empty where it is not known."""
        after = None if self.found is None else self.found.energy
        if self.energy is None or after is None:
            return ""
        return f", and the energy {format_number(after)} instead of {format_number(self.energy)}"


def refetches(
    model: Model, options: Mapping[str, Any], energy: Number | None
) -> tuple[Refetch, ...]:
    """List what Einsums fetch of what others have computed.

    Parameters
    ----------
    model
        The mapping.
    options
        All options of `analyze`, in their normal forms.
    energy
        The energy of the mapping, if it is known.

    Returns
    -------
    tuple of Refetch
        In the order of the tree.
    """
    found = []
    spec, leaves = model.lowered.spec, model.lowered.leaves
    for (number, tensor), source in model.lowered.found.items():
        leaf = leaves[number]
        storages = leaf.storages(tensor)[source.level :]
        if source.leaf is None or not source.produces or len(storages) < 2:
            continue
        outer, inner = storages[0].component, storages[1].component
        values = sum(
            total_values(access, model.layout.tiles[number])
            for block in model.layout.blocks[number]
            for access in block.accesses
            if access.transfer and access.inward and access.tensor == tensor
            if (access.component, access.action) == (outer, "read")
        )
        producer = leaves[source.leaf]
        reads, makes = leaf.einsum.name, producer.einsum.name
        name = next(s.name for s in spec.mapping.splits() if _separates(s, reads, makes))
        found.append(
            Refetch(reads, makes, tensor, outer, inner, values, name, energy, spec, options)
        )
    return tuple(found)


def _separates(split: Split, reader: str, producer: str) -> bool:
    """Return whether two Einsums are in different branches of a split."""
    branches = [{leaf.einsum for leaf in branch.leaves()} for branch in split.branches]
    return any(reader in b and producer not in b for b in branches) and any(
        producer in b and reader not in b for b in branches
    )
