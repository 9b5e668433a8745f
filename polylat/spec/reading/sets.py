"""Sets of names in expressions: ``Inputs``, ``~(input | output)``, ``weight.bits_per_value``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field


class SetError(Exception):
    """A set is used for what it cannot do."""


@dataclass(frozen=True, eq=False)
class Space:
    """What a set's names are taken from: the tensors, or the rank variables, of an Einsum.

    Parameters
    ----------
    kind
        ``"tensor"`` or ``"rank variable"``.
    names
        All names of the space, in order of appearance.
    bits
        Bits per value of the tensors, filled in once they are known.
    rank_variables
        Tensor → the rank variables that index it.
    child
        The space of the rank variables, for a space of tensors.
    """

    kind: str
    names: tuple[str, ...]
    bits: dict[str, object] = field(default_factory=dict)
    rank_variables: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    child: Space | None = None

    def set(self, names: Iterable[str]) -> NameSet:
        """A set of this space."""
        return NameSet(frozenset(names), self)


@dataclass(frozen=True, eq=False)
class NameSet:
    """A set of names with complement, as AccelForge's set expressions have them."""

    names: frozenset[str]
    space: Space

    def ordered(self) -> tuple[str, ...]:
        """The names in the order of their space."""
        return tuple(name for name in self.space.names if name in self.names)

    def complement(self) -> NameSet:
        """Everything of the space that is not in the set."""
        return NameSet(frozenset(self.space.names) - self.names, self.space)

    def union(self, other: NameSet) -> NameSet:
        """Names in either set."""
        return NameSet(self.names | self._same(other), self.space)

    def intersection(self, other: NameSet) -> NameSet:
        """Names in both sets."""
        return NameSet(self.names & self._same(other), self.space)

    def difference(self, other: NameSet) -> NameSet:
        """Names in this set only."""
        return NameSet(self.names - self._same(other), self.space)

    def symmetric_difference(self, other: NameSet) -> NameSet:
        """Names in exactly one of the sets."""
        return NameSet(self.names ^ self._same(other), self.space)

    def bits_per_value(self) -> object:
        """Bits of one value of the only tensor in the set."""
        if self.space.kind != "tensor":
            raise SetError("rank variables have no bits_per_value")
        if len(self.names) != 1:
            held = ", ".join(self.ordered()) or "none"
            raise SetError(f"bits_per_value of a set of {len(self.names)} tensors ({held})")
        (name,) = self.names
        if name not in self.space.bits:
            raise SetError(f"bits_per_value of {name!r} is not known here")
        return self.space.bits[name]

    def all_rank_variables(self) -> NameSet:
        """The rank variables that index the tensors of the set."""
        if self.space.child is None:
            raise SetError("only a set of tensors has rank_variables")
        found = (v for name in self.names for v in self.space.rank_variables.get(name, ()))
        return self.space.child.set(found)

    def same(self, other: object) -> bool:
        """Whether the other is a set of the same names."""
        return (
            isinstance(other, NameSet)
            and other.space.kind == self.space.kind
            and other.names == self.names
        )

    def _same(self, other: NameSet) -> frozenset[str]:
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
