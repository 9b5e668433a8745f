"""Where the periodic engine's report of a cascade differs from the explicit engine's.

The explicit engine visits every tile iteration. Everything is compared through the public report,
so that this module also works with other versions of the engine.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, TypeVar

import numpy as np

import polylat
from polylat import (
    CertificateError,
    MappingError,
    OptionError,
    Report,
    ScheduleError,
    Spec,
    TooLargeError,
    UnsupportedError,
)
from polylat.analysis.starts import build_starts
from polylat.engine.solution import Solution
from reports import explicit_up_to

Data = dict[str, Any]
T = TypeVar("T")

EVERY = 10**9
MOST_PIECES = 60
FIGURES = (
    "latency",
    "order",
    "tiles",
    "granularity",
    "resource_bound",
    "dependence_bound",
    "barrier_bound",
    "accesses",
    "ports",
    "lower_bound",
    "keeps_barriers",
)
"""What is compared as a whole where the periodic report is exact."""


@dataclass
class Comparison:
    """The outcome for one case.

    Parameters
    ----------
    illegal
        Why the mapping has no report.
    engine, exact, unsettled, coarse
        Of the run that had to extrapolate; whether it chose coarser tile iterations.
    forced
        Whether the engine would have visited all tile iterations, and was denied to.
    tiles
        Number of tile iterations.
    differences
        One line each, which starts with the kind, as in ``"latency: …"``.
    undetermined
        Kinds of results that the engine that extrapolates leaves out.
    """

    illegal: str = ""
    engine: str = ""
    exact: bool = False
    unsettled: tuple[str, ...] = ()
    forced: bool = False
    coarse: bool = False
    tiles: int = 0
    differences: list[str] = field(default_factory=list)
    undetermined: Counter[str] = field(default_factory=Counter)

    def add(self, kind: str, what: object, periodic: object, explicit: object) -> None:
        """Note a difference."""
        self.differences.append(f"{kind}: {what} {brief(periodic)}, explicit {brief(explicit)}")

    def same(self, kind: str, what: object, periodic: object, explicit: object) -> None:
        """Note a difference if there is one."""
        if periodic != explicit:
            self.add(kind, what, periodic, explicit)

    @property
    def kinds(self) -> set[str]:
        """The kinds of differences."""
        return {line.partition(":")[0] for line in self.differences}


def brief(value: object) -> str:
    """A value on one line."""
    text = str(value)
    return text if len(text) <= 160 else text[:157] + "..."


def located(error: BaseException) -> str:
    """An error and where it was raised."""
    at = error.__traceback__
    while at is not None and at.tb_next is not None:
        at = at.tb_next
    place = ""
    if at is not None:
        code = at.tb_frame.f_code
        place = f" in {code.co_filename.rpartition('/')[2]}, {code.co_name}"
    return f"{type(error).__name__}{place}: {brief(error)}"


def guarded(
    found: Comparison,
    name: str,
    check: Callable[[Comparison, Report, T], None],
    every: Report,
    some: T,
) -> None:
    """Run a check; what is not supported is not determined, any other error is a difference."""
    try:
        check(found, every, some)
    except UnsupportedError:
        found.undetermined[name] += 1
    except Exception as error:  # noqa: BLE001 - any error is a finding
        found.differences.append(f"error: {name}: {located(error)}")


def check_figures(found: Comparison, every: Report, some: Report) -> None:
    """Latencies, bounds and counts; of a bracket, that the latency lies in it."""
    # Blocks of coarser tile iterations may be served in an order that none of the three is. It may
    # be faster, and where it attains the resource bound or the barrier bound it is exact.
    most = every.latency if coarser(every, some) else some.latency
    attained = some.latency in (every.resource_bound, every.barrier_bound)
    if coarser(every, some) and some.exact and not attained:
        found.same("latency", "coarser", some.latency, every.latency)
    if not some.lower_bound <= every.latency <= most:
        bracket = f"{some.lower_bound} to {some.latency}"
        kind = "latency" if some.exact else "bracket"
        found.add(kind, f"{some.order}, exact {some.exact},", bracket, every.latency)
    if not some.exact or coarser(every, some):
        return
    for order, latency in every.latency_by_order.items():
        if order not in some.unsettled:
            mine = some.latency_by_order[order]
            found.same("latency_by_order", order, mine, latency)
    if "latency" not in found.kinds:
        for name in FIGURES:
            # An order that is not settled may have the same latency.
            if not some.unsettled or name not in ("order", "keeps_barriers"):
                found.same(name, "", getattr(some, name), getattr(every, name))
    found.same("sequential", "missing", some.sequential is None, every.sequential is None)
    if some.sequential is not None and every.sequential is not None:
        # The best schedule found, which need not be exact: no attribute says whether it is.
        shorter = some.sequential < every.sequential
        found.same("sequential", (some.sequential, every.sequential), shorter, False)


def coarser(every: Report, some: Report) -> bool:
    """Whether a report is of coarser tile iterations: its orders and bounds are of those.

    The engine chooses them where it may not visit enough of the finer ones; the latency is exact
    nevertheless where it equals a bound.
    """
    depths = [report.solution.model.lowered.depths for report in (every, some)]
    return bool(depths[0] != depths[1])


def check_schedule(found: Comparison, every: Report, some: Report) -> None:
    """Every block and service starts at the same time in every tile iteration."""
    found.same("schedule", "scale", some.time_scale, every.time_scale)
    served, expected = (all_starts(report.solution) for report in (some, every))
    found.same("schedule", "events", served.keys(), expected.keys())
    for key in served.keys() & expected.keys():
        if not np.array_equal(served[key], expected[key]):
            if served[key].shape == expected[key].shape:
                row = np.flatnonzero((served[key] != expected[key]).any(axis=1))[0]
                found.add("schedule", f"{key} in", served[key][row], expected[key][row])
            else:
                found.add("schedule", f"number of {key}", len(served[key]), len(expected[key]))
            return
    mine, other = some.schedule(), every.schedule()
    sizes: list[int] = []
    for relation in (mine, other):
        relation.foreach_map(lambda one: sizes.append(one.n_basic_map()))
    # ISL takes long for irregular schedules.
    if sum(sizes) <= MOST_PIECES and not mine.is_equal(other):
        more = mine.subtract(other)
        point = "nothing more" if more.is_empty() else more.sample()
        found.add("schedule", f"scale {some.time_scale}", point, "does not contain it")


def all_starts(solution: Solution) -> dict[tuple[int, int, int], np.ndarray[Any, Any]]:
    """Per leaf, block and port (-1: when it may start), the times in all tile iterations.

    The rows are sorted: the loop indices, the start, the duration.
    """
    found = {}
    for block in build_starts(solution).blocks:
        for port, pieces in ((-1, block.ready), *block.tasks.items()):
            digits, start, duration = pieces.expanded()
            rows = np.vstack((digits, start, duration)).T
            # A leaf without loops has one tile iteration.
            order = np.lexsort(digits[::-1]) if len(digits) else np.arange(len(start))
            found[block.leaf, block.block, port] = rows[order]
    return found


def check_bars(found: Comparison, every: Report, some: Report) -> None:
    """In a few windows, the services by ports have the same start, duration and slack."""
    if not every.latency:
        return
    chance = random.Random(every.tiles)
    for share in (0, chance.randrange(100), chance.randrange(100), 95):
        start = Fraction(every.latency) * share / 100
        window = (start, min(start + Fraction(every.latency, 20), Fraction(every.latency)))
        lines = [r.timeline(window=window, fold=False, limit=EVERY) for r in (some, every)]
        here, there = (sorted(line.bars, key=lambda bar: (bar.lane, bar.start)) for line in lines)
        served = [
            [(bar.lane, bar.einsum, bar.kind, bar.tile, bar.start, bar.duration) for bar in bars]
            for bars in (here, there)
        ]
        if served[0] != served[1]:
            first = next((p for p in zip(*served, strict=False) if p[0] != p[1]), ("more", "fewer"))
            found.add("bars", f"from {brief(start)},", *first)
            return
        wrong = []
        for mine, other in zip(here, there, strict=True):
            if mine.slack is None:
                found.undetermined["bar slack"] += 1
            elif mine.slack != other.slack:
                wrong.append((mine, other))
        if wrong:
            mine, other = wrong[0]
            what = f"{len(wrong)} bars, first {mine.einsum} {mine.kind} {mine.tile}"
            found.add("bar slack", what, mine.slack, other.slack)
            return


def check_critical(found: Comparison, every: Report, some: Report) -> None:
    """The critical path is the same, or as critical: of equal waits any may be named."""
    totals = dict(some.critical_totals)
    path, expected = list(some.critical_path), list(every.critical_path)
    # Without any service, nothing but fixed latencies takes time.
    length = every.latency if expected else 0
    found.same("critical", "sum of totals", sum(totals.values()), length)
    found.same("critical", "sum of waits", sum(some.critical_reasons.values()), length)
    if path == expected:
        found.same("critical", "totals", totals, dict(every.critical_totals))
        return
    found.undetermined["which of several critical paths"] += 1
    line = every.timeline(fold=False, limit=EVERY)
    served = {}
    for bar in line.bars:
        lane, start = line.lanes[bar.lane], Fraction(bar.start)
        for part in bar.parts:
            key = (bar.einsum, bar.tile, lane.component, lane.port, part.tensor, part.action)
            served[(*key, start, start + part.duration)] = bar
            start += part.duration
    at = Fraction(0)
    for step in path:
        if step.action == "latency" and step.start == at:
            at = Fraction(step.finish)
            continue
        key = (step.einsum, step.tile, step.component, step.port, step.tensor, step.action)
        there = served.get((*key, Fraction(step.start), Fraction(step.finish)))
        if there is None or there.slack != 0 or step.start != at:
            what = "not served" if there is None else f"slack {there.slack}, at {at}"
            found.add("critical", "step", step, what)
            return
        at = Fraction(step.finish)
    found.same("critical", "end", at, every.latency)


def check_intervals(found: Comparison, every: Report, some: Report) -> None:
    """Loops that both engines know to repeat have the same initiation intervals."""

    def intervals(report: Report) -> dict[Any, Any]:
        return {
            (one.variable, one.tile, one.einsums): Fraction(one.interval)
            for one in report.initiation_intervals
        }

    mine, other = intervals(some), intervals(every)
    for key in mine.keys() & other.keys():
        found.same("interval", key, mine[key], other[key])
    found.undetermined["interval"] += len(mine.keys() ^ other.keys())


def check_occupancy(found: Comparison, every: Report, some: Report) -> None:
    """Every memory holds the same at any time."""
    for mine, other in zip(some.occupancy, every.occupancy, strict=True):
        name = (other.component, other.units)
        found.same("occupancy", "memory", (mine.component, mine.units), name)
        try:
            found.same("occupancy", f"peak {name}", mine.peak, other.peak)
            found.same("occupancy", f"steps {name}", mine.steps, other.steps)
        except UnsupportedError:
            found.undetermined["occupancy"] += 1


def check_sensitivity(found: Comparison, every: Report, some: Report) -> None:
    """Every duration may be larger by the same factor; without it the latency is the same."""
    here, there = some.sensitivity(), every.sensitivity()
    for mine, other in ((here.components, there.components), (here.accesses, there.accesses)):
        rows = {(r.einsum, r.component, r.tensor, r.action): r for r in mine}
        for row in other:
            key = (row.einsum, row.component, row.tensor, row.action)
            slack, kind = rows[key].slack, "slack"
            if slack is not None and row.slack is not None:
                # A factor that is free, though not the largest one, is a fault of another kind.
                kind = "slack above" if slack > row.slack else "slack below"
            found.same(kind, key, slack, row.slack)
            if rows[key].latency_if_free is None or row.latency_if_free is None:
                found.undetermined["sensitivity"] += 1
            else:
                free = rows[key].latency_if_free
                found.same("sensitivity", f"latency if free {key}", free, row.latency_if_free)


def check_verify(found: Comparison, _: Report, some: Report) -> None:
    """The schedule can be proven."""
    try:
        some.verify()
    except CertificateError as error:
        found.differences.append(f"verify: {brief(error)}")


def with_options(data: Data, options: Data) -> Data:
    """The same input with options in it, besides the properties of its machine."""
    return {**data, "schedule": {**data.get("schedule", {}), **options}}


def check_explore(found: Comparison, every: Report, data: Data) -> None:
    """The exploration of the mapping without any choice has the same result."""
    explored = polylat.explore(
        Spec.from_dict(data),
        splits=False,
        background=False,
        objectives=["latency"],
        exhaustive=True,
    )
    (result,) = explored.results
    for name in ("latency", "order", "keeps_barriers", "exact"):
        found.same("explore", name, getattr(result, name), getattr(every, name))


CHECKS: dict[str, Callable[[Comparison, Report, Report], None]] = {
    "bars": check_bars,
    "schedule": check_schedule,
    "critical": check_critical,
    "occupancy": check_occupancy,
    "interval": check_intervals,
    "sensitivity": check_sensitivity,
    "verify": check_verify,
}
DEFAULT_CHECKS = frozenset(CHECKS) - {"verify"} | {"explore"}
"""The checks that are made unless others are named."""


def differences(data: Data | Spec, options: Data) -> list[str]:
    """Where the periodic engine's report differs from the explicit engine's."""
    return compare(data, options).differences


def compare(
    data: Data | Spec,
    options: Data,
    checks: Collection[str] = DEFAULT_CHECKS,
    *,
    twice: bool = True,
) -> Comparison:
    """Compare both engines on one case: the figures always, and what the named checks cover.

    If the engine does not extrapolate, it must do so in a second run (if `twice`), in which it may
    not visit all tile iterations: it then often leaves one order of service out, or chooses coarser
    ones.
    """
    found = Comparison()
    try:
        spec = data if isinstance(data, Spec) else Spec.from_dict(data)
        with explicit_up_to(EVERY):
            every = polylat.analyze(spec, **options)
    except (MappingError, ScheduleError, UnsupportedError, OptionError) as error:
        found.illegal = f"{type(error).__name__}: {error}"
        return found
    found.tiles = every.tiles
    if "explore" in checks and not isinstance(data, Spec):
        guarded(found, "explore", check_explore, every, with_options(data, options))
    some = attempt(found, spec, options)
    if some is not None and some.engine == "explicit":
        check_figures(found, every, some)
        if not twice:
            found.engine, found.exact = some.engine, some.exact
            return found
        found.forced = True
        limit = {"granularity": every.granularity, "max_tiles": max(every.tiles - 1, 1)}
        some = attempt(found, spec, {**options, **limit}, may_refuse=True)
    if some is None:
        return found
    found.engine, found.exact, found.unsettled = some.engine, some.exact, some.unsettled
    found.coarse = coarser(every, some)
    check_figures(found, every, some)
    if some.exact and not found.coarse and same_schedule(every, some):
        for name, check in CHECKS.items():
            if name in checks:
                guarded(found, name, check, every, some)
    return found


def same_schedule(every: Report, some: Report) -> bool:
    """Whether the reports are of the same order of service, and one of them extrapolates.

    The schedule that keeps the barriers may be as fast as one that does not.
    """
    same = (some.order, some.keeps_barriers, some.latency)
    return some.engine == "periodic" and same == (every.order, every.keeps_barriers, every.latency)


def attempt(
    found: Comparison, spec: Spec, options: Data, *, may_refuse: bool = False
) -> Report | None:
    """The report of the engine that extrapolates wherever it can; an error is a difference."""
    try:
        with explicit_up_to(0):
            return polylat.analyze(spec, **options)
    except TooLargeError as error:
        if not may_refuse:
            found.differences.append(f"refused: {error}")
    except Exception as error:  # noqa: BLE001 - any error is a finding
        found.differences.append(f"error: {located(error)}")
    return None
