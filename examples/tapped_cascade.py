"""Determine what it costs to write o2 to DRAM, and whether the write is on the critical path.

Run from any folder: ``python examples/tapped_cascade.py``.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

import polylat

HERE = Path(__file__).parent
PIPELINED = ("Pipeline", "Pipeline")


@dataclass(frozen=True)
class Scenario:
    """A mapping and options of its analysis.

    Parameters
    ----------
    title
        Description in the table.
    mapping
        Name of the mapping file.
    splits
        Kinds of the top split and of the inner split.
    background
        Write-backs in the background.
    """

    title: str
    mapping: str
    splits: tuple[str, str] = ("Sequential", "Sequential")
    background: tuple[str, ...] = ()

    def load(self) -> polylat.Spec:
        """Load the input files."""
        top, inner = self.splits
        files = ("arch.yaml", "workload.yaml", self.mapping)
        return polylat.load(*(HERE / file for file in files), top=top, inner=inner)

    def analyze(self) -> polylat.Report:
        """Analyze the mapping with these options."""
        return polylat.analyze(self.load(), granularity="flow", background=self.background)


UNTAPPED = Scenario("o2 stays in SRAM", "untapped.yaml")
REFETCHED = Scenario("o2 to DRAM, refetched by e3", "tap_refetched.yaml")
STORY = (
    UNTAPPED,
    REFETCHED,
    Scenario("o2 to DRAM, kept for e3", "tap_resident.yaml"),
    Scenario("the same, in the background", "tap_resident.yaml", background=("o2",)),
    Scenario("o2 in SRAM, stages overlap", "untapped.yaml", PIPELINED),
    Scenario("o2 to DRAM, stages overlap", "tap_resident.yaml", PIPELINED, ("o2",)),
)


NOTES = (
    "AccelForge and polylat: the accesses of a tile iteration stream. No such schedule",
    "is faster than the bound. Staged: tiles are handed over as a whole, in two slots.",
)


def story() -> Table:
    """Return a table of AccelForge's and polylat's latency of each scenario."""
    table = Table(title="e1 -> o1 -> e2 -> o2 -> e3: what does it cost to write o2 to DRAM?")
    table.add_column("mapping and schedule")
    for heading in ("AccelForge", "polylat", "bound", "staged"):
        table.add_column(heading, justify="right")
    table.add_column("reached by")
    for scenario in STORY:
        report = scenario.analyze()
        table.add_row(
            scenario.title,
            f"{report.roofline:,}",
            f"[bold]{report.latency:,}[/bold]",
            f"{max(report.bounds.values()):,}",
            f"{report.staged:,}",
            f"[green]{limit(report)}[/green]" if report.optimal else "not proven",
        )
    return styled(table)


def limit(report: polylat.Report) -> str:
    """Name the cause of the largest bound: dependences, barriers, or a port that is always busy."""
    if report.binding != "resource":
        return f"{report.binding}s"
    return f"busy {max(report.ports, key=lambda port: port.busy).name}"


def extra() -> Table:
    """Return a table that attributes AccelForge's additional latency to Einsums."""
    without, with_tap = (polylat.roofline(s.load()) for s in (UNTAPPED, REFETCHED))
    title = f"AccelForge's additional latency of {with_tap.latency - without.latency:,}, by Einsum"
    table = Table(title=title)
    for heading in ("Einsum", "slowest"):
        table.add_column(heading)
    for heading in ("no tap", "tap"):
        table.add_column(heading, justify="right")
    table.add_column("additional accesses")
    for einsum, component in with_tap.bottleneck.items():
        added = [
            f"{number - without.accesses.get(key, 0):,} {action}s of {tensor}"
            for key, number in with_tap.accesses.items()
            for _, where, tensor, action in [key]
            if key[0] == einsum and where == component
            if number != without.accesses.get(key, 0)
        ]
        table.add_row(
            einsum,
            component,
            f"{without.per_einsum[einsum][component]:,}",
            f"{with_tap.per_einsum[einsum][component]:,}",
            ", ".join(added) or "nothing",
        )
    return styled(table)


def styled(table: Table) -> Table:
    """Apply the common style to a table."""
    table.box = box.SIMPLE_HEAD
    table.padding = (0, 1, 0, 0)
    table.pad_edge = False
    table.title_justify = "left"
    table.title_style = "bold"
    return table


def main() -> None:
    """Print the tables."""
    console = Console(highlight=False)
    console.print(story())
    console.print(extra())
    for line in NOTES:
        console.print(line)
    console.print("For the full report of a row, such as the fourth, run:\n")
    console.print("  polylat analyze examples/{arch,workload,tap_resident}.yaml --background o2")


if __name__ == "__main__":
    main()
