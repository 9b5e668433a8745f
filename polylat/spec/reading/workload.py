"""Build the workload from its models, and the scope of expressions for each Einsum."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from polylat.errors import SpecError
from polylat.numbers import reduce_number
from polylat.spec.reading.accesses import ParsedAccess, read_access, with_equal_ranks
from polylat.spec.reading.einsum_scopes import einsum_scopes, tensor_spaces
from polylat.spec.reading.expressions.evaluation import evaluate_positive
from polylat.spec.reading.expressions.scope import Scope
from polylat.spec.reading.expressions.sets import NameSet, NameUniverse
from polylat.spec.reading.expressions.tensor_sets import values_by_tensor
from polylat.spec.reading.iteration_space import iteration_space
from polylat.spec.reading.location import Location
from polylat.spec.reading.models.workload import EinsumModel, RenamesModel, WorkloadModel
from polylat.spec.reading.rank_sizes import rank_sizes
from polylat.spec.reading.workload_names import check_workload_names
from polylat.spec.workload import Einsum, TensorAccess, Workload


@dataclass(frozen=True)
class EvaluatedWorkload:
    """The evaluated workload, and the scopes of expressions.

    Parameters
    ----------
    workload
        The evaluated workload.
    scopes
        Einsum → scope with its sets, tensors, rank variables and renames.
    tensors
        Einsum → the set of all its tensors.
    """

    workload: Workload
    scopes: Mapping[str, Scope]
    tensors: Mapping[str, NameSet]


def build_workload(
    model: WorkloadModel, renames: RenamesModel, variables: Scope, at: Location
) -> EvaluatedWorkload:
    """Build the workload.

    Parameters
    ----------
    model, renames
        The top-level keys ``workload`` and ``renames``.
    variables
        The names that every expression may use.
    at
        The root of the input.

    Returns
    -------
    EvaluatedWorkload
        The workload and the scopes of expressions.

    Raises
    ------
    SpecError
        Names, ranks or bounds are missing or inconsistent.
    ExpressionError
        An expression cannot be evaluated.
    UnsupportedError
        An index or constraint is not affine.
    """
    here = at / "workload"
    if not model.einsums:
        raise SpecError("there is no Einsum", where=str(here / "einsums"), fix="add one")
    check_workload_names(model, here)
    accesses = {
        e.name: [
            read_access(a, variables, here / "einsums" / i / "tensor_accesses" / j)
            for j, a in enumerate(e.tensor_accesses)
        ]
        for i, e in enumerate(model.einsums)
    }
    accesses = with_equal_ranks(accesses)
    spaces = tensor_spaces(accesses)
    scopes = einsum_scopes(model, renames, accesses, spaces, variables, at)
    sizes = rank_sizes(model.rank_sizes, variables, here / "rank_sizes")
    einsums = []
    for i, einsum in enumerate(model.einsums):
        name = einsum.name
        scope = scopes[name]
        einsums.append(
            _einsum(model, einsum, accesses[name], spaces[name], scope, variables, sizes, here, i)
        )
    _check_bits(einsums, accesses)
    n_instances = evaluate_positive(
        model.n_instances, variables, here / "n_instances", what="the number of instances"
    )
    all_tensors = {name: space.set(space.names) for name, space in spaces.items()}
    return EvaluatedWorkload(Workload(tuple(einsums), n_instances), scopes, all_tensors)


def _einsum(
    model: WorkloadModel,
    einsum: EinsumModel,
    accesses: list[ParsedAccess],
    tensors: NameUniverse,
    scope: Scope,
    variables: Scope,
    sizes: Scope,
    workload_at: Location,
    index: int,
) -> Einsum:
    here = workload_at / "einsums" / index
    rank_variables = tuple(dict.fromkeys(v for a in accesses for v in a.rank_variables))
    defaults = values_by_tensor(
        model.bits_per_value,
        tensors.set(tensors.names),
        scope,
        (workload_at / "bits_per_value").for_einsum(einsum.name),
    )
    bits_of: dict[str, Fraction] = {}
    for access in accesses:
        name = access.model.name
        if access.model.bits_per_value is not None:
            given, place = access.model.bits_per_value, access.at / "bits_per_value"
        elif name in defaults:
            given, place = defaults[name]
        else:
            raise SpecError(
                f"the tensor {name!r} has no bits_per_value",
                where=str(access.at),
                fix="add it to workload.bits_per_value, for example All: 8",
            )
        bits = evaluate_positive(given, scope, place, what=f"bits_per_value of {name!r}")
        tensors.bits.setdefault(name, reduce_number(bits))
        if bits_of.setdefault(name, bits) != bits:
            raise SpecError(
                f"the tensor {name!r} has {bits} bits per value here and {bits_of[name]} before",
                where=str(access.at),
                fix="give the tensor the same bits_per_value in all accesses",
            )
    return Einsum(
        name=einsum.name,
        rank_variables=rank_variables,
        constraints=iteration_space(
            model, einsum, accesses, rank_variables, variables, sizes, workload_at, here
        ),
        accesses=tuple(_joined(name, accesses, bits) for name, bits in bits_of.items()),
        is_copy=einsum.is_copy_operation,
        n_instances=evaluate_positive(
            einsum.n_instances, variables, here / "n_instances", what="the number of instances"
        ),
        where=str(here),
    )


def _joined(tensor: str, accesses: list[ParsedAccess], bits: Fraction) -> TensorAccess:
    """Join all accesses of an Einsum to a tensor."""
    own = [access for access in accesses if access.model.name == tensor]
    written = [access.projection for access in own if access.model.output]
    return TensorAccess(
        tensor,
        own[0].ranks,
        tuple(access.projection for access in own if not access.model.output),
        written[0] if written else None,
        bits,
    )


def _check_bits(einsums: list[Einsum], accesses: Mapping[str, list[ParsedAccess]]) -> None:
    """Check that a tensor has the same bits per value in all Einsums."""
    first: dict[str, tuple[str, Fraction]] = {}
    for einsum in einsums:
        for access in einsum.accesses:
            other, bits = first.setdefault(access.tensor, (einsum.name, access.bits_per_value))
            if bits != access.bits_per_value:
                own = accesses[einsum.name]
                place = next(a.at for a in own if a.model.name == access.tensor)
                raise SpecError(
                    f"the tensor {access.tensor!r} has {access.bits_per_value} bits per value "
                    f"here and {bits} in Einsum {other!r}",
                    where=str(place),
                    fix="give the tensor the same bits_per_value in all accesses",
                )
