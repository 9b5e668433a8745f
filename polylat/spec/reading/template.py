"""Render Jinja templates in a sandbox, with a bound on the work.

The helper functions are AccelForge's: ``include``, ``include_all``, ``include_text``, ``cwd``,
``find_path``, ``find_paths``, ``path_exists``, ``add_to_path`` and the ``assert`` tag. They read
files with the user's permissions; no template runs code or changes the environment.
"""

from __future__ import annotations

import operator
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from jinja2 import FileSystemLoader, StrictUndefined, TemplateError, meta, nodes, pass_context
from jinja2.compiler import CodeGenerator
from jinja2.exceptions import (
    SecurityError,
    TemplateNotFound,
    TemplateSyntaxError,
    UndefinedError,
)
from jinja2.ext import Extension
from jinja2.sandbox import ImmutableSandboxedEnvironment

from polylat.errors import PolylatError, SpecError, UnsupportedError
from polylat.spec.reading.files import IncludedTrees, find_paths, has_template, read_text
from polylat.spec.reading.numbers import MAX_BITS, BadNumber, power
from polylat.spec.reading.suggest import format_value

if TYPE_CHECKING:
    from jinja2.parser import Parser
    from jinja2.runtime import Context

_MAX_OUTPUT = 5_000_000
"""Largest number of characters of a template, and of its output."""
_MAX_STEPS = 200_000
"""Largest number of loop iterations, calls and operations."""
_MAX_TEXT = 1_000_000
"""Largest number of characters of a text within a template."""

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

_Load = Callable[[str, Mapping[str, Any], list[str]], Any]
"""(path, template's variables, include directories) → the tree of another file."""


class _TooMuchWork(Exception):
    """A template exceeds the bound on the work."""


class Rendered(NamedTuple):
    """A rendered file, and the trees of the files that it includes.

    Parameters
    ----------
    text
        The rendered text, in which tags ``!include_loaded NAME`` refer to `loaded`.
    loaded
        Name → tree of an included file.
    include_dirs
        Directories to search for included files, with those that the template added.
    """

    text: str
    loaded: Mapping[str, Any]
    include_dirs: list[str]


def render(
    path: str,
    text: str,
    data: Mapping[str, Any],
    include_dirs: Iterable[str],
    load: _Load,
    names: set[str],
    depth: int = 0,
) -> Rendered:
    """Render a file.

    Parameters
    ----------
    path
        Absolute path of the file.
    text
        The text of the file.
    data
        Variables of the template.
    include_dirs
        Further directories to search for included files.
    load
        Function (path, variables, include directories) → tree of an included file.
    names
        A set, to which the names of the template's variables are added.
    depth
        Number of nested ``include_text`` calls.

    Returns
    -------
    Rendered
        The text, and the trees of the included files.

    Raises
    ------
    PolylatError
        The template is invalid, uses something that is undefined or not allowed, or exceeds the
        bound on the work.
    """
    if depth > 20:
        raise SpecError("files include each other more than 20 deep", where=os.path.basename(path))
    helpers = _Helpers(path, data, list(include_dirs), load, names, depth)
    environment = _Environment(
        loader=FileSystemLoader(os.path.dirname(path)),
        undefined=StrictUndefined,
        extensions=[_Assert],
    )
    environment.globals.update(helpers.table())
    name = os.path.basename(path)
    if len(text) > _MAX_OUTPUT:
        raise SpecError(f"the template has more than {_MAX_OUTPUT} characters", where=name)
    line: int | None = None
    fix: str | None = None
    try:
        names |= meta.find_undeclared_variables(environment.parse(text)) - set(environment.globals)
        result = environment.from_string(text).render(dict(data))
        if len(result) > _MAX_OUTPUT:
            raise _TooMuchWork("its output is too long")
        return Rendered(result, helpers.loaded, helpers.include_dirs)
    except PolylatError:
        raise
    except TemplateSyntaxError as error:
        why, line = str(error.message), error.lineno
    except UndefinedError as error:
        why = str(error.message)
        undefined = re.match(r"'(\w+)' is undefined", why)
        fix = _variable_hint(undefined[1]) if undefined else None
        line = _line(error)
    except SecurityError as error:
        why, line = f"not allowed in a template: {error}", _line(error)
    except TemplateNotFound as error:
        why = f"there is no file {error.name!r}"
    except _TooMuchWork as error:
        why = f"the template does too much work: {error}"
    except (RecursionError, MemoryError):
        why = "the template is nested too deeply or too large"
    except AssertionError as error:
        why = f"{error}" if str(error).startswith("assertion") else f"assertion failed: {error}"
    except TemplateError as error:
        why = str(error.message or type(error).__name__)
    except Exception as error:  # noqa: BLE001 - an expression of the template may raise any exception
        why, line = f"{type(error).__name__}: {format_value(str(error), 200)}", _line(error)
    where = f"{name}, line {line}" if line else name
    raise SpecError(f"the template cannot be rendered: {why}", where=where, fix=fix)


