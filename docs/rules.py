"""Draw a small example of every rule of the model: ``python docs/rules.py [FOLDER]``.

The folder is docs/pictures unless one is given. Each picture is a mapping that polylat analyses,
drawn by `Report.timeline`; nothing in it is drawn by hand.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import polylat

HERE = Path(__file__).resolve().parent
WIDTH = 720

Data = dict[str, Any]
Reports = Mapping[str, polylat.Report]


def memory(name: str, throughput: Any = "inf", size: Any = "inf") -> Data:
    """A memory with one port, which moves so many values per unit of time."""
    actions = [
        {"name": action, "throughput": throughput, "bits_per_action": 8}
        for action in ("read", "write")
    ]
    return {"type": "Memory", "name": name, "size": size, "actions": actions}


def unit(name: str, throughput: Any = 1, fanout: int = 1) -> Data:
    """Units that compute so many operations per unit of time each."""
    return {
        "type": "Compute",
        "name": name,
        "spatial": [{"name": "X", "fanout": fanout}],
        "actions": [{"name": "compute", "throughput": throughput}],
    }


def keeps(component: str, *tensors: str) -> Data:
    """What holds the tensors from here on."""
    return {"type": "Storage", "component": component, "tensors": list(tensors)}


def loop(variable: str, tile: int = 1) -> Data:
    """A loop over tiles of so many."""
    return {"type": "Temporal", "rank_variable": variable, "tile_shape": tile}


def leaf(einsum: str, unit: str) -> Data:
    """An Einsum and what computes it."""
    return {"type": "Compute", "einsum": einsum, "component": unit}


def split(kind: str, *branches: list[Data]) -> Data:
    """Branches, one after another or as stages."""
    return {"type": kind, "nodes": [{"type": "Nested", "nodes": nodes} for nodes in branches]}


def cascade(
    nodes: list[Data],
    arch: list[Data],
    *,
    size: int = 4,
    tensors: str = "abc",
    weights: bool = False,
) -> polylat.Spec:
    """Element by element over m, e1: a → b, e2: b → c and so on; e2 with weights w, if wanted."""
    einsums: list[Data] = [
        {"name": f"e{n}", "tensor_accesses": [access(source), access(target, output=True)]}
        for n, (source, target) in enumerate(pairwise(tensors), start=1)
    ]
    if weights:
        einsums[1]["tensor_accesses"].insert(0, access("w"))
    workload = {"rank_sizes": {"M": size}, "bits_per_value": {"All": 8}, "einsums": einsums}
    return polylat.Spec.from_dict(
        {"workload": workload, "arch": {"nodes": arch}, "mapping": {"nodes": nodes}}
    )


def access(tensor: str, *, output: bool = False) -> Data:
    """An access to one element per operation."""
    return {"name": tensor, "projection": ["m"], "output": output}


def two_units(first: Any = "1/2", second: Any = "1/3") -> list[Data]:
    """A unit of its own for each Einsum; only computing takes time."""
    return [memory("DRAM"), memory("SRAM"), unit("mac1", first), unit("mac2", second)]


def stages(kind: str, *, tile: int = 1) -> list[Data]:
    """Both Einsums in one split, each with a loop over m of its own."""
    return [
        keeps("DRAM", "a", "c"),
        keeps("SRAM", "b"),
        split(kind, [loop("m", tile), leaf("e1", "mac1")], [loop("m", tile), leaf("e2", "mac2")]),
    ]


def flow() -> Reports:
    """A tile iteration starts when what it reads is there."""
    spec = cascade(stages("Pipeline"), two_units())
    return {"Pipeline: e2 starts on an element when e1 has made it": full(spec)}


def barrier() -> Reports:
    """A Sequential's branch starts when all of the branch before has finished."""
    spec = cascade(stages("Sequential"), two_units())
    return {"Sequential: e2 starts when all of e1 has finished": full(spec)}


def capacity() -> Reports:
    """A producer waits for room."""
    nodes = [
        keeps("DRAM", "a", "c"),
        loop("m"),
        keeps("SRAM", "b"),
        split("Pipeline", [leaf("e1", "mac1")], [leaf("e2", "mac2")]),
    ]
    spec = cascade(nodes, two_units(1, "1/3"), size=5)
    return {
        f"slots={slots}: {said}": full(spec, slots=slots)
        for slots, said in ((1, "e1 waits until e2 is through"), (2, "e1 is one tile ahead"))
    }


