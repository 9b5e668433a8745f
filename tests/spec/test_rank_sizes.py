"""Sizes of ranks that refer to each other."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from builders import DATA
from polylat.analysis.roofline import roofline
from polylat.errors import ExpressionError, SpecError
from polylat.report import analyze
from polylat.spec import Spec
from polylat.spec.reading.load import load

RATES = [{"name": "read", "throughput": 1}, {"name": "write", "throughput": 1}]
PLAIN: dict[str, Any] = {
    "workload": {
        "bits_per_value": {"All": 8},
        "einsums": [
            {
                "name": "B",
                "tensor_accesses": [
                    {"name": "A", "projection": ["m"]},
                    {"name": "B", "projection": ["m"], "output": True},
                ],
            }
        ],
    },
    "arch": {
        "nodes": [
            {"type": "Memory", "name": "DRAM", "size": "inf", "actions": RATES},
            {"type": "Compute", "name": "mac", "actions": [{"name": "compute", "throughput": 1}]},
        ]
    },
    "mapping": {
        "nodes": [
            {"type": "Storage", "component": "DRAM", "tensors": ["A", "B"]},
            {"type": "Temporal", "rank_variable": "m", "tile_shape": 1},
            {"type": "Compute", "einsum": "B", "component": "mac"},
        ]
    },
}


def operations(
    sizes: dict[str, Any], own: dict[str, Any] | None = None, **variables: Any
) -> int | str:
    """Number of operations of a copy of a vector, which is the size of its rank M."""
    data = copy.deepcopy(PLAIN)
    data["workload"]["rank_sizes"] = sizes
    data["workload"]["einsums"][0]["rank_sizes"] = own or {}
    data["variables"] = variables
    (count,) = (c for k, c in roofline(Spec.from_dict(data)).accesses.items() if k[1] == "mac")
    assert isinstance(count, int)
    return count


def test_a_size_that_refers_to_another() -> None:
    spec = load(DATA / "upstream" / "rank_sizes_ref.yaml")
    assert roofline(spec).latency == analyze(spec).latency == 64  # AccelForge 1.0.467 and main
    assert operations({"M": "ceil(14/X)", "X": 4}) == 4


def test_a_rank_hides_a_variable() -> None:
    """As in AccelForge, where the only names are those of ranks."""
    assert operations({"X": 4, "M": "X*2"}, X=3) == 8
    assert operations({"M": "M*2"}, M=3) == 6  # its own name is the outer one, as everywhere
    assert operations({"M": "Y*2"}, Y=3) == 6


def test_the_sizes_of_an_einsum_come_first() -> None:
    assert operations({"X": 4, "M": 3}, {"M": "X*2"}) == 8
    assert operations({"X": 4, "M": 3}, {"M": "X*2", "X": 5}) == 10


def test_a_long_chain() -> None:
    length = 700
    sizes: dict[str, Any] = {f"M{i}": f"M{i + 1}" for i in range(length)}
    assert operations({"M": "M0"} | sizes | {f"M{length}": 7}) == 7
    with pytest.raises(ExpressionError, match="M1 → M2 → M3 → M4 → M5 → M6 → M7 → … → M1"):
        operations({"M": "M0"} | sizes | {f"M{length}": "M1"})


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"M": "X", "X": "M"}, "workload.rank_sizes.M: the size of rank 'M' depends on itself: M"),
        ({"M": "X", "X": "Y+1", "Y": "X"}, "workload.rank_sizes.X: the size of rank 'X' depends"),
        ({"M": "M+1"}, "workload.rank_sizes.M: the size of rank 'M' depends on itself: M → M. Fix"),
        ({"M": "16/X", "X": 3}, "workload.rank_sizes.M: the size of rank 'M' must be a whole num"),
        ({"M": "x*2", "X": 3}, "workload.rank_sizes.M: cannot evaluate 'x*2': 'x' is not defined"),
        ({"M": 3, "X": "Z Z"}, "workload.rank_sizes.X: cannot evaluate 'Z Z': it is not a valid"),
    ],
)
def test_wrong_sizes(sizes: dict[str, Any], message: str) -> None:
    with pytest.raises(ExpressionError) as error:
        operations(sizes)
    assert str(error.value).startswith(message)


def test_a_hidden_variable_is_not_used() -> None:
    data = copy.deepcopy(PLAIN)
    data["workload"]["rank_sizes"] = {"X": 4, "M": "X*2"}
    with pytest.raises(SpecError, match="the input has no variable 'X'"):
        Spec.from_dict(data, X=3)
