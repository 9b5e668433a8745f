"""Inputs with Networks, and AccelForge's answers to them (``tests/data/networks.json``).

``test_accelforge.py`` compares the answers with AccelForge itself, and ``python -m network_cases``,
run there, writes them again.
"""

from __future__ import annotations

import json
from typing import Any

from builders import DATA, Data, compute, einsum, leaf, loop, memory, nested, spec, storage

ANSWERS = DATA / "networks.json"

Unit = tuple[str, int, str]
"""A Spatial loop: rank variable, tile shape, dimension."""


def network(name: str = "noc", latency: Any = 1, throughput: Any = 2, **more: Any) -> Data:
    """A Network."""
    hop = {"name": "hop", "latency": latency, "throughput": throughput, "energy": 3}
    return {"type": "Network", "name": name, "actions": [hop], **more}


def dims(**fanouts: int) -> list[Data]:
    """Spatial dimensions."""
    return [{"name": name, "fanout": fanout} for name, fanout in fanouts.items()]


def units(component: str, *loops: Unit) -> list[Data]:
    """Spatial loops over the units of a component."""
    return [
        {
            "type": "Spatial",
            "rank_variable": v,
            "tile_shape": tile,
            "component": component,
            "name": d,
        }
        for v, tile, d in loops
    ]


def matmul(name: str = "e", a: str = "A", b: str = "B", z: str = "Z", out: str = "n") -> Data:
    """``Z[m, n] = A[m, k] · B[k, n]``, of which the last variable may have another name."""
    inner = "k" if out == "n" else "n"
    return einsum(name, (z, f"m {out}"), (a, f"m {inner}"), (b, f"{inner} {out}"))


def priced(data: Data) -> Data:
    """The same input with all energies, and what else AccelForge asks for."""
    for node in data["arch"]["nodes"]:
        inner = node.get("nodes", [node])
        for number, component in enumerate(inner, start=2):
            component.setdefault("leak_power", 0)
            component.setdefault("area", 0)
            if component["type"] == "Memory":
                component.setdefault("size", "inf")
                component["tensors"] = {"keep": "All"}
            for action in component["actions"]:
                action.setdefault("energy", number)
    return data


def below(
    *loops: Unit, sizes: tuple[int, int, int] = (4, 8, 8), outer: tuple[Data, ...] = (), **more: Any
) -> Data:
    """A matrix product whose units, each with a memory, are below a mesh or a switch."""
    tiles = dict(zip("mkn", sizes, strict=True))
    arch = [memory("DRAM"), network(**more), memory("PE", "inf", "inf", spatial=dims(X=8, Y=8))]
    nodes = [
        storage("DRAM", "A", "B", "Z"),
        *outer,
        *units("PE", *loops),
        storage("PE", "A", "B", "Z"),
        *(loop(v) for v in tiles),
        leaf("e"),
    ]
    return spec(tiles, [matmul()], [*arch, compute("mac")], nodes)


def levels() -> Data:
    """Two Networks, one inside each unit that the other connects; A passes both at once."""
    arch = [
        memory("DRAM"),
        network("outer"),
        memory("PE", spatial=dims(X=4)),
        network("inner", latency=2, topology="all_to_all"),
        compute("mac", spatial=dims(X=2, Y=4)),
    ]
    nodes = [
        storage("DRAM", "A", "B", "Z"),
        loop("m", 2),
        *units("PE", ("k", 4, "X")),
        storage("PE", "B", "Z"),
        loop("m"),
        loop("n", 4),
        loop("k", 2),
        *units("mac", ("k", 1, "X"), ("n", 1, "Y")),
        leaf("e"),
    ]
    return spec({"m": 4, "k": 8, "n": 8}, [matmul()], arch, nodes)


def two_einsums() -> Data:
    """Two Einsums with the same Network."""
    arch = [memory("DRAM"), network(), memory("PE", spatial=dims(X=4)), compute("mac")]
    branches = [
        nested(
            *units("PE", (v, 2, "X")), storage("PE", *tensors), *map(loop, variables), leaf(name)
        )
        for name, tensors, variables, v in (("e1", "ABC", "mkn", "n"), ("e2", "CDE", "mnp", "n"))
    ]
    nodes = [
        storage("DRAM", "A", "B", "C", "D", "E"),
        loop("m", 2),
        {"type": "Sequential", "nodes": branches},
    ]
    einsums = [matmul("e1", z="C"), matmul("e2", "C", "D", "E", "p")]
    return spec({"m": 4, "k": 2, "n": 8, "p": 2}, einsums, arch, nodes)


