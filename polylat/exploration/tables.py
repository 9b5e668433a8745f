"""An exploration for people and for other programs: text, tables, files."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from polylat.errors import MissingExtraError, PolylatError, StoreError
from polylat.exact import Number
from polylat.exploration.search import Exploration, Result
from polylat.files import ending
from polylat.text import plain_text, show

if TYPE_CHECKING:
    import pandas as pd

TABLES = (".parquet", ".csv")

__all__ = [
    "TABLES",
    "data_frame",
    "exploration_html",
    "exploration_text",
    "render_exploration",
    "rows",
    "save",
]

_ROWS = 30
_COLUMNS = 4


def exploration_text(found: Exploration) -> str:
    """An exploration as plain text."""
    return plain_text(render_exploration(found))


def exploration_html(found: Exploration) -> str:
    """An exploration for a notebook: the best result, the front, and what was looked at."""
    from html import escape

    from polylat.draw.html import fragment, table

    best = found.best
    nothing = "is legal" if found.evaluated else "was evaluated"
    parts = [f"<p>No variant {nothing}.</p>"]
    if best is not None and best.latency is not None:
        latency, choice = escape(show(best.latency)), escape(str(best.choice))
        parts = [f'<p><span class="big">{latency}</span> best latency: {choice}</p>']
    if found.front:
        shown = ["latency", *(n for n in _varying(found) if n != "latency")]
        lines = []
        for result in found.front[:_ROWS]:
            values = [_objective(name, result) for name in shown]
            cells = ["unlimited" if value is None else show(value) for value in values]
            cells[0] += "" if result.exact else " (at most)"
            lines.append([*cells, result.order, str(result.choice)])
        heads = [*(f">{_title(name)}" for name in shown), "Order", "Choice"]
        parts.append(table(heads, lines, "The front"))
    parts.append(f"<p>{escape(_counts(found).plain)}</p>")
    return fragment(*parts)


def render_exploration(found: Exploration) -> RenderableType:
    """An exploration for a rich console."""
    parts: list[RenderableType] = [_headline(found), Text()]
    if found.front:
        parts += [Text("The front: no variant is better in one and no worse in the others", "bold")]
        parts += [Padding(_front(found), (0, 0, 0, 2)), *_notes(found), Text()]
    parts.append(Padding(_counts(found), (0, 0, 0, 0)))
    parts += [Text(remark, style="yellow") for remark in found.remarks]
    return Group(*parts)


def _headline(found: Exploration) -> RenderableType:
    best = found.best
    if not found.evaluated:
        return Text("No variant was evaluated", style="bold red")
    if best is None or best.latency is None:
        text = Text("No variant is legal", style="bold red")
        if found.results:
            text.append(f": {found.results[0].error}", style="default")
        return text
    given = _given(found)
    head = Text.assemble(("Best latency  ", "bold"), (show(best.latency), "bold green"))
    if given is not None and given != best.latency and best.latency:
        ratio = float(Fraction(given) / Fraction(best.latency))
        head.append(f"   as given {show(given)}, {ratio:.4g} times as long")
    elif given is not None:
        head.append("   that of the mapping as given, too")
    return Group(head, Padding(Text(str(best.choice)), (0, 0, 0, 2)))


def _given(found: Exploration) -> Number | None:
    """The latency of the mapping as it was given."""
    from polylat.analysis import analyze

    try:
        return analyze(found._space.spec).latency
    except PolylatError:
        return None


def _objective(name: str, result: Result) -> Number | None:
    if name == "latency":
        return result.latency
    if name == "slots":
        counts = [n for _, n in result.choice.slots]
        return None if None in counts else sum(n for n in counts if n is not None)
    return result.peaks.get(name.partition("@")[2], 0)


def _front(found: Exploration) -> RenderableType:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    shown = ["latency", *(n for n in _varying(found) if n != "latency")]
    for name in shown:
        table.add_column(_title(name), justify="right")
    table.add_column("Order")
    some = found.front[:_ROWS]
    tiles = [loop for loop, _ in some[0].choice.tiles]
    slots = [tensor for tensor, _ in some[0].choice.slots]
    beside = len(shown) + len(tiles) + len(slots) <= _COLUMNS
    for loop in tiles:
        table.add_column(f"Tile {loop}", justify="right")
    for tensor in slots if beside else ():
        table.add_column(f"Slots {tensor}", justify="right")
    table.add_column("Pipelines, background" if beside else "Choice", overflow="fold")
    for result in some:
        values = [_objective(name, result) for name in shown]
        cells = ["unlimited" if value is None else show(value) for value in values]
        choice = result.choice
        rest = replace(choice, tiles=(), slots=() if beside else choice.slots)
        counts = [str(n or "unlimited") for _, n in choice.slots] if beside else []
        table.add_row(
            Text(cells[0] + ("" if result.exact else " (at most)"), style="green"),
            *cells[1:],
            Text(result.order + (" (waits)" if result.waits_for_background else "")),
            *(str(shape) for _, shape in choice.tiles),
            *counts,
            Text(str(rest)),
        )
    return table


def _title(name: str) -> str:
    kind, _, memory = name.partition("@")
    return f"Peak {memory} (bits)" if memory else kind.capitalize()


def _varying(found: Exploration) -> list[str]:
    """Objectives that tell results of the front apart."""
    return [
        name
        for name in found.objectives
        if len({_objective(name, result) for result in found.front}) > 1
    ]


def _notes(found: Exploration) -> Iterator[RenderableType]:
    if len(found.front) > _ROWS:
        yield Padding(Text(f"{len(found.front) - _ROWS:,} more follow."), (0, 0, 0, 2))
    varying = _varying(found)
    same = [name for name in found.objectives if name not in varying and name != "latency"]
    if same:
        values = ", ".join(
            f"{_title(name).lower().replace(_memory(name).lower(), _memory(name))}"
            f" {show(_objective(name, found.front[0]) or 0)}"
            for name in same
        )
        yield Padding(Text(f"The same for all of them: {values}.", style="dim"), (0, 0, 0, 2))


def _memory(name: str) -> str:
    return name.partition("@")[2] or name


def _counts(found: Exploration) -> Text:
    parts = [f"{found.evaluated:,} of {found.variants:,} variants evaluated"]
    if found.excluded:
        parts.append(f"{found.excluded:,} excluded by their bounds")
    if found.illegal:
        parts.append(f"{found.illegal:,} illegal")
    text = Text("; ".join(parts) + ".")
    if not found.complete:
        text.append(" Not complete: the front is that of what was evaluated.", style="bold red")
    elif not found.exact:
        text.append(" Some latencies are upper bounds, or some peaks not known.", style="yellow")
    return text


# Tables and files


def rows(found: Exploration) -> list[dict[str, Any]]:
    """All results as flat rows, those of the front marked."""
    front = {result.number for result in found.front}
    table: list[dict[str, Any]] = []
    for result in found.results:
        choice = result.choice
        row: dict[str, Any] = {
            "number": result.number,
            "front": result.number in front,
            "latency": _float(result.latency),
            "latency_exact": None if result.latency is None else str(result.latency),
        }
        peaks = {name: None for name in found.objectives if name.startswith("peak@")}
        row |= peaks | {f"peak@{memory}": _float(peak) for memory, peak in result.peaks.items()}
        row |= {
            "order": result.order or None,
            "waits_for_background": result.waits_for_background,
            "exact": result.exact and result.latency is not None,
            "granularity": choice.granularity,
            "order_asked": choice.order,
        }
        row |= {f"tile {loop}": shape for loop, shape in choice.tiles}
        row |= {f"split {name}": kind for name, kind in choice.splits}
        row["background"] = " ".join(f"{t}@{c}" for t, c in choice.background)
        row |= {f"slots {tensor}": count for tensor, count in choice.slots}
        row["error"] = result.error or None
        table.append(row)
    return table


def _float(value: Number | None) -> float | None:
    return None if value is None else float(value)


def data_frame(found: Exploration) -> pd.DataFrame:
    """All results as a pandas table."""
    frame: pd.DataFrame = _import("pandas").DataFrame(rows(found))
    return frame


def save(found: Exploration, path: Path) -> None:
    """Write all results as ``.parquet`` or ``.csv``, whole or not at all."""
    kind = ending(path, TABLES, "results")
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
                writer.writeheader()
                writer.writerows(table)
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise StoreError(
            f"cannot write {path}: {error.strerror or error}",
            mend="make room, or give a file in a folder that can be written to",
            exploration=found,
        ) from error


def _import(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError as error:
        raise MissingExtraError(
            f"{name.partition('.')[0]} is not installed", mend="pip install 'polylat[explore]'"
        ) from error
