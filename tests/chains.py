"""Mappings with a loop of any length."""

from __future__ import annotations

from collections.abc import Sequence

import polylat
from builders import memory


def chain(
    rows: int,
    widths: Sequence[int] = (3, 3, 3),
    *,
    read: int = 16,
    write: int = 16,
    bits: int = 8,
) -> polylat.Spec:
    """A chain of matrix products with resident weights, one Pipeline stage each.

    The tensors have rows of the given widths; `read` and `write` are throughputs of the SRAM.
    """
    stages = len(widths) - 1
    branches = [
        {
            "type": "Nested",
            "nodes": [
                {"type": "Storage", "tensors": [f"w{i}"], "component": "SRAM"},
                {"type": "Temporal", "rank_variable": f"n{i}", "tile_shape": 1},
                {"type": "Temporal", "rank_variable": f"n{i + 1}", "tile_shape": 1},
                {"type": "Compute", "einsum": f"t{i + 1}", "component": "mac"},
            ],
        }
        for i in range(stages)
    ]
    outer = ["t0", f"t{stages}", *(f"w{i}" for i in range(stages))]
    inner = [f"t{i}" for i in range(1, stages)]
    computing = [{"name": "compute", "throughput": 1}]
    return polylat.Spec.from_dict(
        {
            "workload": {
                "rank_sizes": {"M": rows} | {f"N{i}": width for i, width in enumerate(widths)},
                "bits_per_value": {"All": bits},
                "einsums": [
                    f"t{i + 1}[m, n{i + 1}] = t{i}[m, n{i}] * w{i}[n{i}, n{i + 1}]"
                    for i in range(stages)
                ],
            },
            "arch": {
                "nodes": [
                    memory("DRAM", 8, 8, size="inf"),
                    memory("SRAM", read, write, size="inf"),
                    {"type": "Compute", "name": "mac", "actions": computing},
                ]
            },
            "mapping": {
                "nodes": [
                    {"type": "Storage", "tensors": outer, "component": "DRAM"},
                    {"type": "Temporal", "rank_variable": "m", "tile_shape": 1},
                    {"type": "Storage", "tensors": inner, "component": "SRAM"},
                    {"type": "Pipeline", "nodes": branches},
                ]
            },
        }
    )


def drifting(rows: int) -> polylat.Spec:
    """A producer and its write-back in the background, which takes longer and falls behind."""
    computing = [{"name": "compute", "throughput": 1}]
    return polylat.Spec.from_dict(
        {
            "workload": {
                "rank_sizes": {"M": rows},
                "bits_per_value": {"All": 1},
                "einsums": ["b[m] = a[m]", "c[m] = b[m]"],
            },
            "arch": {
                "nodes": [
                    memory("DRAM", "inf", "1/7", size="inf"),
                    memory("SRAM", "inf", "inf", size="inf"),
                    {"type": "Compute", "name": "mac", "actions": computing},
                ]
            },
            "mapping": {
                "nodes": [
                    {"type": "Storage", "tensors": ["a", "b", "c"], "component": "DRAM"},
                    {"type": "Temporal", "rank_variable": "m", "tile_shape": 1},
                    {"type": "Storage", "tensors": ["b"], "component": "SRAM"},
                    {
                        "type": "Sequential",
                        "nodes": [
                            {"type": "Compute", "einsum": einsum, "component": "mac"}
                            for einsum in ("b", "c")
                        ],
                    },
                ]
            },
        }
    )