def spread(*loops: Unit, **fanouts: int) -> Data:
    """A matrix product whose B is in a memory that is distributed over an Array."""
    inner = [memory("bank", 2, 2, spatial=dims(**fanouts)), network()]
    array = {"type": "Array", "name": "PEs", "spatial": dims(X=8, Y=4), "nodes": inner}
    arch = [memory("DRAM"), array, memory("RF", "inf", "inf"), compute("mac")]
    nodes = [
        storage("DRAM", "A", "B", "Z"),
        storage("bank", "B"),
        loop("m", 2),
        *units("PEs", *loops),
        storage("RF", "A", "B", "Z"),
        *map(loop, "mkn"),
        leaf("e"),
    ]
    return spec({"m": 4, "k": 8, "n": 8}, [matmul()], arch, nodes)


SWITCH: Data = {"topology": "all_to_all"}
INPUTS: dict[str, Data] = {
    "mesh_1d": below(("k", 2, "X")),
    "mesh_1d_tiles": below(("k", 2, "X"), outer=(loop("m", 2), loop("n", 4))),
    "mesh_1d_irrelevant_tiles": below(("n", 2, "X"), outer=(loop("k", 2),)),
    "mesh_2d": below(("k", 2, "X"), ("n", 2, "Y")),
    "mesh_2d_other_order": below(("n", 2, "Y"), ("k", 2, "X"), outer=(loop("m", 1),)),
    "mesh_strides": below(("k", 4, "X"), ("n", 2, "X"), ("m", 2, "Y")),
    "mesh_stride_of_one_variable": below(("k", 4, "X"), ("k", 2, "X"), ("k", 1, "Y")),
    "mesh_imperfect": below(("k", 2, "X"), ("n", 4, "Y"), sizes=(4, 7, 10)),
    "mesh_bits": below(("k", 2, "X"), bits_per_action=4, bits_per_value={"A": 3, "B | Z": 8}),
    "mesh_scales": below(("k", 2, "X"), actions_scale=3, throughput_scale=2, energy_scale=5),
    "mesh_instances": below(("k", 2, "X"), n_parallel_instances=2),
    "mesh_sum": below(("k", 2, "X"), total_latency="max_hops + max_link_traffic / 3"),
    "switch_1d": below(("k", 2, "X"), **SWITCH),
    "switch_2d": below(("k", 2, "X"), ("n", 2, "Y"), outer=(loop("m", 2),), **SWITCH),
    "switch_strides": below(("k", 4, "X"), ("n", 2, "X"), ("k", 1, "Y"), **SWITCH),
    "two_levels": levels(),
    "two_einsums": two_einsums(),
    "bank_per_unit": spread(("k", 2, "X"), ("n", 2, "Y"), X=8, Y=4),
    "bank_per_four": spread(("k", 1, "X"), ("n", 2, "Y"), X=2),
    "bank_strides": spread(("k", 4, "X"), ("m", 1, "X"), ("n", 4, "Y"), X=4, Y=2),
    "bank_part": spread(("n", 4, "X"), X=2, Y=2),
}
INPUTS = {name: priced(data) for name, data in INPUTS.items()}


def answers() -> dict[str, Data]:
    """AccelForge's stored answers."""
    found: dict[str, Data] = json.loads(ANSWERS.read_text(encoding="utf-8"))
    return found


def as_stored(latency: Any, energy: Any, parts: Any, actions: Any) -> Data:
    """AccelForge's answer as plain data; of one Einsum, the parts are without its name."""
    times = {"/".join(k) if isinstance(k, tuple) else f"e/{k}": float(v) for k, v in parts.items()}
    counts = {"/".join(map(str, key)): float(count) for key, count in actions.items()}
    return {
        "latency": float(latency),
        "energy": float(energy),
        "components": dict(sorted(times.items())),
        "actions": dict(sorted(counts.items())),
    }


def asked(text: str) -> Data:
    """AccelForge's answer to an input."""
    import tempfile

    import accelforge as af

    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        file.write(text)
        file.flush()
        found = af.Spec.from_yaml(file.name).evaluate_mapping()
    return as_stored(
        found.latency(),
        found.energy(),
        found.latency(per_component=True, per_einsum=True),
        found.actions(per_tensor=True, per_component=True, per_einsum=True),
    )


if __name__ == "__main__":
    from polylat.spec.writing.yaml_output import dump

    made = {name: asked(dump(data)) for name, data in INPUTS.items()}
    ANSWERS.write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")
