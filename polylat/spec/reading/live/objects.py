"""Convert AccelForge's objects to a tree of plain values."""

from __future__ import annotations

import numbers
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from decimal import Decimal
from fractions import Fraction
from typing import Any

from polylat.errors import SpecError, UnsupportedError
from polylat.spec.reading.live.shared_loops import SharedLoops
from polylat.spec.reading.location import path_text
from polylat.spec.reading.models import arch, mapping, workload
from polylat.spec.reading.models.base import InputModel, NodeModel
from polylat.spec.reading.numbers import BadNumber, to_exact
from polylat.spec.reading.suggest import format_value
from polylat.spec.reading.tree import Quoted, TreeMapping, TreeSequence

_QUOTED_STRINGS = {"DoubleQuotedScalarString", "LiteralString", "SingleQuotedScalarString"}
# Options of the mapper, attributes that AccelForge's component models and mapper add, and what its
# branch "operations" reads from the text of an Einsum, besides whether it is a copy.
_IGNORED_FIELDS = {
    "arch": {"component_model", "component_modeling_log", "loop_bounds", "tensors"},
    "mapping": {"component_object"},
    "workload": {"map"},
}
_ADAPTERS = "einsums_and_adapters"
# (Part of the input, AccelForge's class) → polylat's model. The part distinguishes classes with the
# same name; "" means any part.
_MODELS: dict[tuple[str, str], type[InputModel]] = {
    ("workload", "Workload"): workload.WorkloadModel,
    ("workload", "Einsum"): workload.EinsumModel,
    ("workload", "TensorAccess"): workload.AccessModel,
    ("", "Rename"): workload.RenameModel,
    ("renames", "EinsumRename"): workload.EinsumRenamesModel,
    ("renames", "Renames"): workload.RenamesModel,
    ("arch", "Arch"): arch.ArchModel,
    ("arch", "Hierarchical"): arch.HierarchicalModel,
    ("arch", "Fork"): arch.ForkModel,
    ("arch", "Array"): arch.ArrayModel,
    ("arch", "Memory"): arch.MemoryModel,
    ("arch", "Toll"): arch.TollModel,
    ("arch", "Container"): arch.ContainerModel,
    ("arch", "Compute"): arch.ComputeModel,
    ("arch", "Network"): arch.NetworkModel,
    ("arch", "Spatial"): arch.SpatialModel,
    ("arch", "Action"): arch.ActionModel,
    ("arch", "TensorHolderAction"): arch.HolderActionModel,
    ("mapping", "Mapping"): mapping.NestedModel,
    ("mapping", "Nested"): mapping.NestedModel,
    ("mapping", "Split"): mapping.SplitModel,
    ("mapping", "Sequential"): mapping.SequentialModel,
    ("mapping", "Pipeline"): mapping.PipelineModel,
    ("mapping", "Temporal"): mapping.TemporalModel,
    ("mapping", "Spatial"): mapping.SpatialLoopModel,
    ("mapping", "Storage"): mapping.StorageModel,
    ("mapping", "Toll"): mapping.TollNodeModel,
    ("mapping", "Compute"): mapping.ComputeNodeModel,
    ("mapping", "Reservation"): mapping.ReservationModel,
    ("mapping", "TextBox"): mapping.TextBoxModel,
}


