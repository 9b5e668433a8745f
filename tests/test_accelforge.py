"""With AccelForge itself (Python 3.12, ``make accelforge``): its objects and its mapper."""

from __future__ import annotations

import ast
import json
import re
import shutil
import subprocess
import sys
import warnings
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest

import polylat
from builders import CORPUS, EXAMPLES, OURS, ROOT
from network_cases import INPUTS, answers, asked
from polylat.accelforge import best, from_spec, rerank, to_spec
from polylat.errors import MissingExtraError, OptionError, PolylatError, SpecError, UnsupportedError
from polylat.spec import Spec
from polylat.spec.mapping import Pipeline
from polylat.spec.writing.yaml_output import dump

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    af: Any = pytest.importorskip("accelforge", reason="AccelForge is not installed")
    pd: Any = pytest.importorskip("pandas")
    import sympy

pytestmark = pytest.mark.filterwarnings("ignore")  # AccelForge's and pandas's own

CASES = {p.stem: p for folder in (CORPUS, OURS) for p in sorted(folder.glob("*.yaml"))}

DEFINITION = sorted((ROOT / "tests" / "data" / "definition").glob("*.yaml"))

needs_dot = pytest.mark.skipif(
    shutil.which("dot") is None, reason="AccelForge's mapper needs Graphviz"
)


def ranked(*mappings: Any, **options: Any) -> Any:
    """A table of `rerank`, without pandas's types, which do not help here."""
    return rerank(*mappings, **options)


def said(path: Path, live: bool) -> Any:
    """The report on a case as plain data, or what is wrong with it."""
    source: Any = af.Spec.from_yaml(str(path)) if live else polylat.load(path)
    try:
        return polylat.analyze(source, granularity="tile").to_dict()
    except PolylatError as error:
        return type(error), error.what, error.fix


@pytest.mark.parametrize(
    "files",
    [
        *(["arch", "workload", name] for name in ("untapped", "tap_refetched", "tap_resident")),
        ["attention"],
        ["gemmini/arch", "gemmini/mapping"],
        ["state_space"],
        ["flash_attention"],
        ["state_space_layer"],
        ["last_state", "last_state_written"],
        ["last_state", "last_state_rolling"],
    ],
    ids=lambda files: files[-1],
)
def test_the_examples_load_as_they_are(files: list[str]) -> None:
    """The key `schedule`, which AccelForge does not have, is in files of its own."""
    paths = [str(EXAMPLES / f"{name}.yaml") for name in files]
    theirs = af.Spec.from_yaml(*paths).evaluate_mapping().latency()
    assert theirs == pytest.approx(float(polylat.roofline(polylat.load(*paths)).latency))


@pytest.mark.parametrize("name", ["attention", "chain", "mlp"])
def test_the_problems_of_the_mapper_load_as_they_are(name: str) -> None:
    paths = [str(EXAMPLES / "mapper" / f"{file}.yaml") for file in ("arch", name)]
    assert af.Spec.from_yaml(*paths).workload.einsums


def test_only_files_of_their_own_have_the_key_schedule() -> None:
    key = re.compile("^schedule:", re.MULTILINE)
    found = [path.name for path in EXAMPLES.rglob("*.yaml") if key.search(path.read_text())]
    assert sorted(found) == [
        "attention_schedule.yaml",
        "flash_attention_schedule.yaml",
        "fusemax_schedule.yaml",
        "last_state_schedule.yaml",
        "schedule.yaml",
        "state_space_layer_schedule.yaml",
        "state_space_schedule.yaml",
    ]


@pytest.mark.parametrize("path", CASES.values(), ids=list(CASES))
def test_an_object_and_its_yaml_are_the_same(path: Path) -> None:
    live = af.Spec.from_yaml(str(path))
    try:
        spec = polylat.load(path)
    except PolylatError as error:
        with pytest.raises(type(error)) as caught:
            to_spec(live)
        assert (caught.value.what, caught.value.fix) == (error.what, error.fix)
        return
    assert to_spec(live) == polylat.load(live) == spec
    assert polylat.roofline(live) == polylat.roofline(spec)
    assert said(path, live=True) == said(path, live=False)


@pytest.mark.parametrize("path", CASES.values(), ids=list(CASES))
def test_a_mapping_goes_back(path: Path) -> None:
    live = af.Spec.from_yaml(str(path))
    try:
        spec = polylat.load(path)
    except UnsupportedError:
        pytest.skip("polylat does not model it")
    live.mapping = from_spec(spec)
    assert to_spec(live) == spec


@pytest.mark.parametrize("live", [False, True], ids=["file", "object"])
@pytest.mark.parametrize("path", CASES.values(), ids=CASES)
def test_both_tools_read_what_is_written(path: Path, live: bool, tmp_path: Path) -> None:
    try:
        spec = to_spec(af.Spec.from_yaml(str(path))) if live else polylat.load(path)
    except PolylatError:
        pytest.skip("polylat does not model it")
    file = tmp_path / "written.yaml"
    file.write_text(spec.to_yaml(schedule=False), encoding="utf-8")
    assert polylat.load(file) == spec
    theirs = af.Spec.from_yaml(str(file))
    assert to_spec(theirs) == spec
    evaluated = theirs.evaluate_mapping()
    figures = polylat.roofline(spec)
    assert evaluated.latency() == pytest.approx(float(figures.latency), rel=1e-6)
    assert evaluated.energy() == pytest.approx(float(figures.energy.total), rel=1e-6)


