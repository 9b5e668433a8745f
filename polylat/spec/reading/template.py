"""Jinja templates, rendered in a sandbox with a bound on the work.

The helper functions are AccelForge's: ``include``, ``include_all``, ``include_text``, ``cwd``,
``find_path``, ``find_paths``, ``path_exists``, ``add_to_path`` and the ``assert`` tag. They read
files that the user could read; nothing here runs code or changes the environment.
"""

from __future__ import annotations

import operator
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from jinja2 import FileSystemLoader, StrictUndefined, TemplateError, nodes, pass_context
from jinja2.compiler import CodeGenerator
from jinja2.exceptions import TemplateNotFound, TemplateSyntaxError, UndefinedError
from jinja2.ext import Extension
from jinja2.parser import Parser
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment, SecurityError

from polylat.errors import PolylatError, SpecError, UnsupportedError
from polylat.spec.reading.files import Several, find_paths, has_template, read_text
from polylat.spec.reading.numbers import BadNumber, power
from polylat.spec.reading.suggest import shown

MAX_OUTPUT = 5_000_000
MAX_STEPS = 200_000
MAX_TEXT = 1_000_000

_FILTERS = (
    "abs batch bool boolean capitalize count d default dictsort first float groupby int items join "
    "last length list lower map max min reject rejectattr replace reverse round select selectattr "
    "slice sort string sum title trim unique upper"
).split()
_TEXT_METHODS = frozenset(
    "capitalize casefold count endswith find index isalnum isalpha isdecimal isdigit islower "
    "isnumeric isspace isupper join lower lstrip partition removeprefix removesuffix rfind "
    "rpartition rsplit rstrip split splitlines startswith strip swapcase title upper".split()
)
_VALUE_METHODS = frozenset("copy count get index items keys values".split())

Load = Callable[[str, Mapping[str, Any], list[str]], Any]
"""(path, template's data, include directories) → the tree of another file."""


class TooMuch(Exception):
    """A template does more work than it should."""


class Rendered:
    """A rendered file, and the trees that its includes stand for."""

    def __init__(self, text: str, loaded: Mapping[str, Any], include_dirs: list[str]) -> None:
        self.text = text
        self.loaded = loaded
        self.include_dirs = include_dirs


def render(
    path: str,
    text: str,
    data: Mapping[str, Any],
    include_dirs: Iterable[str],
    load: Load,
    depth: int = 0,
) -> Rendered:
    """Render a file.

    Parameters
    ----------
    path
        Absolute path of the file.
    text
        Its text.
    data
        Variables of the template.
    include_dirs
        Where else to look for included files.
    load
        How to load the tree of an included file.
    depth
        How many includes of text lead here.
    """
    if depth > 20:
        raise SpecError("files include each other more than 20 deep", where=path)
    helpers = _Helpers(path, data, list(include_dirs), load, depth)
    environment = _Environment(
        loader=FileSystemLoader(os.path.dirname(path)),
        undefined=StrictUndefined,
        extensions=[_Assert],
    )
    environment.globals.update(helpers.table())
    line: int | None = None
    mend: str | None = None
    try:
        result = environment.from_string(text).render(dict(data))
        if len(result) > MAX_OUTPUT:
            raise TooMuch("its output is too long")
        return Rendered(result, helpers.loaded, helpers.include_dirs)
    except PolylatError:
        raise
    except TemplateSyntaxError as error:
        why, line = str(error.message), error.lineno
    except UndefinedError as error:
        why = str(error.message)
        name = re.match(r"'(\w+)' is undefined", why)
        mend = f"give it as a variable: load(…, {name[1]}=…)" if name else None
    except SecurityError as error:
        why = f"not allowed in a template: {error}"
    except TemplateNotFound as error:
        why = f"there is no file {error.name!r}"
    except TooMuch as error:
        why = f"the template does too much: {error}"
    except (RecursionError, MemoryError):
        why = "the template is nested too deeply or too large"
    except AssertionError as error:
        why = f"{error}" if str(error).startswith("assertion") else f"assertion failed: {error}"
    except TemplateError as error:
        why = str(error.message or type(error).__name__)
    except Exception as error:  # anything that an expression of the template may raise
        why = f"{type(error).__name__}: {shown(str(error), 200)}"
    where = f"{path}, line {line}" if line else path
    raise SpecError(f"the template cannot be rendered: {why}", where=where, mend=mend)


