"""Measure `analyze` on fused cascades with 10² to 10⁹ trips, compared with other tools.

The other tools visit every tile iteration and are therefore limited to small trip counts: polylat's
explicit engine, and networkx and simpy on the task graph that polylat has built. Their latencies
must agree with that of `analyze`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import partial
from typing import Any

from benchmarks import longest_path, simulation
from benchmarks.answer import Answer, shown
from benchmarks.fused import attention, chain
from benchmarks.measure import forget, interleaved, seconds, table
from polylat.engine.model import Model, build
from polylat.errors import PolylatError
from polylat.lowering.lowered import lower
from polylat.lowering.transfers import TransferOptions
from polylat.report import analyze
from polylat.schedule.list_scheduling import ExplicitTaskGraph
from polylat.schedule.timing import Order
from polylat.spec import Spec

__all__ = ["MOST", "REFERENCE", "SMOKE_MOST", "SMOKE_TRIPS", "TRIPS", "Row", "show", "trip_counts"]

CASES: dict[str, Callable[[int], dict[str, Any]]] = {"chain": chain, "attention": attention}

TRIPS = tuple(10**k for k in range(2, 10))
SMOKE_TRIPS = (10, 100, 1000)
REFERENCE = 1000
"""Trip count whose times are the reference for the growth with the trip count."""

MOST = {"explicit": 1_500_000, "networkx": 150_000, "simpy": 1_500_000}
"""Largest number of tile iterations per tool; more would take too much time or memory."""
SMOKE_MOST = dict.fromkeys(MOST, 1_500)
LONG = 2.0
"""Runs that take longer than this, in seconds, are repeated less often."""
ORDERS: dict[str, Order] = {"networkx": "program", "simpy": "oldest"}
"""Order of service whose latency the tool computes."""


@dataclass
class Row:
    """Measurements of one cascade with one trip count.

    Parameters
    ----------
    case, trips, tiles
        Name of the cascade, its trip count and its number of tile iterations.
    answer
        Main results of `analyze`; None where it raises an error.
    error
        The error of a failed analysis; else empty.
    seconds
        Median times: ``"analyze"`` with empty caches, ``"warm"`` with those that the previous run
        filled, and the other tools that were run.
    ratios
        Times of the other tools, divided by that of `analyze`.
    growth
        Times of `analyze` and ``"warm"``, divided by those with `REFERENCE` trips.
    """

    case: str
    trips: int
    tiles: int
    answer: Answer | None = None
    error: str = ""
    seconds: dict[str, float] = field(default_factory=dict)
    ratios: dict[str, float] = field(default_factory=dict)
    growth: dict[str, float] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return vars(self) | {"answer": self.answer and self.answer.to_dict()}


def trip_counts(
    counts: Sequence[int] = TRIPS, most: Mapping[str, int] = MOST, repeats: int = 7
) -> list[Row]:
    """Measure every cascade with every trip count.

    Parameters
    ----------
    counts
        The trip counts.
    most
        Largest number of tile iterations per other tool.
    repeats
        Number of runs of `analyze`; at most 3 where it takes longer than `LONG`.

    Returns
    -------
    list of Row
        One row per cascade and trip count.
    """
    found = []
    for name in CASES:
        rows = [_measure(name, count, most, repeats) for count in counts]
        reference = next((row.seconds for row in rows if row.trips == REFERENCE), {})
        for row in rows:
            row.growth = {
                tool: row.seconds[tool] / reference[tool]
                for tool in ("analyze", "warm")
                if tool in row.seconds and tool in reference
            }
        found += rows
    return found


def _measure(name: str, trips: int, most: Mapping[str, int], repeats: int) -> Row:
    spec = Spec.from_dict(CASES[name](trips))
    row = Row(name, trips, lower(spec, "tile").size)
    runs: dict[str, Callable[[], object]] = {}
    rounds = repeats
    try:
        took, row.answer = seconds(partial(_analyze, spec, fresh=True))
    except PolylatError as error:
        row.error = f"{type(error).__name__}: {error}"
    else:
        rounds = min(repeats, 3) if took > LONG else repeats
        runs["analyze"] = partial(_analyze, spec, fresh=True)
        runs["warm"] = partial(_analyze, spec, fresh=False)
    runs |= _other_tools(spec, {tool for tool, limit in most.items() if row.tiles <= limit})
    other_rounds = 1 if row.tiles > 10_000 else min(repeats, 3)
    repeats_of = {tool: rounds if tool in ("analyze", "warm") else other_rounds for tool in runs}
    measured = interleaved(runs, repeats_of) if runs else {}
    row.seconds = {tool: m.median for tool, m in measured.items()}
    _check(row.answer, {tool: m.result for tool, m in measured.items()})
    if row.answer:
        row.ratios = {
            tool: took / row.seconds["analyze"]
            for tool, took in row.seconds.items()
            if tool not in ("analyze", "warm")
        }
    return row


def _other_tools(spec: Spec, chosen: set[str]) -> dict[str, Callable[[], object]]:
    if not chosen:
        return {}
    model = _model(spec)
    graph, scale = model.graph, model.costs.scale
    runs: dict[str, Callable[[], object]] = {}
    if "explicit" in chosen:
        runs["explicit"] = partial(_explicit_latencies, spec)
    if "networkx" in chosen:
        events = longest_path.events(graph)
        runs["networkx"] = lambda: Fraction(longest_path.by_networkx(events), scale)
    if "simpy" in chosen:
        runs["simpy"] = lambda: Fraction(simulation.by_simpy(graph), scale)
    return runs


def _analyze(spec: Spec, *, fresh: bool) -> Answer:
    if fresh:
        forget()
    return Answer.of(analyze(spec))


def _explicit_latencies(spec: Spec) -> dict[Order, Fraction]:
    """Return the latency by order with every tile iteration visited; build no report."""
    forget()
    model = _model(spec)
    assert isinstance(model.plan, ExplicitTaskGraph), "not the explicit engine"
    timings, _ = model.plan.time_all()
    return {
        order: Fraction(timing.makespan, model.costs.scale)
        for order, timing in timings.items()
        if timing.legal
    }


def _model(spec: Spec) -> Model:
    return build(lower(spec, "tile"), TransferOptions())


def _check(answer: Answer | None, results: Mapping[str, Any]) -> None:
    """Check that all tools agree: exactly, or within the bracket that `analyze` returns."""
    assert results.get("warm") == answer, f"{results.get('warm')} from caches, not {answer}"
    if "explicit" not in results:
        return
    explicit = results["explicit"]
    for tool, order in ORDERS.items():
        assert results.get(tool, explicit[order]) == explicit[order], f"{tool} differs: {results}"
    if answer is not None:
        latency = min(explicit.values())
        bound = answer.latency if answer.exact else answer.lower_bound
        assert bound <= latency <= answer.latency, f"latency {latency} contradicts {answer}"


def show(rows: Sequence[Row]) -> None:
    """Print the rows as a table, and the errors."""
    tools = tuple(MOST)
    head = ["cascade", "trips", "tile iterations", "engine", "latency", "", "analyze", "warm"]
    head += [f"vs. {REFERENCE:,}", *(cell for tool in tools for cell in (tool, ""))]
    lines = []
    for row in rows:
        line = [row.case, f"{row.trips:,}", f"{row.tiles:,}"]
        if row.answer is None:
            line += ["", "failed", ""]
        else:
            line += [row.answer.engine, shown(row.answer.latency), row.answer.precision]
        line += [_milliseconds(row.seconds, tool) for tool in ("analyze", "warm")]
        line.append(_ratio(row.growth, "analyze", 2))
        for tool in tools:
            line += [_milliseconds(row.seconds, tool), _ratio(row.ratios, tool, 1)]
        lines.append(line)
    print(table(head, lines))
    for row in rows:
        if row.error:
            print(f"{row.case}, {row.trips:,} trips: {row.error}")


def _milliseconds(took: Mapping[str, float], tool: str) -> str:
    return f"{took[tool] * 1000:,.1f} ms" if tool in took else ""


def _ratio(ratios: Mapping[str, float], tool: str, digits: int) -> str:
    return f"{ratios[tool]:,.{digits}f}×" if tool in ratios else ""
