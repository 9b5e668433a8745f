"""Certificates: proof that a schedule keeps every rule of the model, for all tile iterations."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from time import perf_counter
from typing import Any, Literal

from polylat.analysis.access import Step
from polylat.analysis.critical_path import PeriodicPath
from polylat.analysis.results import Results
from polylat.analysis.starts import Starts, build_starts
from polylat.engine.model import Model
from polylat.errors import PolylatError, UnsupportedError
from polylat.numbers import Number, format_number, reduce_number
from polylat.proof.checks import ScheduleChecks
from polylat.proof.witness import WitnessChecker
from polylat.proof.words import BrokenRule
from polylat.tables import Column, Table, Tabular

__all__ = ["Certificate", "CertificateError", "ProvenRules", "check_witness", "verify", "verify_results"]

MAX_STEPS = 20_000
"""Longest critical path that is checked step by step, in steps."""


class CertificateError(PolylatError):
    """A schedule breaks a rule of the model; the message names tile iterations and times."""


@dataclass(frozen=True)
class ProvenRules:
    """Rules of one kind, all of which a schedule keeps.

    Parameters
    ----------
    kind
        *tasks*, *order*, *flow*, *prefetch*, *barrier*, *capacity*, *ports*, *latency* or
        *witness*.
    relations
        Number of relations of the mapping that were proven.
    decisions
        Number of decisions that this took: pairs of affine pieces, or tile iterations.
    """

    kind: str
    relations: int
    decisions: int

    @property
    def meaning(self) -> str:
        """The proven statement, in plain words."""
        return _MEANING[self.kind]


_MEANING = {
    "tasks": "every access is served exactly once, for its full duration, and nothing else is",
    "order": "tile iterations of an Einsum start in order, and no access before it may start",
    "flow": "every value is produced or fetched before it is read",
    "prefetch": "fills that run ahead wait for their data and for a free buffer slot",
    "barrier": "the branches of a Sequential run one after another",
    "capacity": "a buffer slot is overwritten only after its last use",
    "ports": "no port serves two accesses at once",
    "latency": "the last finish is exactly at the latency",
    "witness": "a gapless chain of accesses, each waiting for the one before, attains the latency",
}


@dataclass(frozen=True)
class Certificate(Tabular):
    """The rules that have been proven about a schedule, and how.

    Parameters
    ----------
    latency
        The latency of the schedule, in the architecture's unit of time.
    engine
        The engine that computed the schedule: ``"explicit"`` or ``"periodic"``.
    method
        ``"pieces"``: pairs of affine pieces were decided, by bounds or by ISL. ``"points"``: the
        relations that ISL derived were evaluated at every tile iteration.
    tiles, tasks, pieces
        Number of tile iterations, of services by a port, and of the affine pieces that represent
        those services.
    proven
        What was proven, by kind of rule.
    decided_by_isl
        Number of decisions by ISL; bounds sufficed for the others.
    seconds
        Time that the proof took, in seconds.
    notes
        What was not checked, and why. Only the *witness*, which is not a rule, may be missing.
    """

    latency: Number
    engine: str
    method: Literal["pieces", "points"]
    tiles: int
    tasks: int
    pieces: int
    proven: tuple[ProvenRules, ...]
    decided_by_isl: int
    seconds: float
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the certificate as plain data for JSON.

        Returns
        -------
        dict
            Numbers and texts; a latency that is not an integer is a text such as ``"7/2"``.
        """
        return {
            "latency": self.latency if isinstance(self.latency, int) else str(self.latency),
            "engine": self.engine,
            "method": self.method,
            "tiles": self.tiles,
            "tasks": self.tasks,
            "pieces": self.pieces,
            "decided_by_isl": self.decided_by_isl,
            "proven": [
                {
                    "kind": p.kind,
                    "relations": p.relations,
                    "decisions": p.decisions,
                    "meaning": p.meaning,
                }
                for p in self.proven
            ],
            "not_checked": list(self.notes),
        }

    @property
    def how(self) -> str:
        """The method of the proof, in a few words."""
        if self.method != "pieces":
            return f"{self.tasks:,} port services, each checked individually"
        return (
            f"{self.pieces:,} affine pieces represent {self.tasks:,} port services;"
            f" {self.decided_by_isl:,} decisions by ISL, the others by bounds"
        )

    def headline(self) -> tuple[str, ...]:
        """Return what was proven, and how.

        Returns
        -------
        tuple of str
            Two sentences.
        """
        return (
            (
                f"Proven: the schedule of {self.tiles:,} tile iterations keeps every rule, and its"
                f" latency is {format_number(self.latency)}."
            ),
            f"Engine {self.engine} · {self.how} · {self.seconds:.2f} s",
        )

    def tables(self) -> tuple[Table, ...]:
        """Return what was proven, by kind of rule.

        Returns
        -------
        tuple of Table
            One table.
        """
        columns = (
            Column("kind", "Proven"),
            Column("relations", "Relations", "number"),
            Column("decisions", "Decisions", "number"),
            Column("meaning", "Meaning", "prose"),
        )
        rows = tuple((p.kind, p.relations, p.decisions, p.meaning) for p in self.proven)
        notes = tuple(f"Not checked: {note}." for note in self.notes)
        return (Table(columns, rows, "Proven rules", notes),)


