"""Compare polylat with cycles of real designs: ``python -m benchmarks.truth [DATA]``.

Write the tables of errors and the plot to a folder. With ``--docs``, also put them into the
documentation; with ``--fit``, fit the constants first, which takes long.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.truth import gemmini, streamhls, tileflow
from benchmarks.truth.fit import fitted
from benchmarks.truth.measure import Result, evaluated, halves
from benchmarks.truth.pages import page, plot
from benchmarks.truth.rows import Constants, Family, Row

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "tests" / "truth" / "data"
OUTPUT = Path("build", "truth")
PAGE = ROOT / "docs" / "truth.md"
PICTURE = ROOT / "docs" / "pictures" / "truth.svg"
BEGIN, END = "<!-- begin: make truth -->", "<!-- end: make truth -->"
FAMILIES = {family.name: family for family in (streamhls.FAMILY, tileflow.FAMILY, gemmini.FAMILY)}


def main() -> None:
    """Compare, and write tables and plot."""
    options = _parser().parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    found: dict[str, list[Result]] = {}
    pages: list[str] = []
    for family in (FAMILIES[name] for name in options.family):
        path = options.data / family.file
        if not path.exists():
            print(f"{path} does not exist: {family.name} is left out", file=sys.stderr)
            continue
        rows = family.read(path)
        constants = _constants(family, rows, fit=options.fit)
        sampled = rows[:: options.every]
        found[family.name] = _results(family, sampled, options.variant, constants)
        fitted_here = options.fit or options.data.resolve() == DATA
        others = halves(rows)[1] if fitted_here else []
        pages.append(page(family, found[family.name], constants, others))
        print(pages[-1], flush=True)
    text = "\n".join(pages)
    (options.output / "truth.md").write_text(text, encoding="utf-8")
    (options.output / "truth.json").write_text(_figures(found), encoding="utf-8")
    plot(found, options.output / "truth.svg")
    if options.docs:
        _into_the_documentation(text)
        plot(found, PICTURE)


def _parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.truth", description="polylat against cycles of real designs"
    )
    parser.add_argument("data", nargs="?", type=Path, default=DATA, help="folder of measurements")
    parser.add_argument("-o", "--output", type=Path, default=OUTPUT, help="folder to write to")
    parser.add_argument(
        "--family", nargs="+", choices=FAMILIES, default=list(FAMILIES), help="families to compare"
    )
    parser.add_argument("--variant", nargs="+", help="variants of the model (default: all)")
    parser.add_argument("--every", type=int, default=1, help="only every n-th row")
    parser.add_argument("--fit", action="store_true", help="fit the constants first")
    parser.add_argument("--docs", action="store_true", help="write to docs/ as well")
    return parser


def _constants(family: Family, rows: Sequence[Row], *, fit: bool) -> Mapping[str, Constants]:
    """Return the constants of every variant: those in the code, or fitted anew."""
    if fit:
        return fitted(family, rows)
    return {variant.name: variant.constants for variant in family.variants}


def _results(
    family: Family,
    rows: Sequence[Row],
    names: Sequence[str] | None,
    constants: Mapping[str, Constants],
) -> list[Result]:
    """Return the results of a family, and say on the way how far it is."""
    results = []
    variants = [v for v in family.variants if names is None or v.name in names]
    for place, result in enumerate(evaluated(family, rows, variants, constants)):
        results.append(result)
        if sys.stderr.isatty():
            total = len(rows) * len(variants)
            print(f"\r{family.name} {place + 1} of {total}", end="", file=sys.stderr, flush=True)
    return results


def _figures(found: Mapping[str, Sequence[Result]]) -> str:
    """Return all figures as JSON."""
    return json.dumps(
        [
            {
                "family": name,
                "row": result.row.name,
                "variant": result.variant,
                "rtl_cycles": result.row.cycles,
                "latency": None if result.latency is None else float(result.latency),
                "exact": result.exact,
                "tiles": result.tiles,
                "seconds": round(result.seconds, 3),
                "failure": result.failure,
            }
            for name, results in found.items()
            for result in results
        ],
        indent=1,
    )


def _into_the_documentation(text: str) -> None:
    """Replace the tables of the documentation."""
    old = PAGE.read_text(encoding="utf-8")
    before, _, rest = old.partition(BEGIN)
    _, _, after = rest.partition(END)
    picture = f"![polylat's latency against cycles in RTL](pictures/{PICTURE.name})"
    PAGE.write_text(f"{before}{BEGIN}\n\n{picture}\n\n{text}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
