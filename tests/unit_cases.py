"""Pipelines whose stages share an array: which units they use decides how long they take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from builders import Data, compute, einsum, leaf, loop, memory, nested, spec, storage

S, P = "Sequential", "Pipeline"


def bound(*numbers: int) -> str:
    """A Pipeline with a binding, for a tree of `on_units`."""
    return " ".join([P, *map(str, numbers)])


def on_units(
    tree: Sequence[Any],
    fanouts: dict[str, int],
    held: str = "DRAM",
    concurrent: Mapping[str, bool] | None = None,
) -> Data:
    """Einsums that read the same four values, in a tree such as ``(P, 1, (S, 2, 1))``.

    A number is an Einsum that uses so many units of ``mac``; it takes 4. All else takes no time.
    ``held`` holds the values that are read, above the tree, and has registers in each ``PE``.
    ``concurrent`` has the keys ``support_concurrent_binding``, by component.
    """
    count = 0
    einsums: list[Data] = []

    def node(tree: Any) -> list[Data]:
        nonlocal count
        if isinstance(tree, int):
            count += 1
            name, k = f"e{count}", f"k{count}"
            einsums.append(einsum(name, (f"z{count}", f"m {k}"), ("a", "m")))
            sizes[k] = tree
            unit = {"type": "Spatial", "rank_variable": k, "component": "mac", "name": "X"}
            units = {**unit, "tile_shape": 1} if tree > 1 else loop(k)
            return [storage("DRAM", f"z{count}"), loop("m"), units, leaf(name)]
        kind, *branches = tree
        name, *numbers = kind.split()
        binding = {"binding": [int(number) for number in numbers]} if numbers else {}
        stages = [nested(*node(branch)) for branch in branches]
        return [{"type": name, **binding, "nodes": stages}]

    sizes = {"m": 4}
    array = {
        name: [{"name": "X", "fanout": fanout}] if fanout > 1 else []
        for name, fanout in fanouts.items()
    }
    arch = [
        memory("DRAM", "inf", "inf", size="inf"),
        {"type": "Container", "name": "PE", "spatial": array.get("PE", [])},
        memory("RF", "inf", "inf", size="inf"),
        compute("mac", spatial=array.get("mac", [])),
    ]
    for component in arch:
        if component["name"] in (concurrent or {}):
            component["support_concurrent_binding"] = (concurrent or {})[component["name"]]
    nodes = [storage("DRAM", "a"), *([] if held == "DRAM" else [storage(held, "a")]), *node(tree)]
    return spec(sizes, einsums, arch, nodes)


UNITS = [
    ((P, 1, 1), {"mac": 1}, "DRAM", 8),
    ((P, 1, 1), {"mac": 2}, "DRAM", 4),
    # e3 has no unit of its own: it uses the first one, that of e1, and not that of e2.
    ((P, (P, 1, 1), 1), {"mac": 2}, "DRAM", 8),
    ((P, 1, (P, 1, 1)), {"mac": 2}, "DRAM", 8),
    ((P, (P, 1, 1), 1), {"mac": 3}, "DRAM", 4),
    # A leaf that uses the whole array contends with all stages.
    ((P, (P, 1, 1), 2), {"mac": 2}, "DRAM", 8),
    ((P, (P, 1, 1), 2), {"mac": 3}, "DRAM", 8),
    ((S, (P, 1, 1, 1, 1), 4), {"mac": 4}, "DRAM", 8),
    # A Sequential needs what its largest branch needs.
    ((P, (S, 1, 2), 1), {"mac": 3}, "DRAM", 8),
    ((P, (S, 1, 2), 1), {"mac": 2}, "DRAM", 12),
    ((P, (S, 1, (P, 1, 1)), (S, 1, 1)), {"mac": 3}, "DRAM", 8),
    # Each PE has its own mac: stages with a PE of their own have a mac of their own.
    ((P, 1, 1), {"PE": 2}, "DRAM", 4),
    ((P, (P, 1, 1), 1), {"PE": 2}, "DRAM", 8),
    ((P, (P, 1, 1), 1), {"PE": 2, "mac": 2}, "DRAM", 8),
    ((P, (P, 1, 1), 1), {"PE": 2, "mac": 3}, "DRAM", 4),
    ((P, (P, 1, 1), (P, 1, 1)), {"PE": 2, "mac": 2}, "DRAM", 8),
    # What lies in the registers of one PE is used in that PE, but by any of its macs.
    ((P, 1, 1), {"PE": 2}, "RF", 8),
    ((P, 1, 1), {"PE": 2, "mac": 2}, "RF", 4),
    # Stages with one number share units, and need as many as the one that needs most.
    ((bound(0, 0), 1, 1), {"mac": 2}, "DRAM", 8),
    ((bound(0, 1), 1, 1), {"mac": 2}, "DRAM", 4),
    ((bound(0, 1, 0), 1, 1, 1), {"mac": 2}, "DRAM", 8),
    ((bound(0, 0, 1), 1, 2, 2), {"mac": 4}, "DRAM", 8),
    ((bound(0, 0, 0), (P, 1, 1), (P, 1, 1), 2), {"mac": 2}, "DRAM", 12),
    ((bound(0, 0), (bound(0, 1), 1, 1), 1), {"mac": 2}, "DRAM", 8),
    ((bound(0, 1), (bound(0, 0), 1, 1), 1), {"mac": 2}, "DRAM", 8),
    ((bound(0, 0), 1, 1), {"PE": 2}, "RF", 8),
    # Together they need 2 of the 2 units; without a binding they would need 3.
    ((P, (bound(0, 0), 1, 1), 1), {"mac": 2}, "DRAM", 8),
    ((P, (S, (bound(5, 5), 1, 1), 2), 1), {"mac": 3}, "DRAM", 12),
]
