"""Functions of expressions on lists, sets and tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from fractions import Fraction
from typing import Any

from polylat.spec.reading.expressions import latency
from polylat.spec.reading.expressions.arithmetic import (
    LARGEST_LIST,
    add_values,
    multiply_values,
    refuse_latencies,
)
from polylat.spec.reading.expressions.kinds import EvaluationFailure, kind_of
from polylat.spec.reading.expressions.max_plus import MaxPlusLatency
from polylat.spec.reading.expressions.objects import ItemList
from polylat.spec.reading.expressions.operators import condition_holds
from polylat.spec.reading.expressions.sets import NameSet
from polylat.spec.reading.numbers import to_exact


def _items(values: tuple[Any, ...]) -> list[Any]:
    """Return the items of the only argument if it is a collection, else the arguments."""
    if len(values) == 1 and isinstance(values[0], (list, tuple, ItemList, NameSet)):
        return list(values[0])
    return list(values)


def _sum(*values: Any) -> Any:
    items = _items(values)
    if len(values) == 2 and isinstance(values[0], (list, tuple)):
        items = [*values[0], values[1]]
    total: Any = 0
    for item in items:
        total = add_values(total, item)
    return total


def _extreme(
    of_latencies: Callable[[Iterable[Any]], MaxPlusLatency],
    of_numbers: Callable[..., Any],
    name: str,
) -> Callable[..., Any]:
    def apply(*values: Any) -> Any:
        items = _items(values)
        if not items:
            raise EvaluationFailure(f"{name}() needs at least one number")
        for item in items:
            if not isinstance(item, (MaxPlusLatency, int, Fraction, float)):
                raise EvaluationFailure(f"{name}() needs numbers, not {kind_of(item)}")
        if any(isinstance(item, MaxPlusLatency) for item in items):
            return of_latencies(items)
        return to_exact(of_numbers(items))

    return apply


def _prod(*values: Any) -> Any:
    total: Any = 1
    for item in _items(values):
        total = multiply_values(total, item)
    return total


def _len(value: Any) -> int:
    if isinstance(value, (NameSet, list, tuple, str, ItemList)):
        return len(value)
    raise EvaluationFailure(f"len() needs a set or a list, not {kind_of(value)}")


def _range(*values: Any) -> list[int]:
    refuse_latencies("range()", *values)
    if not all(isinstance(v, int) for v in values):
        raise EvaluationFailure("range() needs whole numbers")
    found = range(*values)
    if len(found) > LARGEST_LIST:
        raise EvaluationFailure(f"range() of more than {LARGEST_LIST} numbers")
    return list(found)


def items_of(value: Any = ()) -> list[Any]:
    """Return the items of a list, a set or a table.

    Parameters
    ----------
    value
        The list, set or table.

    Returns
    -------
    list
        Its items.

    Raises
    ------
    EvaluationFailure
        If the value is something else.
    """
    if isinstance(value, (list, tuple, NameSet, ItemList)):
        return list(value)
    raise EvaluationFailure(f"list() needs a list, not {kind_of(value)}")


def _enumerate(value: Any) -> list[Any]:
    return [(i, item) for i, item in enumerate(items_of(value))]


_max = _extreme(latency.maximum, max, "max")
_min = _extreme(latency.minimum, min, "min")

LIST_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "bool": condition_holds,
    "enumerate": _enumerate,
    "fsum": _sum,
    "len": _len,
    "list": items_of,
    "max": _max,
    "min": _min,
    "prod": _prod,
    "range": _range,
    "sum": _sum,
    "tuple": items_of,
}
