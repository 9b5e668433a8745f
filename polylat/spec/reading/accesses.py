"""Read the tensor accesses of Einsums: ranks and projections."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from polylat.errors import SpecError
from polylat.spec.affine import Affine
from polylat.spec.reading.affine_parser import BadAffine
from polylat.spec.reading.affine_text import parse_affine
from polylat.spec.reading.affine_values import constants, unreadable
from polylat.spec.reading.expressions.scope import Scope
from polylat.spec.reading.location import Location
from polylat.spec.reading.models.workload import AccessModel
from polylat.spec.reading.suggest import format_value
from polylat.spec.reading.workload_names import check_case


@dataclass(frozen=True)
class ParsedAccess:
    """A tensor access whose bits per value are not evaluated yet.

    Parameters
    ----------
    model, at
        The access and its location in the input.
    ranks
        Names of the tensor's ranks.
    projection
        One index per rank.
    """

    model: AccessModel
    at: Location
    ranks: tuple[str, ...]
    projection: tuple[Affine, ...]

    @property
    def rank_variables(self) -> tuple[str, ...]:
        """Distinct rank variables that index the tensor, in order of appearance."""
        return tuple(dict.fromkeys(v for index in self.projection for v in index.variables))


def read_access(model: AccessModel, variables: Scope, at: Location) -> ParsedAccess:
    """Read a tensor access, except for its bits per value.

    Parameters
    ----------
    model
        The access.
    variables
        The names that indices may use as constants, if they start with a capital.
    at
        Location of the access in the input.

    Returns
    -------
    ParsedAccess
        The access.

    Raises
    ------
    SpecError
        If an index cannot be read, or a name is not that of a rank.
    UnsupportedError
        If an index is not affine.
    """
    here = at / "projection"
    if isinstance(model.projection, list):
        table: dict[str, str] = {}
        for index, variable in enumerate(model.projection):
            if not variable.isidentifier() or variable[:1].isupper():
                raise SpecError(
                    f"{format_value(variable)} is not a rank variable",
                    where=str(here / index),
                    fix="list only names that start with a lowercase letter; for expressions give "
                    "a mapping {RANK: expression}",
                )
            if variable.upper() in table:
                raise SpecError(
                    f"the rank variable {variable!r} occurs twice in the projection",
                    where=str(here / index),
                    fix="give a mapping {RANK: expression}, with a name for each rank",
                )
            table[variable.upper()] = variable
    else:
        table = dict(model.projection)
        for rank in table:
            if not rank.isidentifier():
                raise SpecError(
                    f"{format_value(rank)} is not the name of a rank", where=str(here / rank)
                )
            check_case(rank, here / rank, False)
    projection = []
    for index, (rank, text) in enumerate(table.items()):
        place = here / (index if isinstance(model.projection, list) else rank)
        projection.append(_read_index(text, variables, place))
    return ParsedAccess(model, at, tuple(table), tuple(projection))


def _read_index(text: str, variables: Scope, at: Location) -> Affine:
    try:
        return parse_affine(text, _strides(variables))
    except BadAffine as error:
        form = "an affine expression of rank variables, such as 2*p + r"
        raise unreadable(error, text, at, form) from None


def _strides(variables: Scope) -> Any:
    """Return a function name → value for variables in capitals, which are not rank variables."""
    values = constants(variables, frozenset())
    return lambda name: values(name) if name[:1].isupper() else None


def with_equal_ranks(
    accesses: Mapping[str, list[ParsedAccess]],
) -> dict[str, list[ParsedAccess]]:
    """Bring the ranks of a tensor into the same order in all accesses.

    Parameters
    ----------
    accesses
        Einsum → its accesses.

    Returns
    -------
    dict
        The same, each access with its ranks in the order of the tensor's first access.

    Raises
    ------
    SpecError
        If the ranks of a tensor differ.
    """
    first: dict[str, tuple[str, tuple[str, ...]]] = {}
    ordered: dict[str, list[ParsedAccess]] = {einsum: [] for einsum in accesses}
    for einsum, found in accesses.items():
        for access in found:
            name = access.model.name
            other, ranks = first.setdefault(name, (einsum, access.ranks))
            if sorted(ranks) != sorted(access.ranks):
                raise SpecError(
                    f"the tensor {name!r} has the ranks {', '.join(access.ranks)} here and "
                    f"{', '.join(ranks)} in Einsum {other!r}",
                    where=str(access.at / "projection"),
                    fix="give the tensor the same ranks in all accesses",
                )
            indices = dict(zip(access.ranks, access.projection, strict=True))
            projection = tuple(indices[rank] for rank in ranks)
            ordered[einsum].append(replace(access, ranks=ranks, projection=projection))
    return ordered
