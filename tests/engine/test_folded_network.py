"""Networks of equal blocks: a loop over one block has the same figures where blocks are apart."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import polylat
from benchmarks.network_inputs import transformer
from builders import compute, einsum, leaf, loop, memory, nested, spec, storage, with_energies
from disagreeing import Case
from networks_of_blocks import draw
from polylat import PolylatError, Report, Spec
from polylat.engine import folded_network
from polylat.spec.equal_blocks import fold_equal_blocks

Data = dict[str, Any]

LAYERS = 8


@contextmanager
def folded_from(einsums: float) -> Iterator[None]:
    """Fold networks of at least this number of Einsums, however little that saves."""
    before = folded_network._FEWEST_EINSUMS, folded_network._LARGEST_SHARE
    folded_network._FEWEST_EINSUMS = einsums  # type: ignore[assignment]
    folded_network._LARGEST_SHARE = Fraction(1)
    try:
        yield
    finally:
        folded_network._FEWEST_EINSUMS, folded_network._LARGEST_SHARE = before


def figures(report: Report) -> Data:
    """All figures that do not depend on names."""
    names = "latency order keeps_barriers granularity tiles sequential roofline exact unsettled"
    found = {name: getattr(report, name) for name in names.split()}
    energy = polylat.analysis.variation._energy(report.choice.chosen)
    return {
        **found,
        "energy": energy,
        "bounds": dict(report.bounds),
        "latency_by_order": dict(report.latency_by_order),
    }


def is_folded(report: Report) -> bool:
    """Whether the figures are those of a folded network."""
    return report._is_folded


def folded_report(case: Case) -> Report | None:
    """The report of a network that is folded if it can be; None where it is illegal."""
    try:
        with folded_from(0):
            return polylat.analyze(Spec.from_dict(case.spec), **case.options)
    except PolylatError:
        return None


def whole(given: Spec, **options: Any) -> Report:
    """The report of the network as it is."""
    with folded_from(float("inf")):
        return polylat.analyze(given, **options)


def chain(blocks: int, *, resident: bool = False) -> Data:
    """Blocks of two branches: one computes t from x and w, the other one the next x from t.

    With `resident`, a block fetches w into the SRAM above the split of its first branch.
    """
    einsums, branches = [], []
    held = ["x0"]
    for n in range(blocks):
        einsums += [
            einsum(f"a{n}", (f"s{n}", "m"), (f"x{n}", "m"), (f"w{n}", "m")),
            einsum(f"b{n}", (f"t{n}", "m"), (f"s{n}", "m")),
            einsum(f"c{n}", (f"x{n + 1}", "m"), (f"t{n}", "m")),
        ]
        stages = [nested(loop("m"), leaf(f"a{n}")), nested(loop("m"), leaf(f"b{n}", "vector"))]
        above = [storage("SRAM", f"w{n}")] if resident else []
        above.append(storage("SRAM", f"s{n}"))
        branches += [
            nested(*above, {"type": "Pipeline", "nodes": stages}),
            nested(loop("m"), leaf(f"c{n}", "vector")),
        ]
        held += [f"w{n}", f"t{n}", f"x{n + 1}"]
    return spec(
        {"m": 6},
        einsums,
        [
            memory("DRAM", size="inf"),
            memory("SRAM", 4, 4, size="inf"),
            compute("mac"),
            compute("vector", "1/2"),
        ],
        [storage("DRAM", *held), {"type": "Sequential", "nodes": branches}],
    )


@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(st.integers(0, 10**9))
def test_a_loop_over_equal_blocks_has_the_figures_of_the_network(seed: int) -> None:
    case = draw(seed)
    report = folded_report(case)
    if report is not None and is_folded(report):
        assert figures(report) == figures(whole(Spec.from_dict(case.spec), **case.options))


@pytest.mark.slow
def test_random_networks_are_folded() -> None:
    """Enough draws are folded, and enough are not because their blocks may overlap."""
    folded, refused = 0, 0
    for seed in range(18):
        report = folded_report(draw(seed))
        if report is None:
            continue
        folded += is_folded(report)
        refused += not is_folded(report) and fold_equal_blocks(report.given) is not None
    assert folded >= 3 and refused >= 3


@pytest.fixture(scope="module")
def report() -> Report:
    """A transformer of equal layers."""
    return polylat.analyze(Spec.from_dict(transformer(LAYERS)))


def test_three_layers_are_lowered(report: Report) -> None:
    """The first and the last layer differ: only one of them reads an input, or writes a result."""
    assert is_folded(report)
    assert len(report.choice.lowered.leaves) <= 3 * 9
    assert figures(report) == figures(whole(report.given))


@pytest.mark.long
def test_further_results_are_those_of_the_whole_network(report: Report) -> None:
    names = {einsum.name for einsum in report.given.workload.einsums}
    assert {key[0] for key in report.accesses} == names
    assert {leaf.einsum.name for leaf in report.solution.model.lowered.leaves} == names
    assert report.solution.makespan == report.latency
    assert report.accelforge.latency == report.roofline
    assert report.verify().latency == report.latency
    assert report.spec.workload is report.given.workload


def test_the_cost_does_not_depend_on_the_number_of_layers() -> None:
    few, many = (
        polylat.analyze(Spec.from_dict(transformer(layers)), granularity="tile")
        for layers in (LAYERS, 4 * LAYERS)
    )
    assert len(few.choice.lowered.leaves) == len(many.choice.lowered.leaves)
    assert many.latency == 4 * few.latency


def test_fills_that_do_not_wait_for_the_sequential(monkeypatch: pytest.MonkeyPatch) -> None:
    """The weights of a block arrive during the blocks before it, which a loop would prevent."""
    network = Spec.from_dict(chain(6, resident=True))
    with folded_from(0):
        assert is_folded(polylat.analyze(Spec.from_dict(chain(6))))
        report = polylat.analyze(network, slots=1)
        assert not is_folded(report)
        monkeypatch.setattr(folded_network, "_blocks_are_separate", lambda *_: True)
        assert figures(polylat.analyze(network, slots=1)) != figures(report)


@pytest.mark.slow
def test_holders_that_are_all_staged() -> None:
    network = Spec.from_dict(transformer(LAYERS))
    assert not is_folded(polylat.analyze(network, staged="all", granularity="tile"))


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [{"background": "X4"}, {"slots": {"K4@SRAM": 1}}, {"staged": "Q4@SRAM"}],
)
def test_what_options_name_is_not_folded(options: Data) -> None:
    """The other layers are folded, before it and behind it."""
    network = Spec.from_dict(transformer(9))
    report = polylat.analyze(network, granularity="tile", **options)
    (name,) = options
    tensor = str(next(iter(options[name])) if name == "slots" else options[name]).partition("@")[0]
    assert is_folded(report)
    assert tensor in {t for e in report.choice.lowered.spec.workload.einsums for t in e.tensors}
    assert figures(report) == figures(whole(report.given, granularity="tile", **options))


@pytest.mark.slow
def test_a_capacity_is_checked_in_the_whole_network() -> None:
    network = Spec.from_dict(transformer(LAYERS))
    assert not is_folded(polylat.analyze(network, granularity="tile", enforce_capacity=True))


def test_runs_before_and_behind_a_block_that_differs() -> None:
    data = chain(12)
    branches = data["mapping"]["nodes"][1]["nodes"]
    branches[13]["nodes"].insert(0, loop("m", 3))
    network = Spec.from_dict(data)
    folded = fold_equal_blocks(network)
    assert folded is not None
    assert folded.repeated.isdisjoint({"a6", "b6", "c6"}) and len(folded.repeated) == 6
    with folded_from(0):
        report = polylat.analyze(network)
    assert is_folded(report) and figures(report) == figures(whole(network))


def test_energies_and_leakage() -> None:
    network = Spec.from_dict(with_energies(chain(6), leak=True))
    with folded_from(0):
        report = polylat.analyze(network)
    assert is_folded(report) and figures(report)["energy"] == report.energy.total
    assert figures(report) == figures(whole(network))


def test_a_tensor_that_all_blocks_read() -> None:
    data = chain(6)
    for einsum_data in data["workload"]["einsums"][::3]:
        einsum_data["tensor_accesses"][1]["name"] = "w0"
    data["mapping"]["nodes"][0]["tensors"] = [
        t for t in data["mapping"]["nodes"][0]["tensors"] if t == "w0" or t[0] != "w"
    ]
    network = Spec.from_dict(data)
    with folded_from(0):
        report = polylat.analyze(network)
    assert is_folded(report) and figures(report) == figures(whole(network))


def test_networks_that_are_not_folded() -> None:
    plain = chain(6)
    assert fold_equal_blocks(Spec.from_dict(plain)) is not None
    rigid = {**plain, "schedule": {"rigid": ["mac"]}}
    assert fold_equal_blocks(Spec.from_dict(rigid)) is None
    looped = chain(6)
    looped["mapping"]["nodes"].insert(1, loop("m", 3))
    assert fold_equal_blocks(Spec.from_dict(looped)) is None
    assert fold_equal_blocks(Spec.from_dict(chain(3))) is None
    piped = chain(6)
    piped["mapping"]["nodes"][1]["type"] = "Pipeline"
    assert fold_equal_blocks(Spec.from_dict(piped)) is None
