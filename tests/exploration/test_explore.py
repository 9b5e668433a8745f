"""Exploration: the results of variants, and their Pareto front."""

from __future__ import annotations

import contextlib
import doctest
import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import builders
import polylat
from benchmarks import fused
from builders import EXAMPLE, EXAMPLES, ROOT, compute, leaf, loop, memory, nested, storage
from command import run
from polylat import (
    Exploration,
    MappingError,
    OptionError,
    PolylatError,
    Spec,
    TooLargeError,
    UnsupportedError,
)
from polylat.analysis.occupancy import peak_or_none
from polylat.exploration import cell, evaluate, search, tiled_mapping
from polylat.exploration.axes import limited_holders
from polylat.exploration.pareto import front_of
from polylat.explorer import Result
from polylat.lowering.lowered import lower
from recurrent_cascades import recurrent_cascades
from reports import explicit_up_to
from strategies import cascades

Data = dict[str, Any]
Draw = Any
ATTENTION = [str(EXAMPLES / f"{name}.yaml") for name in ("attention", "attention_schedule")]
FEWER = settings(max_examples=max(5, settings().max_examples * 2 // 5))
OBJECTIVES = (("latency",), ("latency", "peak"), ("peak", "slots", "latency"), ("slots", "latency"))


@st.composite
def explorations(draw: Draw) -> tuple[Spec, Data]:
    """A random cascade, and some of its choices to explore."""
    data, options = draw(cascades() | recurrent_cascades())
    try:
        spec = Spec.from_dict({**data, "schedule": {**data.get("schedule", {}), **options}})
        lowered = lower(spec, "tile")
    except (MappingError, UnsupportedError):
        assume(False)
        raise
    staged = draw(st.booleans())
    slots = draw(st.sampled_from((None, (1, 2), (1, 2, None), (3,), "holders")))
    if slots == "holders":
        limited = limited_holders(lowered, ((None, None),) if staged else ())
        pairs = st.sampled_from([f"{tensor}@{component}" for tensor, component in limited])
        named = draw(st.lists(pairs, max_size=2, unique=True)) if limited else []
        slots = dict.fromkeys(named, (1, 2, None))
    asked: Data = {
        "splits": draw(st.booleans()),
        "background": draw(st.booleans()),
        "staged": staged,
        "granularity": draw(
            st.sampled_from(("auto", "tile", "flow", "full", ("tile", "full"))),
        ),
        "order": draw(st.sampled_from(("best", "best", "oldest", ("program", "skew")))),
        "slots": slots,
        "objectives": draw(st.sampled_from(OBJECTIVES)),
    }
    return spec, asked


def explored(spec: Spec, asked: Data, **more: Any) -> Exploration:
    """An exploration of few variants of a mapping that has a legal shape."""
    try:
        found = polylat.explore(spec, **asked, **more)
    except (MappingError, UnsupportedError):
        assume(False)
        raise
    return found


def agrees(result: Result) -> None:
    """A result agrees with `analyze` on its variant."""
    try:
        report = polylat.analyze(result.spec)
    except PolylatError as error:
        assert result.latency is None
        assert result.error.startswith(type(error).__name__)
        return
    assert (result.latency, result.order, result.keeps_barriers, result.exact) == (
        report.latency,
        report.order,
        report.keeps_barriers,
        report.exact,
    )
    peaks: dict[str, Any] = {}
    for held in report.occupancy:
        peak = peak_or_none(held)
        assert peak is not None
        peaks[held.component] = max(peaks.get(held.component, 0), peak)
    assert result.peaks == peaks


@FEWER
@given(explorations(), st.randoms(use_true_random=False))
def test_results_are_those_of_analyze(case: tuple[Spec, Data], random: Any) -> None:
    spec, asked = case
    found = explored(spec, asked, exhaustive=True)
    assert found.evaluated == found.variants
    for result in random.sample(found.results, min(4, len(found.results))):
        agrees(result)


@FEWER
@given(explorations())
def test_bounds_lose_no_member_of_the_front(case: tuple[Spec, Data]) -> None:
    spec, asked = case
    few = explored(spec, asked)
    every = explored(spec, asked, exhaustive=True)
    assert every.evaluated == every.variants == few.evaluated + few.excluded
    assert few.front == every.front
    assert all(every.results[result.number] == result for result in few.results)


@given(st.lists(st.tuples(*[st.integers(0, 4)] * 3), max_size=30))
def test_the_front_is_what_nothing_dominates(points: list[tuple[int, ...]]) -> None:
    def dominates(one: tuple[int, ...], other: tuple[int, ...]) -> bool:
        return one != other and all(a <= b for a, b in zip(one, other, strict=True))

    front = front_of(zip(points, range(len(points)), strict=True))
    expected = sorted(
        {p: points.index(p) for p in points if not any(dominates(q, p) for q in points)}.items()
    )
    assert front == expected


def test_the_bounds_exclude_something() -> None:
    spec = polylat.load(*EXAMPLE)
    found = polylat.explore(spec, granularity="tile", slots=range(1, 9), objectives=["latency"])
    assert 0 < found.excluded < found.variants == found.evaluated + found.excluded
    assert found.complete and found.exact


def test_tile_shapes() -> None:
    spec = polylat.load(*EXAMPLE)
    found = polylat.explore(
        spec, granularity="flow", tiles={"m#1": [1, 2, 3, 8, 9], "m#2": [1, 4]}, exhaustive=True
    )
    assert found.variants == 10 * 8
    for result in found.results[::7]:
        agrees(result)
    assert dict(found.results[-1].choice.tiles) == {"m#1": 9, "m#2": 4}
    # Tiles of 9 are larger than the rank; and where m#1 has tiles of 2, some m is never reached.
    assert found.illegal and found.results[-1].error.startswith("MappingError")


def test_granularity_of_exploration_is_that_of_the_input() -> None:
    spec = polylat.load(*EXAMPLE)
    assert polylat.explore(spec).results[0].choice.granularity == "auto"


@pytest.mark.parametrize("background", ["o2", "o2@SRAM", [("o2", "SRAM")]])
def test_write_backs_by_name(background: Any) -> None:
    found = polylat.explore(polylat.load(*EXAMPLE), splits=False, background=background)
    assert [result.choice.background for result in found.results] == [(), (("o2", "SRAM"),)]


@pytest.mark.parametrize("staged", [True, "all", "SRAM", ["SRAM"]])
def test_staged_memories(staged: Any) -> None:
    spec = polylat.load(*EXAMPLE)
    found = polylat.explore(spec, splits=False, background=False, staged=staged)
    assert [result.choice.staged for result in found.results] == [(), ("SRAM",)]
    assert [len(result.report.staged_holders) > 0 for result in found.results] == [False, True]
    for result in found.results:
        agrees(result)
    assert found.results[1].to_dict()["choice"]["staged"] == ["SRAM"]
    assert "staged SRAM" in str(found.results[1].choice)


def test_staged_holders_of_the_input() -> None:
    """They stay as the input says, unless their memory is explored."""
    spec = polylat.load(*EXAMPLE)
    given = replace(spec, schedule={"staged": (("o2", "SRAM"),)})
    options: Data = {"splits": False, "background": False}
    (result,) = polylat.explore(given, **options).results
    assert result.choice.staged == ("o2@SRAM",)
    assert result.report.staged_holders == (("o2", "SRAM"),)
    found = polylat.explore(given, **options, staged=True)
    assert [result.choice.staged for result in found.results] == [(), ("SRAM",)]


def test_slots_of_holders() -> None:
    """The number of a holder precedes that of its tensor, explored or in the input."""
    spec = polylat.load(*EXAMPLE)
    options: Data = {"splits": False, "background": False, "objectives": ["slots"]}
    found = polylat.explore(spec, **options, slots={"o1@SRAM": [1, 3]}, exhaustive=True)
    assert [dict(result.choice.slots) for result in found.results] == [
        {"o1@SRAM": 1},
        {"o1@SRAM": 3},
    ]
    for result in found.results:
        agrees(result)
    given = replace(spec, schedule={"slots": {"o1@SRAM": 3}})
    with pytest.raises(OptionError, match="'o1', whose number of slots makes no difference"):
        polylat.explore(given, **options, slots={"o1": [1, 2]})
    found = polylat.explore(given, **options, slots={"o1@SRAM": 1})
    assert found.results[0].latency == polylat.explore(spec, **options, slots=1).results[0].latency


def test_schedules_that_keep_barriers() -> None:
    """Where every Pipeline as Sequential is faster, that is the latency of the variant."""
    tiles = (loop("x"),)
    data = builders.spec(
        {"x": 2, "y": 2},
        [
            builders.einsum("e0", ("t1", "x y"), ("i0", "x y")),
            builders.einsum("e1", ("t3", "x"), ("t1", "x y"), ("w2", "y")),
        ],
        [*(memory(name, size="inf") for name in ("DRAM", "SRAM", "RF")), compute("mac")],
        [
            storage("DRAM", "i0", "t3"),
            loop("y"),
            storage("DRAM", "t1", "w2"),
            storage("SRAM", "w2"),
            storage("RF", "w2"),
            {"type": "Pipeline", "nodes": [nested(*tiles, leaf(e)) for e in ("e0", "e1")]},
        ],
    )
    found = polylat.explore(Spec.from_dict(data), slots=(1, 2), granularity="tile", exhaustive=True)
    choices = [result.choice for result in found.results if result.keeps_barriers]
    assert [str(choice) for choice in choices] == ["Pipeline e0|e1; slots t1=2 w2=2"]
    last = found.results[-1]
    assert (last.latency, last.report.latency_by_order["oldest"]) == (20, 21)
    for result in found.results:
        agrees(result)


def test_what_is_not_explored_is_as_the_input_says() -> None:
    spec = polylat.load(*EXAMPLE, top="Pipeline")
    given = polylat.Spec(
        spec.workload, spec.arch, spec.mapping, {"background": (("o2", None),), "slots": 3}
    )
    found = polylat.explore(given, splits=False, background=False)
    assert found.variants == 1
    result = found.results[0]
    assert dict(result.choice.splits)["e1+e2|e3"] == "Pipeline"
    assert result.choice.background == (("o2", "SRAM"),)  # the write-backs that the mapping has
    assert result.latency == polylat.analyze(given).latency
    assert result.report.slots == 3


@pytest.mark.long
def test_results_of_long_loops_are_those_of_analyze() -> None:
    """Where not all tile iterations are visited."""
    spec = polylat.load(*ATTENTION)
    few: Data = {"granularity": "tile", "max_tiles": 3000}
    found = polylat.explore(spec, background=False, n_jobs=1, **few)
    assert found.variants > 1
    for result in found.results:
        agrees(result)


@pytest.mark.long
@pytest.mark.parametrize("trips", [4000, 100_000])
def test_more_tile_iterations_than_analyze_visits(trips: int) -> None:
    """Exploration visits all of them up to a number, and samples beyond it."""
    with explicit_up_to(5_000):
        spec = Spec.from_dict(fused.chain(trips))
        options: Data = {"background": False, "granularity": "tile", "objectives": ["latency"]}
        found = polylat.explore(spec, **options, slots={"o1": [2, 3]}, exhaustive=True)
        best = found.best
        assert best is not None and best.report.engine == "periodic"
        few = polylat.explore(spec, **options, slots={"o1": [2, 3]})
        assert few.front == found.front
        assert (best.report.tiles > tiled_mapping.MOST_SHARED) == (trips == 100_000)
        for result in found.results:
            agrees(result)


def test_limited_memories() -> None:
    spec = polylat.load(*EXAMPLE)
    roomy = polylat.explore(spec, granularity="tile", exhaustive=True)
    assert len({r.peaks["SRAM"] for r in roomy.results if r.latency is not None}) > 1
    fitting = polylat.explore(spec, granularity="tile", exhaustive=True, enforce_capacity=True)
    for one, other in zip(roomy.results, fitting.results, strict=True):
        report = polylat.analyze(one.spec, enforce_capacity=False)
        fits = not any(memory.exceeded for memory in report.occupancy)
        assert (other.latency is not None) == fits
        assert fits or other.error.startswith("CapacityError")


def test_the_same_in_two_processes(tmp_path: Path) -> None:
    pytest.importorskip("joblib", reason="the extra `explore` is not installed")
    spec = polylat.load(*EXAMPLE)
    options: Data = {"granularity": "tile", "slots": range(1, 4), "tiles": {"m#1": [1, 2, 4, 8]}}
    alone, together = polylat.explore(spec, **options), polylat.explore(spec, n_jobs=2, **options)
    assert alone.results == together.results
    assert alone.front == together.front
    assert alone.to_dict() == together.to_dict()


def test_spans_cover_every_variant_once(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = polylat.load(*EXAMPLE)
    whole = polylat.explore(spec, slots=range(1, 6), granularity="tile", exhaustive=True)
    monkeypatch.setattr(search, "_MOST_VARIANTS", 3)
    pieces = polylat.explore(spec, slots=range(1, 6), granularity="tile", exhaustive=True)
    assert pieces.results == whole.results
    assert polylat.explore(spec, slots=range(1, 6), granularity="tile").front == whole.front


def test_what_parts_share_is_timed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = polylat.load(*EXAMPLE)
    timed: list[int] = []
    run = cell.Cell._simulate

    def counting(self: cell.Cell, slots: Any, *some: Any, **more: Any) -> Any:
        timed.append(len(slots))
        return run(self, slots, *some, **more)

    monkeypatch.setattr(cell.Cell, "_simulate", counting)
    options: Data = {"slots": range(1, 6), "granularity": "tile", "exhaustive": True}
    evaluate.clear_cache()
    found = polylat.explore(spec, **options)
    whole = sum(timed)
    monkeypatch.setattr(search, "_MOST_VARIANTS", 3)
    evaluate.clear_cache()
    timed.clear()
    polylat.explore(spec, **options)
    assert sum(timed) == whole < found.variants


def test_times_that_do_not_fit_64_bits() -> None:
    """They are timed one variant after another."""
    spec = polylat.load(*EXAMPLE)
    big = Spec(
        type(spec.workload)(spec.workload.einsums, spec.workload.n_instances * (1 << 60)),
        spec.arch,
        spec.mapping,
        {"granularity": "tile"},
    )
    for result in polylat.explore(big).results:
        agrees(result)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tiles": {"m": [1]}}, "name one of them: m#1, m#2"),
        ({"tiles": {"q": [1]}}, "loop 'q'"),
        ({"tiles": ["m"]}, "must map loops"),
        ({"splits": ["zz"]}, "splits"),
        ({"tiles": {"m#3": [1]}}, "loop 'm#3'"),
        ({"tiles": {"m#1": []}}, "has no value"),
        ({"tiles": {"m#1": [0]}}, "whole number above zero"),
        ({"background": ["o1"]}, "does not write back"),
        ({"background": ["o9"]}, "'o9'"),
        ({"staged": "SRAN"}, "'SRAN'"),
        ({"staged": "DRAM"}, "nothing but backing storages"),
        ({"staged": ["o2"]}, "'o2'"),
        ({"staged": 3}, "names of memories"),
        ({"staged": [3]}, "not the name of a memory"),
        ({"slots": []}, "has no value"),
        ({"slots": {"o1@DRAM": [1]}}, "no such Storage"),
        ({"slots": {"o1@mac": [1]}}, "no such Storage"),
        ({"slots": {"o2@DRAM": [1]}}, "makes no difference"),
        ({"slots": {"w1": [1]}}, "makes no difference"),
        ({"slots": {"w9": [1]}}, "'w9'"),
        ({"slots": [0]}, "above zero"),
        ({"objectives": ["energies"]}, "no objective 'energies'"),
        ({"objectives": [1]}, "1 is not an objective"),
        ({"objectives": 1}, "1 is not an objective"),
        ({"objectives": ["peak@mac"]}, "no objective 'peak@mac'"),
        ({"objectives": []}, "no objective"),
        ({"granularity": "fine"}, "granularity"),
        ({"order": "worst"}, "order"),
        ({"n_jobs": 0}, "n_jobs"),
    ],
)
def test_what_cannot_be_explored(options: Data, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        polylat.explore(polylat.load(*EXAMPLE), **options)


def test_slots_of_a_tensor_several_times() -> None:
    """On the command line they accumulate, as tile shapes do."""
    once, twice = (
        json.loads(run("explore", *EXAMPLE, *some, "--json").output)
        for some in (["--slots", "o1=1:3"], ["--slots", "o1=3", "--slots", "o1=1,2"])
    )
    assert once == twice


def test_numbers_of_numpy() -> None:
    """Numbers of NumPy are accepted, also one instead of several."""
    numpy = pytest.importorskip("numpy")
    spec = polylat.load(*EXAMPLE)
    assert polylat.explore(spec, slots=numpy.arange(1, 4)).results == (
        polylat.explore(spec, slots=[1, 2, 3]).results
    )
    options: Data = {"splits": False, "background": False}
    one = polylat.explore(spec, tiles={"m#1": numpy.int64(4)}, **options)
    assert one.results == polylat.explore(spec, tiles={"m#1": [4]}, **options).results
    assert (
        polylat.analyze(spec, slots=numpy.int64(2), max_tiles=numpy.int64(5_000)).latency == 32256
    )


def test_too_many_variants() -> None:
    with pytest.raises(TooLargeError, match="variants"):
        polylat.explore(polylat.load(*EXAMPLE), slots=range(1, 9_000_000))


def test_an_illegal_mapping_everywhere() -> None:
    spec = polylat.load(*EXAMPLE)
    found = polylat.explore(spec, tiles={"m#1": [9]})
    assert found.best is None and not found.front
    assert "MappingError" in str(found)
    with pytest.raises(MappingError):
        _ = found.results[0].report


# Output


def test_text_and_tables(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas", reason="the extra `explore` is not installed")
    pytest.importorskip("pyarrow", reason="the extra `explore` is not installed")
    found = polylat.explore(polylat.load(*EXAMPLE), granularity="tile", slots=[1, 2, None])
    assert found.best is not None
    text = str(found)
    assert "Best latency" in text and f"{found.best.latency:,}" in text
    assert all(len(line) <= 100 for line in text.splitlines())
    frame = found.to_pandas()
    assert len(frame) == found.evaluated and frame["front"].sum() == len(found.front)
    found.save(tmp_path / "all.parquet")
    found.save(tmp_path / "all.csv")
    back = pandas.read_parquet(tmp_path / "all.parquet")
    assert list(back["latency_exact"]) == list(frame["latency_exact"])
    assert list(back.columns) == list(frame.columns)
    assert len(pandas.read_csv(tmp_path / "all.csv")) == found.evaluated
    with pytest.raises(OptionError, match="parquet"):
        found.save(tmp_path / "all.txt")
    with pytest.raises(OptionError, match="not the name of a file"):
        found.save(None)  # type: ignore[arg-type]


def test_the_page_about_it() -> None:
    page = ROOT / "docs" / "explore.md"
    with contextlib.chdir(page.parent.parent):
        assert doctest.testfile(str(page), module_relative=False) == (0, 5)


def test_command(tmp_path: Path) -> None:
    import json

    output = tmp_path / "all.csv"
    options = ["--granularity", "tile", "--splits", "--background", "--slots", "1:3"]
    done = run("explore", *EXAMPLE, *options, "-o", str(output))
    assert done.exit_code == 0, done.output
    assert "Best latency" in done.stdout and "24 variants" in done.stdout
    assert len(output.read_text(encoding="utf-8").splitlines()) == 25
    done = run("explore", *EXAMPLE, *options, "--json", "--objective", "latency")
    found = json.loads(done.stdout)
    assert found["complete"] and len(found["front"]) == 1
    assert found["front"][0]["choice"]["slots"] == {"o1": 2}
    done = run("explore", *EXAMPLE, "--granularity", "tile")
    assert "8 variants" in done.stdout
    done = run("explore", *EXAMPLE, "--granularity", "tile", "--staged", "--json")
    found = json.loads(done.stdout)
    assert found["variants"] == 2
    assert [row["choice"]["staged"] for row in found["front"]] == [["SRAM"]]
    done = run("explore", *EXAMPLE, "--granularity", "tile", "--tiles", "m#1=1:2,4")
    assert "3 variants" in done.stdout


@pytest.mark.parametrize(
    "options",
    [
        ["--slots", "3:1"],
        ["--slots", "x"],
        ["--slots", "1", "--slots", "o1=2"],
        ["--tiles", "m"],
        ["--tiles", "m#1=none"],
        ["-o", "results.txt"],
        ["--store", "no/such/folder/results.db"],
    ],
)
def test_command_with_bad_options(options: list[str]) -> None:
    done = run("explore", *EXAMPLE, "--granularity", "tile", *options)
    assert done.exit_code == 2
    assert done.stderr.startswith("polylat: ") and done.stderr.count("\n") == 1


def test_comparison() -> None:
    other = [*EXAMPLE[:2], str(EXAMPLES / "tap_refetched.yaml"), EXAMPLE[2]]
    done = run("compare", *other, "--granularity", "tile")
    assert done.exit_code == 0
    for part in ("Fastest  tap_resident", "32,768", "32,256", "e3 DRAM o2 read", "SRAM keeps o2"):
        assert part in done.stdout
    reports = {
        name: polylat.analyze(polylat.load(*EXAMPLE[:2], str(EXAMPLES / f"{name}.yaml")))
        for name in ("untapped", "tap_resident")
    }
    found = polylat.compare(reports)
    assert found.figures[0].values == tuple(r.latency for r in reports.values())
    keys = {key for report in reports.values() for key in report.accesses}
    changed = {
        " ".join(part for part in key if part)
        for key in keys
        if len({report.accesses.get(key) for report in reports.values()}) > 1
    }
    assert {row.what for row in found.accesses} == changed
    spreads = [abs((row.values[0] or 0) - (row.values[1] or 0)) for row in found.accesses]
    assert all(one >= other for one, other in pairwise(spreads))
    # The path to each Einsum, without what is the same in all.
    way = next(row for row in found.mapping if row.what == "e1").values
    first = ["SRAM keeps o2", "branch 1 of 2", "DRAM keeps w1, i1, w2", "for m, tiles of 1"]
    assert way[0].split("\n")[:4] == first and way[1] == "DRAM keeps o2\n" + way[0]
    assert way[0].endswith("\ne1 on mac")
    rows = str(found).split("Differences of the mapping")[1].split("Busy time")[0].splitlines()
    (at,) = (k for k, row in enumerate(rows) if row.split()[:1] == ["e1"])
    shown = [row.split() for row in rows[at : at + 2]]
    assert shown == [["e1", "(nothing)", "DRAM", "keeps", "o2"], ["…", "…"]]
    kinds = {
        top: polylat.analyze(polylat.load(*EXAMPLE[:2], str(EXAMPLES / "untapped.yaml"), top=top))
        for top in ("Sequential", "Pipeline")
    }
    (split,) = polylat.compare(kinds).mapping
    assert (split.what, split.values) == ("e1, e2 | e3", ("Sequential", "Pipeline"))
    same = polylat.compare({"a": reports["untapped"], "b": reports["untapped"]})
    assert not (same.mapping or same.ports or same.memories or same.accesses)
    assert "Equal in mapping, busy time of ports" in str(same)
    with pytest.raises(OptionError, match="nothing to compare"):
        polylat.compare({"a": reports["untapped"]})
    with pytest.raises(OptionError, match="reports, by name"):
        polylat.compare({"a": 3, "b": 4})
    with pytest.raises(OptionError, match="reports, by name"):
        polylat.compare({1: reports["untapped"], 2: reports["untapped"]})
    assert run("compare", *EXAMPLE).exit_code == 2
    twice = run("compare", *EXAMPLE, str(EXAMPLES / ".." / "examples" / "tap_resident.yaml"))
    assert twice.exit_code == 2 and "is named twice" in twice.stderr
    assert run("compare", *EXAMPLE[:2], "no.yaml", EXAMPLE[2]).exit_code == 2


def test_notebooks_show_the_front() -> None:
    found = polylat.explore(polylat.load(EXAMPLE))
    assert found.best is not None
    html = found._repr_html_()
    assert "24,576" in html and str(found.best.choice) in html


@pytest.mark.parametrize(
    "options",
    [
        {"granularity": []},
        {"granularity": 3},
        {"order": ()},
        {"order": 3},
        {"objectives": None},
        {"objectives": [3]},
        {"tiles": {1: [2]}},
        {"slots": 10**13},
        {"background": "o1@"},
        {"store": 3},
        {"tiles": {"m": []}},
        {"tiles": {"m": ["a"]}},
        {"exhaustive": "yes"},
        {"progress": "yes"},
    ],
)
def test_options_of_other_kinds(options: dict[str, Any]) -> None:
    with pytest.raises(OptionError):
        polylat.explore(polylat.load(*EXAMPLE), **options)
