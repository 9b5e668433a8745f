"""Filters of templates whose results have a bound."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jinja2.exceptions import SecurityError

from polylat.spec.reading.numbers import MAX_BITS
from polylat.spec.reading.templates.limits import MAX_OUTPUT, MAX_TEXT, TooMuchWork


def _replace(text: Any, old: Any, new: Any, count: int = -1) -> str:
    """Variant of the filter ``replace`` with a bound on the result."""
    text, old, new = str(text), str(old), str(new)
    times = len(text) + 1 if not old else text.count(old)
    if len(text) + times * len(new) > MAX_TEXT:
        raise TooMuchWork("a text that is too long")
    return str(text.replace(old, new, count))


def check_printable(value: Any) -> Any:
    """Refuse a value whose text would be too long.

    Parameters
    ----------
    value
        Any value of a template.

    Returns
    -------
    Any
        The value.

    Raises
    ------
    TooMuchWork
        If its text would be too long.
    """
    budget = MAX_OUTPUT
    stack = [value]
    while stack:
        item = stack.pop()
        budget -= len(item) + 4 if isinstance(item, str) else 8
        if budget < 0:
            raise TooMuchWork("a text that is too long")
        if isinstance(item, dict):
            stack.extend(item)
            stack.extend(item.values())
        elif isinstance(item, (list, tuple, set, frozenset)):
            stack.extend(item)
        elif isinstance(item, int) and item.bit_length() > MAX_BITS:
            raise TooMuchWork("a number that is too large")
    return value


def text_within_bound(value: Any) -> str:
    """Return the text of a value, as the filter ``string`` does, with a bound on its length.

    Parameters
    ----------
    value
        Any value of a template.

    Returns
    -------
    str
        Its text.

    Raises
    ------
    TooMuchWork
        If the text would be too long.
    """
    return str(check_printable(value))


def _join(values: Any, separator: Any = "", attribute: Any = None) -> str:
    """Variant of the filter ``join`` with a bound on the result."""
    if attribute is not None:
        raise SecurityError("join with an attribute")
    items = list(values)
    size = sum(len(text_within_bound(item)) for item in items) + len(items) * len(
        text_within_bound(separator)
    )
    if size > MAX_TEXT:
        raise TooMuchWork("a text that is too long")
    return text_within_bound(separator).join(map(text_within_bound, items))


def _sum(values: Any, start: Any = 0) -> Any:
    """Variant of the filter ``sum`` for numbers only."""
    items = [start, *values]
    if not all(isinstance(item, (int, float)) for item in items):
        raise SecurityError("sum() of values that are not numbers")
    return sum(items)


BOUNDED_FILTERS: dict[str, Callable[..., Any]] = {
    "replace": _replace,
    "join": _join,
    "string": text_within_bound,
    "sum": _sum,
}
"""Variants of Jinja's filters whose results have a bound."""
