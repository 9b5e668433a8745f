"""Operators, functions and constants of expressions.

Numbers stay exact, sets and latencies have their own operators, and the size of every result is
bounded.
"""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Iterable
from fractions import Fraction
from typing import Any

from polylat.spec.reading import latency
from polylat.spec.reading.latency import MaxPlusLatency, NotMaxPlusError
from polylat.spec.reading.numbers import Number, check_finite, parse_decimal, power, to_exact
from polylat.spec.reading.scope import Fields, ItemList
from polylat.spec.reading.sets import NameSet

_MAX_ITEMS = 10_000


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


# Arithmetic --------------------------------------------------------------------------------------


def _numbers(a: object, b: object, sign: str) -> tuple[Number, Number]:
    if isinstance(a, (int, Fraction, float)) and isinstance(b, (int, Fraction, float)):
        return a, b
    raise EvaluationFailure(f"cannot compute {kind_of(a)} {sign} {kind_of(b)}")


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
    if isinstance(value, (Fields, ItemList)):
        return value.title
    return "a string" if isinstance(value, str) else "a list"


def _add(a: Any, b: Any) -> Any:
    if isinstance(a, list) and isinstance(b, list) and len(a) + len(b) <= _MAX_ITEMS:
        return a + b
    return _on_latencies(latency.add, a, b, "+") or to_exact(operator.add(*_numbers(a, b, "+")))


def _sub(a: Any, b: Any) -> Any:
    if isinstance(a, NameSet) and isinstance(b, NameSet):
        return a.difference(b)
    return _on_latencies(latency.subtract, a, b, "-") or to_exact(operator.sub(*_numbers(a, b, "-")))


def _mul(a: Any, b: Any) -> Any:
    return _on_latencies(latency.multiply, a, b, "*") or to_exact(operator.mul(*_numbers(a, b, "*")))


def _div(a: Any, b: Any) -> Any:
    found = _on_latencies(latency.divide, a, b, "/")
    if found is not None:
        return found
    left, right = _numbers(a, b, "/")
    if isinstance(left, float) or isinstance(right, float):
        if right == 0:
            raise ZeroDivisionError
        return to_exact(float(left) / right) if isinstance(left, float) else 0
    return to_exact(Fraction(left) / right)


def _on_latencies(
    compute: Callable[[Any, Any], MaxPlusLatency], a: object, b: object, sign: str
) -> MaxPlusLatency | None:
    """Compute with latencies; None if neither operand is one."""
    if not isinstance(a, MaxPlusLatency) and not isinstance(b, MaxPlusLatency):
        return None
    for value in (a, b):
        if not isinstance(value, (MaxPlusLatency, int, Fraction, float)):
            raise EvaluationFailure(f"cannot compute {kind_of(a)} {sign} {kind_of(b)}")
    return compute(a, b)


def _numeric(compute: Callable[[Any, Any], Any], sign: str) -> Callable[[Any, Any], Any]:
    """Make an operator on exact numbers that is not defined for latencies."""

    def apply(a: Any, b: Any) -> Any:
        if isinstance(a, MaxPlusLatency) or isinstance(b, MaxPlusLatency):
            raise NotMaxPlusError(f"{sign} is applied to a number of calls")
        return to_exact(compute(*_numbers(a, b, sign)))

    return apply


def _on_sets_or_bits(
    on_sets: Callable[[NameSet, NameSet], NameSet], on_ints: Callable[[int, int], int], sign: str
) -> Callable[[Any, Any], Any]:
    def apply(a: Any, b: Any) -> Any:
        if isinstance(a, NameSet) and isinstance(b, NameSet):
            return on_sets(a, b)
        if isinstance(a, int) and isinstance(b, int):
            return on_ints(a, b)
        raise EvaluationFailure(f"cannot compute {kind_of(a)} {sign} {kind_of(b)}")

    return apply


def _invert(a: Any) -> Any:
    if isinstance(a, NameSet):
        return a.complement()
    if isinstance(a, int) and not isinstance(a, bool):
        return ~a
    raise EvaluationFailure(f"cannot compute ~ of {kind_of(a)}")


def _negative(a: Any) -> Any:
    return _mul(-1, a)


def _plus(a: Any) -> Any:
    return a if isinstance(a, MaxPlusLatency) else to_exact(_numbers(a, 0, "+")[0])


