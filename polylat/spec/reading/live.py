"""Read AccelForge's live objects: its `Spec`, and the `Mappings` that its mapper finds.

An object becomes the same tree as its YAML (see `polylat.spec.reading.tree`), through its public
fields and attributes. AccelForge itself is not imported: a caller who has its objects has imported
it already, and others need not have it installed.
"""

from __future__ import annotations

import numbers
import operator
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from decimal import Decimal
from fractions import Fraction
from typing import Any

from polylat.errors import SpecError, UnsupportedError
from polylat.spec import Spec
from polylat.spec.reading import models as m
from polylat.spec.reading.evaluate import evaluate
from polylat.spec.reading.numbers import BadNumber, to_exact
from polylat.spec.reading.suggest import format_value
from polylat.spec.reading.tree import Quoted, TreeMapping, TreeSequence, path_text, to_tree

__all__ = ["as_spec", "convert_spec", "is_mappings", "is_spec"]

_QUOTED_STRINGS = {"DoubleQuotedScalarString", "LiteralString", "SingleQuotedScalarString"}
# Options of the mapper, and attributes that AccelForge's component models and mapper add.
_IGNORED_FIELDS = {
    "arch": {"component_model", "component_modeling_log", "loop_bounds", "tensors"},
    "mapping": {"binding", "component_object"},
}
_SECTIONS = ("variables", "workload", "renames", "arch", "mapping")
# (Part of the input, AccelForge's class) → polylat's model. The part distinguishes classes with the
# same name; "" means any part.
_MODELS: dict[tuple[str, str], type[m.InputModel]] = {
    ("workload", "Workload"): m.WorkloadModel,
    ("workload", "Einsum"): m.EinsumModel,
    ("workload", "TensorAccess"): m.AccessModel,
    ("", "Rename"): m.RenameModel,
    ("renames", "EinsumRename"): m.EinsumRenamesModel,
    ("renames", "Renames"): m.RenamesModel,
    ("arch", "Arch"): m.ArchModel,
    ("arch", "Hierarchical"): m.HierarchicalModel,
    ("arch", "Fork"): m.ForkModel,
    ("arch", "Array"): m.ArrayModel,
    ("arch", "Memory"): m.MemoryModel,
    ("arch", "Toll"): m.TollModel,
    ("arch", "Container"): m.ContainerModel,
    ("arch", "Compute"): m.ComputeModel,
    ("arch", "Network"): m.NetworkModel,
    ("arch", "Spatial"): m.SpatialModel,
    ("arch", "Action"): m.ActionModel,
    ("arch", "TensorHolderAction"): m.HolderActionModel,
    ("mapping", "Mapping"): m.NestedModel,
    ("mapping", "Nested"): m.NestedModel,
    ("mapping", "Split"): m.SplitModel,
    ("mapping", "Sequential"): m.SequentialModel,
    ("mapping", "Pipeline"): m.PipelineModel,
    ("mapping", "Temporal"): m.TemporalModel,
    ("mapping", "Spatial"): m.SpatialLoopModel,
    ("mapping", "Storage"): m.StorageModel,
    ("mapping", "Toll"): m.TollNodeModel,
    ("mapping", "Compute"): m.ComputeNodeModel,
    ("mapping", "Reservation"): m.ReservationModel,
    ("mapping", "TextBox"): m.TextBoxModel,
}


def is_spec(value: object) -> bool:
    """Return whether an object is AccelForge's ``Spec``.

    Parameters
    ----------
    value
        Any object.

    Returns
    -------
    bool
        True if its class, or a base class, is AccelForge's ``Spec``.
    """
    return _is_instance(value, "Spec")


def is_mappings(value: object) -> bool:
    """Return whether an object is AccelForge's ``Mappings``.

    Parameters
    ----------
    value
        Any object.

    Returns
    -------
    bool
        True if its class, or a base class, is AccelForge's ``Mappings``.
    """
    return _is_instance(value, "Mappings")


