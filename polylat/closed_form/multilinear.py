"""Multilinear polynomials: affine in each variable, with exact coefficients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

__all__ = ["Multilinear"]


@dataclass(frozen=True)
class Multilinear:
    """A polynomial that is affine in each of its variables.

    Parameters
    ----------
    coefficients
        Shape (2**n,) for n variables: the coefficient of the product of the variables i whose bit i
        is set in its position.

    Examples
    --------
    >>> area = Multilinear.between((0, 0), (2, 3), (0, 0, 0, 6))
    >>> area.coefficients == (0, 0, 0, 1), area.at((5, 7))
    (True, Fraction(35, 1))
    """

    coefficients: tuple[Fraction, ...]

    @staticmethod
    def between(
        low: Sequence[Fraction | int],
        high: Sequence[Fraction | int],
        values: Sequence[Fraction | int],
    ) -> Multilinear:
        """Interpolate between the corners of a box.

        Parameters
        ----------
        low, high
            The box; `high` is larger in every variable.
        values
            Shape (2**n,): bit i of a position says whether variable i is at its upper end.

        Returns
        -------
        Multilinear
            The polynomial with these values.
        """
        found = [Fraction(value) for value in values]
        for i, (a, b) in enumerate(zip(low, high, strict=True)):
            bit = 1 << i
            for at in range(len(found)):
                if not at & bit:
                    slope = (found[at | bit] - found[at]) / (Fraction(b) - Fraction(a))
                    found[at] -= slope * a
                    found[at | bit] = slope
        return Multilinear(tuple(found))

    @staticmethod
    def constant(value: Fraction | int, variables: int) -> Multilinear:
        """Return a constant.

        Parameters
        ----------
        value
            The constant.
        variables
            Number of variables.

        Returns
        -------
        Multilinear
            The polynomial.
        """
        rest = (Fraction(0),) * ((1 << variables) - 1)
        return Multilinear((Fraction(value), *rest))

    @property
    def variables(self) -> int:
        """Number of variables."""
        return len(self.coefficients).bit_length() - 1

    def at(self, point: Sequence[Fraction | int]) -> Fraction:
        """Return the value at a point.

        Parameters
        ----------
        point
            A value for every variable.

        Returns
        -------
        Fraction
            The value.
        """
        left = list(self.coefficients)
        for value in reversed(point):
            half = len(left) // 2
            left = [left[i] + left[i + half] * value for i in range(half)]
        return left[0]

    def fix_last(self, value: Fraction | int) -> Multilinear:
        """Substitute a value for the last variable.

        Parameters
        ----------
        value
            The value.

        Returns
        -------
        Multilinear
            A polynomial in the other variables.
        """
        half = len(self.coefficients) // 2
        low, high = self.coefficients[:half], self.coefficients[half:]
        return Multilinear(tuple(a + b * value for a, b in zip(low, high, strict=True)))

    @staticmethod
    def through(
        one: tuple[Fraction, Multilinear], other: tuple[Fraction, Multilinear]
    ) -> Multilinear:
        """Return the polynomial with one more variable that has given values at two places of it.

        Parameters
        ----------
        one, other
            (value of the new last variable, polynomial in the other variables).

        Returns
        -------
        Multilinear
            The polynomial.
        """
        (x, low), (y, high) = one, other
        slope = tuple(
            (b - a) / (y - x) for a, b in zip(low.coefficients, high.coefficients, strict=True)
        )
        rest = tuple(a - s * x for a, s in zip(low.coefficients, slope, strict=True))
        return Multilinear(rest + slope)

    def slope(self, bit: int) -> Multilinear:
        """Return the slope in one variable.

        Parameters
        ----------
        bit
            ``1 << i`` for variable i.

        Returns
        -------
        Multilinear
            A polynomial in the same variables, constant in this one.
        """
        return Multilinear(
            tuple(
                Fraction(0) if at & bit else self.coefficients[at | bit]
                for at in range(len(self.coefficients))
            )
        )

    def minus(self, other: Multilinear) -> Multilinear:
        """Return the difference.

        Parameters
        ----------
        other
            What is subtracted.

        Returns
        -------
        Multilinear
            The difference.
        """
        pairs = zip(self.coefficients, other.coefficients, strict=True)
        return Multilinear(tuple(a - b for a, b in pairs))

    def is_nonnegative(
        self, low: Sequence[Fraction | int], high: Sequence[Fraction | int | None]
    ) -> bool:
        """Return whether the polynomial is nowhere negative in a box.

        Parameters
        ----------
        low, high
            The box; None: unbounded.

        Returns
        -------
        bool
            Exact: a multilinear polynomial is least at a corner. Where a variable is unbounded, it
            is nonnegative if and only if its value at the lower end and its slope are.
        """
        if not low:
            return self.coefficients[0] >= 0
        start = self.fix_last(low[-1])
        if high[-1] is None:
            half = len(self.coefficients) // 2
            other = Multilinear(self.coefficients[half:])
        else:
            other = self.fix_last(high[-1])
        return start.is_nonnegative(low[:-1], high[:-1]) and other.is_nonnegative(
            low[:-1], high[:-1]
        )
