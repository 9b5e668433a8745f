"""Constants of affine expressions in the input, and the error for a text that is not affine."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from polylat.errors import SpecError, UnsupportedError
from polylat.spec.reading.affine_parser import BadAffine
from polylat.spec.reading.expressions.scope import Scope
from polylat.spec.reading.location import Location
from polylat.spec.reading.suggest import format_value


def unreadable(
    error: BadAffine, text: str, at: Location, form: str
) -> SpecError | UnsupportedError:
    """Make the error for a text that is not affine.

    Parameters
    ----------
    error
        The reason.
    text, at
        The text and its location in the input.
    form
        Description of a text that can be read.

    Returns
    -------
    SpecError or UnsupportedError
        `UnsupportedError` if AccelForge can read the text.
    """
    kind = UnsupportedError if error.unsupported else SpecError
    return kind(f"cannot read {format_value(text)}: {error}", where=str(at), fix=f"write {form}")


def constants(variables: Scope, rank_variables: frozenset[str]) -> Any:
    """Return the constants of affine expressions.

    Parameters
    ----------
    variables
        The names that an expression may use.
    rank_variables
        Names that are rank variables even if there is a variable of the same name.

    Returns
    -------
    Callable
        Function name → value; None for a name that is not a variable with an exact value.
    """

    def value(name: str) -> int | Fraction | None:
        if name in rank_variables or name not in variables:
            return None
        found = variables.lookup(name)
        if isinstance(found, (int, Fraction)) and not isinstance(found, bool):
            return found
        return None

    return value
