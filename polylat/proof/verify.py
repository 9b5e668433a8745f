"""Prove that a schedule keeps every rule of the model, for all tile iterations."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from time import perf_counter
from typing import TYPE_CHECKING, Literal

from polylat.analysis.access import Step
from polylat.analysis.critical_path import PeriodicPath
from polylat.analysis.starts import Starts, build_starts
from polylat.engine.model import Model
from polylat.errors import UnsupportedError
from polylat.numbers import reduce_number
from polylat.proof.broken_rule import BrokenRule
from polylat.proof.causality import causality_rules
from polylat.proof.certificate import Certificate, CertificateError, ProvenRules
from polylat.proof.checked_schedule import CheckedSchedule
from polylat.proof.claims import check_claims
from polylat.proof.contents import check_contents
from polylat.proof.dependence_bound import MAX_CHAIN, dependence_chain
from polylat.proof.durations import Expectation
from polylat.proof.earliest import MAX_VISITED, check_earliest, check_without_ports
from polylat.proof.iteration_order import check_order
from polylat.proof.port_checks import check_latency, check_ports
from polylat.proof.precedence_checks import check_rules
from polylat.proof.problem import Problem
from polylat.proof.service_order import MAX_SERVICES, check_service_order
from polylat.proof.shifts import stage_shifts
from polylat.proof.units import PortName
from polylat.proof.witness import WitnessChecker

if TYPE_CHECKING:
    from polylat.analysis.results import Results

__all__ = ["Progress", "check_witness", "verify", "verify_results"]

Progress = Callable[[str, int, int], None]
"""Called with what is being checked, the number of its checked parts, and that of all parts."""

_WINDOW_STEPS = 5_000
"""Number of steps of a long critical path that are located at once."""

MAX_STEPS = 20_000
"""Longest critical path that is checked step by step, in steps."""


def _ignore_progress(what: str, done: int, total: int) -> None:
    """Show no progress."""


class _Proof:
    """What has been proven about a schedule so far."""

    def __init__(self, checked: CheckedSchedule, progress: Progress | None = None) -> None:
        self.checked = checked
        self.tell = progress or _ignore_progress
        self.proven: list[ProvenRules] = []
        self.notes: list[str] = []
        self._decided = 0

    def add(self, kind: str, relations: int, decisions: int | None = None) -> None:
        """Add rules of one kind, with the decisions since the last ones."""
        if decisions is None:
            decisions = self.checked.decisions - self._decided
        self._decided = self.checked.decisions
        self.proven.append(ProvenRules(kind, relations, decisions))

    def add_rules(self) -> None:
        """Check that the schedule keeps all rules."""
        checked = self.checked
        self.tell("accesses", 0, 1)
        self.add("tasks", check_contents(checked), checked.schedule.piece_count)
        self.add("order", check_order(checked))
        relations: Counter[str] = Counter()
        decisions: Counter[str] = Counter()
        self.tell("relations of the mapping", 0, 1)
        rules = (*checked.rules, *causality_rules(checked.sets))
        self.tell("rules", 0, len(rules))
        for kind in check_rules(checked, rules):
            relations[kind] += 1
            self.tell("rules", relations.total(), len(rules))
            decisions[kind] += checked.decisions - self._decided
            self._decided = checked.decisions
        for kind in ("flow", "transfer", "barrier", "capacity", "causality"):
            self.add(kind, relations[kind], decisions[kind])
        self.tell("ports", 0, 1)
        self.add("ports", check_ports(checked))
        self.tell("earliest starts", 0, 1)
        starts = check_earliest(checked)
        if starts is None:
            self.notes.append(
                f"that everything starts as early as possible, as there are more than"
                f" {MAX_VISITED:,} starts"
            )
        else:
            self.add("earliest", starts, starts)

    def certificate(self, latency: int, engine: Literal["explicit", "periodic"]) -> Certificate:
        """Return the certificate, without the time that the proof took."""
        checked = self.checked
        return Certificate(
            latency=reduce_number(Fraction(latency, checked.schedule.scale)),
            engine=engine,
            method="points" if checked.pointwise else "pieces",
            tiles=sum(tiles.total for tiles in checked.expected.tiles),
            tasks=checked.schedule.service_count,
            pieces=checked.schedule.piece_count,
            proven=tuple(self.proven),
            checks=checked.decider.checks,
            checks_by_isl=checked.decider.checks_by_isl,
            decided_by_isl=checked.decider.decided_by_isl,
            seconds=0.0,
            notes=tuple(self.notes),
        )


def verify(
    model: Model, schedule: Starts, latency: int, *, pointwise: bool | None = None
) -> Certificate:
    """Prove that a schedule keeps every rule of the model.

    Parameters
    ----------
    model
        The mapping with its options.
    schedule
        The schedule, as affine pieces.
    latency
        The claimed latency, in steps of 1/scale.
    pointwise
        Whether to decide every tile iteration instead of pairs of affine pieces; None: only if
        there are too many pieces.

    Returns
    -------
    Certificate
        What was proven.

    Raises
    ------
    CertificateError
        A rule is broken.

    Notes
    -----
    A rule demands that one affine function is at most another on a set of integer points. It is
    proven by interval bounds where they suffice; otherwise ISL decides whether the set of
    violations is empty (integer set emptiness, Verdoolaege 2010).
    """
    began = perf_counter()
    try:
        proof = _Proof(checked_schedule(model, schedule, pointwise=pointwise))
        proof.add_rules()
        proof.add("latency", 1, check_latency(proof.checked, latency))
    except BrokenRule as error:
        raise CertificateError(str(error), where="schedule") from error
    return replace(proof.certificate(latency, model.engine), seconds=perf_counter() - began)


def checked_schedule(
    model: Model, schedule: Starts, *, pointwise: bool | None = None
) -> CheckedSchedule:
    """Prepare the checks of a schedule.

    Parameters
    ----------
    model
        The mapping with its options.
    schedule, pointwise
        As for `verify`.

    Returns
    -------
    CheckedSchedule
        The schedule, with its expected blocks and accesses.
    """
    expected = Expectation(Problem.of(model), schedule.scale)
    return CheckedSchedule(expected, _ports(model), schedule, pointwise=pointwise)


def _ports(model: Model) -> list[PortName]:
    return [(key.component, key.index, key.users) for key in model.costs.ports]


def check_witness(results: Results, steps: Sequence[Step]) -> int:
    """Prove that each of consecutive steps waited for the previous one, for the stated reason.

    Parameters
    ----------
    results
        The results whose schedule the steps belong to.
    steps
        Consecutive steps of a critical path.

    Returns
    -------
    int
        The number of steps.

    Raises
    ------
    CertificateError
        A step is not where the schedule has it, or did not wait as stated.
    """
    checked = checked_schedule(results.solution.model, build_starts(results.solution))
    try:
        return WitnessChecker(checked).check(steps)
    except BrokenRule as error:
        raise CertificateError(str(error), where="critical path") from error


def verify_results(results: Results, progress: Progress | None = None) -> Certificate:
    """Prove that the schedule of a report keeps every rule, and that the report describes it.

    A critical path of up to `MAX_STEPS` steps is checked step by step. Of a longer periodic one,
    the first and last two periods are checked.

    Parameters
    ----------
    results
        The results to verify.
    progress
        Called as the proof proceeds; None: not.

    Returns
    -------
    Certificate
        What was proven.

    Raises
    ------
    CertificateError
        A rule is broken, a step of the critical path did not wait as stated, or a figure or an
        option of the report is not that of its schedule.
    """
    began = perf_counter()
    solution = results.solution
    makespan = solution.schedule.makespan
    try:
        checked = checked_schedule(solution.model, build_starts(solution))
        proof = _Proof(checked, progress)
        proof.tell("figures of the report", 0, 1)
        requested = checked.expected
        problem = Problem.of(results.schedules.model)
        if not problem.is_like(requested.problem) or _scale(results) != checked.schedule.scale:
            requested = Expectation(problem, _scale(results))
        figures = check_claims(results, checked.expected, requested)
        proof.add_rules()
        proof.add("latency", 1, check_latency(checked, makespan))
        _add_witness(proof, results, makespan)
        _add_service_order(proof, results)
        if results.dependence_bound:
            _add_dependence(proof, results, requested)
        proof.add("turns", 1, 1)  # `check_claims` has derived the barrier bound of the report.
        proof.add("report", figures, figures)
    except BrokenRule as error:
        raise CertificateError(str(error), where="schedule") from error
    proof.notes += _not_covered(results)
    certificate = proof.certificate(makespan, solution.model.engine)
    return replace(certificate, seconds=perf_counter() - began)


def _add_witness(proof: _Proof, results: Results, makespan: int) -> None:
    """Check the critical path of the report."""
    proof.tell("critical path", 0, 1)
    steps, note = _short_path(results)
    windows = [] if steps else _windows(results)
    checker = WitnessChecker(proof.checked)
    if steps:
        proof.add("witness", 1, checker.check(steps, makespan))
    elif windows:
        count = 0
        for some in _chunks(windows):
            proof.tell("critical path", count, sum(map(len, windows)))
            count += checker.check_windows(some)
        proof.add("witness", 1, count)
    if note:
        proof.notes.append(note)


def _add_service_order(proof: _Proof, results: Results) -> None:
    """Check that the ports serve in the order that the report names."""
    proof.tell("order of service", 0, 1)
    few = proof.checked.schedule.service_count <= MAX_SERVICES
    skewed = few and results.order != "program"
    shifts = stage_shifts(proof.checked.sets) if skewed else {}
    found = check_service_order(proof.checked, results.order, shifts)
    if found is None:
        proof.notes.append(f"that the order of service is the one called {results.order!r}")
        return
    proof.add("service", len(proof.checked.ports), found)


def _add_dependence(proof: _Proof, results: Results, requested: Expectation) -> None:
    """Prove the dependence bound, from the schedule in which no block waits for a port."""
    proof.tell("dependence bound", 0, 1)
    unlimited = results.schedules.unlimited
    checked = CheckedSchedule(
        requested,
        _ports(unlimited.model),
        build_starts(unlimited),
        like=proof.checked if requested is proof.checked.expected else None,
    )
    check_contents(checked)
    check_latency(checked, unlimited.schedule.makespan)
    found = check_without_ports(checked)
    if found is None:
        found = dependence_chain(checked, unlimited.schedule.makespan)
    if found is None:
        proof.notes.append(
            f"the dependence bound, which is attained by more than {MAX_CHAIN:,} accesses"
        )
    else:
        proof.add("dependence", 1, found)


def _scale(results: Results) -> int:
    return results.schedules.model.costs.scale


def _not_covered(results: Results) -> list[str]:
    """Return which figures of the report are not proven, and why."""
    found = ["the latency by AccelForge's rules (roofline)"]
    found.append(
        "the latency and the buffers of staged tiles (staged), which belong to other options"
    )
    if results.sequential is not None:
        found.append("the sequential latency, which belongs to another mapping")
    others = [
        order
        for order, latency in results.latency_by_order.items()
        if latency is not None and order != results.order
    ]
    if others:
        found.append(
            f"the schedules of the orders {' and '.join(others)}, whose latencies are the engine's"
        )
    analyses = ["occupancy", "initiation intervals", "slack"]
    if results.schedules.model.lowered.has_recurrences:
        analyses.append("what each recurrence takes per step")
    found.append(f"what the engine derives from the schedule: {', '.join(analyses)}")
    return found


def _windows(results: Results) -> list[tuple[Step, ...]]:
    """Return the parts of a long periodic path that are checked."""
    try:
        path = results.critical_path
    except UnsupportedError:
        return []
    return path.windows() if isinstance(path, PeriodicPath) else []


def _chunks(windows: Sequence[tuple[Step, ...]]) -> Iterator[list[tuple[Step, ...]]]:
    """Divide parts of a path into lists of at least `_WINDOW_STEPS` steps each, but the last."""
    some: list[tuple[Step, ...]] = []
    size = 0
    for window in windows:
        some.append(window)
        size += len(window)
        if size >= _WINDOW_STEPS:
            yield some
            some, size = [], 0
    if some:
        yield some


def _short_path(results: Results) -> tuple[Sequence[Step] | None, str]:
    """Return the critical path, or None and the reason why it is not checked step by step."""
    if not results.latency:
        return None, ""
    try:
        path = results.critical_path
    except UnsupportedError:
        return None, "the critical path, whose steps are not determined"
    if path.length <= MAX_STEPS:
        return path, ""
    if isinstance(path, PeriodicPath):
        return None, (
            "the middle of the repeating part of the critical path (its first and last two periods"
            " are)"
        )
    return None, f"the critical path, which has more than {MAX_STEPS:,} steps"
