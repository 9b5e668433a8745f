"""Mappings side by side: their figures, and what differs between them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import takewhile
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from polylat.draw.tree import node_words
from polylat.errors import OptionError, UnsupportedError
from polylat.exact import Number
from polylat.jsonform import exact
from polylat.report import Report
from polylat.spec.mapping import Branch, Compute, Spatial, Temporal
from polylat.text import four_digits, plain_text, show

__all__ = ["Comparison", "Difference", "differences", "inputs", "render_comparison"]

_ROWS = 12
_MAPPING = "What differs in the mapping"
_WAY = "The nodes from the root down to an Einsum, as in polylat tree; … is the same in all."
_SPLIT = " A split, which has the Einsums of its branches as its name: its kind."


@dataclass(frozen=True)
class Difference:
    """Something that is not the same in all mappings.

    Parameters
    ----------
    what
        What it is.
    values
        What it is in each mapping; None where there is no such thing.
    """

    what: str
    values: tuple[Any, ...]


@dataclass(frozen=True)
class Comparison:
    """Mappings side by side.

    Parameters
    ----------
    names
        Their names.
    figures
        Latency, bounds and so on, the same or not.
    mapping
        What differs in the trees: the way down to each Einsum, a node in each line, and the
        splits, named by the Einsums of their branches.
    ports, memories
        Ports that are not equally busy; memories that do not hold as much at most.
    accesses
        (Einsum, component, tensor, action) whose numbers of actions differ; the largest
        difference first.
    """

    names: tuple[str, ...]
    figures: tuple[Difference, ...]
    mapping: tuple[Difference, ...]
    ports: tuple[Difference, ...]
    memories: tuple[Difference, ...]
    accesses: tuple[Difference, ...]
    _reports: tuple[Report, ...] = field(repr=False)

    @property
    def reports(self) -> tuple[Report, ...]:
        """The reports that are compared."""
        return self._reports

    @property
    def fastest(self) -> str:
        """The name of the mapping with the least latency, the first if several have it."""
        least = min(range(len(self.names)), key=lambda i: Fraction(self._reports[i].latency))
        return self.names[least]

    def to_dict(self) -> dict[str, Any]:
        """The comparison as plain data for JSON."""

        def rows(some: Sequence[Difference]) -> list[dict[str, Any]]:
            return [
                {"what": row.what, "values": [_json(value) for value in row.values]} for row in some
            ]

        return {
            "schema": "polylat.comparison/1",
            "names": list(self.names),
            "fastest": self.fastest,
            "figures": rows(self.figures),
            "differences": {
                "mapping": rows(self.mapping),
                "ports": rows(self.ports),
                "memories": rows(self.memories),
                "accesses": rows(self.accesses),
            },
        }

    def __str__(self) -> str:
        return plain_text(render_comparison(self))


def differences(reports: Mapping[str, Report] | Any) -> Comparison:
    """Compare the reports of several mappings.

    Parameters
    ----------
    reports
        Name → report; the others are compared with the first.

    Raises
    ------
    OptionError
        There are fewer than two, or something else than reports.

    Examples
    --------
    >>> import polylat
    >>> shared = ("examples/arch.yaml", "examples/workload.yaml")
    >>> reports = {
    ...     name: polylat.analyze(
    ...         polylat.load(*shared, f"examples/{name}.yaml"), granularity="tile"
    ...     )
    ...     for name in ("tap_refetched", "tap_resident")
    ... }
    >>> found = polylat.differences(reports)
    >>> found.fastest, found.figures[0]
    ('tap_resident', Difference(what='latency', values=(32768, 32256)))
    """
    if not isinstance(reports, Mapping) or not all(
        isinstance(name, str) and isinstance(report, Report) for name, report in reports.items()
    ):
        raise OptionError("what is compared is reports by name", mend='give {"a": report, ...}')
    if len(reports) < 2:
        raise OptionError("there is nothing to compare with", mend="give two mappings or more")
    some = tuple(reports.values())
    return Comparison(
        tuple(reports),
        tuple(_figures(some)),
        _differing([_tree(report._model.lowered.spec.mapping) for report in some]),
        _differing([{port.name: port.busy for port in report.ports} for report in some]),
        _differing([_peaks(report) for report in some]),
        _by_size(
            _differing(
                [
                    {" ".join(part for part in key if part): n for key, n in r.accesses.items()}
                    for r in some
                ]
            )
        ),
        some,
    )


def _figures(reports: Sequence[Report]) -> list[Difference]:
    def row(what: str, *values: Any) -> Difference:
        return Difference(what, values)

    first = Fraction(reports[0].latency)
    return [
        row("latency", *(r.latency for r in reports)),
        row(
            "times as fast as the first",
            *(first / Fraction(r.latency) if r.latency else None for r in reports),
        ),
        row("AccelForge", *(r.roofline for r in reports)),
        row("sequential", *(r.sequential for r in reports)),
        row("resource bound", *(r.resource_bound for r in reports)),
        row("dependence bound", *(r.dependence_bound for r in reports)),
        row("optimal", *(r.optimal for r in reports)),
        row("exact", *(r.exact for r in reports)),
        row("order", *(r.order for r in reports)),
        row("granularity", *(r.granularity for r in reports)),
        row("tile iterations", *(r.tiles for r in reports)),
        row(
            "background",
            *(" ".join(f"{t}@{c}" for t, c in r.background) or None for r in reports),
        ),
    ]


def _tree(mapping: Branch) -> dict[str, str]:
    """Per Einsum the nodes on its path, one a line, and per split its kind."""
    found: dict[str, str] = {}

    def walk(branch: Branch, above: tuple[str, ...]) -> None:
        path = list(above)
        for node in branch.nodes:
            words = node_words(node)
            if isinstance(node, Temporal | Spatial):
                words += f", tiles of {node.tile_shape:,}"
            path.append(words)
        end = branch.end
        if isinstance(end, Compute):
            found[end.einsum] = "\n".join([*path, node_words(end)])
            return
        name = " | ".join(", ".join(c.einsum for c in b.leaves()) for b in end.branches)
        found[name] = type(end).__name__
        for number, below in enumerate(end.branches, 1):
            walk(below, (*path, f"branch {number} of {len(end.branches)}"))

    walk(mapping, ())
    return found


def _peaks(report: Report) -> dict[str, Number | None]:
    from polylat.occupancy import known_peak

    return {
        memory.component + "".join(f"[{stage}]" for stage in memory.stages): known_peak(memory)
        for memory in report.occupancy
    }


def _differing(columns: Sequence[Mapping[str, Any]]) -> tuple[Difference, ...]:
    names = dict.fromkeys(name for column in columns for name in column)
    found = []
    for name in names:
        values = tuple(column.get(name) for column in columns)
        if any(value != values[0] for value in values):
            found.append(Difference(name, values))
    return tuple(found)


def _by_size(rows: Sequence[Difference]) -> tuple[Difference, ...]:
    def spread(row: Difference) -> Fraction:
        values = [Fraction(value or 0) for value in row.values]
        return min(values) - max(values)

    return tuple(sorted(rows, key=spread))


def _json(value: Any) -> Any:
    number = isinstance(value, int | Fraction) and not isinstance(value, bool)
    return exact(value) if number else value


# For people


def render_comparison(found: Comparison) -> RenderableType:
    """A comparison for a rich console."""
    parts: list[RenderableType] = [
        Text.assemble(("Fastest  ", "bold"), (found.fastest, "bold green")),
        Text(),
        _table(found.names, found.figures, "", best=True),
    ]
    mapping = [_without_common_lines(row) for row in found.mapping]
    sections = (
        (_MAPPING, mapping, "Einsum or split"),
        ("Busy time of ports", found.ports, "Port"),
        ("Peak of memories (bits)", found.memories, "Memory"),
        ("Numbers of actions", found.accesses, "Access"),
    )
    for title, rows, head in sections:
        if rows:
            parts += [Text(), Text(title, "bold")]
            if title == _MAPPING:
                splits = any(" | " in row.what for row in rows)
                parts.append(Padding(Text(_WAY + _SPLIT * splits, "dim"), (0, 0, 1, 2)))
            table = _table(found.names, rows[:_ROWS], head, best=False)
            parts.append(Padding(table, (0, 0, 0, 2)))
            if len(rows) > _ROWS:
                parts.append(Text(f"  {len(rows) - _ROWS:,} more differ."))
    if not any(rows for _, rows, _ in sections):
        parts += [Text(), Text("Nothing differs in what they do.")]
    return Group(*parts)


def _table(
    names: Sequence[str], rows: Sequence[Difference], head: str, *, best: bool
) -> RenderableType:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    table.add_column(head, no_wrap=True)
    words = any(isinstance(value, str) for row in rows for value in row.values)
    for name in names:
        justify: Any = "left" if words and not best else "right"
        table.add_column(name, justify=justify, overflow="fold")
    for row in rows:
        cells = [_shown(row.what, value) for value in row.values]
        alike = all(cell == cells[0] for cell in cells)
        style = "dim" if alike and best else ""
        table.add_row(Text(row.what, style=style), *(Text(cell, style=style) for cell in cells))
    return table


def _without_common_lines(row: Difference) -> Difference:
    """The lines that differ; … stands for those before and after them that do not."""
    columns = [value.split("\n") for value in row.values if value is not None]
    before = _common(columns)
    after = _common([lines[: before - 1 if before else None : -1] for lines in columns])

    def shown(value: str | None) -> str | None:
        if value is None:
            return None
        lines = value.split("\n")
        between = lines[before : len(lines) - after]
        return "\n".join([*["…"][:before], *(between or ["(nothing)"]), *["…"][:after]])

    return Difference(row.what, tuple(shown(value) for value in row.values))


def _common(columns: Sequence[Sequence[str]]) -> int:
    """How many lines all columns begin with."""
    alike = (len(set(lines)) == 1 for lines in zip(*columns, strict=False))
    return sum(1 for _ in takewhile(bool, alike))


def _shown(what: str, value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if what.startswith("times"):
        return four_digits(value)
    return show(value) if isinstance(value, int | Fraction) else str(value)


# Files


def inputs(files: Sequence[str]) -> dict[str, list[str]]:
    """Which files make up each mapping: those without a mapping belong to all of them.

    Parameters
    ----------
    files
        Files with a mapping, and files that have none: an architecture, a workload.

    Returns
    -------
    dict
        Name → files. A mapping is named by its file.

    Raises
    ------
    OptionError
        Fewer than two have a mapping.
    """
    having = [file for file in files if _has_mapping(file)]
    if len(having) < 2:
        raise OptionError(
            f"{len(having) or 'none'} of these files has a mapping",
            mend="name two files or more that have the top-level key 'mapping'; those without it"
            " are taken to belong to all of them",
        )
    found: dict[Path, str] = {}
    for file in having:
        same = found.setdefault(Path(file).resolve(), file)
        if same is not file:
            raise OptionError(
                f"{file} is named twice, and there is one mapping in it",
                mend="name it once; to compare options, there is polylat.differences",
            )
    shared = [file for file in files if file not in having]
    stems = [Path(file).stem for file in having]
    names = stems if len(set(stems)) == len(stems) else having
    return {name: [*shared, file] for name, file in zip(names, having, strict=True)}


def _has_mapping(file: str) -> bool:
    try:
        text = Path(file).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise OptionError(
            f"cannot read {file}: {error.strerror or error}", mend="check the path"
        ) from error
    except UnicodeDecodeError as error:
        raise UnsupportedError(f"{file} is no UTF-8 text", mend="save it as UTF-8") from error
    return re.search(r"(?m)^mapping\s*:", text) is not None
