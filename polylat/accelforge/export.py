"""Convert a mapping to AccelForge's ``Mapping``."""

from __future__ import annotations

from typing import Any

from polylat.errors import MissingExtraError, SpecError, UnsupportedError
from polylat.spec import Spec
from polylat.spec.mapping import Branch, Compute, Loop, Pipeline, Spatial, Storage, Temporal, Toll
from polylat.spec.workload import Workload

__all__ = ["from_spec"]


def from_spec(spec: Spec) -> Any:
    """Convert the mapping of a `polylat.Spec` to AccelForge's ``Mapping``.

    Assign it to ``spec.mapping`` of AccelForge's ``Spec`` to evaluate or draw a mapping that was
    changed in polylat.

    Parameters
    ----------
    spec
        The input. AccelForge's mapping cannot represent its options (``schedule``).

    Returns
    -------
    accelforge.Mapping
        The same tree; `to_spec` converts it back to the same mapping. Reservations, which
        AccelForge's mapper adds and its model does not need, are not restored.

    Raises
    ------
    SpecError
        `spec` is not a `polylat.Spec`.
    MissingExtraError
        AccelForge is not installed.
    UnsupportedError
        AccelForge's ``Mapping`` cannot represent the mapping: a loop that Einsums share under
        different names becomes a loop over a set, which is ambiguous if an Einsum has several of
        its rank variables.
    """
    if not isinstance(spec, Spec):
        raise SpecError(
            f"cannot convert a {type(spec).__name__} to a mapping",
            fix="give a polylat.Spec, as returned by polylat.load and to_spec",
        )
    try:
        from accelforge import mapping as classes
    except ImportError as error:
        raise MissingExtraError(
            "AccelForge is not installed",
            fix="pip install 'polylat[accelforge]' (it needs Python 3.12 or newer)",
        ) from error
    return classes.Mapping(nodes=_nodes(spec.mapping, spec.workload, classes))


def _nodes(branch: Branch, workload: Workload, classes: Any) -> list[Any]:
    """Convert the nodes of a branch and its end; `classes` is AccelForge's module."""
    nodes = []
    for node in branch.nodes:
        match node:
            case Temporal():
                variable = _rank_variable(node, workload)
                nodes.append(classes.Temporal(rank_variable=variable, tile_shape=node.tile_shape))
            case Spatial():
                nodes.append(
                    classes.Spatial(
                        rank_variable=_rank_variable(node, workload),
                        tile_shape=node.tile_shape,
                        component=node.component,
                        name=node.dimension,
                    )
                )
            case Storage():
                nodes.append(classes.Storage(component=node.component, tensors=list(node.tensors)))
            case Toll():
                nodes.append(classes.Toll(component=node.component, tensors=list(node.tensors)))
    end = branch.end
    if isinstance(end, Compute):
        return [*nodes, classes.Compute(einsum=end.einsum, component=end.component)]
    split = classes.Pipeline if isinstance(end, Pipeline) else classes.Sequential
    stages = [classes.Nested(nodes=_nodes(inner, workload, classes)) for inner in end.branches]
    return [*nodes, split(nodes=stages)]


def _rank_variable(loop: Loop, workload: Workload) -> str | set[str]:
    """Rank variable of a loop, or the set of them for a loop that Einsums share."""
    if not loop.by_einsum:
        return loop.rank_variable
    names = {variable for _, variable in loop.by_einsum}
    for einsum, variable in loop.by_einsum:
        others = names.intersection(workload.einsum(einsum).rank_variables) - {variable}
        if others:
            raise UnsupportedError(
                f"the loop runs over {variable!r} for {einsum!r}, which also has {min(others)!r}:"
                " AccelForge's set of rank variables is ambiguous",
                where=loop.where or None,
                fix="rename the rank variables, so that the loop has one name in all Einsums",
            )
    return names
