"""Transfers that are separate from computation: store and forward."""

from __future__ import annotations

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
    split,
    tiled,
    two_units,
    unit,
)


def row(apart: bool, schedule: Data | None = None) -> polylat.Spec:
    """Return one leaf that fills, computes and writes back four tiles of ten elements, 10 each."""
    ports = {"separate_read_write_ports": True} if apart else {}
    arch = [memory("DRAM", 1, **ports), memory("SRAM"), unit("mac")]
    nodes = [
        keeps("DRAM", "a", "z"),
        loop("m"),
        keeps("SRAM", "a", "z"),
        *(loop("k"), leaf("e1", "mac")),
    ]
    return spec(nodes, arch, "z[m, k] = a[m, k]", schedule=schedule, m=4, k=10)


def staged() -> Panels:
    """Tiles that stream, and tiles that are handed over as a whole."""
    mapping = row(apart=True)
    return {
        "all transfers stream: every port runs freely": polylat.analyze(
            mapping, granularity="tile"
        ),
        **{
            f'staged="all", slots={slots}: {caption}': polylat.analyze(
                mapping, granularity="tile", staged="all", slots=slots
            )
            for slots, caption in ((1, "one tile at a time"), (2, "double buffering"))
        },
    }


def leaving() -> Panels:
    """A separate write-back starts when its values are computed."""
    nodes = [keeps("DRAM", "a", "b"), loop("m"), keeps("SRAM", "b"), leaf("e1", "mac")]
    arch = [memory("DRAM", "inf", "1/3"), memory("SRAM"), unit("mac", "1/2")]
    mapping = spec(nodes, arch, "b[m] = a[m]", m=3)
    return {
        "streamed: the write of b does not wait for its computation": full(mapping),
        "separate: each write-back starts when its element is computed": full(
            mapping, staged="b@SRAM"
        ),
    }


def returning() -> Panels:
    """A read-back waits until its elements have been written back."""
    nodes = [keeps("DRAM", "z"), keeps("SRAM", "a"), loop("k"), loop("m"), keeps("SRAM", "z")]
    arch = [memory("DRAM", "1/2"), memory("SRAM"), unit("mac")]
    mapping = spec([*nodes, leaf("e1", "mac")], arch, "z[m] = a[m, k]", m=1, k=3)
    return {
        "streamed: write-backs and read-backs in a row": full(mapping),
        "staged: each read-back waits for the write-back before it": full(mapping, staged="z@SRAM"),
    }


def weights() -> Panels:
    """A fill of a holder above a split may run while another Einsum computes."""
    inside = [
        keeps("DRAM", "a", "w", "c"),
        loop("m"),
        keeps("SRAM", "b"),
        split("Sequential", [leaf("e1", "mac1")], [keeps("SRAM", "w"), leaf("e2", "mac2")]),
    ]
    above = tiled("Sequential", "b", "w", backing="awc")
    slow = [memory("DRAM", "1/2"), memory("SRAM"), unit("mac1", "1/3"), unit("mac2", "1/2")]
    return {
        title: full(spec(nodes, slow, "b[m] = a[m]", "c[m] = w[m] * b[m]", m=4))
        for title, nodes in (
            ("w held below the split: its fill streams into e2", inside),
            ("w held above the split: its fill is separate", above),
        )
    }


def ahead() -> Panels:
    """A separate fill waits for room."""
    arch = [memory("DRAM", "1/2", "inf"), memory("SRAM"), unit("mac1"), unit("mac2")]
    nodes = tiled("Sequential", "a", "b")
    mapping = spec(nodes, arch, "b[m] = a[m]", "c[m] = a[m] * b[m]", m=3)
    return {
        f"slots={slots}: {caption}": full(mapping, slots=slots)
        for slots, caption in ((1, "the next fill waits for e2"), (2, "the next fill runs ahead"))
    }


def background() -> Panels:
    """Write-backs that a barrier waits for, and one in the background."""
    nodes = [keeps("SRAM", "c"), *tiled("Sequential", "b", backing="ab")]
    arch = [memory("DRAM", "inf", "1/2"), *two_units(1, "1/3")[1:]]
    mapping = spec(nodes, arch, *TWO, m=4)
    return {
        "streamed: e2 waits until b is in DRAM": full(mapping),
        "staged: the write-back starts later, and e2 waits": full(mapping, staged="b@SRAM"),
        "in the background: e2 does not wait": full(mapping, background="b@SRAM"),
    }


