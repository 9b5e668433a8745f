"""Models of the top-level key ``mapping``."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Discriminator, Field, Tag

from polylat.spec.reading.models.base import NodeModel, node_type
from polylat.spec.reading.models.values import Listed, LoopVariable, Name, Names, Scalar


class MappingNodeModel(NodeModel):
    """A node of the mapping; `text` is its label in drawings."""

    text: Any = None


class LoopModel(MappingNodeModel):
    """A loop."""

    rank_variable: LoopVariable
    tile_shape: Scalar
    initial_tile_shape: Scalar | None = None


class TemporalModel(LoopModel):
    """A temporal loop."""


class SpatialLoopModel(LoopModel):
    """A spatial loop."""

    name: Name
    component: Name
    component_object: Any = None


class HolderNodeModel(MappingNodeModel):
    """A component that holds tensors for the nodes below."""

    tensors: Names
    component: Name
    component_object: Any = None
    persistent: Any = False


class StorageModel(HolderNodeModel):
    """A memory that holds tensors."""

    binding: Any = None


class TollNodeModel(HolderNodeModel):
    """A Toll that tensors pass through."""


class ComputeNodeModel(MappingNodeModel):
    """A leaf: the computation of an Einsum."""

    einsum: Name
    component: Name
    component_object: Any = None


class ReservationModel(MappingNodeModel):
    """A note of the mapper; ignored here."""

    purposes: Any = None
    resource: Any = None
    persistent: Any = False


class TextBoxModel(MappingNodeModel):
    """A text in a drawing; ignored here."""


MAPPING_NODES = (
    "Storage",
    "Temporal",
    "Spatial",
    "Compute",
    "Sequential",
    "Pipeline",
    "Nested",
    "Toll",
    "Reservation",
    "Mapping",
    "Split",
    "TextBox",
)

MappingNode = Annotated[
    Annotated[StorageModel, Tag("Storage")]
    | Annotated[TemporalModel, Tag("Temporal")]
    | Annotated[SpatialLoopModel, Tag("Spatial")]
    | Annotated[ComputeNodeModel, Tag("Compute")]
    | Annotated["SequentialModel", Tag("Sequential")]
    | Annotated["PipelineModel", Tag("Pipeline")]
    | Annotated["NestedModel", Tag("Nested")]
    | Annotated[TollNodeModel, Tag("Toll")]
    | Annotated[ReservationModel, Tag("Reservation")]
    | Annotated["NestedModel", Tag("Mapping")]
    | Annotated["SplitModel", Tag("Split")]
    | Annotated[TextBoxModel, Tag("TextBox")],
    Discriminator(node_type),
]


class NestedModel(MappingNodeModel):
    """A list of nodes, outermost first; `title` is its label in drawings."""

    title: Any = None
    nodes: Annotated[list[MappingNode], Listed] = Field(default_factory=list)


class SplitModel(MappingNodeModel):
    """A split that does not say how its branches are scheduled."""

    nodes: Annotated[list[MappingNode], Listed] = Field(default_factory=list)


class SequentialModel(SplitModel):
    """A split whose branches run one after another."""


class PipelineModel(SplitModel):
    """A split whose branches overlap; `binding` is a field of AccelForge's branch ``pipeline``."""

    binding: Annotated[list[Scalar], Listed] = Field(default_factory=list)
