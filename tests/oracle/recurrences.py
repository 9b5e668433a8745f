"""Input: earlier states that have names of their own, ``schedule: recurrences``.

``{H_prev: "H[t-1]"}`` says that the tensor H_prev is H one step before. Its ranks are H's ranks in
order, so that ``{T: t, D: d}`` of H_prev is ``{T: t - 1, D: d}`` of H. H_prev itself is removed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

Data = Mapping[str, Any]
Projection = dict[str, str]

EARLIER = re.compile(r"\s*(\w+)\s*\[(.*)\]\s*")
TERM = re.compile(r"\s*([A-Za-z_]\w*)\s*(?:([+-])\s*(\d+))?\s*")


def without_names(data: Data) -> Data:
    """Plain data in which every state has one name only."""
    named = (data.get("schedule") or {}).get("recurrences") or {}
    if not named:
        return data
    einsums = data["workload"]["einsums"]
    states = {name: read_state(text, einsums) for name, text in named.items()}
    einsums = [
        {
            **einsum,
            "tensor_accesses": [renamed(access, states) for access in einsum["tensor_accesses"]],
        }
        for einsum in einsums
    ]
    names = {name: state for name, (state, _) in states.items()}
    return {
        **data,
        "workload": {**data["workload"], "einsums": einsums},
        "mapping": {**data["mapping"], "nodes": held(data["mapping"]["nodes"], names)},
    }


def projection_of(access: Data) -> Projection:
    """Expressions by rank; a list of variables is a projection onto ranks of the same name."""
    projection = access["projection"]
    if isinstance(projection, Mapping):
        return {rank: str(expression) for rank, expression in projection.items()}
    return {variable.upper(): variable for variable in projection}


def read_state(text: str, einsums: Iterable[Data]) -> tuple[str, dict[str, int]]:
    """The tensor that a name stands for, and what it adds to the index of each of its ranks.

    A term names a rank by the variable that indexes it where the tensor is computed, or by its
    place if there is one for every rank.
    """
    match = EARLIER.fullmatch(text)
    if match is None:
        raise ValueError(f"not an earlier state: {text}")
    tensor, terms = match[1], match[2].split(",")
    output = next(
        projection_of(access)
        for einsum in einsums
        for access in einsum["tensor_accesses"]
        if access["name"] == tensor and access.get("output")
    )
    shifts = dict.fromkeys(output, 0)
    for place, term in enumerate(terms):
        found = TERM.fullmatch(term)
        if found is None:
            raise ValueError(f"not a step before: {term}")
        if len(terms) == len(shifts):
            rank = list(shifts)[place]
        else:
            rank = next(
                rank
                for rank, expression in output.items()
                if rank.lower() == found[1].lower() or expression.strip() == found[1]
            )
        shifts[rank] = int(f"{found[2] or '+'}{found[3] or 0}")
    return tensor, shifts


def renamed(access: Data, states: Mapping[str, tuple[str, dict[str, int]]]) -> Data:
    """An access to an earlier state as an access to the state, with the shift composed."""
    if access["name"] not in states:
        return access
    tensor, shifts = states[access["name"]]
    expressions = projection_of(access).values()
    projection = {
        rank: f"({expression}) + {shift}"
        for (rank, shift), expression in zip(shifts.items(), expressions, strict=True)
    }
    return {**access, "name": tensor, "projection": projection}


def held(nodes: Iterable[Data], names: Mapping[str, str]) -> list[Data]:
    """Nodes that name the states; two Storages of one that stand together are one holder."""
    result: list[Data] = []
    together: set[tuple[str, str]] = set()
    for node in nodes:
        if node["type"] not in ("Storage", "Toll"):
            together = set()
            inner = {"nodes": held(node["nodes"], names)} if "nodes" in node else {}
            result.append({**node, **inner})
            continue
        tensors = dict.fromkeys(names.get(tensor, tensor) for tensor in node["tensors"])
        kept = [tensor for tensor in tensors if (node["component"], tensor) not in together]
        together |= {(node["component"], tensor) for tensor in kept}
        if kept or not tensors:
            result.append({**node, "tensors": kept})
    return result