def condition_holds(value: Any) -> bool:
    """Return whether a condition holds.

    Parameters
    ----------
    value
        The value of the condition.

    Returns
    -------
    bool
        Its truth value.

    Raises
    ------
    NotLinear
        If it depends on numbers of calls.
    """
    if isinstance(value, MaxPlusLatency):
        raise NotMaxPlusError("a condition depends on a number of calls")
    return bool(value)


def _equal(a: Any, b: Any) -> bool:
    if isinstance(a, MaxPlusLatency) or isinstance(b, MaxPlusLatency):
        raise NotMaxPlusError("a condition depends on a number of calls")
    if isinstance(a, NameSet):
        return a.same(b)
    return bool(a == b)


def _ordering(compute: Callable[[Any, Any], bool], sign: str) -> Callable[[Any, Any], bool]:
    def apply(a: Any, b: Any) -> bool:
        if isinstance(a, MaxPlusLatency) or isinstance(b, MaxPlusLatency):
            raise NotMaxPlusError("a condition depends on a number of calls")
        if isinstance(a, str) and isinstance(b, str):
            return compute(a, b)
        return compute(*_numbers(a, b, sign))

    return apply


def _contains(item: Any, container: Any) -> bool:
    if isinstance(container, NameSet):
        return item in container
    if isinstance(container, ItemList):
        return isinstance(item, str) and item in container.names()
    if isinstance(container, (list, tuple)):
        return any(_equal(item, other) for other in container)
    if isinstance(container, str) and isinstance(item, str):
        return item in container
    raise EvaluationFailure(f"'in' needs a set or a list, not {kind_of(container)}")


def _is_none(a: Any, b: Any) -> bool:
    if a is not None and b is not None:
        raise EvaluationFailure("'is' can only compare with None")
    return a is b


OPERATORS: dict[type, Callable[..., Any]] = {
    ast.Add: _add,
    ast.Sub: _sub,
    ast.Mult: _mul,
    ast.Div: _div,
    ast.FloorDiv: _numeric(operator.floordiv, "//"),
    ast.Mod: _numeric(operator.mod, "%"),
    ast.Pow: _numeric(power, "**"),
    ast.BitOr: _on_sets_or_bits(NameSet.union, operator.or_, "|"),
    ast.BitAnd: _on_sets_or_bits(NameSet.intersection, operator.and_, "&"),
    ast.BitXor: _on_sets_or_bits(NameSet.symmetric_difference, operator.xor, "^"),
    ast.Invert: _invert,
    ast.USub: _negative,
    ast.UAdd: _plus,
    ast.Not: lambda a: not condition_holds(a),
    ast.Eq: _equal,
    ast.NotEq: lambda a, b: not _equal(a, b),
    ast.Lt: _ordering(operator.lt, "<"),
    ast.LtE: _ordering(operator.le, "<="),
    ast.Gt: _ordering(operator.gt, ">"),
    ast.GtE: _ordering(operator.ge, ">="),
    ast.In: _contains,
    ast.NotIn: lambda a, b: not _contains(a, b),
    ast.Is: _is_none,
    ast.IsNot: lambda a, b: not _is_none(a, b),
}


# Functions ---------------------------------------------------------------------------------------


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
        total = _add(total, item)
    return total


