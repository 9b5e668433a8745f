"""One mapping under each mechanism: accounting, barriers, background, Pipelines, staged tiles."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

from polylat.analysis.staging import ALL_HOLDERS
from polylat.analysis.variation import Rescheduled, reschedule
from polylat.numbers import Number, format_number
from polylat.spec import Spec
from polylat.spec.names import KnownNames
from polylat.tables import Column, Table, Tabular

__all__ = ["Mechanism", "Mechanisms", "mechanisms_of"]

_COLUMNS = (
    Column("mechanism", "Mechanism"),
    Column("latency", "Latency", "number", {None: "none"}),
    Column("share", "Of AccelForge's", "share", {None: "-"}),
    Column("energy", "Energy", "number", {None: "-"}),
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
            latency, share = row.found.latency, None
            if latency is not None and self.accelforge:
                share = Fraction(latency) / Fraction(self.accelforge)
            rows.append((row.what, latency, share, row.found.energy, row.found.note))
        return (Table(_COLUMNS, tuple(rows)).without_empty("energy"),)


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

    Examples
    --------
    >>> import polylat
    >>> files = ("examples/arch.yaml", "examples/workload.yaml", "examples/tap_resident.yaml")
    >>> for found in polylat.analyze(polylat.load(*files)).mechanisms().rows[:3]:
    ...     print(found.what, found.found)
    Sequential splits 32,256
    Sequential splits, write-backs in the background 31,752
    Sequential splits, all tiles staged 32,256
    """
    one_by_one = replace(spec, mapping=spec.mapping.with_sequentials())
    rows = []
    for words, splits in (("Sequential splits", ()), ("Pipelines", known.splits)):
        if words == "Pipelines" and not splits:
            continue
        plain = {**options, "pipelined": splits, "background": (), "staged": ()}
        cases = [(words, plain)]
        if known.write_backs:
            hidden = {**plain, "background": known.write_backs}
            cases.append((f"{words}, write-backs in the background", hidden))
        if known.holders:
            cases.append((f"{words}, all tiles staged", {**plain, "staged": ALL_HOLDERS}))
        for what, chosen in cases:
            case = replace(one_by_one, schedule=chosen)
            rows.append(Mechanism(what, case, reschedule(one_by_one, chosen)))
    return Mechanisms(accelforge, tuple(rows))
