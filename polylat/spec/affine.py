"""Integer affine expressions over rank variables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Affine:
    """``sum(coefficient * variable) + constant``, all integers.

    Parameters
    ----------
    terms
        (variable, coefficient) pairs in order of appearance; every coefficient is nonzero and
        every variable occurs once.
    constant
        The constant term.

    Examples
    --------
    >>> index = Affine((("p", 2), ("r", 1)), 0)
    >>> print(index), index.at({"p": 3, "r": 1})
    2*p + r
    (None, 7)
    """

    terms: tuple[tuple[str, int], ...] = ()
    constant: int = 0

    @property
    def variables(self) -> tuple[str, ...]:
        """The variables, in order of appearance."""
        return tuple(variable for variable, _ in self.terms)

    def at(self, point: Mapping[str, int]) -> int:
        """Return the value at a point.

        Parameters
        ----------
        point
            A value for every variable.

        Returns
        -------
        int
            ``sum(coefficient * point[variable]) + constant``.
        """
        return sum(c * point[v] for v, c in self.terms) + self.constant

    def __str__(self) -> str:
        text = ""
        for variable, coefficient in self.terms:
            sign = "-" if coefficient < 0 else "+"
            size = abs(coefficient)
            term = variable if size == 1 else f"{size}*{variable}"
            text += f" {sign} {term}" if text else (f"-{term}" if sign == "-" else term)
        if self.constant or not text:
            sign = "-" if self.constant < 0 else "+"
            text += f" {sign} {abs(self.constant)}" if text else str(self.constant)
        return text


def add_multiple(left: Affine, right: Affine, factor: int = 1) -> Affine:
    """Compute ``left + factor * right``.

    Parameters
    ----------
    left, right
        The expressions.
    factor
        The factor on `right`.

    Returns
    -------
    Affine
        The sum, without zero coefficients.
    """
    terms = dict(left.terms)
    for name, coefficient in right.terms:
        terms[name] = terms.get(name, 0) + factor * coefficient
    return Affine(
        tuple((n, c) for n, c in terms.items() if c), left.constant + factor * right.constant
    )
