"""Jinja's sandbox with fewer filters and methods, and a bound on the work."""

from __future__ import annotations

import operator
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from jinja2 import FunctionLoader, StrictUndefined, nodes
from jinja2.compiler import CodeGenerator
from jinja2.exceptions import SecurityError
from jinja2.ext import Extension
from jinja2.sandbox import ImmutableSandboxedEnvironment

from polylat.spec.reading.files import Includes
from polylat.spec.reading.numbers import MAX_BITS, BadNumber, power
from polylat.spec.reading.templates.filters import (
    BOUNDED_FILTERS,
    check_printable,
    text_within_bound,
)
from polylat.spec.reading.templates.limits import MAX_OUTPUT, MAX_TEXT, TooMuchWork
from polylat.spec.reading.tree import tree_size

if TYPE_CHECKING:
    from jinja2 import Template
    from jinja2.parser import Parser
    from jinja2.runtime import Context

_MAX_STEPS = 200_000
"""Largest number of loop iterations, calls, operations and items of lists."""
_MAX_SECONDS = 20
"""Processor time, in case that the steps are long ones."""
# The filters and methods that a template may use: their results are not much larger than their
# operands.
_FILTERS = frozenset(
    ("abs", "capitalize", "count", "d", "default", "dictsort", "first", "float", "groupby")
    + ("int", "items", "join", "last", "length", "list", "lower", "map", "max", "min", "reject")
    + ("rejectattr", "replace", "reverse", "round", "select", "selectattr", "sort", "string")
    + ("sum", "title", "trim", "unique", "upper")
)
_TEXT_METHODS = frozenset(
    ("capitalize", "count", "endswith", "find", "index", "isalnum", "isalpha", "isdecimal")
    + ("isdigit", "islower", "isnumeric", "isspace", "isupper", "lower", "lstrip", "partition")
    + ("removeprefix", "removesuffix", "rfind", "rpartition", "rsplit", "rstrip", "split")
    + ("splitlines", "startswith", "strip", "swapcase", "title", "upper")
)
_VALUE_METHODS = frozenset(("copy", "count", "get", "index", "items", "keys", "values"))


def make_environment(
    path: str, helpers: Mapping[str, Any], includes: Includes
) -> ImmutableSandboxedEnvironment:
    """Make the environment in which a template is rendered.

    Parameters
    ----------
    path
        The file, next to which Jinja's own tags find files.
    helpers
        Name → function that the template may call.
    includes
        The files that the template may include.

    Returns
    -------
    ImmutableSandboxedEnvironment
        The environment; it raises `TooMuchWork` where a template exceeds the bound on the work.
    """

    def source(name: str) -> str | None:
        other = os.path.join(os.path.dirname(path), name)
        return includes.read(other) if os.path.exists(other) or not includes.allows(other) else None

    environment = _Environment(
        loader=FunctionLoader(source), undefined=StrictUndefined, extensions=[_AssertTag]
    )
    environment.globals.update(helpers)
    return environment


class _AssertTag(Extension):
    """``{% assert condition, message %}``."""

    tags = {"assert"}  # noqa: RUF012 - declared so by Jinja

    def parse(self, parser: Parser) -> nodes.Node:
        """Parse the tag."""
        lineno = next(parser.stream).lineno
        condition = parser.parse_expression()
        message: nodes.Expr = nodes.Const(None)
        if parser.stream.skip_if("comma"):
            message = parser.parse_expression()
        call = self.call_method("_check", [condition, message, nodes.Const(lineno)])
        return nodes.CallBlock(call, [], [], []).set_lineno(lineno)

    def _check(self, condition: Any, message: Any, lineno: int, caller: Any) -> str:  # noqa: ARG002
        if not condition:
            raise AssertionError(message or f"assertion failed on line {lineno}")
        return ""


class _Generator(CodeGenerator):
    """Compiles loops and concatenations so that they count as work."""

    def visit_For(self, node: nodes.For, frame: Any) -> None:
        """Compile a loop whose iterations are counted."""
        node.iter = self._call("_counted", [node.iter], node.lineno)
        super().visit_For(node, frame)

    def visit_Concat(self, node: nodes.Concat, frame: Any) -> None:
        """Compile a concatenation ``a ~ b`` whose length is counted."""
        self.visit(self._call("_joined", node.nodes, node.lineno), frame)

    def visit_List(self, node: nodes.List, frame: Any) -> None:
        """Compile a list whose items are counted, those of lists within it included."""
        self._sized(node, frame, super().visit_List)

    def visit_Tuple(self, node: nodes.Tuple, frame: Any) -> None:
        """Compile a tuple in the same way."""
        self._sized(node, frame, super().visit_Tuple)

    def visit_Dict(self, node: nodes.Dict, frame: Any) -> None:
        """Compile a dictionary in the same way."""
        self._sized(node, frame, super().visit_Dict)

    def _sized(self, node: Any, frame: Any, write: Callable[[Any, Any], None]) -> None:
        if getattr(node, "ctx", "load") != "load":  # the targets of an assignment
            write(node, frame)
            return
        self.write("environment.sized(")
        write(node, frame)
        self.write(")")

    def _call(self, name: str, arguments: list[Any], lineno: int) -> nodes.Expr:
        attribute = nodes.EnvironmentAttribute(name)
        call = nodes.Call(attribute, arguments, [], None, None)
        call.set_lineno(lineno)
        call.set_environment(self.environment)
        return call


