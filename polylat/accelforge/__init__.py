"""At home in AccelForge: its live objects in and out, and its mapper's results ranked anew.

`polylat.analyze` and `polylat.roofline` take AccelForge's ``Spec`` and ``Mappings`` as they are.
This module has the steps by themselves:

- `to_spec`: what polylat makes of such an object;
- `from_spec`: a mapping of polylat's as AccelForge's ``Mapping``;
- `rerank`: the mapper's Pareto set by overlapped latency.

They need the extra ``polylat[accelforge]``. Only public fields and attributes of AccelForge are
used.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

from polylat.accelforge.export import from_spec
from polylat.accelforge.rerank import rerank
from polylat.errors import MissingExtraError
from polylat.spec import Spec
from polylat.spec.reading.live import spec_of

__all__ = ["from_spec", "rerank", "to_spec"]


def to_spec(value: Any, index: int | None = None, **variables: Any) -> Spec:
    """What an object of AccelForge describes, as a `polylat.Spec`.

    Parameters
    ----------
    value
        AccelForge's ``Spec``, with a mapping; or ``Mappings``, as its mapper and its
        ``evaluate_mapping`` return them.
    index
        Which of the mappings, from 0 on; may be left out if there is only one.
    **variables
        Variables for expressions; they override the Spec's own.

    Raises
    ------
    MissingExtraError
        AccelForge is not installed.
    SpecError
        The object is no input: it has no mapping, or was evaluated for one Einsum, or holds symbols
        where numbers belong.
    UnsupportedError
        polylat does not model it. One case arises with objects only: a loop over a set of rank
        variables of which an Einsum below has several, so that the set does not say which one the
        loop is for it. ``Mappings`` say it, a ``Mapping`` by itself may not.
    PolylatError
        What else `polylat.load` raises for the same input as YAML.

    Notes
    -----
    The object and its YAML give the same `polylat.Spec`, and the same report.
    """
    if find_spec("accelforge") is None:
        raise MissingExtraError(
            "AccelForge is not installed",
            mend="pip install 'polylat[accelforge]' (it needs Python 3.12 or newer)",
        )
    return spec_of(value, index, variables)
