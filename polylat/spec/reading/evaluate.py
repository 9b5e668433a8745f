"""Evaluate a tree of plain values: check its shape, then its three parts."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from polylat.errors import SpecError
from polylat.spec.arch import Arch
from polylat.spec.functions import CustomFunctions
from polylat.spec.hoisting import merged
from polylat.spec.mapping import Branch
from polylat.spec.names import known_names
from polylat.spec.options import normalize_schedule
from polylat.spec.parts import SpecParts
from polylat.spec.reading.arch import build_arch, component_kinds
from polylat.spec.reading.branches import readings, refuse_branch_words, refuse_threads
from polylat.spec.reading.check import validate
from polylat.spec.reading.einsum_text import expand_einsum_texts
from polylat.spec.reading.expressions.fields import variables_table
from polylat.spec.reading.expressions.scope import Scope
from polylat.spec.reading.expressions.work import bounded_work
from polylat.spec.reading.identification import (
    identified_arch,
    identified_mapping,
    identified_workload,
)
from polylat.spec.reading.location import Location
from polylat.spec.reading.machine import MACHINE_KEYS
from polylat.spec.reading.mapping import build_mapping
from polylat.spec.reading.mapping_paths import check_paths
from polylat.spec.reading.recurrences import (
    WORKLOAD_KEYS,
    EarlierState,
    read_recurrences,
    with_recurrences,
)
from polylat.spec.reading.tree import Quoted, TreeMapping, TreeSequence
from polylat.spec.reading.variables import GivenVariables, find_unused, refuse_unused
from polylat.spec.reading.workload import EvaluatedWorkload, build_workload
from polylat.spec.source import SpecSource
from polylat.spec.workload import Workload

_OTHER_KEYS = (*MACHINE_KEYS, *WORKLOAD_KEYS)
"""The keys under ``schedule:`` that are no options of `analyze`."""


@dataclass
class EvaluatedMachine:
    """What trees that differ in their mapping only have in common; filled by the first of them.

    Parameters
    ----------
    workload
        The workload; None before the first evaluation.
    archs
        (Einsum, its Compute) per leaf → the architecture.
    """

    workload: EvaluatedWorkload | None = None
    archs: dict[tuple[tuple[str, str], ...], Arch] = field(default_factory=dict)


def evaluate(
    tree: Any,
    given: Mapping[str, Any] | None = None,
    *,
    functions: CustomFunctions | None = None,
    recurrences: object = None,
    main: str | None = None,
    machine: EvaluatedMachine | None = None,
) -> SpecParts:
    """Evaluate a tree to the parts of the `Spec` that it describes.

    Parameters
    ----------
    tree
        The input as a tree (see `polylat.spec.reading.tree`).
    given
        Variables given by the caller; they override the input's variables.
    functions
        Functions given by the caller.
    recurrences
        Recurrences given by the caller, in addition to those under ``schedule``.
    main
        The main file: messages give its lines without its name.
    machine
        As for `evaluate_with`.

    Returns
    -------
    SpecParts
        The evaluated input.

    Raises
    ------
    PolylatError
        If polylat cannot analyze the input, or the input does not use one of the given variables.
    """
    spec, variables = evaluate_with(
        tree,
        given or {},
        functions=functions,
        recurrences=recurrences,
        main=main,
        machine=machine,
    )
    refuse_unused([variables])
    return spec


@bounded_work()
def evaluate_machine(
    tree: Any, computes: Mapping[str, str], functions: CustomFunctions | None = None
) -> tuple[Workload, Arch]:
    """Evaluate the workload and the architecture of an input without a mapping.

    Parameters
    ----------
    tree
        The input as a tree, without the key ``mapping``.
    computes
        Einsum → name of the Compute that runs it.
    functions
        As for `evaluate`.

    Returns
    -------
    (Workload, Arch)
        The workload, and the architecture as these Einsums see it.

    Raises
    ------
    PolylatError
        If polylat cannot analyze the input.
    """
    leaves = [
        TreeMapping({"type": "Compute", "einsum": einsum, "component": compute}.items())
        for einsum, compute in computes.items()
    ]
    tree = TreeMapping([*tree.items(), ("mapping", TreeMapping([("nodes", TreeSequence(leaves))]))])
    tree = expand_einsum_texts(tree, Location(tree))
    root = Location(tree)
    model = validate(tree, root)
    own = functions or CustomFunctions()
    variables = _variables(model.variables, own, tree, root)
    workload = build_workload(model.workload, model.renames, variables, root)
    component_kinds(model.arch, root)
    arch = build_arch(model.arch, computes, workload, variables, model.schedule, root)
    return workload.workload, arch


@bounded_work()
def evaluate_with(
    tree: Any,
    given: Mapping[str, Any],
    *,
    functions: CustomFunctions | None = None,
    recurrences: object = None,
    main: str | None = None,
    rendered: Collection[str] = (),
    machine: EvaluatedMachine | None = None,
) -> tuple[SpecParts, GivenVariables]:
    """Evaluate a tree to the parts of a `Spec` and record which of the given variables it uses.

    Parameters
    ----------
    tree, given, functions, recurrences, main
        As for `evaluate`.
    rendered
        Names of the variables in the templates from which the tree was rendered.
    machine
        Workload and architecture of trees with the same keys but ``mapping``, evaluated once.

    Returns
    -------
    tuple of (SpecParts, GivenVariables)
        The evaluated input, and the use of the given variables.

    Raises
    ------
    PolylatError
        If polylat cannot analyze the input.
    """
    if not isinstance(tree, dict):
        raise SpecError(
            "the input must be a mapping with the keys workload, arch and mapping",
            fix="put these keys at the top level",
        )
    if "mapping" not in tree and "workload" in tree and "arch" in tree:
        raise SpecError(
            "the key 'mapping' is missing",
            fix="add the mapping to analyze; AccelForge's mapper can find one",
        )
    tree = with_recurrences(tree, recurrences)
    written = tree
    refuse_branch_words(tree, Location(tree, main=main))
    tree = expand_einsum_texts(tree, Location(tree, main=main))
    root = Location(tree, main=main)
    model = validate(tree, root)
    own = functions or CustomFunctions()
    variables = _variables({**model.variables, **given}, own, tree, root)
    refuse_threads(model.mapper, variables, root)
    machine = machine or EvaluatedMachine()
    workload = machine.workload
    if workload is None:
        workload = build_workload(model.workload, model.renames, variables, root)
        machine.workload = workload
    components = component_kinds(model.arch, root)
    mapping = build_mapping(model.mapping, workload.workload, components, variables, root)
    computes = {leaf.einsum: leaf.component for leaf in mapping.leaves()}
    mapped = workload.workload.restricted(computes)
    mapping = merged(mapping, mapped)
    states = read_recurrences(
        model.schedule.get("recurrences"),
        workload.workload,
        root / "schedule" / "recurrences",
    )
    workload = replace(workload, workload=mapped)
    key = tuple(computes.items())
    if key not in machine.archs:
        machine.archs[key] = build_arch(
            model.arch, computes, workload, variables, model.schedule, root
        )
    arch = machine.archs[key]
    check_paths(mapping, mapped, arch)
    if states:
        mapped, arch, mapping = _identified(mapped, arch, mapping, states)
    schedule = normalize_schedule(
        model.schedule,
        known_names(mapped, arch.order, mapping),
        other_keys=_OTHER_KEYS,
        where=str(root / "schedule"),
    )
    kept = {key: value for key, value in tree.items() if key not in ("mapping", "schedule")}
    if given:
        kept["variables"] = {**model.variables, **given}
    properties = {key: value for key, value in model.schedule.items() if key in _OTHER_KEYS}
    if states:
        texts = properties["recurrences"].items()
        properties["recurrences"] = {name: Quoted(text) for name, text in texts}
    taken = readings(written, model.arch, arch, properties)
    source = SpecSource(kept, properties, mapped, arch, taken, own)
    spec = SpecParts(mapped, arch, mapping, schedule, source)
    return spec, find_unused(given, model.variables, rendered, variables.table, tree, spec)


def _identified(
    workload: Workload, arch: Arch, mapping: Branch, states: Sequence[EarlierState]
) -> tuple[Workload, Arch, Branch]:
    """Identify earlier states with their states."""
    arch = identified_arch(arch, workload, mapping, states)
    workload = identified_workload(workload, states)
    mapping = merged(identified_mapping(mapping, states), workload)
    check_paths(mapping, workload, arch)
    return workload, arch, mapping


def _variables(
    given: Mapping[str, Any], functions: CustomFunctions, tree: Mapping[str, Any], root: Location
) -> Scope:
    """Return the names that all expressions may use: variables, then functions of the caller."""
    table: dict[str, Any] = {}
    scope = Scope(table, Scope(functions.names(tree)))
    table.update(variables_table(given, scope, root / "variables"))
    return scope
