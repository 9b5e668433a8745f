"""The command that derives formulas: formula."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click
from rich.console import Group
from rich.text import Text

import polylat
from polylat.cli.options import (
    given_options,
    input_options,
    load_files,
    parse_whole,
    schedule_options,
    status,
)
from polylat.cli.output import examples
from polylat.errors import OptionError

if TYPE_CHECKING:
    from rich.console import RenderableType

__all__ = ["formula"]


@click.command(
    epilog=examples(
        "polylat formula arch.yaml workload.yaml mapping.yaml --in M,DRAM.throughput",
        "polylat formula mapping.yaml --in M=1:64 --in DRAM.throughput=1:16 --background o2",
        "polylat formula mapping.yaml --in M --verify",
        "polylat formula mapping.yaml --in M,o1@SRAM.slots --latex",
    ),
)
@input_options
@click.option(
    "--in",
    "names",
    multiple=True,
    required=True,
    metavar="NAME[=LEAST:LARGEST][,...]",
    help="The parameters: M (the size of rank variable m), m_tiles (the number of its outermost"
    " tiles), DRAM.throughput, DRAM.read.duration, DRAM.read.latency, slots, o1@SRAM.slots."
    " Repeatable.",
)
@click.option(
    "--verify",
    is_flag=True,
    help="Prove with ISL that the schedules behind the formulas are the earliest, at all sizes.",
)
@click.option("--latex", is_flag=True, help="Print the latency as LaTeX, and nothing else.")
@schedule_options
def formula(
    files: Sequence[str],
    variables: Sequence[str],
    names: Sequence[str],
    verify: bool,
    latex: bool,
    as_json: bool,
    **options: Any,
) -> dict[str, Any] | RenderableType:
    """The latency as a formula of sizes, throughputs and slots, exact in its domain.

    With the latency of every order, and the bounds. The options are those of polylat analyze.
    """
    spec = load_files(files, variables)
    parameters = _parameters(names)
    with status("deriving the formula"):
        found = polylat.symbolic(spec, parameters, **given_options(spec, **options))
        if latex:
            return Text(found.latex())
        if as_json:
            data = found.to_dict()
            return data | {"certificate": found.verify().to_dict()} if verify else data
        shown = found.to_rich()
        return Group(shown, "", found.verify().to_rich()) if verify else shown


def _parameters(texts: Sequence[str]) -> dict[str, tuple[int | None, int | None] | None]:
    """Return name → (least, largest) value of the parameters, None where it is not given."""
    found: dict[str, tuple[int | None, int | None] | None] = {}
    for part in (part.strip() for text in texts for part in text.split(",")):
        name, given, values = part.partition("=")
        if not given:
            found[part] = None
            continue
        low, colon, high = values.partition(":")
        ends = [parse_whole(end) if end else None for end in (low, high)]
        if not colon or any(isinstance(end, str) for end in ends):
            raise OptionError(
                f"--in {part}: {values!r} is no range",
                fix="write LEAST:LARGEST as whole numbers, such as M=1:64, or M=4: for no limit",
            )
        least, largest = (end if isinstance(end, int) else None for end in ends)
        found[name.strip()] = (least, largest)
    return found
