"""Send many mutants of the project's inputs through polylat, outside pytest.

``python -m tests.fuzz --seed 1 --mutants 100000 --jobs 2 --failures DIRECTORY`` makes the mutants
of the seeds 1, 2, … and writes every one that fails to DIRECTORY, as ``SEED.yaml`` and
``SEED.txt``. A mutant fails if anything but a result or a `PolylatError` comes out, if it takes
longer than ``--limit`` seconds of CPU time, or if the process dies or grows by more than
``--memory`` megabytes.
``python -m tests.fuzz --replay SEED …`` runs single mutants again, in this process.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import polylat
from polylat.warm_up import warm_up

from .mutations import mutant
from .pool import Limits, outcomes
from .stages import Outcome, run_alone


@dataclass
class Summary:
    """What has become of many mutants."""

    mutants: int = 0
    results: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    failing: list[int] = field(default_factory=list)
    slowest: list[tuple[float, int, str]] = field(default_factory=list)
    largest: list[tuple[float, int, str]] = field(default_factory=list)

    def add(self, found: Outcome, most: float) -> None:
        """Count one mutant."""
        self.mutants += 1
        if found.megabytes > most:
            found.failures.append(f"memory: {found.slowest}: more than {most:g} MB")
        if found.failures:
            self.failing.append(found.seed)
            self.failures.update(_kind(failure) for failure in found.failures)
        if found.stage:
            self.errors[f"{found.stage}: {found.error.partition(':')[0]}"] += 1
        else:
            self.results += not found.failures
        self.slowest.append((round(found.seconds, 1), found.seed, found.slowest))
        self.largest.append((round(found.megabytes), found.seed, found.slowest))
        self.slowest = sorted(self.slowest, reverse=True)[:8]
        self.largest = sorted(self.largest, reverse=True)[:8]

    def text(self) -> str:
        """The summary in words."""
        lines = [
            f"mutants     {self.mutants}",
            f"  results   {self.results}",
            f"  errors    {sum(self.errors.values())}",
            *(f"    {kind:<40} {count}" for kind, count in self.errors.most_common(25)),
            f"failing     {len(self.failing)} {self.failing[:30]}",
            *(f"    {count} × {kind}" for kind, count in self.failures.most_common()),
            f"slowest     {self.slowest} (CPU s, seed, stage)",
            f"largest     {self.largest} (MB, seed, stage)",
        ]
        return "\n".join(lines)


def _kind(failure: str) -> str:
    """A failure without what differs from mutant to mutant."""
    stage, _, rest = failure.partition(": ")
    return f"{stage}: {rest.partition(': ')[0]}"


def _write(folder: Path, found: Outcome) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    failing = mutant(found.seed)
    text = failing.text.encode("utf-8", "surrogatepass")
    (folder / f"{found.seed}.yaml").write_bytes(text)
    lines = [failing.source, str(failing.options), *found.failures, ""]
    (folder / f"{found.seed}.txt").write_text("\n".join(lines), encoding="utf-8", errors="replace")


def many(args: argparse.Namespace) -> int:
    """Run many mutants; 1 if any fails."""
    summary, begin, shown = Summary(), time.monotonic(), 0.0
    warm_up()
    for found in outcomes(
        range(args.seed, args.seed + args.mutants), args.jobs, Limits(seconds=args.limit)
    ):
        summary.add(found, args.memory)
        if found.failures:
            print(found.seed, *found.failures[:3], sep="\n  ", flush=True)
            if args.failures:
                _write(Path(args.failures), found)
        if time.monotonic() - shown > 60:
            shown = time.monotonic()
            print(f"after {shown - begin:.0f} s:", summary.text(), sep="\n", flush=True)
    print(f"polylat     {Path(polylat.__file__).parent}")
    print(f"seeds       {args.seed} to {args.seed + args.mutants - 1}")
    print(summary.text())
    print(f"seconds     {time.monotonic() - begin:.0f}")
    return int(bool(summary.failing))


def replay(seeds: list[int]) -> int:
    """Run mutants again; 1 if any fails."""
    failed = False
    for seed in seeds:
        found = run_alone(mutant(seed))
        print(seed, mutant(seed).source, found, sep="\n  ")
        failed |= bool(found.failures)
    return int(failed)


def command() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.fuzz",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--mutants", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1, help="the first seed")
    parser.add_argument("--jobs", type=int, default=1, help="number of processes")
    parser.add_argument("--limit", type=float, default=30.0, help="CPU seconds per mutant")
    parser.add_argument("--memory", type=float, default=1000.0, help="megabytes per mutant")
    parser.add_argument("--failures", help="directory for the mutants that fail")
    parser.add_argument("--replay", nargs="+", type=int, metavar="SEED")
    args = parser.parse_args()
    return replay(args.replay) if args.replay else many(args)


if __name__ == "__main__":
    sys.exit(command())
