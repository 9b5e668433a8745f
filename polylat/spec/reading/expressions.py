"""Expressions in the input: arithmetic, set expressions, latencies.

They are evaluated by walking their syntax tree (simpleeval), never by Python's ``eval``. Only what
is listed here exists for them: names of the scope, a few functions, attributes of our own small
objects. The work per expression is bounded.
"""

from __future__ import annotations

import ast
import math
import operator
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from fractions import Fraction
from functools import partial
from typing import Any

import simpleeval  # type: ignore[import-untyped]

from polylat.errors import ExpressionError, PolylatError
from polylat.spec.reading import latency
from polylat.spec.reading.latency import Latency, NotLinear
from polylat.spec.reading.numbers import (
    BadNumber,
    Number,
    decimal,
    exact,
    finite,
    is_decimal,
    power,
)
from polylat.spec.reading.scope import Circular, Fields, Lazy, Scope, Table
from polylat.spec.reading.sets import NameSet, SetError
from polylat.spec.reading.suggest import did_you_mean, shown
from polylat.spec.reading.tree import At, Quoted

MAX_LENGTH = 4_000
MAX_STEPS = 100_000
MAX_ITEMS = 10_000


class Failure(Exception):
    """Why an expression cannot be evaluated, and what would mend it."""

    def __init__(self, why: str, mend: str | None = None) -> None:
        super().__init__(why)
        self.why = why
        self.mend = mend


def evaluate(expression: object, scope: Scope, at: At) -> Any:
    """The value of an expression.

    Parameters
    ----------
    expression
        A number, a boolean, None or the text of an expression.
    scope
        The names that it may use.
    at
        Where it stands, for messages.

    Returns
    -------
    Any
        An exact number, a boolean, None, a string, a `NameSet`, a `Latency` or a list.

    Raises
    ------
    ExpressionError
        Where it cannot be evaluated.
    NotLinear
        Where a latency would not be a maximum of linear forms.
    """
    if not isinstance(expression, str):
        return expression
    text = expression.strip()
    try:
        if is_decimal(text):
            return decimal(text)
        if text.lower() in ("true", "false"):
            return text.lower() == "true"
        if text in scope:
            return scope.lookup(text)
        return _Evaluator(scope).run(text)
    except NotLinear:
        raise
    except PolylatError:
        raise
    except Failure as failure:
        why, mend = failure.why, failure.mend
    except Circular:
        why, mend = "it needs its own value", "give one of the values as a number"
    except SyntaxError as error:
        why = f"it is not a valid expression ({error.msg})"
        mend = "write it with numbers, names, + - * / and functions such as max()"
    except ZeroDivisionError:
        why, mend = "division by zero", None
    except (BadNumber, SetError) as error:
        why, mend = str(error), None
    except (RecursionError, MemoryError):
        why, mend = "it is nested too deeply or too large", "make it simpler"
    except (simpleeval.InvalidExpression, ArithmeticError, TypeError, ValueError) as error:
        why, mend = str(error) or type(error).__name__, None
    raise ExpressionError(f"cannot evaluate {shown(text)}: {why}", where=str(at), mend=mend)


def value_of(value: Any, scope: Scope, at: At) -> Lazy:
    """A value that is an expression, a text in quotes, or data, evaluated when it is used."""
    if isinstance(value, Quoted):
        return Lazy(partial(str, value))
    return Lazy(partial(evaluate, value, scope, at))


def number(expression: object, scope: Scope, at: At) -> Number:
    """The value of an expression that must be a number."""
    value = evaluate(expression, scope, at)
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, (int, Fraction, float)):
        return value
    raise ExpressionError(
        f"{_said(expression, value)} must be a number", where=str(at), mend="give a number"
    )


def positive(expression: object, scope: Scope, at: At, *, what: str) -> Fraction:
    """The value of an expression that must be a finite number above zero."""
    value = number(expression, scope, at)
    if isinstance(value, float) or value <= 0:
        raise ExpressionError(
            f"{what} must be a finite number above zero, not {_said(expression, value)}",
            where=str(at),
        )
    return Fraction(value)


