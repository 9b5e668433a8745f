"""Build pieces of HTML: tables, and the parts of results that pages and notebooks share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape, unescape

from polylat.analysis.attribution import port_users
from polylat.analysis.results import Results
from polylat.numbers import format_large, format_number, percent
from polylat.views.text import bound_meaning, missing_write_backs

__all__ = [
    "headline",
    "ports_table",
    "scroll_box",
    "table",
]


def table(names: Sequence[str], rows: Iterable[Sequence[str]], caption: str = "") -> str:
    """Render a table.

    Parameters
    ----------
    names
        The names of the columns. A leading ``>`` aligns a column to the right, a leading ``~`` lets
        its text wrap.
    rows
        Per row the text of each cell.
    caption
        The caption; empty for none.

    Returns
    -------
    str
        HTML.

    Examples
    --------
    >>> table(["a", ">b"], [["<", "1"]])
    '<table><thead><tr><th scope="col">a</th><th scope="col" class="n">b</th></tr></thead><tbody><tr><td>&lt;</td><td class="n">1</td></tr></tbody></table>'
    """
    looks = [{">": ' class="n"', "~": ' class="w"'}.get(name[:1], "") for name in names]
    head = "".join(
        f'<th scope="col"{look}>{escape(name.lstrip(">~"))}</th>'
        for name, look in zip(names, looks, strict=True)
    )
    body = "".join(
        "<tr>"
        + "".join(f"<td{look}>{escape(cell)}</td>" for cell, look in zip(row, looks, strict=True))
        + "</tr>"
        for row in rows
    )
    title = f"<caption><span>{escape(caption)}</span></caption>" if caption else ""
    return f"<table>{title}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def scroll_box(text: str, name: str = "") -> str:
    """Wrap HTML that may be wider than the page in a box that scrolls.

    Parameters
    ----------
    text
        HTML.
    name
        The name of the box for screen readers; empty: the caption of the table in `text`.

    Returns
    -------
    str
        HTML.
    """
    if not name:
        name = unescape(text.partition("<caption><span>")[2].partition("</span></caption>")[0])
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(name)}">{text}</div>'
    )


def headline(results: Results) -> str:
    """Render the latency, the options that it was computed with, and its bounds.

    Parameters
    ----------
    results
        The results.

    Returns
    -------
    str
        HTML.
    """
    how = [f"order {results.order}", f"granularity {results.granularity}"]
    how.append(f"{results.tiles:,} tile iterations")
    if results.background:
        pairs = ", ".join(f"{t}@{c}" for t, c in results.background)
        how.append(f"background: {pairs}")
    if results.optimal:
        proven = f"Proven optimal by the {results.binding} bound: {bound_meaning(results)}."
    elif results.exact:
        proven = f"Not proven optimal: the {results.binding} bound is lower."
    else:
        proven = f"Not exact: no schedule takes less than {format_number(results.lower_bound)}."
    speedup = ""
    if results.speedup is not None and results.speedup != 1 and results.sequential is not None:
        times = f"{float(results.speedup):.3f}"
        speedup = f" {times} times as fast as sequential execution ({format_number(results.sequential)})."
    bounds = (
        f"Bounds: resource {format_number(results.resource_bound)},"
        f" dependence {format_number(results.dependence_bound)}. AccelForge: {format_number(results.roofline)}."
    )
    lines = [" · ".join(how), *missing_write_backs(results), proven + speedup, bounds]
    return (
        f'<p>Latency <span class="big">{format_large(results.latency)}</span><br>'
        f"{'<br>'.join(map(escape, lines))}</p>"
    )


def ports_table(results: Results) -> str:
    """Render the busy time of the ports, and the Einsums that use them.

    Parameters
    ----------
    results
        The results.

    Returns
    -------
    str
        HTML.
    """
    rows = []
    for port, users in zip(results.ports, port_users(results), strict=True):
        used = ", ".join(f"{name} {percent(busy, port.busy)}" for name, busy in users.items())
        rows.append([port.name, format_number(port.busy), percent(port.busy, results.latency), used])
    return table(["Port", ">Busy", ">Utilization", "Used by"], rows)
