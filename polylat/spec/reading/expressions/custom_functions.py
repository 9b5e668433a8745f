"""Calls of the caller's own functions: plain values in, exact numbers out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

from polylat.spec.reading.expressions.arithmetic import LARGEST_LIST, refuse_latencies
from polylat.spec.reading.expressions.kinds import EvaluationFailure, kind_of
from polylat.spec.reading.expressions.objects import Opaque
from polylat.spec.reading.expressions.sets import NameSet
from polylat.spec.reading.numbers import BadNumber, to_exact
from polylat.spec.reading.suggest import format_value

_MAX_REASON = 200


def call_function(
    name: str, function: Opaque, arguments: Sequence[Any], named: Mapping[str, Any]
) -> Any:
    """Call a function of the caller.

    Parameters
    ----------
    name
        How the expression calls it, for messages.
    function
        The function.
    arguments, named
        The values of its arguments. A set becomes the list of its names.

    Returns
    -------
    Any
        An exact number, a boolean, or a list of these.

    Raises
    ------
    EvaluationFailure
        If it raises an exception, or returns something else.
    NotMaxPlusError
        If an argument depends on numbers of calls.
    """
    if not callable(function.value):
        raise EvaluationFailure(f"{kind_of(function)} cannot be called")
    plain = [_plain(name, value) for value in arguments]
    plain_named = {key: _plain(name, value) for key, value in named.items()}
    try:
        result = function.value(*plain, **plain_named)
    except Exception as error:  # whatever the function does wrong is an error of the input
        reason = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        if len(reason) > _MAX_REASON:
            reason = f"{reason[: _MAX_REASON - 1]}…"
        raise EvaluationFailure(
            f"{name}() raised {reason}", "mend the function, or its arguments"
        ) from error
    return _exact(name, result)


def _plain(name: str, value: Any) -> Any:
    """Convert a value of an expression to what a function can work with."""
    refuse_latencies(f"{name}()", value)
    if isinstance(value, Opaque):
        return value.value
    if isinstance(value, NameSet):
        return list(value.ordered())
    if isinstance(value, (list, tuple)):
        return [_plain(name, item) for item in value]
    if value is None or isinstance(value, (bool, int, Fraction, float, str)):
        return value
    raise EvaluationFailure(f"{name}() cannot take {kind_of(value)} as an argument")


def _exact(name: str, value: Any) -> Any:
    """Convert what a function returned to exact numbers."""
    if isinstance(value, bool):
        return value
    if isinstance(value, (list, tuple)):
        if len(value) > LARGEST_LIST:
            raise EvaluationFailure(f"{name}() returned more than {LARGEST_LIST} values")
        return [_exact(name, item) for item in value]
    try:
        return to_exact(value)
    except BadNumber as error:
        raise EvaluationFailure(
            f"{name}() returned {format_value(value)}, which is {error}",
            "return a number, or a list of numbers",
        ) from None