class _Environment(ImmutableSandboxedEnvironment):
    """Jinja's sandbox, with fewer filters and methods, and a bound on the work."""

    code_generator_class = _Generator
    intercepted_binops = frozenset(["+", "*", "**", "%"])

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.steps = 0
        self.deadline = time.thread_time() + _MAX_SECONDS
        self.filters = {k: v for k, v in self.filters.items() if k in _FILTERS}
        self.filters |= BOUNDED_FILTERS
        self.finalize = check_printable
        self.tests = dict(self.tests)
        for name in ("lipsum", "cycler", "joiner"):
            self.globals.pop(name, None)
        self.globals["range"] = self._range
        self.concat = self._concat  # type: ignore[method-assign]

    def _step(self, count: int = 1) -> None:
        """Add to the number of steps, and refuse too many."""
        self.steps += count
        if time.thread_time() > self.deadline:
            raise TooMuchWork(f"more than {_MAX_SECONDS} s of computation")
        if self.steps > _MAX_STEPS:
            raise TooMuchWork(f"more than {_MAX_STEPS} steps")

    def sized(self, value: Any) -> Any:
        """Count the items of a list or dictionary, and refuse a value with too many.

        Work on a value, such as a comparison, takes as long as all lists within it are together,
        however few of them are different ones.
        """
        size = tree_size(value, MAX_TEXT)
        if size >= MAX_TEXT:
            raise TooMuchWork("a list that is too long")
        self._step(1 + size // 50)
        return value

    def get_template(self, *args: Any, **kwargs: Any) -> Template:
        """Count a template that Jinja's own tags include as a step."""
        self._step()
        return super().get_template(*args, **kwargs)

    def _range(self, *arguments: int) -> range:
        found = range(*arguments)
        if len(found) > _MAX_STEPS:
            raise TooMuchWork(f"a range of more than {_MAX_STEPS} numbers")
        return found

    def _counted(self, items: Iterable[Any]) -> Iterator[Any]:
        for item in items:
            self._step()
            yield item

    def _joined(self, *parts: Any) -> str:
        return self._concat(map(text_within_bound, parts))

    def _concat(self, parts: Iterable[str]) -> str:
        texts, size = [], 0
        for part in parts:
            size += len(part)
            if size > MAX_OUTPUT:
                raise TooMuchWork("its output is too long")
            texts.append(part)
        self._step(1 + size // 1000)
        return "".join(texts)

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        """Allow only the listed methods of strings and containers."""
        if not super().is_safe_attribute(obj, attr, value):
            return False
        if isinstance(obj, str):
            return attr in _TEXT_METHODS
        if isinstance(obj, (list, tuple, dict, set, frozenset)):
            return attr in _VALUE_METHODS or not callable(value)
        return not isinstance(obj, (bytes, bytearray))

    def wrap_str_format(self, value: Any) -> Any:
        """Refuse to format strings: the width of a field has no bound."""
        found = super().wrap_str_format(value)
        if found is not None:
            raise SecurityError("format() of a string")
        return None

    def call(self, context: Context, obj: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Count a call as a step."""
        self._step()
        return self.sized(super().call(context, obj, *args, **kwargs))

    def call_binop(
        self,
        context: Context,  # noqa: ARG002
        sign: str,
        left: Any,
        right: Any,
    ) -> Any:
        """Compute an operation, with a bound on the size of its result."""
        self._step()
        numbers_only = isinstance(left, (int, float)) and isinstance(right, (int, float))
        if sign == "**":
            return self._power(left, right)
        if sign == "%" and not numbers_only:
            raise SecurityError("% with a string")
        if sign == "*" and not numbers_only:
            raise SecurityError("* with a string or list")
        both_whole = isinstance(left, int) and isinstance(right, int)
        if sign == "*" and both_whole and left.bit_length() + right.bit_length() > MAX_BITS:
            raise TooMuchWork("a number that is too large")
        if sign == "+" and not numbers_only:
            size = sum(len(v) for v in (left, right) if hasattr(v, "__len__"))
            if size > MAX_TEXT:
                raise TooMuchWork("a text or list that is too long")
            self._step(1 + size // 100)
        return {"+": operator.add, "*": operator.mul, "%": operator.mod}[sign](left, right)

    def _power(self, left: Any, right: Any) -> Any:
        if isinstance(left, int) and isinstance(right, int):
            try:
                value = power(left, right)
            except BadNumber as error:
                raise TooMuchWork(str(error)) from None
            return value if isinstance(value, int) else float(value)
        return float(left) ** float(right)
