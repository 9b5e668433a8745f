"""Gemmini: single convolutions and matrix multiplications on a 16 × 16 array, weights stationary.

O[n,k,q,p] = Σ I[n,c,stride·q+s,stride·p+r] W[k,c,r,s], in values of 8 bits. The nodes stand for:

- *memory holds I, W, O*: the bus to the L2 cache, and what is behind it.
- *loops over tiles*: the loops of the program. An iteration is one of Gemmini's loop instructions.
- *host holds I*: the host, which issues these: ``setup`` for each tile of I.
- *inputs hold I, weights hold W*: the scratchpad. They are below all loops over tiles, so that each
  tile iteration loads both.
- *accumulator holds O*: above the first loop over tiles of the reduction; stored after the last.
- *loops r, s, c, k, q, p*: the commands of a tile, each 16 pixels of a row against a block of
  16 × 16 weights.
- *Spatial p, k, c*: the work of a command.

As the pixels of a command are a Spatial loop, too, a command is one operation of each unit, and the
throughput of the Compute is that of commands. The array takes a row of 16 inputs per cycle: this is
the port of ``inputs``, where the operations read I (once for all k). So a tile iteration computes
for the longer of its rows and its commands, and the mapping has as few tile iterations as the
program. With ``commands="holder"`` the same is written with a holder of the inputs of one command
and ``setup``; then every command is a tile iteration.

Each port serves blocks of one kind, in the order of the program: so the order is ``program``.

*Loads.* A tile moves in runs of at most 64 contiguous bytes, each of which takes a cycle besides
its beats of 16 bytes. The file counts both for each row; polylat counts values, so ``memory`` reads
values ÷ (beats + runs) per cycle. Where the working set does not fit the L2 cache, loads take
longer by a fitted factor, ``miss``. Stores have at most 16 bytes each, one per cycle.

Fitted further: ``latency``, the cycles until the last store is acknowledged, which occur once per
run; ``command``, the cycles to issue a command; ``convolution`` and ``multiplication``, those to
issue a loop instruction. The last two are fitted on the rows named ``train``, many of which have
small tiles.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from fractions import Fraction
from itertools import product
from math import ceil, prod
from pathlib import Path
from typing import Any

from benchmarks.nodes import Node, compute, leaf, loop, memory, storage
from benchmarks.truth.rows import Constants, Data, Family, Row, Variant, number

__all__ = ["FAMILY", "build", "read", "values_loaded"]

UNITS = 16
"""Rows and columns of the array, and pixels of a command."""
BEAT = 16
"""Bytes that the bus moves per cycle."""
LOOPS = "NQPSRCK"
"""Loops of a program, by their names in the file."""
REDUCTION = "SRC"
WORDS = {"source", "kind", "order"}
"""Columns that are not numbers."""


def read(path: Path) -> list[Row]:
    """Read the runs.

    Parameters
    ----------
    path
        A file in the format of ``gemmini.csv``.
    """
    with path.open(encoding="utf-8", newline="") as file:
        lines = [
            {name: value if name in WORDS else int(value or 0) for name, value in line.items()}
            for line in csv.DictReader(file)
        ]
    return [
        Row(
            family="Gemmini",
            name=f"{line['source']} {line['row']}",
            cycles=int(line["rtl_cycles"]),
            facts=line,
            groups=_groups(line),
        )
        for line in lines
    ]


def _groups(facts: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the groups of a row."""
    source = facts["source"]
    return (source, f"{source}, fits L2") if facts["fits_l2"] else (source,)


