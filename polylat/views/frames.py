"""Convert a report's tables to pandas (the extra ``frames``).

Integers stay exact; columns with a fraction, and shares, have the nearest doubles.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from polylat.analysis.results import Results
from polylat.numbers import Number
from polylat.views.report_tables import (
    accesses_table,
    occupancy_table,
    port_users_table,
    steps_table,
)

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "accesses_frame",
    "critical_frame",
    "occupancy_frame",
    "ports_frame",
    "sensitivity_frame",
]


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
    return accesses_table(results).to_frame()


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
    return port_users_table(results).to_frame()


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
    names = ("einsum", "tile", "component", "port", "tensor", "action")
    table = steps_table(results, limit)
    return table.select(*names, "start", "finish", "duration", "waited_for").to_frame()


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
    names = ("einsum", "component", "tensor", "action")
    _, by_access = results.sensitivity().tables()
    return by_access.select(
        *names, "critical", "count", "duration", "slack", "latency_if_free"
    ).to_frame()


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
    return occupancy_table(results, window).to_frame()
