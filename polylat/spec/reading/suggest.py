"""Suggestions for misspelt names."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from fractions import Fraction


def did_you_mean(name: object, known: Iterable[str]) -> str | None:
    """What would mend an unknown name: the closest known one, else the list of them.

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
    text, names = str(name)[:200], [n for n in names if len(n) <= 200] or names[:12]
    close = get_close_matches(text, names, n=1, cutoff=0.6)
    if not close:
        lowered = {n.lower(): n for n in reversed(names)}
        close = [lowered[n] for n in get_close_matches(text.lower(), lowered, n=1, cutoff=0.6)]
    if not close and len(text) >= 3:
        close = [n for n in names if n.lower().startswith(text.lower())]
    if close:
        return f"did you mean {shown(close[0])}?"
    told = [n if len(n) <= 60 else f"{n[:59]}…" for n in names[:12]]
    more = ", …" if len(names) > len(told) else ""
    return f"use one of: {', '.join(told)}{more}"


def shown(value: object, limit: int = 80) -> str:
    """A value as text that fits into a message.

    Examples
    --------
    >>> print(shown("abc"), shown(Fraction(1, 2)), shown(Fraction(1, 3)))
    'abc' 0.5 1/3
    """
    if isinstance(value, Fraction) and max(abs(value.numerator), value.denominator) < 10**15:
        decimal = float(value)  # as it was written, if it was written as a decimal
        return repr(decimal) if Fraction(repr(decimal)) == value else str(value)
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() > 200:
        return f"a whole number of {value.bit_length()} bits"
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # digits beyond Python's limit, or nested too deeply
        text = f"a {type(value).__name__}"
    return text if len(text) <= limit else text[: limit - 1] + "…"