STATE = """
workload:
  iteration_space_shape: {t: 0 <= t < 6, d: 0 <= d < 4}
  bits_per_value: {All: 8}
  einsums: ["H[t, d] = H_prev[t, d] * A[t, d]"]
arch:
  nodes:
    - !Memory
      name: DRAM
      size: inf
      leak_power: 0
      area: 0
      actions: [{name: read, energy: 1, throughput: 8}, {name: write, energy: 2, throughput: 4}]
    - !Memory
      name: SRAM
      size: inf
      leak_power: 0
      area: 0
      actions: [{name: read, energy: 1, throughput: 32}, {name: write, energy: 1, throughput: 16}]
    - !Compute
      name: mac
      leak_power: 0
      area: 0
      actions: [{name: compute, energy: 1, throughput: 1}]
mapping:
  nodes:
    - !Storage {component: DRAM, tensors: [H_prev, A, H]}
    - !Temporal {rank_variable: t, tile_shape: 2}
    - !Storage {component: SRAM, tensors: [H_prev]}
    - !Temporal {rank_variable: t, tile_shape: 1}
    - !Temporal {rank_variable: d, tile_shape: 1}
    - !Compute {einsum: H, component: mac}
"""


def test_roofline_of_a_recurrence_is_accelforges(tmp_path: Path) -> None:
    """To AccelForge the earlier state is a tensor like others."""
    file = tmp_path / "state.yaml"
    file.write_text(STATE, encoding="utf-8")
    live = af.Spec.from_yaml(str(file))
    evaluated = live.evaluate_mapping()
    given = {"H_prev": "H[t-1]"}
    spec = polylat.load(file, recurrences=given)
    assert spec == to_spec(live, recurrences=given) == to_spec(evaluated, recurrences=given)
    assert spec.workload.einsums[0].states == ("H",)
    figures = polylat.roofline(spec)
    assert evaluated.latency() == pytest.approx(float(figures.latency), rel=1e-6)
    assert evaluated.energy() == pytest.approx(float(figures.energy.total), rel=1e-6)
    # The names of the file go back to AccelForge.
    live.mapping = from_spec(spec)
    assert live.evaluate_mapping().latency() == evaluated.latency()


@pytest.mark.parametrize("path", DEFINITION, ids=lambda path: path.stem)
def test_roofline_is_accelforges_where_the_models_differ(path: Path) -> None:
    """Padding counts in both models; AccelForge reads `initial_tile_shape` and ignores it."""
    evaluated = af.Spec.from_yaml(str(path)).evaluate_mapping()
    figures = polylat.roofline(polylat.load(path))
    assert evaluated.latency() == pytest.approx(float(figures.latency), rel=1e-6)
    assert evaluated.energy() == pytest.approx(float(figures.energy.total), rel=1e-6)
    theirs = evaluated.latency(per_einsum=True, per_component=True)
    for (name, component), value in theirs.items():
        assert float(figures.per_einsum[name].get(component, 0)) == pytest.approx(value, rel=1e-6)


@pytest.mark.parametrize("name", ["t_chain2_pipeline_node", "t_mm_toll", "t_chain2_fused_spatial"])
def test_accelforge_evaluates_what_goes_back(name: str) -> None:
    live = af.Spec.from_yaml(str(OURS / f"{name}.yaml"))
    before = live.evaluate_mapping().latency()
    live.mapping = from_spec(polylat.load(OURS / f"{name}.yaml"))
    evaluated = live.evaluate_mapping()
    assert evaluated.latency() == before
    assert polylat.roofline(evaluated).latency == pytest.approx(before, rel=1e-6)


@pytest.mark.parametrize(
    "name", ["t_sp_mac_k", "t_sp_rf_k", "t_mm_parallel_instances", "map_chain1_a3xy"]
)
def test_leakage(name: str, tmp_path: Path) -> None:
    """Leak powers, which AccelForge multiplies by the fanouts above a component."""
    text = (OURS / f"{name}.yaml").read_text()
    powers = iter(range(3, 100, 2))
    text = re.sub("leak_power: 0", lambda _: f"leak_power: {next(powers)}", text)
    assert next(powers) > 3
    file = tmp_path / "leaking.yaml"
    file.write_text(text)
    theirs = af.Spec.from_yaml(str(file)).evaluate_mapping().energy()
    energy = polylat.roofline(polylat.load(file)).energy
    assert energy.total == pytest.approx(theirs, rel=1e-6)
    assert energy.leakage


