"""The input as a tree of plain values that record their location in the input.

YAML and plain Python data both become this tree of mappings (`TreeMapping`), lists (`TreeSequence`), strings, exact
numbers, booleans and None; every later step is the same for both.
"""

from __future__ import annotations

import numbers
import re
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import PurePath
from typing import Any

from polylat.errors import SpecError
from polylat.spec.reading.numbers import BadNumber, to_exact
from polylat.spec.reading.suggest import format_value

MAX_DEPTH = 150
"""Largest depth of nesting."""
MAX_ITEMS = 500_000
"""Largest number of values in an input."""
MAX_KEY = 400
"""Largest number of characters in a key."""

_UNWRITABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff]")


def is_writable(text: str) -> bool:
    """Return whether a text can be written to a file and to a terminal.

    Parameters
    ----------
    text
        Any text.

    Returns
    -------
    bool
        False if it contains surrogates or control characters.
    """
    return _UNWRITABLE.search(text) is None


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


@dataclass(frozen=True)
class Location:
    """A location in the input: a path of keys, and the tree that contains it.

    Parameters
    ----------
    root
        The tree.
    path
        The keys from the root to the location.
    einsum
        The Einsum for which an expression is evaluated there, if any.
    main
        The file whose name is omitted in messages.
    """

    root: Any
    path: tuple[str | int, ...] = ()
    einsum: str | None = None
    main: str | None = None

    def __truediv__(self, key: str | int) -> Location:
        return replace(self, path=(*self.path, key))

    def for_einsum(self, name: str) -> Location:
        """Return the same location in the context of an Einsum.

        Parameters
        ----------
        name
            Name of the Einsum.

        Returns
        -------
        At
            A new location.
        """
        return replace(self, einsum=name)

    @property
    def line(self) -> tuple[str | None, int] | None:
        """File and line of the last key of the path that has them; None if no key has."""
        value, found = self.root, None
        for key in self.path:
            if isinstance(value, TreeMapping) and isinstance(key, str) and key in value:
                found = value.lines.get(key, found)
                value = value[key]
            elif isinstance(value, TreeSequence) and isinstance(key, int) and 0 <= key < len(value):
                if key < len(value.lines):
                    found = value.lines[key] or found
                value = value[key]
            else:
                break
        return found

    def with_line_of(self, key: str | int) -> str:
        """Format the location, with the line of one of its keys.

        Parameters
        ----------
        key
            A key of the mapping, or an index of the list, at this location.

        Returns
        -------
        str
            The path and, where known, the line.
        """
        return self._text((self / key).line)

    def __str__(self) -> str:
        return self._text(self.line)

    def _text(self, line: tuple[str | None, int] | None) -> str:
        text = path_text(self.path)
        if line is not None:
            file = f"{line[0]}, " if line[0] and line[0] != self.main else ""
            position = f"({file}line {line[1]})"
            text = f"{text} {position}" if text else position
        if self.einsum is not None:
            text = f"{text}, for Einsum {self.einsum!r}"
        return text


def path_text(path: Sequence[str | int]) -> str:
    """Format a path of keys.

    Parameters
    ----------
    path
        Keys of mappings and indices of lists.

    Returns
    -------
    str
        The path with dots and brackets.

    Examples
    --------
    >>> path_text(("mapping", "nodes", 2, "A | B"))
    "mapping.nodes[2]['A | B']"
    """
    text = ""
    for key in path:
        if isinstance(key, int):
            text += f"[{key}]"
        elif key.isidentifier() and len(key) <= 60:
            text += f".{key}" if text else key
        else:
            text += f"[{format_value(key)}]"
    return text


def to_tree(data: object) -> Any:
    """Convert plain Python data to a tree.

    Parameters
    ----------
    data
        Dicts, lists, numbers, strings, booleans and None.

    Returns
    -------
    Map, Seq, str, int, Fraction, float, bool or None
        The tree.

    Raises
    ------
    SpecError
        The data has other objects or keys that are not strings, contains itself, or is too large.
    """
    return _PlainDataReader().convert(data, (), 0)


class _PlainDataReader:
    """Converts plain data to a tree; `items` counts the values."""

    def __init__(self) -> None:
        self.items = 0
        self.open: set[int] = set()

    def convert(self, data: object, path: tuple[str | int, ...], depth: int) -> Any:
        self.items += 1
        if self.items > MAX_ITEMS:
            raise SpecError(f"the input has more than {MAX_ITEMS} values")
        if isinstance(data, str):
            if not is_writable(data):
                raise SpecError(
                    f"{format_value(data)} contains control characters or surrogates",
                    where=path_text(path),
                )
            return Quoted(data) if isinstance(data, Quoted) else str(data)
        if data is None or isinstance(data, bool):
            return data
        if isinstance(data, (int, numbers.Number, Decimal)):
            try:
                return to_exact(data)
            except BadNumber as error:
                raise SpecError(f"cannot use this number: {error}", where=path_text(path)) from None
        if isinstance(data, PurePath):
            return str(data)
        if depth > MAX_DEPTH:
            raise SpecError(f"nested more than {MAX_DEPTH} levels deep", where=path_text(path[:6]))
        if id(data) in self.open:
            raise SpecError("the data contains itself", where=path_text(path))
        self.open.add(id(data))
        try:
            if isinstance(data, Mapping):
                return self._map(data, path, depth)
            if isinstance(data, (Sequence, AbstractSet)) and not isinstance(
                data, (bytes, bytearray)
            ):
                items = sorted(data, key=str) if isinstance(data, AbstractSet) else data
                result = TreeSequence(self.convert(v, (*path, i), depth + 1) for i, v in enumerate(items))
                if isinstance(data, TreeSequence):
                    result.lines = data.lines
                return result
        finally:
            self.open.discard(id(data))
        raise SpecError(
            f"cannot use a value of type {type(data).__name__}",
            where=path_text(path),
            fix="use numbers, strings, booleans, lists and dicts",
        )

    def _map(self, data: Mapping[Any, Any], path: tuple[str | int, ...], depth: int) -> TreeMapping:
        result = TreeMapping()
        for key, value in data.items():
            if not isinstance(key, str):
                raise SpecError(
                    f"the key {format_value(key)} is not a string",
                    where=path_text(path),
                    fix="put the key in quotes",
                )
            if len(key) > MAX_KEY:
                raise SpecError(
                    f"a key of {len(key)} characters is too long", where=path_text(path)
                )
            result[str(key)] = self.convert(value, (*path, str(key)), depth + 1)
        if isinstance(data, TreeMapping):
            result.lines, result.line = data.lines, data.line
        return result
