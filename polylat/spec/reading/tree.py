"""The input as a tree of plain values that record their lines in the input.

YAML and plain Python data both become this tree of mappings (`TreeMapping`), lists
(`TreeSequence`), strings, exact numbers, booleans and None; every later step is the same for both.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

MAX_DEPTH = 150
"""Largest depth of nesting."""
MAX_ITEMS = 500_000
"""Largest number of values in an input."""
MAX_KEY = 400
"""Largest number of characters in a key."""


def tree_size(value: Any, limit: int) -> int:
    """Count the values of a tree; a value that occurs at several places counts at each.

    Parameters
    ----------
    value
        Lists and mappings, nested, or anything else.
    limit
        Where the count ends.

    Returns
    -------
    int
        The number of values, or `limit` if there are as many.
    """
    found, stack = 0, [value]
    while stack and found < limit:
        item = stack.pop()
        found += 1
        if isinstance(item, dict):
            if len(item) >= limit:
                return limit
            stack.extend(item.values())
        elif isinstance(item, (list, tuple)):
            if len(item) >= limit:
                return limit
            stack.extend(item)
    return min(found, limit)


class Quoted(str):
    """A string in quotes in the file: under ``variables:`` it is a text, not an expression."""

    __slots__ = ()


class TreeMapping(dict[str, Any]):
    """A mapping that records the line of each key.

    Parameters
    ----------
    items
        Pairs (key, value).
    """

    __slots__ = ("file", "line", "lines", "nomerge")

    def __init__(self, items: Iterable[tuple[str, Any]] = ()) -> None:
        super().__init__(items)
        self.lines: dict[str, tuple[str | None, int]] = {}
        self.line: int | None = None
        self.file: str | None = None
        self.nomerge = False


class TreeSequence(list[Any]):
    """A list that records the line of each item.

    Parameters
    ----------
    items
        The items.
    """

    __slots__ = ("file", "lines", "nomerge")

    def __init__(self, items: Iterable[Any] = ()) -> None:
        super().__init__(items)
        self.lines: list[tuple[str | None, int] | None] = []
        self.file: str | None = None
        self.nomerge = False
