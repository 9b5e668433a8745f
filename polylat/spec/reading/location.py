"""Locations in the input, for messages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from polylat.spec.reading.suggest import format_value
from polylat.spec.reading.tree import TreeMapping, TreeSequence


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
        return Location(self.root, (*self.path, key), self.einsum, self.main)

    def for_einsum(self, name: str) -> Location:
        """Return the same location in the context of an Einsum.

        Parameters
        ----------
        name
            Name of the Einsum.

        Returns
        -------
        Location
            A new location.
        """
        return Location(self.root, self.path, name, self.main)

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
