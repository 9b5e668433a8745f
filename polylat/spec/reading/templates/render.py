"""Render the template of a file."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from typing import Any

from jinja2 import TemplateError, meta
from jinja2.exceptions import SecurityError, TemplateNotFound, TemplateSyntaxError, UndefinedError

from polylat.errors import PolylatError, SpecError
from polylat.spec.reading.files import Includes
from polylat.spec.reading.suggest import format_value
from polylat.spec.reading.templates.helpers import Helpers, LoadTree, Rendered
from polylat.spec.reading.templates.limits import MAX_OUTPUT, TooMuchWork
from polylat.spec.reading.templates.sandbox import make_environment


def render(
    path: str,
    text: str,
    data: Mapping[str, Any],
    include_dirs: Iterable[str],
    load: LoadTree,
    names: set[str],
    includes: Includes,
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
    includes
        The files that the template may include.
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

    def render_included(
        other: str, text: str, data: Mapping[str, Any], dirs: list[str]
    ) -> Rendered:
        return render(other, text, data, dirs, load, names, includes, depth + 1)

    helpers = Helpers(path, data, list(include_dirs), load, render_included, includes)
    environment = make_environment(path, helpers.table(), includes)
    name = os.path.basename(path)
    if len(text) > MAX_OUTPUT:
        raise SpecError(f"the template has more than {MAX_OUTPUT} characters", where=name)
    line: int | None = None
    fix: str | None = None
    try:
        names |= meta.find_undeclared_variables(environment.parse(text)) - set(environment.globals)
        result = environment.from_string(text).render(dict(data))
        if len(result) > MAX_OUTPUT:
            raise TooMuchWork("its output is too long")
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
    except TooMuchWork as error:
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
