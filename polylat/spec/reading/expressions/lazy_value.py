"""Values that are computed on first use, however long the chain of values that they depend on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import local
from typing import Any

from polylat.errors import ExpressionError, PolylatError

_DEEPEST = 12
"""Values that are computed inside one another; each takes about 20 of Python's 1000 frames."""
_MAX_NAMED = 8


class _Active(local):
    """The values that a thread computes at the moment, each for the one before it."""

    def __init__(self) -> None:
        self.values: list[LazyValue] = []


_active = _Active()


class _Deferred(Exception):
    """A value is needed that is too deep inside others: it must be computed before them.

    Parameters
    ----------
    values
        The values that were computed inside one another; the last one is the one needed.
    """

    def __init__(self, values: list[LazyValue]) -> None:
        super().__init__()
        self.values = values


class LazyValue:
    """A value that is computed on first use.

    Parameters
    ----------
    compute
        The function that returns the value. The error that it raises is raised again later: what
        depends on the value fails in the same way.
    name
        Its name, for messages.
    cycle
        Function (names, the first of which is also the last) → the error for a value that depends
        on itself; None: an `ExpressionError`.

    Notes
    -----
    A value that depends on others computes them in turn. Where that becomes too deep, the work on
    the outer values is given up, and taken up again when the inner one is known: so the depth of
    Python's stack does not limit the length of a chain, and no expression is computed more than
    twice per value that it depends on.
    """

    __slots__ = ("_busy", "_compute", "_cycle", "_done", "_error", "_name", "_value")

    def __init__(
        self,
        compute: Callable[[], Any],
        name: str = "",
        cycle: Callable[[list[str]], PolylatError] | None = None,
    ) -> None:
        self._compute = compute
        self._name = name
        self._cycle = cycle
        self._done = False
        self._busy = False
        self._error: PolylatError | None = None
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
        PolylatError
            It cannot be computed, or depends on itself.
        """
        if self._error is not None:
            raise self._error
        if not self._done:
            if self._busy:
                raise _cycle_error([*_active.values, self])
            if len(_active.values) >= _DEEPEST:
                raise _Deferred([*_active.values, self])
            if _active.values:
                self._attempt()
            else:
                self._settle()
        return self._value

    def _attempt(self) -> None:
        """Compute the value inside those that are computed at the moment."""
        self._busy = True
        _active.values.append(self)
        try:
            self._value = self._compute()
            self._done = True
        except PolylatError as error:
            self._error = error
            raise
        finally:
            _active.values.pop()
            self._busy = False

    def _settle(self) -> None:
        """Compute the value, before it all that is too deep inside it."""
        waiting: list[tuple[LazyValue, list[LazyValue]]] = [(self, [])]
        known = {id(self)}
        while waiting:
            value, above = waiting[-1]
            try:
                value._attempt()
            except _Deferred as deferred:
                *path, inner = deferred.values
                if id(inner) in known:
                    error = _cycle_error([*above, *path, inner])
                    inner._error = error
                    raise error from None
                known.add(id(inner))
                waiting.append((inner, [*above, *path]))
            except PolylatError:
                if value is self:
                    raise
                waiting.pop()  # what needs it raises the error again
                known.discard(id(value))
            else:
                waiting.pop()
                known.discard(id(value))


def _cycle_error(values: Sequence[LazyValue]) -> PolylatError:
    """Make the error for values of which each depends on the next one, and one occurs twice."""
    places: dict[int, int] = {}
    for last, value in enumerate(values):
        first = places.setdefault(id(value), last)
        if first != last:
            break
    cycle = values[first : last + 1]
    named = [value for value in cycle if value._name]
    if named and named[0] is not named[-1]:  # the first value of the cycle has no name
        named = [*named, named[0]]
    names = [value._name for value in named]
    make = named[0]._cycle if named else None
    if make is not None:
        return make(names)
    return ExpressionError(
        f"a value depends on itself: {shown_cycle(names)}"
        if names
        else "a value depends on itself",
        fix="replace one of the values by a number",
    )


def shown_cycle(names: Sequence[str]) -> str:
    """Format the names of values of which each depends on the next one.

    Parameters
    ----------
    names
        The names; the first one is also the last one.

    Returns
    -------
    str
        The names with arrows, some of them left out if there are many.
    """
    few = names if len(names) <= _MAX_NAMED else [*names[: _MAX_NAMED - 1], "…", names[-1]]
    return " → ".join(few)
