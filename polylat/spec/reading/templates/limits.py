"""Bounds on the work of a template."""

from __future__ import annotations

MAX_OUTPUT = 5_000_000
"""Largest number of characters of a template, and of its output."""
MAX_TEXT = 1_000_000
"""Largest number of characters of a text within a template."""


class TooMuchWork(Exception):
    """A template exceeds the bound on the work."""