def as_spec(value: object) -> Spec:
    """Convert an input to a `Spec` if it is not one already.

    Parameters
    ----------
    value
        A `Spec`, or AccelForge's ``Spec`` with a mapping, or its ``Mappings`` with one mapping.

    Returns
    -------
    Spec
        `value` itself, or the `Spec` that it describes.

    Raises
    ------
    SpecError
        `value` is none of these.
    PolylatError
        As raised by `convert_spec`.
    """
    return value if isinstance(value, Spec) else convert_spec(value)


def convert_spec(
    value: object, index: int | None = None, given: Mapping[str, Any] | None = None
) -> Spec:
    """Convert AccelForge's ``Spec`` or ``Mappings`` to a `Spec`.

    Parameters
    ----------
    value
        AccelForge's ``Spec``, with a mapping, or its ``Mappings``.
    index
        Index of the mapping in ``Mappings``; may be omitted if there is only one.
    given
        Variables that override those of the object.

    Returns
    -------
    Spec
        The same `Spec` as for the object's YAML.

    Raises
    ------
    PolylatError
        polylat cannot analyze the object. The message says what is wrong, where, and how to fix it.
    """
    live: Any = value
    if is_mappings(live):
        number = _mapping_number(len(live), index)
        spec = live.spec
        mapping = spec.mapping if _is_spec_mapping(live, number) else live.mapping(number)
        shared_loops = _SharedLoops(spec, mapping, live.data, number)
    elif is_spec(live) and index is None:
        spec, mapping = live, live.mapping
        shared_loops = _SharedLoops(spec, mapping)
    elif is_spec(live):
        raise SpecError("a Spec has a single mapping: it takes no index", fix="omit the index")
    else:
        raise SpecError(
            f"cannot analyze a {type(value).__name__}",
            fix="give a polylat.Spec, as polylat.load makes it, or AccelForge's Spec or Mappings",
        )
    if not list(mapping.nodes):
        raise SpecError(
            "the Spec has no mapping",
            where="mapping",
            fix="set spec.mapping, or have AccelForge's mapper find one: "
            "spec.map_workload_to_arch() gives Mappings",
        )
    tree = TreeMapping()
    for name in _SECTIONS:
        part = mapping if name == "mapping" else getattr(spec, name)
        tree[name] = _Reader(name, shared_loops).value(part, (name,))
    return Spec.from_parts(evaluate(tree, to_tree(given or {})))


def _is_instance(value: object, name: str) -> bool:
    """Whether an object is an instance of one of AccelForge's classes, given by name."""
    return any(
        c.__name__ == name and c.__module__.split(".", 1)[0] == "accelforge"
        for c in type(value).__mro__
    )


def _mapping_number(count: int, index: Any) -> int:
    if count == 0:
        raise SpecError("there are no mappings", fix="let AccelForge's mapper find some")
    if index is None:
        if count > 1:
            raise SpecError(
                f"there are {count} mappings",
                fix="choose one: mappings[i], or polylat.accelforge.to_spec(mappings, i); or "
                "compare all with polylat.accelforge.rerank(mappings)",
            )
        return 0
    if isinstance(index, bool) or not hasattr(index, "__index__"):
        raise SpecError(
            f"an index must be a whole number, not {format_value(index)}", fix=f"use 0 … {count - 1}"
        )
    if not -count <= index < count:
        raise SpecError(f"there is no mapping {index}", fix=f"use 0 … {count - 1}")
    return operator.index(index) % count


