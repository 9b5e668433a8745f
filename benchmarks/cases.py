"""A cascade of three fused matrix multiplications, of any size, as a benchmark case."""

from __future__ import annotations

from benchmarks.nodes import compute, einsum, leaf, loop, memory, nested, storage
from polylat.spec import Spec

__all__ = ["EXTENT", "ITERATIONS_PER_ROW", "cascade"]

EXTENT = 10
ITERATIONS_PER_ROW = 3 * EXTENT * EXTENT


def cascade(rows: int, *, pipelined: bool = True) -> Spec:
    """Return three matrix multiplications, of which the first two share a loop over the rows.

    At granularity ``"full"`` it has `rows` × `ITERATIONS_PER_ROW` tile iterations. The weights of
    the second multiplication are prefetched into the SRAM for every row; its output is also written
    from the SRAM to the DRAM.

    Parameters
    ----------
    rows
        Size of the rank that all three multiplications share.
    pipelined
        Whether the splits are Pipelines instead of Sequentials.
    """
    split = "Pipeline" if pipelined else "Sequential"
    e1 = [loop("n0"), loop("n1"), leaf("e1", "mac")]
    e2 = [loop("n1"), loop("n2"), leaf("e2", "mac")]
    e3 = [loop("m"), loop("n2"), loop("n3"), leaf("e3", "mac")]
    fused = [
        storage("DRAM", "w1", "i1", "w2"),
        loop("m"),
        storage("SRAM", "o1", "w2"),
        {"type": split, "nodes": [nested(*e1), nested(*e2)]},
    ]
    tree = [
        storage("DRAM", "o2"),
        storage("SRAM", "o2"),
        {"type": split, "nodes": [nested(*fused), nested(storage("DRAM", "w3", "o3"), *e3)]},
    ]
    tensors = ("i1", "o1", "o2", "o3")
    einsums = [
        einsum(
            f"e{i}",
            {
                tensors[i - 1]: ("m", f"n{i - 1}"),
                f"w{i}": (f"n{i - 1}", f"n{i}"),
                tensors[i]: ("m", f"n{i}"),
            },
        )
        for i in (1, 2, 3)
    ]
    components = [memory("DRAM", "inf", 8), memory("SRAM", 10**9, 8), compute("mac", 4)]
    return Spec.from_dict(
        {
            "arch": {"nodes": components},
            "workload": {
                "rank_sizes": {"M": rows} | {f"N{i}": EXTENT for i in range(4)},
                "bits_per_value": {"All": 8},
                "einsums": einsums,
            },
            "mapping": {"nodes": tree},
        }
    )
