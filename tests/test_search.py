"""`search` with AccelForge's mapper (Python 3.12, ``make accelforge``), against all mappings."""

from __future__ import annotations

import inspect
import shutil
import warnings
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

import polylat
from builders import EXAMPLES
from polylat.accelforge import Search, best, from_spec, search, timing_search
from polylat.accelforge import engine as hooks
from polylat.accelforge.busy_times import busy_times
from polylat.accelforge.joined import KeepBelow, TooManyMappingsError, bounds_of_rows, mark_rows
from polylat.errors import OptionError, SpecError, StoreError, TooLargeError, UnsupportedError
from polylat.spec.reading.live.convert import MappingsConverter

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    af: Any = pytest.importorskip("accelforge", reason="AccelForge is not installed")
    pd: Any = pytest.importorskip("pandas")

pytestmark = [
    pytest.mark.filterwarnings("ignore"),  # AccelForge's and pandas's own
    pytest.mark.skipif(shutil.which("dot") is None, reason="AccelForge's mapper needs Graphviz"),
]

ARCH = """
arch:
  nodes:
    - !Memory
      name: DRAM
      size: inf
      leak_power: 0
      area: 0
      tensors: {keep: ~Intermediates, may_keep: All}
      actions:
        - {name: read, energy: 10, throughput: 8}
        - {name: write, energy: 10, throughput: 8}
    - !Memory
      name: SRAM
      size: 100
      leak_power: 0
      area: 0
      total_latency: max(a.n_calls / a.throughput for a in actions)
      tensors: {keep: ~DRAM, may_keep: All}
      actions:
        - {name: read, energy: 1, throughput: 16}
        - {name: write, energy: 1, throughput: 16}
    - !Compute
      name: mac
      leak_power: 0
      area: 0
      actions:
        - {name: compute, energy: 1, throughput: 1}
"""

WORKLOADS = {
    # An intermediate tensor that one Einsum reads.
    "chain": """
workload:
  rank_sizes: {M: 4, K: 1, N: 2, P: 1}
  bits_per_value: {All: 8}
  einsums:
    - name: e1
      tensor_accesses:
        - {name: i, projection: [m, k]}
        - {name: w1, projection: [k, n]}
        - {name: o1, projection: [m, n], output: true}
    - name: e2
      tensor_accesses:
        - {name: o1, projection: [m, n]}
        - {name: w2, projection: [n, p]}
        - {name: o2, projection: [m, p], output: true}
""",
    # An input that both read: a tile of it that both share is filled once in polylat.
    "shared": """
workload:
  rank_sizes: {M: 4, N: 2}
  bits_per_value: {All: 8}
  einsums:
    - name: e1
      tensor_accesses:
        - {name: x, projection: [m]}
        - {name: w, projection: [m, n]}
        - {name: o, projection: [m, n], output: true}
    - name: e2
      tensor_accesses:
        - {name: x, projection: [m]}
        - {name: o, projection: [m, n]}
        - {name: y, projection: [m, n], output: true}
""",
}


@dataclass(frozen=True)
class Problem:
    """A problem with all mappings that AccelForge's partial mappings can form, each analyzed."""

    spec: Any
    joined: Any
    bounds: list[Fraction]
    reports: Mapping[int, polylat.Report]

    def fitting(self) -> list[polylat.Report]:
        """The reports of the mappings that fit their memories."""
        return [r for r in self.reports.values() if not any(m.exceeded for m in r.occupancy)]


def problem(name: str) -> Any:
    """AccelForge's Spec."""
    with TemporaryDirectory() as folder:
        file = Path(folder, "problem.yaml")
        file.write_text(ARCH + WORKLOADS[name], encoding="utf-8")
        return af.Spec.from_yaml(str(file))


@cache
def everything(name: str) -> Problem:
    """All mappings of a problem."""
    spec = problem(name)
    metrics = af.Metrics.LATENCY | af.Metrics.ENERGY | af.Metrics.RESOURCE_USAGE
    copy = deepcopy(spec)
    copy.mapper.metrics = metrics
    busy = busy_times(copy, pipelined=True)
    partial = hooks.make_partial_mappings(copy, busy, n_jobs=1, cache=None)
    count = 0
    for groups in partial.einsum2pmappings.values():
        count += sum(len(group.mappings.data) for group in groups)
    mark_rows(partial)
    joined = hooks.join(partial, metrics, n_jobs=1, keep=KeepBelow(None, (), {}, 10_000))
    assert len(joined) > count / 2
    converter = MappingsConverter(joined)
    reports = {
        number: polylat.analyze(converter.spec(number), pipelined=True)
        for number in range(len(joined))
    }
    return Problem(spec, joined, bounds_of_rows(joined.data, busy, 0), reports)