class _Helpers:
    """AccelForge's helper functions, for one file."""

    def __init__(
        self, path: str, data: Mapping[str, Any], include_dirs: list[str], load: Load, depth: int
    ) -> None:
        self.path, self.data, self.include_dirs = path, data, include_dirs
        self.load, self.depth = load, depth
        self.loaded: dict[str, Any] = {}

    def table(self) -> dict[str, Any]:
        """The functions by name."""

        @pass_context
        def include(
            context: Context, p: Any, indices: str = "", inherit_parse_data: bool = True, **kw: Any
        ) -> str:
            return self.include(p, True, indices, self.child(context, inherit_parse_data, kw))

        @pass_context
        def include_all(
            context: Context, p: Any, indices: str = "", inherit_parse_data: bool = True, **kw: Any
        ) -> str:
            return self.include(p, False, indices, self.child(context, inherit_parse_data, kw))

        @pass_context
        def include_text(
            context: Context, p: Any, inherit_parse_data: bool = True, **kw: Any
        ) -> str:
            return self.include_text(p, self.child(context, inherit_parse_data, kw))

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

    def child(self, context: Context, inherit: bool, more: Mapping[str, Any]) -> dict[str, Any]:
        """The variables that an included file sees."""
        mine = {
            key: value
            for key, value in (context.get_all() if inherit else {}).items()
            if not callable(value) and not key.startswith("_")
        }
        return {**self.data, **mine, **more}

    def include(self, pattern: Any, single: bool, indices: str, data: Mapping[str, Any]) -> str:
        """The YAML that stands for included files."""
        paths = find_paths(pattern, self.path, self.include_dirs)
        if single and len(paths) > 1:
            raise SpecError(
                f"{shown(pattern)} names {len(paths)} files",
                where=self.path,
                mend="use include_all",
            )
        trees = [self.load(p, data, self.include_dirs) for p in paths]
        stem = re.sub(r"\W+", "", os.path.basename(self.path).rsplit(".", 1)[0])
        name = f"{stem}_{len(self.loaded)}"
        self.loaded[name] = trees[0] if len(trees) == 1 else Several(trees)
        rest = str(indices).lstrip(".")
        return f"!include_loaded {name}.{rest}" if rest else f"!include_loaded {name}"

    def include_text(self, pattern: Any, data: Mapping[str, Any]) -> str:
        """The rendered text of included files."""
        texts = []
        for path in find_paths(pattern, self.path, self.include_dirs):
            text = read_text(path)
            if has_template(text):
                rendered = render(path, text, data, self.include_dirs, self.load, self.depth + 1)
                self.loaded.update(rendered.loaded)
                text = rendered.text
            texts.append(text.removesuffix("\n"))
        return "\n".join(texts)

    def path_exists(self, pattern: Any) -> bool:
        """Whether there is such a file."""
        try:
            return bool(find_paths(pattern, self.path, self.include_dirs))
        except SpecError:
            return False

    def add_to_path(self, pattern: Any) -> str:
        """Look for included files in a directory, too."""
        self.include_dirs += find_paths(pattern, self.path, self.include_dirs)
        return ""

    def setenv(self, *_: Any) -> str:
        """Refused: reading a file does not change the environment."""
        raise UnsupportedError(
            "setenv would change the environment",
            where=self.path,
            mend="drop it, and set the variable before you start",
        )


# The sandbox -------------------------------------------------------------------------------------


class _Assert(Extension):
    """``{% assert condition, message %}``."""

    tags = {"assert"}

    def parse(self, parser: Parser) -> nodes.Node:
        """Parse the tag."""
        lineno = next(parser.stream).lineno
        condition = parser.parse_expression()
        message: nodes.Expr = nodes.Const(None)
        if parser.stream.skip_if("comma"):
            message = parser.parse_expression()
        call = self.call_method("_check", [condition, message, nodes.Const(lineno)])
        return nodes.CallBlock(call, [], [], []).set_lineno(lineno)

    def _check(self, condition: Any, message: Any, lineno: int, caller: Any) -> str:
        if not condition:
            raise AssertionError(message or f"assertion failed on line {lineno}")
        return ""


