"""A file that processes append to, one at a time."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path

__all__ = ["append", "locked"]

_POLL = 0.02
"""Seconds between two attempts to lock a file."""

if sys.platform == "win32":
    import msvcrt

    _PLACE = 1 << 62
    """The locked byte: a place behind everything that is read."""

    def _try_lock(file: FileIO) -> None:
        file.seek(_PLACE)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _try_lock(file: FileIO) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


@contextmanager
def locked(path: Path, patience: float) -> Iterator[FileIO]:
    """Open a file, which is made if it does not exist, and lock it.

    Parameters
    ----------
    path
        The file.
    patience
        Seconds to wait for another process that has locked it.

    Yields
    ------
    FileIO
        The open file, without a buffer.

    Raises
    ------
    TimeoutError
        Another process keeps it locked.
    OSError
        It cannot be opened.

    Notes
    -----
    The operating system unlocks a file when it is closed, also that of a process that was killed,
    so that no lock outlives its owner; NFS and SMB pass locks on to the server. A file system
    without locks is used without: rows have checksums.
    """
    deadline = time.monotonic() + patience
    while True:
        # Neither created in a second step nor truncated: another process may have made it.
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666)
        with FileIO(descriptor, "r+") as file:
            if _lock(file, deadline) and _is_at(file, path):
                yield file
                return
        if time.monotonic() > deadline:
            raise TimeoutError("another process has locked it")


def _lock(file: FileIO, deadline: float) -> bool:
    """Lock a file, or return False at the deadline."""
    while True:
        try:
            _try_lock(file)
        except (BlockingIOError, PermissionError):
            if time.monotonic() > deadline:
                return False
            time.sleep(_POLL)
        except OSError:  # there are no locks here
            return True
        else:
            return True


def _is_at(file: FileIO, path: Path) -> bool:
    """Return whether a path still names an open file: it may have been replaced meanwhile."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def append(file: FileIO, content: bytes) -> None:
    """Write to the end of a file, all or nothing.

    Parameters
    ----------
    file
        The locked file.
    content
        What is written, in lines.

    Raises
    ------
    OSError
        It cannot be written, for example because the disk is full.
    """
    end = file.seek(0, os.SEEK_END)
    # A process that was killed may have left an incomplete line.
    if end and content:
        file.seek(end - 1)
        content = content if file.read(1) == b"\n" else b"\n" + content
    left = memoryview(content)
    try:
        while left:
            left = left[file.write(left) :]
        os.fsync(file.fileno())
    except BaseException as error:
        # Ctrl-C while the disk is slow: the file has all of it, and the system writes it in time.
        if left or isinstance(error, OSError):
            file.truncate(end)
        raise