def whole(expression: object, scope: Scope, at: At, *, what: str) -> int:
    """The value of an expression that must be a whole number above zero."""
    value = number(expression, scope, at)
    if not isinstance(value, int) or value < 1:
        raise ExpressionError(
            f"{what} must be a whole number above zero, not {_said(expression, value)}",
            where=str(at),
        )
    return value


def name_set(expression: object, scope: Scope, at: At, *, kind: str = "tensor") -> NameSet:
    """The value of an expression that must be a set of tensors (or of rank variables)."""
    value = evaluate(expression, scope, at)
    if isinstance(value, NameSet) and value.space.kind == kind:
        return value
    raise ExpressionError(
        f"{_said(expression, value)} must be a set of {kind}s",
        where=str(at),
        mend="use a set expression such as All, Inputs, ~Intermediates or a tensor's name",
    )


def set_table(
    table: Mapping[str, Any],
    everything: NameSet,
    scope: Scope,
    at: At,
    *,
    disjoint: bool = True,
) -> dict[str, tuple[Any, At]]:
    """Values by tensor, from a mapping whose keys are set expressions.

    ``Other`` stands for the tensors that no other key names. With `disjoint`, two keys must not
    name the same tensor; else the later one counts.
    """
    found: dict[str, tuple[Any, At]] = {}
    left = everything
    mentions_other = [key for key in table if _mentions(key, "Other")]
    if len(mentions_other) > 1:
        raise ExpressionError("'Other' stands in more than one key", where=str(at))
    for key in [k for k in table if k not in mentions_other] + mentions_other:
        here = at / key
        keys = name_set(key, Scope({"Other": left}, scope), here)
        left = left.difference(keys)
        for tensor in keys.ordered():
            if disjoint and tensor in found:
                raise ExpressionError(
                    f"two keys name the tensor {tensor!r}: {shown(found[tensor][1].path[-1])} "
                    f"and {shown(key)}",
                    where=str(at),
                    mend="name it in one of them only",
                )
            found[tensor] = (table[key], here)
    return found


def _mentions(text: str, name: str) -> bool:
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return any(isinstance(node, ast.Name) and node.id == name for node in ast.walk(tree))


def _said(expression: object, value: object) -> str:
    told = str(value) if isinstance(value, NameSet) else shown(value)
    if isinstance(value, (Fields, Table, Latency)):
        told = _kind(value)
    if isinstance(expression, str) and expression.strip() != told:
        return f"{shown(expression)} (= {told})"
    return told


# Arithmetic --------------------------------------------------------------------------------------


def _numbers(a: object, b: object, sign: str) -> tuple[Number, Number]:
    if isinstance(a, (int, Fraction, float)) and isinstance(b, (int, Fraction, float)):
        return a, b
    raise Failure(f"cannot compute {_kind(a)} {sign} {_kind(b)}")


def _kind(value: object) -> str:
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, (int, Fraction, float)):
        return "a number"
    if value is None:
        return "nothing"
    if isinstance(value, NameSet):
        return f"a set of {value.space.kind}s"
    if isinstance(value, Latency):
        return "a latency"
    if isinstance(value, (Fields, Table)):
        return value.title
    return "a text" if isinstance(value, str) else "a list"


def _add(a: Any, b: Any) -> Any:
    if isinstance(a, list) and isinstance(b, list) and len(a) + len(b) <= MAX_ITEMS:
        return a + b
    return _symbolic(latency.add, a, b, "+") or exact(operator.add(*_numbers(a, b, "+")))


def _sub(a: Any, b: Any) -> Any:
    if isinstance(a, NameSet) and isinstance(b, NameSet):
        return a.difference(b)
    return _symbolic(latency.subtract, a, b, "-") or exact(operator.sub(*_numbers(a, b, "-")))


def _mul(a: Any, b: Any) -> Any:
    return _symbolic(latency.multiply, a, b, "*") or exact(operator.mul(*_numbers(a, b, "*")))


def _div(a: Any, b: Any) -> Any:
    found = _symbolic(latency.divide, a, b, "/")
    if found is not None:
        return found
    left, right = _numbers(a, b, "/")
    if isinstance(left, float) or isinstance(right, float):
        if right == 0:
            raise ZeroDivisionError
        return exact(float(left) / right) if isinstance(left, float) else 0
    return exact(Fraction(left) / right)


