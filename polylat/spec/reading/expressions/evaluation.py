"""Evaluate expressions in the input: arithmetic, set expressions, latencies."""

from __future__ import annotations

from fractions import Fraction
from typing import Any, Literal

import simpleeval  # type: ignore[import-untyped]

from polylat.errors import ExpressionError, PolylatError
from polylat.spec.reading.expressions.evaluator import Evaluator
from polylat.spec.reading.expressions.kinds import EvaluationFailure, describe_result
from polylat.spec.reading.expressions.max_plus import NotMaxPlusError
from polylat.spec.reading.expressions.scope import Scope
from polylat.spec.reading.expressions.sets import SetError
from polylat.spec.reading.location import Location
from polylat.spec.reading.numbers import BadNumber, Number, check_count, is_decimal, parse_decimal
from polylat.spec.reading.suggest import format_value


def evaluate(expression: object, scope: Scope, at: Location | str) -> Any:
    """Evaluate an expression.

    Parameters
    ----------
    expression
        A number, a boolean, None or the text of an expression.
    scope
        The names that it may use.
    at
        Its location in the input, for messages.

    Returns
    -------
    Any
        An exact number, a boolean, None, a string, a `NameSet`, a `MaxPlusLatency` or a list.

    Raises
    ------
    ExpressionError
        If it cannot be evaluated.
    NotMaxPlusError
        If a latency is not a maximum of linear forms.
    """
    if not isinstance(expression, str):
        return expression
    text = expression.strip()
    try:
        if is_decimal(text):
            return parse_decimal(text)
        if text.lower() in ("true", "false"):
            return text.lower() == "true"
        if text in scope:
            return scope.lookup(text)
        return Evaluator(scope).run(text)
    except NotMaxPlusError:
        raise
    except PolylatError:
        raise
    except EvaluationFailure as failure:
        why, fix = failure.why, failure.fix
    except SyntaxError as error:
        why = f"it is not a valid expression ({error.msg})"
        fix = "use numbers, names, + - * / and functions such as max()"
    except ZeroDivisionError:
        why, fix = "division by zero", None
    except (BadNumber, SetError) as error:
        why, fix = str(error), None
    except (RecursionError, MemoryError):
        why, fix = "it is nested too deeply or too large", "simplify it"
    except (simpleeval.InvalidExpression, ArithmeticError, TypeError, ValueError) as error:
        why, fix = str(error) or type(error).__name__, None
    raise ExpressionError(f"cannot evaluate {format_value(text)}: {why}", where=str(at), fix=fix)


def evaluate_number(expression: object, scope: Scope, at: Location) -> Number:
    """Evaluate an expression that must be a number.

    Parameters
    ----------
    expression, scope, at
        As for `evaluate`.

    Returns
    -------
    Number
        The number; a boolean counts as 0 or 1.

    Raises
    ------
    ExpressionError
        If the value is not a number.
    """
    value = evaluate(expression, scope, at)
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, (int, Fraction, float)):
        return value
    raise ExpressionError(
        f"{describe_result(expression, value)} must be a number",
        where=str(at),
        fix="give a number",
    )


def evaluate_positive(expression: object, scope: Scope, at: Location, *, what: str) -> Fraction:
    """Evaluate an expression that must be a finite number above zero.

    Parameters
    ----------
    expression, scope, at
        As for `evaluate`.
    what
        Description of the value, for messages.

    Returns
    -------
    Fraction
        The number.

    Raises
    ------
    ExpressionError
        If the value is not a finite number above zero.
    """
    value = evaluate_number(expression, scope, at)
    if isinstance(value, float) or value <= 0:
        raise ExpressionError(
            f"{what} must be a finite number above zero, not {describe_result(expression, value)}",
            where=str(at),
        )
    return Fraction(value)


def evaluate_whole(
    expression: object, scope: Scope, at: Location, *, what: str, least: Literal[0, 1] = 1
) -> int:
    """Evaluate an expression that must be a whole number above zero, or of at least zero.

    Parameters
    ----------
    expression, scope, at
        As for `evaluate`.
    what
        Description of the value, for messages.
    least
        The least number.

    Returns
    -------
    int
        The number.

    Raises
    ------
    ExpressionError
        If the value is not a whole number, or too small.
    """
    value = evaluate_number(expression, scope, at)
    if not isinstance(value, int) or value < least:
        kind = "whole number above zero" if least else "whole number of at least zero"
        raise ExpressionError(
            f"{what} must be a {kind}, not {describe_result(expression, value)}",
            where=str(at),
        )
    try:
        return check_count(value)
    except BadNumber as error:
        raise ExpressionError(f"{what}: {error}", where=str(at)) from None
