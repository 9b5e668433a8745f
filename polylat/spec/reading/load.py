"""Read AccelForge's YAML files: includes, templates and several files for one input."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from polylat.errors import SpecError
from polylat.spec import Spec
from polylat.spec.functions import CustomFunctions, check_functions
from polylat.spec.reading.evaluate import evaluate_with
from polylat.spec.reading.file_names import match_files
from polylat.spec.reading.files import find_paths, has_template, included_value, read_text
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
        return convert_spec(files[0], given=variables, functions=check_functions(functions))
    if not isinstance(jinja_parse_data, Mapping | None):
        raise SpecError(
            f"jinja_parse_data must be a mapping, not {format_value(jinja_parse_data)}",
            fix="give variables by name, such as {'M': 4}",
        )
    own = CustomFunctions(check_functions(functions))
    spec, given = _read(files, variables, jinja_parse_data or {}, own)
    refuse_unused([given])
    return spec


def load_each(
    inputs: Mapping[str, Iterable[PathLike]], variables: Mapping[str, Any]
) -> dict[str, Spec]:
    """Read several inputs with common variables, each of which at least one input must use.

    Parameters
    ----------
    inputs
        Name → files of the input.
    variables
        Variables for templates and expressions of all inputs.

    Returns
    -------
    dict
        Name → `Spec`.

    Raises
    ------
    PolylatError
        As raised by `load`.
    """
    read = {name: _read(files, variables, {}) for name, files in inputs.items()}
    refuse_unused([given for _, given in read.values()])
    return {name: spec for name, (spec, _) in read.items()}


def _read(
    files: Iterable[object],
    variables: Mapping[str, Any],
    more: Mapping[str, Any],
    functions: CustomFunctions | None = None,
) -> tuple[Spec, GivenVariables]:
    """Read files; return also which of the given variables they use."""
    paths = match_files(files)
    data = {**more, **variables}
    merged = TreeMapping()
    template_names: set[str] = set()
    for path in paths:
        tree = _load(path, data, [], 0, template_names)
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
    parts, used = evaluate_with(
        merged, to_tree(variables), functions=functions, main=main, rendered=template_names
    )
    return Spec.from_parts(parts), used


def _load(
    path: str,
    data: Mapping[str, Any],
    include_dirs: list[str],
    depth: int,
    template_names: set[str],
) -> Any:
    """Read a file to a tree, render its template and add its variables to `template_names`."""
    name = os.path.basename(path)
    if depth > _MAX_INCLUDE_DEPTH:
        raise SpecError(f"files include each other more than {_MAX_INCLUDE_DEPTH} deep", where=name)

    def load_other(other: str, more: Mapping[str, Any], dirs: list[str]) -> Any:
        return _load(other, more, list(dirs), depth + 1, template_names)

    text = read_text(path, included=depth > 0)
    loaded: Mapping[str, Any] = {}
    if has_template(text):
        rendered = render(path, text, data, include_dirs, load_other, template_names)
        if rendered.text.count("\n") != text.rstrip("\n").count("\n"):
            name += " as rendered"  # line numbers differ from those of the file
        text, loaded, include_dirs = rendered.text, rendered.loaded, rendered.include_dirs

    def include(tag: str, target: str, where: str) -> Any:
        if tag == "include_loaded":
            return _as_tree(included_value(loaded, target, where))
        bare = target.strip().removesuffix(",")
        if tag == "include":
            (found, *_) = find_paths(os.path.join(os.path.dirname(path), bare), path, [])
            return load_other(found, data, include_dirs)
        folder = os.path.join(os.path.dirname(path), bare)
        return TreeSequence(
            load_other(p, data, include_dirs)
            for p in sorted(glob.glob(os.path.join(folder, "*.yaml")))
        )

    return parse(text, file=name, include=include)


def _as_tree(value: Any) -> Any:
    return (
        TreeSequence(value)
        if isinstance(value, list) and not isinstance(value, TreeSequence)
        else value
    )