def build(row: Row, variant: str, constants: Constants, *, commands: str = "unit") -> Data:
    """Return the input of polylat for a run.

    Parameters
    ----------
    row
        The run.
    variant
        ``roofline``, ``streaming``, ``staged``, ``bandwidth``, ``latency``, ``issue`` or ``host``.
    constants
        Those of the variant.
    commands
        How the time to issue commands is written: ``unit``, or ``holder``.
    """
    facts = row.facts
    trips, sizes = _loops(facts)
    outer = any(trips[name] > 1 for name in REDUCTION) and _reduction_is_outside(facts, trips)
    staged = variant not in {"roofline", "streaming"}
    schedule: dict[str, Any] = {"granularity": "tile", "order": "program", "slots": 2}
    if staged:
        # Outputs of a reduction that is outside leave piece by piece, all others as tiles.
        schedule |= {"staged": ["I", "W", *([] if outer else ["O"])], "background": ["O"]}
    host = constants.get("convolution" if facts["kind"] == "conv" else "multiplication")
    setup = {} if host is None else {"host": {"write": number(host)}}
    if commands == "holder" and "command" in constants:
        setup["queue"] = {"write": number(constants["command"])}
    if setup:
        schedule["setup"] = setup
    if "latency" in constants:
        schedule["latency"] = {"memory": {"write": number(constants["latency"])}}
    return {
        "arch": {"nodes": _architecture(facts, constants, commands, detailed="miss" in constants)},
        "workload": _workload(facts, sizes),
        "mapping": {
            "nodes": _mapping(
                facts, trips, sizes, host=host is not None, queue=commands == "holder"
            )
        },
        "schedule": schedule,
    }


def values_loaded(facts: Mapping[str, Any]) -> int:
    """Return how many values of I and W polylat counts as loads.

    Parameters
    ----------
    facts
        The line of the file.
    """
    _, sizes = _loops(facts)
    tiles = {name: _tiles(sizes[name], facts[f"tile_{name}"]) for name in LOOPS}
    count = {name: len(tiles[name]) for name in LOOPS}
    stride = facts["stride"]
    window = {
        out: sum(
            _window(size, kernel, stride) for size, kernel in product(tiles[out], tiles[inner])
        )
        for out, inner in (("Q", "S"), ("P", "R"))
    }
    inputs = sizes["N"] * sizes["C"] * window["Q"] * window["P"] * count["K"]
    weights = prod(sizes[name] for name in "KCRS") * prod(count[name] for name in "NQP")
    return int(inputs + weights)


def _window(size: int, kernel: int, stride: int) -> int:
    """Return the number of input rows that `size` output rows need: without gaps between them."""
    return (size - 1) * stride + kernel if kernel >= stride else size * kernel


def _tiles(size: int, tile: int) -> list[int]:
    """Return the sizes of the tiles of a loop."""
    return [min(tile, size - first) for first in range(0, size, tile)]


def _loops(facts: Mapping[str, Any]) -> tuple[dict[str, int], dict[str, int]]:
    """Return the trip count of every loop over tiles, and the size of its variable."""
    sizes = {name: facts[name] for name in LOOPS}
    if facts["kind"] == "conv":
        sizes |= {"Q": facts["out"], "P": facts["out"]}
    return {name: ceil(sizes[name] / facts[f"tile_{name}"]) for name in LOOPS}, sizes


def _reduction_is_outside(facts: Mapping[str, Any], trips: Mapping[str, int]) -> bool:
    """Return whether a loop over tiles of the reduction is outside of another loop over tiles."""
    loops = [name for name in facts["order"] if trips[name] > 1]
    first = next((place for place, name in enumerate(loops) if name in REDUCTION), len(loops))
    return any(name not in REDUCTION for name in loops[first:])


def _architecture(
    facts: Mapping[str, Any], constants: Constants, commands: str, *, detailed: bool
) -> list[Node]:
    """Return the components: `detailed` ones load by runs instead of by bytes."""
    loads = Fraction(BEAT)
    if detailed:
        cycles = facts["read_beats"] + facts["read_runs"]
        slower = Fraction(1) if facts["fits_l2"] else constants["miss"]
        loads = Fraction(values_loaded(facts), cycles) / slower
    # A row of the array is a value of each of up to 16 channels.
    channels = min(facts["tile_C"], facts["C"])
    row = Fraction(channels, ceil(channels / UNITS))
    grid = [{"name": name, "fanout": UNITS} for name in ("pixel", "column", "row")]
    unit = Fraction(1) / constants["command"] if "command" in constants else None
    rate = "inf" if unit is None or commands == "holder" else str(unit)
    queue = [_memory("queue")] if commands == "holder" else []
    return [
        _memory("memory", str(loads), BEAT, bits_per_action=8)
        | {"separate_read_write_ports": True},
        _memory("host"),
        _memory("inputs", str(row), bits_per_action=8) | {"separate_read_write_ports": True},
        _memory("weights"),
        _memory("accumulator"),
        *queue,
        {**compute("array", 1, spatial=grid), "actions": [{"name": "compute", "throughput": rate}]},
    ]