def verify(
    model: Model,
    schedule: Starts,
    latency: int,
    *,
    pointwise: bool | None = None,
    witness: Callable[[ScheduleChecks], int] | None = None,
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
    checks = ScheduleChecks(model, schedule, pointwise=pointwise)
    proven: list[ProvenRules] = []
    done = 0

    def prove(kind: str, relations: int, decisions: int | None = None) -> None:
        nonlocal done
        if decisions is None:
            decisions = checks.decisions - done
        done = checks.decisions
        proven.append(ProvenRules(kind, relations, decisions))

    try:
        prove("tasks", checks.contents(), schedule.piece_count)
        prove("order", checks.order())
        relations: Counter[str] = Counter()
        decisions: Counter[str] = Counter()
        for kind in checks.check_rules():
            relations[kind] += 1
            decisions[kind] += checks.decisions - done
            done = checks.decisions
        for kind in ("flow", "prefetch", "barrier", "capacity"):
            prove(kind, relations[kind], decisions[kind])
        prove("ports", checks.ports())
        prove("latency", 1, checks.end(latency))
        if witness is not None:
            prove("witness", 1, witness(checks))
    except BrokenRule as error:
        raise CertificateError(str(error), where="schedule") from error
    return Certificate(
        reduce_number(Fraction(latency, schedule.scale)),
        model.engine,
        "points" if checks.pointwise else "pieces",
        model.lowered.size,
        schedule.service_count,
        schedule.piece_count,
        tuple(proven),
        checks.decider.decided_by_isl,
        perf_counter() - began,
    )


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
    checks = ScheduleChecks(results.solution.model, build_starts(results.solution))
    try:
        return WitnessChecker(checks).check(steps)
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

    def witness(checks: ScheduleChecks) -> int:
        if steps:
            return WitnessChecker(checks).check(steps, makespan)
        return sum(WitnessChecker(checks).check(window) for window in windows)

    certificate = verify(
        solution.model,
        build_starts(solution),
        makespan,
        witness=witness if steps or windows else None,
    )
    return replace(certificate, notes=(note,)) if note else certificate


def _windows(results: Results) -> list[tuple[Step, ...]]:
    """Return the parts of a long periodic path that are checked."""
    path = results.critical_path
    return path.windows() if isinstance(path, PeriodicPath) else []


def _short_path(results: Results) -> tuple[Sequence[Step] | None, str]:
    """Return the critical path, or None and the reason why it is not checked step by step."""
    if not results.latency:
        return None, ""
    try:
        path = results.critical_path
        if len(path) <= MAX_STEPS:
            return path, ""
    except OverflowError:  # len() of more items than Python can count
        pass
    except UnsupportedError:
        return None, "the critical path, whose steps are not determined"
    if results.engine == "periodic":
        return None, (
            "the middle of the repeating part of the critical path (its first and last two periods"
            " are)"
        )
    return None, f"the critical path, which has more than {MAX_STEPS:,} steps"
