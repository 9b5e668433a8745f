"""Tables as values: one `Table` renders itself to text, HTML, plain data and pandas."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from html import escape
from io import StringIO
from typing import TYPE_CHECKING, Any, Literal

from polylat.errors import MissingExtraError
from polylat.numbers import Number, format_number, json_number, to_float

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import RenderableType

__all__ = ["STYLE", "WIDTH", "Cell", "Column", "Table", "Tabular", "fragment", "plain_text"]

Cell = str | Number | bool | None
"""A value of a table: text, an exact number, a truth value, or nothing."""

WIDTH = 100
"""Columns of characters of plain text."""

STYLE = (
    ".polylat-html{font:14px/1.45 system-ui,sans-serif}"
    ".polylat-html table{border-collapse:collapse;margin:.4em 0}"
    # The class twice, to take precedence over Jupyter's style of tables.
    ".polylat-html.polylat-html th,.polylat-html.polylat-html td{padding:.2em .8em .2em 0;"
    "text-align:left;vertical-align:top;border-bottom:1px solid #8884}"
    ".polylat-html.polylat-html .n{text-align:right;font-variant-numeric:tabular-nums}"
    ".polylat-html caption{text-align:left;font-weight:600}"
    ".polylat-html svg{max-width:100%;height:auto}"
    ".polylat-html .big{font-size:1.5em;font-weight:600}"
)
"""The style of HTML fragments in notebooks."""


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Parameters
    ----------
    key
        Its name in plain data and in pandas.
    title
        Its heading in text and HTML.
    kind
        ``"text"``, ``"number"`` (aligned to the right) or ``"prose"`` (text that may wrap).
    """

    key: str
    title: str
    kind: Literal["text", "number", "prose"] = "text"


