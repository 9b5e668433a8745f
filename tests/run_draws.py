"""Compare the engines on many random cascades whose loops disagree, outside pytest.

``python tests/run_draws.py --draws 20000 --seed 1 --jobs 2 --failures DIRECTORY`` draws the seeds
1, 2, … and writes every case in which the engines differ to DIRECTORY, as ``SEED.json``.
``python tests/run_draws.py --replay FILE …`` compares the engines on such files again, and with
``--smaller`` writes a smaller case that differs in the same way next to each.

``PYTHONPATH`` chooses the polylat that is tested.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import signal
import sys
import time
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

sys.path.insert(0, str(Path(__file__).resolve().parent))

import polylat
from differences import CHECKS, DEFAULT_CHECKS, Comparison, compare, located
from disagreeing import DRAWS, Case
from smaller import smaller

Data = dict[str, Any]


class TooSlowError(Exception):
    """A draw takes longer than the limit."""


@dataclass
class Summary:
    """What was found in many draws."""

    draws: int = 0
    illegal: Counter[str] = field(default_factory=Counter)
    engines: Counter[str] = field(default_factory=Counter)
    exact: int = 0
    unsettled: int = 0
    brackets: int = 0
    denied: int = 0
    tiles: int = 0
    failing: list[int] = field(default_factory=list)
    kinds: Counter[str] = field(default_factory=Counter)
    undetermined: Counter[str] = field(default_factory=Counter)
    slowest: list[tuple[float, int]] = field(default_factory=list)

    def add(self, seed: int, found: Comparison, seconds: float) -> None:
        """Count one draw."""
        self.draws += 1
        self.slowest = sorted([*self.slowest, (round(seconds, 1), seed)], reverse=True)[:5]
        if found.illegal:
            self.illegal[found.illegal.partition(":")[0]] += 1
            return
        self.engines["coarse" if found.coarse else found.engine or "none"] += 1
        self.denied += found.forced
        self.exact += found.engine == "periodic" and found.exact and not found.coarse
        self.unsettled += found.engine == "periodic" and bool(found.unsettled)
        self.brackets += bool(found.engine) and not found.exact
        self.tiles += found.tiles
        self.undetermined.update(key for key, count in found.undetermined.items() if count)
        if found.differences:
            self.failing.append(seed)
            self.kinds.update(found.kinds)

    def text(self) -> str:
        """The summary in words."""
        legal = self.draws - sum(self.illegal.values())
        share = max(legal, 1)
        lines = [
            f"draws                 {self.draws}",
            f"  illegal             {sum(self.illegal.values())} {dict(self.illegal)}",
            f"  legal               {legal}, {self.tiles // share} tile iterations on average",
            f"engine of forced run  {dict(self.engines)}",
            f"  periodic share      {self.engines['periodic'] / share:.1%} of the legal draws",
            f"  periodic and exact  {self.exact} ({self.exact / share:.1%})",
            f"  denied a full visit {self.denied}: the engine would have visited everything",
            f"  an order unsettled  {self.unsettled}",
            f"  brackets            {self.brackets}",
            f"differing draws       {len(self.failing)} ({len(self.failing) / share:.2%})",
            *(f"  {kind:<19} {count}" for kind, count in self.kinds.most_common()),
            f"not determined        {dict(self.undetermined)} (draws)",
            f"slowest (s, seed)     {self.slowest}",
        ]
        return "\n".join(lines)


def timed_out(number: int, frame: FrameType | None) -> NoReturn:
    """Interrupt a draw."""
    raise TooSlowError


def compared(
    case: Case, limit: int, checks: Collection[str] = DEFAULT_CHECKS, *, twice: bool = True
) -> tuple[Comparison, float]:
    """Compare the engines, for at most this number of seconds; also how long it took."""
    begin = time.perf_counter()
    signal.signal(signal.SIGALRM, timed_out)
    signal.alarm(limit)
    try:
        found = compare(case.spec, case.options, checks, twice=twice)
    except Exception as error:  # noqa: BLE001 - a callback of ISL replaces the interrupt by its own
        found = Comparison()
        slow = time.perf_counter() - begin >= limit
        found.differences.append(
            f"timeout: more than {limit} s" if slow else f"error: {located(error)}"
        )
    finally:
        signal.alarm(0)
    return found, time.perf_counter() - begin


def one(job: tuple[str, int, int, Collection[str], bool]) -> tuple[int, Comparison, float]:
    """Draw and compare one seed."""
    kind, seed, limit, checks, twice = job
    return seed, *compared(DRAWS[kind](seed), limit, checks, twice=twice)


def write(path: Path, case: Case, found: Comparison) -> None:
    """Write a case with its differences."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = {"differences": found.differences, "options": case.options, "spec": case.spec}
    path.write_text(json.dumps(data, indent=1), encoding="utf-8")


