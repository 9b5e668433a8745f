"""Parse affine expressions and constraints: ``2*p + r``, ``0 <= m < 8 and n >= 1``."""

from __future__ import annotations

from polylat.spec.affine import Affine
from polylat.spec.reading.affine_parser import AffineParser, Constants


def parse_affine(text: str, variables: Constants | None = None) -> Affine:
    """Parse an affine expression.

    Parameters
    ----------
    text
        Names, whole numbers, ``+ - *`` and parentheses.
    variables
        Values of the names that are constants; all other names are rank variables.

    Returns
    -------
    Affine
        The expression.

    Raises
    ------
    BadAffine
        If the text is not an affine expression.

    Examples
    --------
    >>> print(parse_affine("2*p + r - 1"), parse_affine("3(a + b)"))
    2*p + r - 1 3*a + 3*b
    """
    return AffineParser(text, variables).expression()


def parse_constraints(text: str, variables: Constants | None = None) -> tuple[Affine, ...]:
    """Parse a conjunction of comparisons.

    Parameters
    ----------
    text
        Comparisons of affine expressions, joined by ``and``, ``&&``, ``&`` or ``;``.
    variables
        Values of the names that are constants; all other names are rank variables.

    Returns
    -------
    tuple of Affine
        Expressions; the conjunction holds where all of them are ≥ 0.

    Raises
    ------
    BadAffine
        If the text is not such a conjunction.

    Examples
    --------
    >>> [str(c) for c in parse_constraints("0 <= m < 8")]
    ['m', '-m + 7']
    """
    return AffineParser(text, variables).conjunction()
