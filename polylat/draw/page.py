"""Reports and timelines as self-contained pages: no network, no library, one file."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from html import escape
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polylat.draw.curves import curves_html
from polylat.draw.html import headline, scrolling, table
from polylat.draw.scene import Scene, scene
from polylat.draw.style import WAITS
from polylat.draw.svg import paint, style
from polylat.draw.words import tile_words
from polylat.errors import OptionError, UnsupportedError
from polylat.exact import Number
from polylat.explain import compare, port_users
from polylat.files import named
from polylat.spec.options import normalize_title
from polylat.text import four_digits, percent, report_text, show
from polylat.timeline import Stack

if TYPE_CHECKING:
    from polylat.certificate import Certificate
    from polylat.report import Report
    from polylat.sensitivity import Curve, Row

__all__ = ["report_page", "timeline_page"]

WIDTH = 1120
ROWS = 24
STEPS = 40
LISTED = 5
QUICK = {"explicit": 500_000, "periodic": 20_000}
"""With up to so many tasks to look at, sensitivities are on the page unasked."""


_NOTHING = "<p>Nothing takes time.</p>"


def report_page(
    report: Report,
    *,
    inputs: Sequence[str] = (),
    variables: Mapping[str, object] | None = None,
    certificate: Certificate | None = None,
    sensitivity: bool | None = None,
    arguments: str | None = None,
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
    arguments
        What `polylat report` was given on the command line. Hints are commands then, else Python.
    title
        The title of the page.
    """
    hints = _Hints(arguments)
    change, curves = _sensitivity(report, sensitivity, hints)
    sections = [
        ("headline", "Latency", headline(report) + _answers(report, curves)),
        ("comparison", "From AccelForge's figure to the latency", _comparison(report)),
        ("timeline", "Timeline", _timelines(report)),
        ("ports", "Ports", _ports(report)),
        ("critical", "Critical path", _critical(report)),
        ("sensitivity", "What would change it", change),
        ("memories", "Memories", _memories(report)),
        ("mapping", "Mapping", _mapping(report)),
        ("certificate", "Certificate", _certificate(certificate, hints)),
        ("inputs", "Inputs and versions", _inputs(report, inputs, variables or {})),
    ]
    return _page(normalize_title(title), sections)


@dataclass(frozen=True)
class _Hints:
    """How to ask for more: on the command line if that is where the page was asked for."""

    arguments: str | None

    def code(self, option: str, python: str) -> str:
        """The command with one more option, or else Python."""
        words = python
        if self.arguments is not None:
            words = f"polylat report {self.arguments} {option}"
        return f"<code>{escape(words)}</code>"


def timeline_page(stack: Stack) -> str:
    """Timelines as one self-contained page of HTML."""
    title = "; ".join(line.title for line in stack.timelines)
    drawn = _HELP + _interactive(stack, "t0")
    return _page(f"Timeline: {title}", [("timeline", "Timeline", drawn)])


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
        f"<title>{escape(title)}</title><style>{css}{drawing}</style></head><body>"
        '<a class="skip" href="#main">To the content</a>'
        f"<header><h1>{escape(title)}</h1>"
        '<button id="theme" type="button" aria-pressed="false">Dark colours</button>'
        f'<nav aria-label="Sections">{links}</nav></header>'
        f'<main id="main">{body}</main>'
        "<footer>Times are exact, in the architecture's unit of time; ≈ marks what is rounded."
        f"</footer><script>{script}</script></body></html>\n"
    )


# First answers ------------------------------------------------------------------------------------


def _answers(report: Report, curves: Sequence[Curve]) -> str:
    """Why it takes so long, which writes it waits for, and what would change it: in a few words."""
    answers = [*_why(report), *_changing(report, curves)]
    rows = (f"<dt>{name}</dt><dd>{text}</dd>" for name, text in answers)
    return f'<dl class="answers">{"".join(rows)}</dl>'


