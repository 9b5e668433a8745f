"""Certificates: proof that a schedule keeps every rule of the model, for all tile iterations."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from time import perf_counter
from typing import TYPE_CHECKING, Any, Literal

from polylat.errors import PolylatError, UnsupportedError
from polylat.exact import Number

if TYPE_CHECKING:
    from polylat.model import Model
    from polylat.proof.checks import Checks
    from polylat.proof.schedule import Schedule
    from polylat.report import Report, Step

__all__ = ["Certificate", "CertificateError", "Proven", "check_witness", "verify", "verify_report"]

MOST_STEPS = 20_000
"""Critical paths of more steps are not checked step by step."""


class CertificateError(PolylatError):
    """A schedule breaks a rule of the model; names tile iterations and times."""


@dataclass(frozen=True)
class Proven:
    """Rules of one kind that a schedule keeps.

    Parameters
    ----------
    kind
        *tasks*, *order*, *flow*, *prefetch*, *barrier*, *capacity*, *ports*, *latency* or
        *witness*.
    relations
        How many relations of the mapping were proven.
    decisions
        Into how many decisions that fell: about pairs of affine pieces, or tile iterations.
    """

    kind: str
    relations: int
    decisions: int

    @property
    def meaning(self) -> str:
        """What it says, in plain words."""
        return _MEANING[self.kind]


_MEANING = {
    "tasks": "every access is served once, for as long as it takes, and nothing else is",
    "order": "tile iterations of an Einsum start in order, after their own fills may",
    "flow": "what is read has been produced or fetched before",
    "prefetch": "fills that run ahead wait for their data and for room",
    "barrier": "branches of a Sequential run one after another",
    "capacity": "a tile is overwritten only when nobody needs it any more",
    "ports": "no port serves two things at once",
    "latency": "everything is over by the latency, and something not before it",
    "witness": "a chain of accesses without gap, each waiting for the one before, is as long",
}


@dataclass(frozen=True)
class Certificate:
    """What has been proven about a schedule.

    Parameters
    ----------
    latency
        The latency of the schedule, in the architecture's unit of time.
    engine
        What computed the schedule.
    method
        ``"pieces"``: pairs of affine pieces were decided, by bounds or by ISL. ``"points"``: the
        relations that ISL gave were evaluated at every tile iteration.
    tiles, tasks, pieces
        Number of tile iterations, of services by a port, and of the affine pieces that they are.
    proven
        What was proven, by kind.
    asked
        How many of the decisions needed ISL; bounds were enough for the others.
    seconds
        How long it took.
    notes
        What was not checked, and why: only the *witness*, which is no rule, may be left out.
    """

    latency: Number
    engine: str
    method: Literal["pieces", "points"]
    tiles: int
    tasks: int
    pieces: int
    proven: tuple[Proven, ...]
    asked: int
    seconds: float
    notes: tuple[str, ...] = ()

    def _repr_html_(self) -> str:
        from polylat.draw.html import certificate_html

        return certificate_html(self)

    def to_dict(self) -> dict[str, Any]:
        """The certificate as plain data for JSON."""
        return {
            "latency": self.latency if isinstance(self.latency, int) else str(self.latency),
            "engine": self.engine,
            "method": self.method,
            "tiles": self.tiles,
            "tasks": self.tasks,
            "pieces": self.pieces,
            "decided_by_isl": self.asked,
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
        """How it was proven, in a few words."""
        if self.method != "pieces":
            return f"{self.tasks:,} services by ports, each looked at"
        return (
            f"{self.pieces:,} affine pieces stand for {self.tasks:,} services by ports;"
            f" {self.asked:,} decisions by ISL, the others by bounds"
        )

    def __str__(self) -> str:
        relations = max(len(f"{p.relations:,}") for p in self.proven)
        decisions = max(len(f"{p.decisions:,}") for p in self.proven)
        first = (
            f"Proven: the schedule of {self.tiles:,} tile iterations keeps every rule, and its"
            f" latency is {_said(self.latency)}."
        )
        lines = [first, f"  engine {self.engine} · {self.how} · {self.seconds:.2f} s"]
        for p in self.proven:
            counts = f"{p.relations:>{relations},} relations, {p.decisions:>{decisions},} decisions"
            lines.append(f"  {p.kind:<9} {counts}: {p.meaning}")
        return "\n".join([*lines, *(f"  Not checked: {note}." for note in self.notes)])


def _said(value: Number) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)


def verify(
    model: Model,
    schedule: Schedule,
    latency: int,
    *,
    pointwise: bool | None = None,
    witness: Callable[[Checks], int] | None = None,
) -> Certificate:
    """Prove that a schedule keeps every rule of the model.

    Parameters
    ----------
    model
        The mapping with its options.
    schedule
        The schedule, as a value.
    latency
        The latency that is claimed, in the schedule's steps of time.
    pointwise
        Whether to look at every tile iteration; None: where the affine pieces are too many.
    witness
        What checks a chain of accesses that is as long, and says how many it has.

    Raises
    ------
    CertificateError
        A rule is broken.
    """
    from fractions import Fraction

    from polylat.exact import number
    from polylat.proof.checks import Checks
    from polylat.proof.words import Broken

    began = perf_counter()
    checks = Checks(model, schedule, pointwise=pointwise)
    proven: list[Proven] = []
    done = 0

    def prove(kind: str, relations: int, decisions: int | None = None) -> None:
        nonlocal done
        if decisions is None:
            decisions = checks.decisions - done
        done = checks.decisions
        proven.append(Proven(kind, relations, decisions))

    try:
        prove("tasks", checks.contents(), schedule.pieces)
        prove("order", checks.order())
        relations: Counter[str] = Counter()
        decisions: Counter[str] = Counter()
        for kind in checks.waits():
            relations[kind] += 1
            decisions[kind] += checks.decisions - done
            done = checks.decisions
        for kind in ("flow", "prefetch", "barrier", "capacity"):
            prove(kind, relations[kind], decisions[kind])
        prove("ports", checks.ports())
        prove("latency", 1, checks.end(latency))
        if witness is not None:
            prove("witness", 1, witness(checks))
    except Broken as error:
        raise CertificateError(str(error), where="schedule") from error
    return Certificate(
        number(Fraction(latency, schedule.scale)),
        model.engine,
        "points" if checks.pointwise else "pieces",
        model.lowered.size,
        schedule.tasks,
        schedule.pieces,
        tuple(proven),
        checks.decider.asked,
        perf_counter() - began,
    )


def check_witness(report: Report, steps: Sequence[Step]) -> int:
    """Prove of consecutive steps that each waited for the one before, for the reason it states.

    Returns
    -------
    int
        The number of steps.

    Raises
    ------
    CertificateError
        A step did not wait as it says, or is not where the schedule has it.
    """
    from polylat.proof.checks import Checks
    from polylat.proof.schedule import schedule_of
    from polylat.proof.witness import Witness
    from polylat.proof.words import Broken

    checks = Checks(report._model, schedule_of(report._model, report._timing))
    try:
        return Witness(checks).check(steps)
    except Broken as error:
        raise CertificateError(str(error), where="critical path") from error


def verify_report(report: Report) -> Certificate:
    """Prove that a report's schedule keeps every rule, and that its latency is the schedule's.

    A critical path of up to `MOST_STEPS` steps is checked step by step.
    """
    from polylat.proof.schedule import schedule_of
    from polylat.proof.witness import Witness

    model, timing = report._model, report._timing
    steps, note = _short_path(report)

    windows = [] if steps else _windows(report)

    def witness(checks: Checks) -> int:
        if steps:
            return Witness(checks).check(steps, timing.makespan)
        return sum(Witness(checks).check(window) for window in windows)

    certificate = verify(
        model,
        schedule_of(model, timing),
        timing.makespan,
        witness=witness if steps or windows else None,
    )
    return replace(certificate, notes=(note,)) if note else certificate


def _windows(report: Report) -> list[tuple[Step, ...]]:
    """Of a long path that repeats, all but the rounds in the middle of what does."""
    from polylat.repeating_path import RepeatingPath

    path = report.critical_path
    return path.windows() if isinstance(path, RepeatingPath) else []


def _short_path(report: Report) -> tuple[Sequence[Step] | None, str]:
    """The critical path, or why it is not checked step by step."""
    if not report.latency:
        return None, ""
    try:
        path = report.critical_path
        if len(path) <= MOST_STEPS:
            return path, ""
    except OverflowError:  # more than Python can count the items of
        pass
    except UnsupportedError:
        return None, "the critical path, which is not known step by step"
    if report.engine == "periodic":
        return None, (
            "the critical path in the middle of what repeats: its first and last two rounds are"
        )
    return None, f"the critical path, which has more than {MOST_STEPS:,} steps"