def read(path: Path) -> Case:
    """Read a case."""
    data = json.loads(path.read_text(encoding="utf-8"))
    options = dict(data["options"])
    for name in ("background", "staged"):
        if name in options:
            options[name] = [tuple(pair) for pair in options[name]]
    return Case(data["spec"], options)


def results(args: argparse.Namespace) -> Iterator[tuple[int, Comparison, float]]:
    """The comparisons of all seeds, in the order in which they finish."""
    seeds = range(args.seed, args.seed + args.draws)
    jobs = [(args.kind, seed, args.limit, args.checks.split(","), not args.once) for seed in seeds]
    if args.jobs == 1:
        yield from map(one, jobs)
        return
    missing = set(seeds)
    with multiprocessing.get_context("fork").Pool(args.jobs, maxtasksperchild=200) as pool:
        found = pool.imap_unordered(one, jobs)
        while missing:
            try:
                result = found.next(timeout=5 * args.limit)
            except multiprocessing.TimeoutError:
                break
            missing.discard(result[0])
            yield result
    for seed in sorted(missing)[: args.jobs]:  # the first ones; the others did not begin
        lost = Comparison()
        lost.differences.append("lost: its process has died, or does not end")
        yield seed, lost, 0.0


def many(args: argparse.Namespace) -> int:
    """Compare many draws; 1 if any differs."""
    summary = Summary()
    begin = time.perf_counter()
    for seed, found, seconds in results(args):
        summary.add(seed, found, seconds)
        if found.differences:
            print(seed, *found.differences[:3], sep="\n  ", flush=True)
            if args.failures:
                write(Path(args.failures) / f"{seed}.json", DRAWS[args.kind](seed), found)
        if summary.draws % 200 == 0:
            spent = time.perf_counter() - begin
            print(f"after {spent:.0f} s:", summary.text(), sep="\n", flush=True)
    print(f"polylat               {Path(polylat.__file__).parent}")
    print(f"seeds                 {args.seed} to {args.seed + args.draws - 1}")
    print(summary.text())
    print(f"seconds               {time.perf_counter() - begin:.0f}")
    return int(bool(summary.failing))


def replay(args: argparse.Namespace) -> int:
    """Compare the engines on files again; 1 if any differs."""
    failed = False
    for name in args.replay:
        path, case = Path(name), read(Path(name))
        found, seconds = compared(case, args.limit, args.checks.split(","))
        engine = (
            f"{found.engine or 'no report'}, exact {found.exact}, {found.tiles} tile iterations"
        )
        print(f"{name}: {found.illegal or engine}, {seconds:.1f} s")
        print(*(f"  {line}" for line in found.differences), sep="\n")
        failed |= bool(found.differences)
        if args.smaller and found.differences:
            kinds = found.kinds

            def differs(data: Data, options: Data, kinds: set[str] = kinds) -> bool:
                again, _ = compared(Case(data, options), args.limit, args.checks.split(","))
                return bool(again.kinds & kinds)

            less = Case(*smaller(case.spec, case.options, differs))
            again, _ = compared(less, args.limit, args.checks.split(","))
            write(path.with_suffix(".small.json"), less, again)
            print(f"  smaller: {path.with_suffix('.small.json')}, {again.tiles} tile iterations")
            print(*(f"  {line}" for line in again.differences), sep="\n")
    return int(failed)


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1, help="the first seed")
    parser.add_argument("--kind", choices=DRAWS, default="plain", help="what is drawn")
    parser.add_argument("--jobs", type=int, default=1, help="number of processes")
    parser.add_argument("--failures", help="directory for the cases that differ")
    parser.add_argument("--limit", type=int, default=120, help="seconds per draw")
    parser.add_argument(
        "--checks",
        default=",".join(sorted(DEFAULT_CHECKS)),
        help=f"besides the figures, of explore,{','.join(CHECKS)}; '' for none",
    )
    parser.add_argument(
        "--once",
        action="store_true",
        help="do not analyze a case again that the engine has visited as a whole",
    )
    parser.add_argument("--replay", nargs="+", metavar="FILE")
    parser.add_argument("--smaller", action="store_true", help="reduce the replayed files")
    args = parser.parse_args()
    return replay(args) if args.replay else many(args)


if __name__ == "__main__":
    sys.exit(main())
