"""Einsums that access a tensor several times, and ranks in any order."""

from __future__ import annotations

from typing import Any

import polylat
from builders import compute, einsum, leaf, loop, memory, nested, spec, storage
from polylat.spec import Spec

RECURRENCE = "h[t+1, d] = a[t, d] * h[t, d] * h[T: 0, d]"


def recurrent(text: str) -> dict[str, Any]:
    """A recurrence over t, given as text."""
    arch = [memory("DRAM", size="inf"), compute("mac")]
    nodes = [storage("DRAM", "a", "h"), loop("t"), loop("d"), leaf("h")]
    data = spec({"t": 5, "d": 3}, [], arch, nodes)
    data["workload"]["einsums"] = [text]
    return data


def test_several_accesses_in_a_text() -> None:
    """Ranks are named after the rank variables; A[m] * A[m] is read once, as in AccelForge."""
    (step,) = Spec.from_dict(recurrent(RECURRENCE)).workload.einsums
    state = step.access("h")
    assert step.tensors == ("a", "h")
    assert (step.inputs, step.outputs, step.states) == (("a",), ("h",), ("h",))
    assert state.ranks == ("T", "D")
    assert [[str(i) for i in read] for read in state.reads] == [["t", "d"], ["0", "d"]]
    assert state.write is not None
    assert [str(index) for index in state.write] == ["t + 1", "d"]
    assert len(state.projections) == 3
    twice = RECURRENCE.replace("h[T: 0, d]", "h[t, d]")
    assert len(Spec.from_dict(recurrent(twice)).workload.einsums[0].access("h").reads) == 1


def test_keys_of_a_tensor_that_is_accessed_twice() -> None:
    """Further keys of a tensor hold for all of its accesses."""
    entry = {"einsum": RECURRENCE, "tensor_accesses": [{"name": "h", "bits_per_value": 32}]}
    data = recurrent(RECURRENCE)
    data["workload"]["einsums"] = [entry]
    assert Spec.from_dict(data).workload.einsums[0].access("h").bits_per_value == 32


def test_ranks_in_another_order() -> None:
    """Ranks are matched by name, whatever their order in an access."""
    nodes = [
        storage("DRAM", "a", "b", "c"),
        {
            "type": "Sequential",
            "nodes": [
                nested(loop("m"), loop("n"), leaf("e", "mac")),
                nested(loop("m"), loop("n"), leaf("f", "mac")),
            ],
        },
    ]
    arch = [memory("DRAM", size="inf"), compute("mac")]
    einsums = [
        einsum("e", ("b", "m n"), ("a", "m n")),
        einsum("f", ("c", "m n"), ("b", "m n")),
    ]
    data = spec({"m": 3, "n": 5}, einsums, arch, nodes)
    straight = polylat.analyze(Spec.from_dict(data))
    read = next(a for a in data["workload"]["einsums"][1]["tensor_accesses"] if a["name"] == "b")
    read["projection"] = {"N": "n", "M": "m"}
    turned = Spec.from_dict(data)
    access = turned.workload.einsum("f").access("b")
    assert access.ranks == turned.workload.einsum("e").access("b").ranks
    assert [str(index) for index in access.projection] == ["m", "n"]
    report = polylat.analyze(turned)
    assert (report.latency, report.padding) == (straight.latency, ())