def _why(report: Report) -> Iterator[tuple[str, str]]:
    try:
        totals = report.critical_totals
    except UnsupportedError:
        return
    outputs = {leaf.einsum.name: leaf.einsum.outputs for leaf in report._model.lowered.leaves}
    kinds: dict[str, Fraction] = {}
    writes: dict[str, Fraction] = {}
    # What an Einsum produces comes before what it fetches, which is written, too.
    for key in sorted(report.accesses, key=lambda key: key[2] not in outputs[key[0]]):
        einsum, component, tensor, action = key
        time = Fraction(totals.get(key, 0))
        if action == "write":
            name = f"{tensor} to {component} by {einsum}"
            writes[name] = writes.get(name, Fraction(0)) + time
        kinds[f"{component} {action}"] = kinds.get(f"{component} {action}", Fraction(0)) + time
    on = _shares(kinds, report)
    if on:
        yield "Critical path", f'{_listed(on)} (<a href="#critical">all of it</a>)'
    if writes:
        off = [name for name, time in writes.items() if not time]
        on = _shares(writes, report)
        yield "Writes on it", _listed(on) if on else "none"
        if off:
            yield "Writes not on it", _listed(off)


def _shares(times: Mapping[str, Fraction], report: Report) -> list[str]:
    """What takes time, with its share of the latency, the largest first."""
    ordered = sorted(times.items(), key=lambda item: -item[1])
    return [f"{name} {percent(time, report.latency)}" for name, time in ordered if time]


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - LISTED:,} more" if len(names) > LISTED else ""
    return escape(", ".join(names[:LISTED]) + more)


def _changing(report: Report, curves: Sequence[Curve]) -> Iterator[tuple[str, str]]:
    """The component of which twice the bandwidth gains most."""
    if not curves:
        return
    best = min(curves, key=lambda curve: Fraction(curve.at_bandwidth(2)))
    latency = Fraction(best.at_bandwidth(2))
    text = "twice the bandwidth of any one component gains nothing"
    if latency and latency < report.latency:
        times = f"{float(Fraction(report.latency) / latency):.3f}"
        text = (
            f"twice the bandwidth of {escape(best.component)}: {show(best.at_bandwidth(2))},"
            f" {times} times as fast"
        )
    yield "What would help", f'{text} (<a href="#sensitivity">more</a>)'


# Timelines ----------------------------------------------------------------------------------------


def _timelines(report: Report) -> str:
    if not report.latency:
        return _NOTHING
    whole = report.timeline(fold=False, limit=300, title="To scale")
    parts = [_HELP, _interactive(Stack((whole,)), "t0")]
    if not whole.bars:
        folded = report.timeline(fold=True, limit=120, title="What repeats, once")
        if folded.folded:
            parts.append(_interactive(Stack((folded,)), "t1"))
    return "".join(parts)


_HELP = (
    '<p class="faint" id="timeline-keys">Point at a bar, or go from bar to bar with the arrow keys:'
    " what it is, how long it takes, its slack and what it waited for are told below. Zoom with the"
    " buttons, with Ctrl and the wheel, or with + and -; 0 shows all.</p>"
)


def _interactive(stack: Stack, name: str) -> str:
    picture = scene(stack, WIDTH)
    title = escape("; ".join(line.title for line in stack.timelines))
    return (
        f'<div data-timeline="{name}" data-left="{_left(picture):.1f}" data-zoom="1">'
        f'<div class="tools" role="group" aria-label="Zoom: {title}">'
        '<button type="button" data-zoom="in">Zoom in</button>'
        '<button type="button" data-zoom="out">Zoom out</button>'
        '<button type="button" data-zoom="all">All</button></div>'
        f'<div class="scroll" tabindex="0" role="region" aria-label="Timeline: {title}"'
        f' aria-describedby="timeline-keys">{paint(picture, alone=False)}</div>'
        '<div class="told" role="status" aria-live="polite"></div></div>'
    )


def _left(picture: Scene) -> float:
    """Where the axis of time begins: right of the names of lanes."""
    from polylat.draw.scene import Label

    names = [i.x for i in picture.items if isinstance(i, Label) and i.style == "lane"]
    return max(names, default=0.0) + 5.5


