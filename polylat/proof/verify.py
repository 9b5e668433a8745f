"""Prove that a schedule keeps every rule of the model, for all tile iterations."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from fractions import Fraction
from time import perf_counter

from polylat.analysis.access import Step
from polylat.analysis.critical_path import PeriodicPath
from polylat.analysis.results import Results
from polylat.analysis.starts import Starts, build_starts
from polylat.engine.model import Model
from polylat.errors import UnsupportedError
from polylat.numbers import reduce_number
from polylat.proof.broken_rule import BrokenRule
from polylat.proof.certificate import Certificate, CertificateError, ProvenRules
from polylat.proof.checked_schedule import CheckedSchedule
from polylat.proof.contents import check_contents
from polylat.proof.durations import Expectation
from polylat.proof.iteration_order import check_order
from polylat.proof.port_checks import check_latency, check_ports
from polylat.proof.precedence_checks import check_rules
from polylat.proof.problem import Problem
from polylat.proof.witness import WitnessChecker

__all__ = ["check_witness", "verify", "verify_results"]

MAX_STEPS = 20_000
"""Longest critical path that is checked step by step, in steps."""


def verify(
    model: Model,
    schedule: Starts,
    latency: int,
    *,
    pointwise: bool | None = None,
    witness: Callable[[CheckedSchedule], int] | None = None,
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
        Whether to decide every tile iteration instead of pairs of affine pieces; None: only where
        the pieces of an explicit schedule are too many.
    witness
        A function that checks a chain of accesses that attains the latency, and returns the
        number of its steps; None: no chain is checked.

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
    checked = checked_schedule(model, schedule, pointwise=pointwise)
    proven: list[ProvenRules] = []
    done = 0

    def prove(kind: str, relations: int, decisions: int | None = None) -> None:
        nonlocal done
        if decisions is None:
            decisions = checked.decisions - done
        done = checked.decisions
        proven.append(ProvenRules(kind, relations, decisions))

    try:
        prove("tasks", check_contents(checked), schedule.piece_count)
        prove("order", check_order(checked))
        relations: Counter[str] = Counter()
        decisions: Counter[str] = Counter()
        for kind in check_rules(checked):
            relations[kind] += 1
            decisions[kind] += checked.decisions - done
            done = checked.decisions
        for kind in ("flow", "prefetch", "barrier", "capacity"):
            prove(kind, relations[kind], decisions[kind])
        prove("ports", check_ports(checked))
        prove("latency", 1, check_latency(checked, latency))
        if witness is not None:
            prove("witness", 1, witness(checked))
    except BrokenRule as error:
        raise CertificateError(str(error), where="schedule") from error
    return Certificate(
        reduce_number(Fraction(latency, schedule.scale)),
        model.engine,
        "points" if checked.pointwise else "pieces",
        model.lowered.size,
        schedule.service_count,
        schedule.piece_count,
        tuple(proven),
        checked.decider.decided_by_isl,
        perf_counter() - began,
    )


def checked_schedule(
    model: Model, schedule: Starts, *, pointwise: bool | None = None
) -> CheckedSchedule:
    """Prepare a schedule for being checked.

    Parameters
    ----------
    model
        The mapping with its options.
    schedule, pointwise
        As for `verify`.

    Returns
    -------
    CheckedSchedule
        The schedule, with what is expected of it.
    """
    expected = Expectation(Problem.of(model), schedule.scale)
    ports = [(key.component, key.index, key.stages) for key in model.costs.ports]
    return CheckedSchedule(expected, ports, schedule, pointwise=pointwise)


def check_witness(results: Results, steps: Sequence[Step]) -> int:
    """Prove of consecutive steps that each waited for the previous one, for the stated reason.

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
        A step did not wait as stated, or is not where the schedule has it.
    """
    checked = checked_schedule(results.solution.model, build_starts(results.solution))
    try:
        return WitnessChecker(checked).check(steps)
    except BrokenRule as error:
        raise CertificateError(str(error), where="critical path") from error


def verify_results(results: Results) -> Certificate:
    """Prove that a schedule keeps every rule, and that its latency is the claimed one.

    A critical path of up to `MAX_STEPS` steps is checked step by step; of a longer one that
    repeats, the first and last two periods are.

    Parameters
    ----------
    results
        The results to verify.

    Returns
    -------
    Certificate
        What was proven.

    Raises
    ------
    CertificateError
        A rule is broken, or a step of the critical path did not wait as stated.
    """
    solution = results.solution
    makespan = solution.schedule.makespan
    steps, note = _short_path(results)
    windows = [] if steps else _windows(results)

    def witness(checked: CheckedSchedule) -> int:
        if steps:
            return WitnessChecker(checked).check(steps, makespan)
        return sum(WitnessChecker(checked).check(window) for window in windows)

    certificate = verify(
        solution.model,
        build_starts(solution),
        makespan,
        witness=witness if steps or windows else None,
    )
    return replace(certificate, notes=(note,)) if note else certificate


def _windows(results: Results) -> list[tuple[Step, ...]]:
    """Return the parts of a long periodic path that are checked."""
    try:
        path = results.critical_path
    except UnsupportedError:
        return []
    return path.windows() if isinstance(path, PeriodicPath) else []


def _short_path(results: Results) -> tuple[Sequence[Step] | None, str]:
    """Return the critical path, or None and the reason why it is not checked step by step."""
    if not results.latency:
        return None, ""
    try:
        path = results.critical_path
    except UnsupportedError:
        return None, "the critical path, whose steps are not determined"
    with suppress(OverflowError):  # len() of more items than Python can count
        if len(path) <= MAX_STEPS:
            return path, ""
    if isinstance(path, PeriodicPath):
        return None, (
            "the middle of the repeating part of the critical path (its first and last two periods"
            " are)"
        )
    return None, f"the critical path, which has more than {MAX_STEPS:,} steps"
