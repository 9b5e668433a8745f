"""Options of `analyze` as plain data, as the key ``schedule`` has them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from polylat.spec.staged import ALL

__all__ = ["schedule_data"]


def schedule_data(options: Mapping[str, Any], tensors: Collection[str]) -> dict[str, Any]:
    """Return options as plain data.

    Parameters
    ----------
    options
        Name → normal form of the value.
    tensors
        The names of all tensors.

    Returns
    -------
    dict
        The same options; `polylat.spec.options.normalize_schedule` returns the normal forms.
    """
    data = dict(options)
    if "pipelined" in data:
        data["pipelined"] = list(data["pipelined"])
    for name in ("background", "staged"):
        if name in data:
            data[name] = [_pair(t, c, {*tensors, ALL}) for t, c in data[name]]
    return data


def _pair(
    tensor: str | None, component: str | None, taken: Collection[str]
) -> str | dict[str, str]:
    """Return a holder as text, or as a mapping where the text would mean something else."""
    if tensor is None and component is None:
        return ALL
    given = {"tensor": tensor, "component": component}
    names = {key: name for key, name in given.items() if name is not None}
    ambiguous = component in taken if tensor is None else tensor == ALL
    if ambiguous or any("@" in name for name in names.values()):
        return names
    return "@".join(names.values())
