"""Write output files; errors are reported in a sentence, and before the work where possible."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from polylat.errors import OptionError

__all__ = ["ending", "named", "target", "write", "writing"]


def named(path: str | Path) -> Path:
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


def ending(path: str | Path, known: Sequence[str], what: str) -> str:
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
    >>> ending("a.SVG", [".png", ".svg"], "pictures")
    '.svg'
    """
    path = named(path)
    found = path.suffix.lower()
    if found not in known:
        *others, last = known
        allowed = f"{', '.join(others)} or {last}" if others else last
        raise OptionError(
            f"{path}: {what} are written as {allowed}",
            fix=f"name it {path.stem or 'result'}{known[0]}",
        )
    return found


def target(path: str | Path, known: Sequence[str], what: str) -> str:
    """Check that a file can be written under a name, and return its extension.

    Parameters
    ----------
    path, known, what
        As for `ending`.

    Returns
    -------
    str
        One of `known`.

    Raises
    ------
    OptionError
        The name has another extension, its folder does not exist, or it is a folder.
    """
    found = ending(path, known, what)
    path = Path(path)
    if not path.parent.is_dir():
        raise OptionError(
            f"{path}: there is no folder {path.parent}", fix="create it, or name another folder"
        )
    if path.is_dir():
        raise OptionError(f"{path}: this is a folder", fix="name a file")
    return found


@contextmanager
def writing(path: str | Path) -> Iterator[None]:
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


def write(path: str | Path, text: str) -> Path:
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
    path = named(path)
    with writing(path):
        path.write_text(text, encoding="utf-8")
    return path
