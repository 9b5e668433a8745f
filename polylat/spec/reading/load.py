"""Read AccelForge's YAML files: includes, templates and several files for one input."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from polylat.errors import OptionError, SpecError
from polylat.spec import Spec
from polylat.spec.functions import CustomFunctions, check_functions
from polylat.spec.reading.evaluate import evaluate_with
from polylat.spec.reading.file_names import file_name, match_files
from polylat.spec.reading.files import (
    IncludedSize,
    Includes,
    has_template,
    included_value,
    read_text,
)
from polylat.spec.reading.live.convert import convert_spec, is_mappings, is_spec
from polylat.spec.reading.plain_data import to_tree
from polylat.spec.reading.suggest import format_value
from polylat.spec.reading.templates.render import render
from polylat.spec.reading.tree import TreeMapping, TreeSequence
from polylat.spec.reading.variables import GivenVariables, refuse_unused
from polylat.spec.reading.yaml_text import parse

_MAX_INCLUDE_DEPTH = 20

PathLike = str | os.PathLike[str]


def load(
    *files: PathLike | Iterable[PathLike] | Any,
    jinja_parse_data: Mapping[str, Any] | None = None,
    functions: Mapping[str, Callable[..., Any]] | None = None,
    recurrences: Mapping[str, str] | None = None,
    include_from: Iterable[PathLike] = (),
    **variables: Any,
) -> Spec:
    """Read AccelForge's YAML files.

    Parameters
    ----------
    *files
        One or more files, which together have the top-level keys ``workload``, ``arch`` and
        ``mapping`` (and optionally ``variables``, ``renames`` and ``schedule``). If several files
        have the same key, the first one is used, as in AccelForge. A name may be a glob pattern.
        Instead of files: AccelForge's ``Spec`` with a mapping, or its ``Mappings`` with one
        mapping.
    jinja_parse_data
        Variables for the Jinja templates in the files only.
    functions
        Functions that expressions may call, by name, as AccelForge takes them from the Python
        files in ``config.expression_custom_functions``. They must return numbers (or lists of
        numbers), which are converted exactly. ``spec`` as an argument is AccelForge's ``Spec``, or
        the content of the files as plain data.
    recurrences
        Tensors that are the states of earlier steps, by name, such as ``{"H_prev": "H[t-1]"}``, in
        addition to those under ``schedule: recurrences:``.
    include_from
        Folders from which the files may include others, besides the folder of each file.
    **variables
        Variables for both templates and expressions; in expressions they override those under
        ``variables``. A string is an expression: ``load("a.yaml", T="1/2")``. A variable that the
        files do not use is an error.

    Returns
    -------
    Spec
        Workload, architecture, mapping and options.

    Raises
    ------
    PolylatError
        polylat cannot analyze the files. The message says what is wrong, where, and how to fix it.

    Examples
    --------
    A function for an expression, here that of a variable:

    >>> import polylat
    >>> file = "examples/two_convolutions.yaml"
    >>> polylat.analyze(polylat.load(file, P=20)).latency
    266
    >>> spec = polylat.load(file, P="outputs(24)", functions={"outputs": lambda n: n - 4})
    >>> polylat.analyze(spec).latency
    266
    """
    if len(files) == 1 and (is_spec(files[0]) or is_mappings(files[0])):
        own_functions = check_functions(functions)
        return convert_spec(
            files[0], given=variables, functions=own_functions, recurrences=recurrences
        )
    if not isinstance(jinja_parse_data, Mapping | None):
        raise SpecError(
            f"jinja_parse_data must be a mapping, not {format_value(jinja_parse_data)}",
            fix="give variables by name, such as {'M': 4}",
        )
    own = CustomFunctions(check_functions(functions))
    folders = _folders(include_from)
    spec, given = _read(files, variables, jinja_parse_data or {}, folders, own, recurrences)
    refuse_unused([given])
    return spec


def load_each(
    inputs: Mapping[str, Iterable[PathLike]],
    variables: Mapping[str, Any],
    include_from: Iterable[PathLike] = (),
) -> dict[str, Spec]:
    """Read several inputs with common variables, each of which at least one input must use.

    Parameters
    ----------
    inputs
        Name → files of the input.
    variables
        Variables for templates and expressions of all inputs.
    include_from
        As for `load`.

    Returns
    -------
    dict
        Name → `Spec`.

    Raises
    ------
    PolylatError
        As raised by `load`.
    """
    folders = _folders(include_from)
    read = {name: _read(files, variables, {}, folders) for name, files in inputs.items()}
    refuse_unused([given for _, given in read.values()])
    return {name: spec for name, (spec, _) in read.items()}


def _folders(include_from: object) -> list[str]:
    """Check the folders from which files may be included."""
    if isinstance(include_from, (str, os.PathLike)) or not isinstance(include_from, Iterable):
        raise OptionError(
            f"include_from must be a list of folders, not {format_value(include_from)}",
            fix="write include_from=['folder']",
        )
    found = [file_name(folder) for folder in include_from]
    for folder in found:
        if not os.path.isdir(folder):
            raise OptionError(
                f"there is no folder {format_value(folder)} to include files from",
                fix="check the path",
            )
    return found


def _read(
    files: Iterable[object],
    variables: Mapping[str, Any],
    more: Mapping[str, Any],
    folders: Sequence[str],
    functions: CustomFunctions | None = None,
    recurrences: Mapping[str, str] | None = None,
) -> tuple[Spec, GivenVariables]:
    """Read files; return also which of the given variables they use."""
    paths = match_files(files)
    data = {**more, **variables}
    merged = TreeMapping()
    template_names: set[str] = set()
    used = IncludedSize()
    for path in paths:
        includes = Includes((os.path.dirname(path), *folders), used)
        text = read_text(path)
        tree = _Reader(includes, template_names).tree(path, text, data, [], 0)
        name = os.path.basename(path)
        if tree is None:
            raise SpecError(
                "the file is empty", where=name, fix="add content to the file, or leave it out"
            )
        if not isinstance(tree, TreeMapping):
            raise SpecError(
                "the file does not contain a mapping",
                where=name,
                fix="write keys such as workload, arch and mapping at its top level",
            )
        for key, value in tree.items():
            if key not in merged:
                merged[key] = value
                if key in tree.lines:
                    merged.lines[key] = tree.lines[key]
    main = os.path.basename(paths[0]) if len(paths) == 1 else None
    parts, given = evaluate_with(
        merged,
        to_tree(variables),
        functions=functions,
        recurrences=recurrences,
        main=main,
        rendered=template_names,
    )
    return Spec.from_parts(parts), given


class _Reader:
    """Reads a file and those that it includes to trees.

    Parameters
    ----------
    includes
        The files that may be included.
    template_names
        A set, to which the names of the variables of templates are added.
    """

    def __init__(self, includes: Includes, template_names: set[str]) -> None:
        self.includes = includes
        self.template_names = template_names

    def included(
        self, path: str, data: Mapping[str, Any], include_dirs: list[str], depth: int
    ) -> Any:
        """Read an included file."""
        if depth > _MAX_INCLUDE_DEPTH:
            raise SpecError(
                f"files include each other more than {_MAX_INCLUDE_DEPTH} deep",
                where=os.path.basename(path),
            )
        return self.tree(path, self.includes.read(path), data, include_dirs, depth)

    def tree(
        self, path: str, text: str, data: Mapping[str, Any], include_dirs: list[str], depth: int
    ) -> Any:
        """Convert the text of a file to a tree; a template is rendered."""
        name = os.path.basename(path)

        def load_other(other: str, more: Mapping[str, Any], dirs: list[str]) -> Any:
            return self.included(other, more, list(dirs), depth + 1)

        loaded: Mapping[str, Any] = {}
        if has_template(text):
            rendered = render(
                path, text, data, include_dirs, load_other, self.template_names, self.includes
            )
            if rendered.text.count("\n") != text.rstrip("\n").count("\n"):
                name += " as rendered"  # line numbers differ from those of the file
            text, loaded, include_dirs = rendered.text, rendered.loaded, rendered.include_dirs

        def include(tag: str, target: str, where: str) -> Any:
            if tag == "include_loaded":
                return _as_tree(included_value(loaded, target, where))
            bare = target.strip().removesuffix(",")
            if tag == "include":
                (found, *_) = self.includes.find(bare, path, [])
                return load_other(found, data, include_dirs)
            # A folder without such files is an empty list.
            folder = self.includes.find(bare, path, [])[0]
            files = sorted(glob.glob(os.path.join(glob.escape(folder), "*.yaml")))
            return TreeSequence(load_other(file, data, include_dirs) for file in files)

        return parse(text, file=name, include=include)


def _as_tree(value: Any) -> Any:
    return (
        TreeSequence(value)
        if isinstance(value, list) and not isinstance(value, TreeSequence)
        else value
    )
