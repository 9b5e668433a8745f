"""Files that are written: what goes wrong is told in a sentence."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from polylat.errors import OptionError

__all__ = ["write", "writing"]


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
    path = Path(path)
    with writing(path):
        path.write_text(text, encoding="utf-8")
    return path
