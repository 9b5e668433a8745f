"""Inputs that several test modules share: files of the repository, cascades, and plain data."""

from __future__ import annotations

import copy
import json
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

Data = dict[str, Any]

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = ROOT / "examples"
EXAMPLE = [str(EXAMPLES / f"{name}.yaml") for name in ("arch", "workload", "tap_resident")]
DATA = ROOT / "tests" / "data"
OURS = DATA / "accelforge"
"""Inputs in AccelForge's format, each with AccelForge's results."""
CORPUS = Path(os.environ.get("POLYLAT_CORPUS", ROOT.parent / "shared" / "accelforge-corpus"))
"""More such inputs, where they are present."""
CASCADES: list[Data] = json.loads((DATA / "cascades-staged.json").read_text(encoding="utf-8"))
"""Random cascades, each with the results of an independent implementation."""
RECURRENT: list[Data] = json.loads((DATA / "cascades-recurrent.json").read_text(encoding="utf-8"))
"""Random cascades with recurrences, each with the results of two independent implementations."""
RECURRENT_LEGAL = [case for case in RECURRENT if case["expected"] is not None]
LEGAL = [case for case in CASCADES if case["expected"] is not None]


def options_of(case: Data) -> Data:
    """The options of a known case, with pairs as tuples."""
    options = dict(case["options"])
    for name in ("background", "staged"):
        if not isinstance(options[name], str):
            options[name] = [s if isinstance(s, str) else tuple(s) for s in options[name]]
    return options


def stretched(spec: Data, factors: dict[str, int], more: int = 0) -> Data:
    """The same cascade with larger ranks."""
    data = copy.deepcopy(spec)
    shape = data["workload"]["iteration_space_shape"]
    for variable, factor in factors.items():
        size = int(re.findall(r"< (\d+)", shape[variable])[-1])
        shape[variable] = shape[variable].replace(f"< {size}", f"< {size * factor + more}")
    return data


def without_latencies(spec: Data) -> Data:
    """The same cascade, whose actions have no latencies and whose transfers have no setup."""
    data = copy.deepcopy(spec)
    data.pop("schedule", None)
    for node in data["arch"]["nodes"]:
        for action in node.get("actions", ()):
            action.pop("latency", None)
    return data


def with_energies(spec: Data, *, leak: bool = False) -> Data:
    """The same cascade, in which every action has an energy of its own."""
    data = copy.deepcopy(spec)
    for number, node in enumerate(data["arch"]["nodes"], start=1):
        for position, action in enumerate(node.get("actions", ())):
            action["energy"] = f"{2 * number + 1}/{position + 2}"
        if leak and node["type"] != "Container":
            node["leak_power"] = number
    return data


def without_machine(spec: Data, *keys: str) -> Data:
    """The same cascade without some properties of its machine, such as ``latency``."""
    machine = {key: value for key, value in spec.get("schedule", {}).items() if key not in keys}
    return spec | {"schedule": machine}


def storage(component: str, *tensors: str) -> Data:
    """A Storage node."""
    return {"type": "Storage", "component": component, "tensors": list(tensors)}


def loop(variable: str, shape: int = 1) -> Data:
    """A Temporal loop."""
    return {"type": "Temporal", "rank_variable": variable, "tile_shape": shape}


def leaf(einsum: str, component: str = "mac") -> Data:
    """A Compute node."""
    return {"type": "Compute", "einsum": einsum, "component": component}


def nested(*nodes: Data) -> Data:
    """A branch of a split."""
    return {"type": "Nested", "nodes": list(nodes)}


def einsum(name: str, output: tuple[str, str], *inputs: tuple[str, str]) -> Data:
    """An Einsum; tensors are given with their variables, as in ``("t", "m k")``."""
    accesses = [{"name": t, "projection": variables.split()} for t, variables in inputs]
    out = {"name": output[0], "projection": output[1].split(), "output": True}
    return {"name": name, "tensor_accesses": [*accesses, out]}


def memory(name: str, read: int | str = 1, write: int | str = 1, **more: object) -> Data:
    """A Memory with these throughputs."""
    actions = [{"name": "read", "throughput": read}, {"name": "write", "throughput": write}]
    return {"type": "Memory", "name": name, "actions": actions, **more}


def compute(name: str, throughput: int | str = 1, **more: object) -> Data:
    """A Compute with this throughput."""
    actions = [{"name": "compute", "throughput": throughput}]
    return {"type": "Compute", "name": name, "actions": actions, **more}


def spec(
    sizes: dict[str, int], einsums: Sequence[Data], arch: Sequence[Data], nodes: Sequence[Data]
) -> Data:
    """A whole specification; values are one bit wide, so that actions are values."""
    return {
        "workload": {
            "iteration_space_shape": {name: f"0 <= {name} < {n}" for name, n in sizes.items()},
            "bits_per_value": {"All": 1},
            "einsums": list(einsums),
        },
        "arch": {"nodes": list(arch)},
        "mapping": {"nodes": list(nodes)},
    }


def delayed(trips: int, *, rigid: bool) -> Data:
    """Three stages, of 3, 1 and 3 per operation; the second one passes 2 after its service."""
    data = spec(
        {"m": trips},
        [
            einsum("e0", ("t0", "m"), ("a", "m")),
            einsum("e1", ("t1", "m"), ("t0", "m")),
            einsum("e2", ("t2", "m"), ("t1", "m")),
        ],
        [
            memory("SRAM", "inf", "inf", size="inf"),
            compute("c0", "1/3"),
            compute("c1", 1),
            compute("c2", "1/3"),
        ],
        [
            storage("SRAM", "a", "t0", "t1", "t2"),
            {
                "type": "Pipeline",
                "nodes": [nested(loop("m"), leaf(f"e{k}", f"c{k}")) for k in range(3)],
            },
        ],
    )
    data["schedule"] = {"latency": {"c1": {"compute": 2}}, "rigid": ["c1"] if rigid else []}
    return data