def room() -> Panels:
    """A producer waits until a tile of its own has been written back."""
    producer = [loop("m"), keeps("SRAM", "b"), leaf("e1", "mac1")]
    consumer = [loop("m"), leaf("e2", "mac2")]
    nodes = [keeps("DRAM", "a", "b"), keeps("SRAM", "c"), split("Pipeline", producer, consumer)]
    arch = [memory("DRAM", "inf", "1/3"), *two_units(1, 1)[1:]]
    mapping = spec(nodes, arch, *TWO, m=4)
    return {
        f"slots={slots}: {caption}": full(mapping, slots=slots, staged="b@SRAM")
        for slots, caption in (
            (1, "e1 waits until its previous tile is in DRAM"),
            (2, "e1 waits for the tile before that"),
        )
    }


def freed() -> Panels:
    """Room is free when what was in it has been served."""
    nodes = [keeps("DRAM", "a", "b"), loop("m"), keeps("SRAM", "a"), leaf("e1", "mac")]
    arch = [memory("DRAM", "1/2", "inf"), memory("SRAM"), unit("mac", "1/3")]
    late = {"latency": {"mac": {"compute": 5}}}
    mapping = spec(nodes, arch, "b[m] = a[m]", schedule=late, m=3)
    return {"slots=1: the next fill waits for the unit": full(mapping, staged="a", slots=1)}


def finish() -> Panels:
    """The schedule ends with its last access, write-backs included."""
    nodes = [
        keeps("DRAM", "a", "c"),
        loop("m"),
        keeps("SRAM", "b", "c"),
        split("Sequential", [leaf("e1", "mac1")], [leaf("e2", "mac2")]),
    ]
    arch = [memory("DRAM", "inf", "1/4"), *two_units(1, 1)[1:]]
    mapping = spec(nodes, arch, *TWO, m=3)
    return {
        "streamed: each iteration ends with its write-back": full(mapping),
        "in the background: the last write-back ends the schedule": full(mapping, background="c"),
    }


def early() -> Panels:
    """Staged fills are served one tile ahead, except in program order."""
    mapping = row(apart=False)
    return {
        f'order="{order}": {caption}': polylat.analyze(
            mapping, granularity="tile", staged="all", order=order
        )
        for order, caption in (
            ("program", "a fill, a write-back, a fill ..."),
            ("skew", "the next fill before the write-back"),
        )
    }


def latency() -> Panels:
    """Fixed latencies, which delay and do not occupy."""
    late = {"latency": {"DRAM": {"read": 100, "write": 200}, "mac": {"compute": 3}}}
    mapping = row(apart=True, schedule=late)
    return {
        "streamed: the latencies come once, at the end": polylat.analyze(
            mapping, granularity="tile"
        ),
        'staged="all": room for two tiles, so the latency of a fill comes twice': polylat.analyze(
            mapping, granularity="tile", staged="all"
        ),
    }


def setup() -> Panels:
    """The setup of transfers."""

    def nest(**schedule: Data) -> polylat.Report:
        nodes = [
            keeps("DRAM", "a", "z"),
            loop("m"),
            keeps("queue", "a"),
            *(loop("k"), leaf("e1", "mac")),
        ]
        arch = [memory("DRAM"), memory("queue"), unit("mac")]
        mapping = spec(nodes, arch, "z[m, k] = a[m, k]", schedule=schedule, m=3, k=4)
        return polylat.analyze(mapping, granularity="tile")

    return {
        "three commands of four operations": nest(),
        "setup: {queue: {write: 8}}": nest(setup={"queue": {"write": 8}}),
    }


def burst() -> Panels:
    """Transfers in bursts."""

    def nest(**schedule: Data) -> polylat.Report:
        nodes = [
            keeps("DRAM", "a", "z"),
            loop("m"),
            keeps("SRAM", "a"),
            *(loop("k"), leaf("e1", "mac")),
        ]
        arch = [memory("DRAM", 1, "inf"), memory("SRAM"), unit("mac")]
        mapping = spec(nodes, arch, "z[m, k] = a[m, k]", schedule=schedule, m=3, k=3)
        return polylat.analyze(mapping, granularity="tile")

    return {
        "three tiles of three values": nest(),
        "burst: {DRAM: {read: 4}}": nest(burst={"DRAM": {"read": 4}}),
    }


def rigid() -> Panels:
    """A pipeline that stalls as a whole."""

    def nest(**schedule: list[str]) -> polylat.Report:
        nodes = [keeps("DRAM", "a", "z"), loop("m"), keeps("SRAM", "a", "z"), leaf("e1", "mac")]
        ports = {"separate_read_write_ports": True}
        arch = [memory("DRAM", "1/3", **ports), memory("SRAM"), unit("mac")]
        late = {"latency": {"mac": {"compute": 2}}, **schedule}
        mapping = spec(nodes, arch, "z[m] = a[m]", schedule=late, m=4)
        return full(mapping, staged="all", slots=None)

    return {
        "an operation passes 2 after it was served": nest(),
        "rigid: [mac]: it advances with the operations behind it": nest(rigid=["mac"]),
    }