def _variable_hint(name: str) -> str:
    return f"give it as a variable: load(…, {name}=…), or --set {name}=… on the command line"


def _line(error: BaseException) -> int | None:
    """Line of the template that raised an error; Jinja records it in the traceback."""
    found, step = None, error.__traceback__
    while step is not None:
        if step.tb_frame.f_code.co_filename == "<template>":
            found = step.tb_lineno
        step = step.tb_next
    return found


class _Helpers:
    """AccelForge's helper functions, for one file."""

    def __init__(
        self,
        path: str,
        data: Mapping[str, Any],
        include_dirs: list[str],
        load: _Load,
        names: set[str],
        depth: int,
    ) -> None:
        self.path, self.data, self.include_dirs = path, data, include_dirs
        self.load, self.names, self.depth = load, names, depth
        self.loaded: dict[str, Any] = {}

    def table(self) -> dict[str, Any]:
        """Name → helper function."""

        @pass_context
        def include(
            context: Context, p: Any, indices: str = "", inherit_parse_data: bool = True, **kw: Any
        ) -> str:
            return self.include(p, True, indices, self.variables(context, inherit_parse_data, kw))

        @pass_context
        def include_all(
            context: Context, p: Any, indices: str = "", inherit_parse_data: bool = True, **kw: Any
        ) -> str:
            return self.include(p, False, indices, self.variables(context, inherit_parse_data, kw))

        @pass_context
        def include_text(
            context: Context, p: Any, inherit_parse_data: bool = True, **kw: Any
        ) -> str:
            return self.include_text(p, self.variables(context, inherit_parse_data, kw))

        return {
            "include": include,
            "include_all": include_all,
            "include_text": include_text,
            "cwd": lambda: os.path.dirname(self.path),
            "find_path": lambda p: find_paths(p, self.path, self.include_dirs)[0],
            "find_paths": lambda p: find_paths(p, self.path, self.include_dirs),
            "path_exists": self.path_exists,
            "add_to_path": self.add_to_path,
            "setenv": self.setenv,
        }

    def variables(self, context: Context, inherit: bool, more: Mapping[str, Any]) -> dict[str, Any]:
        """Variables of an included file."""
        inherited = {
            key: value
            for key, value in (context.get_all() if inherit else {}).items()
            if not callable(value) and not key.startswith("_")
        }
        return {**self.data, **inherited, **more}

    def include(self, pattern: Any, single: bool, indices: str, data: Mapping[str, Any]) -> str:
        """Load included files; return a YAML tag that refers to their tree."""
        paths = find_paths(pattern, self.path, self.include_dirs)
        if single and len(paths) > 1:
            raise SpecError(
                f"{format_value(pattern)} matches {len(paths)} files",
                where=os.path.basename(self.path),
                fix="use include_all",
            )
        trees = [self.load(p, data, self.include_dirs) for p in paths]
        stem = re.sub(r"\W+", "", os.path.basename(self.path).rsplit(".", 1)[0])
        name = f"{stem}_{len(self.loaded)}"
        self.loaded[name] = trees[0] if len(trees) == 1 else IncludedTrees(trees)
        rest = str(indices).lstrip(".")
        return f"!include_loaded {name}.{rest}" if rest else f"!include_loaded {name}"

    def include_text(self, pattern: Any, data: Mapping[str, Any]) -> str:
        """Return the rendered text of included files."""
        texts = []
        for path in find_paths(pattern, self.path, self.include_dirs):
            text = read_text(path, included=True)
            if has_template(text):
                rendered = render(
                    path, text, data, self.include_dirs, self.load, self.names, self.depth + 1
                )
                self.loaded.update(rendered.loaded)
                text = rendered.text
            texts.append(text.removesuffix("\n"))
        return "\n".join(texts)

    def path_exists(self, pattern: Any) -> bool:
        """Return whether a file matches."""
        try:
            return bool(find_paths(pattern, self.path, self.include_dirs))
        except SpecError:
            return False

    def add_to_path(self, pattern: Any) -> str:
        """Add a directory to those that are searched for included files."""
        self.include_dirs += find_paths(pattern, self.path, self.include_dirs)
        return ""

    def setenv(self, *_: Any) -> str:
        """Refuse to change the environment."""
        raise UnsupportedError(
            "setenv would change the environment",
            where=os.path.basename(self.path),
            fix="remove it, and set the variable before you start polylat",
        )


# The sandbox -------------------------------------------------------------------------------------


