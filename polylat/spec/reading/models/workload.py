"""Models of the top-level keys ``workload`` and ``renames``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from polylat.spec.reading.models.base import InputModel
from polylat.spec.reading.models.values import (
    Flag,
    Listed,
    Name,
    OptionalScalar,
    Projection,
    Scalar,
    ScalarTable,
    Tabled,
    Text,
)


class RenameModel(InputModel):
    """A rename: a name for the value of a set expression."""

    name: Name
    source: Text
    expected_count: OptionalScalar = None


def _rename_list(value: Any) -> Any:
    if value is None:
        return []
    if isinstance(value, Mapping):
        return [{"name": k, "source": v} for k, v in value.items()]
    return value


Renames = Annotated[list[RenameModel], Listed, BeforeValidator(_rename_list)]


class EinsumRenamesModel(InputModel):
    """Renames of one Einsum, or of all Einsums (``default``)."""

    name: Name
    tensor_accesses: Renames = Field(default_factory=list)
    rank_variables: Renames = Field(default_factory=list)


class RenamesModel(InputModel):
    """The top-level key ``renames``."""

    einsums: Annotated[list[EinsumRenamesModel], Listed] = Field(default_factory=list)


class AccessModel(InputModel):
    """An access of an Einsum to a tensor."""

    name: Name
    projection: Projection
    output: Flag = False
    persistent: Flag = False
    backing_storage_size_scale: Any = 1
    bits_per_value: OptionalScalar = None


class EinsumModel(InputModel):
    """An Einsum."""

    name: Name
    tensor_accesses: Annotated[list[AccessModel], Listed]
    iteration_space_shape: Annotated[list[Text], Listed] = Field(default_factory=list)
    rank_sizes: ScalarTable = Field(default_factory=dict)
    is_copy_operation: Flag = False
    renames: Renames = Field(default_factory=list)
    n_instances: Scalar = 1


class WorkloadModel(InputModel):
    """The top-level key ``workload``."""

    einsums: Annotated[list[EinsumModel], Listed]
    iteration_space_shape: Annotated[dict[str, Text], Tabled] = Field(default_factory=dict)
    rank_sizes: ScalarTable = Field(default_factory=dict)
    n_instances: Scalar = 1
    bits_per_value: ScalarTable = Field(default_factory=dict)
    persistent_tensors: OptionalScalar = None
