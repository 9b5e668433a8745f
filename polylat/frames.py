"""A report's tables as DataFrames of pandas (the extra ``frames``).

Numbers that are whole stay whole; others are the nearest double. The report itself has them
exactly.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from polylat.errors import MissingExtraError, UnsupportedError
from polylat.explain import port_users
from polylat.report import Number, Report
from polylat.text import double
from polylat.timeline import window_of

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "accesses_frame",
    "critical_frame",
    "occupancy_frame",
    "ports_frame",
    "sensitivity_frame",
]

_ACCESS = ("einsum", "component", "tensor", "action")


def accesses_frame(report: Report) -> pd.DataFrame:
    """A row per access.

    Columns: *einsum*, *component*, *tensor* (None for a computation), *action*, *actions*,
    *critical* (time on the critical path), *share* (of the latency).

    Raises
    ------
    MissingExtraError
        pandas is not installed.
    """
    totals = report.critical_totals
    keys = dict.fromkeys((*report.accesses, *totals))
    rows = [
        (*key, report.accesses.get(key, 0), totals.get(key, 0), _share(totals.get(key, 0), report))
        for key in keys
    ]
    return _frame((*_ACCESS, "actions", "critical", "share"), rows)


def ports_frame(report: Report) -> pd.DataFrame:
    """A row per port and Einsum that uses it.

    Columns: *port*, *component*, *einsum*, *busy*, *utilization* (as a share of the latency).
    """
    rows = [
        (port.name, port.component, einsum, busy, _share(busy, report))
        for port, users in zip(report.ports, port_users(report), strict=True)
        for einsum, busy in users.items()
    ]
    return _frame(("port", "component", "einsum", "busy", "utilization"), rows)


def critical_frame(report: Report, limit: int = 10_000) -> pd.DataFrame:
    """A row per step of the critical path, the first `limit` of them.

    Columns: *einsum*, *tile*, *component*, *port*, *tensor*, *action*, *start*, *finish*,
    *duration*, *waited_for*.
    """
    rows = [
        (
            s.einsum,
            " ".join(f"{variable}={index}" for variable, index in s.tile),
            s.component,
            s.port,
            s.tensor,
            s.action,
            s.start,
            s.finish,
            s.duration,
            s.waited_for,
        )
        for s in report.critical_path[:limit]
    ]
    names = ("einsum", "tile", "component", "port", "tensor", "action")
    return _frame((*names, "start", "finish", "duration", "waited_for"), rows)


def sensitivity_frame(report: Report) -> pd.DataFrame:
    """A row per access: what the latency is sensitive to.

    Columns: *einsum*, *component*, *tensor*, *action*, *critical*, *count*, *duration*, *slack*
    (how many times slower for free), *latency_if_free*; the last three may be missing.
    """
    rows = [
        (
            r.einsum,
            r.component,
            r.tensor,
            r.action,
            r.critical,
            r.count,
            r.duration,
            r.slack,
            r.latency_if_free,
        )
        for r in report.sensitivity().accesses
    ]
    return _frame((*_ACCESS, "critical", "count", "duration", "slack", "latency_if_free"), rows)


def occupancy_frame(report: Report, window: tuple[Number, Number] | None = None) -> pd.DataFrame:
    """A row per change of what a memory holds.

    Columns: *memory*, *time*, *bits* (from then on), *size* (missing if unlimited). Memories of
    which it is not known are left out.

    Parameters
    ----------
    report
        The report.
    window
        (from, to): only what is so between these times, until the end if that is earlier; None for
        all.

    Raises
    ------
    OptionError
        The window is empty, or not within the schedule.
    """
    start, end = (0, report.latency) if window is None else window_of(window, report.latency)
    rows = []
    for memory in report.occupancy:
        name = memory.component + "".join(f"[{stage}]" for stage in memory.stages)
        try:
            steps = memory.steps_between(start, end)
        except UnsupportedError:
            continue
        rows += [(name, time, bits, memory.size) for time, bits in steps]
    return _frame(("memory", "time", "bits", "size"), rows)


def _share(time: Number, report: Report) -> float:
    return float(Fraction(time) / Fraction(report.latency)) if report.latency else 0.0


def _frame(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> pd.DataFrame:
    try:
        import pandas as pd
    except ImportError as error:
        raise MissingExtraError(
            "pandas is not installed", mend="pip install 'polylat[frames]'"
        ) from error
    columns: Mapping[str, list[Any]] = {
        name: _column([row[k] for row in rows]) for k, name in enumerate(names)
    }
    return pd.DataFrame(columns)


def _column(values: list[Any]) -> list[Any]:
    """Fractions as floats, and all numbers of a column with one."""
    if not any(isinstance(value, Fraction) for value in values):
        return values
    return [double(v) if isinstance(v, int | Fraction) else v for v in values]
