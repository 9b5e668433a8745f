"""Models that share the tasks of another mapping."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given

from polylat import MappingError, Spec, TooLargeError
from polylat.engine.model import Model, build
from polylat.lowering.lowered import lower, with_sequential_splits
from reports import transfers
from strategies import cascades
from unit_cases import P, on_units

Data = dict[str, Any]


def two_in_turn(spec: Spec, options: Data) -> tuple[Model, Model, Model]:
    """A mapping, and twice the one with Sequentials: with the tasks of the first, and alone."""
    given_options = transfers(spec, **options)
    lowered = lower(spec, options["granularity"].replace("auto", "flow"), given_options)
    model = build(lowered, given_options)
    in_turn = with_sequential_splits(lowered)
    beside = build(in_turn, given_options, beside=model)
    return model, beside, build(in_turn, given_options)


def assert_same(found: Model, expected: Model) -> None:
    """Every array of the two task graphs is the same, and of the same type."""
    for name, value in vars(expected.graph).items():
        if isinstance(value, np.ndarray):
            other = getattr(found.graph, name)
            assert (other.dtype, other.tolist()) == (value.dtype, value.tolist()), name
    assert found.graph.ports == expected.graph.ports
    assert found.graph.dates.program.tolist() == expected.graph.dates.program.tolist()
    assert found.graph.dates.skew.tolist() == expected.graph.dates.skew.tolist()
    assert {leaf: times.tolist() for leaf, times in found.graph.rigid.items()} == {
        leaf: times.tolist() for leaf, times in expected.graph.rigid.items()
    }
    assert (found.costs.scale, found.costs.ports) == (expected.costs.scale, expected.costs.ports)
    assert (found.shifts, found.bound) == (expected.shifts, expected.bound)
    assert [t.leaf for t in found.layout.tiles] == [t.leaf for t in expected.layout.tiles]


@given(cascades())
def test_shared_tasks(case: tuple[Data, Data]) -> None:
    data, options = case
    try:
        _, found, expected = two_in_turn(Spec.from_dict(data), options)
    except (MappingError, TooLargeError):
        assume(False)
        raise
    assert_same(found, expected)


@pytest.mark.parametrize(
    ("tree", "fanouts", "shared"), [((P, 1, 1), 1, True), ((P, 1, 1), 2, False)]
)
def test_stages_with_units_of_their_own(tree: Any, fanouts: int, *, shared: bool) -> None:
    """In turn, they use the same units: the ports are others."""
    spec = Spec.from_dict(on_units(tree, {"mac": fanouts}))
    options = {"granularity": "tile"}
    model, found, expected = two_in_turn(spec, options)
    assert_same(found, expected)
    assert (found.graph.task_block is model.graph.task_block) == shared