class _Reader:
    """Converts the objects of one part of the input to a tree.

    Parameters
    ----------
    part
        The top-level key.
    shared_loops
        The rank variables of each Einsum in the loops that several Einsums share.
    """

    def __init__(self, part: str, shared_loops: _SharedLoops) -> None:
        self.part = part
        self.shared_loops = shared_loops

    def value(self, value: Any, path: tuple[str | int, ...]) -> Any:
        """Convert any value."""
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, str):
            return Quoted(value) if type(value).__name__ in _QUOTED_STRINGS else str(value)
        if hasattr(value, "model_dump"):
            return self.model(value, path)
        if isinstance(value, Mapping):
            return TreeMapping((_key(k, path), self.value(v, (*path, str(k)))) for k, v in value.items())
        if isinstance(value, AbstractSet):
            return " | ".join(sorted(map(str, value))) or "Nothing"
        if isinstance(value, (list, tuple)):
            return TreeSequence(self.value(v, (*path, i)) for i, v in enumerate(value))
        return _number(value, path)

    def model(self, value: Any, path: tuple[str | int, ...]) -> Any:
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
        if known is not None and issubclass(known, m.NodeModel):
            tree["type"] = cls.__name__
        for name, field in cls.model_fields.items():
            if name in _IGNORED_FIELDS.get(self.part, ()):
                continue
            found = getattr(value, name, None)  # an object pickled by an older version may lack it
            if found is None or _is_default(found, field):
                continue
            if known is not None and name not in known.model_fields:
                raise UnsupportedError(
                    f"polylat does not know the field {name!r} of AccelForge's {cls.__name__}",
                    where=path_text((*path, name)),
                    fix="leave it at its default",
                )
            if name == "rank_variable" and isinstance(found, AbstractSet):
                tree[name] = self.rank_variables(value, found, (*path, name))
            else:
                tree[name] = self.value(found, (*path, name))
        for name, found in (value.model_extra or {}).items():
            tree[_key(name, path)] = self.value(found, (*path, name))
        return tree

    def rank_variables(self, loop: Any, names: Any, path: tuple[str | int, ...]) -> Any:
        """Convert a set of rank variables: to Einsum → variable if determined, else to a list."""
        by_einsum = self.shared_loops.of(loop)
        if by_einsum:
            return TreeMapping(by_einsum.items())
        return TreeSequence(sorted(_key(name, path) for name in names))


class _SharedLoops:
    """The rank variable of each Einsum in the loops that Einsums of a mapping share.

    Such a loop has a set of rank variables. If an Einsum has several of them, the set alone is
    ambiguous. There are two other sources: some versions of AccelForge have a method that splits
    such loops; and the mapper's table has the mapping of each Einsum by itself, whose loops have
    one variable each, so that the loop that matches no other loop of the path is the shared one.

    Parameters
    ----------
    spec
        AccelForge's ``Spec``.
    mapping
        The mapping.
    table, index
        The table of AccelForge's ``Mappings`` (None for a single mapping), and the row of the
        mapping.
    """

    def __init__(self, spec: Any, mapping: Any, table: Any = None, index: int = 0) -> None:
        self._found: dict[int, dict[str, str]] = {}
        for einsum, loops in _paths(mapping):
            shared = [loop for loop in loops if isinstance(loop.rank_variable, AbstractSet)]
            if not shared or self._split(einsum, mapping, loops):
                continue
            unmatched = _single_einsum_loops(table, index, einsum)
            for loop in loops:
                if not isinstance(loop.rank_variable, AbstractSet) and _loop_key(loop) in unmatched:
                    unmatched.remove(_loop_key(loop))
            einsums = (e for e in spec.workload.einsums if e.name == einsum)
            variables = {str(variable) for e in einsums for variable in e.rank_variables}
            self._match(einsum, shared, variables, unmatched)

    def of(self, loop: Any) -> dict[str, str]:
        """Return Einsum → its rank variable for a loop; empty if undetermined."""
        return self._found.get(id(loop), {})

    def _split(self, einsum: str, mapping: Any, loops: Sequence[Any]) -> bool:
        """Let AccelForge split the loops of a path; return whether it succeeded."""
        path = type(mapping)(nodes=list(loops))
        split = getattr(path, "split_loop_with_multiple_rank_variables", None)
        if split is None:
            return False
        try:
            split(einsum)
        except (KeyError, ValueError):  # undetermined in AccelForge, too
            return False
        for loop, split_loop in zip(loops, path.nodes, strict=True):
            self._found.setdefault(id(loop), {})[einsum] = split_loop.rank_variable
        return True

    def _match(
        self,
        einsum: str,
        shared: list[Any],
        variables: set[str],
        unmatched: list[tuple[str, Any, Any]],
    ) -> None:
        """Assign, loop by loop, the variable of each shared loop that has one candidate left."""
        undetermined = {id(loop): loop for loop in shared}
        while undetermined:
            for loop in undetermined.values():
                kind, names, tile = _loop_key(loop)
                candidates = variables & set(names)
                if len(candidates) > 1:
                    candidates = {v for v in candidates if (kind, v, tile) in unmatched}
                if len(candidates) == 1:
                    break
            else:
                return
            del undetermined[id(loop)]
            (variable,) = candidates
            if (kind, variable, tile) in unmatched:
                unmatched.remove((kind, variable, tile))
            self._found.setdefault(id(loop), {})[einsum] = variable


