"""The command that compiles in advance: warm-up."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING

import click
from rich.text import Text

from polylat.cli.options import status
from polylat.cli.output import examples
from polylat.warm_up import warm_up as compile_all

if TYPE_CHECKING:
    from rich.console import RenderableType

__all__ = ["warm_up"]


@click.command("warm-up", epilog=examples("polylat warm-up"))
def warm_up() -> RenderableType:
    """Compile what explorations and long analyses need, once per installation.

    Without it, the first of them takes about 20 seconds longer.
    """
    before = perf_counter()
    with status("compiling"):
        count, in_memory = compile_all()
    text = f"Compiled code is ready ({perf_counter() - before:.0f} s)."
    if in_memory:
        text = (
            f"{in_memory:,} of {count:,} compiled functions cannot be kept: no folder can be"
            " written to. Set NUMBA_CACHE_DIR to one that can."
        )
    return Text(text)
