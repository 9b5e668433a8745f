"""AccelForge's accounting of Networks and of memories that are distributed over an Array."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from builders import Data
from network_cases import INPUTS, answers, as_stored
from polylat.analysis.roofline import roofline
from polylat.errors import UnsupportedError
from polylat.spec import Spec

STORED = answers()


def near(value: Any) -> Any:
    """Equal within the precision of AccelForge's 32-bit floats."""
    return pytest.approx(value, rel=1e-6)


@pytest.mark.parametrize("name", INPUTS)
def test_accelforges_figures(name: str) -> None:
    figures = roofline(Spec.from_dict(INPUTS[name]))
    parts = {(e, c): time for e, times in figures.per_einsum.items() for c, time in times.items()}
    ours = as_stored(figures.latency, figures.energy.total, parts, figures.totals)
    theirs = STORED[name]
    for key in ("components", "actions"):
        assert ours[key] == near(theirs[key])
    assert (ours["latency"], ours["energy"]) == near((theirs["latency"], theirs["energy"]))


def test_the_answers_are_those_of_the_inputs() -> None:
    assert set(STORED) == set(INPUTS)


def test_hops_of_one_transfer() -> None:
    """Four units, of which each gets a part of A: 0 + 1 + 2 + 3 hops for each part of 8 values."""
    figures = roofline(Spec.from_dict(INPUTS["mesh_1d"]))
    assert figures.totals["e", "noc", "A", "hop"] == (1 + 2 + 3) * 4 * 2
    assert figures.accesses["e", "noc", "A", "hop"] == 3 * 4 * 2
    assert figures.per_einsum["e"]["noc"] == 3 * (4 * 2 + 2 * 8) / 2 + 4 * 8 / 2


def test_a_window_below_a_network_is_refused() -> None:
    data: Data = copy.deepcopy(INPUTS["mesh_1d"])
    data["workload"]["einsums"][0]["tensor_accesses"][0]["projection"] = {"M": "m + k"}
    with pytest.raises(UnsupportedError, match="which AccelForge refuses"):
        roofline(Spec.from_dict(data))
