"""Convert plain Python data to a tree."""

from __future__ import annotations

import numbers
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from decimal import Decimal
from functools import partial
from pathlib import PurePath
from typing import Any

from polylat.errors import SpecError
from polylat.spec.reading.location import path_text
from polylat.spec.reading.numbers import BadNumber, to_exact
from polylat.spec.reading.printable import refuse_hidden
from polylat.spec.reading.suggest import format_value
from polylat.spec.reading.tree import (
    MAX_DEPTH,
    MAX_ITEMS,
    MAX_KEY,
    Quoted,
    TreeMapping,
    TreeSequence,
)


def to_tree(data: object) -> Any:
    """Convert plain Python data to a tree.

    Parameters
    ----------
    data
        Dicts, lists, numbers, strings, booleans and None.

    Returns
    -------
    TreeMapping, TreeSequence, str, int, Fraction, float, bool or None
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
            refuse_hidden(data, partial(path_text, path), multiline=True)
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
                result = TreeSequence(
                    self.convert(v, (*path, i), depth + 1) for i, v in enumerate(items)
                )
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
            refuse_hidden(key, partial(path_text, path))
            result[str(key)] = self.convert(value, (*path, str(key)), depth + 1)
        if isinstance(data, TreeMapping):
            result.lines, result.line = data.lines, data.line
        return result
