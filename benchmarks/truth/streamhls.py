"""Stream-HLS: fused dataflow designs, one pipelined loop nest per Einsum, joined by FIFOs.

The file contains the mapping of every design: one Pipeline whose stages are Einsums, each on a
Compute of its own with throughput 1 ÷ initiation interval.

- A *tile iteration* is one iteration of an Einsum's innermost loop: ``granularity: full``.
- A *FIFO* is a tensor held above the Pipeline. FIFOs never fill here: ``slots: null``.
- A *buffer* that is handed over as a whole is a tensor without ranks: its only element is final
  after the last iteration of its producer.

What an iteration writes can be read ``iteration_latency - 1`` cycles after its start. polylat
counts a fixed latency from the time at which the port has served the iteration, which is an
initiation interval after its start. So the latency of the Compute is ``iteration_latency - 1 -
initiation_interval``. A blocked read stalls the whole pipeline of an Einsum: ``rigid``.

There is nothing to fit.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks.truth.rows import Constants, Data, Family, Row, Variant

__all__ = ["FAMILY", "build", "read"]


def read(path: Path) -> list[Row]:
    """Read the designs.

    Parameters
    ----------
    path
        A file in the format of ``streamhls.json``.
    """
    designs = json.loads(path.read_text(encoding="utf-8"))["designs"]
    return [
        Row(
            family="Stream-HLS",
            name=design["design"],
            cycles=design["rtl_cycles"],
            facts=design,
            expected={"streaming": design["streaming"]},
        )
        for design in designs
    ]


def build(row: Row, variant: str, constants: Constants) -> Data:
    """Return the input of polylat for a design.

    Parameters
    ----------
    row
        The design.
    variant
        ``roofline``, ``streaming``, ``latency`` or ``rigid``.
    constants
        Not used.
    """
    del constants
    schedule: dict[str, Any] = {"granularity": "full", "slots": None, "order": "program"}
    if variant in {"latency", "rigid"}:
        schedule["latency"] = latencies(row)
    if variant == "rigid":
        schedule["rigid"] = [component for _, component in _leaves(row)]
    return {**row.facts["spec"], "schedule": schedule}


def latencies(row: Row) -> dict[str, dict[str, int]]:
    """Return the fixed latency of every Compute of a design.

    Parameters
    ----------
    row
        The design.
    """
    found = {}
    for einsum, component in _leaves(row):
        pipeline = row.facts["pipeline"][einsum]
        passes = pipeline["iteration_latency"] - 1 - pipeline["initiation_interval"]
        found[component] = {"compute": max(0, passes)}
    return found


def _leaves(row: Row) -> list[tuple[str, str]]:
    """Return the Einsums of a design and the Compute of each."""
    stages = row.facts["spec"]["mapping"]["nodes"][-1]["nodes"]
    return [(stage["nodes"][-1]["einsum"], stage["nodes"][-1]["component"]) for stage in stages]


FAMILY = Family(
    name="Stream-HLS",
    file="streamhls.json",
    read=read,
    build=build,
    variants=(
        Variant("roofline"),
        Variant("streaming"),
        Variant("latency"),
        Variant("rigid"),
    ),
)
