"""Conversion from and to AccelForge's objects, and ranking of its mapper's results.

`polylat.analyze` and `polylat.roofline` accept AccelForge's ``Spec`` and ``Mappings`` directly.
This module offers the individual steps:

- `to_spec` converts such an object to a `polylat.Spec`;
- `from_spec` converts the mapping of a `polylat.Spec` to AccelForge's ``Mapping``;
- `rerank` ranks the mapper's Pareto set by overlapped latency;
- `best` returns the fastest mapping of the set with its report;
- `search` finds mappings by overlapped latency: AccelForge's mapper with the busy times of all
  ports among its objectives.

They require the extra ``polylat[accelforge]``, and use only public fields and attributes of
AccelForge, except for `search`, which extends its mapper and thus needs a version that it knows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.util import find_spec
from typing import Any

from polylat.accelforge.export import from_spec
from polylat.accelforge.fastest import Fastest, best
from polylat.accelforge.mapper_search import Search, search
from polylat.accelforge.rerank import rerank
from polylat.errors import MissingExtraError
from polylat.spec import Spec
from polylat.spec.functions import check_functions
from polylat.spec.reading.live.convert import convert_spec

__all__ = ["Fastest", "Search", "best", "from_spec", "rerank", "search", "to_spec"]


def to_spec(
    value: Any,
    index: int | None = None,
    *,
    functions: Mapping[str, Callable[..., Any]] | None = None,
    recurrences: Mapping[str, str] | None = None,
    **variables: Any,
) -> Spec:
    """Convert AccelForge's ``Spec`` or ``Mappings`` to a `polylat.Spec`.

    Parameters
    ----------
    value
        AccelForge's ``Spec``, with a mapping; or ``Mappings``, as returned by its mapper and by
        ``evaluate_mapping``.
    index
        Index of the mapping, from 0; may be omitted if there is only one.
    functions
        Functions that expressions may call, by name: see `polylat.load`.
    recurrences
        Tensors that are earlier states, such as ``{"H_prev": "H[t-1]"}``: see `polylat.load`.
    **variables
        Variables for expressions; they override those of the ``Spec``.

    Returns
    -------
    Spec
        Workload, architecture and mapping.

    Raises
    ------
    MissingExtraError
        AccelForge is not installed.
    SpecError
        The object has no mapping, was evaluated for one Einsum, or has symbols instead of numbers.
    UnsupportedError
        polylat does not model the input. One case is specific to objects: a loop over a set of rank
        variables of which an Einsum below has several, so that the set is ambiguous. ``Mappings``
        resolve this, a single ``Mapping`` may not.
    PolylatError
        Any other error that `polylat.load` raises for the same input as YAML.

    Notes
    -----
    The object and its YAML give the same `polylat.Spec`, and thus the same report.
    """
    if find_spec("accelforge") is None:
        raise MissingExtraError(
            "AccelForge is not installed",
            fix="pip install 'polylat[accelforge]' (it needs Python 3.12 or newer)",
        )
    return convert_spec(value, index, variables, check_functions(functions), recurrences)