def prefetch() -> Reports:
    """A fill of what is held above a split runs ahead."""
    nodes = [
        keeps("DRAM", "a", "w", "c"),
        loop("m"),
        keeps("SRAM", "b", "w"),
        split("Sequential", [leaf("e1", "mac1")], [leaf("e2", "mac2")]),
    ]
    inside = [
        keeps("DRAM", "a", "w", "c"),
        loop("m"),
        keeps("SRAM", "b"),
        split("Sequential", [leaf("e1", "mac1")], [keeps("SRAM", "w"), leaf("e2", "mac2")]),
    ]
    slow = [memory("DRAM", "1/2"), memory("SRAM"), unit("mac1", "1/3"), unit("mac2", "1/2")]
    return {
        "w held below the split: its fill is a part of e2": full(
            cascade(inside, slow, weights=True)
        ),
        "w held above the split: its fill runs ahead": full(cascade(nodes, slow, weights=True)),
    }


def background() -> Reports:
    """Nobody waits for a write-back in the background."""
    nodes = [
        keeps("DRAM", "a", "b", "c"),
        loop("m"),
        keeps("SRAM", "b"),
        split("Sequential", [leaf("e1", "mac1")], [leaf("e2", "mac2")]),
    ]
    arch = two_units(1, "1/3")
    arch[0]["actions"][1]["throughput"] = "1/2"
    spec = cascade(nodes, arch)
    return {
        "foreground: e2 waits until b is in DRAM": full(spec),
        "background: b goes to DRAM while e2 computes": full(spec, background="b"),
    }


def orders() -> Reports:
    """Three orders in which a shared port serves."""
    nodes = [
        keeps("DRAM", "a", "d"),
        loop("m"),
        keeps("SRAM", "b", "c"),
        split("Pipeline", [leaf("e1", "mac1")], [leaf("e2", "mac2")], [leaf("e3", "mac1")]),
    ]
    spec = cascade(nodes, two_units("1/2", "1/5"), tensors="abcd")
    return {f'order="{order}"': full(spec, order=order) for order in ("program", "skew", "oldest")}


def sharing() -> Reports:
    """Stages with units of their own, or contending for one."""

    def spec(fanout: int) -> polylat.Spec:
        nodes = [
            keeps("DRAM", "a", "c"),
            keeps("SRAM", "b"),
            split("Pipeline", [loop("m"), leaf("e1", "mac")], [loop("m"), leaf("e2", "mac")]),
        ]
        return cascade(nodes, [memory("DRAM"), memory("SRAM"), unit("mac", "1/2", fanout)])

    return {
        "fanout 1: the stages contend for the unit": full(spec(1)),
        "fanout 2: each stage has a unit of its own": full(spec(2)),
    }


def granularity() -> Reports:
    """How finely loops are told apart."""
    spec = cascade(stages("Pipeline"), two_units())
    return {
        '"tile": loops below the split are one tile iteration': polylat.analyze(
            spec, granularity="tile"
        ),
        '"flow": down to the loops over what is exchanged': polylat.analyze(
            spec, granularity="flow"
        ),
    }


def full(spec: polylat.Spec, **options: Any) -> polylat.Report:
    """Every loop told apart."""
    return polylat.analyze(spec, **{"granularity": "full", **options})


RULES: Mapping[str, Callable[[], Reports]] = {
    "flow": flow,
    "barrier": barrier,
    "capacity": capacity,
    "prefetch": prefetch,
    "background": background,
    "orders": orders,
    "sharing": sharing,
    "granularity": granularity,
}


def draw(rule: str) -> str:
    """The picture of a rule, as SVG that follows the reader's light or dark screen."""
    return polylat.compare(RULES[rule]()).to_svg(width=WIDTH)


def main() -> None:
    """Draw them all."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "pictures"
    folder.mkdir(parents=True, exist_ok=True)
    for rule in RULES:
        (folder / f"{rule}.svg").write_text(f"{draw(rule)}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
