"""Evaluate a tree of plain values: check its shape, then its three parts."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from polylat.errors import SpecError
from polylat.spec.functions import CustomFunctions
from polylat.spec.hoisting import merged
from polylat.spec.names import known_names
from polylat.spec.options import normalize_schedule
from polylat.spec.parts import SpecParts
from polylat.spec.reading.arch import build_arch, component_kinds
from polylat.spec.reading.branches import readings, refuse_branch_words, refuse_threads
from polylat.spec.reading.check import validate
from polylat.spec.reading.einsum_text import expand_einsum_texts
from polylat.spec.reading.expressions.fields import variables_table
from polylat.spec.reading.expressions.scope import Scope
from polylat.spec.reading.location import Location
from polylat.spec.reading.machine import MACHINE_KEYS
from polylat.spec.reading.mapping import build_mapping
from polylat.spec.reading.mapping_paths import check_paths
from polylat.spec.reading.variables import GivenVariables, find_unused, refuse_unused
from polylat.spec.reading.workload import build_workload
from polylat.spec.source import SpecSource


def evaluate(
    tree: Any,
    given: Mapping[str, Any] | None = None,
    *,
    functions: CustomFunctions | None = None,
    main: str | None = None,
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
    main
        The main file: messages give its lines without its name.

    Returns
    -------
    SpecParts
        The evaluated input.

    Raises
    ------
    PolylatError
        If polylat cannot analyze the input, or the input does not use one of the given variables.
    """
    spec, variables = evaluate_with(tree, given or {}, functions=functions, main=main)
    refuse_unused([variables])
    return spec


def evaluate_with(
    tree: Any,
    given: Mapping[str, Any],
    *,
    functions: CustomFunctions | None = None,
    main: str | None = None,
    rendered: Collection[str] = (),
) -> tuple[SpecParts, GivenVariables]:
    """Evaluate a tree to the parts of a `Spec` and record which of the given variables it uses.

    Parameters
    ----------
    tree, given, functions, main
        As for `evaluate`.
    rendered
        Names of the variables in the templates from which the tree was rendered.

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
    written = tree
    refuse_branch_words(tree, Location(tree, main=main))
    tree = expand_einsum_texts(tree, Location(tree, main=main))
    root = Location(tree, main=main)
    model = validate(tree, root)
    table: dict[str, Any] = {}
    own = functions or CustomFunctions()
    variables = Scope(table, Scope(own.names(tree)))
    table.update(variables_table({**model.variables, **given}, variables, root / "variables"))
    refuse_threads(model.mapper, variables, root)
    workload = build_workload(model.workload, model.renames, variables, root)
    components = component_kinds(model.arch, root)
    mapping = build_mapping(model.mapping, workload.workload, components, variables, root)
    computes = {leaf.einsum: leaf.component for leaf in mapping.leaves()}
    mapped = workload.workload.restricted(computes)
    mapping = merged(mapping, mapped)
    workload = replace(workload, workload=mapped)
    arch = build_arch(model.arch, computes, workload, variables, model.schedule, root)
    check_paths(mapping, mapped, arch)
    schedule = normalize_schedule(
        model.schedule,
        known_names(mapped, arch.order, mapping),
        machine_keys=MACHINE_KEYS,
        where=str(root / "schedule"),
    )
    kept = {key: value for key, value in tree.items() if key not in ("mapping", "schedule")}
    if given:
        kept["variables"] = {**model.variables, **given}
    machine = {key: value for key, value in model.schedule.items() if key in MACHINE_KEYS}
    taken = readings(written, model.arch, arch, machine)
    source = SpecSource(kept, machine, mapped, arch, taken, own)
    spec = SpecParts(mapped, arch, mapping, schedule, source)
    return spec, find_unused(given, model.variables, rendered, table, tree, spec)