@dataclass(frozen=True)
class Table:
    """Rows of values under named columns.

    Parameters
    ----------
    columns
        The columns.
    rows
        Per row a value for each column. In numeric columns text stands for itself, such as
        ``"unlimited"``.
    title
        The caption.
    notes
        Sentences below the table.
    bold
        Numbers of the rows that are emphasized in text.

    Examples
    --------
    >>> table = Table((Column("port", "Port"), Column("busy", "Busy", "number")), (("DRAM", 1024),))
    >>> print(table.to_text(), end="")
    Port   Busy
    DRAM  1,024
    >>> table.to_dict()
    [{'port': 'DRAM', 'busy': 1024}]
    """

    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    title: str = ""
    notes: tuple[str, ...] = ()
    bold: frozenset[int] = frozenset()

    def first(self, count: int) -> Table:
        """Return the first rows, with a note that says how many follow.

        Parameters
        ----------
        count
            Largest number of rows.

        Returns
        -------
        Table
            The table itself if it has no more rows.
        """
        rest = len(self.rows) - count
        if rest <= 0:
            return self
        note = f"{rest:,} more row{'' if rest == 1 else 's'}; --json lists all."
        notes = (*self.notes, note)
        return Table(self.columns, self.rows[:count], self.title, notes, self.bold)

    def to_text(self, *, width: int = WIDTH) -> str:
        """Render as plain text.

        Parameters
        ----------
        width
            Largest number of characters in a line.

        Returns
        -------
        str
            The lines, without blanks at their ends.
        """
        return plain_text(self.to_rich(), width=width)

    def to_rich(self) -> RenderableType:
        """Render for a rich console.

        Returns
        -------
        rich.console.RenderableType
            The title, the table and its notes.
        """
        from rich.console import Group
        from rich.markup import escape as plain
        from rich.table import Table as RichTable
        from rich.text import Text

        table = RichTable(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
        for column in self.columns:
            justify: Any = "right" if column.kind == "number" else "left"
            table.add_column(plain(column.title), justify=justify)
        for number, row in enumerate(self.rows):
            style = "bold" if number in self.bold else ""
            table.add_row(*(Text(_shown(cell), style=style) for cell in row))
        title = [Text(self.title, style="bold")] if self.title else []
        return Group(*title, table, *(Text(note) for note in self.notes))

    def to_html(self) -> str:
        """Render as HTML.

        Returns
        -------
        str
            A ``<table>``, and a paragraph per note.
        """
        looks = [
            {"number": ' class="n"', "prose": ' class="w"'}.get(c.kind, "") for c in self.columns
        ]
        head = "".join(
            f'<th scope="col"{look}>{escape(column.title)}</th>'
            for column, look in zip(self.columns, looks, strict=True)
        )
        body = "".join(
            "<tr>"
            + "".join(
                f"<td{look}>{escape(_shown(cell))}</td>"
                for cell, look in zip(row, looks, strict=True)
            )
            + "</tr>"
            for row in self.rows
        )
        title = f"<caption><span>{escape(self.title)}</span></caption>" if self.title else ""
        notes = "".join(f"<p>{escape(note)}</p>" for note in self.notes)
        return f"<table>{title}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{notes}"

    def to_dict(self) -> list[dict[str, Any]]:
        """Return the rows as plain data for JSON.

        Returns
        -------
        list of dict
            Fractions are texts such as ``"1/3"``.
        """
        return [
            {
                column.key: json_number(cell) if _numeric(cell) else cell
                for column, cell in zip(self.columns, row, strict=True)
            }
            for row in self.rows
        ]

    def to_frame(self) -> pd.DataFrame:
        """Return the rows as a DataFrame.

        Returns
        -------
        pandas.DataFrame
            Whole numbers stay whole; a column with a fraction has the nearest doubles.

        Raises
        ------
        MissingExtraError
            pandas is not installed.
        UnsupportedError
            A number is beyond the range of doubles.
        """
        try:
            import pandas as pd
        except ImportError as error:
            raise MissingExtraError(
                "pandas is not installed", fix="pip install 'polylat[frames]'"
            ) from error
        return pd.DataFrame(
            {
                column.key: _doubles([row[k] for row in self.rows])
                for k, column in enumerate(self.columns)
            }
        )


class Tabular:
    """Base of values that show themselves as a headline and tables."""

    def headline(self) -> tuple[str, ...]:
        """Return the sentences above the tables.

        Returns
        -------
        tuple of str
            The first is emphasized.
        """
        raise NotImplementedError

    def tables(self) -> tuple[Table, ...]:
        """Return the value as tables.

        Returns
        -------
        tuple of Table
            One or more.
        """
        raise NotImplementedError

    def to_frame(self) -> pd.DataFrame:
        """Return the first table as a DataFrame.

        Returns
        -------
        pandas.DataFrame
            See `Table.to_frame`.
        """
        return self.tables()[0].to_frame()

    def __str__(self) -> str:
        parts = ["\n".join(self.headline()), *(table.to_text().rstrip() for table in self.tables())]
        return "\n\n".join(parts) + "\n"

    def _repr_html_(self) -> str:
        first, *rest = self.headline()
        lines = [f'<span class="big">{escape(first)}</span>', *map(escape, rest)]
        head = f"<p>{'<br>'.join(lines)}</p>"
        return fragment(head, *(table.to_html() for table in self.tables()))


def fragment(*parts: str) -> str:
    """Wrap pieces of HTML with their style, for a notebook.

    Parameters
    ----------
    *parts
        HTML.

    Returns
    -------
    str
        One element.
    """
    return f'<div class="polylat-html"><style>{STYLE}</style>{"".join(parts)}</div>'


def plain_text(renderable: RenderableType, *, width: int = WIDTH) -> str:
    """Print to text what a rich console would print, without color.

    Parameters
    ----------
    renderable
        Anything that rich can print.
    width
        Largest number of characters in a line.

    Returns
    -------
    str
        The lines, without blanks at their ends.
    """
    from rich.console import Console

    out = StringIO()
    console = Console(
        file=out, width=width, color_system=None, force_terminal=False, highlight=False, emoji=False
    )
    console.print(renderable)
    return "\n".join(line.rstrip() for line in out.getvalue().rstrip().splitlines()) + "\n"


def _numeric(cell: Cell) -> bool:
    return isinstance(cell, int | Fraction) and not isinstance(cell, bool)


def _shown(cell: Cell) -> str:
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    return cell if isinstance(cell, str) else format_number(cell)


def _doubles(values: Sequence[Cell]) -> list[Any]:
    """Return numbers as doubles if one of them is a fraction."""
    if not any(isinstance(value, Fraction) for value in values):
        return list(values)
    return [to_float(v) if isinstance(v, int | Fraction) else v for v in values]