def _symbolic(
    compute: Callable[[Any, Any], Latency], a: object, b: object, sign: str
) -> Latency | None:
    if not isinstance(a, Latency) and not isinstance(b, Latency):
        return None
    for value in (a, b):
        if not isinstance(value, (Latency, int, Fraction, float)):
            raise Failure(f"cannot compute {_kind(a)} {sign} {_kind(b)}")
    return compute(a, b)


def _numeric(compute: Callable[[Any, Any], Any], sign: str) -> Callable[[Any, Any], Any]:
    def apply(a: Any, b: Any) -> Any:
        if isinstance(a, Latency) or isinstance(b, Latency):
            raise NotLinear(f"{sign} is applied to a number of calls")
        return exact(compute(*_numbers(a, b, sign)))

    return apply


def _set_or_bits(
    on_sets: Callable[[NameSet, NameSet], NameSet], on_ints: Callable[[int, int], int], sign: str
) -> Callable[[Any, Any], Any]:
    def apply(a: Any, b: Any) -> Any:
        if isinstance(a, NameSet) and isinstance(b, NameSet):
            return on_sets(a, b)
        if isinstance(a, int) and isinstance(b, int):
            return on_ints(a, b)
        raise Failure(f"cannot compute {_kind(a)} {sign} {_kind(b)}")

    return apply


def _invert(a: Any) -> Any:
    if isinstance(a, NameSet):
        return a.complement()
    if isinstance(a, int) and not isinstance(a, bool):
        return ~a
    raise Failure(f"cannot compute ~ of {_kind(a)}")


def _negative(a: Any) -> Any:
    return _mul(-1, a)


def _plus(a: Any) -> Any:
    return a if isinstance(a, Latency) else exact(_numbers(a, 0, "+")[0])


def _truth(value: Any) -> bool:
    if isinstance(value, Latency):
        raise NotLinear("a condition depends on a number of calls")
    return bool(value)


def _equal(a: Any, b: Any) -> bool:
    if isinstance(a, Latency) or isinstance(b, Latency):
        raise NotLinear("a condition depends on a number of calls")
    if isinstance(a, NameSet):
        return a.same(b)
    return bool(a == b)


def _ordered(compute: Callable[[Any, Any], bool], sign: str) -> Callable[[Any, Any], bool]:
    def apply(a: Any, b: Any) -> bool:
        if isinstance(a, Latency) or isinstance(b, Latency):
            raise NotLinear("a condition depends on a number of calls")
        if isinstance(a, str) and isinstance(b, str):
            return compute(a, b)
        return compute(*_numbers(a, b, sign))

    return apply


def _contains(item: Any, container: Any) -> bool:
    if isinstance(container, NameSet):
        return item in container
    if isinstance(container, Table):
        return isinstance(item, str) and item in container.names()
    if isinstance(container, (list, tuple)):
        return any(_equal(item, other) for other in container)
    if isinstance(container, str) and isinstance(item, str):
        return item in container
    raise Failure(f"'in' needs a set or a list, not {_kind(container)}")


def _same_nothing(a: Any, b: Any) -> bool:
    if a is not None and b is not None:
        raise Failure("'is' only compares with None")
    return a is b


OPERATORS: dict[type, Callable[..., Any]] = {
    ast.Add: _add,
    ast.Sub: _sub,
    ast.Mult: _mul,
    ast.Div: _div,
    ast.FloorDiv: _numeric(operator.floordiv, "//"),
    ast.Mod: _numeric(operator.mod, "%"),
    ast.Pow: _numeric(power, "**"),
    ast.BitOr: _set_or_bits(NameSet.union, operator.or_, "|"),
    ast.BitAnd: _set_or_bits(NameSet.intersection, operator.and_, "&"),
    ast.BitXor: _set_or_bits(NameSet.symmetric_difference, operator.xor, "^"),
    ast.Invert: _invert,
    ast.USub: _negative,
    ast.UAdd: _plus,
    ast.Not: lambda a: not _truth(a),
    ast.Eq: _equal,
    ast.NotEq: lambda a, b: not _equal(a, b),
    ast.Lt: _ordered(operator.lt, "<"),
    ast.LtE: _ordered(operator.le, "<="),
    ast.Gt: _ordered(operator.gt, ">"),
    ast.GtE: _ordered(operator.ge, ">="),
    ast.In: _contains,
    ast.NotIn: lambda a, b: not _contains(a, b),
    ast.Is: _same_nothing,
    ast.IsNot: lambda a, b: not _same_nothing(a, b),
}


