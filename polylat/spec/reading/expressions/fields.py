"""Fields and variables of the input whose expressions are evaluated on first use."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from polylat.errors import ExpressionError
from polylat.spec.reading.expressions.evaluation import evaluate
from polylat.spec.reading.expressions.lazy_value import LazyValue, shown_cycle
from polylat.spec.reading.expressions.objects import Fields
from polylat.spec.reading.expressions.scope import Scope
from polylat.spec.reading.location import Location
from polylat.spec.reading.suggest import format_value
from polylat.spec.reading.tree import Quoted


def lazy_value(value: Any, scope: Scope, at: Location) -> LazyValue:
    """Wrap a value of the input so that it is evaluated on first use.

    Parameters
    ----------
    value
        An expression, a quoted string (which is its own value) or data.
    scope
        The names that the expression may use.
    at
        Its location in the input, for messages.

    Returns
    -------
    LazyValue
        The value, not yet evaluated.
    """
    return LazyValue(partial(_evaluated, value, scope, at))


def _evaluated(value: Any, scope: Scope, at: Location) -> Any:
    return str(value) if isinstance(value, Quoted) else evaluate(value, scope, at)


def lazy_field(value: Any, scope: Scope, name: str, at: Location) -> LazyValue:
    """Wrap a field of the input so that it is evaluated on first use.

    Parameters
    ----------
    value, scope, name, at
        As for `evaluate_field`.

    Returns
    -------
    LazyValue
        The field, not yet evaluated.
    """

    def cycle(names: list[str]) -> ExpressionError:
        return ExpressionError(
            f"cannot evaluate {format_value(value)}: it depends on its own value:"
            f" {shown_cycle(names)}",
            where=str(at / name),
            fix="replace one of the values by a number",
        )

    return LazyValue(partial(evaluate_field, value, scope, name, at), name, cycle)


def evaluate_field(value: Any, scope: Scope, name: str, at: Location) -> Any:
    """Evaluate a field; where its expression uses the field's name, this is the outer name.

    Parameters
    ----------
    value
        The field's value, as for `lazy_value`.
    scope
        The names that the expression may use, with the fields innermost.
    name
        Name of the field.
    at
        Location in the input of the object that has the field.

    Returns
    -------
    Any
        The value.

    Raises
    ------
    ExpressionError
        If it cannot be evaluated.
    """
    return _evaluated(value, scope.without(name), at / name)


def variables_table(variables: Mapping[str, Any], scope: Scope, at: Location) -> dict[str, Any]:
    """Return the variables, each evaluated on first use.

    Parameters
    ----------
    variables
        Name → value or expression.
    scope
        The names that the expressions may use.
    at
        Location of the variables in the input.

    Returns
    -------
    dict
        Name → lazy value; ``"variables"`` → all of them as attributes.
    """
    table: dict[str, Any] = {
        name: lazy_field(value, scope, name, at) for name, value in variables.items()
    }
    table["variables"] = Fields("variables", dict(table))
    return table