@cache
def searched(name: str, *, exhaustive: bool = False) -> Search:
    """The search of a problem."""
    return search(everything(name).spec, exhaustive=exhaustive, n_jobs=1, progress=False)


@pytest.mark.parametrize("name", WORKLOADS)
def test_busy_times_are_lower_bounds(name: str) -> None:
    """Of every joined mapping, also those that share a tile, which AccelForge counts twice."""
    given = everything(name)
    for number, report in given.reports.items():
        assert 0 < given.bounds[number] <= report.resource_bound <= report.latency
    # They are worth something: some are reached.
    assert any(given.bounds[n] == r.resource_bound for n, r in given.reports.items())


@pytest.mark.parametrize("name", WORKLOADS)
def test_an_exhaustive_search_finds_the_best_of_all_mappings(name: str) -> None:
    given, found = everything(name), searched(name, exhaustive=True)
    assert found.value == min(report.latency for report in given.fitting())
    assert found.optimal and found.lower_bound == found.value and found.gap == 0
    assert found.best.fits
    assert found.timed < len(given.reports)
    words = (
        "No mapping that AccelForge's partial mappings can form, and that fits its memories, has a"
    )
    assert f"{words} smaller latency." in found.guarantee


@pytest.mark.parametrize("name", WORKLOADS)
def test_a_search_is_within_its_guarantee(name: str) -> None:
    given, found = everything(name), searched(name)
    least = min(report.latency for report in given.fitting())
    assert found.lower_bound <= least <= found.value
    if found.optimal:
        assert found.value == least
    else:
        assert f"at most {100 * found.gap:.3g} %" in found.guarantee
    converter = MappingsConverter(found.mappings)
    all_joined = [
        polylat.analyze(converter.spec(number), pipelined=True) for number in found.table.index
    ]
    fitting = [r.latency for r in all_joined if not any(m.exceeded for m in r.occupancy)]
    assert found.value == min(fitting)
    for (_, row), report in zip(found.table.iterrows(), all_joined, strict=True):
        assert row["busy"] <= row["lower_bound"] <= report.latency
        if row["timed"]:
            assert row["latency"] == report.latency
            assert row["energy"] == report.energy.total
            assert row["fits"] == (not any(m.exceeded for m in report.occupancy))
            assert polylat.analyze(row["spec"]).latency == report.latency
        else:
            assert row["lower_bound"] >= found.value
            assert pd.isna(row["latency"])
    assert found.timed + found.skipped == len(found.table)


def test_what_a_search_returns() -> None:
    found = searched("chain")
    assert type(found.best) is type(best(found.mappings, pipelined=True))
    assert found.best.report.latency == found.value == found.table.loc[found.best.index, "latency"]
    assert found.table.index[0] == found.best.index
    assert str(found).startswith(found.table.attrs["message"])
    assert found.guarantee in str(found)
    live = problem("chain")
    live.mapping = from_spec(found.best.spec)
    assert polylat.analyze(live).latency == found.value
    assert not [c for c in found.table.columns if c.startswith("Total")]


@pytest.mark.parametrize(("objective", "power"), [("energy", 0), ("edp", 1)])
def test_other_objectives(objective: str, power: int) -> None:
    given = everything("chain")
    found = search(given.spec, objective=objective, exhaustive=True, n_jobs=1, progress=False)
    values = [report.energy.total * report.latency**power for report in given.fitting()]
    assert found.value == min(values) == found.lower_bound
    assert found.table["objective"].iloc[0] == found.value


