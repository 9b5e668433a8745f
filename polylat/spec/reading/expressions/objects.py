"""Objects for expressions: `Fields` with attributes, lists of named items, `Opaque` values."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from polylat.spec.reading.expressions.lazy_value import LazyValue


@dataclass(frozen=True, eq=False)
class Opaque:
    """A value that expressions can only pass to functions of the caller, or call.

    Parameters
    ----------
    title
        Description of the value, for messages.
    value
        The value.
    """

    title: str
    value: Any


class Fields:
    """An object for expressions that has named attributes, computed on first use.

    Parameters
    ----------
    title
        Description of the object, for messages.
    values
        Attribute → value, or a `LazyValue` one.
    methods
        Method, without arguments → the function that computes its value.
    """

    def __init__(
        self,
        title: str,
        values: Mapping[str, Any],
        methods: Mapping[str, Callable[[], Any]] | None = None,
    ) -> None:
        self.title = title
        self._values = values
        self.methods = methods or {}

    def attribute(self, name: str) -> Any:
        """Return the value of an attribute.

        Parameters
        ----------
        name
            Name of the attribute.

        Returns
        -------
        object
            Its value, computed if necessary.

        Raises
        ------
        KeyError
            There is no such attribute.
        PolylatError
            The value cannot be computed, or depends on itself.
        """
        value = self._values[name]
        return value.get() if isinstance(value, LazyValue) else value

    def names(self) -> list[str]:
        """List the names of the attributes.

        Returns
        -------
        list of str
            The names, in order.
        """
        return list(self._values)


class ItemList:
    """A list for expressions whose items are accessible by index or by name.

    Parameters
    ----------
    title
        Description of the list, for messages.
    items
        Name → item, in order.
    """

    def __init__(self, title: str, items: Mapping[str, Any]) -> None:
        self.title = title
        self._items = items

    def item(self, key: object) -> Any:
        """Return an item.

        Parameters
        ----------
        key
            A name or an index.

        Returns
        -------
        object
            The item.

        Raises
        ------
        KeyError
            There is no item of this name, or `key` is neither a name nor an index.
        IndexError
            The index is out of range.
        """
        if isinstance(key, str):
            return self._items[key]
        if isinstance(key, int):
            return list(self._items.values())[key]
        raise KeyError(key)

    def names(self) -> list[str]:
        """List the names of the items.

        Returns
        -------
        list of str
            The names, in order.
        """
        return list(self._items)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._items.values())

    def __len__(self) -> int:
        return len(self._items)
