"""Characters that do not show: control characters, and those that hide or reorder others."""

from __future__ import annotations

import re
import unicodedata

__all__ = ["describe_character", "escape_hidden", "find_hidden"]

_INVISIBLE = (
    "\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f"  # soft hyphen, joiners, fillers
    "\u200b-\u200f\u2028-\u202e\u2060-\u206f"  # zero width, line separators, direction
    "\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\ufffe\uffff"  # fillers, variation selectors
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"  # shorthand, music, tags
)
_LINES = "\t\n\r"
_HIDDEN = re.compile(f"[\x00-\x1f\x7f-\x9f\ud800-\udfff{_INVISIBLE}]")
_HIDDEN_IN_LINES = re.compile(f"(?![{_LINES}]){_HIDDEN.pattern}")


def find_hidden(text: str, *, multiline: bool = False) -> str | None:
    """Return the first character of a text that does not show.

    Parameters
    ----------
    text
        Any text.
    multiline
        Whether the text may have line breaks and tabs.

    Returns
    -------
    str or None
        A control character, a surrogate, or a character that has no width or changes the direction
        of others; None if there is none.
    """
    found = _pattern(multiline).search(text)
    return found[0] if found else None


def describe_character(character: str) -> str:
    r"""Describe a character by its code point and its name.

    Parameters
    ----------
    character
        One character.

    Returns
    -------
    str
        The description.

    Examples
    --------
    >>> describe_character("\u202e"), describe_character("\x1b")
    ('U+202E (right-to-left override)', 'U+001B (control character)')
    """
    kind = "surrogate" if "\ud800" <= character <= "\udfff" else "control character"
    return f"U+{ord(character):04X} ({unicodedata.name(character, kind).lower()})"


def escape_hidden(text: str, *, multiline: bool = False) -> str:
    r"""Replace the characters that do not show by escape sequences.

    Parameters
    ----------
    text
        Any text.
    multiline
        Whether to keep line breaks and tabs.

    Returns
    -------
    str
        The text; on one line, unless it is `multiline`.

    Examples
    --------
    >>> print(escape_hidden("a\x1b[31mb\nc\u202e"))
    a\x1b[31mb\nc\u202e
    """
    return _pattern(multiline).sub(lambda found: ascii(found[0])[1:-1], text)


def _pattern(multiline: bool) -> re.Pattern[str]:
    return _HIDDEN_IN_LINES if multiline else _HIDDEN
