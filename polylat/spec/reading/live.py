"""Read AccelForge's live objects: its `Spec`, and the `Mappings` that its mapper finds.

An object becomes the same tree as its YAML (see `polylat.spec.reading.tree`), by its public fields
and attributes. AccelForge itself is not imported: who has its objects has imported it, and who has
not pays nothing.
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
from polylat.spec.reading.build import build
from polylat.spec.reading.numbers import BadNumber, exact
from polylat.spec.reading.suggest import shown
from polylat.spec.reading.tree import Map, Quoted, Seq, path_text, plain

__all__ = ["as_spec", "is_mappings", "is_spec", "spec_of"]

_QUOTED = {"DoubleQuotedScalarString", "LiteralString", "SingleQuotedScalarString"}
# What a mapper may do, and what models of components and mappings leave behind.
_IGNORED = {
    "arch": {"component_model", "component_modeling_log", "loop_bounds", "tensors"},
    "mapping": {"binding", "component_object"},
}
_SECTIONS = ("variables", "workload", "renames", "arch", "mapping")
# Class of AccelForge → what polylat knows of it. Two classes may have one name: first the place.
_MODELS: dict[tuple[str, str], type[m.Model]] = {
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
    """Whether this is AccelForge's ``Spec``."""
    return _is(value, "Spec")


def is_mappings(value: object) -> bool:
    """Whether these are AccelForge's ``Mappings``."""
    return _is(value, "Mappings")


def as_spec(value: object) -> Spec:
    """The input itself, or what AccelForge's ``Spec`` or ``Mappings`` of one mapping say.

    Raises
    ------
    SpecError
        It is none of these.
    PolylatError
        As `spec_of` does.
    """
    return value if isinstance(value, Spec) else spec_of(value)


def spec_of(
    value: object, index: int | None = None, given: Mapping[str, Any] | None = None
) -> Spec:
    """The `Spec` that an object of AccelForge describes.

    Parameters
    ----------
    value
        AccelForge's ``Spec``, with a mapping, or its ``Mappings``.
    index
        Which of the mappings; may be left out if there is only one.
    given
        Variables that override its own.

    Raises
    ------
    PolylatError
        Where it is no input that polylat can analyse; says what, where and what to do.
    """
    live: Any = value
    if is_mappings(live):
        number = _index(len(live), index)
        spec = live.spec
        mapping = spec.mapping if _evaluated(live, number) else live.mapping(number)
        names = _SharedLoops(spec, mapping, live.data, number)
    elif is_spec(live) and index is None:
        spec, mapping = live, live.mapping
        names = _SharedLoops(spec, mapping)
    elif is_spec(live):
        raise SpecError("a Spec has one mapping, and needs no index", mend="leave the index out")
    else:
        raise SpecError(
            f"cannot analyse a {type(value).__name__}",
            mend="give a polylat.Spec, as polylat.load makes it, or AccelForge's Spec or Mappings",
        )
    if not list(mapping.nodes):
        raise SpecError(
            "the Spec has no mapping",
            where="mapping",
            mend="set spec.mapping, or have AccelForge's mapper find one: "
            "spec.map_workload_to_arch() gives Mappings",
        )
    tree = Map()
    for name in _SECTIONS:
        part = mapping if name == "mapping" else getattr(spec, name)
        tree[name] = _Reader(name, names).value(part, (name,))
    return build(tree, plain(given or {}))


def _is(value: object, name: str) -> bool:
    return any(
        c.__name__ == name and c.__module__.split(".", 1)[0] == "accelforge"
        for c in type(value).__mro__
    )


def _index(count: int, index: Any) -> int:
    if count == 0:
        raise SpecError("there are no mappings", mend="let AccelForge's mapper find some")
    if index is None:
        if count > 1:
            raise SpecError(
                f"there are {count} mappings",
                mend="choose one: mappings[i], or polylat.accelforge.to_spec(mappings, i); or "
                "compare all with polylat.accelforge.rerank(mappings)",
            )
        return 0
    if isinstance(index, bool) or not hasattr(index, "__index__"):
        raise SpecError(
            f"an index must be a whole number, not {shown(index)}", mend=f"use 0 … {count - 1}"
        )
    if not -count <= index < count:
        raise SpecError(f"there is no mapping {index}", mend=f"use 0 … {count - 1}")
    return operator.index(index) % count


