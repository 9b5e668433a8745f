"""Refuse characters that do not show: in names, they make one name look like another."""

from __future__ import annotations

from collections.abc import Callable

from polylat.characters import describe_character, find_hidden
from polylat.errors import SpecError
from polylat.spec.reading.suggest import format_value


def refuse_hidden(text: str, where: Callable[[], str], *, multiline: bool = False) -> None:
    """Refuse a text with a character that does not show.

    Parameters
    ----------
    text
        The text.
    where
        Returns its location in the input, for the message.
    multiline
        Whether the text may have line breaks and tabs, which names and keys may not.

    Raises
    ------
    SpecError
        The text has such a character; the message names it.
    """
    found = find_hidden(text, multiline=multiline)
    if found is not None:
        raise SpecError(
            f"{format_value(text)} contains the character {describe_character(found)}, which does"
            " not show",
            where=where() or None,
            fix="remove it",
        )
