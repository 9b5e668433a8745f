"""Analyze an attention block of real size, and prove its schedule.

32 heads, 4096 tokens: Q K^T, softmax and A V overlap in a Pipeline. `make demo` runs this script
after the tapped cascade.
"""

from __future__ import annotations

from pathlib import Path
from time import perf_counter

from rich.console import Console

import polylat

HERE = Path(__file__).resolve().parent


def main() -> None:
    """Analyze the block, prove the schedule, and print the main results."""
    console = Console(highlight=False)
    spec = polylat.load(*(HERE / name for name in ("attention.yaml", "attention_schedule.yaml")))
    start = perf_counter()
    report = polylat.analyze(spec)
    took = perf_counter() - start
    console.print("[bold]Attention block: 32 heads, 4096 tokens, three stages[/bold]\n")
    console.print(f"  AccelForge  {report.roofline:>12,}")
    above = report.latency - max(report.bounds.values())
    verdict = f"{above:,} more than the array needs: before it starts, the first keys arrive"
    if report.optimal:
        verdict = "optimal: no schedule of this mapping is faster"
    console.print(f"  polylat     {report.latency:>12,}  {verdict}")
    operations = sum(n for (_, _, _, action), n in report.accesses.items() if action == "compute")
    console.print(
        f"\n{report.tiles:,} tile iterations, {operations:,} computations: {took:.2f} s."
        " Time per iteration of each loop in the steady state, and its critical cycle:\n"
    )
    for ii in report.initiation_intervals:
        console.print(f"  {ii}")
    console.print()
    console.print(str(report.verify()), soft_wrap=True)
    console.print("\nThe full report: polylat analyze examples/attention{,_schedule}.yaml --verify")


if __name__ == "__main__":
    main()
