"""Render reports, sensitivities and curves for the terminal: as rich renderables and plain text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from polylat.analysis.access import OVERHEAD
from polylat.analysis.bandwidth_curve import Curve
from polylat.analysis.results import Results
from polylat.errors import UnsupportedError
from polylat.numbers import format_number
from polylat.proof.certificate import Certificate
from polylat.tables import Table, plain_text
from polylat.views.curve_tables import bandwidths_table, curve_sentences, pieces_table
from polylat.views.latency_steps import latency_steps_tables
from polylat.views.report_tables import (
    critical_table,
    intervals_table,
    memories_table,
    orders_table,
    ports_table,
    steps_table,
    totals_or_none,
)
from polylat.views.sentences import (
    LEAVES_STREAM,
    ORDER_IS_KEPT,
    STATES_ARE_WAITED_FOR,
    count_words,
    has_many_accesses,
    is_small,
    latency_sentences,
    undetermined_sentence,
    waits_sentence,
)

__all__ = [
    "curve_text",
    "explanation_text",
    "render_curve",
    "render_explanation",
    "render_report",
    "render_summary",
    "report_text",
]

_ROWS = 12
"""Largest number of rows of a table."""

_CHANGES = 24
"""Largest number of listed changes."""

_USERS = 4
"""Largest number of listed Einsums per port."""

_BEST = 3
"""Number of changes in a summary."""

_NOTHING = "Nothing takes time."
_MANY_ACCESSES = "This takes long for a network of this size: report.sensitivity() in Python."
_ALL_LIMIT = "Nothing: every access increases the latency if it becomes slower."


def report_text(results: Results, *, steps: int = 0) -> str:
    """Render a report as plain text.

    Parameters
    ----------
    results
        The results.
    steps
        Number of listed steps of the critical path.

    Returns
    -------
    str
        Lines of at most `polylat.tables.WIDTH` characters.
    """
    return plain_text(render_report(results, steps=steps))


def render_report(
    results: Results, *, steps: int = 0, certificate: Certificate | None = None
) -> RenderableType:
    """Render a report for a rich console.

    Parameters
    ----------
    results
        The results.
    steps
        Number of listed steps of the critical path.
    certificate
        What was proven; None if nothing was.

    Returns
    -------
    rich.console.RenderableType
        The headline and the sections of the report.
    """
    ladder, *charges = latency_steps_tables(results)
    shown = ladder.select("step", "change", "latency", "reason")
    sections = [
        _headline(results),
        _section("From AccelForge's latency to polylat's", shown),
        *(_section(table.title, table.first(_ROWS)) for table in charges),
        _section("Latency by order of service", orders_table(results)),
        _section("Ports", _if_rows(ports_table(results, _USERS))),
        _section("Critical path", _determined(lambda: critical_table(results, _ROWS))),
    ]
    if steps and totals_or_none(results) is not None:
        title = f"Critical path, step by step (first {steps})"
        sections.append(_section(title, *_steps(results, steps)))
    sections.append(_section("Memories", memories_table(results)))
    if certificate is not None:
        head = _styled(certificate.headline()[0])
        sections.append(_section("Certificate", head, f"{certificate.how}.", *certificate.tables()))
    limit = f"{LEAVES_STREAM} {STATES_ARE_WAITED_FOR}" if results.recurrences else LEAVES_STREAM
    sections.append(Text(limit, style="dim"))
    return _spaced(sections)


def render_summary(results: Results) -> RenderableType:
    """Render the answer on one screen: the latency, what it rests on, and what would help most.

    Parameters
    ----------
    results
        The results.

    Returns
    -------
    rich.console.RenderableType
        The headline, the best single changes, and where to find more.
    """
    if is_small(results):
        changes = results.changes()
        table = changes.short_tables()[0].where("saved", lambda saved: (saved or 0) > 0)
        best = replace(table, rows=table.rows[:_BEST])
        help_section = _section("What would help most", _if_rows(best, *changes.headline()))
    else:
        help_section = _section("What would help", "polylat explain analyzes every single change.")
    more = "More: polylat analyze --full, explain, timeline and report, with the same files."
    return Group(_headline(results), Text(), help_section, Text(), Text(more, style="dim"))


def explanation_text(results: Results) -> str:
    """Render what limits a latency as plain text.

    Parameters
    ----------
    results
        The results.

    Returns
    -------
    str
        Lines of at most `polylat.tables.WIDTH` characters.
    """
    return plain_text(render_explanation(results))


def render_explanation(results: Results) -> RenderableType:
    """Render what limits a latency, what has slack, and which change helps, for a rich console.

    Parameters
    ----------
    results
        The results.

    Returns
    -------
    rich.console.RenderableType
        The headline and the sections of the explanation.
    """
    listed = not has_many_accesses(results)
    actions, accesses = results.sensitivity(by_access=listed).tables()
    changes, *written = results.changes().short_tables()
    times = ("critical", "share", "count", "duration", "latency_if_free")
    access = ("einsum", "component", "tensor", "action")
    slack = accesses.where("slack", lambda factor: factor is not None and factor > 1)
    slack = slack.first(_ROWS).select(*access, "slack")
    actions, accesses = replace(actions, notes=()), replace(accesses, notes=())

    def critical(table: Table, names: Sequence[str], *notes: str) -> Table | str:
        found = table.where("critical", bool).first(_ROWS).select(*names, *times)
        return _if_rows(replace(found, notes=(*found.notes, *notes)))

    by_action: Table | str
    by_access: Table | str
    try:
        by_action = critical(actions, ("component", "action"), waits_sentence(results))
        by_access = critical(accesses, access)
    except UnsupportedError as error:
        by_action = by_access = undetermined_sentence(error)
    with_slack: Table | str = slack if slack.rows or slack.notes else _ALL_LIMIT
    if not listed:
        by_access = with_slack = _MANY_ACCESSES
    sections = [
        _headline(results),
        _section(
            "What would help: single changes, each by an analysis of its own",
            changes.first(_CHANGES),
        ),
        *(_section(table.title, table) for table in written),
        _section(
            "Steady state: the initiation interval of each loop",
            _determined(
                lambda: _longest_loops(results), "No loop repeats along the critical path."
            ),
        ),
        _section("What limits the latency: time on the critical path", by_action),
        _section("The same by access", by_access),
        _section(
            "What has slack: how many times slower each access could be at the same latency",
            with_slack,
        ),
        Text(
            f"Slack, and latency if free: {ORDER_IS_KEPT[0].lower()}{ORDER_IS_KEPT[1:]}",
            style="dim",
        ),
    ]
    return _spaced(sections)


def curve_text(results: Results, curve: Curve) -> str:
    """Render the latency as a function of a bandwidth as plain text.

    Parameters
    ----------
    results
        The results.
    curve
        The curve of one of their components.

    Returns
    -------
    str
        Lines of at most `polylat.tables.WIDTH` characters.
    """
    return plain_text(render_curve(results, curve))


def render_curve(results: Results, curve: Curve) -> RenderableType:
    """Render the latency as a function of a bandwidth for a rich console.

    Parameters
    ----------
    results
        The results.
    curve
        The curve of one of their components.

    Returns
    -------
    rich.console.RenderableType
        Sentences, the latency at multiples of the bandwidth, and the exact function.
    """
    what = _varied(results, curve)
    head = Text.assemble(
        ("Latency  ", "bold"),
        (format_number(curve.latency), "bold green"),
        f"  at the current {what}",
    )
    sentences = (f"{clause[0].upper()}{clause[1:]}." for clause in curve_sentences(curve, what))
    sections: list[RenderableType] = [Group(head, *(_indented(Text(line)) for line in sentences))]
    if any(curve.slopes):
        sections.append(_section(f"Latency by {what}", bandwidths_table(curve)))
        sections.append(_section("Exact function", pieces_table(curve, _ROWS)))
    sections.append(Text(ORDER_IS_KEPT, style="dim"))
    return _spaced(sections)


def _varied(results: Results, curve: Curve) -> str:
    """Return the noun for what a curve varies."""
    if curve.action == OVERHEAD:
        return f"speed of the overhead of {curve.component}"
    paths = results.solution.model.lowered.spec.arch.paths.values()
    kinds = {c.kind for path in paths for c in path if c.name == curve.component}
    noun = "throughput" if "Compute" in kinds else "bandwidth"
    if curve.action and noun == "bandwidth":
        return f"{curve.action} {noun} of {curve.component}"
    return f"{noun} of {curve.component}"


# Sections -----------------------------------------------------------------------------------------


def _headline(results: Results) -> RenderableType:
    head = Text.assemble(("Latency  ", "bold"), (format_number(results.latency), "bold green"))
    return Group(head, *(_indented(_styled(line)) for line in latency_sentences(results)))


def _styled(sentence: str) -> Text:
    """Emphasize what is proven and what is not."""
    text = Text(sentence)
    for start, style in {
        "Proven": "bold green",
        "Not ": "bold yellow",
        "Does not fit": "bold red",
    }.items():
        if sentence.startswith(start):
            end = sentence.find(" by " if " optimal by " in sentence else ":")
            text.stylize(style, 0, max(end, 0))
    return text


def _steps(results: Results, limit: int) -> list[Table | str]:
    chosen = ("start", "finish", "einsum", "tile", "port_name", "tensor", "action", "waited_for")
    rest = results.critical_path.length - limit
    more = [f"{count_words(rest, 'more step')}."] if rest > 0 else []
    return [steps_table(results, limit).select(*chosen), *more]


def _if_rows(table: Table, otherwise: str = _NOTHING) -> Table | str:
    return table if table.rows else otherwise


def _determined(make: Callable[[], Table], otherwise: str = _NOTHING) -> Table | str:
    """Return a table, or the reason why it is not determined."""
    try:
        return _if_rows(make(), otherwise)
    except UnsupportedError as error:
        return undetermined_sentence(error)


def _longest_loops(results: Results) -> Table:
    """Return the initiation intervals; of many loops, those whose steady states take longest."""
    table = intervals_table(results)
    if len(table.rows) <= _ROWS:
        return table
    loops = zip(results.initiation_intervals, table.rows, strict=True)
    longest = sorted(loops, key=lambda pair: -pair[0].interval * pair[0].iterations)
    rows = [row for _, row in longest]
    return replace(table, rows=tuple(rows)).first(_ROWS)


def _section(title: str, *parts: Table | Text | str) -> RenderableType:
    """Put parts below a title, which replaces the titles of tables."""
    shown = (
        replace(part, title="").to_rich() if isinstance(part, Table) else part for part in parts
    )
    return Group(Text(title, style="bold"), *map(_indented, shown))


def _indented(part: RenderableType) -> RenderableType:
    return Padding(Text(part) if isinstance(part, str) else part, (0, 0, 0, 2))


def _spaced(sections: Sequence[RenderableType]) -> RenderableType:
    return Group(*(part for section in sections for part in (section, Text())))
