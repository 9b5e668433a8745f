"""Tables of errors as Markdown, and the plot of polylat's latency against measured cycles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.truth.measure import Errors, Result, errors, groups
from benchmarks.truth.rows import Constants, Family, Row

__all__ = ["page", "plot"]

SLOW = 5.0
"""Seconds that an analysis may take."""


def page(
    family: Family,
    results: Sequence[Result],
    constants: Mapping[str, Constants],
    others: Sequence[Row] = (),
) -> str:
    """Return the tables of a family.

    Parameters
    ----------
    family
        The family.
    results
        Results of some of its variants on its rows.
    constants
        Name of the variant → values of its constants.
    others
        The rows that the constants were not fitted on, to be reported by themselves as well; none
        if they were fitted on other files.
    """
    rows = _rows(results)
    ids = {id(row) for row in others}
    lines = [f"### {family.name}", ""]
    for name, members in groups(rows).items():
        kept = [row for row in members if id(row) in ids]
        columns = [("rows", members)]
        if others and any(constants.values()):
            columns.append(("rows not fitted on", kept))
        lines += _table(name, columns, results)
    lines += _constants(constants, [result.variant for result in results])
    lines += _notes(results)
    return "\n".join(lines)


def _rows(results: Sequence[Result]) -> list[Row]:
    """Return the rows of results, each once."""
    return list({id(result.row): result.row for result in results}.values())


def _table(
    name: str, columns: Sequence[tuple[str, Sequence[Row]]], results: Sequence[Result]
) -> list[str]:
    """Return a table: a line for each variant, mean / median / largest error in each column."""
    title = "All rows" if name == "all" else f"Rows: {name}"
    head = [f"{label} ({len(members)})" for label, members in columns]
    lines = [
        f"{title}: mean / median / largest error in %.",
        "",
        f"| model | {' | '.join(head)} |",
        f"|---|{'---:|' * len(head)}",
    ]
    for variant in dict.fromkeys(result.variant for result in results):
        cells = []
        for _, members in columns:
            ids = {id(row) for row in members}
            found = [r for r in results if r.variant == variant and id(r.row) in ids]
            cells.append(_cell(errors(found)))
        lines.append(f"| {variant} | {' | '.join(cells)} |")
    return [*lines, ""]


def _cell(found: Errors | None) -> str:
    """Return the text of a cell."""
    if found is None:
        return "–"
    digits = 1 if found.mean >= 5 else 2
    return " / ".join(f"{x:.{digits}f}" for x in (found.mean, found.median, found.largest))


def _constants(constants: Mapping[str, Constants], variants: Sequence[str]) -> list[str]:
    """Return the constants of each variant that has some."""
    lines = []
    for variant in dict.fromkeys(variants):
        if constants[variant]:
            values = ", ".join(f"{name} {float(x):g}" for name, x in constants[variant].items())
            lines.append(f"- Constants of *{variant}*: {values}.")
    return [*lines, ""] if lines else []


def _notes(results: Sequence[Result]) -> list[str]:
    """Return what else there is to say: exact targets, failures, brackets, times."""
    lines = []
    must = [r for r in results if r.variant in r.row.expected and r.latency is not None]
    if must:
        equal = sum(not result.missed for result in must)
        lines.append(f"- Equal to the separate simulation: {equal} of {len(must)} rows.")
    failed = [result for result in results if result.latency is None]
    if failed:
        first = failed[0]
        message = first.failure.splitlines()[0]
        lines.append(f"- No latency: {len(failed)}; {first.row.name}, {first.variant}: {message}")
    brackets = sum(not result.exact for result in results)
    if brackets:
        lines.append(f"- Not exact: {brackets} of {len(results)}.")
    slowest = max(results, key=lambda result: result.seconds)
    slow = sum(result.seconds > SLOW for result in results)
    lines.append(
        f"- Slowest analysis: {slowest.seconds:.1f} s ({slowest.row.name}, {slowest.variant}); "
        f"longer than {SLOW:g} s: {slow} of {len(results)}."
    )
    return [*lines, ""]


def plot(results: Mapping[str, Sequence[Result]], path: Path) -> None:
    """Draw the latency of every row against its measured cycles, one panel per family.

    It shows `streaming`, and the last of the variants.

    Parameters
    ----------
    results
        Name of the family → results.
    path
        The file to write.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    mpl.rcParams["svg.hashsalt"] = "polylat"
    figure = Figure(figsize=(4.2 * len(results), 4.2), layout="constrained")
    for place, (name, found) in enumerate(results.items()):
        axes = figure.add_subplot(1, len(results), place + 1)
        known = [result for result in found if result.latency is not None]
        variants = list(dict.fromkeys(result.variant for result in known))
        shown = dict.fromkeys(v for v in ("streaming", *variants[-1:]) if v in variants)
        for variant, style in zip(shown, ("x", "."), strict=False):
            chosen = [result for result in known if result.variant == variant]
            measured = [result.row.cycles for result in chosen]
            ratios = [float(result.latency or 0) / result.row.cycles for result in chosen]
            axes.plot(measured, ratios, style, label=variant, alpha=0.7, markersize=5)
        axes.axhline(1, color="black", linewidth=0.8)
        axes.set(xscale="log", title=name, xlabel="cycles in RTL", ylabel="polylat ÷ RTL")
        axes.xaxis.set_minor_formatter("")
        if shown:
            axes.legend()
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
