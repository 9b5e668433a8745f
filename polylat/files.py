"""Write output files; errors are reported in a sentence, and before the work where possible."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from polylat.errors import OptionError

__all__ = ["as_path", "check_target", "extension", "report_write_errors", "write_text"]


def as_path(path: str | Path) -> Path:
    """Convert a file name to a path.

    Parameters
    ----------
    path
        The file name.

    Returns
    -------
    Path
        The path.

    Raises
    ------
    OptionError
        `path` is neither a string nor a path.
    """
    if not isinstance(path, (str, os.PathLike)):
        raise OptionError(f"{path!r} is not the name of a file", fix="give a string or a Path")
    return Path(path)


def extension(path: str | Path, known: Sequence[str], what: str) -> str:
    """Return the extension of a file name, in lower case.

    Parameters
    ----------
    path
        The file name.
    known
        The allowed extensions; the first one is suggested.
    what
        Description of the contents for messages, in the plural.

    Returns
    -------
    str
        One of `known`.

    Raises
    ------
    OptionError
        The name has another extension.

    Examples
    --------
    >>> extension("a.SVG", [".png", ".svg"], "pictures")
    '.svg'
    """
    path = as_path(path)
    found = path.suffix.lower()
    if found not in known:
        *others, last = known
        allowed = f"{', '.join(others)} or {last}" if others else last
        raise OptionError(
            f"{path}: {what} are written as {allowed}",
            fix=f"name it {path.stem or 'result'}{known[0]}",
        )
    return found


def check_target(path: str | Path, known: Sequence[str], what: str) -> str:
    """Check that a file can be written under a name, and return its extension.

    Parameters
    ----------
    path, known, what
        As for `extension`.

    Returns
    -------
    str
        One of `known`.

    Raises
    ------
    OptionError
        The name has another extension, its folder does not exist, or it is a folder.
    """
    found = extension(path, known, what)
    path = Path(path)
    if not path.parent.is_dir():
        raise OptionError(
            f"{path}: there is no folder {path.parent}", fix="create it, or name another folder"
        )
    if path.is_dir():
        raise OptionError(f"{path}: this is a folder", fix="name a file")
    return found


@contextmanager
def report_write_errors(path: str | Path) -> Iterator[None]:
    """Convert an operating-system error while writing a file to an `OptionError`.

    Parameters
    ----------
    path
        The file, for the message.

    Yields
    ------
    None
        Nothing; the body writes the file.

    Raises
    ------
    OptionError
        The file cannot be written.
    """
    try:
        yield
    except OSError as error:
        raise OptionError(
            f"cannot write {path}: {error.strerror or error}",
            fix="name a file in a writable folder",
        ) from error


def write_text(path: str | Path, text: str) -> Path:
    """Write a text to a file, in UTF-8.

    Parameters
    ----------
    path
        The file.
    text
        The text.

    Returns
    -------
    Path
        The path of the file.

    Raises
    ------
    OptionError
        The file cannot be written.
    """
    path = as_path(path)
    with report_write_errors(path):
        path.write_text(text, encoding="utf-8")
    return path
