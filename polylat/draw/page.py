"""Reports and timelines as self-contained pages: no network, no library, one file."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from html import escape
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from polylat.draw.curves import curves_html
from polylat.draw.html import headline, table
from polylat.draw.scene import Scene, scene
from polylat.draw.style import WAITS
from polylat.draw.svg import paint, style
from polylat.draw.words import tile_words
from polylat.errors import OptionError, UnsupportedError
from polylat.exact import Number
from polylat.explain import compare, port_users
from polylat.text import percent, report_text, show
from polylat.timeline import Stack

if TYPE_CHECKING:
    from polylat.certificate import Certificate
    from polylat.report import Report
    from polylat.sensitivity import Row

__all__ = ["report_page", "timeline_page"]

WIDTH = 1120
ROWS = 24
STEPS = 40
QUICK = {"explicit": 50_000, "periodic": 4_000}
"""With up to so many tasks to look at, sensitivities are on the page unasked."""


def report_page(
    report: Report,
    *,
    inputs: Sequence[str] = (),
    variables: Mapping[str, object] | None = None,
    certificate: Certificate | None = None,
    sensitivity: bool | None = None,
    title: str = "polylat report",
) -> str:
    """A report as one self-contained page of HTML.

    Parameters
    ----------
    report
        The report.
    inputs
        Files that it was made from: their text is on the page.
    variables
        Variables given for them.
    certificate
        What `Report.verify` has proven, if it was asked.
    sensitivity
        Whether sensitivities and bandwidth curves are on the page. None: what of them does not
        take longer than all the rest.
    title
        The title of the page.
    """
    sections = [
        ("headline", "Latency", headline(report)),
        ("comparison", "From AccelForge's figure to the latency", _comparison(report)),
        ("timeline", "Timeline", _timelines(report)),
        ("ports", "Ports", _ports(report)),
        ("critical", "Critical path", _critical(report)),
        ("sensitivity", "What would change it", _sensitivity(report, sensitivity)),
        ("memories", "Memories", _memories(report)),
        ("mapping", "Mapping", _mapping(report)),
        ("certificate", "Certificate", _certificate(certificate)),
        ("inputs", "Inputs and versions", _inputs(report, inputs, variables or {})),
    ]
    return _page(title, sections)


def timeline_page(stack: Stack) -> str:
    """Timelines as one self-contained page of HTML."""
    title = "; ".join(line.title for line in stack.timelines)
    return _page(f"Timeline: {title}", [("timeline", "Timeline", _interactive(stack, "t0"))])


def _page(title: str, sections: Sequence[tuple[str, str, str]]) -> str:
    links = "".join(f'<a href="#{name}">{escape(head)}</a>' for name, head, _ in sections)
    body = "".join(
        f'<section id="{name}" aria-labelledby="{name}-h"><h2 id="{name}-h">{escape(head)}</h2>'
        f"{text}</section>"
        for name, head, text in sections
    )
    assets = files("polylat.draw") / "assets"
    css = (assets / "page.css").read_text(encoding="utf-8")
    script = (assets / "page.js").read_text(encoding="utf-8")
    drawing = style(None, ".unused").replace("@media(prefers-color-scheme:dark)", "@media not all")
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        # No request of any kind leaves the page, not even for an icon.
        '<link rel="icon" href="data:,">'
        f"<title>{escape(title)}</title><style>{css}{drawing}"
        ".polylat .n-note{fill:var(--faint)}</style></head><body>"
        '<a class="skip" href="#main">To the content</a>'
        f"<header><h1>{escape(title)}</h1>"
        '<button id="theme" type="button" aria-pressed="false">Light or dark</button>'
        f'<nav aria-label="Sections">{links}</nav></header>'
        f'<main id="main">{body}</main>'
        "<footer>Times are exact, in the architecture's unit of time; ≈ marks what is rounded."
        f"</footer><script>{script}</script></body></html>\n"
    )


# Timelines ----------------------------------------------------------------------------------------


def _timelines(report: Report) -> str:
    whole = report.timeline(fold=False, limit=300, title="To scale")
    parts = [_interactive(Stack((whole,)), "t0")]
    if not whole.bars:
        folded = report.timeline(fold=True, limit=120, title="What repeats, once")
        if folded.folded:
            parts.append(_interactive(Stack((folded,)), "t1"))
    return "".join(parts)


def _interactive(stack: Stack, name: str) -> str:
    picture = scene(stack, WIDTH)
    keys = (
        "Zoom with + and -, all with 0; arrow keys go from bar to bar. Each bar says what it is, how"
        " long it takes, its slack and what it waited for."
    )
    return (
        f'<div data-timeline="{name}" data-left="{_left(picture):.1f}" data-zoom="1">'
        '<div class="tools" role="group" aria-label="Zoom">'
        '<button type="button" data-zoom="in">Zoom in</button>'
        '<button type="button" data-zoom="out">Zoom out</button>'
        '<button type="button" data-zoom="all">All</button>'
        f'<span class="faint" id="{name}-keys">{keys}</span></div>'
        f'<div class="scroll" tabindex="0" role="region" aria-label="Timeline"'
        f' aria-describedby="{name}-keys">{paint(picture, alone=False)}</div>'
        f'<div class="told" role="status" aria-live="polite">Nothing chosen.</div></div>'
    )


def _left(picture: Scene) -> float:
    """Where the axis of time begins: right of the names of lanes."""
    from polylat.draw.scene import Label

    names = [i.x for i in picture.items if isinstance(i, Label) and i.style == "lane"]
    return max(names, default=0.0) + 5.5


# Tables -------------------------------------------------------------------------------------------


def _scroll(text: str, name: str) -> str:
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(name)}">{text}</div>'
    )


def _meter(share: float) -> str:
    wide = min(max(share, 0.0), 1.0) * 100
    return f'<td class="bar"><span class="meter" style="width:{wide:.2f}%"></span></td>'


def _metered(names: Sequence[str], rows: Sequence[tuple[Sequence[str], float]]) -> str:
    """A table whose last column is a bar."""
    text = table(names, [row for row, _ in rows])
    head, *lines = text.split("<tr>")
    shares = iter([0.0, *(share for _, share in rows)])
    cells = []
    for number, line in enumerate(lines):
        cell = '<th scope="col">Share</th>' if number == 0 else _meter(next(shares))
        if number == 0:
            next(shares)
        cells.append(line.replace("</tr>", f"{cell}</tr>", 1))
    return "<tr>".join([head, *cells])


def _comparison(report: Report) -> str:
    found = compare(report)
    steps: list[tuple[str, Number | None, str]] = [
        ("AccelForge", found.accelforge, "each Einsum's slowest component, back to back"),
        ("with residency and exact counts", found.back_to_back, "the same sum, polylat's accesses"),
        ("sequential", found.sequential, "with barriers and prefetch; no overlap of branches"),
        ("latency", found.latency, "with Pipelines and background write-backs"),
    ]
    most = max((Fraction(t) for _, t, _ in steps if t is not None), default=Fraction(1)) or 1
    rows = [
        ([name, "illegal" if time is None else show(time), what], float(Fraction(time or 0) / most))
        for name, time, what in steps
    ]
    text = _metered(["Step", ">Time", "What it is"], rows)
    orders = [
        [order, "not settled" if order in report.unsettled else "contradicts the dependences"]
        if latency is None
        else [order, show(latency)]
        for order, latency in report.latency_by_order.items()
    ]
    charges = [
        [
            c.einsum,
            c.component,
            c.tensor or "-",
            c.action,
            show(c.accelforge),
            show(c.polylat),
            f"found in {c.found_in}, where {c.brought_by} left it" if c.found_in else "exact count",
        ]
        for c in found.charges[:ROWS]
    ]
    if charges:
        names = ["Einsum", "Component", "Tensor", "Action", ">AccelForge", ">polylat", "Why"]
        text += "<h3>Accesses that the two count differently</h3>" + table(names, charges)
    text += "<h3>Latency by order of the ports</h3>" + table(["Order", ">Latency"], orders)
    return _scroll(text, "Comparison")


def _ports(report: Report) -> str:
    rows = []
    for port, users in zip(report.ports, port_users(report), strict=True):
        used = ", ".join(f"{name} {percent(busy, port.busy)}" for name, busy in users.items())
        share = float(port.utilization)
        rows.append(([port.name, show(port.busy), percent(port.busy, report.latency), used], share))
    text = _metered(["Port", ">Busy", ">Utilisation", "Used by"], rows)
    for pipeline in report.contention:
        text += f"<p>Pipeline {escape(' | '.join(pipeline.stages))}:"
        if pipeline.shared:
            text += f" the stages contend for {escape(', '.join(pipeline.shared))}."
        if pipeline.own:
            text += f" Each has units of its own of {escape(', '.join(pipeline.own))}."
        text += "</p>"
    return _scroll(text, "Ports")


def _critical(report: Report) -> str:
    try:
        totals = report.critical_totals
    except UnsupportedError as error:
        return f"<p>{escape(str(error))}</p>"
    rows = []
    for (einsum, component, tensor, action), time in list(totals.items())[:ROWS]:
        share = float(Fraction(time) / Fraction(report.latency or 1))
        cells = [einsum, component, tensor or "-", action, show(time)]
        rows.append(([*cells, percent(time, report.latency)], share))
    names = ["Einsum", "Component", "Tensor", "Action", ">Time", ">Of the latency"]
    text = _metered(names, rows)
    waited = ", ".join(
        f"{WAITS[why]} {show(time)} ({percent(time, report.latency)})"
        for why, time in report.critical_waits.items()
    )
    text += f"<p>Time by what the access had waited for: {escape(waited)}.</p>"
    path = report.critical_path
    steps = [
        [
            show(s.start),
            show(s.finish),
            s.einsum,
            tile_words(s.tile),
            f"{s.component}.{s.port}" if s.port else s.component,
            f"{s.tensor or '-'} {s.action}",
            WAITS[s.waited_for],
        ]
        for s in path[:STEPS]
    ]
    heads = [">Start", ">Finish", "Einsum", "Tile", "Port", "Access", "After"]
    text += (
        f"<details><summary>Step by step: the first {len(steps)} of {len(path):,}</summary>"
        f"{table(heads, steps)}</details>"
    )
    return _scroll(text, "Critical path")


def _memories(report: Report) -> str:
    from polylat.occupancy import known_peak

    rows = []
    for memory in report.occupancy:
        peak = known_peak(memory)
        name = memory.component + "".join(f"[{stage}]" for stage in memory.stages)
        known = "not known: not periodic" if peak is None else show(peak)
        size = "unlimited" if memory.size is None else show(memory.size)
        share = 0.0
        note = ""
        if peak is not None and memory.size:
            share = float(Fraction(peak) / Fraction(memory.size))
            note = percent(peak, memory.size) + (" exceeded" if memory.exceeded else "")
        rows.append(([name, known, size, note], share))
    text = _metered(["Memory", ">Peak (bits)", ">Size (bits)", ">Of its size"], rows)
    return _scroll(text, "Memories") + (
        '<p class="faint">Tiles count as filled whole. The levels over time are under the'
        " timeline.</p>"
    )


def _mapping(report: Report) -> str:
    tree = report.mapping_tree()
    return (
        _scroll(tree.to_svg(alone=False), "Mapping")
        + f"<details><summary>As text</summary><pre>{escape(tree.to_text())}</pre></details>"
    )


def _certificate(certificate: Certificate | None) -> str:
    if certificate is None:
        return (
            "<p>Not asked for. <code>polylat report FILES --verify</code> proves that the schedule"
            " keeps every rule for all tile iterations.</p>"
        )
    rows = [[p.kind, f"{p.relations:,}", f"{p.decisions:,}", p.meaning] for p in certificate.proven]
    head = (
        f"<p><b>Proven</b> for all {certificate.tiles:,} tile iterations: {certificate.tasks:,}"
        f" services by ports, {certificate.pieces:,} pieces, {certificate.asked:,} decisions by"
        " ISL.</p>"
    )
    notes = "".join(f"<p>Not checked: {escape(note)}.</p>" for note in certificate.notes)
    names = ["Proven", ">Relations", ">Decisions", "What it says"]
    return _scroll(head + table(names, rows) + notes, "Certificate")


def _inputs(report: Report, inputs: Sequence[str], variables: Mapping[str, object]) -> str:
    options = [
        ["order", report.order],
        ["granularity", report.granularity],
        ["background", ", ".join(f"{t}@{c}" for t, c in report.background) or "none"],
        ["slots", str(report.slots)],
        ["engine", report.engine],
        *([name, str(value)] for name, value in variables.items()),
    ]
    parts = ["<h3>Options</h3>", table(["Option", "Value"], options)]
    for path in inputs:
        try:
            text = Path(path).read_text(encoding="utf-8", errors="replace")
        except OSError as error:
            raise OptionError(f"cannot read {path}: {error.strerror or error}") from error
        name = escape(Path(path).name)
        parts.append(f"<details><summary>{name}</summary><pre>{escape(text)}</pre></details>")
    parts.append("<h3>Versions</h3>")
    parts.append(table(["Package", "Version"], list(_versions())))
    text = escape(report_text(report))
    parts.append(f"<details><summary>The report as text</summary><pre>{text}</pre></details>")
    return _scroll("".join(parts), "Inputs and versions")


def _versions() -> Iterator[list[str]]:
    import polylat

    yield ["polylat", polylat.__version__]
    yield ["Python", platform.python_version()]
    for name in ("islpy", "islpy-barvinok", "numpy", "numba"):
        try:
            yield [name, version(name)]
        except PackageNotFoundError:
            continue


# Sensitivity --------------------------------------------------------------------------------------


def _sensitivity(report: Report, wanted: bool | None) -> str:
    quick = report._model.graph.tasks <= QUICK[report.engine]
    curves_only = wanted is None and not quick and report.engine == "explicit"
    if wanted is None:
        wanted = quick
    if not wanted and not curves_only:
        return (
            "<p>Left out, as it takes a while for this schedule: <code>polylat report FILES"
            " --sensitivity</code>, or <code>polylat explain FILES</code>.</p>"
        )
    stays = (
        "For the order in which the ports serve now; analysed anew, another may be faster still."
    )
    parts = [f'<p class="faint">{stays}</p>']
    if curves_only:
        more = "<code>polylat explain FILES</code> says how much each action could cost for free."
        parts.append(f"<p>{more}</p>")
    else:
        rows = report.sensitivity().components
        parts.append(_scroll(_sensitive(rows, report), "Sensitivity"))
    curves = []
    for component in dict.fromkeys(port.component for port in report.ports):
        try:
            curves.append(report.curve(component))
        except UnsupportedError:
            continue
    if curves:
        parts.append(f"<h3>Latency by bandwidth</h3>{curves_html(curves)}")
    return "".join(parts)


def _sensitive(rows: Sequence[Row], report: Report) -> str:
    listed = []
    for row in rows[:ROWS]:
        slack = "-" if row.slack is None else f"{float(row.slack):.4g} x"
        free = "not settled" if row.latency_if_free is None else show(row.latency_if_free)
        cells = [row.component, row.action, show(row.critical), slack, free]
        share = float(Fraction(row.critical) / Fraction(report.latency or 1))
        listed.append((cells, share))
    names = ["Component", "Action", ">On the critical path", ">Free slowdown", ">Latency if free"]
    return _metered(names, listed)
