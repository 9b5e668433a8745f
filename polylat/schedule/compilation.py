"""Compile numeric kernels with numba, and keep the machine code where a folder allows it.

numba's own cache refuses a function where no folder can be written to, fails on damaged files,
writes one index from several processes, and notices changes of a function's own file only. Here
every compiled function is a file of its own. Its name depends on all that the code depends on, so
that code that does not fit is never found. It begins with a checksum, so that a damaged file is
compiled anew. Where no folder can be written to, code is kept in memory.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import re
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from types import FunctionType
from typing import Any
from uuid import uuid4

import numba
from numba.core import config as _config
from numba.core.caching import NullCache
from numba.core.compiler import CompileResult
from numba.core.dispatcher import Dispatcher
from numba.core.serialize import dumps as _dumps

__all__ = ["code_folders", "compiled", "kept_code"]

# numba's types are incomplete.
_settings: Any = _config
_rebuilt: Any = CompileResult._rebuild
_serialized: Any = _dumps

_IMPORT = re.compile(rb"^from (polylat[\w.]*) import", re.MULTILINE)
_DIGEST = hashlib.sha256().digest_size


def compiled(function: Callable[..., Any] | None = None, **options: Any) -> Any:
    """Compile a function of a module when it is first called.

    Parameters
    ----------
    function
        The function; None: return a decorator with the options.
    **options
        Options of ``numba.njit``.

    Returns
    -------
    Callable
        The compiled function, which releases the interpreter's lock. Its attribute ``py_func`` is
        the function as it was.
    """
    if function is None:
        return lambda given: compiled(given, **options)
    dispatcher: Any = numba.njit(nogil=True, **options)(function)
    if hasattr(dispatcher, "_cache"):  # not so with NUMBA_DISABLE_JIT
        # numba looks here before it compiles, and hands over what it has compiled.
        dispatcher._cache = _Code(dispatcher.py_func)
    return dispatcher


def code_folders(beside: Path) -> list[Path]:
    """Return the folders in which compiled code is sought, and kept in the first writable one.

    Parameters
    ----------
    beside
        The source file.

    Returns
    -------
    list of Path
        The folder that the environment variable ``NUMBA_CACHE_DIR`` names, the one beside the
        source file, and the user's folder for caches, those that exist or can be made.
    """
    given = _settings.CACHE_DIR
    folders = [Path(given, "polylat")] if given else []
    folders.append(beside.parent / "__pycache__")
    with suppress(RuntimeError):  # no home
        folders.append(_user_caches() / "polylat")
    # A relative folder would be another one wherever the process starts.
    return [folder for folder in folders if folder.is_absolute()]


def _user_caches() -> Path:
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


def kept_code() -> tuple[int, int]:
    """Count the compiled functions of this process, and those that no folder keeps.

    Returns
    -------
    (int, int)
        Number of compiled functions, and how many of them are in memory only.
    """
    found: set[Any] = {
        value
        for name, module in list(sys.modules.items())
        if name.startswith("polylat.")
        for value in list(vars(module).values())
        if isinstance(value, Dispatcher) and isinstance(getattr(value, "_cache", None), _Code)
    }
    return sum(len(f.signatures) for f in found), sum(f._cache.in_memory for f in found)


class _Code(NullCache):
    """The kept machine code of a function, by the types of its arguments.

    Parameters
    ----------
    function
        The function.
    """

    def __init__(self, function: FunctionType) -> None:
        self.in_memory = 0
        """Number of compiled versions that no folder keeps."""
        self._file = Path(function.__code__.co_filename)
        self._name = f"{function.__module__.rpartition('.')[2]}.{function.__qualname__}"
        stamp = None if function.__closure__ else _source_stamp(function.__module__)
        self._stamp = stamp and f"{_environment()}-{stamp}"

    @property
    def cache_path(self) -> str | None:
        """The folder in which code is sought first; numba's statistics show it."""
        folders = code_folders(self._file)
        return str(folders[0]) if folders else None

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Return the kept code for types of arguments; None: compile it."""
        if self._stamp is None:
            return None
        target_context.refresh()
        name = self._file_name(sig, target_context.codegen())
        for folder in code_folders(self._file):
            payload = _read(folder / name)
            if payload is not None:
                return _rebuilt(target_context, *pickle.loads(payload))  # noqa: S301
        return None

    def save_overload(self, sig: Any, cres: Any) -> None:
        """Keep compiled code in the first folder that can be written to."""
        cachable = not cres.library.has_dynamic_globals and not cres.lifted
        if self._stamp is not None and cachable:
            payload = _serialized(cres._reduce())
            name = self._file_name(sig, cres.codegen)
            for folder in code_folders(self._file):
                if _write(folder / name, payload):
                    self._remove_old(folder)
                    return
        self.in_memory += 1

    def _file_name(self, sig: Any, codegen: Any) -> str:
        key = hashlib.sha256(repr((sig, codegen.magic_tuple())).encode()).hexdigest()[:16]
        return f"{self._name}-{self._stamp}-{key}.nbc"

    def _remove_old(self, folder: Path) -> None:
        """Remove the code of former versions of the source file beside it."""
        if folder.parent == self._file.parent:
            for path in folder.glob(f"{self._name}-{_environment()}-*.nbc"):
                if f"-{self._stamp}-" not in path.name:
                    with suppress(OSError):
                        path.unlink()


@cache
def _environment() -> str:
    """Return a digest of the versions that machine code depends on."""
    versions = (sys.implementation.cache_tag, numba.__version__)
    return hashlib.sha256(repr(versions).encode()).hexdigest()[:8]


@cache
def _source_stamp(module: str) -> str | None:
    """Return a digest of a module and of those that it imports; None if one has no source."""
    found = sys.modules[module]
    try:
        source = found.__loader__.get_data(found.__file__)  # type: ignore[union-attr]
    except (AttributeError, OSError):
        return None
    parts = [hashlib.sha256(source).hexdigest()]
    for name in sorted(set(_IMPORT.findall(source))):
        if name.decode() in sys.modules:
            stamp = _source_stamp(name.decode())
            if stamp is None:
                return None
            parts.append(stamp)
    return hashlib.sha256("".join(parts).encode()).hexdigest()[:16]


def _read(path: Path) -> bytes | None:
    """Return what a file keeps; None if there is none, or it is damaged."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    payload = content[_DIGEST:]
    return payload if hashlib.sha256(payload).digest() == content[:_DIGEST] else None


def _write(path: Path, payload: bytes) -> bool:
    """Write a file, complete or not at all, and return whether that was possible."""
    new = path.with_name(f"{path.name}.{uuid4().hex[:16]}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        new.write_bytes(hashlib.sha256(payload).digest() + payload)
        new.replace(path)
    except OSError:
        with suppress(OSError):
            new.unlink()
        return False
    return True
