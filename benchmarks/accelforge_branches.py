"""Compare polylat with branches of AccelForge's repository, and write the tables of a page.

``python -m benchmarks.accelforge_branches latency=CHECKOUT pipeline=CHECKOUT`` needs an environment
with polylat and what AccelForge depends on (``make accelforge``). Each branch runs in a process of
its own, on its own inputs, which are not part of this repository.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "branches.md"
OWN = "shared_port.yaml"
"""An input of our own, in ``tests/data/upstream``."""

BRANCHES = ("latency", "pipeline")
LESS = "†"
"""Marks a figure that is less than the busy time of a port."""


@dataclass(frozen=True)
class Row:
    """The figures of one input.

    Parameters
    ----------
    name
        The tests and inputs of the branch.
    branch
        The branch's latency.
    sequential, pipeline
        polylat's latency with every split as a Sequential, and as a Pipeline; None if it refuses
        the input.
    busy, port
        The busy time of the busiest port, and its name.
    why
        Why the figures differ.
    """

    name: str
    branch: float
    sequential: float | None = None
    pipeline: float | None = None
    busy: float | None = None
    port: str = ""
    why: str = ""


def table(rows: Sequence[Row]) -> str:
    """Return the rows as a table in Markdown.

    Parameters
    ----------
    rows
        The rows.

    Returns
    -------
    str
        The table, with a newline at its end.
    """
    lines = [
        "| input | branch | Sequential | Pipeline | busiest port | why |",
        "|---|---:|---:|---:|---:|---|",
    ]
    for row in rows:
        less = row.busy is not None and row.branch < row.busy
        cells = (
            "<br>".join(row.name.split("; ")).replace("_", "\\_"),
            _number(row.branch) + (f" {LESS}" if less else ""),
            _number(row.sequential),
            _number(row.pipeline),
            f"{row.port} {_number(row.busy)}".strip(),
            row.why,
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:,.6g}" if value % 1 else f"{value:,.0f}"


def with_tables(text: str, tables: Mapping[str, str]) -> str:
    """Return a page with other tables.

    Parameters
    ----------
    text
        The page: the table of a branch stands between two comments with its name.
    tables
        Branch → its table.

    Returns
    -------
    str
        The page.

    Raises
    ------
    ValueError
        The page has no place for a table.
    """
    for name, new in tables.items():
        begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
        places = re.compile(f"{begin}.*?{end}", re.DOTALL)
        replacement = f"{begin}\n{new}\n{end}".replace("\\", "\\\\")
        text, count = places.subn(replacement, text)
        if count != 1:
            raise ValueError(f"the page has {count} places for the table of {name}")
    return text


def measure(branch: str, checkout: Path) -> list[Row]:
    """Evaluate the inputs of a branch with the branch and with polylat.

    Parameters
    ----------
    branch
        Its name.
    checkout
        A checkout of it.

    Returns
    -------
    list of Row
        The figures.
    """
    paths = [str(checkout.resolve()), str(ROOT), os.environ.get("PYTHONPATH", "")]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.accelforge_branch_rows", branch],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
        cwd=ROOT,
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    return [Row(**row) for row in json.loads(done.stdout.splitlines()[-1])]


def main() -> None:
    """Compare, print the tables and write them into the page."""
    parser = argparse.ArgumentParser(description="Compare polylat with branches of AccelForge.")
    parser.add_argument("checkouts", nargs="+", metavar="BRANCH=CHECKOUT")
    parser.add_argument("--page", type=Path, default=PAGE, help="the page to write into")
    options = parser.parse_args()
    given = dict(each.split("=", 1) for each in options.checkouts if "=" in each)
    if len(given) < len(options.checkouts) or not set(given) <= set(BRANCHES):
        parser.error(f"give {' and '.join(f'{name}=CHECKOUT' for name in BRANCHES)}")
    tables = {name: table(measure(name, Path(checkout))) for name, checkout in given.items()}
    print("\n".join(tables.values()))
    page = options.page.read_text(encoding="utf-8")
    options.page.write_text(with_tables(page, tables), encoding="utf-8")


if __name__ == "__main__":
    main()
