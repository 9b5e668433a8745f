"""Files that are written: what goes wrong is told in a sentence, before the work if possible."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from polylat.errors import OptionError

__all__ = ["ending", "named", "target", "write", "writing"]


def named(path: str | Path) -> Path:
    """The path of a file.

    Raises
    ------
    OptionError
        It is no path.
    """
    if not isinstance(path, (str, os.PathLike)):
        raise OptionError(f"{path!r} is not the name of a file", mend="give a string or a Path")
    return Path(path)


def ending(path: str | Path, known: Sequence[str], what: str) -> str:
    """What a name ends in, in small letters.

    Parameters
    ----------
    path
        The name.
    known
        What it may end in: the first is suggested.
    what
        What is to be written, in the plural.

    Raises
    ------
    OptionError
        It ends otherwise.

    Examples
    --------
    >>> ending("a.SVG", [".png", ".svg"], "pictures")
    '.svg'
    """
    path = named(path)
    found = path.suffix.lower()
    if found not in known:
        *others, last = known
        told = f"{', '.join(others)} or {last}" if others else last
        raise OptionError(
            f"{path}: {what} are written as {told}",
            mend=f"name it {path.stem or 'result'}{known[0]}",
        )
    return found


def target(path: str | Path, known: Sequence[str], what: str) -> str:
    """What a name ends in, as `ending` has it, where there may be such a file.

    Raises
    ------
    OptionError
        It ends otherwise, or its folder does not exist, or it is a folder itself.
    """
    found = ending(path, known, what)
    path = Path(path)
    if not path.parent.is_dir():
        raise OptionError(
            f"{path}: there is no folder {path.parent}", mend="make it, or name another"
        )
    if path.is_dir():
        raise OptionError(f"{path}: this is a folder", mend="name a file")
    return found


@contextmanager
def writing(path: str | Path) -> Iterator[None]:
    """Say what is wrong if a file cannot be written.

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
            mend="give a file in a folder that can be written to",
        ) from error


def write(path: str | Path, text: str) -> Path:
    """Write a text.

    Raises
    ------
    OptionError
        The file cannot be written.
    """
    path = named(path)
    with writing(path):
        path.write_text(text, encoding="utf-8")
    return path
