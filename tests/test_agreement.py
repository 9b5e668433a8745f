"""The analysis against the oracle, and against the results of a third implementation."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, reject

import oracle
import polylat
import recurrent
from builders import (
    CASCADES,
    RECURRENT,
    compute,
    einsum,
    leaf,
    loop,
    memory,
    nested,
    options_of,
    spec,
    storage,
)
from network_cases import INPUTS
from networked import networked_cascades
from polylat import MappingError, Report, ScheduleError, Spec, UnsupportedError
from recurrent_cascades import recurrent_cascades
from strategies import cascades

Data = dict[str, Any]
RESULTS = (
    "latency",
    "latency_by_order",
    "resource_bound",
    "dependence_bound",
    "barrier_bound",
    "sequential",
    "tiles",
    "accesses",
    "granularity",
)


def analyzed(data: Data, options: Data) -> Report | None:
    """The report, None where the mapping is illegal."""
    try:
        return polylat.analyze(Spec.from_dict(data), **options)
    except (MappingError, ScheduleError):
        return None


@given(cascades())
def test_oracle(case: tuple[Data, Data]) -> None:
    """Analyzer and oracle agree exactly, on legality too."""
    agree(*case)


@given(recurrent_cascades())
def test_recurrences(case: tuple[Data, Data]) -> None:
    """They agree where Einsums read what they, or later ones, compute."""
    agree(*case)


@pytest.mark.parametrize("granularity", ["tile", "flow", "full"])
@pytest.mark.parametrize("staged", [(), "all"])
def test_equal_recurrences_with_other_names(granularity: str, staged: Any) -> None:
    """Two layers that differ in the names of their rank variables only."""
    einsums, branches = [], []
    for name, step, batch in (("h", "t", "b"), ("g", "s", "c")):
        einsums.append(
            recurrent.einsum(
                name,
                recurrent.access(name, step, batch),
                recurrent.access(f"x{name}", step, batch),
                recurrent.access(name, f"{step} + 1", batch, output=True),
            )
        )
        loops = (loop(step, 2), storage("RF", name), loop(step), loop(batch))
        branches.append(nested(*loops, leaf(name)))
    nodes = [
        storage("DRAM", "h", "g", "xh", "xg"),
        {"type": "Sequential", "nodes": branches},
    ]
    arch = [memory("DRAM", size="inf"), memory("RF", 2, 3, size="inf"), compute("mac")]
    data = spec({"t": 5, "b": 2, "s": 5, "c": 2}, einsums, arch, nodes)
    agree(data, {"granularity": granularity, "staged": staged})


@pytest.mark.parametrize("granularity", ["tile", "flow", "full"])
@pytest.mark.parametrize("staged", [(), "all"])
def test_a_constant_that_tells_elements_apart(granularity: str, staged: Any) -> None:
    """e reads row 0 of h and writes row 1, which f reads, too: what e fills is never brought."""
    einsums = [
        recurrent.einsum(
            "e", recurrent.access("h", 0, "t"), recurrent.access("h", 1, "t + 1", output=True)
        ),
        recurrent.einsum(
            "f",
            recurrent.access("h", 0, "t"),
            recurrent.access("h", 1, "t + 1"),
            recurrent.written("y", "t"),
        ),
    ]
    branches = [nested(loop("t"), leaf("e")), nested(loop("t"), leaf("f"))]
    nodes = [
        storage("DRAM", "h", "y"),
        loop("t", 2),
        storage("RF", "h"),
        {"type": "Pipeline", "nodes": branches},
    ]
    arch = [memory("DRAM", size="inf"), memory("RF", 2, 3, size="inf"), compute("mac")]
    agree(spec({"t": 6}, einsums, arch, nodes), {"granularity": granularity, "staged": staged})


@pytest.mark.parametrize("granularity", ["tile", "flow", "full"])
@pytest.mark.parametrize(("size", "tile"), [(4, 3), (5, 3), (7, 5), (8, 5)])
def test_loops_below_an_imperfect_spatial_one(size: int, tile: int, granularity: str) -> None:
    """A unit's last iteration may be the last of all: the loops end where the first unit's do."""
    spatial = {"type": "Spatial", "rank_variable": "n", "tile_shape": tile, "component": "PE"}
    array = {"type": "Container", "name": "PE", "spatial": [{"name": "X", "fanout": 2}]}
    data = spec(
        {"m": 2, "n": size},
        [einsum("e0", ("t", "m n"), ("a", "m")), einsum("e1", ("z", "m"), ("t", "m n"))],
        [memory("DRAM", size="inf"), array, compute("mac")],
        [
            storage("DRAM", "a", "z", "t"),
            {
                "type": "Sequential",
                "nodes": [
                    nested(loop("m"), loop("n"), leaf("e0")),
                    nested(loop("m"), spatial | {"name": "X"}, loop("n", 2), loop("n"), leaf("e1")),
                ],
            },
        ],
    )
    agree(data, {"granularity": granularity})


def agree(data: Data, options: Data) -> None:
    report = analyzed(data, options)
    try:
        expected = oracle.analyze(data, **options)
    except oracle.Illegal:
        assert report is None
        return
    assert report is not None
    assert {name: getattr(report, name) for name in RESULTS} == {
        name: expected[name] for name in RESULTS
    }


def exact(value: str | None) -> Fraction | None:
    """A number of the file."""
    return None if value is None else Fraction(value)


@pytest.mark.parametrize("case", [*CASCADES, *RECURRENT], ids=lambda case: str(case["name"]))
def test_known_answers(case: Data) -> None:
    """Random cascades, and such with recurrences, with the results of other implementations."""
    report, expected = analyzed(case["spec"], options_of(case)), case["expected"]
    if expected is None:
        assert report is None
        return
    assert report is not None
    assert report.latency == exact(expected["latency"])
    assert report.latency_by_order == {
        order: exact(latency) for order, latency in expected["latency_by_order"].items()
    }
    assert report.resource_bound == exact(expected["resource_bound"])
    assert report.dependence_bound == exact(expected["dependence_bound"])
    assert report.tiles == expected["tiles"]
    assert report.accesses == {tuple(key): exact(n) for *key, n in expected["accesses"]}


@given(networked_cascades())
def test_networks(case: tuple[Data, Data]) -> None:
    """The same with Networks, and with memories that are distributed over an Array."""
    try:
        agree(*case)
    except UnsupportedError as error:
        assert "which AccelForge refuses" in error.what  # windows below a Network
        reject()


# The oracle knows the default `total_latency` only, and no scales.
KNOWN = [name for name in INPUTS if name not in ("mesh_sum", "mesh_scales", "mesh_instances")]


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, {"staged": "all", "granularity": "tile"}], ids=str)
@pytest.mark.parametrize("name", KNOWN)
def test_inputs_with_networks(name: str, options: Data) -> None:
    agree(INPUTS[name], options)
