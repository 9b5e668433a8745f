"""Cascades to measure on: three fused matrix multiplications, as large as one likes."""

from __future__ import annotations

from typing import Any

from polylat.spec import Spec

__all__ = ["EXTENT", "ITERATIONS_PER_ROW", "cascade"]

EXTENT = 10
ITERATIONS_PER_ROW = 3 * EXTENT * EXTENT


def cascade(rows: int, *, pipelined: bool = True) -> Spec:
    """Three matrix multiplications of which the first two share a loop over the rows.

    At granularity ``"full"`` it has `rows` × `ITERATIONS_PER_ROW` tile iterations. The weights of
    the second are fetched into the SRAM for every row, ahead of their use if they can be; the
    second's output is written from the SRAM to the DRAM too.

    Parameters
    ----------
    rows
        Size of the rank that all three share.
    pipelined
        Whether the splits are Pipelines, else Sequential.
    """
    split = "Pipeline" if pipelined else "Sequential"
    e1 = [_loop("n0"), _loop("n1"), _compute("e1")]
    e2 = [_loop("n1"), _loop("n2"), _compute("e2")]
    e3 = [_loop("m"), _loop("n2"), _loop("n3"), _compute("e3")]
    fused = [
        _storage("DRAM", "w1", "i1", "w2"),
        _loop("m"),
        _storage("SRAM", "o1", "w2"),
        {"type": split, "nodes": [_nested(e1), _nested(e2)]},
    ]
    tree = [
        _storage("DRAM", "o2"),
        _storage("SRAM", "o2"),
        {
            "type": split,
            "nodes": [_nested(fused), _nested([_storage("DRAM", "w3", "o3"), *e3])],
        },
    ]
    return Spec.from_dict(
        {"arch": _arch(), "workload": _workload(rows), "mapping": {"nodes": tree}}
    )


def _arch() -> dict[str, Any]:
    def memory(name: str, size: int | str, throughput: int) -> dict[str, Any]:
        actions = [{"name": a, "throughput": throughput} for a in ("read", "write")]
        return {"type": "Memory", "name": name, "size": size, "actions": actions}

    compute = {
        "type": "Compute",
        "name": "mac",
        "actions": [{"name": "compute", "throughput": 4}],
    }
    return {"nodes": [memory("DRAM", "inf", 8), memory("SRAM", 10**9, 8), compute]}


def _workload(rows: int) -> dict[str, Any]:
    einsums = [
        {
            "name": f"e{i + 1}",
            "tensor_accesses": [
                {"name": "i1" if i == 0 else f"o{i}", "projection": ["m", f"n{i}"]},
                {"name": f"w{i + 1}", "projection": [f"n{i}", f"n{i + 1}"]},
                {"name": f"o{i + 1}", "projection": ["m", f"n{i + 1}"], "output": True},
            ],
        }
        for i in range(3)
    ]
    sizes = {"M": rows} | {f"N{i}": EXTENT for i in range(4)}
    return {"rank_sizes": sizes, "bits_per_value": {"All": 8}, "einsums": einsums}


def _storage(component: str, *tensors: str) -> dict[str, Any]:
    return {"type": "Storage", "component": component, "tensors": list(tensors)}


def _loop(variable: str) -> dict[str, Any]:
    return {"type": "Temporal", "rank_variable": variable, "tile_shape": 1}


def _compute(einsum: str) -> dict[str, Any]:
    return {"type": "Compute", "einsum": einsum, "component": "mac"}


def _nested(nodes: list[dict[str, Any]]) -> dict[str, Any]:
    return {"type": "Nested", "nodes": nodes}
