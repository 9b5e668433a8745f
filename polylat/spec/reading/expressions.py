"""Evaluate expressions in the input: arithmetic, set expressions, latencies.

The evaluator walks the syntax tree (simpleeval) and never calls Python's ``eval``. An expression
can use only the names of its scope, a few functions, and the attributes of polylat's own value
classes. The work per expression is bounded.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator, Mapping
from fractions import Fraction
from functools import partial
from typing import Any

import simpleeval  # type: ignore[import-untyped]

from polylat.errors import ExpressionError, PolylatError
from polylat.spec.reading.functions import (
    CONSTANTS,
    FUNCTIONS,
    OPERATORS,
    EvaluationFailure,
    condition_holds,
    items_of,
    kind_of,
)
from polylat.spec.reading.latency import MaxPlusLatency, NotMaxPlusError
from polylat.spec.reading.numbers import BadNumber, Number, is_decimal, parse_decimal, to_exact
from polylat.spec.reading.scope import CircularDefinition, Fields, ItemList, LazyValue, Scope
from polylat.spec.reading.sets import NameSet, SetError
from polylat.spec.reading.suggest import did_you_mean, format_value
from polylat.spec.reading.tree import Location, Quoted

_MAX_LENGTH = 4_000
_MAX_STEPS = 100_000


def evaluate(expression: object, scope: Scope, at: Location) -> Any:
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
    NotLinear
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
        return _Evaluator(scope).run(text)
    except NotMaxPlusError:
        raise
    except PolylatError:
        raise
    except EvaluationFailure as failure:
        why, fix = failure.why, failure.fix
    except CircularDefinition:
        why, fix = "it depends on its own value", "replace one of the values by a number"
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
    Lazy
        The value, not yet evaluated.
    """
    if isinstance(value, Quoted):
        return LazyValue(partial(str, value))
    return LazyValue(partial(evaluate, value, scope, at))


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
        f"{_with_value(expression, value)} must be a number", where=str(at), fix="give a number"
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
            f"{what} must be a finite number above zero, not {_with_value(expression, value)}",
            where=str(at),
        )
    return Fraction(value)


def evaluate_whole(expression: object, scope: Scope, at: Location, *, what: str) -> int:
    """Evaluate an expression that must be a whole number above zero.

    Parameters
    ----------
    expression, scope, at
        As for `evaluate`.
    what
        Description of the value, for messages.

    Returns
    -------
    int
        The number.

    Raises
    ------
    ExpressionError
        If the value is not a whole number above zero.
    """
    value = evaluate_number(expression, scope, at)
    if not isinstance(value, int) or value < 1:
        raise ExpressionError(
            f"{what} must be a whole number above zero, not {_with_value(expression, value)}",
            where=str(at),
        )
    return value


def evaluate_set(expression: object, scope: Scope, at: Location, *, kind: str = "tensor") -> NameSet:
    """Evaluate an expression that must be a set of tensors (or of rank variables).

    Parameters
    ----------
    expression, scope, at
        As for `evaluate`.
    kind
        Kind of the elements: ``"tensor"`` or ``"rank variable"``.

    Returns
    -------
    NameSet
        The set.

    Raises
    ------
    ExpressionError
        If the value is not a set of this kind.
    """
    value = evaluate(expression, scope, at)
    if isinstance(value, NameSet) and value.space.kind == kind:
        return value
    raise ExpressionError(
        f"{_with_value(expression, value)} must be a set of {kind}s",
        where=str(at),
        fix="use a set expression such as All, Inputs, ~Intermediates or a tensor's name",
    )


def values_by_tensor(
    table: Mapping[str, Any],
    everything: NameSet,
    scope: Scope,
    at: Location,
    *,
    disjoint: bool = True,
) -> dict[str, tuple[Any, Location]]:
    """Assign the values of a mapping whose keys are set expressions to the tensors in these sets.

    Parameters
    ----------
    table
        Set expression → value. ``Other`` is the set of the tensors that no other key names.
    everything
        All tensors.
    scope, at
        As for `evaluate`.
    disjoint
        Whether two keys must not name the same tensor; if False, the later key takes precedence.

    Returns
    -------
    dict
        Tensor → (its value, not yet evaluated; location of the value).

    Raises
    ------
    ExpressionError
        If a key is not a set of tensors, or a tensor is named twice.
    """
    found: dict[str, tuple[Any, Location]] = {}
    remaining = everything
    mentions_other = [key for key in table if _mentions(key, "Other")]
    if len(mentions_other) > 1:
        raise ExpressionError("'Other' occurs in more than one key", where=str(at))
    for key in [k for k in table if k not in mentions_other] + mentions_other:
        here = at / key
        keys = evaluate_set(key, Scope({"Other": remaining}, scope), here)
        remaining = remaining.difference(keys)
        for tensor in keys.ordered():
            if disjoint and tensor in found:
                raise ExpressionError(
                    f"two keys name the tensor {tensor!r}: {format_value(found[tensor][1].path[-1])} "
                    f"and {format_value(key)}",
                    where=str(at),
                    fix="name it in one of them only",
                )
            found[tensor] = (table[key], here)
    return found


def _parsed(text: str) -> ast.Expression:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # syntax that the evaluator refuses anyway
        return ast.parse(text, mode="eval")


def _mentions(text: str, name: str) -> bool:
    try:
        tree = _parsed(text.strip())
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return any(isinstance(node, ast.Name) and node.id == name for node in ast.walk(tree))


