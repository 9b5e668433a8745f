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

from polylat.analysis.bandwidth_curve import Curve
from polylat.analysis.results import Results
from polylat.analysis.timeline import StackData
from polylat.analysis.timeline_builder import TimelineBuilder
from polylat.analysis.transfer_cost import last_write_back
from polylat.characters import escape_hidden
from polylat.errors import OptionError, UnsupportedError
from polylat.files import as_path
from polylat.numbers import format_number, percent
from polylat.proof.certificate import Certificate
from polylat.spec.arguments import normalize_title
from polylat.spec.pairs import pair_names
from polylat.tables import Column, Table
from polylat.version import __version__
from polylat.views.curves import curves_html
from polylat.views.html import headline, scroll_box, table_box
from polylat.views.latency_steps import latency_steps_tables
from polylat.views.mapping_tree import mapping_tree
from polylat.views.report_tables import (
    critical_table,
    memories_table,
    orders_table,
    ports_table,
    steps_table,
    totals_or_none,
)
from polylat.views.scene import Label, Scene
from polylat.views.sentences import (
    ORDER_IS_KEPT,
    is_small,
    listed,
    undetermined_sentence,
)
from polylat.views.svg import scene_svg, style_sheet
from polylat.views.text import report_text
from polylat.views.timeline_scene import timeline_scene

__all__ = ["report_page", "timeline_page"]

_WIDTH = 1120
"""Width of timelines in pixels."""

_ROWS = 24
"""Largest number of rows of a table."""

_STEPS = 40
"""Largest number of listed steps of the critical path."""

_AROUND = 2
"""A close-up extends by this multiple of the write-back's duration on either side."""

_LISTED = 5
"""Largest number of names in a sentence."""

_BEST = 3
"""Largest number of changes that the headline names."""

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
        ("timeline", "Timeline", _timelines(results, builder)),
        ("changes", "What would help", _changes(results, curves)),
        ("comparison", "From AccelForge's latency to polylat's", _comparison(results)),
        ("ports", "Ports", _ports(results)),
        ("critical", "Critical path", _critical(results)),
        ("sensitivity", "Sensitivity", change),
        ("memories", "Memories", _memories(results)),
        *_energy(results),
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
            text = escape_hidden(f"polylat report {self.arguments} {option}")
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
    drawing = style_sheet(None, ".unused").replace(
        "@media(prefers-color-scheme:dark)", "@media not all"
    )
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
    """Summarize the critical path, and the most effective changes."""
    answers = [*_why(results), *_changing(results, curves)]
    rows = (f"<dt>{name}</dt><dd>{text}</dd>" for name, text in answers)
    return f'<dl class="answers">{"".join(rows)}</dl>'


def _why(results: Results) -> Iterator[tuple[str, str]]:
    totals = totals_or_none(results)
    if totals is None:
        yield "Critical path", 'not determined (<a href="#critical">why</a>)'
        return
    kinds: dict[str, Fraction] = {}
    for (_, component, _, action), time in totals.items():
        name = f"{component} {action}"
        kinds[name] = kinds.get(name, Fraction(0)) + Fraction(time)
    on = _shares(kinds, results)
    if on:
        yield "Critical path", f'{escape(listed(on, _LISTED))} (<a href="#critical">details</a>)'


def _shares(times: Mapping[str, Fraction], results: Results) -> list[str]:
    """Names with their shares of the latency, the largest first, without those that take no time."""
    ordered = sorted(times.items(), key=lambda item: -item[1])
    return [f"{name} {percent(time, results.latency)}" for name, time in ordered if time]


def _changing(results: Results, curves: Sequence[Curve]) -> Iterator[tuple[str, str]]:
    """Yield the single changes that lower the latency most."""
    if not curves:
        return
    if is_small(results):
        found = results.changes()
        helpful = found.helpful[:_BEST]
        texts = [f"{escape(change.what)}: {escape(str(change.found))}" for change in helpful]
    else:
        best = min(curves, key=lambda curve: Fraction(curve.at_bandwidth(2)))
        latency = best.at_bandwidth(2)
        texts = [f"{escape(best.component)} twice as fast: {format_number(latency)}"]
        texts = texts if latency < results.latency else []
    text = "; ".join(texts) or "no single change lowers the latency"
    yield "What would help", f'{text} (<a href="#changes">details</a>)'


def _changes(results: Results, curves: Sequence[Curve]) -> str:
    if curves and is_small(results):
        return "".join(map(table_box, results.changes().short_tables()))
    return (
        "<p>Each change is an analysis of its own, and these take a while for this mapping:"
        " polylat explain with the same files and options, or"
        " report.changes() in Python.</p>"
    )


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
    if is_small(results):
        parts += _close_ups(results, builder)
    return "".join(parts)


