"""Functions of expressions on numbers: exact, with a bound on the size of the result."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

from polylat.spec.reading.expressions.arithmetic import (
    numeric_operator,
    refuse_latencies,
    two_numbers,
)
from polylat.spec.reading.expressions.kinds import EvaluationFailure
from polylat.spec.reading.numbers import Number, check_finite, parse_decimal, power, to_exact


def _rounding(compute: Callable[[Any], int]) -> Callable[[Any], Any]:
    def apply(value: Any) -> Any:
        refuse_latencies(f"{compute.__name__}()", value)
        return to_exact(compute(check_finite(_number(value))))

    return apply


def _number(value: Any) -> Number:
    refuse_latencies("a function", value)
    return two_numbers(value, 0, "and")[0]


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


_BIG = 10**300

_ON_FLOATS: tuple[Callable[..., float], ...] = (
    *(math.acos, math.acosh, math.asin, math.asinh, math.atan, math.atan2, math.atanh),
    *(math.copysign, math.cos, math.cosh, math.degrees, math.erf, math.erfc, math.exp),
    *(math.expm1, math.fmod, math.gamma, math.hypot, math.lgamma, math.log, math.log10),
    *(math.log1p, math.radians, math.remainder, math.sin, math.sinh, math.tan, math.tanh),
)
NUMBER_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "abs": lambda v: to_exact(abs(_number(v))),
    "fabs": lambda v: to_exact(abs(_number(v))),
    "ceil": _rounding(math.ceil),
    "comb": _ints(math.comb, "comb", 2_000),
    "factorial": _ints(math.factorial, "factorial", 2_000),
    "float": _float,
    "floor": _rounding(math.floor),
    "gcd": _ints(math.gcd, "gcd", _BIG),
    "int": _int,
    "isfinite": _float_test(math.isfinite),
    "isinf": _float_test(math.isinf),
    "isnan": lambda v: bool(_number(v) != _number(v)),
    "isqrt": _ints(math.isqrt, "isqrt", _BIG),
    "lcm": _ints(math.lcm, "lcm", _BIG),
    "log2": _log2,
    "perm": _ints(math.perm, "perm", 2_000),
    "pow": numeric_operator(power, "pow()"),
    "round": _round,
    "sqrt": _sqrt,
    "trunc": _rounding(math.trunc),
}
NUMBER_FUNCTIONS |= {function.__name__: _floats(function) for function in _ON_FLOATS}
