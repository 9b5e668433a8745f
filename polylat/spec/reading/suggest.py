"""Suggestions for misspelt names."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def did_you_mean(name: object, known: Iterable[str]) -> str | None:
    """What would mend an unknown name: the closest known one, else the list of them.

    Examples
    --------
    >>> did_you_mean("Storge", ["Storage", "Toll"])
    "did you mean 'Storage'?"
    >>> did_you_mean("x", ["Storage", "Toll"])
    'known: Storage, Toll'
    >>> did_you_mean("x", []) is None
    True
    """
    names = list(dict.fromkeys(map(str, known)))
    if not names:
        return None
    text = str(name)[:200]
    close = get_close_matches(text, names, n=1, cutoff=0.6)
    if not close:
        lowered = {n.lower(): n for n in reversed(names)}
        close = [lowered[n] for n in get_close_matches(text.lower(), lowered, n=1, cutoff=0.6)]
    if close:
        return f"did you mean {close[0]!r}?"
    shown = names[:12]
    more = ", …" if len(names) > len(shown) else ""
    return f"known: {', '.join(shown)}{more}"


def shown(value: object, limit: int = 80) -> str:
    """A value as text that fits into a message.

    Examples
    --------
    >>> shown("abc")
    "'abc'"
    """
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() > 200:
        return f"a whole number of {value.bit_length()} bits"
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # digits beyond Python's limit, or nested too deeply
        text = f"a {type(value).__name__}"
    return text if len(text) <= limit else text[: limit - 1] + "…"
