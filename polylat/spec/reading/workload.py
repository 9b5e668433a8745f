"""Build the workload from its models, and the scope of expressions for each Einsum."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from polylat.errors import ExpressionError, SpecError, UnsupportedError
from polylat.numbers import reduce_number
from polylat.spec.affine import Affine
from polylat.spec.reading.affine_text import (
    BadAffine,
    add_multiple,
    parse_affine,
    parse_constraints,
)
from polylat.spec.reading.expressions import (
    evaluate,
    evaluate_positive,
    evaluate_whole,
    values_by_tensor,
)
from polylat.spec.reading.models import (
    AccessModel,
    EinsumModel,
    RenameModel,
    RenamesModel,
    WorkloadModel,
)
from polylat.spec.reading.scope import Scope
from polylat.spec.reading.sets import NameSet, NameUniverse
from polylat.spec.reading.suggest import did_you_mean, format_value
from polylat.spec.reading.tree import Location
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


@dataclass(frozen=True)
class _Access:
    """A tensor access whose bits per value are not evaluated yet."""

    model: AccessModel
    at: Location
    ranks: tuple[str, ...]
    projection: tuple[Affine, ...]


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
    WorkloadScopes
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
    _check_names(model, here)
    accesses = {
        e.name: [
            _access(a, variables, here / "einsums" / i / "tensor_accesses" / j)
            for j, a in enumerate(e.tensor_accesses)
        ]
        for i, e in enumerate(model.einsums)
    }
    _check_ranks(accesses)
    spaces = _spaces(accesses)
    scopes = _scopes(model, renames, accesses, spaces, variables, at)
    einsums = []
    for i, einsum in enumerate(model.einsums):
        name = einsum.name
        einsums.append(
            _einsum(model, einsum, accesses[name], spaces[name], scopes[name], variables, here, i)
        )
    _check_bits(einsums, here)
    n_instances = evaluate_positive(
        model.n_instances, variables, here / "n_instances", what="the number of instances"
    )
    all_tensors = {name: space.set(space.names) for name, space in spaces.items()}
    return EvaluatedWorkload(Workload(tuple(einsums), n_instances), scopes, all_tensors)


def _check_names(model: WorkloadModel, here: Location) -> None:
    seen: set[str] = set()
    for i, einsum in enumerate(model.einsums):
        place = here / "einsums" / i
        if einsum.name in seen:
            raise SpecError(
                f"two Einsums are named {einsum.name!r}", where=str(place), fix="rename one"
            )
        seen.add(einsum.name)
        tensors: set[str] = set()
        for j, access in enumerate(einsum.tensor_accesses):
            if access.name in tensors:
                raise SpecError(
                    f"Einsum {einsum.name!r} accesses the tensor {access.name!r} twice",
                    where=str(place / "tensor_accesses" / j),
                    fix="access each tensor once",
                )
            tensors.add(access.name)
        if not any(access.output for access in einsum.tensor_accesses):
            raise SpecError(
                f"Einsum {einsum.name!r} has no output",
                where=str(place / "tensor_accesses"),
                fix="mark the tensor that it produces with output: true",
            )
        inputs = [a.name for a in einsum.tensor_accesses if not a.output]
        if einsum.is_copy_operation and len(inputs) != 1:
            raise SpecError(
                f"Einsum {einsum.name!r} is a copy operation with {len(inputs)} inputs",
                where=str(place),
                fix="a copy operation has exactly one input",
            )
    for key, table, lowercase in (
        ("iteration_space_shape", model.iteration_space_shape, True),
        ("rank_sizes", model.rank_sizes, False),
    ):
        for name in table:
            _check_case(name, here / key / name, lowercase)
    for i, einsum in enumerate(model.einsums):
        for name in einsum.rank_sizes:
            _check_case(name, here / "einsums" / i / "rank_sizes" / name, False)


def _check_case(name: str, at: Location, lowercase: bool) -> None:
    """Check that a rank variable starts with a lowercase letter, or a rank with a capital."""
    if lowercase and name[:1].isupper():
        raise SpecError(
            f"{name!r} is not a rank variable, which starts with a lowercase letter",
            where=str(at),
            fix="move sizes of ranks, which start with a capital, to rank_sizes",
        )
    if not lowercase and name[:1].islower():
        raise SpecError(
            f"{name!r} is not a rank, which starts with a capital",
            where=str(at),
            fix="move bounds of rank variables, which start with a lowercase letter, to "
            "iteration_space_shape",
        )


def _access(model: AccessModel, variables: Scope, at: Location) -> _Access:
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
                raise SpecError(f"{format_value(rank)} is not the name of a rank", where=str(here / rank))
            _check_case(rank, here / rank, False)
    projection = []
    for index, (rank, text) in enumerate(table.items()):
        place = here / (index if isinstance(model.projection, list) else rank)
        projection.append(_index_expression(text, variables, place))
    return _Access(model, at, tuple(table), tuple(projection))


def _index_expression(text: str, variables: Scope, at: Location) -> Affine:
    try:
        return parse_affine(text, _strides(variables))
    except BadAffine as error:
        form = "an affine expression of rank variables, such as 2*p + r"
        raise _unreadable(error, text, at, form) from None


def _unreadable(error: BadAffine, text: str, at: Location, form: str) -> SpecError | UnsupportedError:
    kind = UnsupportedError if error.unsupported else SpecError
    return kind(f"cannot read {format_value(text)}: {error}", where=str(at), fix=f"write {form}")


def _constants(variables: Scope, rank_variables: frozenset[str]) -> Any:
    """Return a function name → value for variables that are not rank variables."""

    def value(name: str) -> int | Fraction | None:
        if name in rank_variables or name not in variables:
            return None
        found = variables.lookup(name)
        if isinstance(found, (int, Fraction)) and not isinstance(found, bool):
            return found
        return None

    return value


def _strides(variables: Scope) -> Any:
    """Return a function name → value for variables in capitals, which are not rank variables."""
    constants = _constants(variables, frozenset())
    return lambda name: constants(name) if name[:1].isupper() else None


def _check_ranks(accesses: Mapping[str, list[_Access]]) -> None:
    """Check that a tensor has the same ranks in all accesses."""
    first: dict[str, tuple[str, tuple[str, ...]]] = {}
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


# Names per Einsum --------------------------------------------------------------------------------


def _spaces(accesses: Mapping[str, list[_Access]]) -> dict[str, NameUniverse]:
    """Einsum → the space of its tensors and of the rank variables that index them."""
    bits: dict[str, object] = {}  # shared: a tensor has the same bits per value in all Einsums
    found = {}
    for einsum, own in accesses.items():
        ranks = NameUniverse(
            "rank variable", tuple(dict.fromkeys(v for a in own for v in _variables(a)))
        )
        by_tensor = {a.model.name: _variables(a) for a in own}
        found[einsum] = NameUniverse("tensor", tuple(by_tensor), bits, by_tensor, child=ranks)
    return found


def _scopes(
    model: WorkloadModel,
    renames: RenamesModel,
    accesses: Mapping[str, list[_Access]],
    spaces: Mapping[str, NameUniverse],
    variables: Scope,
    at: Location,
) -> dict[str, Scope]:
    """Einsum → scope with its sets, tensors, rank variables and renames."""
    used_by: dict[str, set[str]] = {}
    read: set[str] = set()
    written: set[str] = set()
    for name, found in accesses.items():
        for access in found:
            used_by.setdefault(access.model.name, set()).add(name)
            (written if access.model.output else read).add(access.model.name)
    all_variables = {v for found in accesses.values() for a in found for v in _variables(a)}
    result: dict[str, Scope] = {}
    for i, einsum in enumerate(model.einsums):
        own = accesses[einsum.name]
        tensors = spaces[einsum.name]
        names, ranks = tensors.names, tensors.child
        assert ranks is not None
        table: dict[str, Any] = {v: ranks.set((v,)) for v in ranks.names}
        table.update({v: ranks.set(()) for v in all_variables.difference(ranks.names)})
        table.update({t: tensors.set(()) for t in used_by})
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
        scope = Scope(table, variables)
        for rename, place in _renames(einsum, renames, at, i):
            table[rename.name] = _renamed(rename, scope, place.for_einsum(einsum.name))
        result[einsum.name] = scope
    return result


def _variables(access: _Access) -> tuple[str, ...]:
    """Distinct rank variables that index a tensor, in order of appearance."""
    return tuple(dict.fromkeys(v for index in access.projection for v in index.variables))


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
            f"{format_value(rename.source)} must be a set of tensors or of rank variables", where=str(at)
        )
    expected = evaluate(rename.expected_count, scope, at)
    if expected is not None and expected != len(value):
        members = ", ".join(value.ordered()) or "none"
        raise ExpressionError(
            f"{rename.name!r} = {format_value(rename.source)} has {len(value)} elements ({members}), "
            f"but expected_count is {expected}",
            where=str(at),
            fix="change the source, or write the rename in the Einsum itself",
        )
    return value


# Einsums -----------------------------------------------------------------------------------------


def _einsum(
    model: WorkloadModel,
    einsum: EinsumModel,
    accesses: list[_Access],
    tensors: NameUniverse,
    scope: Scope,
    variables: Scope,
    workload_at: Location,
    index: int,
) -> Einsum:
    here = workload_at / "einsums" / index
    rank_variables = tuple(dict.fromkeys(v for a in accesses for v in _variables(a)))
    defaults = values_by_tensor(
        model.bits_per_value,
        tensors.set(tensors.names),
        scope,
        (workload_at / "bits_per_value").for_einsum(einsum.name),
    )
    built = []
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
        built.append(TensorAccess(name, access.ranks, access.projection, access.model.output, bits))
    return Einsum(
        name=einsum.name,
        rank_variables=rank_variables,
        constraints=_constraints(
            model, einsum, accesses, rank_variables, variables, workload_at, here
        ),
        accesses=tuple(built),
        is_copy=einsum.is_copy_operation,
        n_instances=evaluate_positive(
            einsum.n_instances, variables, here / "n_instances", what="the number of instances"
        ),
        where=str(here),
    )


def _constraints(
    model: WorkloadModel,
    einsum: EinsumModel,
    accesses: list[_Access],
    rank_variables: tuple[str, ...],
    variables: Scope,
    workload_at: Location,
    here: Location,
) -> tuple[Affine, ...]:
    """Collect the constraints of the iteration space, from the same sources as AccelForge."""
    known = frozenset(rank_variables)
    constants = _constants(variables, known)
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
            parts = parse_constraints(text, constants)
        except BadAffine as error:
            raise _unreadable(error, text, place, "comparisons such as 0 <= m < 8") from None
        for part in parts:
            for variable in part.variables:
                if variable not in known:
                    raise SpecError(
                        f"{variable!r} in {format_value(text)} is neither a rank variable of Einsum "
                        f"{einsum.name!r} nor a variable that is a number",
                        where=str(place),
                        fix=did_you_mean(variable, [*rank_variables, *variables]),
                    )
        found.extend(parts)
    for access in accesses:
        for rank, index in zip(access.ranks, access.projection, strict=True):
            if rank in einsum.rank_sizes:
                given, place = einsum.rank_sizes[rank], here / "rank_sizes" / rank
            elif rank in model.rank_sizes:
                given, place = model.rank_sizes[rank], workload_at / "rank_sizes" / rank
            else:
                continue
            size = evaluate_whole(given, variables, place, what=f"the size of rank {rank!r}")
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


def _check_bits(einsums: list[Einsum], here: Location) -> None:
    """Check that a tensor has the same bits per value in all Einsums."""
    first: dict[str, tuple[str, Fraction]] = {}
    for i, einsum in enumerate(einsums):
        for j, access in enumerate(einsum.accesses):
            other, bits = first.setdefault(access.tensor, (einsum.name, access.bits_per_value))
            if bits != access.bits_per_value:
                raise SpecError(
                    f"the tensor {access.tensor!r} has {access.bits_per_value} bits per value "
                    f"here and {bits} in Einsum {other!r}",
                    where=str(here / "einsums" / i / "tensor_accesses" / j),
                    fix="give the tensor the same bits_per_value in all accesses",
                )
