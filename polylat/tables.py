"""Tables as values: one `Table` renders itself to text, HTML, plain data and pandas."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from html import escape
from io import StringIO
from typing import TYPE_CHECKING, Any, Literal, TypeGuard

from polylat.errors import MissingExtraError
from polylat.numbers import Number, format_factor, format_number, json_number, percent, to_float

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import RenderableType

__all__ = ["STYLE", "WIDTH", "Cell", "Column", "Table", "Tabular", "fragment", "plain_text"]

Cell = str | Number | bool | None
"""A value of a table: text, an exact number, a truth value, or nothing."""

WIDTH = 100
"""Columns of characters of plain text."""

_EXACT_DOUBLES = 2**53
"""Up to this number, every integer is a double."""

STYLE = (
    ".polylat-html{font:14px/1.45 system-ui,sans-serif}"
    ".polylat-html table{border-collapse:collapse;margin:.4em 0}"
    # The class twice, to take precedence over Jupyter's style of tables.
    ".polylat-html.polylat-html th,.polylat-html.polylat-html td{padding:.2em .8em .2em 0;"
    "text-align:left;vertical-align:top;border-bottom:1px solid #8884}"
    ".polylat-html.polylat-html .n{text-align:right;font-variant-numeric:tabular-nums}"
    ".polylat-html caption{text-align:left;font-weight:600}"
    ".polylat-html td.share{text-align:right;white-space:nowrap}"
    ".polylat-html .meter{display:inline-block;width:9em;margin-left:.7em;text-align:left}"
    ".polylat-html .meter span{display:block;height:.7em;background:#8888}"
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
        How its cells are shown: ``"text"``; ``"prose"``, text that may wrap; or, aligned to the
        right, ``"number"``, ``"change"`` (with its sign), ``"factor"`` (such as ``2x``) or
        ``"share"`` (a percentage, in HTML with a bar).
    words
        Texts that replace some values in text and HTML, such as ``{None: "unlimited"}``.
    """

    key: str
    title: str
    kind: Literal["text", "prose", "number", "change", "factor", "share"] = "text"
    words: Mapping[Any, str] = field(default_factory=dict, hash=False)

    @property
    def is_numeric(self) -> bool:
        """Whether its cells are numbers."""
        return self.kind not in ("text", "prose")

    def format(self, cell: Cell) -> str:
        """Format a value for readers.

        Parameters
        ----------
        cell
            The value.

        Returns
        -------
        str
            The text; empty for None, unless `words` replaces it.
        """
        if cell in self.words:
            return self.words[cell]
        if cell is None:
            return ""
        if isinstance(cell, bool):
            return "yes" if cell else "no"
        if isinstance(cell, str):
            return cell
        if self.kind == "share":
            return percent(cell, 1)
        if self.kind == "factor":
            return format_factor(cell)
        return ("+" if self.kind == "change" and cell > 0 else "") + format_number(cell)


