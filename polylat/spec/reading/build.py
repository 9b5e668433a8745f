"""From a tree of plain values to a `Spec`: check its shape, then evaluate it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from polylat.errors import SpecError
from polylat.spec import Spec
from polylat.spec.options import normalize_schedule
from polylat.spec.reading.arch import build_arch, kinds
from polylat.spec.reading.check import check
from polylat.spec.reading.components import variables_table
from polylat.spec.reading.einsum_text import expand
from polylat.spec.reading.given import Given, refuse_unused, sort_out
from polylat.spec.reading.mapping import build_mapping, check_paths
from polylat.spec.reading.scope import Scope
from polylat.spec.reading.tree import At
from polylat.spec.reading.workload import build_workload


def build(tree: Any, given: Mapping[str, Any] | None = None, *, main: str | None = None) -> Spec:
    """The `Spec` that a tree describes.

    Parameters
    ----------
    tree
        The input as a tree (see `polylat.spec.reading.tree`).
    given
        Variables given by the caller: they override the input's own.
    main
        The file whose lines messages give without its name.

    Raises
    ------
    PolylatError
        It is no input that polylat can analyse, or does not use one of the variables given.
    """
    spec, variables = build_with(tree, given or {}, main=main)
    refuse_unused([variables])
    return spec


def build_with(
    tree: Any,
    given: Mapping[str, Any],
    *,
    main: str | None = None,
    rendered: Collection[str] = (),
) -> tuple[Spec, Given]:
    """The `Spec` that a tree describes, and which of the variables given it does not use.

    Parameters
    ----------
    tree, given, main
        As for `build`.
    rendered
        Names of variables in the templates that the tree comes from.
    """
    if not isinstance(tree, dict):
        raise SpecError(
            "the input must be a mapping with the keys workload, arch and mapping",
            mend="put them at the top",
        )
    if "mapping" not in tree and "workload" in tree and "arch" in tree:
        raise SpecError(
            "the key 'mapping' is missing",
            mend="add the mapping to analyse; AccelForge's mapper can find one",
        )
    tree = expand(tree, At(tree, main=main))
    root = At(tree, main=main)
    model = check(tree, root)
    table: dict[str, Any] = {}
    variables = Scope(table)
    table.update(variables_table({**model.variables, **given}, variables, root / "variables"))
    workload = build_workload(model.workload, model.renames, variables, root)
    components = kinds(model.arch, root)
    mapping = build_mapping(model.mapping, workload.workload, components, variables, root)
    computes = {leaf.einsum: leaf.component for leaf in mapping.leaves()}
    arch = build_arch(model.arch, computes, workload, variables, root)
    check_paths(mapping, workload.workload, arch)
    schedule = normalize_schedule(
        model.schedule,
        tensors=workload.workload.tensors,
        components=arch.order,
        where=str(root / "schedule"),
    )
    spec = Spec(workload.workload, arch, mapping, schedule)
    return spec, sort_out(given, model.variables, rendered, table, tree, spec)
