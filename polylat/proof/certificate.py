"""Certificates: what was proven about a schedule, for all tile iterations, and how."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from polylat.errors import PolylatError
from polylat.numbers import Number, format_number
from polylat.tables import Column, Table, Tabular

__all__ = ["Certificate", "CertificateError", "ProvenRules"]


class CertificateError(PolylatError):
    """A schedule breaks a rule of the model; the message names tile iterations and times."""


@dataclass(frozen=True)
class ProvenRules:
    """Rules of one kind, all of which a schedule keeps.

    Parameters
    ----------
    kind
        *tasks*, *order*, *flow*, *transfer*, *barrier*, *capacity*, *causality*, *ports*,
        *earliest*, *latency*, *witness*, *service*, *dependence*, *turns* or *report*.
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
    "transfer": "separate transfers wait for their data, fills also for a free buffer slot",
    "barrier": "the branches of a Sequential run one after another",
    "capacity": "a buffer slot is overwritten only after its last use",
    "causality": "every element is computed, then moved outwards, then fetched, and then used",
    "ports": "no port serves two accesses at once",
    "earliest": "nothing could start earlier, with the same order of service on the ports",
    "latency": "the last finish is exactly at the latency",
    "witness": "a gapless chain of accesses, each waiting for the one before, attains the latency",
    "service": "every port serves in the order that the report names",
    "dependence": "if every port were always free, the last finish would be the dependence bound",
    "turns": "where the branches of each Sequential do not overlap, they take the barrier bound",
    "report": "the figures and options of the report are those of the mapping and its schedule",
}

SHARED = (
    "the input as it was read, and the paths of its leaves",
    "the affine pieces of the schedule, and their merging",
    "ISL sets of pieces, and lexicographic functions on sets",
    "the evaluation of ISL sets and functions at points",
)
"""What the proof shares with the code that it checks."""


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
    checks, checks_by_isl
        Number of relations between events that were checked, and of those that ISL decided: bounds
        sufficed for the others, or every tile iteration was visited.
    decided_by_isl
        Number of pairs of pieces that ISL decided.
    seconds
        Time that the proof took, in seconds.
    notes
        What was not checked, and why. No rule is missing.
    """

    latency: Number
    engine: str
    method: Literal["pieces", "points"]
    tiles: int
    tasks: int
    pieces: int
    proven: tuple[ProvenRules, ...]
    checks: int
    checks_by_isl: int
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
            "checks": self.checks,
            "checks_by_isl": self.checks_by_isl,
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
            "shared_with_the_engine": list(SHARED),
        }

    @property
    def how(self) -> str:
        """The method of the proof, in a few words."""
        if self.method != "pieces":
            return (
                f"{self.checks:,} relations between tile iterations, derived with ISL, decided by"
                f" visiting all {self.tiles:,} tile iterations; each of {self.tasks:,} port"
                " services checked individually"
            )
        by_bounds = self.checks - self.checks_by_isl
        how = f"{self.checks_by_isl:,} decided by ISL, {by_bounds:,} by bounds on pairs of pieces"
        if not self.checks_by_isl:
            how = "all decided by bounds on pairs of pieces"
        elif not by_bounds:
            how = "all decided by ISL"
        return (
            f"{self.pieces:,} affine pieces represent {self.tasks:,} port services; {self.checks:,}"
            f" relations between tile iterations, derived with ISL, {how}"
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
        notes += (f"Shared with the engine: {'; '.join(SHARED)}.",)
        return (Table(columns, rows, "Proven rules", notes),)
