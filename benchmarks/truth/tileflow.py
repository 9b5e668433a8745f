"""TileFlow's accelerator: two fused matrix multiplications on a 16 × 16 array.

C[m,l] = Σ A[m,k] B[k,l] and E[m,n] = Σ C[m,l] D[l,n], in values of 16 bits. The nodes stand for:

- *DRAM holds A, B, D, E*: 64 bits per cycle; loads and stores have ports of their own.
- *loop m*: tiles of rows, for which both multiplications run one after the other.
- *cache holds C, E*: C never leaves the chip; E leaves after its last tile of l.
- *Sequential*: the array computes one multiplication at a time.
- *loop k; cache holds A, B*: tiles of the first reduction, loaded from DRAM.
- *loop l; cache holds D*: tiles of the second reduction.
- *loops in steps of 16, Spatial*: the array holds a block of 16 × 16 values of A, or of C.
- *registers hold A*, or C: that block. It is loaded while the array computes: it streams.
- *loop l*, or n: one cycle per column of the result.

The cache gives the array the two vectors that it needs per cycle (512 bits), and takes one; so it
never limits, and has infinite throughput here.

With tiles *staged*, A, B, D and E move tile by tile, with two slots each: a load can start when the
tile two before it is free, and the array starts when its tiles have arrived. The store of E is in
the background. The order ``oldest`` is how the memory serves loads: in the order of the program,
but a load that cannot start yet does not block others.

Fitted: ``setup``, the cycles for which a load occupies the port besides its data, and ``latency``,
the cycles after which loaded data can be used.

With *in order*, loads are not requested one tile ahead: a load has its place in the order of the
tile iteration that uses the tile. A holder above a split that is not staged has this place;
so there is a split of one branch below the holders of A, B and D.
"""

from __future__ import annotations

import csv
from fractions import Fraction
from pathlib import Path
from typing import Any

from benchmarks.nodes import Node, compute, einsum, leaf, loop, memory, nested, spatial, storage
from benchmarks.truth.rows import Constants, Data, Family, Row, Variant, number

__all__ = ["FAMILY", "build", "read"]

UNITS = 16
"""Rows and columns of the array."""
VALUE_BITS, DRAM_BITS = 16, 64
"""Bits of a value; bits per cycle of DRAM."""
HARD = "micro_M = 64"
"""The rows in which the array computes about as long as memory loads."""

SETUP = Fraction(6)


def read(path: Path) -> list[Row]:
    """Read the runs.

    Parameters
    ----------
    path
        A file in the format of ``tileflow.csv``.
    """
    with path.open(encoding="utf-8", newline="") as file:
        lines = [
            {name: int(value) for name, value in line.items()} for line in csv.DictReader(file)
        ]
    return [
        Row(
            family="TileFlow",
            name="{M1}x{N1}x{K1}x{N2} tiles {micro_M1}, {micro_K1}, {micro_K2}".format(**line),
            cycles=line["rtl_cycles"],
            facts=line,
            groups=(HARD,) if line["micro_M1"] == 64 else (),
        )
        for line in lines
    ]


def build(row: Row, variant: str, constants: Constants) -> Data:
    """Return the input of polylat for a run.

    Parameters
    ----------
    row
        The run.
    variant
        ``roofline``, ``streaming``, ``staged``, ``setup``, ``latency`` or ``in order``.
    constants
        ``setup`` and ``latency``, where the variant has them.
    """
    facts = row.facts
    in_order = variant == "in order"
    schedule: dict[str, Any] = {"granularity": "tile", "order": "oldest", "slots": 2}
    if variant not in {"roofline", "streaming"}:
        loads = [] if in_order else ["A@cache", "B@cache", "D@cache"]
        schedule |= {"staged": [*loads, "E@cache"], "background": ["E@cache"]}
    if "setup" in constants:
        schedule["setup"] = {"DRAM": {"read": number(constants["setup"])}}
    if "latency" in constants:
        schedule["latency"] = {"DRAM": {"read": number(constants["latency"])}}
    return {
        "arch": {"nodes": _architecture()},
        "workload": {
            "rank_sizes": {"M": facts["M1"], "L": facts["N1"], "K": facts["K1"], "N": facts["N2"]},
            "bits_per_value": {"All": VALUE_BITS},
            "einsums": [
                einsum("multiply1", {"A": ("m", "k"), "B": ("k", "l"), "C": ("m", "l")}),
                einsum("multiply2", {"C": ("m", "l"), "D": ("l", "n"), "E": ("m", "n")}),
            ],
        },
        "mapping": {"nodes": _mapping(facts, in_order=in_order)},
        "schedule": schedule,
    }


def _architecture() -> list[Node]:
    """Return the components."""
    grid = [{"name": name, "fanout": UNITS} for name in ("row", "column")]
    return [
        memory("DRAM", "inf", DRAM_BITS, separate_read_write_ports=True),
        memory("cache", "inf", "inf"),
        memory("registers", "inf", "inf", spatial=grid),
        compute("array", 1),
    ]


def _mapping(facts: Any, *, in_order: bool) -> list[Node]:
    """Return the nodes of the mapping."""
    first = [
        storage("cache", "A", "B"),
        *_blocks("k", "m", facts["micro_K1"], facts["micro_M1"]),
        storage("registers", "A"),
        loop("l"),
        leaf("multiply1", "array"),
    ]
    second = [
        storage("cache", "D"),
        *_blocks("l", "m", facts["micro_K2"], facts["micro_M1"]),
        storage("registers", "C"),
        loop("n"),
        leaf("multiply2", "array"),
    ]
    if in_order:
        first, second = ([nodes[0], _alone(nodes[1:])] for nodes in (first, second))
    branches = [
        nested(loop("k", facts["micro_K1"]), *first),
        nested(loop("l", facts["micro_K2"]), *second),
    ]
    return [
        storage("DRAM", "A", "B", "D", "E"),
        loop("m", facts["micro_M1"]),
        storage("cache", "C", "E"),
        {"type": "Sequential", "nodes": branches},
    ]


def _blocks(reduced: str, row: str, *tiles: int) -> list[Node]:
    """Return the loops over the blocks of a tile, and over the units of the array."""
    return [
        *(
            loop(variable, UNITS)
            for variable, tile in zip((reduced, row), tiles, strict=True)
            if tile
        ),
        spatial(row, "registers", "row"),
        spatial(reduced, "registers", "column"),
    ]


def _alone(nodes: list[Node]) -> Node:
    """Return a split with a single branch."""
    return {"type": "Sequential", "nodes": [nested(*nodes)]}


FAMILY = Family(
    name="TileFlow",
    file="tileflow.csv",
    read=read,
    build=build,
    variants=(
        Variant("roofline"),
        Variant("streaming"),
        Variant("staged"),
        Variant("setup", {"setup": SETUP}),
        Variant("latency", {"setup": SETUP, "latency": Fraction(30)}),
        Variant("in order", {"setup": SETUP, "latency": Fraction(62)}),
    ),
)