# Functions ---------------------------------------------------------------------------------------


def _items(values: tuple[Any, ...]) -> list[Any]:
    if len(values) == 1 and isinstance(values[0], (list, tuple, Table, NameSet)):
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
    of_latencies: Callable[[Iterable[Any]], Latency], of_numbers: Callable[..., Any], name: str
) -> Callable[..., Any]:
    def apply(*values: Any) -> Any:
        items = _items(values)
        if not items:
            raise Failure(f"{name}() of nothing")
        for item in items:
            if not isinstance(item, (Latency, int, Fraction, float)):
                raise Failure(f"{name}() needs numbers, not {_kind(item)}")
        if any(isinstance(item, Latency) for item in items):
            return of_latencies(items)
        return exact(of_numbers(items))

    return apply


def _prod(*values: Any) -> Any:
    total: Any = 1
    for item in _items(values):
        total = _mul(total, item)
    return total


def _len(value: Any) -> int:
    if isinstance(value, (NameSet, list, tuple, str, Table)):
        return len(value)
    raise Failure(f"len() needs a set or a list, not {_kind(value)}")


def _range(*values: Any) -> list[int]:
    if not all(isinstance(v, int) for v in values):
        raise Failure("range() needs whole numbers")
    found = range(*values)
    if len(found) > MAX_ITEMS:
        raise Failure(f"range() of more than {MAX_ITEMS} numbers")
    return list(found)


def _rounded(compute: Callable[[Any], int]) -> Callable[[Any], Any]:
    def apply(value: Any) -> Any:
        return exact(compute(finite(_one(value))))

    return apply


def _one(value: Any) -> Number:
    if isinstance(value, Latency):
        raise NotLinear("a function is applied to a number of calls")
    return _numbers(value, 0, "and")[0]


def _round(value: Any, digits: Any = None) -> Any:
    if digits is None:
        return exact(round(finite(_one(value))))
    if not isinstance(digits, int) or abs(digits) > 1000:
        raise Failure("round() needs a small whole number of digits")
    return exact(round(Fraction(finite(_one(value))), digits))


def _float(value: Any) -> Any:
    return decimal(value) if isinstance(value, str) else exact(_one(value))


def _int(value: Any) -> Any:
    return exact(math.trunc(finite(_float(value))))


def _sqrt(value: Any) -> Any:
    number = Fraction(finite(_one(value)))
    if number < 0:
        raise Failure("sqrt() of a negative number")
    up, down = math.isqrt(number.numerator), math.isqrt(number.denominator)
    if up * up == number.numerator and down * down == number.denominator:
        return exact(Fraction(up, down))
    return exact(math.sqrt(number))


def _log2(value: Any) -> Any:
    number = Fraction(finite(_one(value)))
    if number <= 0:
        raise Failure("log2() of a number that is not positive")
    up, down = number.numerator, number.denominator
    if up & (up - 1) == 0 and down & (down - 1) == 0:  # a power of two: exact
        return up.bit_length() - down.bit_length()
    return exact(math.log2(up) - math.log2(down))


def _ints(compute: Callable[..., int], name: str, largest: int) -> Callable[..., Any]:
    def apply(*values: Any) -> Any:
        items = [_one(v) for v in values]
        if not all(isinstance(v, int) for v in items):
            raise Failure(f"{name}() needs whole numbers")
        if any(isinstance(v, int) and abs(v) > largest for v in items):
            raise Failure(f"{name}() of so large a number")
        return exact(compute(*items))

    return apply


def _floats(compute: Callable[..., float]) -> Callable[..., Any]:
    def apply(*values: Any) -> Any:
        return exact(compute(*(float(_one(v)) for v in values)))

    return apply


def _flag(compute: Callable[[float], bool]) -> Callable[[Any], bool]:
    def apply(value: Any) -> bool:
        found = _one(value)
        return compute(found if isinstance(found, float) else 0.0)

    return apply


