"""Fused cascades with any trip count of the loops that their Einsums share, as plain data.

The shared ranks grow with the trip count; the tiles keep their sizes.
"""

from __future__ import annotations

from typing import Any

from benchmarks.nodes import (
    Node,
    compute,
    einsum,
    leaf,
    loop,
    memory,
    nested,
    spatial,
    storage,
)

__all__ = ["attention", "attention_block", "chain"]

ROWS = 16
"""Number of rows of a tile of the matrix multiplications."""
EXTENT, TILE = 32, 16
"""Sizes of the other ranks of the matrix multiplications, and of the tiles of these ranks."""

UNITS = 128
"""Number of rows and of columns of the array; head dimension; number of queries in a tile."""
KEYS = 4096


def chain(trips: int) -> dict[str, Any]:
    """Return three matrix multiplications e1 -> e2 -> e3, pipelined over one shared loop.

    The loop is over tiles of 16 rows. The exchanged tensors stay in the SRAM above the split; every
    tile of the weights is fetched from the DRAM in each trip. Each stage has its own compute unit;
    all stages contend for the memories. A trip has 12 tile iterations.

    Parameters
    ----------
    trips
        Number of trips of the shared loop.
    """
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
    stages = [
        nested(storage("SRAM", "i1"), *_multiplication_nodes(1)),
        nested(*_multiplication_nodes(2)),
        nested(storage("SRAM", "o3"), *_multiplication_nodes(3)),
    ]
    return {
        "arch": {
            "nodes": [
                memory("DRAM", "inf", 16),
                memory("SRAM", 10**6, 1024),
                compute("mac", 16, spatial=[{"name": "stage", "fanout": 3}]),
            ]
        },
        "workload": {
            "rank_sizes": {"M": trips * ROWS} | {f"N{i}": EXTENT for i in range(4)},
            "bits_per_value": {"All": 8},
            "einsums": einsums,
        },
        "mapping": {
            "nodes": [
                storage("DRAM", "i1", "w1", "w2", "w3", "o3"),
                loop("m", ROWS),
                storage("SRAM", "o1", "o2"),
                {"type": "Pipeline", "nodes": stages},
            ]
        },
        "schedule": {"granularity": "tile"},
    }


def _multiplication_nodes(i: int) -> list[Node]:
    """Return the nodes of the i-th multiplication: tiles of its weights, and its computation."""
    source, target = f"n{i - 1}", f"n{i}"
    tiles = [loop(target, TILE), loop(source, TILE), storage("SRAM", f"w{i}")]
    return [*tiles, loop("m"), loop(target), loop(source), leaf(f"e{i}", "mac")]


def attention(trips: int) -> dict[str, Any]:
    """Return an attention block whose two shared loops, over heads and queries, grow alike.

    Parameters
    ----------
    trips
        Product of the trip counts of the two loops: a power of ten.
    """
    heads = 10 ** ((len(str(trips)) - 1) // 2)
    return attention_block(heads, trips // heads)


def attention_block(
    heads: int, query_tiles: int, *, keys: int = KEYS, split: str = "Pipeline"
) -> dict[str, Any]:
    """Return an attention block of any size: Q K^T -> softmax -> A V.

    With 32 heads and 32 tiles of queries, it is ``examples/attention.yaml``. The keys and values of
    a head are resident in the SRAM. With 4096 keys, a trip of the shared loops has 65 tile
    iterations.

    Parameters
    ----------
    heads, query_tiles
        Trip counts of the shared loops.
    keys
        Number of keys.
    split
        Kind of the split.
    """
    grid = [{"name": name, "fanout": UNITS} for name in ("row", "column")]
    stages = [
        nested(storage("SRAM", "Q"), *_stationary_nodes("QK", "K", ("e", "p"))),
        nested(loop("m"), loop("p"), leaf("softmax", "vector")),
        nested(storage("SRAM", "Y"), *_stationary_nodes("AV", "V", ("p", "f"))),
    ]
    scores, probabilities = {"S": ("h", "m", "p")}, {"A": ("h", "m", "p")}
    return {
        "arch": {
            "nodes": [
                memory("DRAM", "inf", 8192),
                memory("SRAM", 16 << 23, 16384, separate_read_write_ports=True),
                compute("vector", UNITS, enabled="len(All) == 2"),
                memory("register", 16, "inf", 16, spatial=grid),
                compute("mac", 1, enabled="len(All) == 3"),
            ]
        },
        "workload": {
            "rank_sizes": {"H": heads, "M": query_tiles * UNITS, "P": keys, "E": UNITS, "F": UNITS},
            "bits_per_value": {"All": 16},
            "einsums": [
                einsum("QK", {"Q": ("h", "m", "e"), "K": ("h", "p", "e"), **scores}),
                einsum("softmax", {**scores, **probabilities}),
                einsum("AV", {**probabilities, "V": ("h", "p", "f"), "Y": ("h", "m", "f")}),
            ],
        },
        "mapping": {
            "nodes": [
                storage("DRAM", "Q", "K", "V", "Y"),
                loop("h"),
                storage("SRAM", "K", "V"),
                loop("m", UNITS),
                storage("SRAM", "S", "A"),
                {"type": split, "nodes": stages},
            ]
        },
        "schedule": {"granularity": "tile"},
    }


def _stationary_nodes(name: str, kept: str, array: tuple[str, str]) -> list[Node]:
    """Return a matrix multiplication that keeps a tile of one input in the array's registers."""
    row, column = array
    units = [spatial(row, "register", "row"), spatial(column, "register", "column")]
    return [loop("p", UNITS), *units, storage("register", kept), loop("m"), leaf(name, "mac")]
