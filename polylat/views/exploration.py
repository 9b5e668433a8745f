"""Render explorations as text, HTML, pandas tables and files."""

from __future__ import annotations

import csv
from dataclasses import replace
from fractions import Fraction
from html import escape
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from polylat.errors import MissingExtraError, StoreError
from polylat.exploration.results import ExplorationData, ResultData
from polylat.files import extension
from polylat.numbers import Number, format_number, format_ratio, json_number, to_float
from polylat.spec.pairs import pair_names
from polylat.tables import Cell, Column, Table, fragment, plain_text

if TYPE_CHECKING:
    import pandas as pd

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What formulas of spreadsheets start with."""

TABLES = (".parquet", ".csv")
"""Endings of the names of files with results."""

__all__ = [
    "TABLES",
    "data_frame",
    "exploration_html",
    "exploration_text",
    "front_table",
    "render_exploration",
    "rows",
    "save",
]

_ROWS = 30
"""Largest number of printed results of the front."""

_COLUMNS = 4
"""Largest number of columns with numbers; of more, slots are written as words."""


def exploration_text(found: ExplorationData, given: Number | None) -> str:
    """Render an exploration as plain text.

    Parameters
    ----------
    found
        The exploration.
    given
        Latency of the mapping as it was given; None if that is illegal.

    Returns
    -------
    str
        The lines.
    """
    return plain_text(render_exploration(found, given))


def exploration_html(found: ExplorationData) -> str:
    """Render an exploration for a notebook: the best result, the front, and the numbers of variants.

    Parameters
    ----------
    found
        The exploration.

    Returns
    -------
    str
        HTML.
    """
    best = found.best
    nothing = "is legal" if found.evaluated else "was evaluated"
    parts = [f"<p>No variant {nothing}.</p>"]
    if best is not None and best.latency is not None:
        latency, choice = escape(format_number(best.latency)), escape(str(best.choice))
        parts = [f'<p><span class="big">{latency}</span> best latency: {choice}</p>']
    if found.front:
        parts.append(front_table(found).to_html())
    parts.append(f"<p>{escape(_counts(found).plain)}</p>")
    return fragment(*parts)


def render_exploration(found: ExplorationData, given: Number | None) -> RenderableType:
    """Render an exploration for a rich console.

    Parameters
    ----------
    found
        The exploration.
    given
        Latency of the mapping as it was given; None if that is illegal.

    Returns
    -------
    rich.console.RenderableType
        The best result, the front, the numbers of variants, and remarks.
    """
    parts: list[RenderableType] = [_headline(found, given), Text()]
    if found.front:
        table = front_table(found)
        parts += [Text(table.title, "bold")]
        parts += [Padding(replace(table, title="").to_rich(), (0, 0, 0, 2)), Text()]
    parts.append(_counts(found))
    parts += [Text(remark, style="yellow") for remark in found.remarks]
    return Group(*parts)


def _headline(found: ExplorationData, given: Number | None) -> RenderableType:
    best = found.best
    if not found.evaluated:
        return Text("No variant was evaluated", style="bold red")
    if best is None or best.latency is None:
        text = Text("No variant is legal", style="bold red")
        if found.results:
            text.append(f": {found.results[0].error}", style="default")
        return text
    head = Text.assemble(("Best latency  ", "bold"), (format_number(best.latency), "bold green"))
    if given is not None and given != best.latency and best.latency:
        ratio = format_ratio(Fraction(given) / Fraction(best.latency))
        head.append(f"   {ratio} times as fast as the mapping as given ({format_number(given)})")
    elif given is not None:
        head.append("   the mapping as given has the same latency")
    return Group(head, Padding(Text(str(best.choice)), (0, 0, 0, 2)))


def _objective(name: str, result: ResultData) -> Number | None:
    if name == "latency":
        return result.latency
    if name == "slots":
        counts = [n for _, n in result.choice.slots]
        return None if None in counts else sum(n for n in counts if n is not None)
    if name == "energy":
        return result.energy
    return result.peaks.get(name.partition("@")[2], 0)


def front_table(found: ExplorationData) -> Table:
    """Return the front: the objectives and choices of the variants that are not dominated.

    Parameters
    ----------
    found
        The exploration; its front is not empty.

    Returns
    -------
    Table
        A row per variant; notes name the objectives that are equal in all of them.
    """
    varying = ["latency", *(name for name in _varying(found) if name != "latency")]
    tiles = [loop for loop, _ in found.front[0].choice.tiles]
    slots = [tensor for tensor, _ in found.front[0].choice.slots]
    beside = len(varying) + len(tiles) + len(slots) <= _COLUMNS
    rows: list[tuple[Cell, ...]] = []
    for result in found.front:
        choice = result.choice
        latency: Cell = result.latency
        if not result.exact and result.latency is not None:
            latency = f"at most {format_number(result.latency)}"
        rows.append(
            (
                latency,
                *(_objective(name, result) for name in varying[1:]),
                result.order + (" (keeps barriers)" if result.keeps_barriers else ""),
                *(shape for _, shape in choice.tiles),
                *(count for _, count in (choice.slots if beside else ())),
                str(replace(choice, tiles=(), slots=() if beside else choice.slots)),
            )
        )
    any_staged = any(result.choice.staged for result in found.front)
    words = "Pipelines, background" + (", staged" if any_staged else "")
    unlimited, undetermined = {None: "unlimited"}, {None: "not determined"}
    columns = (
        *(
            Column(name, _title(name), "number", unlimited if name == "slots" else undetermined)
            for name in varying
        ),
        Column("order", "Order"),
        *(Column(f"tile {loop}", f"Tile {loop}", "number") for loop in tiles),
        *(
            Column(f"slots {tensor}", f"Slots {tensor}", "number", unlimited)
            for tensor in (slots if beside else ())
        ),
        Column("choice", words if beside else "Choice", "prose"),
    )
    title = "The front: variants that no other variant dominates"
    return Table(columns, tuple(rows), title, _equal_objectives(found)).first(_ROWS)


def _title(name: str) -> str:
    kind, _, memory = name.partition("@")
    return f"Peak {memory} (bits)" if memory else kind.capitalize()


def _varying(found: ExplorationData) -> list[str]:
    """Objectives in which results of the front differ."""
    return [
        name
        for name in found.objectives
        if len({_objective(name, result) for result in found.front}) > 1
    ]


def _equal_objectives(found: ExplorationData) -> tuple[str, ...]:
    varying = _varying(found)
    same = [name for name in found.objectives if name not in varying and name != "latency"]
    if not same:
        return ()
    first = found.front[0]
    values = ", ".join(
        f"{_title(name).lower().replace(_memory(name).lower(), _memory(name))}"
        f" {format_number(_objective(name, first) or 0)}"
        for name in same
    )
    return (f"Equal in all of them: {values}.",)


def _memory(name: str) -> str:
    return name.partition("@")[2] or name


def _counts(found: ExplorationData) -> Text:
    parts = [f"{found.evaluated:,} of {found.variants:,} variants evaluated"]
    if found.excluded:
        parts.append(f"{found.excluded:,} excluded by their bounds")
    if found.illegal:
        parts.append(f"{found.illegal:,} illegal")
    text = Text("; ".join(parts) + ".")
    if not found.complete:
        text.append(
            " Not complete: the front covers the evaluated variants only.", style="bold red"
        )
    elif not found.exact:
        text.append(
            " Some latencies are upper bounds, or some peaks are not determined.", style="yellow"
        )
    return text


# Tables and files


def rows(found: ExplorationData) -> list[dict[str, Any]]:
    """Return all results as flat rows.

    Parameters
    ----------
    found
        The exploration.

    Returns
    -------
    list[dict[str, Any]]
        A row per result; ``front`` marks those of the front, ``latency_exact`` has the exact latency
        as text.
    """
    front = {result.number for result in found.front}
    table: list[dict[str, Any]] = []
    for result in found.results:
        choice = result.choice
        row: dict[str, Any] = {
            "number": result.number,
            "front": result.number in front,
            "latency": _float(result.latency),
            "latency_exact": None if result.latency is None else str(json_number(result.latency)),
        }
        if "energy" in found.objectives:
            row["energy"] = _float(result.energy)
        peaks = {name: None for name in found.objectives if name.startswith("peak@")}
        row |= peaks | {f"peak@{memory}": _float(peak) for memory, peak in result.peaks.items()}
        row |= {
            "order": result.order or None,
            "keeps_barriers": result.keeps_barriers,
            "exact": result.exact and result.latency is not None,
            "granularity": choice.granularity,
            "order_asked": choice.order,
        }
        row |= {f"tile {loop}": shape for loop, shape in choice.tiles}
        row |= {f"split {name}": kind for name, kind in choice.splits}
        row["background"] = " ".join(pair_names(choice.background))
        row["staged"] = " ".join(choice.staged)
        row |= {f"slots {tensor}": count for tensor, count in choice.slots}
        row["error"] = result.error or None
        table.append(row)
    return table


def _float(value: Number | None) -> float | None:
    return None if value is None else to_float(value)


def data_frame(found: ExplorationData) -> pd.DataFrame:
    """Return all results as a pandas table.

    Parameters
    ----------
    found
        The exploration.

    Returns
    -------
    pandas.DataFrame
        The rows of `rows`.

    Raises
    ------
    MissingExtraError
        pandas is not installed.
    """
    frame: pd.DataFrame = _import("pandas").DataFrame(rows(found))
    return frame


def save(found: ExplorationData, path: Path) -> None:
    """Write all results to a ``.parquet`` or ``.csv`` file, atomically.

    Parameters
    ----------
    found
        The exploration.
    path
        The file; its ending determines the format.

    Raises
    ------
    OptionError
        The name has another ending.
    StoreError
        The file cannot be written.
    MissingExtraError
        PyArrow is needed and not installed.
    """
    kind = extension(path, TABLES, "results")
    table = rows(found)
    columns = list(dict.fromkeys(name for row in table for name in row))
    part = path.with_name(path.name + ".part")
    try:
        if kind == ".parquet":
            arrow, parquet = _import("pyarrow"), _import("pyarrow.parquet")
            filled = [{name: row.get(name) for name in columns} for row in table]
            parquet.write_table(arrow.Table.from_pylist(filled), part)
        else:
            with part.open("w", encoding="utf-8", newline="") as file:
                writer = csv.DictWriter(file, columns)
                writer.writerow({name: spreadsheet_text(name) for name in columns})
                writer.writerows(
                    {name: spreadsheet_text(value) for name, value in row.items()} for row in table
                )
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise StoreError(
            f"cannot write {path}: {error.strerror or error}",
            fix="make room on the disk, or name a file in a folder with write permission",
            exploration=found,
        ) from error


def spreadsheet_text(value: Any) -> Any:
    """Return a cell that a spreadsheet does not take for a formula.

    Parameters
    ----------
    value
        The value of a cell.

    Returns
    -------
    Any
        Numbers and other values as they are; a text that could start a formula after an
        apostrophe, which spreadsheets show as text.

    Examples
    --------
    >>> spreadsheet_text("=1+1"), spreadsheet_text("e1|e2"), spreadsheet_text(-1)
    ("'=1+1", 'e1|e2', -1)
    """
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def _import(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError as error:
        raise MissingExtraError(
            f"{name.partition('.')[0]} is not installed", fix="pip install 'polylat[explore]'"
        ) from error
