"""Base classes of the models of the input."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict


class InputModel(BaseModel):
    """Base class: an unknown key is an error.

    Building the schemas is deferred and done once for the whole input, which is faster than one
    schema per model.
    """

    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True, defer_build=True)


class NodeModel(InputModel):
    """A node of the architecture or of the mapping, with its type."""

    type: Any = None


def node_type(value: Any) -> str | None:
    """Return the type of a node.

    Parameters
    ----------
    value
        A model, or the data of one with a key ``type``.

    Returns
    -------
    str or None
        Name of the type without the leading ``!``; None if there is none.
    """
    if isinstance(value, BaseModel):
        return type(value).__name__.removesuffix("Model")
    kind = value.get("type") if isinstance(value, Mapping) else None
    return kind.removeprefix("!") if isinstance(kind, str) else None
