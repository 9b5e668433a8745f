"""Ports and their orders, bounds, occupancy and periodic schedules."""

from __future__ import annotations

from drawn.inputs import (
    TWO,
    Panels,
    full,
    keeps,
    leaf,
    loop,
    memory,
    spec,
    split,
    stages,
    tiled,
    two_units,
    unit,
)


def blocks() -> Panels:
    """Blocks of a tile iteration on one port: fill, foreground and write-back."""
    nodes = [
        keeps("DRAM", "a", "x", "b"),
        keeps("SRAM", "c"),
        loop("m"),
        keeps("SRAM", "a", "b"),
        split("Sequential", [leaf("e1", "mac1")], [leaf("e2", "mac2")]),
    ]
    arch = [memory("DRAM", 1), memory("SRAM"), unit("mac1"), unit("mac2", "1/2")]
    mapping = spec(nodes, arch, "b[m] = a[m] * x[m]", "c[m] = b[m]", m=3)
    return {"DRAM serves a, then x, then b": full(mapping, background="b")}


def orders() -> Panels:
    """Three orders of service on a shared port."""
    nodes = [
        keeps("DRAM", "a", "d"),
        loop("m"),
        keeps("SRAM", "b", "c"),
        split("Pipeline", [leaf("e1", "mac1")], [leaf("e2", "mac2")], [leaf("e3", "mac1")]),
    ]
    mapping = spec(nodes, two_units("1/2", "1/5"), *TWO, "d[m] = c[m]", m=4)
    return {
        f'order="{order}"': full(mapping, order=order) for order in ("program", "skew", "oldest")
    }


def bounds() -> Panels:
    """Bounds from a busy port, from dependences and from barriers, attained or not."""
    shared = [
        keeps("DRAM", "a", "c"),
        keeps("SRAM", "b"),
        split("Pipeline", [loop("m"), leaf("e1", "mac")], [loop("m"), leaf("e2", "mac")]),
    ]
    one = [memory("DRAM"), memory("SRAM"), unit("mac", "1/2")]
    alternating = spec(tiled("Sequential", "b"), two_units("1/2", "1/2"), *TWO, m=4)
    return {
        "one unit for both stages is never idle": full(spec(shared, one, *TWO, m=4)),
        "the stages alternate, tile by tile": full(alternating),
        "all of e1, then all of e2: the barrier bound": full(
            spec(stages("Sequential"), two_units("1/2", "1/2"), *TWO, m=4)
        ),
        "two units, two slots: no bound is attained": full(
            spec(tiled("Pipeline", "b"), two_units(1, "1/3"), *TWO, m=4)
        ),
    }


def occupancy() -> Panels:
    """Occupancy of a memory for several numbers of slots."""
    arch = two_units(1, "1/2")
    arch[1]["size"] = 16
    mapping = spec(tiled("Pipeline", "b"), arch, *TWO, m=4)
    return {
        f"slots={slots}: {caption}": full(mapping, slots=slots)
        for slots, caption in (
            (1, "one tile of b at a time, half of SRAM"),
            (2, "two tiles fill it"),
            (None, "e1 runs ahead: three tiles exceed it"),
        )
    }


def repetition() -> Panels:
    """A repeating part is drawn once."""
    mapping = spec(tiled("Pipeline", "b"), two_units(1, "1/3"), *TWO, m=1_000_000)
    return {"a million tiles of b": full(mapping)}


def bracket() -> Panels:
    """A bracket, where a granularity needs more samples than allowed."""
    mapping = spec(stages("Pipeline"), two_units(), *TWO, m=1000)
    return {
        "max_tiles=8: one tile iteration for each Einsum": full(mapping, max_tiles=8),
        "max_tiles=10: enough to find the period": full(mapping, max_tiles=10),
    }