@pytest.mark.parametrize(
    ("fields", "latency"), [("latency: 3", 0), ("latency: 3, throughput: 2", 3)]
)
def test_the_latency_of_an_action(fields: str, latency: int, tmp_path: Path) -> None:
    """AccelForge prices a lone latency as a throughput, and ignores one beside a throughput."""
    arch = tmp_path / "arch.yaml"
    text = (EXAMPLES / "arch.yaml").read_text(encoding="utf-8")
    arch.write_text(text.replace("throughput: 1", fields, 1), encoding="utf-8")
    files = [str(arch), *(str(EXAMPLES / f"{n}.yaml") for n in ("workload", "tap_resident"))]
    live = af.Spec.from_yaml(*files)
    spec = polylat.load(files)
    assert to_spec(live) == spec
    assert polylat.roofline(spec).latency == live.evaluate_mapping().latency()
    assert spec.arch.component("e1", "DRAM").latency == ({"read": latency} if latency else {})


PROJECTION = """
workload:
  iteration_space_shape: {{m: 2 <= m < 6, n: 0 <= n < 4}}
  bits_per_value: {{All: 1}}
  einsums:
  - name: e
    tensor_accesses:
    - {{name: a, projection: {{A: "{0}", B: n}}}}
    - {{name: b, projection: {{A: "{0}"}}, output: true}}
arch:
  nodes:
  - !Memory
    name: DRAM
    size: inf
    leak_power: 0
    area: 0
    tensors: {{keep: All}}
    actions: [{{name: read, energy: 1, throughput: 1}}, {{name: write, energy: 1, throughput: 1}}]
  - !Memory
    name: SRAM
    size: inf
    leak_power: 0
    area: 0
    tensors: {{keep: All}}
    actions:
    - {{name: read, energy: 1, throughput: inf}}
    - {{name: write, energy: 1, throughput: inf}}
  - !Compute
    name: mac
    leak_power: 0
    area: 0
    actions: [{{name: compute, energy: 1, throughput: inf}}]
mapping:
  nodes:
  - !Storage {{component: DRAM, tensors: [a, b]}}
  - !Temporal {{rank_variable: m, tile_shape: 2}}
  - !Storage {{component: SRAM, tensors: [a, b]}}
  - !Temporal {{rank_variable: m, tile_shape: 1}}
  - !Temporal {{rank_variable: n, tile_shape: 1}}
  - !Compute {{einsum: e, component: mac}}
"""


@pytest.mark.parametrize("index", ["m", "m + 3", "m - 3", "m - 9", "3 - m", "2*m - n - 1", "n - m"])
def test_offsets_and_negative_coefficients(index: str, tmp_path: Path) -> None:
    """AccelForge counts from index 0, so that numbers of actions may be negative."""
    file = tmp_path / "mapping.yaml"
    file.write_text(PROJECTION.format(index), encoding="utf-8")
    evaluated = af.Spec.from_yaml(str(file)).evaluate_mapping()
    figures = polylat.roofline(polylat.load(file))
    assert figures.latency == evaluated.latency() >= 0
    assert figures.per_einsum["e"] == evaluated.latency(per_component=True)
    actions = evaluated.actions(per_tensor=True, per_component=True, per_einsum=True)
    assert {
        (einsum, component, str(tensor), action): number
        for (einsum, component, tensor, action), number in figures.totals.items()
    } == actions


@pytest.mark.parametrize("name", INPUTS)
def test_networks(name: str, tmp_path: Path) -> None:
    """The answers with which the roofline is compared are AccelForge's, and objects are read."""
    text = dump(INPUTS[name])
    assert asked(text) == answers()[name]
    file = tmp_path / "networks.yaml"
    file.write_text(text, encoding="utf-8")
    spec = polylat.load(file)
    assert to_spec(af.Spec.from_yaml(str(file))) == spec
    assert polylat.roofline(spec) == polylat.roofline(Spec.from_dict(INPUTS[name]))
    written = spec.to_yaml(schedule=False)
    assert asked(written) == answers()[name]
    assert polylat.roofline(spec).per_einsum


def test_a_changed_object_is_another_input() -> None:
    live = af.Spec.from_yaml(str(OURS / "issue_o2_to_dram.yaml"))
    live.arch.nodes["DRAM"].actions["read"].throughput = "1 / 2"
    live.workload.rank_sizes["M"] = 4
    live.mapping.nodes[-1] = af.mapping.Pipeline(nodes=live.mapping.nodes[-1].nodes)
    report = polylat.analyze(live)
    assert report.accesses["e1", "mac", None, "compute"] == 4 * 8 * 8
    assert report.sequential is not None
    assert report.latency < report.sequential
    durations = {
        d for p in to_spec(live).arch.component("e1", "DRAM").ports for d in p.durations.items()
    }
    assert durations == {("read", Fraction(2)), ("write", Fraction(1))}


def test_a_binding_needs_the_branch_pipeline() -> None:
    spec = polylat.load(OURS / "issue_o2_to_dram.yaml").with_pipelines()
    (*_, end) = from_spec(spec).nodes
    assert isinstance(end, af.mapping.Pipeline)
    assert isinstance(spec.mapping.end, Pipeline)
    numbers = (0,) * len(spec.mapping.end.branches)
    bound = replace(spec.mapping, end=replace(spec.mapping.end, binding=numbers))
    with pytest.raises(UnsupportedError, match="use its branch pipeline, or leave out the key"):
        from_spec(replace(spec, mapping=bound))


