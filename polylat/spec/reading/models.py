"""Pydantic models of the input: which keys exist, and which kind of value each key takes.

Values stay as written; expressions are evaluated later. Keys that only matter for energy, area or
a mapper are accepted with any value.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
)
from pydantic_core import PydanticCustomError

from polylat.spec.reading.suggest import format_value

_MAX_NAME_LENGTH = 200


def _scalar(value: Any) -> Any:
    if isinstance(value, (str, int, float, Fraction)):
        return value
    raise PydanticCustomError(
        "scalar", "must be a number or an expression, not {got}", {"got": _kind(value)}
    )


def _optional_scalar(value: Any) -> Any:
    return None if value is None else _scalar(value)


def _index(value: Any) -> Any:
    """Check an index of a projection: a string or an integer."""
    if isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool)):
        return str(value)
    raise PydanticCustomError(
        "index", "must be an expression of rank variables, not {got}", {"got": _kind(value)}
    )


def _projection(value: Any) -> Any:
    """Check a projection: a list of rank variables, or a mapping from ranks to indices."""
    if isinstance(value, dict):
        return {rank: _index(index) for rank, index in value.items()}
    if isinstance(value, list):
        return [_index(index) for index in value]
    raise PydanticCustomError(
        "projection",
        "must be a list of rank variables or a mapping from ranks to expressions, not {got}",
        {"got": _kind(value)},
    )


def _text(value: Any) -> Any:
    if isinstance(value, str):
        if value.strip():
            return str(value)
        raise PydanticCustomError("text", "must not be empty", {})
    raise PydanticCustomError("text", "must be a string, not {got}", {"got": _kind(value)})


def _name(value: Any) -> Any:
    if not isinstance(value, str):
        raise PydanticCustomError("name", "must be a name, not {got}", {"got": _kind(value)})
    if len(value) > _MAX_NAME_LENGTH:
        raise PydanticCustomError(
            "name", "a name of {size} characters is too long", {"size": len(value)}
        )
    return _text(value)


def _flag(value: Any) -> Any:
    if isinstance(value, bool):
        return value
    text = str(value).strip().lower() if isinstance(value, (str, int)) else ""
    if text in ("true", "yes", "on", "1"):
        return True
    if text in ("false", "no", "off", "0"):
        return False
    raise PydanticCustomError("flag", "must be true or false, not {got}", {"got": _kind(value)})


def _list(value: Any) -> Any:
    if value is None:
        return []
    if isinstance(value, list):
        return value
    raise PydanticCustomError("list", "must be a list, not {got}", {"got": _kind(value)})


def _table(value: Any) -> Any:
    if value is None:
        return {}
    if isinstance(value, dict):
        return value
    raise PydanticCustomError("table", "must be a mapping, not {got}", {"got": _kind(value)})


def _kind(value: Any) -> str:
    """A value's kind, for messages."""
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    return format_value(value)


Scalar = Annotated[Any, AfterValidator(_scalar)]
OptionalScalar = Annotated[Any, AfterValidator(_optional_scalar)]
Name = Annotated[Any, AfterValidator(_name)]
Text = Annotated[Any, AfterValidator(_text)]
Projection = Annotated[Any, AfterValidator(_projection)]
Flag = Annotated[Any, AfterValidator(_flag)]
Listed = BeforeValidator(_list)
Tabled = BeforeValidator(_table)
Table = Annotated[dict[str, Scalar], Tabled]
AnyTable = Annotated[dict[str, Any], Tabled]
Names = Annotated[list[Name], Listed]


class InputModel(BaseModel):
    """Base class: an unknown key is an error.

    Building the schemas is deferred and done once for the whole input, which is faster than one
    schema per model.
    """

    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True, defer_build=True)


# Workload ----------------------------------------------------------------------------------------


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


Renames = Annotated[list[RenameModel], BeforeValidator(_list), BeforeValidator(_rename_list)]


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
    rank_sizes: Table = Field(default_factory=dict)
    is_copy_operation: Flag = False
    renames: Renames = Field(default_factory=list)
    n_instances: Scalar = 1


class WorkloadModel(InputModel):
    """The top-level key ``workload``."""

    einsums: Annotated[list[EinsumModel], Listed]
    iteration_space_shape: Annotated[dict[str, Text], Tabled] = Field(default_factory=dict)
    rank_sizes: Table = Field(default_factory=dict)
    n_instances: Scalar = 1
    bits_per_value: Table = Field(default_factory=dict)
    persistent_tensors: OptionalScalar = None


# Architecture ------------------------------------------------------------------------------------


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
    values_per_action: Table = Field(default_factory=dict)


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


class NodeModel(InputModel):
    """A node of the architecture or of the mapping, with its type."""

    type: Any = None


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
    bits_per_value: Table = Field(default_factory=dict)
    bits_per_action: OptionalScalar = None
    values_per_action: Table = Field(default_factory=dict)


class MemoryModel(HolderModel):
    """A memory."""

    size: Scalar
    skip_initial_output_write: Flag = True


def _direction(value: Any) -> Any:
    if isinstance(value, (str, dict)):
        return value
    raise PydanticCustomError(
        "direction", "must be up, down, up_and_down or a mapping, not {got}", {"got": _kind(value)}
    )


class TollModel(HolderModel):
    """A Toll: a component that data passes through."""

    direction: Annotated[Any, AfterValidator(_direction)]


class ComputeModel(ComponentModel):
    """A component that computes."""

    actions: Annotated[list[ActionModel], Listed] = Field(default_factory=list)
    skip_initial_output_write: Flag = True


class ContainerModel(SpatialableModel):
    """A component that only replicates the components below it."""


class NetworkModel(ComponentModel):
    """A network: recognized, but not supported."""

    actions: Annotated[list[ActionModel], Listed] = Field(default_factory=list)
    bits_per_value: Table = Field(default_factory=dict)
    bits_per_action: OptionalScalar = None
    topology: Any = None


def node_type(value: Any) -> str | None:
    """Return the type of a node.

    Parameters
    ----------
    value
        A model, or the data of one with a key ``type``.

    Returns
    -------
    str or None
        Name of the type without the leading ``!``; None if there is none.
    """
    if isinstance(value, BaseModel):
        return type(value).__name__.removesuffix("Model")
    kind = value.get("type") if isinstance(value, Mapping) else None
    return kind.removeprefix("!") if isinstance(kind, str) else None


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


# Mapping -----------------------------------------------------------------------------------------


def _loop_variable(value: Any) -> Any:
    """Check a loop's rank variable: a name, a list of names, or Einsum → name."""
    if isinstance(value, list) and value:
        return [_name(each) for each in value]
    if isinstance(value, dict) and value:
        return {einsum: _name(each) for einsum, each in value.items()}
    return _name(value)


class MappingNodeModel(NodeModel):
    """A node of the mapping; `text` is its label in drawings."""

    text: Any = None


class LoopModel(MappingNodeModel):
    """A loop."""

    rank_variable: Annotated[Any, AfterValidator(_loop_variable)]
    tile_shape: Scalar
    initial_tile_shape: Any = None


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
    """A split whose branches overlap."""


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

SpecModel.model_rebuild()
