"""The command explore: parses its options, runs the exploration and prints the result."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from polylat.cli.options import (
    FILE,
    choice_option,
    input_options,
    load_files,
    progress,
)
from polylat.cli.output import BAD_INPUT, examples, print_result
from polylat.errors import ExplorationError, OptionError
from polylat.explorer import Exploration
from polylat.explorer import explore as explore_mapping
from polylat.files import check_target
from polylat.spec import Spec
from polylat.spec.option_values import GRANULARITIES, ORDERS
from polylat.views.exploration import TABLES, render_exploration

if TYPE_CHECKING:
    from rich.console import RenderableType

__all__ = ["explore"]

_MOST = 10_000
"""Largest range of numbers."""


@click.command(
    epilog=examples(
        "polylat explore arch.yaml workload.yaml mapping.yaml",
        "polylat explore mapping.yaml --splits --background --slots 1:3 -o results.csv",
        "polylat explore mapping.yaml --tiles m=1,2,4,8 --objective latency --jobs 2",
        "polylat explore mapping.yaml --slots o1=1:8 --store results.db --dask tcp://host:8786",
    ),
)
@input_options
@click.option("--splits", is_flag=True, help="Explore each split as Sequential and Pipeline.")
@click.option(
    "--background", is_flag=True, help="Explore each write-back in the foreground and background."
)
@click.option("--staged", is_flag=True, help="Explore each memory streaming and staged.")
@click.option(
    "--slots",
    multiple=True,
    metavar="[TENSOR[@MEMORY]=]N:M|N,M,none",
    help="Explore numbers of slots, for each tensor for which they matter or for one. Repeatable.",
)
@click.option(
    "--tiles",
    multiple=True,
    metavar="LOOP=N,M",
    help="Explore tile shapes of a loop: a rank variable, or m#2 for the second loop over m."
    " Repeatable.",
)
@choice_option("--granularity", words=GRANULARITIES, multiple=True, help="One or several.")
@choice_option("--order", words=ORDERS, multiple=True, help="One or several.")
@choice_option(
    "--objective",
    "objectives",
    words=("latency", "energy", "peak", "slots"),
    metavar="latency|energy|peak[@MEMORY]|slots",
    multiple=True,
    help="What to minimize. Repeatable.  [default: latency and peak]",
)
@click.option("--exhaustive", is_flag=True, help="Also evaluate variants that the bounds exclude.")
@click.option(
    "--enforce-capacity",
    is_flag=True,
    default=None,
    help="Exclude variants that exceed the size of a memory.",
)
@click.option("--max-tiles", type=click.IntRange(min=1), metavar="N", help="As for analyze.")
@click.option("--jobs", "n_jobs", type=int, metavar="N", help="Processes; -1: one for each core.")
@click.option("--dask", metavar="ADDRESS", help="Work on the Dask cluster of this scheduler.")
@click.option(
    "--store",
    type=FILE,
    metavar="FILE",
    help="Store finished results here, and resume from them.",
)
@click.option(
    "-o",
    "--output",
    type=FILE,
    metavar="FILE",
    help="Write all results to a .parquet or .csv file.",
)
def explore(
    files: Sequence[str],
    variables: Sequence[str],
    as_json: bool,
    output: str | None,
    **options: Any,
) -> dict[str, Any] | RenderableType:
    """The best schedules of a mapping, over the choices that it leaves open.

    Prints the exact Pareto front of latency and peak bits per memory. With none of --splits,
    --background, --staged, --slots and --tiles, the first two are explored. All other options are
    as in the files.
    """
    try:
        found = _explored(load_files(files, variables), output=output, **options)
    except ExplorationError as error:
        if error.exploration is not None:
            print_result(_results(error.exploration, as_json=as_json))
        raise
    if found.best is None and found.complete:
        # The exit status of `analyze` for an illegal mapping.
        print_result(_results(found, as_json=as_json))
        sys.exit(BAD_INPUT)
    return _results(found, as_json=as_json)


def _explored(
    spec: Spec,
    *,
    splits: bool,
    background: bool,
    staged: bool,
    slots: Sequence[str],
    tiles: Sequence[str],
    granularity: Sequence[str],
    order: Sequence[str],
    objectives: Sequence[str],
    output: str | None,
    **options: Any,
) -> Exploration:
    """Explore the requested choices, and write the results to `output` if given.

    If no choice is requested, splits and write-backs are explored.
    """
    if not (splits or background or staged or slots or tiles):
        splits = background = True
    if output is not None:
        check_target(output, TABLES, "results")
    choices = {"slots": _parse_slots(slots), "tiles": _parse_tiles(tiles)}
    try:
        with progress("exploring; the first run also compiles"):
            found = explore_mapping(
                spec,
                splits=splits,
                background=background,
                staged=staged,
                granularity=granularity or None,
                order=order or None,
                objectives=objectives or ("latency", "peak"),
                **choices,
                **options,
            )
    except ExplorationError as error:
        if output is not None and isinstance(error.exploration, Exploration):
            error.exploration.save(output)
        raise
    if output is not None:
        found.save(output)
    return found


def _results(found: object, *, as_json: bool) -> dict[str, Any] | RenderableType:
    """Return an exploration in printable form."""
    assert isinstance(found, Exploration)
    if as_json:
        return found.to_dict()
    return render_exploration(found, found.given_latency)


def _parse_slots(texts: Sequence[str]) -> Any:
    """Parse ``1:3``, ``1,2,none`` and ``o1=1:3``; None if there are no texts."""
    everywhere: list[int | None] | None = None
    by_tensor: dict[str, list[int | None]] = {}
    for text in texts:
        tensor, equals, numbers = text.rpartition("=")
        counts = _parse_numbers(numbers, f"--slots {text}", unlimited=True)
        if equals:
            by_tensor[tensor] = [*by_tensor.get(tensor, ()), *counts]
        else:
            everywhere = [*(everywhere or ()), *counts]
    if by_tensor and everywhere is not None:
        raise OptionError(
            "--slots is given for all tensors and for some",
            fix="give it once for all tensors, or for each tensor to explore",
        )
    return by_tensor or everywhere


def _parse_tiles(texts: Sequence[str]) -> dict[str, list[int]]:
    """Parse ``m=1,2,4,8`` and ``m=1:8``."""
    found: dict[str, list[int]] = {}
    for text in texts:
        loop, equals, numbers = text.partition("=")
        if not equals or not loop:
            raise OptionError(f"--tiles {text}: not LOOP=N,M", fix="write --tiles m=1,2,4,8")
        shapes = _parse_numbers(numbers, f"--tiles {text}", unlimited=False)
        found.setdefault(loop, []).extend(shape for shape in shapes if shape is not None)
    return found


def _parse_numbers(text: str, option: str, *, unlimited: bool) -> list[int | None]:
    """Parse ``1:3`` (both ends included) and ``1,2,4``."""
    found: list[int | None] = []
    for part in text.split(","):
        if unlimited and part.lower() in ("none", "unlimited"):
            found.append(None)
            continue
        low, colon, high = part.partition(":")
        ends = [end.strip() for end in ((low, high) if colon else (low, low))]
        if not all(end.isascii() and end.isdigit() and len(end) < 10 for end in ends):
            raise OptionError(
                f"{option}: {part!r} is neither a number nor a range", fix="write 1:3"
            )
        first, last = map(int, ends)
        if not 1 <= first <= last or last - first > _MOST:
            raise OptionError(f"{option}: {part!r} is not a range of numbers above zero")
        found += range(first, last + 1)
    return found
