"""Kinds of values of expressions, and the failure of an evaluation."""

from __future__ import annotations

from fractions import Fraction

from polylat.spec.reading.expressions.max_plus import MaxPlusLatency
from polylat.spec.reading.expressions.objects import Fields, ItemList, Opaque
from polylat.spec.reading.expressions.sets import NameSet
from polylat.spec.reading.suggest import format_value


class EvaluationFailure(Exception):
    """An expression cannot be evaluated.

    Parameters
    ----------
    why
        The reason.
    fix
        The fix, as an imperative.
    """

    def __init__(self, why: str, fix: str | None = None) -> None:
        super().__init__(why)
        self.why = why
        self.fix = fix


def kind_of(value: object) -> str:
    """Describe the kind of a value, for messages.

    Parameters
    ----------
    value
        The value.

    Returns
    -------
    str
        The description, such as ``"a number"``.
    """
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, (int, Fraction, float)):
        return "a number"
    if value is None:
        return "nothing"
    if isinstance(value, NameSet):
        return f"a set of {value.space.kind}s"
    if isinstance(value, MaxPlusLatency):
        return "a latency"
    if isinstance(value, (Fields, ItemList, Opaque)):
        return value.title
    return "a string" if isinstance(value, str) else "a list"


def describe_result(expression: object, value: object) -> str:
    """Format an expression and its value for a message.

    Parameters
    ----------
    expression
        The expression, as written.
    value
        Its value.

    Returns
    -------
    str
        The expression, followed by its value if it is not the same text.
    """
    text = str(value) if isinstance(value, NameSet) else format_value(value)
    if isinstance(value, (Fields, ItemList, MaxPlusLatency, Opaque)):
        text = kind_of(value)
    if isinstance(expression, str) and expression.strip() != text:
        return f"{format_value(expression)} (= {text})"
    return text