def _is_spec_mapping(mappings: Any, index: int) -> bool:
    """Whether one of the Mappings is the evaluation of the Spec's own mapping.

    AccelForge stores one mapping per Einsum and joins them on request. For a mapping that its
    mapper found, the joined mapping is the one to use. For the result of ``evaluate_mapping`` it
    differs from the mapping that was evaluated: a holder above a split becomes one holder per
    Einsum, and Pipelines become Sequential. The Spec's own mapping is used then.
    """
    wholes = list(_leaves(mappings.spec.mapping, ()))
    for einsum, nodes in wholes:
        einsums = (e for e in mappings.spec.workload.einsums if e.name == einsum)
        tensors = {access.name for e in einsums for access in e.tensor_accesses}
        single = _single_einsum_leaves(mappings.data, index, einsum)
        if not single or not _same_path(
            _relevant_nodes(nodes, tensors), _relevant_nodes(single[0][1], tensors)
        ):
            return False
    return bool(wholes)


def _relevant_nodes(nodes: Sequence[Any], tensors: AbstractSet[str]) -> list[tuple[str, Any, Any]]:
    """The loops above a leaf, and the holders of its Einsum's tensors, as comparable keys."""
    found: list[tuple[str, Any, Any]] = []
    for node in nodes:
        if hasattr(node, "rank_variable"):
            found.append(_loop_key(node))
        elif hasattr(node, "tensors"):
            kind = type(node).__name__
            found += [(kind, t, node.component) for t in node.tensors if t in tensors]
    return found


def _same_path(
    whole: Sequence[tuple[str, Any, Any]], single: Sequence[tuple[str, Any, Any]]
) -> bool:
    """Whether two paths agree, where a set of rank variables agrees with each of its members."""
    return len(whole) == len(single) and all(
        a == b or (isinstance(a[1], AbstractSet) and b[1] in a[1] and a[::2] == b[::2])
        for a, b in zip(whole, single, strict=True)
    )


def _leaves(node: Any, above: tuple[Any, ...]) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """Yield (Einsum, the nodes above it) for every leaf of a mapping."""
    for inner in node.nodes:
        if hasattr(inner, "nodes"):
            yield from _leaves(inner, above)
        elif hasattr(inner, "einsum"):
            yield inner.einsum, above
        else:
            above = (*above, inner)


def _paths(node: Any) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """Yield (Einsum, the loops above it) for every leaf of a mapping."""
    for einsum, nodes in _leaves(node, ()):
        yield einsum, tuple(inner for inner in nodes if hasattr(inner, "rank_variable"))


def _single_einsum_leaves(table: Any, index: int, einsum: str) -> list[tuple[str, tuple[Any, ...]]]:
    """The leaf of an Einsum's own mapping in the mapper's table; empty if there is none."""
    column = f"{einsum}<SEP>mapping"
    if table is None or column not in table.columns:
        return []
    single = table[column].iloc[index]
    return list(_leaves(single, ())) if hasattr(single, "nodes") else []


def _single_einsum_loops(table: Any, index: int, einsum: str) -> list[tuple[str, Any, Any]]:
    """The loops of an Einsum's own mapping in the mapper's table."""
    leaves = _single_einsum_leaves(table, index, einsum)
    nodes = [node for _, above in leaves for node in above]
    return [_loop_key(node) for node in nodes if hasattr(node, "rank_variable")]


def _loop_key(loop: Any) -> tuple[str, Any, Any]:
    return type(loop).__name__, loop.rank_variable, loop.tile_shape


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
