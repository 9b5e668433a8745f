"""Run functions in this process, in several processes, or on a Dask cluster, with joblib."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from typing import Any, TypeVar

from polylat.errors import MissingExtraError, OptionError, WorkerError
from polylat.locks import SharedLock

__all__ = ["Run", "runner"]

T = TypeVar("T")
Run = Callable[[Callable[..., Any], Sequence[tuple[Any, ...]]], Iterator[tuple[int, Any]]]
"""Calls a function with several tuples of arguments; yields (index, result) as they finish."""

PATIENCE = 10
"""Seconds that a scheduler may take to answer."""
_MOST_JOBS = 10_000
"""Largest number of processes."""
_ADDRESS = "give one such as tcp://host:8786"
_ATTEMPTS = 3
"""How often calls are repeated whose workers have died."""
_DEATHS = ("BrokenProcessPool", "CommClosedError", "FutureCancelledError", "KilledWorker")
"""Names of the errors of dead workers, in `concurrent.futures` and in distributed."""


@contextmanager
def runner(n_jobs: int | None, dask: Any) -> Iterator[Run]:
    """Provide a function that runs functions: here, in processes, or on a Dask cluster.

    Parameters
    ----------
    n_jobs
        Number of processes, -1: one per core; None: as ``joblib.parallel_config`` says, or else
        one.
    dask
        Address of a Dask scheduler, or a ``distributed.Client``; None: no cluster.

    Yields
    ------
    Run
        Runs functions. It raises `WorkerError` if too many workers have died.

    Raises
    ------
    OptionError
        `n_jobs` or `dask` cannot be used.
    MissingExtraError
        joblib or distributed is not installed.
    WorkerError
        The scheduler cannot be reached.
    """
    if n_jobs is not None and (n_jobs == 0 or type(n_jobs) is not int):
        raise OptionError(f"n_jobs must be a whole number other than 0, not {n_jobs!r}")
    if n_jobs is not None and abs(n_jobs) > _MOST_JOBS:
        raise OptionError(f"n_jobs must be at most {_MOST_JOBS}", fix="give -1: one per core")
    if isinstance(dask, str) and not dask.strip():
        raise OptionError("the address of the Dask scheduler is empty", fix=_ADDRESS)
    if dask is None and (n_jobs == 1 or (n_jobs is None and not _configured())):
        yield _run_here
        return
    joblib = _import("joblib", "explore" if dask is None else "dask")
    with ExitStack() as stack:
        stack.enter_context(_SILENT_KILLS)
        if dask is not None:
            distributed = _import("distributed", "dask")
            client = dask
            if not isinstance(dask, distributed.Client):
                client = stack.enter_context(_connected(distributed, dask))
            stack.enter_context(joblib.parallel_config(backend="dask", client=client))

        def run(
            function: Callable[..., Any], arguments: Sequence[tuple[Any, ...]]
        ) -> Iterator[tuple[int, Any]]:
            return _run_with_joblib(joblib, n_jobs, function, arguments)

        yield run


def _connected(distributed: Any, address: Any) -> Any:
    """Return a client of a scheduler.

    Connect in a separate thread: distributed waits forever for a server that accepts the
    connection and never answers. The answer of another kind of server may cause any error.
    """
    if not isinstance(address, str) and not hasattr(address, "scheduler_address"):
        raise OptionError(
            f"dask must be an address or a distributed.Client, not a {type(address).__name__}",
            fix=_ADDRESS,
        )
    client: Future[Any] = Future()

    def connect() -> None:
        try:
            client.set_result(distributed.Client(address, timeout=PATIENCE))
        except BaseException as error:  # noqa: BLE001 - raised again by `result`
            client.set_exception(error)

    threading.Thread(target=connect, daemon=True).start()
    try:
        return client.result(timeout=PATIENCE + 2)
    except Exception as error:
        why = "the server is no Dask scheduler"
        if isinstance(error, (OSError, TypeError, ValueError)):
            why = str(error) or "no answer"
        raise WorkerError(
            f"no Dask scheduler answers at {address}: {why}",
            fix="start one with `dask scheduler`, and workers with `dask worker ADDRESS`",
        ) from error


def _run_here(
    function: Callable[..., T], arguments: Sequence[tuple[Any, ...]]
) -> Iterator[tuple[int, T]]:
    for number, some in enumerate(arguments):
        yield number, function(*some)


def _run_with_joblib(
    joblib: Any, n_jobs: int | None, function: Callable[..., Any], arguments: Sequence[Any]
) -> Iterator[tuple[int, Any]]:
    """Run calls in processes; repeat those whose workers have died."""
    left = dict(enumerate(arguments))
    for attempt in range(_ATTEMPTS):
        calls = [joblib.delayed(_numbered)(number, function, some) for number, some in left.items()]
        try:
            pool = joblib.Parallel(
                n_jobs=n_jobs, return_as="generator_unordered", batch_size=1, pre_dispatch="all"
            )
            with _workers_ignore_interrupts():
                results = pool(calls)
            for number, result in results:
                yield number, result
                del left[number]
        except Exception as error:
            if not _died(error):
                raise
            if attempt + 1 == _ATTEMPTS:
                raise WorkerError(
                    "worker processes died repeatedly: killed, or out of memory",
                    fix="use fewer processes, or give them more memory",
                ) from error
        if not left:
            return


@contextmanager
def _workers_ignore_interrupts() -> Iterator[None]:
    """Let processes that are started in this context ignore Ctrl-C: the caller ends them.

    A terminal sends the signal to all processes. New processes inherit the set of blocked signals;
    the caller receives a pending signal at the end of the context.
    """
    if sys.platform == "win32":
        yield
        return
    from multiprocessing import resource_tracker

    # Python's tracker starts with the first process, and unblocks signals: start it now.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _Silence:
    """A hook for exceptions in threads, for as long as a runner uses it.

    It does not print exceptions in joblib's thread for processes that are killed on purpose: that
    thread may be about to start a call that has been canceled. Runners in several threads share it,
    and the last one removes it.
    """

    def __init__(self) -> None:
        self._lock = SharedLock()
        self._users = 0
        self._before = threading.excepthook

    def __enter__(self) -> None:
        with self._lock:
            if not self._users:
                self._before = threading.excepthook
                threading.excepthook = self._hook
            self._users += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._users -= 1
            if not self._users:
                threading.excepthook = self._before

    def _hook(self, args: threading.ExceptHookArgs) -> None:
        flags = getattr(args.thread, "executor_flags", None)
        if not getattr(flags, "kill_workers", False):
            self._before(args)


_SILENT_KILLS = _Silence()


def _numbered(number: int, function: Callable[..., T], arguments: tuple[Any, ...]) -> tuple[int, T]:
    return number, function(*arguments)


def _died(error: BaseException) -> bool:
    """Return whether an error means that workers have died."""
    return any(cls.__name__ in _DEATHS for cls in type(error).__mro__)


def _configured() -> bool:
    """Return whether the caller has chosen a backend or a number of jobs by ``parallel_config``."""
    joblib = sys.modules.get("joblib")
    if joblib is None:
        return False
    backend, jobs = joblib.parallel.get_active_backend()
    return type(backend).__name__ == "DaskDistributedBackend" or jobs not in (None, 1)


def _import(name: str, extra: str) -> Any:
    from importlib import import_module

    try:
        return import_module(name)
    except ImportError as error:
        raise MissingExtraError(
            f"{name} is not installed", fix=f"pip install 'polylat[{extra}]'"
        ) from error