def test_an_evaluated_spec_is_refused() -> None:
    live = af.Spec.from_yaml(str(OURS / "issue_o2_to_dram.yaml"))
    with pytest.raises(SpecError, match="has been evaluated for one Einsum"):
        to_spec(live.calculate_component_costs(einsum_name="e1"))


def test_a_spec_without_a_mapping_is_refused() -> None:
    live = af.Spec.from_yaml(str(OURS / "issue_o2_to_dram.yaml"))
    live.mapping = af.Mapping()
    with pytest.raises(SpecError, match="the Spec has no mapping"):
        polylat.analyze(live)
    with pytest.raises(SpecError, match="takes no index"):
        to_spec(live, 0)


def test_a_loop_whose_tiles_are_not_known_is_refused() -> None:
    live = af.Spec.from_yaml(str(OURS / "t_mm_one_level.yaml"))
    live.mapping.nodes[1].tile_shape = sympy.Symbol("stride0")
    with pytest.raises(SpecError, match=r"mapping.nodes\[1\].tile_shape.*'stride0' is a symbol"):
        polylat.analyze(live)


def test_polylat_does_not_import_accelforge() -> None:
    code = "import polylat.accelforge, sys; print('accelforge' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert done.stdout == "False\n"


def test_pandas_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'polylat\[accelforge\]'"):
        ranked(None)


# AccelForge's mapper -----------------------------------------------------------------------------

ARCH = """
arch:
  nodes:
    - !Memory
      name: DRAM
      size: inf
      leak_power: 0
      area: 0
      tensors: {keep: ~Intermediates, may_keep: ~Intermediates}
      actions:
        - {name: read, energy: 10, throughput: 8}
        - {name: write, energy: 10, throughput: 8}
    - !Memory
      name: SRAM
      size: 60
      leak_power: 0
      area: 0
      tensors: {keep: ~DRAM, may_keep: All}
      actions:
        - {name: read, energy: 1, throughput: 32}
        - {name: write, energy: 1, throughput: 32}
    - !Compute
      name: mac
      leak_power: 0
      area: 0
      actions:
        - {name: compute, energy: 1, throughput: 1}
"""

# Keys, which are made by position m, and scores, in which that position is p and m is another. The
# keys do not fit into the SRAM, so that the two share a loop, of m here and of p there.
KEYS = """
workload:
  rank_sizes: {M: 8, P: 8, D: 2, E: 1}
  bits_per_value: {All: 8}
  einsums:
    - name: K
      tensor_accesses:
        - {name: X, projection: [m, d]}
        - {name: W, projection: [d, e]}
        - {name: K, projection: [m, e], output: true}
    - name: QK
      tensor_accesses:
        - {name: Q, projection: [m, e]}
        - {name: K, projection: {M: p, E: e}}
        - {name: S, projection: [m, p], output: true}
"""


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The mapper's results for keys and scores."""
    folder = tmp_path_factory.mktemp("mapper")
    (folder / "keys.yaml").write_text(ARCH + KEYS, encoding="utf-8")
    spec = af.Spec.from_yaml(str(folder / "keys.yaml"))
    spec.mapper.metrics = af.Metrics.LATENCY | af.Metrics.ENERGY | af.Metrics.RESOURCE_USAGE
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)  # the mapper leaves a drawing behind
        yield spec.map_workload_to_arch(print_progress=False)


def shared_loops(spec: polylat.Spec) -> list[Any]:
    return [n for n in spec.mapping.nodes if getattr(n, "by_einsum", ())]


@needs_dot
def test_what_the_mapper_finds(keys: Any) -> None:
    assert len(keys) >= 2
    for index in range(len(keys)):
        spec = to_spec(keys, index)
        assert polylat.load(keys[index]) == spec
        assert polylat.roofline(spec).latency == pytest.approx(
            keys.data["Total<SEP>latency"].iloc[index]
        )
        report = polylat.analyze(keys[index])
        assert report.latency >= report.resource_bound
        report.verify()
    assert to_spec(keys, -1) == to_spec(keys, len(keys) - 1)


@needs_dot
def test_sets_of_rank_variables(keys: Any) -> None:
    """Where K and QK share a loop, it is one over m for the one and over p for the other."""
    found = 0
    for index in range(len(keys)):
        spec = to_spec(keys, index)
        for loop in shared_loops(spec):
            assert (loop.rank_variable, dict(loop.by_einsum)) == ("m,p", {"K": "m", "QK": "p"})
            found += 1
            with pytest.raises(UnsupportedError, match="over m, p, of which an Einsum has several"):
                from_spec(spec)
            alone = keys.spec.model_copy()
            alone.mapping = keys.mapping(index)
            if hasattr(alone.mapping, "split_loop_with_multiple_rank_variables"):
                assert to_spec(alone) == spec
                assert to_spec(alone.evaluate_mapping()) == spec
            else:
                with pytest.raises(UnsupportedError, match="give polylat the Mappings"):
                    to_spec(alone)
    assert found