def _list(value: Any = ()) -> list[Any]:
    if isinstance(value, (list, tuple, NameSet, Table)):
        return list(value)
    raise Failure(f"list() needs a list, not {_kind(value)}")


def _enumerate(value: Any) -> list[Any]:
    return [(i, item) for i, item in enumerate(_list(value))]


_BIG = 10**300
_max = _extreme(latency.maximum, max, "max")
_min = _extreme(latency.minimum, min, "min")

FUNCTIONS: dict[str, Callable[..., Any]] = {
    "abs": lambda v: exact(abs(_one(v))),
    "fabs": lambda v: exact(abs(_one(v))),
    "bool": _truth,
    "ceil": _rounded(math.ceil),
    "comb": _ints(math.comb, "comb", 2_000),
    "enumerate": _enumerate,
    "factorial": _ints(math.factorial, "factorial", 2_000),
    "float": _float,
    "floor": _rounded(math.floor),
    "fsum": _sum,
    "gcd": _ints(math.gcd, "gcd", _BIG),
    "int": _int,
    "isfinite": _flag(math.isfinite),
    "isinf": _flag(math.isinf),
    "isnan": lambda v: bool(_one(v) != _one(v)),
    "isqrt": _ints(math.isqrt, "isqrt", _BIG),
    "lcm": _ints(math.lcm, "lcm", _BIG),
    "len": _len,
    "list": _list,
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
    "trunc": _rounded(math.trunc),
    "tuple": _list,
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


# The evaluator -----------------------------------------------------------------------------------


class _Evaluator(simpleeval.SimpleEval):  # type: ignore[misc]
    """simpleeval with our operators, exact numbers, and a bound on the work."""

    def __init__(self, scope: Scope) -> None:
        super().__init__(operators=OPERATORS, functions={}, names={})
        self.scope = scope
        self.locals: list[dict[str, Any]] = []
        self.steps = 0
        # simpleeval's table of syntax, replaced: what is not listed does not exist.
        self.nodes = {
            ast.Attribute: self._attribute,
            ast.BinOp: self._eval_binop,
            ast.BoolOp: self._boolean,
            ast.Call: self._call,
            ast.Compare: self._eval_compare,
            ast.Constant: self._constant,
            ast.GeneratorExp: self._comprehension,
            ast.IfExp: self._choice,
            ast.List: self._sequence,
            ast.ListComp: self._comprehension,
            ast.Name: self._name,
            ast.Subscript: self._subscript,
            ast.Tuple: self._sequence,
            ast.UnaryOp: self._eval_unaryop,
        }

    def run(self, text: str) -> Any:
        """The value of the expression."""
        if len(text) > MAX_LENGTH:
            raise Failure(f"it is longer than {MAX_LENGTH} characters")
        if not text:
            raise Failure("it is empty", "give a value, or leave the key out")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(text, mode="eval")
        return self.eval(text, previously_parsed=tree.body)

    def _eval(self, node: ast.AST) -> Any:
        self.steps += 1
        if self.steps > MAX_STEPS:
            raise Failure("it takes too many steps")
        handler = self.nodes.get(type(node))
        if handler is None:
            raise Failure(f"{_syntax(node)} are not available in expressions")
        result = handler(node)
        if isinstance(result, (list, tuple)):
            self.steps += len(result)
        return result

    def _constant(self, node: ast.Constant) -> Any:
        value = node.value
        if value is None or isinstance(value, (bool, str)):
            return value
        if isinstance(value, (int, float)):
            return exact(value)
        raise Failure(f"{shown(value)} is not available in expressions")

    def _name(self, node: ast.Name) -> Any:
        for table in reversed(self.locals):
            if node.id in table:
                return table[node.id]
        if node.id in self.scope:
            return self.scope.lookup(node.id)
        if node.id in CONSTANTS:
            return CONSTANTS[node.id]
        if node.id in FUNCTIONS:
            raise Failure(f"{node.id} is a function", f"call it: {node.id}(…)")
        raise Failure(f"{node.id!r} is not defined", did_you_mean(node.id, self.scope))

    def _attribute(self, node: ast.Attribute) -> Any:
        value = self._eval(node.value)
        if isinstance(value, NameSet):
            if node.attr == "bits_per_value":
                return value.bits_per_value()
            if node.attr == "rank_variables":
                return value.all_rank_variables()
            if node.attr == "tensors" and value.space.kind == "tensor":
                return value
            known = ["bits_per_value", "rank_variables", "tensors"]
        elif isinstance(value, Fields):
            known = value.names()
            if node.attr in known:
                return value.attribute(node.attr)
        else:
            raise Failure(f"{_kind(value)} has no attributes")
        raise Failure(
            f"{_kind(value)} has no attribute {node.attr!r}", did_you_mean(node.attr, known)
        )

    def _subscript(self, node: ast.Subscript) -> Any:
        value, key = self._eval(node.value), self._eval(node.slice)
        if isinstance(key, bool) or not isinstance(key, (int, str)):
            raise Failure("an index must be a whole number or a name")
        try:
            if isinstance(value, Table):
                return value.item(key)
            if isinstance(value, Fields) and isinstance(key, str):
                return value.attribute(key)
            if isinstance(value, (list, tuple)) and isinstance(key, int):
                return value[key]
        except (KeyError, IndexError):
            known = value.names() if isinstance(value, (Table, Fields)) else []
            raise Failure(f"there is no item {key!r}", did_you_mean(key, known)) from None
        raise Failure(f"{_kind(value)} has no items")

    def _call(self, node: ast.Call) -> Any:
        if not isinstance(node.func, ast.Name):
            raise Failure("only functions can be called, not methods")
        name = node.func.id
        if not node.args and not node.keywords and name in self.scope:
            value = self.scope.lookup(name)  # AccelForge lets a set be called: Nothing()
            if isinstance(value, NameSet):
                return value
        if name not in FUNCTIONS:
            raise Failure(f"there is no function {name!r}", did_you_mean(name, FUNCTIONS))
        if node.keywords:
            raise Failure(f"{name}() takes no named arguments")
        values: list[Any] = []
        for argument in node.args:
            if isinstance(argument, ast.Starred):
                values.extend(_list(self._eval(argument.value)))
            else:
                values.append(self._eval(argument))
        return FUNCTIONS[name](*values)

    def _choice(self, node: ast.IfExp) -> Any:
        return self._eval(node.body if _truth(self._eval(node.test)) else node.orelse)

    def _boolean(self, node: ast.BoolOp) -> Any:
        stop = isinstance(node.op, ast.Or)
        value: Any = None
        for part in node.values:
            value = self._eval(part)
            if _truth(value) is stop:
                break
        return value

    def _sequence(self, node: ast.List | ast.Tuple) -> list[Any]:
        return [self._eval(item) for item in node.elts]

    def _comprehension(self, node: ast.GeneratorExp | ast.ListComp) -> list[Any]:
        self.locals.append({})
        try:
            return list(self._rows(node.elt, node.generators))
        finally:
            self.locals.pop()

    def _rows(self, element: ast.expr, loops: list[ast.comprehension]) -> Iterator[Any]:
        if not loops:
            yield self._eval(element)
            return
        loop = loops[0]
        if loop.is_async:
            raise Failure("asynchronous loops are not available in expressions")
        for item in _list(self._eval(loop.iter)):
            self._bind(loop.target, item)
            if all(_truth(self._eval(test)) for test in loop.ifs):
                yield from self._rows(element, loops[1:])

    def _bind(self, target: ast.expr, item: Any) -> None:
        if isinstance(target, ast.Name):
            self.locals[-1][target.id] = item
        elif isinstance(target, (ast.Tuple, ast.List)) and isinstance(item, (list, tuple)):
            if len(target.elts) != len(item):
                raise Failure("a loop unpacks the wrong number of items")
            for part, value in zip(target.elts, item, strict=True):
                self._bind(part, value)
        else:
            raise Failure("a loop variable must be a name")


def _syntax(node: ast.AST) -> str:
    names = {
        "Lambda": "lambdas",
        "JoinedStr": "f-strings",
        "Dict": "dictionaries",
        "DictComp": "dictionaries",
        "Set": "braces",
        "SetComp": "braces",
        "Slice": "slices",
        "Starred": "starred expressions",
        "NamedExpr": "assignments",
        "Await": "awaits",
        "Yield": "yields",
    }
    return names.get(type(node).__name__, f"{type(node).__name__} expressions")
