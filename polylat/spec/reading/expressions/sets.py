"""Set expressions over the tensors or rank variables of an Einsum.

For example ``Inputs``, ``~(input | output)`` or ``weight.bits_per_value``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field


class SetError(Exception):
    """A set does not support an operation."""


@dataclass(frozen=True, eq=False)
class NameUniverse:
    """The universe of a set: the tensors, or the rank variables, of an Einsum.

    Parameters
    ----------
    kind
        ``"tensor"`` or ``"rank variable"``.
    names
        All names of the space, in order of appearance.
    bits
        Tensor → bits per value, filled in as the tensors are evaluated.
    rank_variables
        Tensor → the rank variables that index it.
    child
        The space of the rank variables, for a space of tensors.
    """

    kind: str
    names: tuple[str, ...]
    bits: dict[str, object] = field(default_factory=dict)
    rank_variables: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    child: NameUniverse | None = None

    def set(self, names: Iterable[str]) -> NameSet:
        """Make a set of this space.

        Parameters
        ----------
        names
            Names of the space.

        Returns
        -------
        NameSet
            The set.
        """
        return NameSet(frozenset(names), self)


@dataclass(frozen=True, eq=False)
class NameSet:
    """A set of names, with the operations of AccelForge's set expressions.

    Parameters
    ----------
    names
        The members.
    space
        The universe, relative to which complements are taken.
    """

    names: frozenset[str]
    space: NameUniverse

    def ordered(self) -> tuple[str, ...]:
        """List the names in the order of their space.

        Returns
        -------
        tuple of str
            The names.
        """
        return tuple(name for name in self.space.names if name in self.names)

    def complement(self) -> NameSet:
        """Return the complement.

        Returns
        -------
        NameSet
            The names of the space that are not in the set.
        """
        return NameSet(frozenset(self.space.names) - self.names, self.space)

    def union(self, other: NameSet) -> NameSet:
        """Return the union.

        Parameters
        ----------
        other
            A set of the same kind.

        Returns
        -------
        NameSet
            The names in either set.

        Raises
        ------
        SetError
            One set is of tensors and the other of rank variables.
        """
        return NameSet(self.names | self._names_of(other), self.space)

    def intersection(self, other: NameSet) -> NameSet:
        """Return the intersection.

        Parameters
        ----------
        other
            A set of the same kind.

        Returns
        -------
        NameSet
            The names in both sets.

        Raises
        ------
        SetError
            One set is of tensors and the other of rank variables.
        """
        return NameSet(self.names & self._names_of(other), self.space)

    def difference(self, other: NameSet) -> NameSet:
        """Return the difference.

        Parameters
        ----------
        other
            A set of the same kind.

        Returns
        -------
        NameSet
            The names in this set only.

        Raises
        ------
        SetError
            One set is of tensors and the other of rank variables.
        """
        return NameSet(self.names - self._names_of(other), self.space)

    def symmetric_difference(self, other: NameSet) -> NameSet:
        """Return the symmetric difference.

        Parameters
        ----------
        other
            A set of the same kind.

        Returns
        -------
        NameSet
            The names in exactly one of the sets.

        Raises
        ------
        SetError
            One set is of tensors and the other of rank variables.
        """
        return NameSet(self.names ^ self._names_of(other), self.space)

    def bits_per_value(self) -> object:
        """Return the bits per value of the only tensor in the set.

        Returns
        -------
        int or Fraction
            Number of bits.

        Raises
        ------
        SetError
            The set is not a single tensor, or its bits per value are not determined yet.
        """
        if self.space.kind != "tensor":
            raise SetError("rank variables have no bits_per_value")
        if len(self.names) != 1:
            members = ", ".join(self.ordered()) or "none"
            raise SetError(f"bits_per_value of a set of {len(self.names)} tensors ({members})")
        (name,) = self.names
        if name not in self.space.bits:
            raise SetError(f"bits_per_value of {name!r} is not determined here")
        return self.space.bits[name]

    def all_rank_variables(self) -> NameSet:
        """Return the rank variables that index the tensors of the set.

        Returns
        -------
        NameSet
            A set of rank variables.

        Raises
        ------
        SetError
            The set is not one of tensors.
        """
        if self.space.child is None:
            raise SetError("only a set of tensors has rank_variables")
        found = (v for name in self.names for v in self.space.rank_variables.get(name, ()))
        return self.space.child.set(found)

    def same(self, other: object) -> bool:
        """Return whether another object is a set of the same kind and names.

        Parameters
        ----------
        other
            Any object.

        Returns
        -------
        bool
            True if kind and names are equal.
        """
        return (
            isinstance(other, NameSet)
            and other.space.kind == self.space.kind
            and other.names == self.names
        )

    def _names_of(self, other: NameSet) -> frozenset[str]:
        if other.space.kind != self.space.kind:
            raise SetError("a set of tensors is combined with a set of rank variables")
        return other.names

    def __bool__(self) -> bool:
        return bool(self.names)

    def __len__(self) -> int:
        return len(self.names)

    def __iter__(self) -> Iterator[NameSet]:
        return (NameSet(frozenset((name,)), self.space) for name in self.ordered())

    def __contains__(self, item: object) -> bool:
        if isinstance(item, NameSet):
            return item.names <= self.names
        return item in self.names

    def __str__(self) -> str:
        return "{" + ", ".join(self.ordered()) + "}"