# Tables -------------------------------------------------------------------------------------------


def _meter(share: float) -> str:
    wide = min(max(share, 0.0), 1.0) * 100
    return f'<td class="bar"><span class="meter" style="width:{wide:.2f}%"></span></td>'


def _metered(
    names: Sequence[str], rows: Sequence[tuple[Sequence[str], float]], caption: str
) -> str:
    """A table whose last column is a bar."""
    head, *lines = table(names, [row for row, _ in rows], caption).split("<tr>")
    bars = ['<th scope="col" class="bar">Share</th>', *(_meter(share) for _, share in rows)]
    cells = [line.replace("</tr>", f"{bar}</tr>", 1) for line, bar in zip(lines, bars, strict=True)]
    return scrolling("<tr>".join([head, *cells]))


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
    names = ["~Step", ">Time", "~What it is"]
    text = _metered(names, rows, "Times, from AccelForge's model to polylat's")
    charges = [
        [
            " ".join(part for part in (c.einsum, c.component, c.tensor, c.action) if part),
            show(c.accelforge),
            show(c.polylat),
            f"found in {c.found_in}, where {c.brought_by} left it" if c.found_in else "exact count",
        ]
        for c in found.charges[:ROWS]
    ]
    if charges:
        names = ["Access", ">AccelForge", ">polylat", "~Why"]
        text += scrolling(
            table(names, charges, "Numbers of actions that the two count differently")
        )
    orders = [
        [order, "not settled" if order in report.unsettled else "contradicts the dependences"]
        if latency is None
        else [order, show(latency)]
        for order, latency in report.latency_by_order.items()
    ]
    return text + scrolling(
        table(["Order", ">Latency"], orders, "Latency by the order in which ports serve")
    )


def _ports(report: Report) -> str:
    rows = []
    for port, users in zip(report.ports, port_users(report), strict=True):
        used = ", ".join(f"{name} {percent(busy, port.busy)}" for name, busy in users.items())
        share = float(port.utilization)
        rows.append(([port.name, show(port.busy), percent(port.busy, report.latency), used], share))
    if not rows:
        return _NOTHING
    names = ["Port", ">Busy", ">Utilisation", "~Used by"]
    text = _metered(names, rows, "How long each port is busy, and for which Einsums")
    for pipeline in report.contention:
        text += f"<p>Pipeline {escape(' | '.join(pipeline.stages))}:"
        if pipeline.shared:
            text += f" the stages contend for {escape(', '.join(pipeline.shared))}."
        if pipeline.own:
            text += f" Each has units of its own of {escape(', '.join(pipeline.own))}."
        text += "</p>"
    return text


def _critical(report: Report) -> str:
    try:
        totals = report.critical_totals
    except UnsupportedError as error:
        return f"<p>{escape(str(error))}</p>"
    if not totals:
        return _NOTHING
    rows = []
    for (einsum, component, tensor, action), time in list(totals.items())[:ROWS]:
        share = float(Fraction(time) / Fraction(report.latency or 1))
        cells = [einsum, component, tensor or "-", action, show(time)]
        rows.append(([*cells, percent(time, report.latency)], share))
    names = ["Einsum", "Component", "Tensor", "Action", ">Time", ">Of the latency"]
    text = _metered(names, rows, "Accesses on the critical path; their times add up to the latency")
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
    listed = scrolling(table(heads, steps, "Steps of the critical path"))
    return text + (
        f"<details><summary>Step by step: the first {len(steps)} of {len(path):,}</summary>"
        f"{listed}</details>"
    )


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
    names = ["Memory", ">Peak (bits)", ">Size (bits)", ">Of its size"]
    return _metered(names, rows, "The most that each memory holds at any time") + (
        '<p class="faint">Tiles count as filled whole. The levels over time are under the'
        " timeline.</p>"
    )


