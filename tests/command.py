"""Run a command of polylat within the process of the tests."""

from __future__ import annotations

from inspect import signature
from typing import Any

from click.testing import CliRunner, Result

from polylat.cli import main

# Before click 8.2, what a command writes to stderr was part of stdout by default.
_APART: dict[str, Any] = (
    {"mix_stderr": False} if "mix_stderr" in signature(CliRunner).parameters else {}
)


def run(*arguments: str, **options: Any) -> Result:
    """The result of a command; options as for `CliRunner.invoke`."""
    return CliRunner(**_APART).invoke(main, arguments, **options)
