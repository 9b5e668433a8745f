"""Models of the top-level key ``arch``."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Discriminator, Field, Tag

from polylat.spec.reading.models.base import InputModel, NodeModel, node_type
from polylat.spec.reading.models.values import (
    AnyTable,
    Flag,
    Listed,
    Name,
    OptionalFlag,
    OptionalScalar,
    Scalar,
    ScalarTable,
    TollDirection,
)


class SpatialModel(InputModel):
    """A spatial dimension of a component."""

    name: Name
    fanout: Scalar
    may_reuse: OptionalScalar = None
    reuse: OptionalScalar = None
    loop_bounds: Any = None
    min_usage: Any = 0
    usage_scale: Any = 1
    power_gateable: Any = False


class ActionModel(InputModel):
    """An action of a component."""

    name: Name
    throughput: OptionalScalar = None
    throughput_scale: OptionalScalar = None
    latency: OptionalScalar = None
    latency_scale: OptionalScalar = None
    energy: Any = None
    energy_scale: Any = 1
    extra_attributes_for_component_model: AnyTable = Field(default_factory=dict)


class HolderActionModel(ActionModel):
    """An action of a Memory or a Toll."""

    bits_per_action: OptionalScalar = None
    values_per_action: ScalarTable = Field(default_factory=dict)


class KeptModel(InputModel):
    """Constraints on what a mapper may keep in a component; ignored here."""

    keep: Any = None
    may_keep: Any = None
    back: Any = None
    tile_shape: Any = None
    no_refetch_from_above: Any = None
    no_resend_to_below: Any = None
    tensor_order_options: Any = None
    force_memory_hierarchy_order: Any = None


class SpatialableModel(NodeModel):
    """A node that may be replicated spatially."""

    name: Name
    spatial: Annotated[list[SpatialModel], Listed] = Field(default_factory=list)


class ComponentModel(SpatialableModel):
    """A component that performs actions."""

    component_class: Any = None
    component_model: Any = None
    component_modeling_log: Any = None
    enabled: Any = True
    area: Any = None
    total_area: Any = None
    area_scale: Any = 1
    leak_power: Any = None
    total_leak_power: Any = None
    leak_power_scale: Any = 1
    energy_scale: Any = 1
    actions_scale: Scalar = 1
    total_latency: OptionalScalar = None
    latency_scale: OptionalScalar = None
    throughput_scale: OptionalScalar = None
    n_parallel_instances: Scalar = 1
    extra_attributes_for_component_model: AnyTable = Field(default_factory=dict)
    separate_read_write_ports: Flag = False


class HolderModel(ComponentModel):
    """A Memory or a Toll."""

    actions: Annotated[list[HolderActionModel], Listed] = Field(default_factory=list)
    tensors: KeptModel = Field(default_factory=KeptModel)
    bits_per_value: ScalarTable = Field(default_factory=dict)
    bits_per_action: OptionalScalar = None
    values_per_action: ScalarTable = Field(default_factory=dict)


class MemoryModel(HolderModel):
    """A memory."""

    size: Scalar
    skip_initial_output_write: Flag = True
    support_concurrent_binding: OptionalFlag = None


class TollModel(HolderModel):
    """A Toll: a component that data passes through."""

    direction: TollDirection


class ComputeModel(ComponentModel):
    """A component that computes."""

    actions: Annotated[list[ActionModel], Listed] = Field(default_factory=list)
    skip_initial_output_write: Flag = True
    support_concurrent_binding: OptionalFlag = None


class ContainerModel(SpatialableModel):
    """A component that only replicates the components below it."""


class NetworkModel(ComponentModel):
    """A network, which delivers values to the units below it."""

    actions: Annotated[list[ActionModel], Listed] = Field(default_factory=list)
    bits_per_value: ScalarTable = Field(default_factory=dict)
    bits_per_action: OptionalScalar = None
    topology: Any = None


ARCH_NODES = ("Memory", "Compute", "Toll", "Container", "Hierarchical", "Fork", "Array", "Network")

ArchNode = Annotated[
    Annotated[MemoryModel, Tag("Memory")]
    | Annotated[ComputeModel, Tag("Compute")]
    | Annotated[TollModel, Tag("Toll")]
    | Annotated[ContainerModel, Tag("Container")]
    | Annotated["HierarchicalModel", Tag("Hierarchical")]
    | Annotated["ForkModel", Tag("Fork")]
    | Annotated["ArrayModel", Tag("Array")]
    | Annotated[NetworkModel, Tag("Network")],
    Discriminator(node_type),
]


class HierarchicalModel(NodeModel):
    """A list of components, from the outermost to the innermost."""

    nodes: Annotated[list[ArchNode], Listed] = Field(default_factory=list)


class ForkModel(HierarchicalModel):
    """A branch off the main path."""

    forked_power_gateable: Any = False
    non_forked_power_gateable: Any = False


class ArrayModel(SpatialableModel):
    """An array of units."""

    nodes: Annotated[list[ArchNode], Listed] = Field(default_factory=list)


class ArchModel(HierarchicalModel):
    """The top-level key ``arch``."""

    variables: AnyTable = Field(default_factory=dict)
    extra_attributes_for_all_component_models: AnyTable = Field(default_factory=dict)
