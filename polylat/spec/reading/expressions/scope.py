"""Scopes: the names that an expression may use, nested."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from polylat.spec.reading.expressions.lazy_value import LazyValue


class Scope:
    """A table of names nested in an outer scope.

    Parameters
    ----------
    names
        Name → value, or a `LazyValue` one.
    outer
        The enclosing scope, if any.
    hidden
        A name of `names` that the scope does not have, if any.

    Notes
    -----
    A field may mention its own name, such as ``size: size``; this refers to the name in the outer
    scope. `without` gives the scope for the evaluation of such a field.
    """

    def __init__(
        self, names: Mapping[str, Any], outer: Scope | None = None, hidden: str | None = None
    ) -> None:
        self._names = names
        self._outer = outer
        self._hidden = hidden

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
            A new scope; the table may get the name later.
        """
        if name == self._hidden:
            return self
        if self._hidden is not None:
            names = {k: v for k, v in self._names.items() if k != self._hidden}
            return Scope(names, self._outer, name)
        return Scope(self._names, self._outer, name)

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
        PolylatError
            The value cannot be computed, or depends on itself.
        """
        scope: Scope | None = self
        while scope is not None:
            if name in scope._names and name != scope._hidden:
                value = scope._names[name]
                return value.get() if isinstance(value, LazyValue) else value
            scope = scope._outer
        raise KeyError(name)

    def __contains__(self, name: object) -> bool:
        scope: Scope | None = self
        while scope is not None:
            if name in scope._names and name != scope._hidden:
                return True
            scope = scope._outer
        return False

    def __iter__(self) -> Iterator[str]:
        seen: set[str] = set()
        scope: Scope | None = self
        while scope is not None:
            for name in scope._names:
                if name not in seen and name != scope._hidden:
                    seen.add(name)
                    yield name
            scope = scope._outer
