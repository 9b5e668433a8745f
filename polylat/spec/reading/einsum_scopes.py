"""The names that the expressions of each Einsum may use: its sets, tensors and renames."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from typing import Any

from polylat.errors import ExpressionError
from polylat.spec.reading.accesses import ParsedAccess
from polylat.spec.reading.expressions.evaluation import evaluate
from polylat.spec.reading.expressions.scope import Scope
from polylat.spec.reading.expressions.sets import NameSet, NameUniverse
from polylat.spec.reading.location import Location
from polylat.spec.reading.models.workload import (
    EinsumModel,
    RenameModel,
    RenamesModel,
    WorkloadModel,
)
from polylat.spec.reading.suggest import format_value


def tensor_spaces(accesses: Mapping[str, list[ParsedAccess]]) -> dict[str, NameUniverse]:
    """Make the universes of the set expressions of each Einsum.

    Parameters
    ----------
    accesses
        Einsum → its accesses.

    Returns
    -------
    dict
        Einsum → the space of its tensors and of the rank variables that index them.
    """
    bits: dict[str, object] = {}  # shared: a tensor has the same bits per value in all Einsums
    found = {}
    for einsum, own in accesses.items():
        ranks = NameUniverse(
            "rank variable", tuple(dict.fromkeys(v for a in own for v in a.rank_variables))
        )
        by_tensor = {a.model.name: a.rank_variables for a in own}
        found[einsum] = NameUniverse("tensor", tuple(by_tensor), bits, by_tensor, child=ranks)
    return found


def einsum_scopes(
    model: WorkloadModel,
    renames: RenamesModel,
    accesses: Mapping[str, list[ParsedAccess]],
    spaces: Mapping[str, NameUniverse],
    variables: Scope,
    at: Location,
) -> dict[str, Scope]:
    """Make the scopes of the expressions of each Einsum.

    Parameters
    ----------
    model, renames
        The top-level keys ``workload`` and ``renames``.
    accesses
        Einsum → its accesses.
    spaces
        Einsum → the space of its tensors.
    variables
        The names that every expression may use.
    at
        The root of the input.

    Returns
    -------
    dict
        Einsum → scope with its sets, tensors, rank variables and renames.

    Raises
    ------
    ExpressionError
        If a rename is not a set, or has another number of elements than expected.
    """
    used_by: dict[str, set[str]] = {}
    read: set[str] = set()
    written: set[str] = set()
    for name, found in accesses.items():
        for access in found:
            used_by.setdefault(access.model.name, set()).add(name)
            (written if access.model.output else read).add(access.model.name)
    all_variables = {v for found in accesses.values() for a in found for v in a.rank_variables}
    result: dict[str, Scope] = {}
    for i, einsum in enumerate(model.einsums):
        own = accesses[einsum.name]
        tensors = spaces[einsum.name]
        names, ranks = tensors.names, tensors.child
        assert ranks is not None
        # A tensor hides a rank variable of the same name.
        table: dict[str, Any] = {v: ranks.set((v,)) for v in ranks.names if v not in used_by}
        table.update({t: tensors.set((t,)) for t in names})
        outputs = [a.model.name for a in own if a.model.output]
        table |= {
            "All": tensors.set(names),
            "Tensors": tensors.set(names),
            "Nothing": tensors.set(()),
            "Inputs": tensors.set(n for n in names if n not in outputs),
            "Outputs": tensors.set(outputs),
            "Intermediates": tensors.set(n for n in names if n in read and n in written),
            "Shared": tensors.set(n for n in names if len(used_by[n]) > 1),
            "Persistent": tensors.set(a.model.name for a in own if a.model.persistent),
        }
        others = _EmptySets(used_by, all_variables, tensors.set(()), ranks.set(()))
        scope = Scope(table, Scope(others, variables))
        for rename, place in _renames(einsum, renames, at, i):
            table[rename.name] = _renamed(rename, scope, place.for_einsum(einsum.name))
        result[einsum.name] = scope
    return result


class _EmptySets(Mapping[str, NameSet]):
    """The tensors and rank variables of all Einsums: in an Einsum without them, empty sets."""

    def __init__(
        self,
        tensors: Mapping[str, object],
        variables: AbstractSet[str],
        no_tensors: NameSet,
        no_variables: NameSet,
    ) -> None:
        self._tensors = tensors
        self._variables = variables
        self._empty = no_tensors, no_variables

    def __getitem__(self, name: str) -> NameSet:
        if name in self._tensors:
            return self._empty[0]
        if name in self._variables:
            return self._empty[1]
        raise KeyError(name)

    def __contains__(self, name: object) -> bool:
        return name in self._tensors or name in self._variables

    def __iter__(self) -> Iterator[str]:
        return iter({**dict.fromkeys(sorted(self._variables)), **dict.fromkeys(self._tensors)})

    def __len__(self) -> int:
        return len({*self._variables, *self._tensors})


def _renames(
    einsum: EinsumModel, renames: RenamesModel, at: Location, index: int
) -> list[tuple[RenameModel, Location]]:
    """Renames of an Einsum: its own, then those under its name, then the defaults."""
    here = at / "workload" / "einsums" / index / "renames"
    found: dict[str, tuple[RenameModel, Location]] = {}
    for i, rename in enumerate(einsum.renames):
        found.setdefault(rename.name, (rename, _entry_location(here, i, rename.name)))
    for name in (einsum.name, "default"):
        for i, group in enumerate(renames.einsums):
            if group.name != name:
                continue
            place = at / "renames" / "einsums" / i
            for key in ("tensor_accesses", "rank_variables"):
                for j, rename in enumerate(getattr(group, key)):
                    found.setdefault(
                        rename.name, (rename, _entry_location(place / key, j, rename.name))
                    )
    return list(found.values())


def _entry_location(at: Location, index: int, name: str) -> Location:
    """Location of an entry of a list that may be written as a mapping."""
    value: Any = at.root
    for key in at.path:
        try:
            value = value[key]
        except (KeyError, IndexError, TypeError):
            return at / index
    return at / name if isinstance(value, dict) else at / index


def _renamed(rename: RenameModel, scope: Scope, at: Location) -> NameSet:
    """Evaluate the set that a rename names."""
    value = evaluate(rename.source, scope, at)
    if not isinstance(value, NameSet):
        raise ExpressionError(
            f"{format_value(rename.source)} must be a set of tensors or of rank variables",
            where=str(at),
        )
    expected = evaluate(rename.expected_count, scope, at)
    if expected is not None and expected != len(value):
        members = ", ".join(value.ordered()) or "none"
        raise ExpressionError(
            f"{rename.name!r} = {format_value(rename.source)} has {len(value)} elements"
            f" ({members}), "
            f"but expected_count is {expected}",
            where=str(at),
            fix="change the source, or write the rename in the Einsum itself",
        )
    return value
