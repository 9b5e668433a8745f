"""Extrapolated schedules equal those of which every tile iteration was visited.

The loops of these cascades disagree: a producer completes the elements of a tensor in another
order than the one in which its readers need them. ``tests/run_draws.py`` compares many more.
"""

from __future__ import annotations

import copy
import json
from collections import Counter
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import oracle
import polylat
from builders import DATA
from differences import compare, differences
from disagreeing import Case, cases, draw
from polylat import Report, Spec, UnsupportedError
from polylat.views.text import report_text
from reports import explicit_up_to, report_or_none
from smaller import sizes, smaller

Data = dict[str, Any]
KNOWN = DATA / "extension" / "known"
DRAWN = sorted((DATA / "extension" / "drawn").glob("*.json"))
SEEDS = st.integers(0, 2**63)
"""A failing one is drawn again; shrinking it would draw an unrelated case."""
EXAMPLES = settings().max_examples
PHASES = (Phase.explicit, Phase.reuse, Phase.generate)
PARTS = 4
"""The largest property is tested in parts, which can run at the same time."""
MANY = settings(max_examples=min(EXAMPLES // 2, 500), phases=PHASES)
FEWER = settings(
    max_examples=max(EXAMPLES // 4, 5), phases=PHASES, suppress_health_check=list(HealthCheck)
)
ORACLE = (
    "latency_by_order",
    "resource_bound",
    "dependence_bound",
    "barrier_bound",
    "sequential",
    "tiles",
    "accesses",
    "granularity",
)


def read(path: Path) -> Case:
    """A case from a file."""
    data = json.loads(path.read_text(encoding="utf-8"))
    options = dict(data["options"])
    for name in ("background", "staged"):
        options[name] = [tuple(pair) for pair in options.get(name, ())]
    return Case(data["spec"], options)


def known(name: str) -> tuple[Spec, Data]:
    """A known case: its input and options."""
    if name.endswith(".yaml"):
        return polylat.load(KNOWN / name), {}
    case = read(KNOWN / name)
    return Spec.from_dict(case.spec), case.options


def analyzed(name: str) -> Report:
    """The report on a known case, under the default limit of the explicit engine."""
    spec, options = known(name)
    return polylat.analyze(spec, **options)


# Random cascades ----------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
@MANY
@given(seed=SEEDS)
def test_extrapolated_is_visited(part: int, seed: int) -> None:
    """Latency of every order, bounds, schedule, critical path, slack, occupancy, exploration."""
    assert differences(*draw(PARTS * seed + part)) == []


@pytest.mark.slow
@FEWER
@given(cases(fewest=60, most=300))
def test_visited_is_by_brute_force(case: Case) -> None:
    """The explicit engine, with which extrapolation is compared, agrees with the oracle."""
    with explicit_up_to(10**9):
        report = report_or_none(case)
    options = {name: value for name, value in case.options.items() if name != "order"}
    try:
        expected = oracle.analyze(case.spec, **options)
    except oracle.Illegal:
        assert report is None
        return
    if report is None:  # the requested order is not available
        assert expected["latency_by_order"][case.options["order"]] is None
        return
    assert {name: getattr(report, name) for name in ORACLE} == {
        name: expected[name] for name in ORACLE
    }


@pytest.mark.long
def test_most_draws_are_legal_and_extrapolated() -> None:
    """The property above says something."""
    found = [compare(*draw(seed), checks=()) for seed in range(25)]
    assert sum(bool(one.illegal) for one in found) <= 2
    assert sum(one.engine == "periodic" for one in found) >= 12
    assert all(1 < one.tiles <= 6_000 for one in found if not one.illegal)


def test_what_is_drawn() -> None:
    """All kinds of loops, holders, units and options occur, and often."""
    seen: Counter[str] = Counter()
    for seed in range(400):
        seen.update(features(*draw(seed)))
    assert min(seen.values()) >= 10, seen
    assert {*seen} == {*FEATURES}


FEATURES = (
    "2 Einsums",
    "3 Einsums",
    "4 Einsums",
    "two producers",
    "flat and blocked",
    "reversed nesting",
    "units",
    "register units",
    "unequal trips",
    "interleaved output",
    "interleaved input",
    "scattered output",
    "dilated window",
    "strided window",
    "shared unit",
    "background",
    "slots None",
    *(f"slots {n}" for n in (1, 2, 3, 4)),
    "slots of holders",
    "staged output",
    "staged input",
    *("latency", "setup", "burst", "rigid"),
    "holder above a split",
    "holder below loops",
    "nested split",
    "Sequential",
    "shared loops",
    "three private loops",
)


def features(spec: Data, options: Data) -> set[str]:
    """What a case has."""
    einsums, leaves = spec["workload"]["einsums"], list(paths(spec["mapping"]["nodes"], ()))
    slots = options["slots"]
    found = {f"{len(einsums)} Einsums"}
    found |= {"slots of holders" if isinstance(slots, dict) else f"slots {slots}"}
    found |= {*spec.get("schedule", {})}
    made = {e["tensor_accesses"][-1]["name"] for e in einsums}
    for einsum in einsums:
        reads = {a["name"] for a in einsum["tensor_accesses"][:-1]}
        found |= {"two producers"} if len(reads & made) > 1 else set()
        for access in einsum["tensor_accesses"]:
            for text in access["projection"].values():
                found |= of_expression(text, output="output" in access, sizes=sizes(spec))
    found |= {"background"} if options.get("background") else set()
    for tensor, _ in options.get("staged", ()):
        found.add("staged output" if tensor in made else "staged input")
    computes = [path[-1]["component"] for path in leaves]
    found |= {"shared unit"} if len({*computes}) < len(computes) else set()
    nests = []
    for path in leaves:
        split = max(k for k, node in enumerate(path) if node["type"] in SPLITS)
        above, below = path[:split], path[split + 1 :]
        private = [n for n in below if n["type"] == "Temporal"]
        found |= {"three private loops"} if len(private) >= 3 else set()
        found |= {"Sequential"} if path[split]["type"] == "Sequential" else set()
        found |= {"nested split"} if any(n["type"] in SPLITS for n in above) else set()
        loops = [k for k, n in enumerate(above) if n["type"] == "Temporal"]
        found |= {"shared loops"} if loops else set()
        if loops and any(n["type"] == "Storage" for n in above[loops[0] :]):
            found.add("holder above a split")
        kinds = [n["type"] for n in below]
        if "Storage" in kinds and "Temporal" in kinds[: kinds.index("Storage")]:
            found.add("holder below loops")
        for node in path:
            if node["type"] == "Spatial":
                found.add("register units" if node["component"] == "RF" else "units")
            if isinstance(node.get("rank_variable"), dict):
                found.add("unequal trips")
        nests.append([n["rank_variable"] for n in private])
    found |= (
        {"reversed nesting"} if any(n[::-1] in nests and len({*n}) > 1 for n in nests) else set()
    )
    counts = [Counter(nest) for nest in nests]
    if any(a[v] == 1 < b[v] for a in counts for b in counts for v in a):
        found.add("flat and blocked")
    return found


SPLITS = ("Pipeline", "Sequential")


def paths(nodes: list[Data], above: tuple[Data, ...]) -> Any:
    """The nodes from the root to each leaf."""
    for node in nodes:
        if "nodes" in node and node["type"] in SPLITS:
            for branch in node["nodes"]:
                yield from paths([branch], (*above, node))
        elif "nodes" in node:
            yield from paths(node["nodes"], above)
        else:
            above = (*above, node)
            if node["type"] == "Compute":
                yield above


def of_expression(text: str, *, output: bool, sizes: Data) -> set[str]:
    """The kind of an index expression of two variables."""
    if "+" not in text:
        return set()
    terms = [term.split("*") if "*" in term else ("1", term) for term in text.split(" + ")]
    (one, _), (two, right) = terms
    if int(one) == sizes[right] and int(two) == 1:
        return {"interleaved output" if output else "interleaved input"}
    if output:
        return {"scattered output"}
    kinds = {"strided window": int(one) > 1, "dilated window": int(two) > 1}
    return {kind for kind, there in kinds.items() if there}


# Known cases --------------------------------------------------------------------------------------

LATENCIES = {
    # e3's flat loop crosses the blocks of its producer, whose loops are (m0, j, m1).
    "flat_loop_across_blocks.json": 38002,
    "blocked_sums.json": 6725,
    "five_stages.yaml": 18807,
    # The first fill, then 6 tiles: e0 takes as long as the next fill, e1 seven times as long.
    "fill_as_long_as_computation.json": 1000 + 6 * (1000 + 7000),
    "slack_in_program_order.json": 21600,
    # The units of the producer take blocks of n side by side, the consumer goes through n in order.
    "spatial_blocks.yaml": Fraction(25159, 2),
    # The loop over the filter is outside: elements are complete in an order of their own.
    "transposed_convolution.yaml": 16658,
    "dilated_transposed_convolution.yaml": 9111,
    "output_index_of_three_variables.yaml": 448,
    "reduction_over_units.yaml": 8,
}


@pytest.mark.parametrize("name", LATENCIES)
def test_known_latency(name: str) -> None:
    report = analyzed(name)
    assert (report.latency, report.exact) == (LATENCIES[name], True)


@pytest.mark.slow
@pytest.mark.parametrize("name", LATENCIES)
def test_known_case_is_as_if_visited(name: str) -> None:
    assert differences(*known(name)) == []


@pytest.mark.parametrize("path", DRAWN, ids=lambda path: path.stem)
def test_drawn_case_is_as_if_visited(path: Path) -> None:
    """Reduced draws in which an extrapolated report was wrong once."""
    assert differences(*read(path)) == []


@pytest.mark.parametrize("size", [500, 999, 1000, 1333, 2000, 10_000])
def test_flat_loop_across_blocks_of_other_sizes(size: int) -> None:
    spec = copy.deepcopy(read(KNOWN / "flat_loop_across_blocks.json").spec)
    spec["workload"]["iteration_space_shape"]["m"] = f"0 <= m < {size}"
    with explicit_up_to(0):
        report = polylat.analyze(Spec.from_dict(spec))
    assert (report.latency, report.exact) == (by_hand(size), True)


def by_hand(size: int) -> int:
    """The latency of this case, from element to element.

    e0 sums u[m] over the outer one of its loops, k < 2, and takes 9 for each operation. e1 sums
    t[m] over j < 17, the middle one of its loops over blocks of 500, over j, and within the block.
    e2 takes 1 and e3 takes 9 for each element.
    """
    e2 = e3 = 0
    for m in range(size):
        u = 9 * (size + m + 1)
        block = m - m % 500
        t = 17 * block + 16 * min(500, size - block) + m % 500 + 1
        e2 = max(e2, u, t) + 1
        e3 = max(e3, e2) + 9
    return e3


def test_known_slack() -> None:
    """What the schedule allows the writes to DRAM, and not more: the latency stays the same."""
    report = analyzed("slack_in_program_order.json")
    (row,) = [
        row
        for row in report.sensitivity().components
        if (row.component, row.action) == ("DRAM", "write")
    ]
    free = Fraction(495, 221)
    assert report.what_if({("DRAM", "write"): 1 / free}).latency == report.latency
    more = report.what_if({("DRAM", "write"): 1 / (free * Fraction(1001, 1000))})
    assert more.latency > report.latency
    assert row.slack == free


def test_critical_path_of_a_known_latency() -> None:
    """The report is printed; a critical path that cannot be shown is left out."""
    report = analyzed("five_stages.yaml")
    assert "18,807" in report_text(report)
    assert report.to_dict()["latency"] == 18807
    with suppress(UnsupportedError):
        assert sum(report.critical_totals.values()) == 18807


def test_repetition_of_a_short_path() -> None:
    """Initiation intervals are looked for in samples of loops that are too short for them."""
    report = analyzed("output_index_of_three_variables.yaml")
    assert report.to_dict()["latency"] == 448
    assert report.initiation_intervals == () or report.initiation_intervals[0].interval > 0


# The reducer --------------------------------------------------------------------------------------


def test_smaller() -> None:
    """A case that is cut down keeps its property, and no cut is left."""
    spec, options = draw(3)

    def keeps(spec: Data, options: Data) -> bool:
        report = report_or_none((spec, options))
        return report is not None and report.tiles >= 20

    assert keeps(spec, options)
    less = smaller(spec, options, keeps)
    assert keeps(*less)
    assert len(less[0]["workload"]["einsums"]) == 1
    report = report_or_none(less)
    assert report is not None and report.tiles < 40