class _Assert(Extension):
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
        self.filters = {k: v for k, v in self.filters.items() if k in _FILTERS}
        self.filters |= {"replace": _replace, "join": _join, "string": _text, "sum": _sum}
        self.finalize = _printable
        self.tests = dict(self.tests)
        for name in ("lipsum", "cycler", "joiner"):
            self.globals.pop(name, None)
        self.globals["range"] = self._range
        self.concat = self._concat  # type: ignore[method-assign]

    def step(self, count: int = 1) -> None:
        """Add to the number of steps, and refuse too many."""
        self.steps += count
        if self.steps > _MAX_STEPS:
            raise _TooMuchWork(f"more than {_MAX_STEPS} steps")

    def _range(self, *arguments: int) -> range:
        found = range(*arguments)
        if len(found) > _MAX_STEPS:
            raise _TooMuchWork(f"a range of more than {_MAX_STEPS} numbers")
        return found

    def _counted(self, items: Iterable[Any]) -> Iterator[Any]:
        for item in items:
            self.step()
            yield item

    def _joined(self, *parts: Any) -> str:
        return self._concat(map(_text, parts))

    def _concat(self, parts: Iterable[str]) -> str:
        texts, size = [], 0
        for part in parts:
            size += len(part)
            if size > _MAX_OUTPUT:
                raise _TooMuchWork("its output is too long")
            texts.append(part)
        self.step(1 + size // 1000)
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
        self.step()
        return super().call(context, obj, *args, **kwargs)

    def call_binop(
        self,
        context: Context,  # noqa: ARG002
        sign: str,
        left: Any,
        right: Any,
    ) -> Any:
        """Compute an operation, with a bound on the size of its result."""
        self.step()
        numbers_only = isinstance(left, (int, float)) and isinstance(right, (int, float))
        if sign == "**":
            return self._power(left, right)
        if sign == "%" and not numbers_only:
            raise SecurityError("% with a string")
        if sign == "*" and not numbers_only:
            raise SecurityError("* with a string or list")
        both_whole = isinstance(left, int) and isinstance(right, int)
        if sign == "*" and both_whole and left.bit_length() + right.bit_length() > MAX_BITS:
            raise _TooMuchWork("a number that is too large")
        if sign == "+" and not numbers_only:
            size = sum(len(v) for v in (left, right) if hasattr(v, "__len__"))
            if size > _MAX_TEXT:
                raise _TooMuchWork("a text or list that is too long")
            self.step(1 + size // 100)
        return {"+": operator.add, "*": operator.mul, "%": operator.mod}[sign](left, right)

    def _power(self, left: Any, right: Any) -> Any:
        if isinstance(left, int) and isinstance(right, int):
            try:
                value = power(left, right)
            except BadNumber as error:
                raise _TooMuchWork(str(error)) from None
            return value if isinstance(value, int) else float(value)
        return float(left) ** float(right)


def _replace(text: Any, old: Any, new: Any, count: int = -1) -> str:
    """Variant of the filter ``replace`` with a bound on the result."""
    text, old, new = str(text), str(old), str(new)
    times = len(text) + 1 if not old else text.count(old)
    if len(text) + times * len(new) > _MAX_TEXT:
        raise _TooMuchWork("a text that is too long")
    return str(text.replace(old, new, count))


def _printable(value: Any) -> Any:
    """Refuse a value whose text would be too long."""
    budget = _MAX_OUTPUT
    stack = [value]
    while stack:
        item = stack.pop()
        budget -= len(item) + 4 if isinstance(item, str) else 8
        if budget < 0:
            raise _TooMuchWork("a text that is too long")
        if isinstance(item, dict):
            stack.extend(item)
            stack.extend(item.values())
        elif isinstance(item, (list, tuple, set, frozenset)):
            stack.extend(item)
        elif isinstance(item, int) and item.bit_length() > MAX_BITS:
            raise _TooMuchWork("a number that is too large")
    return value


def _text(value: Any) -> str:
    """Variant of the filter ``string`` with a bound on the result."""
    return str(_printable(value))


def _join(values: Any, separator: Any = "", attribute: Any = None) -> str:
    """Variant of the filter ``join`` with a bound on the result."""
    if attribute is not None:
        raise SecurityError("join with an attribute")
    items = list(values)
    size = sum(len(_text(item)) for item in items) + len(items) * len(_text(separator))
    if size > _MAX_TEXT:
        raise _TooMuchWork("a text that is too long")
    return _text(separator).join(map(_text, items))


def _sum(values: Any, start: Any = 0) -> Any:
    """Variant of the filter ``sum`` for numbers only."""
    items = [start, *values]
    if not all(isinstance(item, (int, float)) for item in items):
        raise SecurityError("sum() of values that are not numbers")
    return sum(items)
