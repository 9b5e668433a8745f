"""Pieces of HTML: tables, and what notebooks show of results."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape, unescape
from typing import TYPE_CHECKING

from polylat.text import bound_meaning, idle_write_backs, percent, show, show_large

if TYPE_CHECKING:
    from polylat.accounting import Roofline
    from polylat.certificate import Certificate
    from polylat.report import Report
    from polylat.spec import Spec

__all__ = [
    "STYLE",
    "certificate_html",
    "fragment",
    "headline",
    "ports_table",
    "report_html",
    "roofline_html",
    "scrolling",
    "spec_html",
    "table",
]

STYLE = (
    ".polylat-html{font:14px/1.45 system-ui,sans-serif}"
    ".polylat-html table{border-collapse:collapse;margin:.4em 0}"
    # The class twice: to prevail over what Jupyter says of tables.
    ".polylat-html.polylat-html th,.polylat-html.polylat-html td{padding:.2em .8em .2em 0;text-align:left;"
    "vertical-align:top;border-bottom:1px solid #8884}"
    ".polylat-html.polylat-html .n{text-align:right;font-variant-numeric:tabular-nums}"
    ".polylat-html caption{text-align:left;font-weight:600}"
    ".polylat-html svg{max-width:100%;height:auto}"
    ".polylat-html .big{font-size:1.5em;font-weight:600}"
)
"""The style of what notebooks show."""


def table(names: Sequence[str], rows: Iterable[Sequence[str]], caption: str = "") -> str:
    """A table; a column whose name starts with ``>`` is aligned to the right, with ``~`` is prose.

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


def scrolling(text: str, name: str = "") -> str:
    """What may be wider than the page, which scrolls by itself; a table's caption names it."""
    if not name:
        name = unescape(text.partition("<caption><span>")[2].partition("</span></caption>")[0])
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(name)}">{text}</div>'
    )


def fragment(*parts: str) -> str:
    """Pieces of HTML with their style, for a notebook."""
    return f'<div class="polylat-html"><style>{STYLE}</style>{"".join(parts)}</div>'


def headline(report: Report) -> str:
    """Latency, how it was found, and its bounds."""
    how = [f"order {report.order}", f"granularity {report.granularity}"]
    how.append(f"{report.tiles:,} tile iterations")
    if report.background:
        pairs = ", ".join(f"{t}@{c}" for t, c in report.background)
        how.append(f"background: {pairs}")
    if report.optimal:
        proven = f"Proven optimal by the {report.binding} bound: {bound_meaning(report)}."
    elif report.exact:
        proven = f"Not proven optimal: the {report.binding} bound is lower."
    else:
        proven = f"Not exact: none takes less than {show(report.lower_bound)}."
    speedup = ""
    if report.speedup is not None and report.speedup != 1 and report.sequential is not None:
        times = f"{float(report.speedup):.3f}"
        speedup = f" {times} times as fast as sequential execution ({show(report.sequential)})."
    bounds = (
        f"Bounds: resource {show(report.resource_bound)},"
        f" dependence {show(report.dependence_bound)}. AccelForge: {show(report.roofline)}."
    )
    lines = [" · ".join(how), *idle_write_backs(report), proven + speedup, bounds]
    return (
        f'<p>Latency <span class="big">{show_large(report.latency)}</span><br>'
        f"{'<br>'.join(map(escape, lines))}</p>"
    )


def ports_table(report: Report) -> str:
    """How busy the ports are, and who uses them."""
    from polylat.explain import port_users

    rows = []
    for port, users in zip(report.ports, port_users(report), strict=True):
        used = ", ".join(f"{name} {percent(busy, port.busy)}" for name, busy in users.items())
        rows.append([port.name, show(port.busy), percent(port.busy, report.latency), used])
    return table(["Port", ">Busy", ">Utilisation", "Used by"], rows)


def report_html(report: Report) -> str:
    """What a notebook shows of a report: the headline, the timeline and the ports."""
    return fragment(headline(report), report.timeline(limit=200).to_svg(), ports_table(report))


def roofline_html(roofline: Roofline) -> str:
    """What a notebook shows of AccelForge's figures."""
    components = roofline.components
    rows = [
        [
            einsum,
            *(show(busy[c]) if c in busy else "" for c in components),
            roofline.bottleneck[einsum] if busy else "",
        ]
        for einsum, busy in roofline.per_einsum.items()
    ]
    head = (
        f"<p>AccelForge's latency <span class='big'>{show_large(roofline.latency)}</span><br>The"
        " sum over Einsums of the busy time of the slowest component, back to back.</p>"
    )
    return fragment(head, table(["Einsum", *(f">{c}" for c in components), "slowest"], rows))


def certificate_html(certificate: Certificate) -> str:
    """What a notebook shows of a certificate."""
    head = (
        f"<p><span class='big'>Proven</span> for all {certificate.tiles:,} tile iterations:"
        f" latency {show(certificate.latency)}. {certificate.how}.</p>"
    )
    rows = [[p.kind, f"{p.relations:,}", f"{p.decisions:,}", p.meaning] for p in certificate.proven]
    notes = "".join(f"<p>Not checked: {escape(note)}.</p>" for note in certificate.notes)
    names = ["Proven", ">Relations", ">Decisions", "What it says"]
    return fragment(head, table(names, rows), notes)


def spec_html(spec: Spec) -> str:
    """What a notebook shows of an input: its Einsums, components and mapping."""
    einsums = [
        [e.name, ", ".join(e.inputs), ", ".join(e.outputs), ", ".join(e.rank_variables)]
        for e in spec.workload.einsums
    ]
    known = {c.name: c for path in spec.arch.paths.values() for c in path}
    parts = []
    for name in spec.arch.order:
        if name in known:
            c = known[name]
            size = "" if c.size is None else show(c.size)
            ports = ", ".join(p.name or "one" for p in c.ports)
            parts.append([name, c.kind, size, f"{c.fanout:,}", ports])
    return fragment(
        table(["Einsum", "reads", "produces", "rank variables"], einsums, "Workload"),
        table(["Component", "kind", ">size (bits)", ">units", "ports"], parts, "Architecture"),
        "<p><b>Mapping</b></p>",
        spec.tree().to_svg(),
    )