def _with_value(expression: object, value: object) -> str:
    """Return an expression and its value as text, for messages."""
    text = str(value) if isinstance(value, NameSet) else format_value(value)
    if isinstance(value, (Fields, ItemList, MaxPlusLatency)):
        text = kind_of(value)
    if isinstance(expression, str) and expression.strip() != text:
        return f"{format_value(expression)} (= {text})"
    return text


# The evaluator -----------------------------------------------------------------------------------


class _Evaluator(simpleeval.SimpleEval):  # type: ignore[misc]
    """simpleeval with polylat's operators, exact numbers, and a bound on the work."""

    def __init__(self, scope: Scope) -> None:
        super().__init__(operators=OPERATORS, functions={}, names={})
        self.scope = scope
        self.locals: list[dict[str, Any]] = []
        self.steps = 0
        # Replaces simpleeval's table of syntax: any other syntax is refused.
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
        """Evaluate an expression."""
        if len(text) > _MAX_LENGTH:
            raise EvaluationFailure(f"it is longer than {_MAX_LENGTH} characters")
        if not text:
            raise EvaluationFailure("it is empty", "give a value, or remove the key")
        return self.eval(text, previously_parsed=_parsed(text).body)

    def _eval(self, node: ast.AST) -> Any:
        self.steps += 1
        if self.steps > _MAX_STEPS:
            raise EvaluationFailure("it takes too many steps")
        handler = self.nodes.get(type(node))
        if handler is None:
            raise EvaluationFailure(f"{_syntax(node)} are not available in expressions")
        result = handler(node)
        if isinstance(result, (list, tuple)):
            self.steps += len(result)
        return result

    def _constant(self, node: ast.Constant) -> Any:
        value = node.value
        if value is None or isinstance(value, (bool, str)):
            return value
        if isinstance(value, (int, float)):
            return to_exact(value)
        raise EvaluationFailure(f"{format_value(value)} is not available in expressions")

    def _name(self, node: ast.Name) -> Any:
        for table in reversed(self.locals):
            if node.id in table:
                return table[node.id]
        if node.id in self.scope:
            return self.scope.lookup(node.id)
        if node.id in CONSTANTS:
            return CONSTANTS[node.id]
        if node.id in FUNCTIONS:
            raise EvaluationFailure(f"{node.id} is a function", f"call it: {node.id}(…)")
        raise EvaluationFailure(f"{node.id!r} is not defined", did_you_mean(node.id, self.scope))

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
            raise EvaluationFailure(f"{kind_of(value)} has no attributes")
        raise EvaluationFailure(
            f"{kind_of(value)} has no attribute {node.attr!r}", did_you_mean(node.attr, known)
        )

    def _subscript(self, node: ast.Subscript) -> Any:
        value, key = self._eval(node.value), self._eval(node.slice)
        if isinstance(key, bool) or not isinstance(key, (int, str)):
            raise EvaluationFailure("an index must be a whole number or a name")
        try:
            if isinstance(value, ItemList):
                return value.item(key)
            if isinstance(value, Fields) and isinstance(key, str):
                return value.attribute(key)
            if isinstance(value, (list, tuple)) and isinstance(key, int):
                return value[key]
        except (KeyError, IndexError):
            known = value.names() if isinstance(value, (ItemList, Fields)) else []
            raise EvaluationFailure(f"there is no item {key!r}", did_you_mean(key, known)) from None
        raise EvaluationFailure(f"{kind_of(value)} has no items")

    def _call(self, node: ast.Call) -> Any:
        if not isinstance(node.func, ast.Name):
            raise EvaluationFailure("only functions can be called, not methods")
        name = node.func.id
        if not node.args and not node.keywords and name in self.scope:
            value = self.scope.lookup(name)  # AccelForge allows to call a set: Nothing()
            if isinstance(value, NameSet):
                return value
        if name not in FUNCTIONS:
            raise EvaluationFailure(f"there is no function {name!r}", did_you_mean(name, FUNCTIONS))
        if node.keywords:
            raise EvaluationFailure(f"{name}() takes no keyword arguments")
        values: list[Any] = []
        for argument in node.args:
            if isinstance(argument, ast.Starred):
                values.extend(items_of(self._eval(argument.value)))
            else:
                values.append(self._eval(argument))
        return FUNCTIONS[name](*values)

    def _choice(self, node: ast.IfExp) -> Any:
        return self._eval(node.body if condition_holds(self._eval(node.test)) else node.orelse)

    def _boolean(self, node: ast.BoolOp) -> Any:
        stop = isinstance(node.op, ast.Or)
        value: Any = None
        for part in node.values:
            value = self._eval(part)
            if condition_holds(value) is stop:
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
            raise EvaluationFailure("asynchronous loops are not available in expressions")
        for item in items_of(self._eval(loop.iter)):
            self._bind(loop.target, item)
            if all(condition_holds(self._eval(test)) for test in loop.ifs):
                yield from self._rows(element, loops[1:])

    def _bind(self, target: ast.expr, item: Any) -> None:
        if isinstance(target, ast.Name):
            self.locals[-1][target.id] = item
        elif isinstance(target, (ast.Tuple, ast.List)) and isinstance(item, (list, tuple)):
            if len(target.elts) != len(item):
                raise EvaluationFailure("a loop unpacks the wrong number of items")
            for part, value in zip(target.elts, item, strict=True):
                self._bind(part, value)
        else:
            raise EvaluationFailure("a loop variable must be a name")


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