def _extreme(
    of_latencies: Callable[[Iterable[Any]], MaxPlusLatency], of_numbers: Callable[..., Any], name: str
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
        total = _mul(total, item)
    return total


def _len(value: Any) -> int:
    if isinstance(value, (NameSet, list, tuple, str, ItemList)):
        return len(value)
    raise EvaluationFailure(f"len() needs a set or a list, not {kind_of(value)}")


def _range(*values: Any) -> list[int]:
    if not all(isinstance(v, int) for v in values):
        raise EvaluationFailure("range() needs whole numbers")
    found = range(*values)
    if len(found) > _MAX_ITEMS:
        raise EvaluationFailure(f"range() of more than {_MAX_ITEMS} numbers")
    return list(found)


def _rounding(compute: Callable[[Any], int]) -> Callable[[Any], Any]:
    def apply(value: Any) -> Any:
        return to_exact(compute(check_finite(_number(value))))

    return apply


def _number(value: Any) -> Number:
    if isinstance(value, MaxPlusLatency):
        raise NotMaxPlusError("a function is applied to a number of calls")
    return _numbers(value, 0, "and")[0]


def _round(value: Any, digits: Any = None) -> Any:
    if digits is None:
        return to_exact(round(check_finite(_number(value))))
    if not isinstance(digits, int) or abs(digits) > 1000:
        raise EvaluationFailure("round() needs a whole number of digits, at most 1000")
    return to_exact(round(Fraction(check_finite(_number(value))), digits))


def _float(value: Any) -> Any:
    return parse_decimal(value) if isinstance(value, str) else to_exact(_number(value))


def _int(value: Any) -> Any:
    return to_exact(math.trunc(check_finite(_float(value))))


def _sqrt(value: Any) -> Any:
    number = Fraction(check_finite(_number(value)))
    if number < 0:
        raise EvaluationFailure("sqrt() of a negative number")
    root = Fraction(math.isqrt(number.numerator), math.isqrt(number.denominator))
    if root * root == number:
        return to_exact(root)
    return to_exact(math.sqrt(number))


def _log2(value: Any) -> Any:
    number = Fraction(check_finite(_number(value)))
    if number <= 0:
        raise EvaluationFailure("log2() needs a number above zero")
    above, below = number.numerator, number.denominator
    if above & (above - 1) == 0 and below & (below - 1) == 0:  # a power of two: exact
        return above.bit_length() - below.bit_length()
    return to_exact(math.log2(above) - math.log2(below))


def _ints(compute: Callable[..., int], name: str, largest: int) -> Callable[..., Any]:
    def apply(*values: Any) -> Any:
        items = [_number(v) for v in values]
        if not all(isinstance(v, int) for v in items):
            raise EvaluationFailure(f"{name}() needs whole numbers")
        if any(isinstance(v, int) and abs(v) > largest for v in items):
            raise EvaluationFailure(f"{name}() of a number that is too large")
        return to_exact(compute(*items))

    return apply


def _floats(compute: Callable[..., float]) -> Callable[..., Any]:
    def apply(*values: Any) -> Any:
        return to_exact(compute(*(float(_number(v)) for v in values)))

    return apply


def _float_test(compute: Callable[[float], bool]) -> Callable[[Any], bool]:
    def apply(value: Any) -> bool:
        found = _number(value)
        return compute(found if isinstance(found, float) else 0.0)

    return apply


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
    Failure
        If the value is something else.
    """
    if isinstance(value, (list, tuple, NameSet, ItemList)):
        return list(value)
    raise EvaluationFailure(f"list() needs a list, not {kind_of(value)}")


def _enumerate(value: Any) -> list[Any]:
    return [(i, item) for i, item in enumerate(items_of(value))]


_BIG = 10**300
_max = _extreme(latency.maximum, max, "max")
_min = _extreme(latency.minimum, min, "min")

FUNCTIONS: dict[str, Callable[..., Any]] = {
    "abs": lambda v: to_exact(abs(_number(v))),
    "fabs": lambda v: to_exact(abs(_number(v))),
    "bool": condition_holds,
    "ceil": _rounding(math.ceil),
    "comb": _ints(math.comb, "comb", 2_000),
    "enumerate": _enumerate,
    "factorial": _ints(math.factorial, "factorial", 2_000),
    "float": _float,
    "floor": _rounding(math.floor),
    "fsum": _sum,
    "gcd": _ints(math.gcd, "gcd", _BIG),
    "int": _int,
    "isfinite": _float_test(math.isfinite),
    "isinf": _float_test(math.isinf),
    "isnan": lambda v: bool(_number(v) != _number(v)),
    "isqrt": _ints(math.isqrt, "isqrt", _BIG),
    "lcm": _ints(math.lcm, "lcm", _BIG),
    "len": _len,
    "list": items_of,
    "log2": _log2,
    "max": _max,
    "min": _min,
    "perm": _ints(math.perm, "perm", 2_000),
    "pow": _numeric(power, "pow()"),
    "prod": _prod,
    "range": _range,
    "round": _round,
    "sqrt": _sqrt,
    "sum": _sum,
    "trunc": _rounding(math.trunc),
    "tuple": items_of,
}
_ON_FLOATS: tuple[Callable[..., float], ...] = (
    *(math.acos, math.acosh, math.asin, math.asinh, math.atan, math.atan2, math.atanh),
    *(math.copysign, math.cos, math.cosh, math.degrees, math.erf, math.erfc, math.exp),
    *(math.expm1, math.fmod, math.gamma, math.hypot, math.lgamma, math.log, math.log10),
    *(math.log1p, math.radians, math.remainder, math.sin, math.sinh, math.tan, math.tanh),
)
FUNCTIONS |= {function.__name__: _floats(function) for function in _ON_FLOATS}

CONSTANTS: dict[str, Number] = {
    "inf": math.inf,
    "pi": Fraction(repr(math.pi)),
    "e": Fraction(repr(math.e)),
    "tau": Fraction(repr(math.tau)),
}
