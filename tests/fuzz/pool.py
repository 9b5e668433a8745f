"""Worker processes with a limit of time and of memory for each mutant."""

from __future__ import annotations

import multiprocessing
import os
import resource
import signal
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from .mutations import mutant
from .stages import Outcome, run

_CONTEXT = multiprocessing.get_context("fork")
_AT_ONCE = 200
"""Mutants that a worker runs before a new one takes its place, with a fresh memory."""


@dataclass(frozen=True)
class Limits:
    """What a mutant may take."""

    seconds: float = 30.0
    """CPU time, whatever else the machine does; the worker is killed then."""
    idle: float = 10.0
    """Wall time per second of CPU time: beyond it, a worker that waits for something is killed."""
    megabytes: int = 4_000
    """Address space of a worker."""


@dataclass
class _Worker:
    process: BaseProcess
    pipe: Connection
    left: int
    stage: Any
    """The name of the stage that runs, in shared memory."""
    seed: int | None = None
    since: float = 0.0


def outcomes(seeds: range, jobs: int, limits: Limits) -> Iterator[Outcome]:
    """Run the mutants of many seeds, in any order; a hang or a dead worker is a failure."""
    waiting = iter(seeds)
    workers: list[_Worker] = []
    try:
        for _ in range(min(jobs, len(seeds))):
            worker = _start(limits)
            if _give(worker, waiting):
                workers.append(worker)
        while workers:
            ready = wait([worker.pipe for worker in workers], timeout=1.0)
            for k, worker in enumerate(workers):
                found = _result(worker, worker.pipe in ready, limits)
                if found is None:
                    continue
                yield found
                if not worker.process.is_alive() or worker.left == 0:
                    _stop(worker)
                    workers[k] = _start(limits)
                if not _give(workers[k], waiting):
                    _stop(workers[k])
            workers = [worker for worker in workers if worker.seed is not None]
    finally:
        for worker in workers:
            _stop(worker)


def _result(worker: _Worker, ready: bool, limits: Limits) -> Outcome | None:
    """Return what has become of a worker's mutant; None as long as it runs."""
    seed = worker.seed
    assert seed is not None
    spent = time.monotonic() - worker.since
    stage = worker.stage.value.decode()
    if ready:
        try:
            found: Outcome = worker.pipe.recv()
        except EOFError:
            worker.process.join(5)
            status = worker.process.exitcode
            if status == -signal.SIGPROF:
                return _lost(seed, f"{stage}: hang: more than {limits.seconds:g} s of CPU", spent)
            return _lost(seed, f"{stage}: died: exit status {status}", spent)
        worker.left -= 1
        return found
    if spent > limits.seconds * limits.idle:
        worker.process.kill()
        worker.process.join(5)
        return _lost(seed, f"{stage}: hang: more than {limits.seconds * limits.idle:g} s", spent)
    return None


def _lost(seed: int, why: str, seconds: float) -> Outcome:
    return Outcome(seed, failures=[why], seconds=seconds)


def _start(limits: Limits) -> _Worker:
    ours, theirs = _CONTEXT.Pipe()
    stage = _CONTEXT.Array("c", 64, lock=False)
    process = _CONTEXT.Process(target=_work, args=(theirs, stage, limits), daemon=True)
    process.start()
    theirs.close()
    return _Worker(process, ours, _AT_ONCE, stage)


def _give(worker: _Worker, seeds: Iterator[int]) -> bool:
    worker.seed = next(seeds, None)
    worker.since = time.monotonic()
    if worker.seed is None:
        return False
    worker.pipe.send(worker.seed)
    return True


def _stop(worker: _Worker) -> None:
    worker.process.kill()
    worker.process.join(5)
    worker.pipe.close()


def _work(pipe: Connection, stage: Any, limits: Limits) -> None:
    """Run the mutants of the seeds that arrive."""
    parent = os.getppid()
    size = limits.megabytes << 20
    resource.setrlimit(resource.RLIMIT_AS, (size, size))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

    def begins(name: str) -> None:
        stage.value = name.encode()

    with tempfile.TemporaryDirectory() as folder:
        while True:
            while not pipe.poll(5):
                if os.getppid() != parent:  # it has been killed, and another worker keeps the pipe
                    return
            seed = pipe.recv()
            stage.value = b"mutation"
            signal.setitimer(signal.ITIMER_PROF, limits.seconds)
            found = run(mutant(seed), Path(folder), begins)
            signal.setitimer(signal.ITIMER_PROF, 0)
            pipe.send(found)
