"""`analyze` on fused cascades of a hundred to a thousand million trips, beside other ways.

The others look at every tile iteration, so that they run only while these are few: polylat's own
explicit engine, and networkx and simpy on the task graph that it has built. What `analyze` says
has to agree with what they find.
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
from polylat.report import analyze
from polylat.schedule.list_scheduling import ExplicitTaskGraph
from polylat.schedule.timing import Order
from polylat.spec import Spec

__all__ = ["MOST", "REFERENCE", "SMOKE_MOST", "SMOKE_TRIPS", "TRIPS", "Row", "show", "trip_counts"]

CASES: dict[str, Callable[[int], dict[str, Any]]] = {"chain": chain, "attention": attention}

TRIPS = tuple(10**k for k in range(2, 10))
SMOKE_TRIPS = (10, 100, 1000)
REFERENCE = 1000
"""The number of trips with whose times others are compared."""

MOST = {"explicit": 1_500_000, "networkx": 150_000, "simpy": 1_500_000}
"""Beyond so many tile iterations these take too long, or too much memory."""
SMOKE_MOST = dict.fromkeys(MOST, 1_500)
LONG = 2.0
"""Seconds from which on a run is repeated less often."""
ORDERS: dict[str, Order] = {"networkx": "program", "simpy": "oldest"}
"""The order of the ports of which the others find the latency."""


@dataclass
class Row:
    """A cascade with a number of trips.

    Parameters
    ----------
    case, trips, tiles
        Its name, and its numbers of trips and of tile iterations.
    answer
        What `analyze` says, None where it raises an error.
    error
        That error.
    seconds
        Median times: of ``"analyze"`` with empty caches, ``"warm"`` with what the run before left
        in them, and of the other ways that were run.
    ratios
        Times of the other ways, divided by that of `analyze`.
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
        """As plain data for JSON."""
        return vars(self) | {"answer": self.answer and self.answer.to_dict()}


def trip_counts(
    counts: Sequence[int] = TRIPS, most: Mapping[str, int] = MOST, repeats: int = 7
) -> list[Row]:
    """Measure every cascade with every number of trips.

    Parameters
    ----------
    counts
        The numbers of trips.
    most
        Per other way, the largest number of tile iterations that it is run on.
    repeats
        How often `analyze` is run: at most 3 times where it takes long.
    """
    found = []
    for name in CASES:
        rows = [_measured(name, count, most, repeats) for count in counts]
        reference = next((row.seconds for row in rows if row.trips == REFERENCE), {})
        for row in rows:
            row.growth = {
                how: row.seconds[how] / reference[how]
                for how in ("analyze", "warm")
                if how in row.seconds and how in reference
            }
        found += rows
    return found


def _measured(name: str, trips: int, most: Mapping[str, int], repeats: int) -> Row:
    spec = Spec.from_dict(CASES[name](trips))
    row = Row(name, trips, lower(spec, "tile").size)
    runs: dict[str, Callable[[], object]] = {}
    often = repeats
    try:
        took, row.answer = seconds(partial(_analyzed, spec, fresh=True))
    except PolylatError as error:
        row.error = f"{type(error).__name__}: {error}"
    else:
        often = min(repeats, 3) if took > LONG else repeats
        runs["analyze"] = partial(_analyzed, spec, fresh=True)
        runs["warm"] = partial(_analyzed, spec, fresh=False)
    runs |= _others(spec, {how for how, limit in most.items() if row.tiles <= limit})
    few = 1 if row.tiles > 10_000 else min(repeats, 3)
    repeats_of = {how: often if how in ("analyze", "warm") else few for how in runs}
    measured = interleaved(runs, repeats_of) if runs else {}
    row.seconds = {how: m.median for how, m in measured.items()}
    _check(row.answer, {how: m.result for how, m in measured.items()})
    if row.answer:
        row.ratios = {
            how: took / row.seconds["analyze"]
            for how, took in row.seconds.items()
            if how not in ("analyze", "warm")
        }
    return row


def _others(spec: Spec, chosen: set[str]) -> dict[str, Callable[[], object]]:
    if not chosen:
        return {}
    model = _model(spec)
    graph, scale = model.graph, model.costs.scale
    runs: dict[str, Callable[[], object]] = {}
    if "explicit" in chosen:
        runs["explicit"] = partial(_explicit, spec)
    if "networkx" in chosen:
        events = longest_path.events(graph)
        runs["networkx"] = lambda: Fraction(longest_path.by_networkx(events), scale)
    if "simpy" in chosen:
        runs["simpy"] = lambda: Fraction(simulation.by_simpy(graph), scale)
    return runs


def _analyzed(spec: Spec, *, fresh: bool) -> Answer:
    if fresh:
        forget()
    return Answer.of(analyze(spec))


def _explicit(spec: Spec) -> dict[Order, Fraction]:
    """The latency by order when every tile iteration is looked at, without any report."""
    forget()
    model = _model(spec)
    assert isinstance(model.plan, ExplicitTaskGraph), "not the explicit engine"
    timings = model.plan.time_all()
    return {
        order: Fraction(timing.makespan, model.costs.scale)
        for order, timing in timings.items()
        if timing.legal
    }


def _model(spec: Spec) -> Model:
    return build(lower(spec, "tile"), frozenset(), 2)


def _check(answer: Answer | None, results: Mapping[str, Any]) -> None:
    """All sides agree: exactly, or within the bracket that `analyze` gives."""
    assert results.get("warm") == answer, f"{results.get('warm')} from caches, not {answer}"
    if "explicit" not in results:
        return
    explicit = results["explicit"]
    for how, order in ORDERS.items():
        assert results.get(how, explicit[order]) == explicit[order], f"{how} differs: {results}"
    if answer is not None:
        latency = min(explicit.values())
        low = answer.latency if answer.exact else answer.lower_bound
        assert low <= latency <= answer.latency, f"{latency} is not what {answer} says"


def show(rows: Sequence[Row]) -> None:
    """Print the rows."""
    others = tuple(MOST)
    head = ["cascade", "trips", "tile iterations", "engine", "latency", "", "analyze", "warm"]
    head += [f"to {REFERENCE:,}", *(cell for how in others for cell in (how, ""))]
    lines = []
    for row in rows:
        line = [row.case, f"{row.trips:,}", f"{row.tiles:,}"]
        if row.answer is None:
            line += ["", "none", ""]
        else:
            line += [row.answer.engine, shown(row.answer.latency), row.answer.precision]
        line += [_milliseconds(row.seconds, how) for how in ("analyze", "warm")]
        line.append(_times(row.growth, "analyze", 2))
        for how in others:
            line += [_milliseconds(row.seconds, how), _times(row.ratios, how, 1)]
        lines.append(line)
    print(table(head, lines))
    for row in rows:
        if row.error:
            print(f"{row.case}, {row.trips:,} trips: {row.error}")


def _milliseconds(took: Mapping[str, float], how: str) -> str:
    return f"{took[how] * 1000:,.1f} ms" if how in took else ""


def _times(ratios: Mapping[str, float], how: str, digits: int) -> str:
    return f"{ratios[how]:,.{digits}f}×" if how in ratios else ""
