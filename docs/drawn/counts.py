"""Accesses and their counts."""

from __future__ import annotations

from typing import Any

import polylat
from drawn.inputs import (
    TWO,
    Data,
    Panels,
    full,
    keeps,
    leaf,
    loop,
    memory,
    spec,
    stages,
    tiled,
    two_units,
    unit,
)


def ports() -> Panels:
    """Ports of a component, and a constant in its latency."""

    def one(**more: Any) -> polylat.Report:
        dram = memory("DRAM", 1, **more)
        nodes = [keeps("DRAM", "a", "b"), loop("m"), leaf("e1", "mac")]
        return full(spec(nodes, [dram, unit("mac")], "b[m] = a[m]", m=4))

    busy = "sum(a.n_calls / a.throughput for a in actions)"
    return {
        "one port: reads and writes in turn": one(),
        "separate_read_write_ports: true": one(separate_read_write_ports=True),
        'total_latency: "3 + sum(...)": the constant counts once': one(total_latency=f"3 + {busy}"),
    }


def granularity() -> Panels:
    """Two granularities of one Pipeline."""
    mapping = spec(stages("Pipeline"), two_units(), *TWO, m=4)
    return {
        f'"{grain}": {caption}': polylat.analyze(mapping, granularity=grain)
        for grain, caption in (
            ("tile", "loops below the split are one tile iteration"),
            ("flow", "down to the loops over exchanged tensors"),
        )
    }


def fills() -> Panels:
    """A loop above a holder refills it, a loop below does not."""
    arch = [memory("DRAM", "1/2", "inf"), memory("SRAM"), unit("mac")]

    def nest(*nodes: Data) -> polylat.Report:
        mapping = [keeps("DRAM", "a", "z"), *nodes, leaf("e1", "mac")]
        return full(spec(mapping, arch, "z[m, n] = a[m]", m=2, n=3))

    return {
        "SRAM holds a above the loop over n: two tiles": nest(
            loop("m"), keeps("SRAM", "a"), loop("n")
        ),
        "SRAM holds a below it: a fetch per iteration": nest(
            loop("m"), loop("n"), keeps("SRAM", "a")
        ),
    }


def readback() -> Panels:
    """A reduction loop above an output's holder writes partial sums back and reads them again."""

    def nest(*nodes: Data, **more: bool) -> polylat.Report:
        arch = [memory("DRAM", 1, **more), memory("SRAM"), unit("mac")]
        mapping = [keeps("DRAM", "z"), keeps("SRAM", "a"), *nodes, leaf("e1", "mac")]
        return full(spec(mapping, arch, "z[m] = a[m, k]", m=2, k=3))

    above = (loop("k"), loop("m"), keeps("SRAM", "z"))
    return {
        "loop over k below the holder of z": nest(loop("m"), keeps("SRAM", "z"), loop("k")),
        "loop over k above it": nest(*above),
    }


def operations() -> Panels:
    """Reads and writes of one operation."""
    nodes = [keeps("SRAM", "a", "z"), loop("k"), leaf("e1", "mac")]
    mapping = spec(nodes, [memory("SRAM", 1), unit("mac")], "z[m] = a[m, k]", m=1, k=4)
    return {"four operations on one output": full(mapping)}


def actions() -> Panels:
    """Actions that move one value or two."""

    def wide(bits: int) -> polylat.Report:
        arch = [memory("SRAM", 1, bits=bits), unit("mac")]
        nodes = [keeps("SRAM", "a", "b"), loop("m"), leaf("e1", "mac")]
        return full(spec(nodes, arch, "b[m] = a[m]", m=4))

    return {f"bits_per_action: {bits}": wide(bits) for bits in (8, 16)}


def imperfect() -> Panels:
    """Loops are clipped to their parent's tile."""
    nodes = [keeps("DRAM", "a", "b"), loop("m", 3), loop("m", 2), keeps("SRAM", "a")]
    arch = [memory("DRAM", "1/2", "inf"), memory("SRAM"), unit("mac")]
    mapping = spec([*nodes, loop("m"), leaf("e1", "mac")], arch, "b[m] = a[m]", m=5)
    return {"five elements in tiles of 3, then of 2": polylat.analyze(mapping)}


def spatial() -> Panels:
    """Units that share a read, or read separately."""

    def array(reuse: str) -> polylat.Report:
        arch = [memory("SRAM", 1, "inf"), unit("mac", 1, 2, may_reuse=reuse)]
        each = {"type": "Spatial", "component": "mac", "name": "X", "rank_variable": "n"}
        nodes = [keeps("SRAM", "a", "z"), loop("m"), {**each, "tile_shape": 1}, leaf("e1", "mac")]
        return full(spec(nodes, arch, "z[m, n] = a[m]", m=3, n=2))

    return {"may_reuse: a": array("a"), "may_reuse: Nothing": array("Nothing")}


def tolls() -> Panels:
    """Data that passes through a Toll is charged to it."""

    def link(direction: str) -> polylat.Report:
        actions = [{"name": "read", "throughput": 1, "bits_per_action": 8}]
        toll = {"type": "Toll", "name": "Link", "direction": direction, "actions": actions}
        arch = [memory("DRAM"), toll, memory("SRAM"), unit("mac")]
        passed = {"type": "Toll", "component": "Link", "tensors": ["a", "b"]}
        nodes = [keeps("DRAM", "a", "b"), loop("m"), passed, keeps("SRAM", "a", "b")]
        return full(spec([*nodes, leaf("e1", "mac")], arch, "b[m] = a[m]", m=3))

    return {f"direction: {direction}": link(direction) for direction in ("up_and_down", "down")}


def copies() -> Panels:
    """A copy Einsum computes nothing."""
    nodes = [keeps("DRAM", "b"), loop("m", 2), keeps("SRAM", "a"), loop("m"), leaf("e1", "mac")]
    arch = [memory("DRAM", "1/2"), memory("SRAM", 1), unit("mac")]
    mapping = spec(nodes, arch, "b[m] = a[m]", copy=True, m=4)
    return {"a copy out of SRAM, in two tiles": polylat.analyze(mapping)}


def residency() -> Panels:
    """A tile held above a split is resident for all branches."""
    nodes = tiled("Sequential", "a", "b")
    arch = [memory("DRAM", "1/2", "inf"), memory("SRAM"), unit("mac1"), unit("mac2")]
    mapping = spec(nodes, arch, "b[m] = a[m]", "c[m] = a[m] * b[m]", m=3)
    return {
        "AccelForge charges both Einsums for fetching a": polylat.roofline(mapping),
        "polylat: e1 fills the tile of a, e2 reuses it": full(mapping),
    }


def footprint() -> Panels:
    """Gaps between accessed elements do not count."""
    nodes = [keeps("DRAM", "a"), keeps("SRAM", "a", "z"), loop("p"), loop("r"), leaf("e1", "mac")]
    arch = [memory("DRAM", 1, "inf"), memory("SRAM"), unit("mac", 2)]
    mapping = spec(nodes, arch, "z[p] = a[H: 3*p + r]", p=3, r=2)
    return {
        "AccelForge counts the bounding box, gaps included": polylat.roofline(mapping),
        "polylat counts the accessed elements": polylat.analyze(mapping, granularity="tile"),
    }
