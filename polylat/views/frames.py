"""Convert a report's tables to pandas (the extra ``frames``).

Columns of whole numbers stay exact; in columns with a fraction, numbers are the nearest doubles.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from polylat.analysis.attribution import port_users
from polylat.analysis.results import Results
from polylat.analysis.timeline import window_of
from polylat.errors import MissingExtraError, UnsupportedError
from polylat.numbers import Number, to_float

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


def accesses_frame(results: Results) -> pd.DataFrame:
    """Return a row per access.

    Parameters
    ----------
    results
        The results.

    Returns
    -------
    pandas.DataFrame
        Columns: *einsum*, *component*, *tensor* (None for a computation), *action*, *actions*,
        *critical* (time on the critical path), *share* (of the latency).

    Raises
    ------
    MissingExtraError
        pandas is not installed.
    """
    totals = results.critical_totals
    keys = dict.fromkeys((*results.accesses, *totals))
    rows = [
        (
            *key,
            results.accesses.get(key, 0),
            totals.get(key, 0),
            _share(totals.get(key, 0), results),
        )
        for key in keys
    ]
    return _frame((*_ACCESS, "actions", "critical", "share"), rows)


def ports_frame(results: Results) -> pd.DataFrame:
    """Return a row per port and Einsum that uses it.

    Parameters
    ----------
    results
        The results.

    Returns
    -------
    pandas.DataFrame
        Columns: *port*, *component*, *einsum*, *busy* (time), *utilization* (share of the latency).

    Raises
    ------
    MissingExtraError
        pandas is not installed.
    """
    rows = [
        (port.name, port.component, einsum, busy, _share(busy, results))
        for port, users in zip(results.ports, port_users(results), strict=True)
        for einsum, busy in users.items()
    ]
    return _frame(("port", "component", "einsum", "busy", "utilization"), rows)


def critical_frame(results: Results, limit: int = 10_000) -> pd.DataFrame:
    """Return a row per step of the critical path.

    Parameters
    ----------
    results
        The results.
    limit
        Largest number of steps, from time 0 on.

    Returns
    -------
    pandas.DataFrame
        Columns: *einsum*, *tile*, *component*, *port*, *tensor*, *action*, *start*, *finish*,
        *duration*, *waited_for*.

    Raises
    ------
    MissingExtraError
        pandas is not installed.
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
        for s in results.critical_path[:limit]
    ]
    names = ("einsum", "tile", "component", "port", "tensor", "action")
    return _frame((*names, "start", "finish", "duration", "waited_for"), rows)


def sensitivity_frame(results: Results) -> pd.DataFrame:
    """Return the sensitivity of the latency to each access.

    Parameters
    ----------
    results
        The results.

    Returns
    -------
    pandas.DataFrame
        A row per access. Columns: *einsum*, *component*, *tensor*, *action*, *critical* (time on the
        critical path), *count*, *duration*, *slack* (the factor by which it can be slower with the
        same latency), *latency_if_free*; the last three may be missing.

    Raises
    ------
    MissingExtraError
        pandas is not installed.
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
        for r in results.sensitivity().accesses
    ]
    return _frame((*_ACCESS, "critical", "count", "duration", "slack", "latency_if_free"), rows)


def occupancy_frame(results: Results, window: tuple[Number, Number] | None = None) -> pd.DataFrame:
    """Return a row per change of the occupancy of a memory.

    Parameters
    ----------
    results
        The results.
    window
        (from, to): only the occupancy between these times, until the end if that is earlier; None
        for all.

    Returns
    -------
    pandas.DataFrame
        Columns: *memory*, *time*, *bits* (from this time on), *size* (missing if unlimited). Memories
        whose occupancy is not determined are skipped.

    Raises
    ------
    MissingExtraError
        pandas is not installed.
    OptionError
        The window is empty, or not within the schedule.
    """
    start, end = (0, results.latency) if window is None else window_of(window, results.latency)
    rows = []
    for memory in results.occupancy:
        name = memory.component + "".join(f"[{stage}]" for stage in memory.stages)
        try:
            steps = memory.steps_between(start, end)
        except UnsupportedError:
            continue
        rows += [(name, time, bits, memory.size) for time, bits in steps]
    return _frame(("memory", "time", "bits", "size"), rows)


def _share(time: Number, results: Results) -> float:
    return float(Fraction(time) / Fraction(results.latency)) if results.latency else 0.0


def _frame(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> pd.DataFrame:
    try:
        import pandas as pd
    except ImportError as error:
        raise MissingExtraError(
            "pandas is not installed", fix="pip install 'polylat[frames]'"
        ) from error
    columns: Mapping[str, list[Any]] = {
        name: _column([row[k] for row in rows]) for k, name in enumerate(names)
    }
    return pd.DataFrame(columns)


def _column(values: list[Any]) -> list[Any]:
    """A column; all of its numbers become doubles if one of them is a fraction."""
    if not any(isinstance(value, Fraction) for value in values):
        return values
    return [to_float(v) if isinstance(v, int | Fraction) else v for v in values]