@dataclass(frozen=True)
class Table:
    """Rows of values under named columns.

    Parameters
    ----------
    columns
        The columns.
    rows
        Per row a value for each column. A text in a numeric column is shown as it is.
    title
        The caption.
    notes
        Sentences below the table.
    bold
        Indices of the emphasized rows.

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

    def select(self, *keys: str) -> Table:
        """Return the table with some of its columns.

        Parameters
        ----------
        *keys
            Their keys, in the new order.

        Returns
        -------
        Table
            The same rows.
        """
        index = {column.key: k for k, column in enumerate(self.columns)}
        chosen = [index[key] for key in keys]
        rows = tuple(tuple(row[k] for k in chosen) for row in self.rows)
        return replace(self, columns=tuple(self.columns[k] for k in chosen), rows=rows)

    def without_empty(self, key: str) -> Table:
        """Return the table without a column if the column has no value.

        Parameters
        ----------
        key
            The key of the column.

        Returns
        -------
        Table
            The same rows.
        """
        keys = [column.key for column in self.columns]
        at = keys.index(key)
        if any(row[at] is not None for row in self.rows):
            return self
        return self.select(*keys[:at], *keys[at + 1 :])

    def where(self, key: str, holds: Callable[[Any], bool]) -> Table:
        """Return the table with some of its rows.

        Parameters
        ----------
        key
            The key of a column.
        holds
            The condition on a cell of this column.

        Returns
        -------
        Table
            The rows that satisfy the condition.
        """
        (k,) = (k for k, column in enumerate(self.columns) if column.key == key)
        kept = [number for number, row in enumerate(self.rows) if holds(row[k])]
        bold = frozenset(new for new, old in enumerate(kept) if old in self.bold)
        return replace(self, rows=tuple(self.rows[number] for number in kept), bold=bold)

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
        note = f"{rest:,} more row{'' if rest == 1 else 's'}; the JSON lists all."
        return replace(self, rows=self.rows[:count], notes=(note, *self.notes))

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
        prose = any(column.kind == "prose" for column in self.columns)
        for column in self.columns:
            justify: Any = "right" if column.is_numeric else "left"
            # Prose becomes narrower before numbers do.
            kept = prose and column.is_numeric
            overflow: Any = "ellipsis" if kept else "fold"
            table.add_column(plain(column.title), justify=justify, no_wrap=kept, overflow=overflow)
        for number, row in enumerate(self.rows):
            style = "bold" if number in self.bold else ""
            cells = zip(self.columns, row, strict=True)
            table.add_row(*(Text(column.format(cell), style=style) for column, cell in cells))
        title = [Text(self.title, style="bold")] if self.title else []
        return Group(*title, table, *(Text(note) for note in self.notes))

    def to_html(self) -> str:
        """Render as HTML.

        Returns
        -------
        str
            A ``<table>``, and a paragraph per note.
        """
        head = "".join(
            f'<th scope="col"{_html_class(column)}>{escape(column.title)}</th>'
            for column in self.columns
        )
        largest = [
            max((Fraction(cell) for cell in cells if _numeric(cell)), default=Fraction(1))
            for cells in zip(*self.rows, strict=True)
        ]
        emphasis = ' style="font-weight:600"'
        body = "".join(
            f"<tr{emphasis if number in self.bold else ''}>"
            + "".join(map(_html_cell, self.columns, row, largest))
            + "</tr>"
            for number, row in enumerate(self.rows)
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
            Integers stay integers; a column with a fraction, and shares, have the nearest doubles.

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
        columns = {
            column.key: _doubles([row[k] for row in self.rows], column.kind == "share")
            for k, column in enumerate(self.columns)
        }
        return pd.DataFrame(
            {
                key: pd.Series(values, dtype="object" if _need_objects(values) else None)
                for key, values in columns.items()
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

    def to_rich(self) -> RenderableType:
        """Render for a rich console.

        Returns
        -------
        rich.console.RenderableType
            The headline, then each table after an empty line.
        """
        from rich.console import Group
        from rich.text import Text

        first, *rest = self.headline()
        parts: list[RenderableType] = [Text(first, style="bold"), *map(Text, rest)]
        for table in self.tables():
            parts += [Text(), table.to_rich()]
        return Group(*parts)

    def __str__(self) -> str:
        return plain_text(self.to_rich())

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


def _numeric(cell: Cell) -> TypeGuard[Number]:
    return isinstance(cell, int | Fraction) and not isinstance(cell, bool)


def _html_class(column: Column) -> str:
    name = {"text": "", "prose": "w", "share": "share"}.get(column.kind, "n")
    return f' class="{name}"' if name else ""


def _html_cell(column: Column, cell: Cell, largest: Fraction) -> str:
    """Render a cell; a share has a bar, whose scale ends at 1 or at a larger share."""
    text = escape(column.format(cell)).replace("\n", "<br>")
    if column.kind == "share" and _numeric(cell):
        width = float(100 * Fraction(cell) / max(largest, Fraction(1)))
        text += f'<span class="meter"><span style="width:{width:.2f}%"></span></span>'
    return f"<td{_html_class(column)}>{text}</td>"


def _need_objects(values: Sequence[Cell]) -> bool:
    """Whether pandas would round integers: it makes doubles of them where a value is missing."""
    return None in values and any(
        isinstance(value, int) and abs(value) > _EXACT_DOUBLES for value in values
    )


def _doubles(values: Sequence[Cell], always: bool) -> list[Any]:
    """Convert numbers to doubles, if one of them is a fraction or `always`."""
    if not always and not any(isinstance(value, Fraction) for value in values):
        return list(values)
    return [to_float(value) if _numeric(value) else value for value in values]
