"""Constructors for the inputs of the examples."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, TypeAlias

import polylat

Data: TypeAlias = dict[str, Any]
Panel: TypeAlias = polylat.Report | polylat.Roofline
Panels: TypeAlias = Mapping[str, Panel]
"""Title → report or roofline that is drawn below it; from top to bottom."""


def memory(name: str, read: Any = "inf", write: Any = None, *, bits: int = 8, **more: Any) -> Data:
    """Return a memory with one port; throughputs are in actions of `bits` bits."""
    rates = {"read": read, "write": read if write is None else write}
    actions = [
        {"name": action, "throughput": rate, "bits_per_action": bits}
        for action, rate in rates.items()
    ]
    return {"type": "Memory", "name": name, "size": "inf", "actions": actions, **more}


def unit(name: str, throughput: Any = 1, fanout: int = 1, **more: Any) -> Data:
    """Return a Compute with `fanout` units, each with the given throughput."""
    return {
        "type": "Compute",
        "name": name,
        "spatial": [{"name": "X", "fanout": fanout, **more}],
        "actions": [{"name": "compute", "throughput": throughput}],
    }


def keeps(component: str, *tensors: str) -> Data:
    """Return a Storage node that holds the tensors."""
    return {"type": "Storage", "component": component, "tensors": list(tensors)}


def loop(variable: str, tile: int = 1) -> Data:
    """Return a Temporal loop over tiles of the given size."""
    return {"type": "Temporal", "rank_variable": variable, "tile_shape": tile}


def leaf(einsum: str, unit: str) -> Data:
    """Return a Compute node: an Einsum on a unit."""
    return {"type": "Compute", "einsum": einsum, "component": unit}


def split(kind: str, *branches: list[Data]) -> Data:
    """Return a split of the given kind."""
    return {"type": kind, "nodes": [{"type": "Nested", "nodes": nodes} for nodes in branches]}


def accesses(text: str) -> list[Data]:
    """Return the accesses of an Einsum such as ``c[m] = a[m] * b[H: m + r]``, its output last."""
    output, *inputs = re.findall(r"(\w+)\[(.*?)\]", text)
    return [
        {"name": name, "projection": projection(indices), "output": (name, indices) == output}
        for name, indices in (*inputs, output)
    ]


def projection(indices: str) -> Any:
    """Return a projection: rank variables, or ranks with their expressions."""
    if ":" not in indices:
        return re.findall(r"\w+", indices)
    ranks = (index.partition(":") for index in indices.split(","))
    return {rank.strip(): expression.strip() for rank, _, expression in ranks}


def spec(
    nodes: list[Data],
    arch: list[Data],
    *einsums: str,
    copy: bool = False,
    schedule: Data | None = None,
    **sizes: int,
) -> polylat.Spec:
    """Return a mapping of Einsums e1, e2, … (values of 8 bits) with the given rank sizes.

    `schedule` has properties of the machine, such as ``{"rigid": ["mac"]}``.
    """
    workload = {
        "iteration_space_shape": {name: f"0 <= {name} < {size}" for name, size in sizes.items()},
        "bits_per_value": {"All": 8},
        "einsums": [
            {"name": f"e{n}", "tensor_accesses": accesses(text), "is_copy_operation": copy}
            for n, text in enumerate(einsums, start=1)
        ],
    }
    return polylat.Spec.from_dict(
        {
            "workload": workload,
            "arch": {"nodes": arch},
            "mapping": {"nodes": nodes},
            "schedule": schedule or {},
        }
    )


TWO = ("b[m] = a[m]", "c[m] = b[m]")
"""Two element-wise Einsums."""


def two_units(first: Any = "1/2", second: Any = "1/3") -> list[Data]:
    """Return an architecture with one unit per Einsum, where only computation takes time."""
    return [memory("DRAM"), memory("SRAM"), unit("mac1", first), unit("mac2", second)]


def stages(kind: str) -> list[Data]:
    """Return a split of both Einsums, each with its own loop over m."""
    return [
        keeps("DRAM", "a", "c"),
        keeps("SRAM", "b"),
        split(kind, [loop("m"), leaf("e1", "mac1")], [loop("m"), leaf("e2", "mac2")]),
    ]


def tiled(kind: str, *kept: str, backing: str = "ac") -> list[Data]:
    """Return a split of both Einsums in a loop over m; SRAM keeps tiles of `kept`."""
    return [
        keeps("DRAM", *backing),
        loop("m"),
        keeps("SRAM", *kept),
        split(kind, [leaf("e1", "mac1")], [leaf("e2", "mac2")]),
    ]


def full(spec: polylat.Spec, **options: Any) -> polylat.Report:
    """Analyze at granularity ``"full"``."""
    return polylat.analyze(spec, **{"granularity": "full", **options})