@needs_dot
def test_which_mapping_is_meant(keys: Any) -> None:
    takers: tuple[Any, ...] = (polylat.analyze, polylat.roofline, polylat.load, to_spec)
    for function in takers:
        with pytest.raises(SpecError, match=f"there are {len(keys)} mappings") as error:
            function(keys)
        assert "mappings[i]" in str(error.value)
    wrong: list[tuple[Any, str]] = [(len(keys), "is no mapping"), ("0", "must be a whole number")]
    for index, match in wrong:
        with pytest.raises(SpecError, match=match):
            to_spec(keys, index)
    nothing = keys._update(data=keys.data.iloc[:0])
    for function in takers[-1], rerank:
        with pytest.raises(SpecError, match="there are no mappings"):
            function(nothing)


@needs_dot
def test_reranked(keys: Any, capsys: pytest.CaptureFixture[str]) -> None:
    table = ranked(keys, verify=True, exhaustive=True)
    assert capsys.readouterr().out.splitlines()[-1] == table.attrs["message"]
    assert sorted(table.index) == list(range(len(keys)))
    order = [(not row.fits, row.latency, row.energy) for row in table.itertuples()]
    assert order == sorted(order)
    assert set(table["certificate"]) == {"proven"}
    assert set(table["error"]) == {""}
    row: Any
    index: Any
    for index, row in table.iterrows():
        report = polylat.analyze(to_spec(keys, index))
        assert row["latency"] == report.latency
        assert row["lower_bound"] == report.lower_bound
        assert (row["resource_bound"], row["dependence_bound"], row["barrier_bound"]) == (
            report.resource_bound,
            report.dependence_bound,
            report.barrier_bound,
        )
        assert row["order"] == report.order
        assert bool(row["optimal"]) == report.optimal
        assert row["accelforge"] == pytest.approx(keys.data["Total<SEP>latency"].iloc[index])
        assert row["accelforge_energy"] == pytest.approx(keys.data["Total<SEP>energy"].iloc[index])
        assert row["energy"] == row["accelforge_energy"]
        assert row["speedup"] == pytest.approx(float(Fraction(row["accelforge"]) / report.latency))
        for memory in report.occupancy:
            assert row[f"peak {memory.component}"] == memory.peak
        better = (table["latency"] <= row["latency"]) & (table["energy"] <= row["energy"])
        strictly = (table["latency"] < row["latency"]) | (table["energy"] < row["energy"])
        assert bool(row["pareto"]) == (not (better & strictly).any())
    first = table.index[0]
    assert table.attrs["winner_changes"] == (
        table["latency"].min() < table.loc[table.attrs["accelforge_winner"], "latency"]
    )
    if table.attrs["winner_changes"]:
        assert table.attrs["winner"] == first