class _Reader:
    """Turns the objects of one part of the input into a tree.

    Parameters
    ----------
    part
        The top-level key.
    names
        How Einsums call the loops that they share.
    """

    def __init__(self, part: str, names: _SharedLoops) -> None:
        self.part = part
        self.names = names

    def value(self, value: Any, path: tuple[str | int, ...]) -> Any:
        """The tree of any value."""
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, str):
            return Quoted(value) if type(value).__name__ in _QUOTED else str(value)
        if hasattr(value, "model_dump"):
            return self.model(value, path)
        if isinstance(value, Mapping):
            return Map((_key(k, path), self.value(v, (*path, str(k)))) for k, v in value.items())
        if isinstance(value, AbstractSet):
            return " | ".join(sorted(map(str, value))) or "Nothing"
        if isinstance(value, (list, tuple)):
            return Seq(self.value(v, (*path, i)) for i, v in enumerate(value))
        return _number(value, path)

    def model(self, value: Any, path: tuple[str | int, ...]) -> Any:
        """The tree of one of AccelForge's models: of its fields that are not at their defaults."""
        cls = type(value)
        if hasattr(value, "full_space"):
            raise SpecError(
                "this Spec has been evaluated for one Einsum: it holds sets of tensors instead of"
                " expressions",
                where=path_text(path),
                mend="give the Spec as it was before calculate_component_costs; AccelForge's"
                " evaluate_mapping asks for that, too",
            )
        known = _MODELS.get((self.part, cls.__name__), _MODELS.get(("", cls.__name__)))
        if known is None and value.model_extra is None:
            raise UnsupportedError(
                f"polylat does not know AccelForge's {cls.__name__}", where=path_text(path)
            )
        tree = Map()
        if known is not None and issubclass(known, m.NodeModel):
            tree["type"] = cls.__name__
        for name, field in cls.model_fields.items():
            if name in _IGNORED.get(self.part, ()):
                continue
            found = getattr(value, name, None)  # of an older version, if it was pickled
            if found is None or _is_default(found, field):
                continue
            if known is not None and name not in known.model_fields:
                raise UnsupportedError(
                    f"polylat does not know the field {name!r} of AccelForge's {cls.__name__}",
                    where=path_text((*path, name)),
                    mend="leave it at its default",
                )
            if name == "rank_variable" and isinstance(found, AbstractSet):
                tree[name] = self.rank_variables(value, found, (*path, name))
            else:
                tree[name] = self.value(found, (*path, name))
        for name, found in (value.model_extra or {}).items():
            tree[_key(name, path)] = self.value(found, (*path, name))
        return tree

    def rank_variables(self, loop: Any, names: Any, path: tuple[str | int, ...]) -> Any:
        """A set of rank variables: which is whose, or where that is not known the list."""
        by_einsum = self.names.of(loop)
        if by_einsum:
            return Map(by_einsum.items())
        return Seq(sorted(_key(name, path) for name in names))


class _SharedLoops:
    """Which rank variable is whose in the loops that Einsums of a mapping share.

    Such a loop has a set of rank variables. Of an Einsum that has several of them, the set does not
    say which one is meant. Two others do: some versions of AccelForge split such loops when asked;
    and the mapper's table has each Einsum's own mapping, whose loops have one variable each, so
    that the shared loop is the one that the others leave over.

    Parameters
    ----------
    spec
        AccelForge's ``Spec``.
    mapping
        The mapping.
    table, index
        The table of AccelForge's ``Mappings``, and which of them it is; None without.
    """

    def __init__(self, spec: Any, mapping: Any, table: Any = None, index: int = 0) -> None:
        self._found: dict[int, dict[str, str]] = {}
        for einsum, loops in _paths(mapping):
            shared = [loop for loop in loops if isinstance(loop.rank_variable, AbstractSet)]
            if not shared or self._split(einsum, mapping, loops):
                continue
            own = _own(table, index, einsum)
            for loop in loops:
                if not isinstance(loop.rank_variable, AbstractSet) and _said(loop) in own:
                    own.remove(_said(loop))
            einsums = (e for e in spec.workload.einsums if e.name == einsum)
            variables = {str(variable) for e in einsums for variable in e.rank_variables}
            self._match(einsum, shared, variables, own)

    def of(self, loop: Any) -> dict[str, str]:
        """Einsum → its rank variable, for a loop of the mapping; empty if that is not known."""
        return self._found.get(id(loop), {})

    def _split(self, einsum: str, mapping: Any, loops: Sequence[Any]) -> bool:
        """Ask AccelForge to split the loops of a path; whether it could."""
        alone = type(mapping)(nodes=list(loops))
        split = getattr(alone, "split_loop_with_multiple_rank_variables", None)
        if split is None:
            return False
        try:
            split(einsum)
        except (KeyError, ValueError):  # it was not told, either
            return False
        for loop, mine in zip(loops, alone.nodes, strict=True):
            self._found.setdefault(id(loop), {})[einsum] = mine.rank_variable
        return True

    def _match(
        self, einsum: str, shared: list[Any], variables: set[str], own: list[tuple[str, Any, Any]]
    ) -> None:
        """Find one loop after another of which only one variable is possible."""
        left = {id(loop): loop for loop in shared}
        while left:
            for loop in left.values():
                kind, names, tile = _said(loop)
                mine = variables & set(names)
                if len(mine) > 1:
                    mine = {v for v in mine if (kind, v, tile) in own}
                if len(mine) == 1:
                    break
            else:
                return
            del left[id(loop)]
            (variable,) = mine
            if (kind, variable, tile) in own:
                own.remove((kind, variable, tile))
            self._found.setdefault(id(loop), {})[einsum] = variable


