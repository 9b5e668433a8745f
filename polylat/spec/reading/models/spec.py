"""Model of the whole input."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from polylat.spec.reading.models.arch import ARCH_NODES, ArchModel
from polylat.spec.reading.models.base import InputModel
from polylat.spec.reading.models.mapping import MAPPING_NODES, NestedModel
from polylat.spec.reading.models.values import AnyTable
from polylat.spec.reading.models.workload import RenamesModel, WorkloadModel


class SpecModel(InputModel):
    """All top-level keys."""

    workload: WorkloadModel
    arch: ArchModel
    mapping: NestedModel
    variables: AnyTable = Field(default_factory=dict)
    renames: RenamesModel = Field(default_factory=RenamesModel)
    schedule: AnyTable = Field(default_factory=dict)
    config: Any = None
    mapper: Any = None
    model: Any = None


TAGS: frozenset[str] = frozenset((*ARCH_NODES, *MAPPING_NODES))
"""Types of nodes."""

ADAPTER_TAGS: frozenset[str] = frozenset(("Copy", "Einsum"))
"""Tags of AccelForge's branch ``adapter`` in the list of Einsums: read, and refused by name."""

SpecModel.model_rebuild()
