"""The tables of a report, each made once; text, pages, notebooks and frames render them."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from polylat.analysis.access import LATENCY, AccessKey, port_name
from polylat.analysis.attribution import port_users
from polylat.analysis.occupancy import peak_or_none
from polylat.analysis.results import Results
from polylat.analysis.timeline import window_of
from polylat.errors import UnsupportedError
from polylat.numbers import Number, format_number, percent
from polylat.tables import Cell, Column, Table
from polylat.views.captions import tile_words
from polylat.views.sentences import contention_sentences, waits_sentence
from polylat.views.style import WAIT_REASONS

__all__ = [
    "accesses_table",
    "critical_table",
    "intervals_table",
    "memories_table",
    "occupancy_table",
    "orders_table",
    "port_users_table",
    "ports_table",
    "steps_table",
    "totals_or_none",
]

_ACCESS = (
    Column("einsum", "Einsum"),
    Column("component", "Component"),
    Column("tensor", "Tensor", words={None: "-"}),
    Column("action", "Action"),
)
_TIME_COLUMNS = (
    Column("actions", "Actions", "number"),
    Column("critical", "Time", "number", {None: "not determined"}),
    Column("share", "Share", "share"),
)


def orders_table(results: Results) -> Table:
    """Return the latency for each order of service; the used one is emphasized.

    Parameters
    ----------
    results
        The results.

    Returns
    -------
    Table
        A row per order.
    """
    rows: list[tuple[Cell, ...]] = []
    bold = set()
    for order, latency in results.latency_by_order.items():
        if order == results.order and not results.keeps_barriers:
            bold.add(len(rows))
        words = "not determined" if order in results.unsettled else "contradicts the dependences"
        rows.append((order, words if latency is None else latency))
    columns = (Column("order", "Order"), Column("latency", "Latency", "number"))
    return Table(columns, tuple(rows), "Latency by order of service", bold=frozenset(bold))


def ports_table(results: Results, most_users: int | None = None) -> Table:
    """Return the busy time of each port; those that attain the resource bound are emphasized.

    Parameters
    ----------
    results
        The results.
    most_users
        Largest number of listed Einsums per port; None for all.

    Returns
    -------
    Table
        A row per port, with the Einsums that use it, and a note per Pipeline.
    """
    rows = []
    for port, users in zip(results.ports, port_users(results), strict=True):
        used = [f"{name} {percent(busy, port.busy)}" for name, busy in users.items()]
        more = [] if most_users is None else used[most_users:]
        shown = used[: len(used) - len(more)] + ([f"{len(more)} more"] if more else [])
        rows.append((port.name, port.busy, _share(port.busy, results), ", ".join(shown)))
    return Table(
        (
            Column("port", "Port"),
            Column("busy", "Busy", "number"),
            Column("utilization", "Utilization", "share"),
            Column("used_by", "Used by", "prose"),
        ),
        tuple(rows),
        "Busy time of each port, and the Einsums that use it",
        contention_sentences(results),
        frozenset(k for k, port in enumerate(results.ports) if port.busy == results.resource_bound),
    )


def port_users_table(results: Results) -> Table:
    """Return the busy time of each port by Einsum.

    Parameters
    ----------
    results
        The results.

    Returns
    -------
    Table
        A row per port and Einsum that uses it.
    """
    columns = (
        Column("port", "Port"),
        Column("component", "Component"),
        Column("einsum", "Einsum"),
        Column("busy", "Busy", "number"),
        Column("utilization", "Utilization", "share"),
    )
    rows = (
        (port.name, port.component, einsum, busy, _share(busy, results))
        for port, users in zip(results.ports, port_users(results), strict=True)
        for einsum, busy in users.items()
    )
    return Table(columns, tuple(rows), "Busy time of each port by Einsum")


def accesses_table(results: Results) -> Table:
    """Return the number of actions of each access, and its time on the critical path.

    Parameters
    ----------
    results
        The results.

    Returns
    -------
    Table
        A row per access, with its share of the latency.
    """
    totals = totals_or_none(results)
    rows = (
        (*key, results.accesses.get(key, 0), *_critical_time(key, results, totals))
        for key in dict.fromkeys((*results.accesses, *(totals or ())))
    )
    return Table((*_ACCESS, *_TIME_COLUMNS), tuple(rows), "Accesses")


def critical_table(results: Results, limit: int) -> Table:
    """Return the accesses on the critical path, the longest time first.

    Parameters
    ----------
    results
        The results.
    limit
        Largest number of rows.

    Returns
    -------
    Table
        A row per access; a note has the time by what the accesses waited for.

    Raises
    ------
    UnsupportedError
        It is not determined, see `Results.undetermined`.
    """
    totals = results.critical_totals
    keys = list(totals)
    notes = [waits_sentence(results)] if totals else []
    rest = sum((Fraction(totals[key]) for key in keys[limit:]), Fraction(0))
    if rest:
        share = percent(rest, results.latency)
        notes.insert(0, f"{len(keys) - limit:,} more accesses: {format_number(rest)} ({share}).")
    return Table(
        (*_ACCESS, *_TIME_COLUMNS[1:]),
        tuple((*key, *_critical_time(key, results, totals)) for key in keys[:limit]),
        "Accesses on the critical path; their times add up to the latency",
        tuple(notes),
    )


def _critical_time(
    key: AccessKey, results: Results, totals: Mapping[AccessKey, Number] | None
) -> tuple[Number | None, Fraction | None]:
    if totals is None:
        return None, None
    time = totals.get(key, 0)
    return time, _share(time, results)


def totals_or_none(results: Results) -> Mapping[AccessKey, Number] | None:
    """Return the time on the critical path by access; None where the path is not determined.

    Parameters
    ----------
    results
        The results.

    Returns
    -------
    Mapping or None
        As `Results.critical_totals`.
    """
    try:
        return results.critical_totals
    except UnsupportedError:
        return None


def steps_table(results: Results, limit: int) -> Table:
    """Return the steps of the critical path, from time 0 on.

    Parameters
    ----------
    results
        The results.
    limit
        Largest number of rows.

    Returns
    -------
    Table
        A row per step. The column *port* is the port within the component, *port_name* names both;
        it is empty for a fixed latency, which no port serves.

    Raises
    ------
    UnsupportedError
        It is not determined, see `Results.undetermined`.
    """
    columns = (
        Column("start", "Start", "number"),
        Column("finish", "Finish", "number"),
        Column("duration", "Duration", "number"),
        Column("einsum", "Einsum"),
        Column("tile", "Tile"),
        Column("component", "Component"),
        Column("port", "Port"),
        Column("port_name", "Port", words={None: "-"}),
        Column("tensor", "Tensor", words={None: "-"}),
        Column("action", "Action"),
        Column("waited_for", "Waited for", words=WAIT_REASONS),
    )
    rows = (
        (
            *(step.start, step.finish, step.duration, step.einsum, tile_words(step.tile)),
            *(step.component, step.port),
            None if step.action == LATENCY else port_name(step.component, step.port, step.units),
            *(step.tensor, step.action, step.waited_for),
        )
        for step in results.critical_path[:limit]
    )
    return Table(columns, tuple(rows), "Steps of the critical path")


def intervals_table(results: Results) -> Table:
    """Return the initiation interval of each loop along which the critical path repeats.

    Parameters
    ----------
    results
        The results.

    Returns
    -------
    Table
        A row per loop, with its critical cycle.

    Raises
    ------
    UnsupportedError
        It is not determined, see `Results.undetermined`.
    """
    rows = []
    for loop in results.initiation_intervals:
        cycle = ", ".join(
            f"{' '.join(part for part in key if part)} {format_number(time)}"
            for key, time in loop.cycle
        )
        rows.append(
            (
                loop.variable if loop.tile == 1 else f"{loop.variable} (tiles of {loop.tile})",
                "+".join(loop.einsums),
                loop.interval,
                loop.iterations,
                cycle if loop.period == 1 else f"{cycle} (per {loop.period} iterations)",
            )
        )
    return Table(
        (
            Column("loop", "Loop"),
            Column("einsums", "Einsums", "prose"),
            Column("interval", "Per iteration", "number"),
            Column("iterations", "Steady iterations", "number"),
            Column("cycle", "Critical cycle", "prose"),
        ),
        tuple(rows),
        "Initiation interval of each loop",
    )


def memories_table(results: Results) -> Table:
    """Return the peak occupancy and the size of each memory.

    Parameters
    ----------
    results
        The results.

    Returns
    -------
    Table
        A row per memory, in bits; the column *excess* only if a size is exceeded.
    """
    rows: list[tuple[Cell, ...]] = []
    bold = set()
    notes = []
    for memory in results.occupancy:
        peak, size = peak_or_none(memory), memory.size
        excess = share = None
        if peak is None:
            notes.append(f"{memory.name}: the occupancy is not periodic.")
        elif size:
            share = Fraction(peak) / Fraction(size)
        if peak is not None and size is not None and peak > size:
            excess = peak - size
            bold.add(len(rows))
        rows.append((memory.name, peak, size, share, excess))
    if bold:
        notes.append(
            "Each tile counts with its full size; AccelForge reserves less where a tile can arrive"
            " in parts. The latency assumes that the tiles fit."
        )
    return Table(
        (
            Column("memory", "Memory"),
            Column("peak", "Peak (bits)", "number", {None: "not determined"}),
            Column("size", "Size (bits)", "number", {None: "unlimited"}),
            Column("share", "Share", "share"),
            Column("excess", "Exceeded by", "number"),
        ),
        tuple(rows),
        "Peak occupancy of each memory",
        tuple(notes),
        frozenset(bold),
    ).without_empty("excess")


def occupancy_table(results: Results, window: tuple[Number, Number] | None = None) -> Table:
    """Return the occupancy of the memories over time.

    Parameters
    ----------
    results
        The results.
    window
        (from, to) in the architecture's unit of time; None for all.

    Returns
    -------
    Table
        A row per memory and change of the number of bits that it holds. Memories whose occupancy
        is not determined are skipped.
    """
    start, end = (0, results.latency) if window is None else window_of(window, results.latency)
    rows: list[tuple[Cell, ...]] = []
    for memory in results.occupancy:
        try:
            steps = memory.steps_between(start, end)
        except UnsupportedError:
            continue
        rows += [(memory.name, time, bits, memory.size) for time, bits in steps]
    columns = (
        Column("memory", "Memory"),
        Column("time", "Time", "number"),
        Column("bits", "Bits", "number"),
        Column("size", "Size (bits)", "number", {None: "unlimited"}),
    )
    return Table(columns, tuple(rows), "Occupancy of each memory over time")


def _share(time: Number, results: Results) -> Fraction:
    """Return a time as a share of the latency."""
    return Fraction(time) / Fraction(results.latency) if results.latency else Fraction(0)
