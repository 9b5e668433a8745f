"""An explanation of a latency as a value: what limits it, what would help, what has slack."""

from __future__ import annotations

from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING, Any

from polylat.analysis.results import Results
from polylat.tables import fragment
from polylat.views.as_json import explanation_to_dict
from polylat.views.text import explanation_text, render_explanation

if TYPE_CHECKING:
    from rich.console import RenderableType

__all__ = ["Explanation"]


@dataclass(frozen=True, eq=False)
class Explanation:
    """What limits a latency, what would help, and what has slack.

    Parameters
    ----------
    results
        The results.
    """

    results: Results = field(repr=False)

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data for JSON, as ``docs/json.md`` describes it.

        Returns
        -------
        dict
            Numbers are integers, or texts such as ``"1/3"``.
        """
        return explanation_to_dict(self.results)

    def to_rich(self) -> RenderableType:
        """Render for a rich console.

        Returns
        -------
        rich.console.RenderableType
            The headline and the sections.
        """
        return render_explanation(self.results)

    def __str__(self) -> str:
        return explanation_text(self.results)

    def _repr_html_(self) -> str:
        return fragment(f"<pre>{escape(str(self))}</pre>")
