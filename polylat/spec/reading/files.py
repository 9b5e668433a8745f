"""Find and read the files of the input, and select values of included files."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from polylat.errors import SpecError
from polylat.spec.reading.suggest import did_you_mean, format_value

_MAX_BYTES = 20_000_000
_MAX_INCLUDED_FILES = 1_000


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


class Includes:
    """The files that a file may include: those below some folders, up to a number and a size.

    Parameters
    ----------
    folders
        The folders; symbolic links are resolved.
    used
        What other files of the same input have included, which counts towards the limits.
    """

    def __init__(self, folders: Iterable[str], used: IncludedSize | None = None) -> None:
        self._folders = tuple(os.path.realpath(folder) for folder in folders)
        self._used = used if used is not None else IncludedSize()

    def allows(self, path: str) -> bool:
        """Return whether a file may be included.

        Parameters
        ----------
        path
            Path of the file, which need not exist.

        Returns
        -------
        bool
            True if it is below one of the folders, or one of them, with symbolic links resolved.
        """
        real = os.path.realpath(path)
        return any(os.path.commonpath((real, folder)) == folder for folder in self._folders)

    def read(self, path: str) -> str:
        """Return the text of an included file.

        Parameters
        ----------
        path
            Path of the file.

        Returns
        -------
        str
            Its text, see `read_text`.

        Raises
        ------
        SpecError
            The file may not be included, cannot be read, or the input includes too much.
        """
        if not self.allows(path):
            raise _outside(os.path.basename(path), path)
        text = read_text(path, included=True)
        self._used.add(text, os.path.basename(path))
        return text

    def find(self, pattern: object, path: str, include_dirs: Iterable[str]) -> list[str]:
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
            No file matches, or one that matches may not be included.
        """
        if isinstance(pattern, (list, tuple)):
            return [p for part in pattern for p in self.find(part, path, include_dirs)]
        name = str(pattern)
        roots = [""] if os.path.isabs(name) else [os.path.dirname(path), *include_dirs]
        found: list[str] = []
        refused = False
        for root in roots:
            full = os.path.abspath(os.path.join(root, name))
            if self.allows(_without_pattern(full)):
                found.extend(sorted(glob.glob(full)))
            else:  # not even whether there is such a file
                refused = True
        unique = list(dict.fromkeys(os.path.realpath(p) for p in found))
        if (refused and not unique) or not all(map(self.allows, unique)):
            raise _outside(name, path)
        if not unique:
            raise SpecError(
                f"there is no file {format_value(name)}",
                where=os.path.basename(path) or path,
                fix=did_you_mean(os.path.basename(name), _siblings(path)),
            )
        return unique


class IncludedSize:
    """Counts the files that an input includes, and their characters."""

    def __init__(self) -> None:
        self._files = 0
        self._characters = 0

    def add(self, text: str, name: str) -> None:
        """Count a file.

        Parameters
        ----------
        text
            Its text.
        name
            Its name, for messages.

        Raises
        ------
        SpecError
            There are too many files, or they are too large together.
        """
        self._files += 1
        self._characters += len(text)
        if self._files > _MAX_INCLUDED_FILES or self._characters > _MAX_BYTES:
            raise SpecError(
                f"the input includes more than {_MAX_INCLUDED_FILES:,} files, or more than 20 MB;"
                " a file counts each time that it is included",
                where=name,
                fix="include each file once",
            )


def _without_pattern(path: str) -> str:
    """Return the part of a path above the first name that is a pattern."""
    while glob.has_magic(path):
        path = os.path.dirname(path)
    return path


def _outside(name: str, path: str) -> SpecError:
    return SpecError(
        f"{format_value(name)} is outside of the folder of the input",
        where=os.path.basename(path) or path,
        fix="move it there, or allow its folder: load(…, include_from=[…]), or --include-from on"
        " the command line",
    )


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
