"""Compare the reports of several mappings: their figures side by side, and their differences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import takewhile
from typing import Any

from polylat.analysis.occupancy import peak_or_none
from polylat.analysis.results import Results
from polylat.errors import OptionError
from polylat.numbers import Number, format_number, format_ratio, json_number
from polylat.spec.mapping import Branch, Compute, Spatial, Storage, Temporal, Toll, describe_node
from polylat.spec.pairs import pair_names
from polylat.tables import Cell, Column, Table, Tabular

__all__ = ["Comparison", "Difference", "compare"]

_ROWS = 12
"""Largest number of rows of a table of differences."""

_EQUAL = "Equal in mapping, busy time of ports, peak of memories and numbers of actions."
_PATHS = (
    "The nodes from the root down to an Einsum, as in polylat tree; … marks nodes that are the same"
    " in all mappings."
)
_SPLITS = "A split is named by the Einsums of its branches; its value is its kind."


@dataclass(frozen=True)
class Difference:
    """A property of mappings, and its value in each.

    Parameters
    ----------
    what
        The property.
    values
        Its value in each mapping; None where a mapping does not have it.
    """

    what: str
    values: tuple[Any, ...]


@dataclass(frozen=True)
class Comparison(Tabular):
    """Mappings side by side.

    Parameters
    ----------
    names
        The names of the mappings.
    figures
        Latency, bounds and so on, including equal ones.
    mapping
        Differences of the trees: the path to each Einsum, one node per line, and the kinds of the
        splits, named by the Einsums of their branches.
    ports, memories
        Ports with different busy times; memories with different peaks.
    accesses
        Accesses (Einsum, component, tensor, action) with different numbers of actions; the largest
        difference first.
    """

    names: tuple[str, ...]
    figures: tuple[Difference, ...]
    mapping: tuple[Difference, ...]
    ports: tuple[Difference, ...]
    memories: tuple[Difference, ...]
    accesses: tuple[Difference, ...]
    _reports: tuple[Results, ...] = field(repr=False)

    @property
    def reports(self) -> tuple[Results, ...]:
        """The reports."""
        return self._reports

    @property
    def fastest(self) -> str:
        """The name of the mapping with the least latency, the first if several have it."""
        least = min(range(len(self.names)), key=lambda i: Fraction(self._reports[i].latency))
        return self.names[least]

    def to_dict(self) -> dict[str, Any]:
        """Return the comparison as plain data for JSON.

        Returns
        -------
        dict
            As ``docs/json.md`` describes it.
        """

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

    def headline(self) -> tuple[str, ...]:
        """Return the name of the fastest mapping.

        Returns
        -------
        tuple of str
            One sentence.
        """
        return (f"Fastest  {self.fastest}",)

    def tables(self) -> tuple[Table, ...]:
        """Return the figures, and a table per kind of difference.

        Returns
        -------
        tuple of Table
            The figures come first.
        """
        mapping = [_without_common_lines(row) for row in self.mapping]
        notes = (_PATHS, *([_SPLITS] if any(" | " in row.what for row in mapping) else []))
        equal = not (self.mapping or self.ports or self.memories or self.accesses)
        found = [self._table(self.figures, "", notes=(_EQUAL,) if equal else ())]
        for title, rows, head, below in (
            ("Differences of the mapping", mapping, "Einsum or split", notes),
            ("Busy time of ports", self.ports, "Port", ()),
            ("Peak of memories (bits)", self.memories, "Memory", ()),
            ("Numbers of actions", self.accesses, "Access", ()),
        ):
            if rows:
                found.append(self._table(rows, head, title, below).first(_ROWS))
        return tuple(found)

    def _table(
        self,
        rows: Sequence[Difference],
        head: str,
        title: str = "",
        notes: tuple[str, ...] = (),
    ) -> Table:
        text = bool(title) and any(isinstance(value, str) for row in rows for value in row.values)
        columns = [Column(name, name, "prose" if text else "number") for name in self.names]
        return Table(
            (Column("what", head), *columns),
            tuple((row.what, *(_cell(row.what, value) for value in row.values)) for row in rows),
            title,
            notes,
        )


def compare(reports: Mapping[str, Results] | Any) -> Comparison:
    """Compare the reports of several mappings.

    Parameters
    ----------
    reports
        Name → report; the first is the reference of the others.

    Returns
    -------
    Comparison
        Their figures and differences.

    Raises
    ------
    OptionError
        There are fewer than two reports, or a value is not a report.

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
    >>> found = polylat.compare(reports)
    >>> found.fastest, found.figures[0]
    ('tap_resident', Difference(what='latency', values=(32768, 32256)))
    """
    if not isinstance(reports, Mapping) or not all(
        isinstance(name, str) and isinstance(results, Results) for name, results in reports.items()
    ):
        raise OptionError("only reports, by name, can be compared", fix='give {"a": report, ...}')
    if len(reports) < 2:
        raise OptionError("there is nothing to compare with", fix="give two mappings or more")
    some = tuple(reports.values())
    return Comparison(
        tuple(reports),
        tuple(_figures(some)),
        _differing([_tree(results.solution.model.lowered.spec.mapping) for results in some]),
        _differing([{port.name: port.busy for port in results.ports} for results in some]),
        _differing([_peaks(results) for results in some]),
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


def _figures(reports: Sequence[Results]) -> list[Difference]:
    def row(what: str, *values: Any) -> Difference:
        return Difference(what, values)

    first = Fraction(reports[0].latency)
    energies = [None if r.known_energy is None else r.known_energy.total for r in reports]
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
        row("barrier bound", *(r.barrier_bound for r in reports)),
        row("optimal", *(r.optimal for r in reports)),
        row("exact", *(r.exact for r in reports)),
        row("order", *(r.order for r in reports)),
        row("granularity", *(r.granularity for r in reports)),
        row("tile iterations", *(r.tiles for r in reports)),
        row(
            "background",
            *(" ".join(pair_names(r.background)) or None for r in reports),
        ),
        *([row("energy", *energies)] if any(e is not None for e in energies) else ()),
    ]


def _tree(mapping: Branch) -> dict[str, str]:
    """Return, per Einsum, the nodes on its path, one per line, and per split its kind."""
    found: dict[str, str] = {}

    def walk(branch: Branch, above: tuple[str, ...]) -> None:
        path = list(above)
        for node in branch.nodes:
            if isinstance(node, Storage | Toll) and not node.tensors:
                continue  # an outer node holds what it names
            words = describe_node(node)
            if isinstance(node, Temporal | Spatial):
                words += f", tiles of {node.tile_shape:,}"
                if isinstance(node, Temporal) and node.initial_tile_shape is not None:
                    words += f", the first of {node.initial_tile_shape:,}"
            path.append(words)
        end = branch.end
        if isinstance(end, Compute):
            found[end.einsum] = "\n".join([*path, describe_node(end)])
            return
        name = " | ".join(", ".join(c.einsum for c in b.leaves()) for b in end.branches)
        found[name] = type(end).__name__
        for number, below in enumerate(end.branches, 1):
            walk(below, (*path, f"branch {number} of {len(end.branches)}"))

    walk(mapping, ())
    return found


def _peaks(results: Results) -> dict[str, Number | None]:
    return {memory.name: peak_or_none(memory) for memory in results.occupancy}


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
    return json_number(value) if number else value


def _without_common_lines(row: Difference) -> Difference:
    """Return the lines that differ; … replaces the equal lines before and after them."""
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
    """Return the number of lines with which all columns begin."""
    alike = (len(set(lines)) == 1 for lines in zip(*columns, strict=False))
    return sum(1 for _ in takewhile(bool, alike))


def _cell(what: str, value: Any) -> Cell:
    if value is None:
        return "-"
    if what.startswith("times"):
        return format_ratio(value)
    return format_number(value) if isinstance(value, Fraction) else value
