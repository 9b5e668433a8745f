"""The names of the files of an input: patterns expanded, without duplicates."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Mapping

from polylat.errors import SpecError
from polylat.spec.reading.suggest import format_value


def match_files(files: Iterable[object]) -> list[str]:
    """Find the files of an input.

    Parameters
    ----------
    files
        File names, glob patterns, or collections of these.

    Returns
    -------
    list of str
        Absolute paths, without duplicates.

    Raises
    ------
    SpecError
        If no file is given, or a name is not that of a file.
    """
    names: list[str] = []
    for file in files:
        if isinstance(file, (str, os.PathLike)):
            names.append(file_name(file))
        elif isinstance(file, Iterable) and not isinstance(file, (bytes, bytearray, Mapping)):
            names.extend(file_name(f) for f in file)
        else:
            raise SpecError(
                f"cannot load a {type(file).__name__}",
                fix="give file names; for plain data, use Spec.from_dict",
            )
    if not names:
        raise SpecError("no file is given", fix="name at least one file")
    found: list[str] = []
    for name in names:
        if os.path.exists(name):
            matches = [name]
        else:
            matches = sorted(p for p in glob.glob(name) if os.path.isfile(p)) or [name]
        for match in matches:
            path = os.path.abspath(os.path.realpath(match))
            if path not in found:
                found.append(path)
    return found


def file_name(file: object) -> str:
    """Check the name of a file or folder.

    Parameters
    ----------
    file
        A string or a path.

    Returns
    -------
    str
        The name.

    Raises
    ------
    SpecError
        It is not a name that a file can have.
    """
    if isinstance(file, (str, os.PathLike)):
        name = os.fspath(file)
        if isinstance(name, str):
            if not name:
                raise SpecError("a file name is empty", fix="name a file, or leave it out")
            if "\0" in name:
                raise SpecError("a file name contains a null character")
            try:
                os.fsencode(name)
            except UnicodeEncodeError:
                raise SpecError(f"{format_value(name)} is not a valid file name") from None
            return name
    raise SpecError(f"a file name must be a string, not a {type(file).__name__}")
