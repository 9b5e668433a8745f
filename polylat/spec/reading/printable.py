"""Refuse characters that do not show: in names, they make one name look like another."""

from __future__ import annotations

from polylat.characters import describe_character, find_hidden, find_unprintable
from polylat.errors import SpecError
from polylat.spec.reading.suggest import format_value


def refuse_unprintable(text: str, where: str) -> None:
    """Refuse a text with a character that does not show, line breaks and tabs aside.

    Parameters
    ----------
    text
        The text.
    where
        Its location in the input, for the message.

    Raises
    ------
    SpecError
        The text has such a character; the message names it.
    """
    _refuse(text, find_unprintable(text), where)


def refuse_hidden(name: str, where: str) -> None:
    """Refuse a name or key with a character that does not show, a line break or a tab.

    Parameters
    ----------
    name
        The name.
    where
        Its location in the input, for the message.

    Raises
    ------
    SpecError
        The name has such a character; the message names it.
    """
    _refuse(name, find_hidden(name), where)


def _refuse(text: str, found: str | None, where: str) -> None:
    if found is not None:
        raise SpecError(
            f"{format_value(text)} contains the character {describe_character(found)}, which does"
            " not show",
            where=where or None,
            fix="remove it",
        )
