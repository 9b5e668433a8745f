"""The helper functions of templates, which are AccelForge's.

These are ``include``, ``include_all``, ``include_text``, ``cwd``, ``find_path``, ``find_paths``,
``path_exists`` and ``add_to_path``. They read files below the folders that `Includes` allows; no
template runs code or changes the environment.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from jinja2 import pass_context

from polylat.errors import SpecError, UnsupportedError
from polylat.spec.reading.files import IncludedTrees, Includes, has_template
from polylat.spec.reading.suggest import format_value

if TYPE_CHECKING:
    from jinja2.runtime import Context

LoadTree = Callable[[str, Mapping[str, Any], list[str]], Any]
"""(path, template's variables, include directories) → the tree of another file."""
RenderText = Callable[[str, str, Mapping[str, Any], list[str]], "Rendered"]
"""(path, text, template's variables, include directories) → the rendered text of another file."""


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


class Helpers:
    """AccelForge's helper functions, for one file.

    Parameters
    ----------
    path
        Absolute path of the file.
    data
        Variables of the template.
    include_dirs
        Further directories to search for included files.
    load
        Function that returns the tree of an included file.
    render
        Function that renders the text of an included file.
    includes
        The files that it may include.

    Attributes
    ----------
    loaded
        Name → tree of an included file.
    """

    def __init__(
        self,
        path: str,
        data: Mapping[str, Any],
        include_dirs: list[str],
        load: LoadTree,
        render: RenderText,
        includes: Includes,
    ) -> None:
        self.path, self.data, self.include_dirs = path, data, include_dirs
        self.load, self.render, self.includes = load, render, includes
        self.loaded: dict[str, Any] = {}

    def table(self) -> dict[str, Any]:
        """Return the helper functions.

        Returns
        -------
        dict
            Name → function.
        """

        @pass_context
        def include(
            context: Context, p: Any, indices: str = "", inherit_parse_data: bool = True, **kw: Any
        ) -> str:
            return self._include(p, True, indices, self._variables(context, inherit_parse_data, kw))

        @pass_context
        def include_all(
            context: Context, p: Any, indices: str = "", inherit_parse_data: bool = True, **kw: Any
        ) -> str:
            return self._include(
                p, False, indices, self._variables(context, inherit_parse_data, kw)
            )

        @pass_context
        def include_text(
            context: Context, p: Any, inherit_parse_data: bool = True, **kw: Any
        ) -> str:
            return self._include_text(p, self._variables(context, inherit_parse_data, kw))

        return {
            "include": include,
            "include_all": include_all,
            "include_text": include_text,
            "cwd": lambda: os.path.dirname(self.path),
            "find_path": lambda p: self._find(p)[0],
            "find_paths": self._find,
            "path_exists": self._path_exists,
            "add_to_path": self._add_to_path,
            "setenv": self._setenv,
        }

    def _find(self, pattern: Any) -> list[str]:
        return self.includes.find(pattern, self.path, self.include_dirs)

    def _variables(
        self, context: Context, inherit: bool, more: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Variables of an included file."""
        inherited = {
            key: value
            for key, value in (context.get_all() if inherit else {}).items()
            if not callable(value) and not key.startswith("_")
        }
        return {**self.data, **inherited, **more}

    def _include(self, pattern: Any, single: bool, indices: str, data: Mapping[str, Any]) -> str:
        """Load included files; return a YAML tag that refers to their tree."""
        paths = self._find(pattern)
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

    def _include_text(self, pattern: Any, data: Mapping[str, Any]) -> str:
        """Return the rendered text of included files."""
        texts = []
        for path in self._find(pattern):
            text = self.includes.read(path)
            if has_template(text):
                rendered = self.render(path, text, data, self.include_dirs)
                self.loaded.update(rendered.loaded)
                text = rendered.text
            texts.append(text.removesuffix("\n"))
        return "\n".join(texts)

    def _path_exists(self, pattern: Any) -> bool:
        """Return whether a file matches."""
        try:
            return bool(self._find(pattern))
        except SpecError:
            return False

    def _add_to_path(self, pattern: Any) -> str:
        """Add a directory to those that are searched for included files."""
        self.include_dirs += self._find(pattern)
        return ""

    def _setenv(self, *_: Any) -> str:
        """Refuse to change the environment."""
        raise UnsupportedError(
            "setenv would change the environment",
            where=os.path.basename(self.path),
            fix="remove it, and set the variable before you start polylat",
        )