def test_a_search_continues(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given, store, expected = everything("chain"), tmp_path / "results", searched("chain").value
    first = search(given.spec, n_jobs=1, store=store, progress=False)

    def never(*arguments: Any) -> Any:
        raise AssertionError(arguments)

    monkeypatch.setattr(timing_search, "time_mapping", never)
    again = search(given.spec, n_jobs=1, store=store, progress=False)
    assert again.value == first.value == expected
    columns = ["latency", "energy", "lower_bound", "timed", "order", "fits"]
    assert again.table[columns].equals(first.table[columns])
    with pytest.raises(StoreError, match="another exploration"):
        search(given.spec, n_jobs=1, store=store, progress=False, slots=3)


def test_partial_mappings_are_kept_in_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given, expected = everything("chain"), searched("chain").value
    first = search(given.spec, n_jobs=1, cache=tmp_path, progress=False)

    def never(*arguments: Any, **options: Any) -> Any:
        raise AssertionError

    monkeypatch.setattr(hooks, "_make_templates", never)
    again = search(given.spec, n_jobs=1, cache=tmp_path, progress=False)
    assert again.value == first.value == expected
    assert len(list(tmp_path.iterdir())) == 1  # a folder per set of busy times


def test_processes_find_the_same() -> None:
    found = search(everything("chain").spec, n_jobs=2, progress=False)
    columns = ["latency", "busy", "timed"]
    assert found.table[columns].equals(searched("chain").table[columns])


def test_none_fits() -> None:
    """With unlimited slots, both tiles of everything stay: nothing fits a memory of this size."""
    spec = problem("chain")
    spec.arch.nodes["SRAM"].size = 48
    found = search(spec, n_jobs=1, progress=False, staged="all", slots=8)
    if not (found.table["fits"] == True).any():  # noqa: E712 - NaN, where it is not known
        assert found.best.fits is not True
        assert "fits its memories" in found.guarantee
    else:
        assert found.best.fits


def test_accelforge_is_left_as_it_was() -> None:
    before = {(module, name): hooks._attribute(module, name) for module, name in hooks._SHAPES}
    spec = problem("chain")
    metrics = spec.mapper.metrics
    searched("chain")
    assert before == {place: hooks._attribute(*place) for place in before}
    assert spec.mapper.metrics == metrics


def test_another_version_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    place = ("accelforge.mapper.FFM", "join_pmappings")
    monkeypatch.setitem(hooks._SHAPES, place, ("pmappings", "something_else"))
    with pytest.raises(UnsupportedError, match=r"the mapper of AccelForge .* differs from that of"):
        search(everything("chain").spec)
    monkeypatch.setitem(hooks._SHAPES, ("accelforge.mapper.FFM", "no_such"), ())
    monkeypatch.delitem(hooks._SHAPES, place)
    with pytest.raises(UnsupportedError, match=r"it has no accelforge\.mapper\.FFM\.no_such"):
        hooks.check_engine()


def test_bounds_that_do_not_hold_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sum above what polylat counts shows that none of them is a bound."""
    monkeypatch.setattr(
        "polylat.accelforge.mapper_search.bounds_of_rows",
        lambda *a: [3 * bound for bound in bounds_of_rows(*a)],
    )
    given = everything("chain")
    found = search(given.spec, n_jobs=1, progress=False)
    assert found.value == searched("chain").value
    assert "its busy times are not used as bounds" in found.remarks[0]
    assert found.lower_bound == 0
    assert "its busy times are not used" in str(found)


def test_bad_options() -> None:
    spec = everything("chain").spec
    bad: list[tuple[dict[str, Any], str]] = [
        ({"objective": "latencies"}, "there is no objective 'latencies'"),
        ({"most": 0}, "most must be a positive whole number"),
        ({"n_jobs": 0}, "n_jobs"),
        ({"metrics": "LATENCY"}, "metrics must be AccelForge's Metrics"),
        ({"slot": 2}, "slot"),
        ({"background": "no_such"}, "no_such"),
    ]
    for options, message in bad:
        with pytest.raises(OptionError, match=message):
            search(spec, **{"n_jobs": 1, "progress": False, **options})
    with pytest.raises(SpecError, match="cannot search mappings of a dict"):
        search({})
    nothing = problem("chain")
    nothing.arch.nodes["SRAM"].size = 1
    with pytest.raises(SpecError, match="AccelForge's mapper cannot map the workload"):
        search(nothing, n_jobs=1, progress=False)
    with pytest.raises(TooLargeError, match="the exhaustive search has too many mappings"):
        search(spec, exhaustive=True, most=1, objective="edp", n_jobs=1, progress=False)


def test_a_filter_counts_what_is_left() -> None:
    table = pd.DataFrame({"e1<SEP>compressed_index": [0, 1, 2], "Total<SEP>t": [1.0, 2.0, 3.0]})
    least = {"e1": {"Total<SEP>t": 1.0}, "e2": {"Total<SEP>t": 1.5}}
    keep = KeepBelow(4.0, ("Total<SEP>t",), least, 10)
    assert keep(table).tolist() == [True, True, False]
    with pytest.raises(TooManyMappingsError):
        KeepBelow(4.0, ("Total<SEP>t",), least, 1)(table)


def test_the_known_functions_are_those_of_accelforge() -> None:
    for (module, name), parameters in hooks._SHAPES.items():
        found = inspect.signature(hooks._attribute(module, name)).parameters
        assert tuple(found) == parameters


@pytest.mark.slow
def test_the_motivating_cascade() -> None:
    """Proven: no mapping of AccelForge's partial mappings is faster than the best of `rerank`."""
    files = (str(EXAMPLES / "arch.yaml"), str(EXAMPLES / "workload.yaml"))
    spec = af.Spec.from_yaml(*files)
    spec.arch.nodes["DRAM"].tensors.keep = "(~Intermediates) | o2"
    found = search(spec, exhaustive=True, progress=False)
    assert found.value == found.lower_bound == 25088
