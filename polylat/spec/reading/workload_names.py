"""Check the names in a workload."""

from __future__ import annotations

from polylat.errors import SpecError
from polylat.spec.reading.location import Location
from polylat.spec.reading.models.workload import WorkloadModel


def check_workload_names(model: WorkloadModel, here: Location) -> None:
    """Check the names of the Einsums, their tensors, their rank variables and their ranks.

    Parameters
    ----------
    model
        The top-level key ``workload``.
    here
        Its location in the input.

    Raises
    ------
    SpecError
        A name occurs twice or starts with the wrong case, or an Einsum has no output.
    """
    seen: set[str] = set()
    for i, einsum in enumerate(model.einsums):
        place = here / "einsums" / i
        if einsum.name in seen:
            raise SpecError(
                f"two Einsums are named {einsum.name!r}", where=str(place), fix="rename one"
            )
        seen.add(einsum.name)
        outputs: set[str] = set()
        for j, access in enumerate(einsum.tensor_accesses):
            if access.output and access.name in outputs:
                raise SpecError(
                    f"Einsum {einsum.name!r} writes the tensor {access.name!r} twice",
                    where=str(place / "tensor_accesses" / j),
                    fix="access each tensor at most once as an output",
                )
            if access.output:
                outputs.add(access.name)
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
            check_case(name, here / key / name, lowercase)
    for i, einsum in enumerate(model.einsums):
        for name in einsum.rank_sizes:
            check_case(name, here / "einsums" / i / "rank_sizes" / name, False)


def check_case(name: str, at: Location, lowercase: bool) -> None:
    """Check that a rank variable starts with a lowercase letter, or a rank with a capital.

    Parameters
    ----------
    name, at
        The name and its location in the input.
    lowercase
        Whether it is the name of a rank variable.

    Raises
    ------
    SpecError
        If it starts with the wrong case.
    """
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
