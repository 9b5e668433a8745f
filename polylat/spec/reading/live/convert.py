"""Convert AccelForge's ``Spec`` or ``Mappings`` to a `Spec`."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from functools import cached_property
from typing import Any

from polylat.errors import SpecError
from polylat.spec import Spec
from polylat.spec.arch import Arch
from polylat.spec.functions import CustomFunctions
from polylat.spec.reading.branches import refuse_threads
from polylat.spec.reading.evaluate import EvaluatedMachine, evaluate, evaluate_machine
from polylat.spec.reading.expressions.scope import Scope
from polylat.spec.reading.live.objects import LiveReader
from polylat.spec.reading.live.paths import leaves_below, loop_key, single_einsum_leaves
from polylat.spec.reading.live.shared_loops import SharedLoops
from polylat.spec.reading.location import Location
from polylat.spec.reading.plain_data import to_tree
from polylat.spec.reading.suggest import format_value
from polylat.spec.reading.tree import TreeMapping
from polylat.spec.workload import Workload

Functions = Mapping[str, Callable[..., Any]]
"""Name → function that expressions may call."""

_MACHINE = ("variables", "workload", "renames", "arch")


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
    value: object,
    index: int | None = None,
    given: Mapping[str, Any] | None = None,
    functions: Functions | None = None,
    recurrences: Mapping[str, str] | None = None,
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
    functions
        Functions that its expressions may call, in addition to those that the object has in
        memory. (Files of functions are not run.)
    recurrences
        Tensors that are earlier states, as under ``schedule: recurrences:`` of a file.

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
        return MappingsConverter(live, given, functions, recurrences).spec(index)
    if is_spec(live) and index is None:
        return _Machine(live, given, functions, recurrences).with_mapping(live.mapping)
    if is_spec(live):
        raise SpecError("a Spec has a single mapping: it takes no index", fix="omit the index")
    raise SpecError(
        f"cannot analyze a {type(value).__name__}",
        fix="give a polylat.Spec, as polylat.load makes it, or AccelForge's Spec or Mappings",
    )


class MappingsConverter:
    """Converts the mappings of AccelForge's ``Mappings``: what they share is converted once.

    Parameters
    ----------
    mappings
        AccelForge's ``Mappings``.
    given, functions, recurrences
        As for `convert_spec`.
    """

    def __init__(
        self,
        mappings: Any,
        given: Mapping[str, Any] | None = None,
        functions: Functions | None = None,
        recurrences: Mapping[str, str] | None = None,
    ) -> None:
        self._mappings = mappings
        self._machine = _Machine(mappings.spec, given, functions, recurrences)

    def spec(self, index: int | None = None) -> Spec:
        """Convert one mapping.

        Parameters
        ----------
        index
            Index of the mapping; may be omitted if there is only one.

        Returns
        -------
        Spec
            The mapping with workload and architecture.

        Raises
        ------
        PolylatError
            As raised by `convert_spec`.
        """
        live = self._mappings
        number = _mapping_number(len(live), index)
        mapping = live.spec.mapping if _is_spec_mapping(live, number) else live.mapping(number)
        return self._machine.with_mapping(mapping, live.data, number)


def convert_machine(spec: Any, computes: Mapping[str, str]) -> tuple[Workload, Arch]:
    """Convert the workload and the architecture of AccelForge's ``Spec``.

    Parameters
    ----------
    spec
        AccelForge's ``Spec``; it needs no mapping.
    computes
        Einsum → name of the Compute that runs it.

    Returns
    -------
    (Workload, Arch)
        The workload, and the architecture as these Einsums see it.

    Raises
    ------
    PolylatError
        As raised by `convert_spec`.
    """
    machine = _Machine(spec)
    return evaluate_machine(machine.parts, computes, machine.functions)


class _Machine:
    """All parts of AccelForge's ``Spec`` but the mapping."""

    def __init__(
        self,
        spec: Any,
        given: Mapping[str, Any] | None = None,
        functions: Functions | None = None,
        recurrences: Mapping[str, str] | None = None,
    ) -> None:
        self._spec = spec
        self._recurrences = recurrences
        config = getattr(spec, "config", None)
        listed = getattr(config, "expression_custom_functions", None) or ()
        own = {function.__name__: function for function in listed if callable(function)}
        both = {**own, **(functions or {})}
        # Do not keep the object without need.
        self.functions = CustomFunctions(both, spec) if both else None
        self._given = to_tree(given or {})
        # Which of the given variables the input uses is known after a complete evaluation only.
        self._evaluated = None if given else EvaluatedMachine()

    @cached_property
    def parts(self) -> TreeMapping:
        """The parts as a tree."""
        no_loops = SharedLoops(self._spec, self._spec.mapping)
        return TreeMapping(
            (name, LiveReader(name, no_loops).value(getattr(self._spec, name), (name,)))
            for name in _MACHINE
        )

    def with_mapping(self, mapping: Any, table: Any = None, index: int = 0) -> Spec:
        """Convert a mapping, which may be a row of the mapper's table."""
        if not list(mapping.nodes):
            raise SpecError(
                "the Spec has no mapping",
                where="mapping",
                fix="set spec.mapping, or have AccelForge's mapper find one: "
                "spec.map_workload_to_arch() gives Mappings",
            )
        refuse_threads(getattr(self._spec, "mapper", None), Scope({}), Location(TreeMapping()))
        shared_loops = SharedLoops(self._spec, mapping, table, index)
        tree = TreeMapping(self.parts.items())
        tree["mapping"] = LiveReader("mapping", shared_loops).value(mapping, ("mapping",))
        return Spec.from_parts(
            evaluate(
                tree,
                self._given,
                functions=self.functions,
                recurrences=self._recurrences,
                machine=self._evaluated,
            )
        )


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
            f"an index must be a whole number, not {format_value(index)}",
            fix=f"use 0 … {count - 1}",
        )
    if not -count <= index < count:
        raise SpecError(f"there is no mapping {index}", fix=f"use 0 … {count - 1}")
    return operator.index(index) % count


def _is_spec_mapping(mappings: Any, index: int) -> bool:
    """Whether one of the Mappings is the evaluation of the Spec's own mapping.

    AccelForge stores one mapping per Einsum and joins them on request. For a mapping that its
    mapper found, the joined mapping is the one to use. For the result of ``evaluate_mapping`` it
    differs from the mapping that was evaluated: a holder above a split becomes one holder per
    Einsum, and Pipelines become Sequential. The Spec's own mapping is used then.
    """
    wholes = list(leaves_below(mappings.spec.mapping, ()))
    for einsum, nodes in wholes:
        einsums = (e for e in mappings.spec.workload.einsums if e.name == einsum)
        tensors = {access.name for e in einsums for access in e.tensor_accesses}
        single = single_einsum_leaves(mappings.data, index, einsum)
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
            found.append(loop_key(node))
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