def _memory(
    name: str, read: str = "inf", write: int | str = "inf", *, bits_per_action: int = 1
) -> Node:
    """Return a Memory of any size."""
    return memory(name, "inf", read, write, bits_per_action=bits_per_action)


def _workload(facts: Mapping[str, Any], sizes: Mapping[str, int]) -> Node:
    """Return the Einsum."""
    stride = facts["stride"]
    rows, columns = (
        f"{out} + {inner}" if stride == 1 else f"{stride} * {out} + {inner}"
        for out, inner in (("q", "s"), ("p", "r"))
    )
    accesses = [
        {"name": "I", "projection": {"N": "n", "C": "c", "H": rows, "V": columns}},
        {"name": "W", "projection": {"K": "k", "C": "c", "R": "r", "S": "s"}},
        {"name": "O", "projection": {"N": "n", "K": "k", "Q": "q", "P": "p"}, "output": True},
    ]
    return {
        "iteration_space_shape": {
            name.lower(): f"0 <= {name.lower()} < {sizes[name]}" for name in LOOPS
        },
        "bits_per_value": {"All": 8},
        "einsums": [{"name": "layer", "tensor_accesses": accesses}],
    }


def _mapping(
    facts: Mapping[str, Any],
    trips: Mapping[str, int],
    sizes: Mapping[str, int],
    *,
    host: bool,
    queue: bool,
) -> list[Node]:
    """Return the nodes of the mapping."""
    nodes = [storage("memory", "I", "W", "O")]
    held = False
    for name in (name for name in facts["order"] if trips[name] > 1):
        if name in REDUCTION and not held:
            nodes.append(storage("accumulator", "O"))
            held = True
        nodes.append(loop(name.lower(), facts[f"tile_{name}"]))
    nodes += [storage("host", "I")] if host else []
    nodes += [storage("inputs", "I"), storage("weights", "W")]
    nodes += [] if held else [storage("accumulator", "O")]
    blocks = {
        name: min(UNITS, facts[f"tile_{name}"], sizes[name]) if name in "CKP" else 1
        for name in "NRSCKQP"
    }
    nodes += [loop(name.lower(), block) for name, block in blocks.items()]
    nodes += [storage("queue", "I")] if queue else []
    units = {"p": "pixel", "k": "column", "c": "row"}
    nodes += [
        {
            "type": "Spatial",
            "rank_variable": variable,
            "tile_shape": 1,
            "component": "array",
            "name": dimension,
        }
        for variable, dimension in units.items()
    ]
    return [*nodes, leaf("layer", "array")]


ISSUE = {"miss": Fraction("1.55"), "latency": Fraction(1200), "command": Fraction("8.8")}
HOST = {"convolution": Fraction(280), "multiplication": Fraction(126)}

FAMILY = Family(
    name="Gemmini",
    file="gemmini.csv",
    read=read,
    build=build,
    variants=(
        Variant("roofline"),
        Variant("streaming"),
        Variant("staged"),
        Variant("bandwidth", {"miss": Fraction("1.76")}),
        Variant("latency", {"miss": Fraction("1.65"), "latency": Fraction(4200)}),
        Variant("issue", ISSUE),
        Variant("host", {**ISSUE, **HOST}),
    ),
    fitted_on={
        "miss": "test",
        "latency": "test",
        "command": "test",
        "convolution": "train",
        "multiplication": "train",
    },
)
