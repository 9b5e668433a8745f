"""How results and help texts are printed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from polylat.tables import WIDTH, plain_text

if TYPE_CHECKING:
    from rich.console import RenderableType

__all__ = ["BAD_INPUT", "examples", "print_result"]

BAD_INPUT = 2
"""Exit status where the input cannot be used."""


def examples(*commands: str) -> str:
    """Format examples for the end of a help text.

    Parameters
    ----------
    *commands
        Command lines.

    Returns
    -------
    str
        The backspace keeps click from joining the lines.
    """
    return "\b\nExamples:\n" + "\n".join(f"  {command}" for command in commands)


def print_result(result: dict[str, Any] | RenderableType) -> None:
    """Print data as JSON, and anything else as text, with color on a terminal only.

    Parameters
    ----------
    result
        What a command returns.
    """
    if isinstance(result, dict):
        print(json.dumps(result, indent=2))
        return
    from rich.console import Console  # slow to import, and JSON needs none of it

    console = Console(highlight=False, emoji=False)
    if console.is_terminal:
        console.print(result, width=min(console.width, WIDTH))
    else:
        print(plain_text(result), end="")
