"""One mapping under each mechanism: accounting, barriers, background, Pipelines, staged tiles."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

from polylat.analysis.variation import Rescheduled, reschedule
from polylat.numbers import Number, format_number
from polylat.spec import Spec
from polylat.spec.names import KnownNames
from polylat.spec.staged import ALL
from polylat.tables import Column, Table, Tabular

__all__ = ["Mechanism", "Mechanisms", "mechanisms_of"]

_COLUMNS = (
    Column("mechanism", "Mechanism"),
    Column("latency", "Latency", "number", {None: "none"}),
    Column("share", "Of AccelForge's", "share", {None: "-"}),
    Column("note", "", "prose"),
)


@dataclass(frozen=True)
class Mechanism:
    """A mapping under some mechanisms.

    Parameters
    ----------
    what
        The mechanisms in words.
    spec
        The input with them: `analyze` of it gives `found`.
    found
        The latency.
    """

    what: str
    spec: Spec = field(repr=False)
    found: Rescheduled


@dataclass(frozen=True)
class Mechanisms(Tabular):
    """One mapping under each mechanism.

    Parameters
    ----------
    accelforge
        AccelForge's latency of the mapping.
    rows
        The mapping without overlap between branches, and with what makes them overlap.
    """

    accelforge: Number
    rows: tuple[Mechanism, ...]

    def headline(self) -> tuple[str, ...]:
        """Return AccelForge's latency.

        Returns
        -------
        tuple of str
            One sentence.
        """
        return (f"AccelForge's latency: {format_number(self.accelforge)}",)

    def tables(self) -> tuple[Table, ...]:
        """Return the latencies as a table.

        Returns
        -------
        tuple of Table
            One table.
        """
        rows = []
        for row in self.rows:
            latency, note = row.found.latency, row.found.reason
            share = Fraction(latency or 0) / Fraction(self.accelforge) if self.accelforge else None
            if latency is not None and not row.found.exact:
                note = f"at least {format_number(row.found.lower_bound or 0)}"
            rows.append((row.what, latency, None if latency is None else share, note))
        return (Table(_COLUMNS, tuple(rows)),)


def mechanisms_of(
    spec: Spec, options: Mapping[str, Any], known: KnownNames, accelforge: Number
) -> Mechanisms:
    """Analyze a mapping under each mechanism.

    Parameters
    ----------
    spec
        The input.
    options
        All options of `analyze`, in their normal forms; those that say what overlaps are replaced.
    known
        The names that exist.
    accelforge
        AccelForge's latency.

    Returns
    -------
    Mechanisms
        The latencies, each by an analysis of its own.
    """
    plain = {**options, "pipelined": (), "background": (), "staged": ()}
    every = {"pipelined": known.splits}
    hidden = {"background": known.write_backs}
    whole = {"staged": ((None, None),)}
    one_by_one = replace(spec, mapping=spec.mapping.with_sequentials())
    cases: list[tuple[str, Mapping[str, Any]]] = [("Sequential splits", {})]
    if known.write_backs:
        cases.append(("Sequential splits, write-backs in the background", hidden))
    if known.holders:
        cases.append((f"Sequential splits, {ALL} tiles staged", whole))
    if known.splits:
        cases.append(("Pipelines", every))
        if known.write_backs:
            cases.append(("Pipelines, write-backs in the background", every | hidden))
        if known.holders:
            cases.append((f"Pipelines, {ALL} tiles staged", every | whole))
    rows = []
    for what, changed in cases:
        chosen = {**plain, **changed}
        case = replace(one_by_one, schedule=chosen)
        rows.append(Mechanism(what, case, reschedule(one_by_one, chosen)))
    return Mechanisms(accelforge, tuple(rows))
