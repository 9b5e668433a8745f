"""What waits for what."""

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


def streaming() -> Panels:
    """Inside a leaf, ports do not wait for each other."""
    nodes = [keeps("DRAM", "a", "b"), loop("m"), keeps("SRAM", "a", "b"), leaf("e1", "mac")]
    arch = [memory("DRAM", "1/2", "inf"), memory("SRAM"), unit("mac")]
    return {"one leaf: mac runs ahead of the reads": full(spec(nodes, arch, "b[m] = a[m]", m=4))}


def flow() -> Panels:
    """A tile iteration starts when what it reads is there."""
    mapping = spec(stages("Pipeline"), two_units(), *TWO, m=4)
    return {"Pipeline: e2 starts on an element when e1 has made it": full(mapping)}


def barrier() -> Panels:
    """A Sequential's branch starts when all of the branch before has finished."""
    mapping = spec(stages("Sequential"), two_units(), *TWO, m=4)
    return {"Sequential: e2 starts when all of e1 has finished": full(mapping)}


def capacity() -> Panels:
    """A producer waits for room."""
    mapping = spec(tiled("Pipeline", "b"), two_units(1, "1/3"), *TWO, m=5)
    return {
        f"slots={slots}: {said}": full(mapping, slots=slots)
        for slots, said in ((1, "e1 waits until e2 is through"), (2, "e1 is one tile ahead"))
    }


def room() -> Panels:
    """A producer waits until its own tile is written back in the background."""
    producer = [loop("m"), keeps("SRAM", "b"), leaf("e1", "mac1")]
    consumer = [loop("m"), leaf("e2", "mac2")]
    nodes = [keeps("DRAM", "a", "b"), keeps("SRAM", "c"), split("Pipeline", producer, consumer)]
    arch = [memory("DRAM", "inf", "1/3"), *two_units(1, 1)[1:]]
    mapping = spec(nodes, arch, *TWO, m=4)
    return {
        f"slots={slots}: {said}": full(mapping, slots=slots, background="b")
        for slots, said in (
            (1, "e1 waits until its last tile is in DRAM"),
            (2, "it waits for the one before that"),
        )
    }


def prefetch() -> Panels:
    """A fill of what is held above a split runs ahead."""
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
            ("w held below the split: its fill is a part of e2", inside),
            ("w held above the split: its fill runs ahead", above),
        )
    }


def ahead() -> Panels:
    """A fill needs room, too."""
    arch = [memory("DRAM", "1/2", "inf"), memory("SRAM"), unit("mac1"), unit("mac2")]
    nodes = tiled("Sequential", "a", "b")
    mapping = spec(nodes, arch, "b[m] = a[m]", "c[m] = a[m] * b[m]", m=3)
    return {
        f"slots={slots}: {said}": full(mapping, slots=slots)
        for slots, said in ((1, "e2 needs the tile of a first"), (2, "the next one is fetched"))
    }


def background() -> Panels:
    """Nobody waits for a write-back in the background."""
    arch = [memory("DRAM", "inf", "1/2"), *two_units(1, "1/3")[1:]]
    mapping = spec(tiled("Sequential", "b", backing="abc"), arch, *TWO, m=4)
    return {
        "foreground: e2 waits until b is in DRAM": full(mapping),
        "background: b goes to DRAM while e2 computes": full(mapping, background="b"),
    }


def in_order() -> Panels:
    """A leaf's tile iterations finish in order."""
    nodes = [
        keeps("DRAM", "w"),
        keeps("SRAM", "a", "b", "c"),
        split(
            "Pipeline",
            [keeps("SRAM", "w"), loop("m"), leaf("e1", "mac1")],
            [loop("m"), leaf("e2", "mac2")],
        ),
    ]
    arch = [memory("DRAM", "1/6"), memory("SRAM"), unit("mac1"), unit("mac2")]
    mapping = spec(nodes, arch, "b[m] = a[m] * w[]", "c[m] = b[M: 3 - m]", m=4)
    return {"e1 finishes nothing before w is there": full(mapping)}


def finish() -> Panels:
    """The last access ends the schedule, write-backs included."""
    nodes = [
        keeps("DRAM", "a", "c"),
        loop("m"),
        keeps("SRAM", "b", "c"),
        split("Sequential", [leaf("e1", "mac1")], [leaf("e2", "mac2")]),
    ]
    arch = [memory("DRAM", "inf", "1/4"), *two_units(1, 1)[1:]]
    mapping = spec(nodes, arch, *TWO, m=3)
    return {
        "foreground: each iteration ends with its write-back": full(mapping),
        "background: nobody waits, but the last one ends it": full(mapping, background="c"),
    }


def sharing() -> Panels:
    """Stages with units of their own, or contending for one."""
    stages = ([loop("m"), leaf("e1", "mac")], [loop("m"), leaf("e2", "mac")])
    nodes = [keeps("DRAM", "a", "c"), keeps("SRAM", "b"), split("Pipeline", *stages)]
    return {
        title: full(
            spec(nodes, [memory("DRAM"), memory("SRAM"), unit("mac", "1/2", fanout)], *TWO, m=4)
        )
        for fanout, title in (
            (1, "fanout 1: the stages contend for the unit"),
            (2, "fanout 2: each stage has a unit of its own"),
        )
    }
