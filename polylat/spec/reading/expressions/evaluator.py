"""The evaluator of expressions.

It walks the syntax tree (simpleeval) and never calls Python's ``eval``. An expression can use only
the names of its scope, a few functions, and the attributes of polylat's own value classes. The work
per expression is bounded.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator
from typing import Any

import simpleeval  # type: ignore[import-untyped]

from polylat.locks import SharedLock
from polylat.spec.reading.expressions.arithmetic import refuse_latencies
from polylat.spec.reading.expressions.custom_functions import call_function
from polylat.spec.reading.expressions.functions import CONSTANTS, FUNCTIONS
from polylat.spec.reading.expressions.kinds import EvaluationFailure, kind_of
from polylat.spec.reading.expressions.list_functions import items_of
from polylat.spec.reading.expressions.objects import Fields, ItemList, Opaque
from polylat.spec.reading.expressions.operators import OPERATORS, condition_holds
from polylat.spec.reading.expressions.scope import Scope
from polylat.spec.reading.expressions.sets import NameSet
from polylat.spec.reading.expressions.work import spend
from polylat.spec.reading.numbers import to_exact
from polylat.spec.reading.suggest import did_you_mean, format_value
from polylat.spec.reading.tree import tree_size

_MAX_LENGTH = 4_000
_MAX_STEPS = 100_000

_PARSING = SharedLock()


def parse_expression(text: str) -> ast.Expression:
    """Parse an expression.

    Parameters
    ----------
    text
        Its text.

    Returns
    -------
    ast.Expression
        Its syntax tree.

    Raises
    ------
    SyntaxError
        If the text is not an expression of Python.
    """
    # The filters of warnings belong to all threads.
    with _PARSING, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # syntax that the evaluator refuses anyway
        return ast.parse(text, mode="eval")


class Evaluator(simpleeval.SimpleEval):  # type: ignore[misc]
    """simpleeval with polylat's operators, exact numbers, and a bound on the work.

    Parameters
    ----------
    scope
        The names that the expression may use.
    """

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
        """Evaluate an expression.

        Parameters
        ----------
        text
            The text of the expression.

        Returns
        -------
        Any
            Its value.

        Raises
        ------
        EvaluationFailure
            If the expression is too long, takes too many steps or uses something that is not
            available.
        """
        if len(text) > _MAX_LENGTH:
            raise EvaluationFailure(f"it is longer than {_MAX_LENGTH} characters")
        if not text:
            raise EvaluationFailure("it is empty", "give a value, or remove the key")
        return self.eval(text, previously_parsed=parse_expression(text).body)

    def _eval(self, node: ast.AST) -> Any:
        self.steps += 1
        if self.steps > _MAX_STEPS:
            raise EvaluationFailure("it takes too many steps")
        handler = self.nodes.get(type(node))
        if handler is None:
            raise EvaluationFailure(f"{_syntax(node)} are not available in expressions")
        result = handler(node)
        size = 1
        if isinstance(result, (list, tuple)):
            # Lists within the list count, too: a list of two lists is twice as long as these.
            size = tree_size(result, _MAX_STEPS + 1)
            self.steps += size
            if self.steps > _MAX_STEPS:
                raise EvaluationFailure("it takes too many steps, or a list is too long")
        spend(size)
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
        refuse_latencies("an index", key)
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
        if isinstance(node.func, ast.Attribute):
            return self._call_method(node.func, node)
        name = node.func.id if isinstance(node.func, ast.Name) else "the function"
        function = self._function(node, name)
        values: list[Any] = []
        for argument in node.args:
            if isinstance(argument, ast.Starred):
                values.extend(items_of(self._eval(argument.value)))
            else:
                values.append(self._eval(argument))
        if isinstance(function, Opaque):
            if any(keyword.arg is None for keyword in node.keywords):
                raise EvaluationFailure(f"{name}() is called with **, which is not available")
            named = {str(keyword.arg): self._eval(keyword.value) for keyword in node.keywords}
            return call_function(name, function, values, named)
        if isinstance(function, NameSet):  # AccelForge allows to call a set: Nothing()
            if values or node.keywords:
                raise EvaluationFailure(f"{kind_of(function)} takes no arguments")
            return function
        if node.keywords:
            raise EvaluationFailure(f"{name}() takes no keyword arguments")
        return function(*values)

    def _function(self, node: ast.Call, name: str) -> Any:
        """Return what is called: a function of expressions or of the caller, or a set."""
        if not isinstance(node.func, ast.Name):
            value = self._eval(node.func)
        elif name in FUNCTIONS:
            return FUNCTIONS[name]
        elif name in self.scope:
            value = self.scope.lookup(name)
        else:
            raise _no_function(name)
        if isinstance(value, Opaque) or (isinstance(value, NameSet) and name != "the function"):
            return value
        raise EvaluationFailure(f"{kind_of(value)} cannot be called")

    def _call_method(self, function: ast.Attribute, node: ast.Call) -> Any:
        value = self._eval(function.value)
        methods = value.methods if isinstance(value, Fields) else {}
        if function.attr not in methods:
            raise EvaluationFailure(
                f"{kind_of(value)} has no method {function.attr!r}",
                did_you_mean(function.attr, methods) if methods else None,
            )
        if node.args or node.keywords:
            raise EvaluationFailure(f"{function.attr}() takes no arguments")
        return methods[function.attr]()

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


def _no_function(name: str) -> EvaluationFailure:
    why, own = f"there is no function {name!r}", f"polylat.load(…, functions={{{name!r}: …}})"
    close = did_you_mean(name, FUNCTIONS) or ""
    if close.startswith("did you mean"):
        return EvaluationFailure(f"{why} (in Python, {own} gives one of your own)", close)
    return EvaluationFailure(
        why,
        "AccelForge takes functions of your own from Python files "
        "(config.expression_custom_functions), which polylat never runs: give them in Python, "
        + own,
    )


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
