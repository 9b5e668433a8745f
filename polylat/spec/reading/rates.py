"""Rates of actions: scales of the throughput, and arithmetic with infinite rates."""

from __future__ import annotations

from fractions import Fraction

from polylat.errors import ExpressionError, SpecError
from polylat.spec.reading.expressions.evaluation import evaluate_number
from polylat.spec.reading.expressions.scope import Scope
from polylat.spec.reading.location import Location
from polylat.spec.reading.models import arch as m
from polylat.spec.reading.numbers import Number, to_exact
from polylat.spec.reading.suggest import format_value

_INFINITY = float("inf")


def throughput_scale(model: m.ComponentModel | m.ActionModel, scope: Scope, at: Location) -> Number:
    """Return the ``throughput_scale``, or the reciprocal of the deprecated ``latency_scale``.

    Parameters
    ----------
    model
        A component or an action.
    scope
        The names that its expressions may use.
    at
        Location of the component or action in the input.

    Returns
    -------
    Number
        The factor on the throughput; 1 if none is given.

    Raises
    ------
    SpecError
        If a component gives both.
    ExpressionError
        If the scale is not above zero.
    """
    given, deprecated = model.throughput_scale, model.latency_scale
    if given is not None and deprecated is not None and isinstance(model, m.ComponentModel):
        raise SpecError(
            f"throughput_scale and latency_scale of {model.name!r} are both given",
            where=str(at),
            fix="remove latency_scale, which is deprecated",
        )
    if given is not None or deprecated is None:
        return throughput_scale_alone(model, scope, at)
    key = "latency_scale"
    value = reciprocal_rate(evaluate_number(deprecated, scope.without(key), at / key))
    return require_positive(value, key, at / key)


def throughput_scale_alone(
    model: m.ComponentModel | m.ActionModel, scope: Scope, at: Location
) -> Number:
    """Return the ``throughput_scale``, where ``latency_scale`` has another meaning.

    Parameters
    ----------
    model, scope, at
        As for `throughput_scale`.

    Returns
    -------
    Number
        The factor on the throughput; 1 if none is given.

    Raises
    ------
    ExpressionError
        If the scale is not above zero.
    """
    key = "throughput_scale"
    if model.throughput_scale is None:
        return 1
    value = evaluate_number(model.throughput_scale, scope.without(key), at / key)
    return require_positive(value, key, at / key)


def require_positive(value: Number, what: str, at: Location) -> Number:
    """Check that a number is above zero.

    Parameters
    ----------
    value
        The number.
    what
        Description of the number, for messages.
    at
        Its location in the input.

    Returns
    -------
    Number
        The number.

    Raises
    ------
    ExpressionError
        If it is not above zero.
    """
    if value <= 0:
        raise ExpressionError(
            f"{what} must be above zero, not {format_value(value)}", where=str(at)
        )
    return value


def reciprocal(value: Number) -> Fraction:
    """Return the reciprocal of a value above zero.

    Parameters
    ----------
    value
        A number above zero, or infinity.

    Returns
    -------
    Fraction
        The reciprocal; zero for infinity.
    """
    return Fraction(0) if isinstance(value, float) else 1 / Fraction(value)


def reciprocal_rate(value: Number) -> Number:
    """Return the reciprocal of a value ≥ 0; infinity is the reciprocal of zero, and vice versa.

    Parameters
    ----------
    value
        A rate or a latency, possibly infinite.

    Returns
    -------
    Number
        Its reciprocal.
    """
    if isinstance(value, float):
        return 0
    return _INFINITY if value == 0 else to_exact(1 / Fraction(value))


def multiply_rates(a: Number, b: Number) -> Number:
    """Multiply two numbers above zero, possibly infinite.

    Parameters
    ----------
    a, b
        The numbers.

    Returns
    -------
    Number
        Their product.
    """
    if isinstance(a, float) or isinstance(b, float):
        return _INFINITY  # both factors are above zero
    return to_exact(Fraction(a) * Fraction(b))
