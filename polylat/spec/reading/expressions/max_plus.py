"""Latencies as a maximum of linear forms in the numbers of calls.

A component's ``total_latency`` is evaluated once, symbolically in the number of calls of each
action. The result is ``max(form, form, …)``, a max-plus expression in which each form is a sum of
(calls of an action × time) plus a constant: one port per form.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

MAX_FORMS = 256


class NotMaxPlusError(Exception):
    """The latency is not a maximum of linear forms."""


@dataclass(frozen=True)
class LinearForm:
    """``sum(coefficient * calls of action) + constant``.

    Parameters
    ----------
    terms
        Action → coefficient, in units of time per call. A coefficient may be zero (unlimited
        throughput): the form then still names its action.
    constant
        The constant term, in units of time.
    """

    terms: Mapping[str, Fraction]
    constant: Fraction = Fraction(0)

    def plus(self, other: LinearForm, sign: int = 1) -> LinearForm:
        """Add or subtract a form.

        Parameters
        ----------
        other
            The form to add.
        sign
            1 to add, -1 to subtract.

        Returns
        -------
        LinearForm
            ``self + sign * other``.
        """
        names = dict.fromkeys([*self.terms, *other.terms])
        zero = Fraction(0)
        terms = {n: self.terms.get(n, zero) + sign * other.terms.get(n, zero) for n in names}
        return LinearForm(terms, self.constant + sign * other.constant)

    def times(self, factor: Fraction) -> LinearForm:
        """Scale the form.

        Parameters
        ----------
        factor
            A constant.

        Returns
        -------
        LinearForm
            ``factor * self``.
        """
        return LinearForm({n: c * factor for n, c in self.terms.items()}, self.constant * factor)

    def at_most(self, other: LinearForm) -> bool:
        """Return whether this form is ≤ another one for all non-negative numbers of calls.

        Parameters
        ----------
        other
            The form to compare with.

        Returns
        -------
        bool
            True if every coefficient and the constant are ≤ those of `other`.
        """
        zero = Fraction(0)
        names = {*self.terms, *other.terms}
        return self.constant <= other.constant and all(
            self.terms.get(n, zero) <= other.terms.get(n, zero) for n in names
        )


@dataclass(frozen=True)
class MaxPlusLatency:
    """A maximum of linear forms.

    Parameters
    ----------
    forms
        The arguments of the maximum, at least one.
    """

    forms: tuple[LinearForm, ...]

    @staticmethod
    def calls(action: str) -> MaxPlusLatency:
        """Return the number of calls of an action.

        Parameters
        ----------
        action
            Name of the action.

        Returns
        -------
        MaxPlusLatency
            A single form with coefficient 1.
        """
        return MaxPlusLatency((LinearForm({action: Fraction(1)}),))

    def __post_init__(self) -> None:
        if len(self.forms) > MAX_FORMS:
            raise NotMaxPlusError(
                f"it has more than {MAX_FORMS} arguments after sums are distributed"
            )
