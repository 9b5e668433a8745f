"""A component's ``total_latency`` that is not a maximum of sums, evaluated on numbers of calls."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from polylat.errors import ExpressionError, UnsupportedError
from polylat.numbers import Number
from polylat.spec.reading.expressions.evaluation import evaluate
from polylat.spec.reading.expressions.kinds import kind_of
from polylat.spec.reading.expressions.objects import Fields, ItemList
from polylat.spec.reading.expressions.scope import Scope
from polylat.spec.reading.suggest import format_value

__all__ = ["TotalLatency"]


@dataclass(frozen=True)
class TotalLatency:
    """The ``total_latency`` of a component, as an expression in the numbers of calls.

    AccelForge evaluates it once per Einsum, on the Einsum's total numbers of calls, and so does
    `polylat.roofline`. A schedule needs the time of each access, which such an expression does not
    give: with ``ceil(n / 64)``, for instance, the parts take longer than the whole.

    Parameters
    ----------
    expression
        The expression.
    names
        The values of the names in it.
    actions
        Action → attribute → value, of the attributes in the expression.
    where
        Location in the input.
    reason
        Why it is not a maximum of sums.
    fix
        What to write instead.

    Examples
    --------
    >>> from polylat.spec.total_latency import TotalLatency
    >>> text = "ceil(sum(a.n_calls / a.throughput for a in actions) / 64) * 64"
    >>> latency = TotalLatency(text, {}, {"read": {"throughput": 2}, "write": {"throughput": 1}})
    >>> latency.of_calls({"read": 20, "write": 60})
    128
    """

    expression: Any
    names: Mapping[str, Any]
    actions: Mapping[str, Mapping[str, Any]]
    where: str = ""
    reason: str = field(default="", compare=False)
    fix: str = field(default="", compare=False)

    def of_calls(self, calls: Mapping[str, Number]) -> Number:
        """Evaluate the expression.

        Parameters
        ----------
        calls
            Action → number of calls; zero if not listed.

        Returns
        -------
        Number
            The time, exact.

        Raises
        ------
        ExpressionError
            The expression cannot be evaluated, or is not a finite time.
        """
        items = {
            name: Fields(f"the action {name!r}", {**values, "n_calls": calls.get(name, 0)})
            for name, values in self.actions.items()
        }
        scope = Scope({**self.names, "actions": ItemList("the actions", items)})
        value = evaluate(self.expression, scope, self.where)
        if isinstance(value, (int, Fraction)):
            return int(value) if isinstance(value, bool) else value
        got = format_value(value) if isinstance(value, (str, float)) else kind_of(value)
        raise ExpressionError(
            f"{format_value(self.expression)} must be a finite time, not {got}", where=self.where
        )

    def refusal(self, component: str) -> UnsupportedError:
        """Make the error for an analysis that needs the time of each access.

        Parameters
        ----------
        component
            Name of the component.

        Returns
        -------
        UnsupportedError
            The error.
        """
        return UnsupportedError(
            f"the total_latency of {component!r} {self.reason}", where=self.where, fix=self.fix
        )
