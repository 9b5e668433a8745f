"""Find and read the files of the input, and select values of included files."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from polylat.errors import SpecError
from polylat.spec.reading.suggest import did_you_mean

_MAX_BYTES = 20_000_000


def has_template(text: str) -> bool:
    """Return whether a text contains Jinja syntax.

    Parameters
    ----------
    text
        The text.

    Returns
    -------
    bool
        True if Jinja must render the text.
    """
    return "{{" in text or "{%" in text or "{#" in text


def find_paths(pattern: object, path: str, include_dirs: Iterable[str]) -> list[str]:
    """Find the files that match a pattern, next to a file and in the include directories.

    Parameters
    ----------
    pattern
        A name, a pattern as for `glob`, or a list of these.
    path
        The file that names the pattern.
    include_dirs
        Further directories to search.

    Returns
    -------
    list of str
        The absolute paths, each once.

    Raises
    ------
    SpecError
        If no file matches.
    """
    if isinstance(pattern, (list, tuple)):
        return [p for part in pattern for p in find_paths(part, path, include_dirs)]
    name = str(pattern)
    roots = [""] if os.path.isabs(name) else [os.path.dirname(path), *include_dirs]
    found: list[str] = []
    for root in roots:
        full = os.path.abspath(os.path.realpath(os.path.join(root, name)))
        found.extend(sorted(glob.glob(full)))
    unique = list(dict.fromkeys(os.path.realpath(os.path.abspath(p)) for p in found))
    if not unique:
        raise SpecError(
            f"there is no file {name!r}",
            where=os.path.basename(path) or path,
            fix=did_you_mean(os.path.basename(name), _siblings(path)),
        )
    return unique


def _siblings(path: str) -> list[str]:
    """Return the names of the YAML files (and files of the same suffix) in the file's directory."""
    endings = {".yaml", ".yml", Path(path).suffix}
    try:
        names = sorted(p.name for p in Path(path).parent.iterdir() if p.is_file())
        return [n for n in names if Path(n).suffix in endings and not n.startswith(".")][:200]
    except OSError:
        return []


class IncludedTrees:
    """The trees of several included files.

    Parameters
    ----------
    trees
        One tree per file.
    """

    def __init__(self, trees: list[Any]) -> None:
        self.trees = trees


def included_value(loaded: Mapping[str, Any], text: str, where: str) -> Any:
    """Return the value of ``!include_loaded name.key.key``.

    Parameters
    ----------
    loaded
        Name → tree of the included file, or `IncludedTrees` trees.
    text
        The name and the keys, joined by dots.
    where
        Location of the tag, for messages.

    Returns
    -------
    Any
        The value; a list with one value per file if the name has `IncludedTrees` trees.

    Raises
    ------
    SpecError
        If no file was included under the name, or a file does not have the key.
    """
    name, *keys = text.strip().split(".")
    if name not in loaded:
        raise SpecError(f"no file was included as {name!r}", where=where)
    value = loaded[name]
    several = isinstance(value, IncludedTrees)
    values: list[Any] = value.trees if isinstance(value, IncludedTrees) else [value]
    for key in keys:
        picked = []
        for tree in values:
            if isinstance(tree, dict) and key in tree:
                picked.append(tree[key])
            elif isinstance(tree, list) and key.isdecimal() and int(key) < len(tree):
                picked.append(tree[int(key)])
            else:
                known = list(tree) if isinstance(tree, dict) else []
                raise SpecError(
                    f"the included file has no key {key!r}",
                    where=where,
                    fix=did_you_mean(key, known),
                )
        values = picked
    return list(values) if several else values[0]


def read_text(path: str, *, included: bool = False) -> str:
    """Return the text of a file.

    Parameters
    ----------
    path
        Path of the file.
    included
        True for a file included by another; it must be a regular file, which cannot block.

    Returns
    -------
    str
        The text, without a byte-order mark.

    Raises
    ------
    SpecError
        If the file does not exist, cannot be read, is larger than 20 MB or not UTF-8.
    """
    if included and os.path.exists(path) and not os.path.isfile(path):
        raise SpecError("the file is not a regular file", where=os.path.basename(path) or path)
    try:
        with open(path, "rb") as file:
            raw = file.read(_MAX_BYTES + 1)
    except IsADirectoryError:
        raise SpecError(
            "the path is a directory", where=os.path.basename(path) or path, fix="name a file"
        ) from None
    except FileNotFoundError:
        raise SpecError(
            "there is no such file",
            where=os.path.basename(path) or path,
            fix=did_you_mean(os.path.basename(path), _siblings(path)) or "check the path",
        ) from None
    except OSError as error:
        raise SpecError(
            f"the file cannot be read: {error.strerror}", where=os.path.basename(path) or path
        ) from None
    if len(raw) > _MAX_BYTES:
        raise SpecError("the file is larger than 20 MB", where=os.path.basename(path) or path)
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SpecError(
            f"the file is not UTF-8 (byte {error.start})",
            where=os.path.basename(path) or path,
            fix="save it as UTF-8",
        ) from None
