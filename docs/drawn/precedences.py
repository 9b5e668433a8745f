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
from polylat import Report


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


def ranges() -> Panels:
    """Three stages on two units: a Pipeline in a Pipeline divides them between two stages."""
    one, two, three = ([loop("m"), leaf(name, "mac")] for name in ("e1", "e2", "e3"))
    nodes = [keeps("DRAM", "a", "d"), keeps("SRAM", "b", "c")]
    arch = [memory("DRAM"), memory("SRAM"), unit("mac", "1/2", 2)]
    trees = {
        "Pipeline[e1, e2, e3]: all stages on the first unit": [one, two, three],
        "Pipeline[Pipeline[e1, e2], e3]: e2 has the second unit": [
            [split("Pipeline", one, two)],
            three,
        ],
    }
    return {
        title: full(spec([*nodes, split("Pipeline", *tree)], arch, *TWO, "d[m] = c[m]", m=4))
        for title, tree in trees.items()
    }


def bindings() -> Panels:
    """Three stages on two units, by the numbers of a binding."""
    stages = [[loop("m"), leaf(name, "mac")] for name in ("e1", "e2", "e3")]
    nodes = [keeps("DRAM", "a", "d"), keeps("SRAM", "b", "c")]
    arch = [memory("DRAM"), memory("SRAM"), unit("mac", "1/2", 2)]
    bound = {
        "binding: [0, 0, 1]: e1 and e2 share a unit": [0, 0, 1],
        "binding: [0, 1, 0]: e1 and e3 share a unit": [0, 1, 0],
    }
    return {
        title: full(
            spec(
                [*nodes, split("Pipeline", *stages) | {"binding": numbers}],
                arch,
                *TWO,
                "d[m] = c[m]",
                m=4,
            )
        )
        for title, numbers in bound.items()
    }


def recurrence() -> Panels:
    """A step waits for the state of the step before; what else there is fills the time."""
    mac = unit("mac", "1/2")
    (action,) = mac["actions"]
    arch = [memory("DRAM"), memory("SRAM"), {**mac, "actions": [{**action, "latency": 3}]}]

    def scan(batch: int, *order: str) -> Report:
        nodes = [keeps("DRAM", "x"), keeps("SRAM", "h"), *map(loop, order), leaf("e1", "mac")]
        return full(spec(nodes, arch, "h[M: m + 1, B: b] = h[M: m, B: b] * x[m, b]", m=4, b=batch))

    return {
        "one chain: each step waits for the result of the one before": scan(1, "m", "b"),
        "two chains, b inside the loop over m": scan(2, "m", "b"),
        "two chains, b outside": scan(2, "b", "m"),
    }
