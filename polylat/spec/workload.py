"""The cascade: Einsums, their iteration spaces and the tensors that they access."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cached_property

from polylat.spec.affine import Affine

Projection = tuple[Affine, ...]
"""Per rank of a tensor, the index as an affine expression of an Einsum's rank variables."""


@dataclass(frozen=True)
class TensorAccess:
    """All that an Einsum reads and writes of a tensor.

    Parameters
    ----------
    tensor
        Name of the tensor.
    ranks
        Names of the tensor's ranks.
    reads
        The projections by which an operation reads the tensor as an input, one per read.
    write
        The projection by which it writes the tensor; None for a pure input.
    bits_per_value
        Bits of one element.
    """

    tensor: str
    ranks: tuple[str, ...]
    reads: tuple[Projection, ...]
    write: Projection | None
    bits_per_value: Fraction

    @property
    def output(self) -> bool:
        """Whether the Einsum produces the tensor."""
        return self.write is not None

    @property
    def is_state(self) -> bool:
        """Whether the Einsum reads elements of the tensor that it produces: a recurrence."""
        return self.write is not None and bool(self.reads)

    @cached_property
    def projections(self) -> tuple[Projection, ...]:
        """All projections, each once: those of the reads, then that of the write."""
        written = () if self.write is None else (self.write,)
        return tuple(dict.fromkeys((*self.reads, *written)))

    @property
    def projection(self) -> Projection:
        """The projection of a tensor that has only one."""
        (only,) = self.projections
        return only

    @cached_property
    def variables(self) -> tuple[str, ...]:
        """The rank variables that index the tensor, each once, in order of appearance."""
        return tuple(
            dict.fromkeys(v for some in self.projections for index in some for v in index.variables)
        )


@dataclass(frozen=True)
class Einsum:
    """One computation of the cascade.

    Parameters
    ----------
    name
        Name of the Einsum.
    rank_variables
        Its rank variables, in order of first appearance.
    constraints
        The iteration space: the points at which every expression is ≥ 0.
    accesses
        The tensors accessed, each once, in the order of their first access in the input.
    is_copy
        True for a copy operation, whose output is its input; it has no computation.
    n_instances
        Number of repetitions of the Einsum, including everything that it accesses.
    where
        Location in the input, for messages.
    original
        The accesses as the input has them, where it names earlier states as tensors of their own
        (`Workload.earlier`); empty: `accesses`.
    """

    name: str
    rank_variables: tuple[str, ...]
    constraints: tuple[Affine, ...]
    accesses: tuple[TensorAccess, ...]
    is_copy: bool = False
    n_instances: Fraction = Fraction(1)
    where: str = field(default="", compare=False)
    original: tuple[TensorAccess, ...] = ()

    def access(self, tensor: str) -> TensorAccess:
        """Return the access of a tensor.

        Parameters
        ----------
        tensor
            Name of a tensor that the Einsum accesses.

        Returns
        -------
        TensorAccess
            The access.
        """
        return self._access_of[tensor]

    def written(self, tensor: str) -> Projection:
        """Return the projection by which the Einsum writes a tensor.

        Parameters
        ----------
        tensor
            Name of a tensor that the Einsum produces.

        Returns
        -------
        Projection
            The indices.
        """
        found = self.access(tensor).write
        assert found is not None, "the Einsum produces the tensor"
        return found

    @cached_property
    def _access_of(self) -> Mapping[str, TensorAccess]:
        return {access.tensor: access for access in self.accesses}

    @cached_property
    def tensors(self) -> tuple[str, ...]:
        """Names of the tensors accessed."""
        return tuple(a.tensor for a in self.accesses)

    @cached_property
    def inputs(self) -> tuple[str, ...]:
        """Names of the tensors read and not produced."""
        return tuple(a.tensor for a in self.accesses if not a.output)

    @cached_property
    def reads(self) -> tuple[str, ...]:
        """Names of the tensors read, those of which it produces other elements included."""
        return tuple(a.tensor for a in self.accesses if a.reads)

    @cached_property
    def outputs(self) -> tuple[str, ...]:
        """Names of the tensors produced, those that are also read included."""
        return tuple(a.tensor for a in self.accesses if a.output)

    @cached_property
    def states(self) -> tuple[str, ...]:
        """Names of the tensors produced of which earlier elements are read."""
        return tuple(a.tensor for a in self.accesses if a.is_state)


