"""What would help: changes of a mapping, of its schedule and of the machine, with latencies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import groupby
from typing import Literal

from polylat.analysis.variation import Rescheduled
from polylat.numbers import Number, format_number, percent
from polylat.spec import Spec
from polylat.tables import Column, Table, Tabular

__all__ = ["Change", "ChangeKind", "Changes"]

ChangeKind = Literal[
    "pipelined",
    "background",
    "staged",
    "slots",
    "hoist",
    "loop",
    "storage",
    "throughput",
    "latency",
]
"""The option of `analyze` that changes; or a loop or a Storage of the mapping, or a component."""

_WRITTEN = 6
"""Number of changes of which the text says what to write."""

_ALIKE = 6
"""From this number on, changes with the same effect have one row of the text."""

_COLUMNS = (
    Column("change", "Change"),
    Column("latency", "Latency", "number", {None: "none"}),
    Column("saved", "Saves", "number", {None: "-"}),
    Column("share", "Share", "share", {None: "-"}),
    Column("energy", "Energy", "number", {None: "-"}),
    Column("note", "", "prose"),
)


@dataclass(frozen=True)
class Change:
    """A change of one option, of one Storage, or of the throughput of one component.

    Parameters
    ----------
    kind
        What changes.
    what
        The change in words.
    spec
        The input with the change, and with all options under ``schedule``: `analyze` of it gives
        `found`.
    component, action
        The component that becomes faster, or has smaller fixed latencies, and its only action that
        does; None: all of them. Both None for another kind of change.
    found
        The latency with the change, by an analysis of its own.
    write
        What to write in the file; empty for changes that are no recurrence's.
    ring
        The Einsums of the recurrence that the change concerns; empty for other changes.
    hides
        Whether this recurrence, and the others that the same loop carries, then take no longer than
        the busiest port; None for other changes, and where it takes no longer as it is.
    overflow
        Which memories would hold more than their size, in words; empty if none does, or for other
        changes.
    """

    kind: ChangeKind
    what: str
    spec: Spec = field(repr=False)
    component: str | None
    action: str | None
    found: Rescheduled
    write: str = ""
    ring: tuple[str, ...] = ()
    hides: bool | None = None
    overflow: str = ""

    @property
    def latency(self) -> Number | None:
        """The latency with the change; None where there is no schedule."""
        return self.found.latency

    @property
    def note(self) -> str:
        """Why there is no latency, what it is at least, what it hides, what does not fit."""
        hides = "hides the recurrence" if self.hides else ""
        return "; ".join(part for part in (self.found.note, hides, self.overflow) if part)


@dataclass(frozen=True)
class Changes(Tabular):
    """Single changes, those with the least latency first.

    Parameters
    ----------
    latency
        The latency without any change.
    factor
        The factor on throughputs.
    changes
        The changes; those without a latency last.
    remarks
        What recurrences need to be hidden, and how many changes were not analyzed, in sentences.
    """

    latency: Number
    factor: int
    changes: tuple[Change, ...]
    remarks: tuple[str, ...] = ()

    @property
    def helpful(self) -> tuple[Change, ...]:
        """The changes that lower the latency: the first ones."""
        return tuple(change for change in self.changes if (self.saved(change) or 0) > 0)

    @property
    def best(self) -> Change | None:
        """The first change, if it lowers the latency."""
        return next(iter(self.helpful), None)

    def saved(self, change: Change) -> Number | None:
        """Return by how much a change lowers the latency.

        Parameters
        ----------
        change
            One of the changes.

        Returns
        -------
        Number or None
            Negative where the latency rises; None where there is none.
        """
        return None if change.latency is None else self.latency - change.latency

    def headline(self) -> tuple[str, ...]:
        """Return the best change in words.

        Returns
        -------
        tuple of str
            One sentence.
        """
        best = self.best
        if best is None or best.latency is None:
            return ("No single change lowers the latency.",)
        saved = self.latency - best.latency
        now, less = format_number(self.latency), format_number(saved)
        share = percent(saved, self.latency)
        return (f"{best.what}: {now} becomes {best.found}, {less} ({share}) less.",)

    def tables(self) -> tuple[Table, ...]:
        """Return the changes as a table, and what to write for those of recurrences.

        Returns
        -------
        tuple of Table
            One table; with recurrences that a change helps, a second one.
        """
        return self._tables([(change, 1) for change in self.changes])

    def short_tables(self) -> tuple[Table, ...]:
        """Return the same tables, with one row for many changes that have the same effect.

        Returns
        -------
        tuple of Table
            As `tables`.
        """

        def effect(change: Change) -> tuple[object, ...]:
            return change.kind, change.component, change.action, change.found, change.note

        rows = []
        for _, several in groupby(self.changes, key=effect):
            alike = list(several)
            many = len(alike) >= _ALIKE
            rows += [(alike[0], len(alike))] if many else [(change, 1) for change in alike]
        return self._tables(rows)

    def _tables(self, listed: Sequence[tuple[Change, int]]) -> tuple[Table, ...]:
        """Return the tables with a row per change, each with the number of those alike."""
        rows = []
        for change, count in listed:
            saved = self.saved(change)
            share = Fraction(saved) / Fraction(self.latency) if saved and self.latency else None
            what = (
                change.what if count == 1 else f"{change.what}; {count - 1:,} more have this effect"
            )
            rows.append((what, change.latency, saved, share, change.found.energy, change.note))
        title = "Single changes"
        every = Table(_COLUMNS, tuple(rows), title, self.remarks).without_empty("energy")
        texts = [(change.what, change.write) for change in self.helpful if change.write]
        columns = (_COLUMNS[0], Column("write", "Write", "prose"))
        written = Table(columns, tuple(texts[:_WRITTEN]), "What to write in the file")
        return (every, written) if texts else (every,)
