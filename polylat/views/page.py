"""Render reports and timelines as self-contained HTML pages: one file, no network, no library."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from html import escape
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from pathlib import Path
from typing import Any

from polylat.analysis.attribution import latency_steps, port_users
from polylat.analysis.bandwidth_curve import Curve
from polylat.analysis.occupancy import peak_or_none
from polylat.analysis.results import Results
from polylat.analysis.sensitivity import Row
from polylat.analysis.timeline import StackData
from polylat.analysis.timeline_builder import TimelineBuilder
from polylat.errors import OptionError, UnsupportedError
from polylat.files import as_path
from polylat.numbers import Number, format_number, format_ratio, percent
from polylat.proof.certificate import Certificate
from polylat.spec.options import normalize_title
from polylat.views.captions import tile_words
from polylat.views.curves import curves_html
from polylat.views.html import headline, scroll_box, table
from polylat.views.scene import Label, Scene, timeline_scene
from polylat.views.style import WAIT_REASONS
from polylat.views.svg import scene_svg, style_sheet
from polylat.views.text import report_text
from polylat.views.tree import mapping_tree

__all__ = ["report_page", "timeline_page"]

_WIDTH = 1120
"""Width of timelines in pixels."""

_ROWS = 24
"""Largest number of rows of a table."""

_STEPS = 40
"""Largest number of listed steps of the critical path."""

_LISTED = 5
"""Largest number of names in a sentence."""

_QUICK = {"explicit": 500_000, "periodic": 20_000}
"""Engine → largest number of tasks for which sensitivities are computed by default."""

_NOTHING = "<p>Nothing takes time.</p>"


def report_page(
    results: Results,
    builder: TimelineBuilder,
    *,
    inputs: Sequence[str] = (),
    variables: Mapping[str, object] | None = None,
    certificate: Certificate | None = None,
    sensitivity: bool | None = None,
    arguments: str | None = None,
    title: str = "polylat report",
) -> str:
    """Render a report as one self-contained HTML page.

    Parameters
    ----------
    results
        The results.
    builder
        Builds their timelines.
    inputs
        The input files; the page shows their text.
    variables
        The variables that were set for the input files.
    certificate
        The result of `Report.verify`, if the page is to show it.
    sensitivity
        Whether the page has sensitivities and bandwidth curves. None: if the schedule is small
        enough for them to be computed quickly.
    arguments
        The arguments of `polylat report` on the command line, which make hints commands. None:
        hints are Python.
    title
        The title of the page.

    Returns
    -------
    str
        HTML.

    Raises
    ------
    OptionError
        An input file cannot be read.
    """
    hints = _Hints(arguments)
    change, curves = _sensitivity(results, sensitivity, hints)
    sections = [
        ("headline", "Latency", headline(results) + _answers(results, curves)),
        ("comparison", "From AccelForge's latency to polylat's", _comparison(results)),
        ("timeline", "Timeline", _timelines(results, builder)),
        ("ports", "Ports", _ports(results)),
        ("critical", "Critical path", _critical(results)),
        ("sensitivity", "Sensitivity", change),
        ("memories", "Memories", _memories(results)),
        ("mapping", "Mapping", _mapping(results)),
        ("certificate", "Certificate", _certificate(certificate, hints)),
        ("inputs", "Inputs and versions", _inputs(results, inputs, variables or {})),
    ]
    return _page(normalize_title(title), sections)


@dataclass(frozen=True)
class _Hints:
    """How to request more: as a command if the page was made on the command line."""

    arguments: str | None

    def code(self, option: str, python: str) -> str:
        """The command with one more option, or the call in Python."""
        text = python
        if self.arguments is not None:
            text = f"polylat report {self.arguments} {option}"
        return f"<code>{escape(text)}</code>"


def timeline_page(stack: StackData) -> str:
    """Render timelines as one self-contained HTML page.

    Parameters
    ----------
    stack
        The timelines.

    Returns
    -------
    str
        HTML.
    """
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
    assets = files("polylat.views") / "assets"
    css = (assets / "page.css").read_text(encoding="utf-8")
    script = (assets / "page.js").read_text(encoding="utf-8")
    drawing = style_sheet(None, ".unused").replace("@media(prefers-color-scheme:dark)", "@media not all")
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        # An empty icon, so that the browser does not request one.
        '<link rel="icon" href="data:,">'
        f"<title>{escape(title)}</title><style>{css}{drawing}</style></head><body>"
        '<a class="skip" href="#main">To the content</a>'
        f"<header><h1>{escape(title)}</h1>"
        '<button id="theme" type="button" aria-pressed="false">Dark colors</button>'
        f'<nav aria-label="Sections">{links}</nav></header>'
        f'<main id="main">{body}</main>'
        "<footer>Times are exact, in the architecture's unit of time; ≈ marks rounded numbers."
        f"</footer><script>{script}</script></body></html>\n"
    )


# Summary ------------------------------------------------------------------------------------------


def _answers(results: Results, curves: Sequence[Curve]) -> str:
    """Summarize the critical path, the writes on it, and the most effective change."""
    answers = [*_why(results), *_changing(results, curves)]
    rows = (f"<dt>{name}</dt><dd>{text}</dd>" for name, text in answers)
    return f'<dl class="answers">{"".join(rows)}</dl>'


def _why(results: Results) -> Iterator[tuple[str, str]]:
    try:
        totals = results.critical_totals
    except UnsupportedError:
        return
    outputs = {
        leaf.einsum.name: leaf.einsum.outputs for leaf in results.solution.model.lowered.leaves
    }
    kinds: dict[str, Fraction] = {}
    writes: dict[str, Fraction] = {}
    # Writes of produced tensors come before writes that fill holders.
    for key in sorted(results.accesses, key=lambda key: key[2] not in outputs[key[0]]):
        einsum, component, tensor, action = key
        time = Fraction(totals.get(key, 0))
        if action == "write":
            name = f"{tensor} to {component} by {einsum}"
            writes[name] = writes.get(name, Fraction(0)) + time
        kinds[f"{component} {action}"] = kinds.get(f"{component} {action}", Fraction(0)) + time
    on = _shares(kinds, results)
    if on:
        yield "Critical path", f'{_listed(on)} (<a href="#critical">details</a>)'
    if writes:
        off = [name for name, time in writes.items() if not time]
        on = _shares(writes, results)
        yield "Writes on the critical path", _listed(on) if on else "none"
        if off:
            yield "Writes off the critical path", _listed(off)


def _shares(times: Mapping[str, Fraction], results: Results) -> list[str]:
    """Names with their shares of the latency, the largest first, without those that take no time."""
    ordered = sorted(times.items(), key=lambda item: -item[1])
    return [f"{name} {percent(time, results.latency)}" for name, time in ordered if time]


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _LISTED:,} more" if len(names) > _LISTED else ""
    return escape(", ".join(names[:_LISTED]) + more)


def _changing(results: Results, curves: Sequence[Curve]) -> Iterator[tuple[str, str]]:
    """The component whose doubled bandwidth reduces the latency most."""
    if not curves:
        return
    best = min(curves, key=lambda curve: Fraction(curve.at_bandwidth(2)))
    latency = Fraction(best.at_bandwidth(2))
    text = "no single component: doubling its bandwidth does not reduce the latency"
    if latency and latency < results.latency:
        times = f"{float(Fraction(results.latency) / latency):.3f}"
        text = (
            f"twice the bandwidth of {escape(best.component)}: {format_number(best.at_bandwidth(2))},"
            f" {times} times as fast"
        )
    yield "What would help", f'{text} (<a href="#sensitivity">details</a>)'


# Timelines ----------------------------------------------------------------------------------------


def _timelines(results: Results, builder: TimelineBuilder) -> str:
    if not results.latency:
        return _NOTHING
    whole = builder.timeline(None, False, "To scale", 300)
    parts = [_HELP, _interactive(StackData((whole,)), "t0")]
    if not whole.bars:
        folded = builder.timeline(None, True, "Repetitions folded", 120)
        if folded.folded:
            parts.append(_interactive(StackData((folded,)), "t1"))
    return "".join(parts)


_HELP = (
    '<p class="faint" id="timeline-keys">Point at a bar, or move between bars with the arrow keys:'
    " its access, duration, slack and what it waited for are shown below. Zoom with the buttons, with"
    " Ctrl and the mouse wheel, or with + and -; 0 shows the whole timeline.</p>"
)


def _interactive(stack: StackData, name: str) -> str:
    picture = timeline_scene(stack, _WIDTH)
    title = escape("; ".join(line.title for line in stack.timelines))
    return (
        f'<div data-timeline="{name}" data-left="{_left(picture):.1f}" data-zoom="1">'
        f'<div class="tools" role="group" aria-label="Zoom: {title}">'
        '<button type="button" data-zoom="in">Zoom in</button>'
        '<button type="button" data-zoom="out">Zoom out</button>'
        '<button type="button" data-zoom="all">All</button></div>'
        f'<div class="scroll" tabindex="0" role="region" aria-label="Timeline: {title}"'
        f' aria-describedby="timeline-keys">{scene_svg(picture, alone=False)}</div>'
        '<div class="readout" role="status" aria-live="polite"></div></div>'
    )


def _left(picture: Scene) -> float:
    """The x coordinate at which the time axis begins: right of the names of lanes."""
    names = [i.x for i in picture.items if isinstance(i, Label) and i.style == "lane"]
    return max(names, default=0.0) + 5.5


# Tables -------------------------------------------------------------------------------------------


def _meter(share: float) -> str:
    percentage = min(max(share, 0.0), 1.0) * 100
    return f'<td class="bar"><span class="meter" style="width:{percentage:.2f}%"></span></td>'


def _metered(
    names: Sequence[str], rows: Sequence[tuple[Sequence[str], float]], caption: str
) -> str:
    """A table whose last column is a bar."""
    head, *lines = table(names, [row for row, _ in rows], caption).split("<tr>")
    bars = ['<th scope="col" class="bar">Share</th>', *(_meter(share) for _, share in rows)]
    cells = [line.replace("</tr>", f"{bar}</tr>", 1) for line, bar in zip(lines, bars, strict=True)]
    return scroll_box("<tr>".join([head, *cells]))


def _comparison(results: Results) -> str:
    found = latency_steps(results)
    steps: list[tuple[str, Number | None, str]] = [
        (
            "AccelForge",
            found.accelforge,
            "each Einsum takes as long as its slowest component; Einsums run back to back",
        ),
        (
            "with residency and exact counts",
            found.back_to_back,
            "the same sum with polylat's access counts",
        ),
        (
            "sequential",
            found.sequential,
            "with barriers and prefetching, without overlap of branches",
        ),
        ("latency", found.latency, "with Pipelines and write-backs in the background"),
    ]
    most = max((Fraction(t) for _, t, _ in steps if t is not None), default=Fraction(1)) or 1
    rows = [
        (
            [name, "illegal" if time is None else format_number(time), meaning],
            float(Fraction(time or 0) / most),
        )
        for name, time, meaning in steps
    ]
    names = ["~Step", ">Time", "~Meaning"]
    text = _metered(names, rows, "Latencies, from AccelForge's model to polylat's")
    charges = [
        [
            " ".join(part for part in (c.einsum, c.component, c.tensor, c.action) if part),
            format_number(c.accelforge),
            format_number(c.polylat),
            f"already in {c.found_in}, brought by {c.brought_by}" if c.found_in else "exact count",
        ]
        for c in found.charges[:_ROWS]
    ]
    if charges:
        names = ["Access", ">AccelForge", ">polylat", "~Why"]
        text += scroll_box(
            table(names, charges, "Accesses whose actions AccelForge and polylat count differently")
        )
    orders = [
        [order, "not determined" if order in results.unsettled else "contradicts the dependences"]
        if latency is None
        else [order, format_number(latency)]
        for order, latency in results.latency_by_order.items()
    ]
    return text + scroll_box(table(["Order", ">Latency"], orders, "Latency by order of service"))


def _ports(results: Results) -> str:
    rows = []
    for port, users in zip(results.ports, port_users(results), strict=True):
        used = ", ".join(f"{name} {percent(busy, port.busy)}" for name, busy in users.items())
        share = float(port.utilization)
        rows.append(
            ([port.name, format_number(port.busy), percent(port.busy, results.latency), used], share)
        )
    if not rows:
        return _NOTHING
    names = ["Port", ">Busy", ">Utilization", "~Used by"]
    text = _metered(names, rows, "Busy time of each port, and the Einsums that use it")
    for pipeline in results.contention:
        text += f"<p>Pipeline {escape(' | '.join(pipeline.stages))}:"
        if pipeline.shared:
            text += f" the stages contend for {escape(', '.join(pipeline.shared))}."
        if pipeline.own:
            text += f" Each stage has its own units of {escape(', '.join(pipeline.own))}."
        text += "</p>"
    return text


def _critical(results: Results) -> str:
    try:
        totals = results.critical_totals
    except UnsupportedError as error:
        return f"<p>{escape(str(error))}</p>"
    if not totals:
        return _NOTHING
    rows = []
    for (einsum, component, tensor, action), time in list(totals.items())[:_ROWS]:
        share = float(Fraction(time) / Fraction(results.latency or 1))
        cells = [einsum, component, tensor or "-", action, format_number(time)]
        rows.append(([*cells, percent(time, results.latency)], share))
    names = ["Einsum", "Component", "Tensor", "Action", ">Time", ">Of the latency"]
    text = _metered(names, rows, "Accesses on the critical path; their times add up to the latency")
    waited = ", ".join(
        f"{WAIT_REASONS[why]} {format_number(time)} ({percent(time, results.latency)})"
        for why, time in results.critical_reasons.items()
    )
    text += f"<p>Time by what the access waited for: {escape(waited)}.</p>"
    path = results.critical_path
    steps = [
        [
            format_number(s.start),
            format_number(s.finish),
            s.einsum,
            tile_words(s.tile),
            f"{s.component}.{s.port}" if s.port else s.component,
            f"{s.tensor or '-'} {s.action}",
            WAIT_REASONS[s.waited_for],
        ]
        for s in path[:_STEPS]
    ]
    heads = [">Start", ">Finish", "Einsum", "Tile", "Port", "Access", "Waited for"]
    listed = scroll_box(table(heads, steps, "Steps of the critical path"))
    return text + (
        f"<details><summary>Step by step: the first {len(steps)} of {len(path):,}</summary>"
        f"{listed}</details>"
    )


def _memories(results: Results) -> str:
    rows = []
    for memory in results.occupancy:
        peak = peak_or_none(memory)
        name = memory.component + "".join(f"[{stage}]" for stage in memory.stages)
        peak_text = "not determined: not periodic" if peak is None else format_number(peak)
        size = "unlimited" if memory.size is None else format_number(memory.size)
        share = 0.0
        note = ""
        if peak is not None and memory.size:
            share = float(Fraction(peak) / Fraction(memory.size))
            note = percent(peak, memory.size) + (" exceeded" if memory.exceeded else "")
        rows.append(([name, peak_text, size, note], share))
    names = ["Memory", ">Peak (bits)", ">Size (bits)", ">Of its size"]
    return _metered(names, rows, "Peak occupancy of each memory") + (
        '<p class="faint">Each tile counts with its full size. The timeline shows the occupancy over'
        " time.</p>"
    )


def _mapping(results: Results) -> str:
    tree = mapping_tree(results.solution.model.lowered.spec.mapping, results=results)
    return (
        scroll_box(tree.to_svg(alone=False), "The mapping as a tree")
        + f'<ul class="legend">{"".join(f"<li>{escape(line)}</li>" for line in tree.legend())}</ul>'
        + f"<details><summary>As text</summary>{_pre(tree.to_text(), 'The mapping')}</details>"
    )


def _certificate(certificate: Certificate | None, hints: _Hints) -> str:
    if certificate is None:
        hint = hints.code("--verify", "report.to_html(certificate=report.verify())")
        return f"<p>Not requested. To prove that the schedule obeys every rule: {hint}</p>"
    rows = [[p.kind, f"{p.relations:,}", f"{p.decisions:,}", p.meaning] for p in certificate.proven]
    head = f"<p><b>Proven</b> for all {certificate.tiles:,} tile iterations: {certificate.how}.</p>"
    notes = "".join(f"<p>Not checked: {escape(note)}.</p>" for note in certificate.notes)
    names = ["Proven", ">Relations", ">Decisions", "~Meaning"]
    return head + scroll_box(table(names, rows, "Proven properties")) + notes


def _inputs(results: Results, inputs: Sequence[str], variables: Mapping[str, object]) -> str:
    options = [
        ["order", results.order],
        ["granularity", results.granularity],
        ["background", ", ".join(f"{t}@{c}" for t, c in results.background) or "none"],
        ["slots", str(results.slots)],
        ["engine", results.engine],
        *([name, str(value)] for name, value in variables.items()),
    ]
    parts = [scroll_box(table(["Option", "Value"], options, "Options"))]
    for path in _named(inputs):
        try:
            text = path.read_text(encoding="utf-8", errors="replace")
        except OSError as error:
            raise OptionError(f"cannot read {path}: {error.strerror or error}") from error
        name = path.name
        parts.append(f"<details><summary>{escape(name)}</summary>{_pre(text, name)}</details>")
    parts.append(scroll_box(table(["Package", "Version"], list(_versions()), "Versions")))
    text = _pre(report_text(results), "The report as text")
    parts.append(f"<details><summary>The report as text</summary>{text}</details>")
    return "".join(parts)


def _named(inputs: Any) -> list[Path]:
    several = isinstance(inputs, Iterable) and not isinstance(inputs, str)
    return [as_path(path) for path in (inputs if several else [inputs])]


def _pre(text: str, name: str) -> str:
    return f'<pre tabindex="0" role="region" aria-label="{escape(name)}">{escape(text)}</pre>'


def _versions() -> Iterator[list[str]]:
    yield ["polylat", version("polylat")]
    yield ["Python", platform.python_version()]
    for name in ("islpy", "islpy-barvinok", "numpy", "numba"):
        try:
            yield [name, version(name)]
        except PackageNotFoundError:
            continue


# Sensitivity --------------------------------------------------------------------------------------


def _sensitivity(
    results: Results, wanted: bool | None, hints: _Hints
) -> tuple[str, tuple[Curve, ...]]:
    if wanted is None:
        wanted = results.solution.model.graph.tasks <= _QUICK[results.engine]
    if not wanted:
        hint = hints.code("--sensitivity", "report.to_html(sensitivity=True)")
        return (
            f"<p>Omitted, as it takes a while to compute for this schedule. To include it: {hint}</p>",
            (),
        )
    note = "The order of service is kept; a new analysis may find an even faster order."
    parts = [f'<p class="faint">{note}</p>', _sensitive(results.sensitivity().components, results)]
    curves = []
    for component in dict.fromkeys(port.component for port in results.ports):
        try:
            curves.append(results.curve(component))
        except UnsupportedError:
            continue
    if curves:
        parts.append(f"<h3>Latency by bandwidth</h3>{curves_html(curves)}")
    return "".join(parts), tuple(curves)


def _sensitive(rows: Sequence[Row], results: Results) -> str:
    listed = []
    for row in rows[:_ROWS]:
        slack = "-" if row.slack is None else f"{format_ratio(row.slack)} x"
        free = "not determined" if row.latency_if_free is None else format_number(row.latency_if_free)
        cells = [row.component, row.action, format_number(row.critical), slack, free]
        share = float(Fraction(row.critical) / Fraction(results.latency or 1))
        listed.append((cells, share))
    names = ["Component", "Action", ">On the critical path", ">Free slowdown", ">Latency if free"]
    return _metered(names, listed, "How much the latency depends on each action")
