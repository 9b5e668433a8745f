"""From a mapping of polylat's to AccelForge's."""

from __future__ import annotations

from typing import Any

from polylat.errors import MissingExtraError, SpecError, UnsupportedError
from polylat.spec import Spec
from polylat.spec.mapping import Branch, Compute, Loop, Pipeline, Spatial, Storage, Temporal, Toll
from polylat.spec.workload import Workload

__all__ = ["from_spec"]


def from_spec(spec: Spec) -> Any:
    """The mapping of a `polylat.Spec` as AccelForge's ``Mapping``.

    Set it as ``spec.mapping`` of AccelForge's ``Spec``, to evaluate a mapping that was changed here
    or to draw it.

    Parameters
    ----------
    spec
        The input. Its options (``schedule``) have no place in AccelForge's mapping.

    Returns
    -------
    accelforge.Mapping
        The same tree: `to_spec` makes the same mapping of it again. Reservations, which
        AccelForge's mapper adds and its model does not need, are not restored.

    Raises
    ------
    SpecError
        It is no `polylat.Spec`.
    MissingExtraError
        AccelForge is not installed.
    UnsupportedError
        AccelForge's ``Mapping`` cannot hold it: a loop that is shared by Einsums under different
        names is a loop over a set there, which does not say which is whose if an Einsum has
        several.
    """
    if not isinstance(spec, Spec):
        raise SpecError(
            f"cannot make a mapping of a {type(spec).__name__}",
            mend="give a polylat.Spec, as polylat.load and to_spec make it",
        )
    try:
        from accelforge import mapping as theirs
    except ImportError as error:
        raise MissingExtraError(
            "AccelForge is not installed",
            mend="pip install 'polylat[accelforge]' (it needs Python 3.12 or newer)",
        ) from error
    return theirs.Mapping(nodes=_run(spec.mapping, spec.workload, theirs))


def _run(branch: Branch, workload: Workload, theirs: Any) -> list[Any]:
    """The nodes of a branch, one below the other."""
    nodes = []
    for node in branch.nodes:
        match node:
            case Temporal():
                variable = _variable(node, workload)
                nodes.append(theirs.Temporal(rank_variable=variable, tile_shape=node.tile_shape))
            case Spatial():
                nodes.append(
                    theirs.Spatial(
                        rank_variable=_variable(node, workload),
                        tile_shape=node.tile_shape,
                        component=node.component,
                        name=node.dimension,
                    )
                )
            case Storage():
                nodes.append(theirs.Storage(component=node.component, tensors=list(node.tensors)))
            case Toll():
                nodes.append(theirs.Toll(component=node.component, tensors=list(node.tensors)))
    end = branch.end
    if isinstance(end, Compute):
        return [*nodes, theirs.Compute(einsum=end.einsum, component=end.component)]
    made = theirs.Pipeline if isinstance(end, Pipeline) else theirs.Sequential
    stages = [theirs.Nested(nodes=_run(inner, workload, theirs)) for inner in end.branches]
    return [*nodes, made(nodes=stages)]


def _variable(loop: Loop, workload: Workload) -> str | set[str]:
    if not loop.by_einsum:
        return loop.rank_variable
    names = {variable for _, variable in loop.by_einsum}
    for einsum, variable in loop.by_einsum:
        others = names.intersection(workload.einsum(einsum).rank_variables) - {variable}
        if others:
            raise UnsupportedError(
                f"the loop is one over {variable!r} for {einsum!r}, which has {min(others)!r}, too:"
                " AccelForge's set of rank variables does not say which of them is meant",
                where=loop.where or None,
                mend="rename rank variables, so that one name is that of the loop for all Einsums",
            )
    return names
