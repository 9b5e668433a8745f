"""The file of results: finished parts, from which an interrupted exploration continues."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path

from polylat.errors import StoreError
from polylat.exploration.evaluate import Batch
from polylat.exploration.locked_file import append, locked
from polylat.exploration.result_rows import FORMAT, header, read_rows, row_text

__all__ = ["Store"]

_TITLE = b"polylat: finished results of an exploration\n"
_FEW = 8
"""Bytes of the title by which an incomplete file is recognized."""
_SQLITE = b"SQLite format 3\0"
_APPLICATION = b"plat"
"""Bytes 68 to 71 of the databases that earlier versions wrote."""

PATIENCE = 30.0
"""Seconds to wait for another process that has locked the file, for milliseconds as a rule."""

_ROOM = {errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)}
_RIGHTS = {errno.EACCES, errno.EPERM, errno.EROFS}


class Store:
    """A file of results, to which every finished part is written.

    Parameters
    ----------
    path
        The file; `read` makes it if it does not exist.
    key
        Fingerprint of the exploration: its input, choices and objectives.
    parts
        Number of parts of the exploration.
    is_result
        Whether results can be those of the part with a number.

    Notes
    -----
    A file is a title, a header and a row for each part, in lines with checksums. So a damaged byte
    costs one row at most, and a truncated file the last one. Several processes may use a file: each
    change is made under a lock.
    """

    def __init__(
        self, path: Path, key: str, parts: int, is_result: Callable[[int, Batch], bool]
    ) -> None:
        self.path = path
        self.parts = parts
        self.remark = ""
        """What was done about a damaged file; otherwise empty."""
        self.finished: dict[int, Batch] = {}
        """Number of a part → its stored results."""
        self.is_read = False
        """Whether `finished` has all results of the file."""
        self._key = key
        self._is_result = is_result
        self._bad: list[int] = []
        self._count = 0
        self._head = _TITLE + header(key, parts)

    def read(self) -> None:
        """Read all results, or make the file.

        The sound rows of a damaged file are copied to a new file, and the damaged one is kept
        next to it; `remark` says so.

        Raises
        ------
        StoreError
            The file is not a file of results, belongs to another exploration or version, or cannot
            be read or written.
        """
        with self._locked("open") as file:
            # Opened for writing: that it cannot be written is better reported before the work.
            content = file.readall()
            if len(content) < len(self._head) and self._head.startswith(content):
                if 0 < len(content) < _FEW:
                    raise self._foreign("is no file of results")
                file.truncate(0)
                append(file, self._head)
                content = self._head
        if not self._take(content):
            with self._locked("repair") as file:
                # Another process may have added a row, or repaired it.
                content = file.readall()
                if not self._take(content):
                    self._repair(content)
        self.is_read = True

    def save(self, part: int, batch: Batch) -> None:
        """Write a part.

        Parameters
        ----------
        part
            The number of the part.
        batch
            Its results.

        Raises
        ------
        StoreError
            The part cannot be written; the parts that were written before are kept.
        """
        row = row_text(self._key, part, batch)
        with self._locked("write") as file:
            head = file.read(len(self._head))
            if head and head != self._head:
                raise self._foreign("was replaced by another file while it was in use")
            append(file, row if head else self._head + row)

    def _take(self, content: bytes) -> bool:
        """Add the results of a file, and return whether all of it is sound."""
        title, rest = content[: len(_TITLE)], content[len(_TITLE) :]
        rows = list(read_rows(content if title != _TITLE else b"\n" + rest))
        known = [row for _, row in rows if row is not None]
        if not known and title != _TITLE:
            if content.startswith(_SQLITE):
                if content[68:72] != _APPLICATION:
                    raise self._foreign("is a database of something else")
                raise self._foreign("has the results of another version of polylat")
            raise self._foreign("is no file of results")
        if any(row.version != FORMAT for row in known):
            raise self._foreign(
                "has the results of another version of polylat, whose model differs"
            )
        if any(row.key != self._key for row in known):
            raise StoreError(
                f"{self.path} has the results of another exploration: another input, other"
                " choices or other objectives",
                fix="give another name, or the input and options of that exploration",
            )
        if not known:
            raise StoreError(
                f"{self.path} is damaged: nothing can be read from it",
                fix="remove it, or give another name",
            )
        self._bad = []
        for line, row in rows:
            if row is None:
                self._bad.append(line)
            elif row.part is not None and row.part not in self.finished:
                batch = row.batch
                if batch is None or not 0 <= row.part < self.parts:
                    self._bad.append(line)
                elif self._is_result(row.part, batch):
                    self.finished[row.part] = batch
                else:
                    self._bad.append(line)
        self._count = len(rows)
        return not self._bad and content.startswith(self._head)

    def _repair(self, content: bytes) -> None:
        """Replace the file by one that has its sound rows; the file is locked."""
        old = _unused(self.path)
        new = self.path.with_name(f"{self.path.name}.new")
        try:
            rows = [row_text(self._key, part, batch) for part, batch in self.finished.items()]
            with new.open("wb") as file:
                file.write(b"".join([self._head, *rows]))
                file.flush()
                os.fsync(file.fileno())
            old.write_bytes(content)
            new.replace(self.path)
        except OSError as error:
            raise self._error("repair", error) from error
        finally:
            with suppress(OSError):
                new.unlink()
        count = sum(len(batch.outcomes) for batch in self.finished.values())
        where = f", the first in line {self._bad[0]:,}" if self._bad else ""
        self.remark = (
            f"{self.path} was damaged: {len(self._bad):,} of {self._count:,} rows are unreadable"
            f"{where}; {count:,} results are kept, the others are evaluated again; the damaged file"
            f" is now {old.name}"
        )

    def _foreign(self, why: str) -> StoreError:
        return StoreError(f"{self.path} {why}, and is not changed", fix="give another name")

    @contextmanager
    def _locked(self, what: str) -> Iterator[FileIO]:
        """Open and lock the file; turn errors of the operating system into `StoreError`."""
        try:
            # A pipe would wait for its other end.
            with suppress(FileNotFoundError):
                if not stat.S_ISREG(self.path.stat().st_mode):
                    raise StoreError(
                        f"cannot {what} {self.path}: it is no regular file",
                        fix="give a regular file, no device or folder",
                    )
            with locked(self.path, PATIENCE) as file:
                yield file
        except StoreError:
            raise
        except (OSError, ValueError) as error:
            raise self._error(what, error) from error

    def _error(self, what: str, error: OSError | ValueError) -> StoreError:
        fix = "give a file in a folder that exists and can be written to"
        number = error.errno if isinstance(error, OSError) else None
        if isinstance(error, TimeoutError):
            fix = "wait for the other process, or give another name"
        elif number in _ROOM:
            fix = "make room on the disk and run it again: it continues from there"
        elif number in _RIGHTS:
            fix = "make the file and its folder writable, or give another name"
        elif number == errno.ENAMETOOLONG:
            fix = "give a shorter name"
        text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        return StoreError(f"cannot {what} {self.path}: {text}", fix=fix)


def _unused(path: Path) -> Path:
    """Return a name for a damaged file, which does not exist yet."""
    number = 1
    while True:
        name = path.with_name(f"{path.name}.damaged{'' if number == 1 else f'.{number}'}")
        if not name.exists():
            return name
        number += 1
