"""Dependences and precedences: which accesses wait for which."""

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
    """A tile iteration starts when its data has arrived."""
    mapping = spec(stages("Pipeline"), two_units(), *TWO, m=4)
    return {"Pipeline: e2 starts on an element when e1 has computed it": full(mapping)}


def barrier() -> Panels:
    """A branch of a Sequential starts when all of the previous branch has finished."""
    mapping = spec(stages("Sequential"), two_units(), *TWO, m=4)
    return {"Sequential: e2 starts when all of e1 has finished": full(mapping)}


def capacity() -> Panels:
    """A producer waits for a free slot."""
    mapping = spec(tiled("Pipeline", "b"), two_units(1, "1/3"), *TWO, m=5)
    return {
        f"slots={slots}: {caption}": full(mapping, slots=slots)
        for slots, caption in ((1, "e1 waits for each e2"), (2, "e1 is one tile ahead"))
    }


def room() -> Panels:
    """A producer waits until its own tile has been written back in the background."""
    producer = [loop("m"), keeps("SRAM", "b"), leaf("e1", "mac1")]
    consumer = [loop("m"), leaf("e2", "mac2")]
    nodes = [keeps("DRAM", "a", "b"), keeps("SRAM", "c"), split("Pipeline", producer, consumer)]
    arch = [memory("DRAM", "inf", "1/3"), *two_units(1, 1)[1:]]
    mapping = spec(nodes, arch, *TWO, m=4)
    return {
        f"slots={slots}: {caption}": full(mapping, slots=slots, background="b")
        for slots, caption in (
            (1, "e1 waits until its previous tile is in DRAM"),
            (2, "e1 waits for the tile before that"),
        )
    }


def prefetch() -> Panels:
    """A fill of a holder above a split is prefetched."""
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
            ("w held below the split: its fill belongs to e2's foreground", inside),
            ("w held above the split: its fill runs ahead", above),
        )
    }


def ahead() -> Panels:
    """A prefetched fill waits for a free slot."""
    arch = [memory("DRAM", "1/2", "inf"), memory("SRAM"), unit("mac1"), unit("mac2")]
    nodes = tiled("Sequential", "a", "b")
    mapping = spec(nodes, arch, "b[m] = a[m]", "c[m] = a[m] * b[m]", m=3)
    return {
        f"slots={slots}: {caption}": full(mapping, slots=slots)
        for slots, caption in ((1, "the next fill waits for e2"), (2, "the next fill runs ahead"))
    }


def background() -> Panels:
    """Nothing waits for a background write-back."""
    arch = [memory("DRAM", "inf", "1/2"), *two_units(1, "1/3")[1:]]
    mapping = spec(tiled("Sequential", "b", backing="abc"), arch, *TWO, m=4)
    return {
        "foreground: e2 waits until b is in DRAM": full(mapping),
        "background: b is written back while e2 computes": full(mapping, background="b"),
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
    return {"no iteration of e1 finishes before w arrives": full(mapping)}


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
        "foreground: each iteration ends with its write-back": full(mapping),
        "background: nothing waits; the last write ends it": full(mapping, background="c"),
    }


def sharing() -> Panels:
    """Stages that contend for one unit, and stages with separate units."""
    stages = ([loop("m"), leaf("e1", "mac")], [loop("m"), leaf("e2", "mac")])
    nodes = [keeps("DRAM", "a", "c"), keeps("SRAM", "b"), split("Pipeline", *stages)]
    return {
        title: full(
            spec(nodes, [memory("DRAM"), memory("SRAM"), unit("mac", "1/2", fanout)], *TWO, m=4)
        )
        for fanout, title in (
            (1, "fanout 1: the stages contend for the unit"),
            (2, "fanout 2: each stage has its own unit"),
        )
    }