class LiveReader:
    """Converts the objects of one part of the input to a tree.

    Parameters
    ----------
    part
        The top-level key.
    shared_loops
        The rank variables of each Einsum in the loops that several Einsums share.
    """

    def __init__(self, part: str, shared_loops: SharedLoops) -> None:
        self.part = part
        self.shared_loops = shared_loops

    def value(self, value: Any, path: tuple[str | int, ...]) -> Any:
        """Convert any value.

        Parameters
        ----------
        value
            A value of AccelForge's objects.
        path
            Its path of keys in the input, for messages.

        Returns
        -------
        Any
            The same value as a tree.

        Raises
        ------
        SpecError
            The value cannot be part of an input.
        UnsupportedError
            polylat does not know a class or a field of AccelForge.
        """
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, str):
            return Quoted(value) if type(value).__name__ in _QUOTED_STRINGS else str(value)
        if hasattr(value, "model_dump"):
            return self._model(value, path)
        if isinstance(value, Mapping):
            return TreeMapping(
                (_key(k, path), self.value(v, (*path, str(k)))) for k, v in value.items()
            )
        if isinstance(value, AbstractSet):
            return " | ".join(sorted(map(str, value))) or "Nothing"
        if isinstance(value, (list, tuple)):
            return TreeSequence(self.value(v, (*path, i)) for i, v in enumerate(value))
        return _number(value, path)

    def _model(self, value: Any, path: tuple[str | int, ...]) -> Any:
        """Convert one of AccelForge's models: its fields that differ from their defaults."""
        cls = type(value)
        if hasattr(value, "full_space"):
            raise SpecError(
                "this Spec has been evaluated for one Einsum: it holds sets of tensors instead of"
                " expressions",
                where=path_text(path),
                fix="give the Spec as it was before calculate_component_costs, as AccelForge's"
                " evaluate_mapping requires, too",
            )
        known = _MODELS.get((self.part, cls.__name__), _MODELS.get(("", cls.__name__)))
        if known is None and value.model_extra is None:
            raise UnsupportedError(
                f"polylat does not know AccelForge's {cls.__name__}", where=path_text(path)
            )
        tree = TreeMapping()
        if known is not None and issubclass(known, NodeModel):
            tree["type"] = cls.__name__
        for name, field in cls.model_fields.items():
            if name in _IGNORED_FIELDS.get(self.part, ()):
                continue
            found = getattr(value, name, None)  # an object pickled by an older version may lack it
            if found is None or _is_default(found, field):
                continue
            if (self.part, name) == ("workload", _ADAPTERS):
                _refuse_adapters(found, (*path, name))
                continue
            if (cls.__name__, name) == ("Storage", "binding"):
                continue
            if known is not None and name not in known.model_fields:
                raise UnsupportedError(
                    f"polylat does not know the field {name!r} of AccelForge's {cls.__name__}",
                    where=path_text((*path, name)),
                    fix="leave it at its default",
                )
            if name == "rank_variable" and isinstance(found, AbstractSet):
                tree[name] = self._rank_variables(value, found, (*path, name))
            else:
                tree[name] = self.value(found, (*path, name))
        for name, found in (value.model_extra or {}).items():
            tree[_key(name, path)] = self.value(found, (*path, name))
        return tree

    def _rank_variables(self, loop: Any, names: Any, path: tuple[str | int, ...]) -> Any:
        """Convert a set of rank variables: to Einsum → variable if determined, else to a list."""
        by_einsum = self.shared_loops.of(loop)
        if by_einsum:
            return TreeMapping(by_einsum.items())
        return TreeSequence(sorted(_key(name, path) for name in names))


def _refuse_adapters(items: Any, path: tuple[str | int, ...]) -> None:
    """Refuse adapters in the list of Einsums and adapters of AccelForge's branch ``adapter``.

    Without any, the list is that of the Einsums.
    """
    for index, item in enumerate(items):
        if type(item).__name__ != "Einsum":
            raise UnsupportedError(
                f"{format_value(str(getattr(item, 'name', '')))} is an adapter of AccelForge's"
                " branch adapter",
                where=path_text((*path, index)),
                fix="replace it by an Einsum with is_copy_operation, which writes a tensor that"
                " the Einsums after it read",
            )


def _is_default(value: Any, field: Any) -> bool:
    try:
        return bool(value == field.get_default(call_default_factory=True))
    except (TypeError, ValueError):  # arrays, for example, have no single truth value
        return False


def _number(value: Any, path: tuple[str | int, ...]) -> Any:
    """Convert a number of Python, NumPy or SymPy to an exact one."""
    if getattr(value, "free_symbols", None):
        raise SpecError(
            f"the value {format_value(str(value))} is a symbol, not a number",
            where=path_text(path),
            fix="give a number; for a mapping that AccelForge's mapper made, use"
            " Mappings.mapping(i)",
        )
    if getattr(value, "is_Integer", False):
        value = int(value)
    elif getattr(value, "is_Rational", False):
        value = Fraction(int(value.p), int(value.q))
    elif getattr(value, "is_number", False):
        value = float(value)
    if not isinstance(value, (numbers.Number, Decimal)):
        raise SpecError(
            f"cannot use a value of type {type(value).__name__}",
            where=path_text(path),
            fix="use numbers, strings, booleans, lists and dicts",
        )
    try:
        return to_exact(value)
    except BadNumber as error:
        raise SpecError(f"cannot use this number: {error}", where=path_text(path)) from None


def _key(key: object, path: tuple[str | int, ...]) -> str:
    if isinstance(key, str):
        return str(key)
    raise SpecError(f"the key {format_value(key)} is not a string", where=path_text(path))
