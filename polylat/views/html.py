"""Render pieces of HTML that pages and notebooks share."""

from __future__ import annotations

from dataclasses import replace
from html import escape

from polylat.analysis.results import Results
from polylat.numbers import format_number
from polylat.tables import Table
from polylat.views.sentences import latency_sentences

__all__ = ["headline", "scroll_box", "table_box"]


def scroll_box(text: str, name: str) -> str:
    """Wrap HTML that may be wider than the page in a box that scrolls.

    Parameters
    ----------
    text
        HTML.
    name
        The name of the box for screen readers.

    Returns
    -------
    str
        HTML.
    """
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(name)}">{text}</div>'
    )


def table_box(table: Table) -> str:
    """Render a table in a box that scrolls, and its notes below.

    Parameters
    ----------
    table
        The table; its title names the box.

    Returns
    -------
    str
        HTML.
    """
    notes = "".join(f"<p>{escape(note)}</p>" for note in table.notes)
    return scroll_box(replace(table, notes=()).to_html(), table.title) + notes


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
    accelforge = f"AccelForge's latency: {format_number(results.roofline)}."
    lines = (*latency_sentences(results), accelforge)
    return (
        f'<p>Latency <span class="big">{format_number(results.latency)}</span><br>'
        f"{'<br>'.join(map(escape, lines))}</p>"
    )
