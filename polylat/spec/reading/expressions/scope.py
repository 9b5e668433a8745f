"""Scopes: the names that an expression may use, nested, with values computed on first use."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any


class CircularDefinition(Exception):
    """A value is defined by itself."""


class LazyValue:
    """A value that is computed on first use.

    Parameters
    ----------
    compute
        The function that returns the value.
    """

    __slots__ = ("_busy", "_compute", "_done", "_value")

    def __init__(self, compute: Callable[[], Any]) -> None:
        self._compute = compute
        self._done = False
        self._busy = False
        self._value: Any = None

    @property
    def done(self) -> bool:
        """Whether the value was computed."""
        return self._done

    def get(self) -> Any:
        """Return the value; compute it on the first call.

        Returns
        -------
        object
            The value.

        Raises
        ------
        CircularDefinition
            The value depends on itself.
        """
        if not self._done:
            if self._busy:
                raise CircularDefinition
            self._busy = True
            try:
                self._value = self._compute()
            finally:
                self._busy = False
            self._done = True
        return self._value


class Scope:
    """A table of names nested in an outer scope.

    Parameters
    ----------
    names
        Name → value, or a `LazyValue` one.
    outer
        The enclosing scope, if any.

    Notes
    -----
    A field may mention its own name, such as ``size: size``; this refers to the name in the outer
    scope. `without` gives the scope for the evaluation of such a field.
    """

    def __init__(self, names: Mapping[str, Any], outer: Scope | None = None) -> None:
        self._names = names
        self._outer = outer

    @property
    def table(self) -> Mapping[str, Any]:
        """The innermost table."""
        return self._names

    def without(self, name: str) -> Scope:
        """Return the scope with a name removed from its innermost table.

        Parameters
        ----------
        name
            The name to remove.

        Returns
        -------
        Scope
            A new scope, or this one if its innermost table does not have the name.
        """
        if name not in self._names:
            return self
        return Scope({k: v for k, v in self._names.items() if k != name}, self._outer)

    def lookup(self, name: str) -> Any:
        """Return the value of a name, from the innermost scope that has it.

        Parameters
        ----------
        name
            The name.

        Returns
        -------
        object
            Its value, computed if necessary.

        Raises
        ------
        KeyError
            No scope has the name.
        CircularDefinition
            The value depends on itself.
        """
        scope: Scope | None = self
        while scope is not None:
            if name in scope._names:
                value = scope._names[name]
                return value.get() if isinstance(value, LazyValue) else value
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
