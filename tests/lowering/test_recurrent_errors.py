"""Recurrences that no order satisfies: the element, the two tile iterations, and the fix."""

from __future__ import annotations

import copy
from typing import Any

import pytest

import polylat
from builders import loop
from polylat import MappingError, Spec
from recurrent import scan, two_stages

Data = dict[str, Any]


def refused(data: Data) -> str:
    """The message of the error."""
    with pytest.raises(MappingError) as caught:
        polylat.analyze(Spec.from_dict(data), granularity="flow")
    return str(caught.value)


def test_a_step_that_reads_itself() -> None:
    data = scan(5, 2, 3)
    accesses = data["workload"]["einsums"][0]["tensor_accesses"]
    accesses[-1]["projection"] = accesses[0]["projection"]
    message = refused(data)
    assert (
        "'e' reads the element H0=0, H1=0 of tensor 'h' in tile iteration (t: 0, b: 0)" in message
    )
    assert message.endswith(
        "which it computes in the same tile iteration. Fix: let it read an element of an earlier"
        " step."
    )


def test_units_carry_no_recurrence() -> None:
    data = scan(2, 2, 3)
    data["arch"]["nodes"][-1]["spatial"] = [{"name": "X", "fanout": 2}]
    place = data["mapping"]["nodes"].index(loop("t"))
    spatial = {"type": "Spatial", "rank_variable": "t", "tile_shape": 1, "component": "mac"}
    data["mapping"]["nodes"][place] = spatial | {"name": "X"}
    assert "a Spatial loop carries no recurrence: make the loop over 't' Temporal" in refused(data)


def test_a_reader_before_the_loop_over_steps() -> None:
    """Without the loop over t above the split, e1 reads all states before e2 computes them."""
    data = copy.deepcopy(two_stages(4, 1, 2, 3))
    nodes = data["mapping"]["nodes"]
    split = nodes[-1]
    nodes.remove(loop("t"))
    for branch in split["nodes"]:
        branch["nodes"].insert(0, loop("t"))
    message = refused(data)
    assert "'e1' reads the element " in message
    assert "which 'e2' completes in tile iteration (b: 0, t: 0), not before it" in message
    assert "put all loops over the steps, Temporal ones, above both Einsums" in message


def test_a_state_below_its_loop() -> None:
    message = refused(scan(5, 2, 3, registers="lost"))
    assert "reads an element of tensor 'h' in 'SRAM' that is not there: H0=1, H1=0" in message
    assert "put the Storage of 'h' in 'SRAM' above the loops" in message
