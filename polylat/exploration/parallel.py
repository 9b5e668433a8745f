"""Parts of an exploration on one core, several, or several machines: joblib's work."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from typing import Any, TypeVar

from polylat.errors import MissingExtraError, OptionError, WorkerError

__all__ = ["Run", "runner"]

T = TypeVar("T")
Run = Callable[[Callable[..., Any], Sequence[tuple[Any, ...]]], Iterator[tuple[int, Any]]]
"""Calls a function with each of several tuples of arguments; yields numbers and results."""

PATIENCE = 10
"""So many seconds a scheduler may take to answer."""
_MOST_JOBS = 10_000
_ADDRESS = "give one such as tcp://host:8786"
_ATTEMPTS = 3
_DEATHS = ("BrokenProcessPool", "CommClosedError", "FutureCancelledError", "KilledWorker")
"""Of joblib's processes (concurrent.futures), and of distributed."""


@contextmanager
def runner(n_jobs: int | None, dask: Any) -> Iterator[Run]:
    """What runs functions: here, in processes, or on a Dask cluster.

    Parameters
    ----------
    n_jobs
        Number of processes, -1: one for each core; None: what ``joblib.parallel_config`` says,
        or else one.
    dask
        The address of a Dask scheduler, or a ``distributed.Client``; None: no cluster.

    Raises
    ------
    MissingExtraError
        joblib or distributed is not installed.
    WorkerError
        The scheduler cannot be reached; or, from what is yielded, too many workers have died.
    """
    if n_jobs is not None and (n_jobs == 0 or type(n_jobs) is not int):
        raise OptionError(f"n_jobs must be a whole number other than 0, not {n_jobs!r}")
    if n_jobs is not None and abs(n_jobs) > _MOST_JOBS:
        raise OptionError(f"n_jobs must be at most {_MOST_JOBS}", mend="give -1: one for each core")
    if isinstance(dask, str) and not dask.strip():
        raise OptionError("the address of the Dask scheduler is empty", mend=_ADDRESS)
    if dask is None and (n_jobs == 1 or (n_jobs is None and not _configured())):
        yield _here
        return
    joblib = _import("joblib", "explore" if dask is None else "dask")
    with ExitStack() as stack:
        stack.enter_context(_killed_quietly())
        if dask is not None:
            distributed = _import("distributed", "dask")
            client = dask
            if not isinstance(dask, distributed.Client):
                client = stack.enter_context(_connected(distributed, dask))
            stack.enter_context(joblib.parallel_config(backend="dask", client=client))

        def run(
            function: Callable[..., Any], arguments: Sequence[tuple[Any, ...]]
        ) -> Iterator[tuple[int, Any]]:
            return _elsewhere(joblib, n_jobs, function, arguments)

        yield run


def _connected(distributed: Any, address: Any) -> Any:
    """A client of a scheduler.

    It connects in a thread of its own: who accepts and then says nothing is waited for without
    end. What is no scheduler may answer anything, of which any error may come.
    """
    if not isinstance(address, str) and not hasattr(address, "scheduler_address"):
        raise OptionError(
            f"dask must be an address or a distributed.Client, not a {type(address).__name__}",
            mend=_ADDRESS,
        )
    client: Future[Any] = Future()

    def connect() -> None:
        try:
            client.set_result(distributed.Client(address, timeout=PATIENCE))
        except BaseException as error:  # noqa: BLE001 - it is raised where it is waited for
            client.set_exception(error)

    threading.Thread(target=connect, daemon=True).start()
    try:
        return client.result(timeout=PATIENCE + 2)
    except Exception as error:
        told = isinstance(error, (OSError, TypeError, ValueError))
        why = (str(error) or "it says nothing") if told else "what answers is something else"
        raise WorkerError(
            f"no Dask scheduler answers at {address}: {why}",
            mend="start one with `dask scheduler`, and workers with `dask worker ADDRESS`",
        ) from error


def _here(
    function: Callable[..., T], arguments: Sequence[tuple[Any, ...]]
) -> Iterator[tuple[int, T]]:
    for number, some in enumerate(arguments):
        yield number, function(*some)


def _elsewhere(
    joblib: Any, n_jobs: int | None, function: Callable[..., Any], arguments: Sequence[Any]
) -> Iterator[tuple[int, Any]]:
    """Where workers die, what they have not finished is done by others."""
    left = dict(enumerate(arguments))
    for attempt in range(_ATTEMPTS):
        calls = [joblib.delayed(_numbered)(number, function, some) for number, some in left.items()]
        try:
            pool = joblib.Parallel(
                n_jobs=n_jobs, return_as="generator_unordered", batch_size=1, pre_dispatch="all"
            )
            with _workers_not_interrupted():
                results = pool(calls)
            for number, result in results:
                yield number, result
                del left[number]
        except Exception as error:
            if not _died(error):
                raise
            if attempt + 1 == _ATTEMPTS:
                raise WorkerError(
                    "worker processes died again and again: killed, or out of memory",
                    mend="use fewer of them, or give them more memory",
                ) from error
        if not left:
            return


@contextmanager
def _workers_not_interrupted() -> Iterator[None]:
    """Processes that are started herein do not hear Ctrl-C: their caller does, and ends them.

    A terminal sends the signal to all of them. They inherit what is blocked; to the caller a
    signal comes when this is left.
    """
    if sys.platform == "win32":
        yield
        return
    from multiprocessing import resource_tracker

    # Python's tracker starts with the first process, and ends what is blocked: start it now.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _killed_quietly() -> Iterator[None]:
    """Where processes are killed on purpose, what joblib's thread for them says is not printed.

    It may just be looking for work that has been withdrawn.
    """
    before = threading.excepthook

    def hook(args: threading.ExceptHookArgs) -> None:
        flags = getattr(args.thread, "executor_flags", None)
        if not getattr(flags, "kill_workers", False):
            before(args)

    threading.excepthook = hook
    try:
        yield
    finally:
        threading.excepthook = before


def _numbered(number: int, function: Callable[..., T], arguments: tuple[Any, ...]) -> tuple[int, T]:
    return number, function(*arguments)


def _died(error: BaseException) -> bool:
    """Whether an error says that workers have died."""
    return any(cls.__name__ in _DEATHS for cls in type(error).__mro__)


def _configured() -> bool:
    """Whether the caller has chosen a backend or a number of jobs with ``parallel_config``."""
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
            f"{name} is not installed", mend=f"pip install 'polylat[{extra}]'"
        ) from error