@dataclass(frozen=True)
class Workload:
    """A cascade of Einsums, in program order.

    Parameters
    ----------
    einsums
        The Einsums. A tensor has the same ranks and bits per value in all of them.
    n_instances
        Number of repetitions of the whole cascade.
    unmapped
        Names of further Einsums of the input, which the mapping does not compute: they are left
        out, and what only they produce is an input.
    earlier
        (name, tensor): names that the input gives to earlier states of tensors, as under
        ``schedule: recurrences:``.
    """

    einsums: tuple[Einsum, ...]
    n_instances: Fraction = Fraction(1)
    unmapped: tuple[str, ...] = ()
    earlier: tuple[tuple[str, str], ...] = ()

    def einsum(self, name: str) -> Einsum:
        """Return an Einsum by its name.

        Parameters
        ----------
        name
            Name of the Einsum.

        Returns
        -------
        Einsum
            The Einsum.
        """
        return self._by_name[name]

    @cached_property
    def _by_name(self) -> Mapping[str, Einsum]:
        return {einsum.name: einsum for einsum in self.einsums}

    def restricted(self, names: Collection[str]) -> Workload:
        """Return the part of the cascade that consists of some Einsums.

        Parameters
        ----------
        names
            Names of Einsums.

        Returns
        -------
        Workload
            These Einsums, in program order; the others are `unmapped`.
        """
        kept = tuple(e for e in self.einsums if e.name in names)
        left_out = tuple(e.name for e in self.einsums if e.name not in names)
        return replace(self, einsums=kept, unmapped=(*self.unmapped, *left_out))

    def names_of(self, tensor: str) -> tuple[str, ...]:
        """Return all names that the input gives to a tensor.

        Parameters
        ----------
        tensor
            Name of the tensor.

        Returns
        -------
        tuple of str
            The names of its earlier states, and its own.
        """
        return (*(name for name, state in self.earlier if state == tensor), tensor)

    @cached_property
    def tensors(self) -> tuple[str, ...]:
        """Names of all tensors, in order of first appearance."""
        return tuple(dict.fromkeys(t for e in self.einsums for t in e.tensors))

    @cached_property
    def shared(self) -> frozenset[str]:
        """Names of the tensors that several Einsums access."""
        users = Counter(tensor for e in self.einsums for tensor in dict.fromkeys(e.tensors))
        return frozenset(tensor for tensor, count in users.items() if count > 1)

    def producers(self, tensor: str) -> tuple[str, ...]:
        """Return the Einsums that produce a tensor.

        Parameters
        ----------
        tensor
            Name of the tensor.

        Returns
        -------
        tuple of str
            Their names, in program order.
        """
        return self._producers.get(tensor, ())

    @cached_property
    def _producers(self) -> Mapping[str, tuple[str, ...]]:
        return _grouped((tensor, e.name) for e in self.einsums for tensor in e.outputs)

    def readers(self, tensor: str) -> tuple[str, ...]:
        """Return the Einsums that read a tensor as an input, without one that produces it.

        Parameters
        ----------
        tensor
            Name of the tensor.

        Returns
        -------
        tuple of str
            Their names, in program order.
        """
        return self._readers.get(tensor, ())

    @cached_property
    def _readers(self) -> Mapping[str, tuple[str, ...]]:
        return _grouped((tensor, e.name) for e in self.einsums for tensor in e.inputs)


def _grouped(pairs: Iterable[tuple[str, str]]) -> dict[str, tuple[str, ...]]:
    """Return key → its values without repetitions, in order."""
    found: dict[str, dict[str, None]] = {}
    for key, value in pairs:
        found.setdefault(key, {})[value] = None
    return {key: tuple(values) for key, values in found.items()}