class _Generator(CodeGenerator):
    """Compiles loops and concatenations so that they count against the bound."""

    def visit_For(self, node: nodes.For, frame: Any) -> None:
        """A loop: over what it iterates is counted."""
        node.iter = self._through("_counted", [node.iter], node.lineno)
        super().visit_For(node, frame)

    def visit_Concat(self, node: nodes.Concat, frame: Any) -> None:
        """``a ~ b``."""
        self.visit(self._through("_joined", node.nodes, node.lineno), frame)

    def _through(self, name: str, arguments: list[nodes.Expr], lineno: int) -> nodes.Expr:
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
        self.filters["replace"] = _replace
        self.tests = dict(self.tests)
        for name in ("lipsum", "cycler", "joiner"):
            self.globals.pop(name, None)
        self.globals["range"] = self._range
        self.concat = self._concat

    def step(self, count: int = 1) -> None:
        """Count work."""
        self.steps += count
        if self.steps > MAX_STEPS:
            raise TooMuch(f"more than {MAX_STEPS} steps")

    def _range(self, *arguments: int) -> range:
        found = range(*arguments)
        if len(found) > MAX_STEPS:
            raise TooMuch(f"a range of more than {MAX_STEPS} numbers")
        return found

    def _counted(self, items: Iterable[Any]) -> Iterator[Any]:
        for item in items:
            self.step()
            yield item

    def _joined(self, *parts: Any) -> str:
        return self._concat(map(str, parts))

    def _concat(self, parts: Iterable[str]) -> str:
        texts, size = [], 0
        for part in parts:
            size += len(part)
            if size > MAX_OUTPUT:
                raise TooMuch("its output is too long")
            texts.append(part)
        self.step(1 + size // 1000)
        return "".join(texts)

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        """Methods of texts and containers: only those listed."""
        if not super().is_safe_attribute(obj, attr, value):
            return False
        if isinstance(obj, str):
            return attr in _TEXT_METHODS
        if isinstance(obj, (list, tuple, dict, set, frozenset)):
            return attr in _VALUE_METHODS or not callable(value)
        return not isinstance(obj, (bytes, bytearray))

    def wrap_str_format(self, value: Any) -> Any:
        """Texts are not formatted: a width can be as large as one likes."""
        found = super().wrap_str_format(value)
        if found is not None:
            raise SecurityError("format() of a text")
        return None

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N805
        """A call counts as a step."""
        __self.step()
        return super().call(__context, __obj, *args, **kwargs)

    def call_binop(self, context: Context, sign: str, left: Any, right: Any) -> Any:
        """Arithmetic whose result could be huge."""
        self.step()
        numbers_only = isinstance(left, (int, float)) and isinstance(right, (int, float))
        if sign == "**":
            return self._power(left, right)
        if sign == "%" and not numbers_only:
            raise SecurityError("% of a text")
        if sign == "*" and not numbers_only:
            size = (len(left) if hasattr(left, "__len__") else left) * (
                len(right) if hasattr(right, "__len__") else right
            )
            if not isinstance(size, int) or size > MAX_TEXT:
                raise TooMuch("a repetition that is too long")
            self.step(1 + size // 100)
        if sign == "*" and isinstance(left, int) and isinstance(right, int):
            if left.bit_length() + right.bit_length() > 20_000:
                raise TooMuch("a number that is too large")
        if sign == "+" and not numbers_only:
            size = sum(len(v) for v in (left, right) if hasattr(v, "__len__"))
            if size > MAX_TEXT:
                raise TooMuch("a text or list that is too long")
            self.step(1 + size // 100)
        return {"+": operator.add, "*": operator.mul, "%": operator.mod}[sign](left, right)

    def _power(self, left: Any, right: Any) -> Any:
        if isinstance(left, int) and isinstance(right, int):
            try:
                value = power(left, right)
            except BadNumber as error:
                raise TooMuch(str(error)) from None
            return value if isinstance(value, int) else float(value)
        return float(left) ** float(right)


def _replace(text: Any, old: Any, new: Any, count: int = -1) -> str:
    """The filter ``replace``, with a bound on the result."""
    text, old, new = str(text), str(old), str(new)
    times = len(text) + 1 if not old else text.count(old)
    if len(text) + times * len(new) > MAX_TEXT:
        raise TooMuch("a text that is too long")
    return text.replace(old, new, count)
