"""Suggestions for misspelled names, and values quoted in messages."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from fractions import Fraction


def did_you_mean(name: object, known: Iterable[str]) -> str | None:
    """Return a fix for an unknown name: the closest known name, else a list of all.

    Parameters
    ----------
    name
        The unknown name.
    known
        The names that exist.

    Returns
    -------
    str or None
        A sentence for an error message; None if no names exist.

    Examples
    --------
    >>> did_you_mean("Storge", ["Storage", "Toll"])
    "did you mean 'Storage'?"
    >>> did_you_mean("x", ["Storage", "Toll"])
    'use one of: Storage, Toll'
    >>> did_you_mean("x", []) is None
    True
    """
    names = list(dict.fromkeys(map(str, known)))
    if not names:
        return None
    text = name[:200] if isinstance(name, str) else format_value(name, 200)
    names = [n for n in names if len(n) <= 200] or names[:12]
    close = get_close_matches(text, names, n=1, cutoff=0.6)
    if not close:
        lowered = {n.lower(): n for n in reversed(names)}
        close = [lowered[n] for n in get_close_matches(text.lower(), lowered, n=1, cutoff=0.6)]
    if not close and len(text) >= 3:
        close = [n for n in names if n.lower().startswith(text.lower())]
    if close:
        return f"did you mean {format_value(close[0])}?"
    listed = [n if len(n) <= 60 else f"{n[:59]}…" for n in names[:12]]
    more = ", …" if len(names) > len(listed) else ""
    return f"use one of: {', '.join(listed)}{more}"


def format_value(value: object, limit: int = 80) -> str:
    """Format a value for an error message.

    Parameters
    ----------
    value
        Any value.
    limit
        The largest number of characters; a longer text ends in an ellipsis.

    Returns
    -------
    str
        Its ``repr``, with fractions as decimals where these are exact.

    Examples
    --------
    >>> print(format_value("abc"), format_value(Fraction(1, 2)), format_value(Fraction(1, 3)))
    'abc' 0.5 1/3
    """
    if isinstance(value, Fraction) and max(abs(value.numerator), value.denominator) < 10**15:
        decimal = float(value)  # the input may have it as a decimal
        return repr(decimal) if Fraction(repr(decimal)) == value else str(value)
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() > 200:
        return f"an integer of {value.bit_length()} bits"
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # digits beyond Python's limit, or nested too deeply
        text = f"a {type(value).__name__}"
    return shortened(text, limit)


def shortened(text: str, limit: int = 80) -> str:
    """Cut a text off for an error message.

    Parameters
    ----------
    text
        Any text.
    limit
        The largest number of characters; a longer text ends in an ellipsis.

    Returns
    -------
    str
        The text, or its beginning.
    """
    return text if len(text) <= limit else text[: limit - 1] + "…"


def describe_value(value: object) -> str:
    """Describe a value of the input for an error message.

    Parameters
    ----------
    value
        The value.

    Returns
    -------
    str
        ``"nothing"``, ``"a mapping"``, ``"a list"`` or, for any other value, the value itself.

    Examples
    --------
    >>> describe_value({}), describe_value("abc")
    ('a mapping', "'abc'")
    """
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        return "a mapping"
    return "a list" if isinstance(value, list) else format_value(value)