def _close_ups(results: Results, builder: TimelineBuilder) -> Iterator[str]:
    """Yield the last write-back of each tensor whose cost the headline gives, enlarged."""
    for number, holder in enumerate(results.write_backs[:_LISTED], start=2):
        tensor, component = holder
        found = last_write_back(results.solution, holder)
        if found is None or found[0] == found[1]:
            continue
        start, finish = found
        around = (finish - start) * _AROUND
        window = max(start - around, 0), min(finish + around, results.latency)
        behind = " in the background" if holder in results.background else ""
        title = f"Close-up: the last write-back of {tensor} from {component}{behind}"
        line = builder.timeline(window, False, title, 120)
        if line.bars:
            yield _interactive(StackData((line,)), f"t{number}")


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


def _comparison(results: Results) -> str:
    tables = (*latency_steps_tables(results), orders_table(results))
    return "".join(table_box(table.first(_ROWS)) for table in tables)


def _ports(results: Results) -> str:
    return table_box(ports_table(results)) if results.ports else _NOTHING


def _critical(results: Results) -> str:
    try:
        table = critical_table(results, _ROWS)
    except UnsupportedError as error:
        return f"<p>{escape(undetermined_sentence(error))}</p>"
    if not table.rows:
        return _NOTHING
    chosen = ("start", "finish", "einsum", "tile", "port_name", "tensor", "action", "waited_for")
    steps = steps_table(results, _STEPS).select(*chosen)
    summary = f"Step by step: the first {len(steps.rows)} of {results.critical_path.length:,}"
    return f"{table_box(table)}<details><summary>{summary}</summary>{table_box(steps)}</details>"


def _memories(results: Results) -> str:
    return table_box(memories_table(results)) + (
        '<p class="faint">Each tile counts with its full size. The timeline shows the occupancy over'
        " time.</p>"
    )


def _energy(results: Results) -> Iterator[tuple[str, str, str]]:
    """Yield the section on energy, where the architecture gives energies."""
    energy = results.known_energy
    if energy is not None and energy.total:
        notes = "".join(f"<p>{escape(line)}</p>" for line in energy.headline()[1:])
        yield "energy", "Energy", "".join(map(table_box, energy.tables())) + notes


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
    head = f"<p><b>{escape(certificate.headline()[0])}</b><br>{escape(certificate.how)}.</p>"
    return head + "".join(map(table_box, certificate.tables()))


def _inputs(results: Results, inputs: Sequence[str], variables: Mapping[str, object]) -> str:
    options = (
        ("order", results.order),
        ("granularity", results.granularity),
        ("pipelined", ", ".join(results.options["pipelined"]) or "none"),
        ("background", ", ".join(pair_names(results.background)) or "none"),
        ("staged", ", ".join(pair_names(results.staged_holders)) or "none"),
        ("slots", str(results.slots)),
        ("engine", results.engine),
        *((name, str(value)) for name, value in variables.items()),
    )
    columns = (Column("option", "Option"), Column("value", "Value"))
    parts = [table_box(Table(columns, options, "Options"))]
    for path in _named(inputs):
        try:
            text = path.read_text(encoding="utf-8", errors="replace")
        except OSError as error:
            raise OptionError(f"cannot read {path}: {error.strerror or error}") from error
        name = escape_hidden(path.name)
        shown = _pre(escape_hidden(text, multiline=True), name)
        parts.append(f"<details><summary>{escape(name)}</summary>{shown}</details>")
    columns = (Column("package", "Package"), Column("version", "Version"))
    parts.append(table_box(Table(columns, tuple(_versions()), "Versions")))
    text = _pre(report_text(results), "The report as text")
    parts.append(f"<details><summary>The report as text</summary>{text}</details>")
    return "".join(parts)


def _named(inputs: Any) -> list[Path]:
    several = isinstance(inputs, Iterable) and not isinstance(inputs, str)
    return [as_path(path) for path in (inputs if several else [inputs])]


def _pre(text: str, name: str) -> str:
    return f'<pre tabindex="0" role="region" aria-label="{escape(name)}">{escape(text)}</pre>'


def _versions() -> Iterator[tuple[str, str]]:
    yield "polylat", __version__
    yield "Python", platform.python_version()
    for name in ("islpy", "islpy-barvinok", "numpy", "numba"):
        try:
            yield name, version(name)
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
    by_action, _ = results.sensitivity(by_access=False).tables()
    chosen = ("component", "action", "critical", "share", "slack", "latency_if_free")
    table = by_action.select(*chosen).first(_ROWS)
    parts = [f'<p class="faint">{ORDER_IS_KEPT}</p>', table_box(table)]
    curves = []
    for component in dict.fromkeys(port.component for port in results.ports):
        try:
            curves.append(results.curve(component))
        except UnsupportedError:
            continue
    if curves:
        parts.append(f"<h3>Latency by bandwidth</h3>{curves_html(curves)}")
    return "".join(parts), tuple(curves)
