"""A cache of functions that return arrays, bounded by the memory that it takes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from functools import update_wrapper
from typing import Any, Generic, NamedTuple, ParamSpec

from polylat.locks import SharedLock
from polylat.schedule.arrays import Ints

__all__ = ["ArrayCache", "CacheInfo", "array_cache"]

P = ParamSpec("P")

_OVERHEAD = 500
"""Bytes of an entry besides its array and the texts of its key."""


class CacheInfo(NamedTuple):
    """What a cache contains, and what it may contain at most.

    Parameters
    ----------
    hits, misses
        Number of calls whose result was kept, and of the others.
    entries, size
        Number of results, and their bytes.
    most
        Largest number of bytes.
    """

    hits: int
    misses: int
    entries: int
    size: int
    most: int


class ArrayCache(Generic[P]):
    """A function whose latest results are kept, within a number of bytes.

    Parameters
    ----------
    function
        A function of hashable values that returns a read-only array.
    most
        Largest number of bytes. Results of more than a quarter of it are not kept.
    """

    def __init__(self, function: Callable[P, Ints], most: int) -> None:
        self._function = function
        self._most = most
        self._lock = SharedLock()
        self.cache_clear()
        update_wrapper(self, function)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Ints:
        """Return the kept or computed result."""
        key = (*args, *sorted(kwargs.items()))
        with self._lock:
            if key in self._kept:
                self._hits += 1
                self._kept.move_to_end(key)
                return self._kept[key][0]
        # Computed without the lock: two threads may do the same.
        found = self._function(*args, **kwargs)
        size = found.nbytes + sum(len(part) for part in key if isinstance(part, str)) + _OVERHEAD
        with self._lock:
            self._misses += 1
            if 4 * size <= self._most and key not in self._kept:
                self._kept[key] = found, size
                self._size += size
                while self._size > self._most:
                    _, (_, freed) = self._kept.popitem(last=False)
                    self._size -= freed
        return found

    def cache_clear(self) -> None:
        """Forget all results."""
        with self._lock:
            self._kept: OrderedDict[Any, tuple[Ints, int]] = OrderedDict()
            self._size = self._hits = self._misses = 0

    def cache_info(self) -> CacheInfo:
        """Return what the cache contains.

        Returns
        -------
        CacheInfo
            Numbers of hits, misses and entries, and bytes now and at most.
        """
        with self._lock:
            return CacheInfo(self._hits, self._misses, len(self._kept), self._size, self._most)


def array_cache(most: int) -> Callable[[Callable[P, Ints]], ArrayCache[P]]:
    """Return a decorator that keeps the latest results of a function.

    Parameters
    ----------
    most
        Largest number of bytes.

    Returns
    -------
    Callable
        The decorator.

    Examples
    --------
    >>> import numpy as np
    >>> @array_cache(most=8_000)
    ... def squares(count):
    ...     return np.arange(count) ** 2
    >>> squares(3).tolist(), squares(3).tolist(), squares.cache_info().hits
    ([0, 1, 4], [0, 1, 4], 1)
    """
    return lambda function: ArrayCache(function, most)