def _mapping(report: Report) -> str:
    tree = report.mapping_tree()
    return (
        scrolling(tree.to_svg(alone=False), "The mapping as a tree")
        + f'<ul class="legend">{"".join(f"<li>{escape(line)}</li>" for line in tree.legend())}</ul>'
        + f"<details><summary>As text</summary>{_pre(tree.to_text(), 'The mapping')}</details>"
    )


def _certificate(certificate: Certificate | None, hints: _Hints) -> str:
    if certificate is None:
        asked = hints.code("--verify", "report.to_html(certificate=report.verify())")
        return f"<p>Not asked for. To prove that the schedule keeps every rule: {asked}</p>"
    rows = [[p.kind, f"{p.relations:,}", f"{p.decisions:,}", p.meaning] for p in certificate.proven]
    head = f"<p><b>Proven</b> for all {certificate.tiles:,} tile iterations: {certificate.how}.</p>"
    notes = "".join(f"<p>Not checked: {escape(note)}.</p>" for note in certificate.notes)
    names = ["Proven", ">Relations", ">Decisions", "~What it says"]
    return head + scrolling(table(names, rows, "What was proven")) + notes


def _inputs(report: Report, inputs: Sequence[str], variables: Mapping[str, object]) -> str:
    options = [
        ["order", report.order],
        ["granularity", report.granularity],
        ["background", ", ".join(f"{t}@{c}" for t, c in report.background) or "none"],
        ["slots", str(report.slots)],
        ["engine", report.engine],
        *([name, str(value)] for name, value in variables.items()),
    ]
    parts = [scrolling(table(["Option", "Value"], options, "Options"))]
    for path in _named(inputs):
        try:
            text = path.read_text(encoding="utf-8", errors="replace")
        except OSError as error:
            raise OptionError(f"cannot read {path}: {error.strerror or error}") from error
        name = path.name
        parts.append(f"<details><summary>{escape(name)}</summary>{_pre(text, name)}</details>")
    parts.append(scrolling(table(["Package", "Version"], list(_versions()), "Versions")))
    text = _pre(report_text(report), "The report as text")
    parts.append(f"<details><summary>The report as text</summary>{text}</details>")
    return "".join(parts)


def _named(inputs: Any) -> list[Path]:
    several = isinstance(inputs, Iterable) and not isinstance(inputs, str)
    return [named(path) for path in (inputs if several else [inputs])]


def _pre(text: str, name: str) -> str:
    return f'<pre tabindex="0" role="region" aria-label="{escape(name)}">{escape(text)}</pre>'


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


def _sensitivity(
    report: Report, wanted: bool | None, hints: _Hints
) -> tuple[str, tuple[Curve, ...]]:
    if wanted is None:
        wanted = report._model.graph.tasks <= QUICK[report.engine]
    if not wanted:
        asked = hints.code("--sensitivity", "report.to_html(sensitivity=True)")
        return f"<p>Left out, as it takes a while for this schedule. To see it: {asked}</p>", ()
    stays = (
        "For the order in which the ports serve now; analysed anew, another may be faster still."
    )
    parts = [f'<p class="faint">{stays}</p>', _sensitive(report.sensitivity().components, report)]
    curves = []
    for component in dict.fromkeys(port.component for port in report.ports):
        try:
            curves.append(report.curve(component))
        except UnsupportedError:
            continue
    if curves:
        parts.append(f"<h3>Latency by bandwidth</h3>{curves_html(curves)}")
    return "".join(parts), tuple(curves)


def _sensitive(rows: Sequence[Row], report: Report) -> str:
    listed = []
    for row in rows[:ROWS]:
        slack = "-" if row.slack is None else f"{four_digits(row.slack)} x"
        free = "not settled" if row.latency_if_free is None else show(row.latency_if_free)
        cells = [row.component, row.action, show(row.critical), slack, free]
        share = float(Fraction(row.critical) / Fraction(report.latency or 1))
        listed.append((cells, share))
    names = ["Component", "Action", ">On the critical path", ">Free slowdown", ">Latency if free"]
    return _metered(names, listed, "How much the latency depends on each action")
