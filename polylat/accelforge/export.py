"""Convert a mapping to AccelForge's ``Mapping``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from polylat.errors import MissingExtraError, SpecError, UnsupportedError
from polylat.spec import Spec
from polylat.spec.writing.mapping_data import mapping_data

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
        its rank variables; or a Pipeline has a binding, which only AccelForge's branch
        ``pipeline`` has.
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
    nodes = mapping_data(spec.mapping, spec.workload)
    return classes.Mapping(nodes=[_object(node, classes) for node in nodes])


def _object(node: Mapping[str, Any], classes: Any) -> Any:
    """Convert a node; `classes` is AccelForge's module."""
    fields = {key: value for key, value in node.items() if key != "type"}
    if "nodes" in fields:
        fields["nodes"] = [_object(inner, classes) for inner in fields["nodes"]]
    variable = fields.get("rank_variable")
    if isinstance(variable, Mapping):
        raise UnsupportedError(
            f"a loop runs over {', '.join(sorted(set(variable.values())))}, of which an Einsum has"
            " several: AccelForge's set of rank variables is ambiguous",
            fix="rename the rank variables, so that the loop has one name in all Einsums",
        )
    if isinstance(variable, list):
        fields["rank_variable"] = set(variable)
    made = getattr(classes, node["type"])
    if "binding" in fields and "binding" not in made.model_fields:
        raise UnsupportedError(
            "the AccelForge that is installed has no binding of a Pipeline",
            fix="use its branch pipeline, or leave out the key binding",
        )
    return made(**fields)