def _evaluated(mappings: Any, index: int) -> bool:
    """Whether one of the Mappings is what the Spec's own mapping was evaluated to.

    AccelForge keeps the mappings of the Einsums, each by itself, and joins them anew when asked for
    the whole. That is the mapping that its mapper means. Of one that was evaluated it is another
    one: what several Einsums found in a holder above a split, each has now in a holder of its own,
    and Pipelines are Sequential.
    """
    wholes = list(_leaves(mappings.spec.mapping, ()))
    for einsum, nodes in wholes:
        einsums = (e for e in mappings.spec.workload.einsums if e.name == einsum)
        tensors = {access.name for e in einsums for access in e.tensor_accesses}
        alone = _alone(mappings.data, index, einsum)
        if not alone or not _alike(_steps(nodes, tensors), _steps(alone[0][1], tensors)):
            return False
    return bool(wholes)


def _steps(nodes: Sequence[Any], tensors: AbstractSet[str]) -> list[tuple[str, Any, Any]]:
    """What stands above a leaf, without what does not concern its Einsum."""
    found: list[tuple[str, Any, Any]] = []
    for node in nodes:
        if hasattr(node, "rank_variable"):
            found.append(_said(node))
        elif hasattr(node, "tensors"):
            kind = type(node).__name__
            found += [(kind, t, node.component) for t in node.tensors if t in tensors]
    return found


def _alike(whole: Sequence[tuple[str, Any, Any]], alone: Sequence[tuple[str, Any, Any]]) -> bool:
    """Whether two are the same: of a set of rank variables, an Einsum has its own."""
    return len(whole) == len(alone) and all(
        a == b or (isinstance(a[1], AbstractSet) and b[1] in a[1] and a[::2] == b[::2])
        for a, b in zip(whole, alone, strict=True)
    )


def _leaves(node: Any, above: tuple[Any, ...]) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """(Einsum, the nodes above it) for every leaf of a mapping."""
    for inner in node.nodes:
        if hasattr(inner, "nodes"):
            yield from _leaves(inner, above)
        elif hasattr(inner, "einsum"):
            yield inner.einsum, above
        else:
            above = (*above, inner)


def _paths(node: Any) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """(Einsum, the loops above it) for every leaf of a mapping."""
    for einsum, nodes in _leaves(node, ()):
        yield einsum, tuple(inner for inner in nodes if hasattr(inner, "rank_variable"))


def _alone(table: Any, index: int, einsum: str) -> list[tuple[str, tuple[Any, ...]]]:
    """The leaf of an Einsum's own mapping in the mapper's table; nothing if it is not there."""
    column = f"{einsum}<SEP>mapping"
    if table is None or column not in table.columns:
        return []
    alone = table[column].iloc[index]
    return list(_leaves(alone, ())) if hasattr(alone, "nodes") else []


def _own(table: Any, index: int, einsum: str) -> list[tuple[str, Any, Any]]:
    """The loops of an Einsum's own mapping in the mapper's table."""
    nodes = [node for _, above in _alone(table, index, einsum) for node in above]
    return [_said(node) for node in nodes if hasattr(node, "rank_variable")]


def _said(loop: Any) -> tuple[str, Any, Any]:
    return type(loop).__name__, loop.rank_variable, loop.tile_shape


def _is_default(value: Any, field: Any) -> bool:
    try:
        return bool(value == field.get_default(call_default_factory=True))
    except (TypeError, ValueError):  # arrays and the like do not compare
        return False


def _number(value: Any, path: tuple[str | int, ...]) -> Any:
    """An exact number from any that Python, numpy and computer algebra systems have."""
    if getattr(value, "free_symbols", None):
        raise SpecError(
            f"the value {shown(str(value))} is a symbol, not a number",
            where=path_text(path),
            mend="give a number; in a mapping that AccelForge's mapper makes, Mappings.mapping(i)"
            " has them",
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
            mend="use numbers, strings, booleans, lists and dicts",
        )
    try:
        return exact(value)
    except BadNumber as error:
        raise SpecError(f"cannot use this number: {error}", where=path_text(path)) from None


def _key(key: object, path: tuple[str | int, ...]) -> str:
    if isinstance(key, str):
        return str(key)
    raise SpecError(f"the key {shown(key)} is no text", where=path_text(path))
