"""Locks of what all threads of a process share."""

from __future__ import annotations

import os
import threading
from types import TracebackType

__all__ = ["SharedLock"]


class SharedLock:
    """A lock that a forked process has as its own.

    The child of a fork has the calling thread only. A lock that another thread held would stay
    locked in the child forever, so the child begins with a lock that is free.

    Examples
    --------
    >>> with SharedLock() as lock:
    ...     lock.locked()
    True
    """

    def __init__(self) -> None:
        self._renew()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._renew)

    def _renew(self) -> None:
        self._lock = threading.Lock()

    def locked(self) -> bool:
        """Return whether a thread holds the lock.

        Returns
        -------
        bool
            Whether one does.
        """
        return self._lock.locked()

    def __enter__(self) -> SharedLock:
        self._lock.acquire()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._lock.release()
