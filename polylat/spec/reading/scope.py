"""Names that an expression may use, looked up outwards and computed when first used."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any


class Circular(Exception):
    """A value is defined by itself."""


class Lazy:
    """A value that is computed when it is first asked for."""

    __slots__ = ("_busy", "_compute", "_done", "_value")

    def __init__(self, compute: Callable[[], Any]) -> None:
        self._compute = compute
        self._done = False
        self._busy = False
        self._value: Any = None

    @property
    def done(self) -> bool:
        """Whether it was asked for."""
        return self._done

    def get(self) -> Any:
        """The value; raises `Circular` where it needs itself."""
        if not self._done:
            if self._busy:
                raise Circular
            self._busy = True
            try:
                self._value = self._compute()
            finally:
                self._busy = False
            self._done = True
        return self._value


class Scope:
    """A table of names inside another one.

    A field may mention a name that is its own, such as ``size: size``; it then means the outer
    one: `without` gives the scope that such a field sees.
    """

    def __init__(self, names: Mapping[str, Any], outer: Scope | None = None) -> None:
        self._names = names
        self._outer = outer

    @property
    def table(self) -> Mapping[str, Any]:
        """The innermost table."""
        return self._names

    def without(self, name: str) -> Scope:
        """The same scope, its innermost table without a name."""
        if name not in self._names:
            return self
        return Scope({k: v for k, v in self._names.items() if k != name}, self._outer)

    def lookup(self, name: str) -> Any:
        """The value of a name; raises KeyError."""
        scope: Scope | None = self
        while scope is not None:
            if name in scope._names:
                value = scope._names[name]
                return value.get() if isinstance(value, Lazy) else value
            scope = scope._outer
        raise KeyError(name)

    def __contains__(self, name: object) -> bool:
        scope: Scope | None = self
        while scope is not None:
            if name in scope._names:
                return True
            scope = scope._outer
        return False

    def __iter__(self) -> Iterator[str]:
        seen: set[str] = set()
        scope: Scope | None = self
        while scope is not None:
            for name in scope._names:
                if name not in seen:
                    seen.add(name)
                    yield name
            scope = scope._outer


class Fields:
    """A small object for expressions: named attributes, computed when used, and nothing else."""

    def __init__(self, title: str, values: Mapping[str, Any]) -> None:
        self.title = title
        self._values = values

    def attribute(self, name: str) -> Any:
        """The value of an attribute; raises KeyError."""
        value = self._values[name]
        return value.get() if isinstance(value, Lazy) else value

    def names(self) -> list[str]:
        """Names of the attributes."""
        return list(self._values)


class Table:
    """A list for expressions whose items can be taken by number or by name."""

    def __init__(self, title: str, items: Mapping[str, Any]) -> None:
        self.title = title
        self._items = items

    def item(self, key: object) -> Any:
        """One item; raises KeyError or IndexError."""
        if isinstance(key, str):
            return self._items[key]
        if isinstance(key, int):
            return list(self._items.values())[key]
        raise KeyError(key)

    def names(self) -> list[str]:
        """Names of the items."""
        return list(self._items)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._items.values())

    def __len__(self) -> int:
        return len(self._items)
