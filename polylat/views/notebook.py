"""The representation of a report in a notebook."""

from __future__ import annotations

from polylat.analysis.results import Results
from polylat.analysis.timeline_builder import TimelineBuilder
from polylat.tables import fragment
from polylat.views.html import headline
from polylat.views.report_tables import ports_table
from polylat.views.timeline import timeline

__all__ = ["report_html"]


def report_html(results: Results, builder: TimelineBuilder) -> str:
    """Show a report in a notebook: the headline, the timeline and the ports.

    Parameters
    ----------
    results
        The report.
    builder
        Builds its timelines.

    Returns
    -------
    str
        HTML.
    """
    picture = timeline(builder, limit=200).to_svg()
    return fragment(headline(results), picture, ports_table(results).to_html())
