"""Collect the constraints of the iteration space of an Einsum."""

from __future__ import annotations

from polylat.errors import SpecError
from polylat.spec.affine import Affine, add_multiple
from polylat.spec.reading.accesses import ParsedAccess
from polylat.spec.reading.affine_parser import BadAffine
from polylat.spec.reading.affine_text import parse_constraints
from polylat.spec.reading.affine_values import constants, unreadable
from polylat.spec.reading.expressions.scope import Scope
from polylat.spec.reading.location import Location
from polylat.spec.reading.models.workload import EinsumModel, WorkloadModel
from polylat.spec.reading.rank_sizes import rank_sizes
from polylat.spec.reading.suggest import did_you_mean, format_value


def iteration_space(
    model: WorkloadModel,
    einsum: EinsumModel,
    accesses: list[ParsedAccess],
    rank_variables: tuple[str, ...],
    variables: Scope,
    sizes: Scope,
    workload_at: Location,
    here: Location,
) -> tuple[Affine, ...]:
    """Collect the constraints of an iteration space, from the same sources as AccelForge.

    Parameters
    ----------
    model, einsum
        The workload and the Einsum.
    accesses
        The accesses of the Einsum.
    rank_variables
        The rank variables of the Einsum.
    variables
        The names that constraints may use as constants.
    sizes
        The ranks whose size the workload gives, inside `variables`.
    workload_at, here
        Locations of the workload and of the Einsum in the input.

    Returns
    -------
    tuple of Affine
        Expressions; the iteration space is where all of them are ≥ 0.

    Raises
    ------
    SpecError
        A constraint cannot be read, a rank variable has no bounds, or the space is empty.
    ExpressionError
        The size of a rank cannot be evaluated.
    UnsupportedError
        A constraint is not affine.
    """
    known = frozenset(rank_variables)
    values = constants(variables, known)
    texts = [
        (text, here / "iteration_space_shape" / i)
        for i, text in enumerate(einsum.iteration_space_shape)
    ]
    shape_at = workload_at / "iteration_space_shape"
    shapes = model.iteration_space_shape
    texts += [(shapes[v], shape_at / v) for v in rank_variables if v in shapes]
    found: list[Affine] = []
    for text, place in texts:
        try:
            parts = parse_constraints(text, values)
        except BadAffine as error:
            raise unreadable(error, text, place, "comparisons such as 0 <= m < 8") from None
        for part in parts:
            for variable in part.variables:
                if variable not in known:
                    raise SpecError(
                        f"{variable!r} in {format_value(text)} is neither a rank variable"
                        " of Einsum "
                        f"{einsum.name!r} nor a variable that is a number",
                        where=str(place),
                        fix=did_you_mean(variable, [*rank_variables, *variables]),
                    )
        found.extend(parts)
    own = rank_sizes(einsum.rank_sizes, sizes, here / "rank_sizes")
    for access in accesses:
        for rank, index in zip(access.ranks, access.projection, strict=True):
            if rank in einsum.rank_sizes or rank in model.rank_sizes:
                size = own.lookup(rank)
                found.append(index)
                found.append(add_multiple(Affine((), size - 1), index, -1))
    unique = tuple(c for c in dict.fromkeys(found))
    bound = {v for c in unique for v in c.variables}
    for variable in rank_variables:
        if variable not in bound:
            raise SpecError(
                f"the rank variable {variable!r} of Einsum {einsum.name!r} has no bounds",
                where=str(here),
                fix=f"add {variable}: 0 <= {variable} < SIZE to workload.iteration_space_shape, "
                f"or {variable.upper()}: SIZE to workload.rank_sizes",
            )
    for part in unique:
        if not part.terms and part.constant < 0:
            raise SpecError(
                f"the iteration space of Einsum {einsum.name!r} is empty", where=str(here)
            )
    return tuple(c for c in unique if c.terms)