@needs_dot
def test_reranked_with_options(
    keys: Any, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    given = ranked(keys, quiet=True, exhaustive=True)
    overlapped = ranked(keys, quiet=True, pipelined=True, exhaustive=True)
    assert capsys.readouterr().out.count("fastest") == 0
    file = tmp_path / "written.yaml"
    for row in given.itertuples():
        file.write_text(row.spec.to_yaml(schedule=False))
        assert polylat.load(file) == to_spec(keys, row.Index)
        try:
            from_spec(row.spec)
        except UnsupportedError:
            continue  # a loop that AccelForge's files cannot have
        again = af.Spec.from_yaml(str(file))
        assert to_spec(again) == to_spec(keys, row.Index)
        assert again.evaluate_mapping().latency() == pytest.approx(row.accelforge)
    assert (overlapped["latency"].sort_index() <= given["latency"].sort_index()).all()
    assert set(given["certificate"]) == {"not requested"}
    staged = ranked(keys, quiet=True, staged="all", slots=3, exhaustive=True)
    index: Any
    for index, latency in staged["latency"].items():
        spec = to_spec(keys, index)
        assert latency == polylat.analyze(spec, staged="all", slots=3).latency
    for table in (given, overlapped, staged):
        for row in table.itertuples():
            assert polylat.analyze(row.spec).latency == row.latency
    with pytest.raises(OptionError, match="granularity"):
        ranked(keys, granularity="coarse")
    with pytest.raises(SpecError, match="cannot rank a Spec"):
        ranked(keys.spec)


@needs_dot
@pytest.mark.parametrize("options", [{}, {"pipelined": True}, {"staged": "all", "slots": 3}])
def test_what_is_not_timed_could_not_win(keys: Any, options: dict[str, Any]) -> None:
    everything, table = ranked(keys, exhaustive=True, **options), ranked(keys, **options)
    assert table.attrs["winner"] == everything.attrs["winner"]
    assert set(table.index[table["pareto"]]) == set(everything.index[everything["pareto"]])
    timed = table[table["timed"]]
    assert table.attrs["accelforge_winner"] in timed.index
    columns = ["latency", "energy", "lower_bound", "order", "fits", "peak SRAM"]
    assert (timed[columns] == everything.loc[timed.index, columns]).all().all()
    known = timed[timed["rank"] > 0]
    assert (known["rank"] == everything.loc[known.index, "rank"]).all()
    for number, row in table[~table["timed"]].iterrows():
        assert row["lower_bound"] <= everything.loc[number, "latency"]
        assert not everything.loc[number, "pareto"]
        assert row["certificate"] == "not timed"
        assert pd.isna(row["latency"]) and pd.isna(row["fits"])


def test_a_mapping_that_fits_wins() -> None:
    """The resident tap is faster, and holds more than the memory that is between the two peaks."""
    names = ("tap_refetched", "tap_resident")
    found = [tapped(mapping).evaluate_mapping() for mapping in names]
    peaks = [
        next(m.peak for m in polylat.analyze(tapped(name)).occupancy if m.component == "SRAM")
        for name in names
    ]
    both = found[0]._update(data=pd.concat([one.data for one in found]), spec=found[0].spec)
    both.spec.mapping = af.Mapping()
    table = ranked(both, exhaustive=True)
    faster = table["latency"].idxmin()
    assert table["fits"].all() and peaks[0] != peaks[1]
    both.spec.arch.nodes["SRAM"].size = table.loc[faster, "peak SRAM"] - 1
    table = ranked(both, exhaustive=True)
    small = table[table["fits"].astype(bool)]
    assert table["latency"].idxmin() == faster
    if len(small):
        assert table.attrs["winner"] == table.index[0] == small.index[0] != faster
        assert f"{faster} does not fit its memories" in table.attrs["message"]
    both.spec.arch.nodes["SRAM"].size = 8
    table = ranked(both)
    assert not table["fits"].astype(bool).any()
    assert "None of the mappings fits its memories." in table.attrs["message"]
    chosen = best(both)
    assert chosen.fits is False
    assert "None of the mappings fits" in str(chosen)


def tapped(mapping: str, **variables: str) -> Any:
    """The example's problem with one of its mappings, as AccelForge's Spec."""
    files = ("arch.yaml", "workload.yaml", f"{mapping}.yaml")
    paths = [str(EXAMPLES / file) for file in files]
    return af.Spec.from_yaml(*paths, jinja_parse_data=variables)


@pytest.mark.parametrize("top", ["Sequential", "Pipeline"])
@pytest.mark.parametrize("mapping", ["tap_resident", "tap_refetched", "untapped"])
def test_what_is_evaluated_is_the_mapping_of_the_spec(mapping: str, top: str) -> None:
    """AccelForge's own ``Mappings.mapping()`` has no Pipelines, and nothing shared but backing."""
    live = tapped(mapping, top=top)
    evaluated = live.evaluate_mapping()
    assert to_spec(evaluated) == to_spec(live)
    live.mapping = af.Mapping()  # the figures are of the mapping as it was
    assert to_spec(evaluated) == to_spec(evaluated, 0)
    assert polylat.roofline(evaluated).latency == evaluated.latency()


def test_the_winner_changes(capsys: pytest.CaptureFixture[str]) -> None:
    """Two mappings with the same latency in AccelForge; in one, no access waits for a write."""
    found = [tapped(mapping).evaluate_mapping() for mapping in ("tap_refetched", "untapped")]
    found[0].data["Total<SEP>latency"] = 31744
    both = type(found[0])(
        spec=af.Spec(arch=found[0].spec.arch, workload=found[0].spec.workload),
        einsum_names=found[0].einsum_names,
        data=pd.concat([one.data for one in found]),
        total_mappings=2,
        valid_mappings=2,
        flattened_arches=found[0].flattened_arches,
        evaluated_specs=found[0].evaluated_specs,
    )
    both.data["Total<SEP>energy"] = [1.0, 2.0]
    table = ranked(both, granularity="tile", background="o2")
    assert capsys.readouterr().out.splitlines()[-1] == (
        "The fastest mapping changes: 1 (31,744; AccelForge: 31,744) instead of 0 (32,320;"
        " AccelForge: 31,744)."
    )
    assert table.attrs["winner_changes"]
    assert (table.attrs["winner"], table.attrs["accelforge_winner"]) == (1, 0)
    assert list(table.index) == [1, 0]
    assert list(table["rank"]) == [1, 2]
    assert list(table["accelforge_rank"]) == [1, 1]
    assert list(table["accelforge_energy"]) == [2, 1]
    assert list(table["energy"]) == [49152, 51200]
    assert list(table["pareto"]) == [True, False]


def test_mappings_without_figures_and_without_an_analysis() -> None:
    """AccelForge did not compute latency and energy; and one of the mappings is illegal here."""
    found = [tapped(mapping).evaluate_mapping() for mapping in ("tap_refetched", "untapped")]
    data = pd.concat([one.data for one in found]).drop(
        columns=["Total<SEP>latency", "Total<SEP>energy"]
    )
    both = found[0]._update(data=data, spec=af.Spec(arch=found[0].spec.arch))
    both.spec.workload = found[0].spec.workload
    table = ranked(both, quiet=True, granularity="tile")
    assert list(table["accelforge"]) == [31744, 32768]
    assert list(table["energy"]) == list(table["accelforge_energy"]) == [49152, 51200]
    wrong = found[0].data["e3<SEP>mapping"].iloc[0]
    wrong.nodes = [n for n in wrong.nodes if getattr(n, "rank_variable", "") != "n3"]
    table = ranked(both, granularity="tile")
    assert list(table.index) == [1, 0]
    assert table.loc[0, "error"].startswith("mapping.nodes")
    assert table.loc[1, "error"] == ""
    assert table["latency"].isna().tolist() == [False, True]
    assert "1 of 2 could not be analyzed" in table.attrs["message"]
    only = ranked(both[0], quiet=True)
    assert only.attrs["winner"] is None
    assert not only.attrs["winner_changes"]


# The example and the README ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def example() -> Any:
    """The example as a module."""
    found = spec_from_file_location("from_mapper", EXAMPLES / "from_mapper.py")
    assert found is not None and found.loader is not None
    module = module_from_spec(found)
    sys.modules["from_mapper"] = module  # its dataclass needs it
    found.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def mappings(example: Any) -> Any:
    """The mapper's results for the motivating problem."""
    return example.search(example.problem("tapped"))


@needs_dot
def test_another_mapping_is_the_fastest_where_stages_overlap(mappings: Any) -> None:
    assert min(mappings.data["Total<SEP>latency"]) == 29696
    given = ranked(mappings, quiet=True)
    assert not given.attrs["winner_changes"]
    overlapped = ranked(mappings, quiet=True, pipelined=True, verify=True, exhaustive=True)
    assert overlapped.attrs["winner_changes"]
    before = overlapped.loc[overlapped.attrs["accelforge_winner"]]
    best = overlapped.loc[overlapped.attrs["winner"]]
    assert before["accelforge"] < best["accelforge"]
    assert best["latency"] < before["latency"]
    assert set(overlapped["certificate"]) == {"proven"}


@needs_dot
def test_the_best_mapping_keeps_its_options(mappings: Any) -> None:
    found = best(mappings, pipelined=True, slots=3)
    table = ranked(mappings, quiet=True, pipelined=True, slots=3, exhaustive=True)
    assert found.index == table.attrs["winner"]
    assert found.fits
    assert found.report.latency == table.loc[table["fits"], "latency"].min()
    assert polylat.analyze(found.spec).latency == found.report.latency
    assert str(found).startswith(table.attrs["message"])
    live = af.Spec(arch=mappings.spec.arch, workload=mappings.spec.workload)
    live.mapping = found.mapping
    assert to_spec(live).mapping == found.spec.mapping


@needs_dot
def test_the_example(
    example: Any,
    mappings: Any,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(example, "search", lambda spec: mappings)
    example.main(["tapped"])
    printed = capsys.readouterr().out
    lines = printed.splitlines()
    assert lines[0].startswith(f"tapped: the same, and o2 written to DRAM as well ({len(mappings)}")
    assert max(map(len, lines[:8])) <= 80
    assert "…" not in printed
    found = best(mappings, pipelined=True)
    assert found.report.latency == found.table["latency"].iloc[0]
    assert f"Latency  {found.report.latency:,}" in lines
    assert f"AccelForge's figure for it: {polylat.roofline(found.spec).latency:,}" in lines
    assert any(line.startswith("Proven: the schedule of") for line in lines)


@needs_dot
@pytest.mark.parametrize("page", ["README.md", "docs/accelforge.md"])
def test_what_the_pages_show(
    page: str, mappings: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(af.Spec, "map_workload_to_arch", lambda self: mappings)
    names: dict[str, Any] = {}
    for block in re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        lines = block.splitlines()
        for statement in ast.parse(block).body:
            code = ast.get_source_segment(block, statement) or ""
            assert statement.end_lineno is not None
            behind = lines[statement.end_lineno - 1][statement.end_col_offset :]
            if shown := re.match(r"  # (\d+)\b", behind):
                assert eval(code, names) == int(shown[1])
            else:
                exec(code, names)
    assert "The fastest mapping changes:" in capsys.readouterr().out
    table = names["table"] if "table" in names else names["best"].table
    assert table.attrs["winner_changes"]


UPSTREAM = ROOT / "tests" / "data" / "upstream"

# What `af.Spec` needs beyond polylat: it does not evaluate a component without energies.
WITH_ENERGIES = {
    "size: inf": "size: 1048576",
    "throughput:": "energy: 1, throughput:",
    "name: DRAM": "name: DRAM, area: 0, leak_power: 0",
    "name: SRAM": "name: SRAM, area: 0, leak_power: 0",
    "name: mac": "name: mac, area: 0, leak_power: 0",
}


def with_total_latency(expression: str, folder: Path) -> Path:
    """The file of ``ceil`` with another expression."""
    text = (UPSTREAM / "bursts_ceil.yaml").read_text(encoding="utf-8")
    for old, new in WITH_ENERGIES.items():
        text = text.replace(old, new)
    path = folder / "input.yaml"
    path.write_text(re.sub(r'"ceil\(.*?"', json.dumps(expression), text), encoding="utf-8")
    return path


def test_sizes_of_ranks_that_refer_to_each_other() -> None:
    path = UPSTREAM / "rank_sizes_ref.yaml"
    spec = af.Spec.from_yaml(str(path))
    assert spec.evaluate_mapping().latency() == polylat.roofline(path_spec(path)).latency == 64
    assert to_spec(spec) == path_spec(path)


def path_spec(path: Path) -> polylat.Spec:
    """The input of a file."""
    return polylat.load(path)


@pytest.mark.parametrize(
    "expression",
    [
        "ceil(sum(a.n_calls / a.throughput for a in actions) / 64) * 64",
        "floor(sum(a.n_calls for a in actions) / 7)",
        "min(a.n_calls for a in actions)",
        "max(1, min(actions['read'].n_calls, 5)) * 3",
        "actions['read'].n_calls * actions['write'].n_calls",
        "actions[0].n_calls if actions[0].n_calls > 200 else 100",
        "sum(a.n_calls for a in actions if a.n_calls > 150)",
        "sum(a.n_calls for a in actions) ** 2",
        "sqrt(sum(a.n_calls for a in actions))",
        "sum(a.n_calls for a in actions) // 7 + sum(a.n_calls for a in actions) % 5",
        "1000 - actions['read'].n_calls",
        "sum(range(int(actions['read'].n_calls)))",
        "ceil(actions['read'].n_calls / 64) * log2(size + 1)",
        "max(ceil(a.n_calls / 64) for a in actions)",
        "max(actions['read'].n_calls, 2**5) if actions['write'].n_calls else 3",
        "actions['read'].n_calls / (1 + actions['write'].n_calls)",
        "actions['read'].throughput * ceil(actions['read'].n_calls / 64)",
        "-3",
    ],
)
def test_total_latency(expression: str, tmp_path: Path) -> None:
    path = with_total_latency(expression, tmp_path)
    spec = af.Spec.from_yaml(str(path))
    told = spec.evaluate_mapping().latency(per_einsum=True, per_component=True)
    found = polylat.roofline(path_spec(path)).per_einsum
    for (einsum, component), time in told.items():
        assert float(found[einsum][component]) == pytest.approx(float(time), rel=1e-6)
    assert polylat.roofline(spec).per_einsum == found


def test_functions_of_an_object(tmp_path: Path) -> None:
    """Those in memory are used as they are; a file of functions is not run."""

    def banks(spec: Any) -> int:
        return 4 * len(spec.arch.nodes)

    path = with_total_latency("sum(a.n_calls / a.throughput for a in actions)", tmp_path)
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("throughput: 1/2", "throughput: banks(spec)"), "utf-8")
    spec = af.Spec.from_yaml(str(path))
    spec.config.expression_custom_functions.append(banks)
    told = spec.evaluate_mapping().latency(per_einsum=True, per_component=True)
    found = polylat.roofline(spec).per_einsum
    assert [found[e]["DRAM"] for e in "YZ"] == [told[e, "DRAM"] for e in "YZ"] == [32, 400]
    functions = tmp_path / "functions.py"
    functions.write_text("def banks(spec):\n    return 12\n", encoding="utf-8")
    spec.config.expression_custom_functions = [str(functions)]
    assert float(spec.evaluate_mapping().latency()) == 480
    with pytest.raises(PolylatError, match=r"there is no function 'banks'.*never runs"):
        polylat.load(spec)
    given = {"banks": lambda spec: 4 * len(spec.arch.nodes)}
    for read in (polylat.load, to_spec):
        assert polylat.roofline(read(spec, functions=given)).latency == 480


def test_throughputs_of_component_models(tmp_path: Path) -> None:
    """A component that AccelForge has evaluated carries them; else they are given."""
    hwcomponents: Any = pytest.importorskip("hwcomponents")

    class Mac(hwcomponents.ComponentModel):  # type: ignore[misc]
        component_name = "plain_mac"
        priority = 0.5

        def __init__(self) -> None:
            super().__init__(area=1, leak_power=1)

        @hwcomponents.action  # type: ignore[untyped-decorator]
        def compute(self) -> Any:
            return hwcomponents.ActionCost(energy=1, throughput=4, latency=1)

    text = (UPSTREAM / "rank_sizes_ref.yaml").read_text(encoding="utf-8")
    queried = "name: mac, component_class: plain_mac, actions: [{name: compute}]"
    path = tmp_path / "input.yaml"
    path.write_text(re.sub("name: mac.*?compute, .*?]", queried, text), encoding="utf-8")
    spec = af.Spec.from_yaml(str(path))
    with pytest.raises(SpecError, match=r"component model 'plain_mac', with the package hwcompon"):
        polylat.load(spec)
    mac = spec.arch.find("mac")
    mac.component_model = Mac()
    told = spec.evaluate_mapping().latency(per_einsum=True, per_component=True)
    position = [node.name for node in spec.arch.nodes].index("mac")
    spec.arch.nodes[position] = mac.calculate_component_costs()
    options = tmp_path / "schedule.yaml"
    options.write_text("schedule: {throughput: {mac: {compute: 4}}}", encoding="utf-8")
    for source in (spec, polylat.load(path, options)):
        assert polylat.roofline(source).per_einsum["B"] == {"DRAM": 64, "mac": 1}
        assert told["B", "mac"] == 1
