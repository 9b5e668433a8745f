"""Explorations that end early: interrupted, out of workers, out of disk, with a damaged file."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import polylat
from builders import EXAMPLE, ROOT
from polylat import Exploration, InterruptedExplorationError, MissingExtraError, Spec
from polylat.errors import OptionError, StoreError, WorkerError
from polylat.exploration import evaluate, parallel, search, store
from polylat.exploration.evaluate import Batch
from polylat.exploration.parallel import runner

Data = dict[str, Any]
OPTIONS: Data = {"granularity": "tile", "slots": range(1, 9), "tiles": {"m#1": [1, 2, 4, 8]}}
"""256 variants."""


@pytest.fixture
def spec() -> Spec:
    return polylat.load(*EXAMPLE)


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "_MOST_VARIANTS", 8)


@pytest.fixture
def whole(spec: Spec) -> Exploration:
    return polylat.explore(spec, **OPTIONS)


def after(parts: int, error: BaseException) -> Any:
    """`evaluate`, with an error after this number of parts."""
    left = [parts]

    def instead(*arguments: Any) -> Batch:
        if not left[0]:
            raise error
        left[0] -= 1
        return evaluate.evaluate(*arguments)

    return instead


def same(one: Exploration, other: Exploration) -> None:
    assert one.complete and other.complete
    assert one.results == other.results and one.excluded == other.excluded
    assert one.front == other.front


# Interrupts


def test_interrupted_and_resumed(
    spec: Spec, whole: Exploration, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path / "results.db"
    with monkeypatch.context() as patch:
        patch.setattr(search, "evaluate", after(5, KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt) as caught:
            polylat.explore(spec, store=store, **OPTIONS)
    error = caught.value
    assert isinstance(error, InterruptedExplorationError)
    partial = error.exploration
    assert isinstance(partial, Exploration) and not partial.complete
    assert 0 < partial.evaluated < whole.evaluated
    assert str(store) in str(error) and f"{partial.evaluated} finished results" in str(error)
    assert all(result in whole.results for result in partial.results[:5])
    # It resumes: finished parts are not evaluated again.
    counted: list[int] = []

    def counting(*arguments: Any) -> Batch:
        counted.append(1)
        return evaluate.evaluate(*arguments)

    monkeypatch.setattr(search, "evaluate", counting)
    same(polylat.explore(spec, store=store, **OPTIONS), whole)
    first = len(counted)
    assert first > 0
    same(polylat.explore(spec, store=store, **OPTIONS), whole)
    assert len(counted) == first


SLOWLY = """
import signal, sys, time
from polylat.cli import main
from polylat.exploration import search

# A process in the background of a shell inherits that the signal is ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
real = search.evaluate
search._MOST_VARIANTS = 8
search.evaluate = lambda *arguments: (time.sleep(0.5), real(*arguments))[1]
sys.argv[0] = "polylat"
main()
"""
"""The command with small parts, each of which takes a while."""


def command(*arguments: str) -> list[str]:
    """The command for 512 variants, 64 parts."""
    options = ["--granularity", "tile", "--splits", "--background", "--slots", "1:64"]
    return [sys.executable, "-c", SLOWLY, "explore", *EXAMPLE, *options, *arguments]


def stored(path: Path) -> int:
    """The number of parts in a file of results."""
    return max(0, path.read_bytes().count(b"\n") - 2) if path.exists() else 0


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_ctrl_c_on_the_command_line(jobs: str, tmp_path: Path) -> None:
    """The first signal ends it, with the finished parts and a message."""
    if jobs != "1":
        pytest.importorskip("joblib", reason="the extra `explore` is not installed")
    store, output = tmp_path / "results.db", tmp_path / "results.csv"
    arguments = ["--store", str(store), "-o", str(output), "--jobs", jobs]
    process = subprocess.Popen(
        command(*arguments),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + 120
    while not stored(store) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    assert "interrupted" in err and str(store) in err
    assert "Traceback" not in err
    assert "Not complete" in out
    assert stored(store)
    assert len(output.read_text(encoding="utf-8").splitlines()) > 1


class _Manager(threading.Thread):
    """It fails as joblib's thread does when its queue has just been closed."""

    def __init__(self, *, kill_workers: bool) -> None:
        super().__init__()
        self.executor_flags = SimpleNamespace(kill_workers=kill_workers)

    def run(self) -> None:
        raise KeyError(1)


def test_of_killed_workers_nothing_is_printed() -> None:
    pytest.importorskip("joblib", reason="the extra `explore` is not installed")
    told: list[str | None] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(threading, "excepthook", lambda args: told.append(args.exc_type.__name__))
        with runner(2, None):
            for kill in (True, False):
                thread = _Manager(kill_workers=kill)
                thread.start()
                thread.join()
                assert told == ([] if kill else ["KeyError"])
        thread = _Manager(kill_workers=True)
        thread.start()
        thread.join()
        assert told == ["KeyError", "KeyError"]


# Files


def test_interrupted_before_the_first_stored_part_is_used(
    spec: Spec, whole: Exploration, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All stored results count as finished."""
    store = tmp_path / "results.db"
    same(polylat.explore(spec, store=store, **OPTIONS), whole)

    def interrupted(*_: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(search, "progress_bar", interrupted)
    with pytest.raises(InterruptedExplorationError) as caught:
        polylat.explore(spec, store=store, **OPTIONS)
    assert f" {whole.evaluated} finished results are kept" in str(caught.value)
    assert isinstance(caught.value.exploration, Exploration)
    assert caught.value.exploration.results == whole.results


def test_interrupted_while_the_file_is_read(
    spec: Spec, whole: Exploration, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "results.db"
    same(polylat.explore(spec, store=path, **OPTIONS), whole)
    before = path.read_bytes()
    real = store.Store._take

    def interrupted(self: store.Store, content: bytes) -> bool:
        real(self, content[: len(content) // 2])
        raise KeyboardInterrupt

    monkeypatch.setattr(store.Store, "_take", interrupted)
    with pytest.raises(InterruptedExplorationError, match=r"all results in .* are kept, of which"):
        polylat.explore(spec, store=path, **OPTIONS)
    assert path.read_bytes() == before


def test_a_file_of_another_exploration(spec: Spec, tmp_path: Path) -> None:
    store = tmp_path / "results.db"
    polylat.explore(spec, store=store, granularity="tile")
    before = store.read_bytes()
    with pytest.raises(StoreError, match="another exploration"):
        polylat.explore(spec, store=store, granularity="tile", objectives=["latency"])
    assert store.read_bytes() == before


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on a disk of 512 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = shutil.which("mount")
    size = ["-t", "tmpfs", "-o", "size=512k", "tmpfs", str(folder)]
    if mount is None or subprocess.run([mount, *size], capture_output=True, check=False).returncode:
        pytest.skip("no file system can be mounted here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def remount(folder: Path, mode: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{mode}", str(folder)], check=True)


def ends_with_all_results(spec: Spec, whole: Exploration, store: Path, message: str) -> StoreError:
    with pytest.raises(StoreError, match=message) as caught:
        polylat.explore(spec, store=store, **OPTIONS)
    partial = caught.value.exploration
    assert isinstance(partial, Exploration) and not partial.complete
    assert partial.evaluated
    known = {result.number: result for result in whole.results}
    assert all(known[result.number] == result for result in partial.results)
    return caught.value


def test_a_full_disk(spec: Spec, whole: Exploration, small_disk: Path) -> None:
    filling = small_disk / "filling"
    filling.write_bytes(b"x" * (460 << 10))
    store = small_disk / "results.db"
    error = ends_with_all_results(spec, whole, store, "full|I/O|space")
    assert "make room" in str(error)
    assert stored(store)
    filling.unlink()
    same(polylat.explore(spec, store=store, **OPTIONS), whole)


def test_a_limit_to_the_size_of_files(spec: Spec, whole: Exploration, tmp_path: Path) -> None:
    """The same as a full disk, where nothing can be mounted."""
    store = tmp_path / "results.db"
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10 << 10, limits[1]))
    try:
        ends_with_all_results(spec, whole, store, "full|I/O|large")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)
    assert stored(store)
    same(polylat.explore(spec, store=store, **OPTIONS), whole)


def test_a_read_only_disk(spec: Spec, whole: Exploration, small_disk: Path) -> None:
    """Refused before the work, or with the results that are finished."""
    store = small_disk / "results.db"

    def turned(*arguments: Any) -> Batch:
        batch = evaluate.evaluate(*arguments)
        if stored(store) == 3:
            remount(small_disk, "ro")
        return batch

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search, "evaluate", turned)
        ends_with_all_results(spec, whole, store, "cannot write")
    assert stored(store) == 3
    with pytest.raises(StoreError, match=r"ead-only file system. Fix: make the file"):
        polylat.explore(spec, store=store, **OPTIONS)
    remount(small_disk, "rw")
    same(polylat.explore(spec, store=store, **OPTIONS), whole)


def test_a_file_that_is_replaced_meanwhile(
    spec: Spec, whole: Exploration, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path / "results.db"

    def replaced(*arguments: Any) -> Batch:
        if stored(store) == 3:
            store.write_text("a: 1\n")
        return evaluate.evaluate(*arguments)

    monkeypatch.setattr(search, "evaluate", replaced)
    ends_with_all_results(spec, whole, store, "replaced by another file")
    assert store.read_text(encoding="utf-8") == "a: 1\n"


def test_a_file_that_is_removed_meanwhile(
    spec: Spec, whole: Exploration, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path / "results.db"

    def removing(*arguments: Any) -> Batch:
        if stored(store) == 3:
            store.unlink()
        return evaluate.evaluate(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(search, "evaluate", removing)
        same(polylat.explore(spec, store=store, **OPTIONS), whole)
    again = polylat.explore(spec, store=store, **OPTIONS)
    assert not again.remarks
    same(again, whole)


def test_output_that_cannot_be_written(spec: Spec, tmp_path: Path) -> None:
    found = polylat.explore(spec, granularity="tile")
    with pytest.raises(StoreError, match="cannot write"):
        found.save(tmp_path / "no" / "folder" / "results.csv")


# Workers


def dies_once(flag: str, number: int) -> int:
    """A worker that dies, the first time that it is asked for a certain number."""
    if number == 3 and not Path(flag).exists():
        Path(flag).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(0.02)
    return number * number


def dies_always(number: int) -> int:
    """A worker that dies."""
    os.kill(os.getpid(), signal.SIGKILL)
    return number


@pytest.mark.filterwarnings("ignore:A worker stopped:UserWarning")
def test_a_process_that_dies(tmp_path: Path) -> None:
    pytest.importorskip("joblib", reason="the extra `explore` is not installed")
    with runner(2, None) as run:
        found = list(run(dies_once, [(str(tmp_path / "flag"), n) for n in range(12)]))
    assert sorted(found) == [(n, n * n) for n in range(12)]


@pytest.mark.long
@pytest.mark.filterwarnings("ignore:A worker stopped:UserWarning")
def test_processes_that_die_again_and_again() -> None:
    pytest.importorskip("joblib", reason="the extra `explore` is not installed")
    with runner(2, None) as run, pytest.raises(WorkerError, match="died"):
        list(run(dies_always, [(n,) for n in range(4)]))


def test_an_exploration_whose_workers_die(
    spec: Spec, whole: Exploration, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A clear message, and all parts that were finished before."""
    store = tmp_path / "results.db"
    with monkeypatch.context() as patch:
        patch.setattr(search, "evaluate", after(5, WorkerError("worker processes died")))
        with pytest.raises(WorkerError, match="died") as caught:
            polylat.explore(spec, store=store, **OPTIONS)
    partial = caught.value.exploration
    assert isinstance(partial, Exploration) and partial.evaluated and not partial.complete
    same(polylat.explore(spec, store=store, **OPTIONS), whole)


def kills_its_worker_once(flag: str, *arguments: Any) -> Batch:
    """`evaluate`, in a worker that is killed in the middle of the space, once."""
    if arguments[1][0][0] > 12 and not Path(flag).exists():
        Path(flag).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return evaluate.evaluate(*arguments)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_dask_cluster_of_which_a_worker_is_killed(
    spec: Spec, whole: Exploration, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    distributed = pytest.importorskip("distributed", reason="the extra `dask` is not installed")
    pytest.importorskip("joblib", reason="the extra `dask` is not installed")
    flag = str(tmp_path / "flag")
    store = tmp_path / "results.db"

    def killing(*arguments: Any) -> Any:
        return kills_its_worker_once(flag, *arguments)

    monkeypatch.setenv(
        "PYTHONPATH", os.pathsep.join(map(str, (ROOT, ROOT / "tests", Path(__file__).parent)))
    )
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None
    ) as cluster:
        workers = {worker.pid for worker in cluster.workers.values()}
        assert len(workers) == 2
        with monkeypatch.context() as patch:
            patch.setattr(search, "evaluate", killing)
            found = polylat.explore(spec, dask=cluster.scheduler_address, store=store, **OPTIONS)
        assert Path(flag).exists()
        assert {worker.pid for worker in cluster.workers.values()} != workers
    same(found, whole)
    same(polylat.explore(spec, store=store, **OPTIONS), whole)


def test_no_scheduler(spec: Spec, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("distributed", reason="the extra `dask` is not installed")
    monkeypatch.setattr(parallel, "PATIENCE", 0.5)
    with pytest.raises(WorkerError, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:1"):
        polylat.explore(spec, dask="tcp://127.0.0.1:1")


@pytest.mark.parametrize(
    ("answer", "why"),
    [(None, "no answer"), (b"HTTP/1.1 400 Bad Request\r\n\r\n" * 9, "is no Dask scheduler")],
)
def test_what_answers_is_no_scheduler(
    answer: bytes | None, why: str, spec: Spec, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("distributed", reason="the extra `dask` is not installed")
    monkeypatch.setattr(parallel, "PATIENCE", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            connections.append(connection)
            if answer is not None:
                connection.sendall(answer)

        connections: list[socket.socket] = []
        threading.Thread(target=serve, daemon=True).start()
        with pytest.raises(WorkerError, match=why):
            polylat.explore(spec, dask=f"tcp://127.0.0.1:{server.getsockname()[1]}")
        for connection in connections:
            connection.close()


@pytest.mark.parametrize("options", [{"dask": " "}, {"dask": 3}, {"n_jobs": 10**20}])
def test_jobs_that_cannot_be(options: Data, spec: Spec) -> None:
    pytest.importorskip("distributed", reason="the extra `dask` is not installed")
    with pytest.raises(OptionError):
        polylat.explore(spec, **options)


@pytest.mark.parametrize(
    ("missing", "extra", "options"),
    [
        ("joblib", "explore", {"n_jobs": 2}),
        ("joblib", "dask", {"dask": "tcp://127.0.0.1:1"}),
        ("distributed", "dask", {"dask": "tcp://127.0.0.1:1"}),
        ("tqdm.auto", "explore", {"progress": True}),
    ],
)
def test_missing_extras(
    spec: Spec, missing: str, extra: str, options: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    if missing == "distributed":
        pytest.importorskip("joblib", reason="the extra `explore` is not installed")
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(MissingExtraError, match=rf"polylat\[{extra}\]"):
        polylat.explore(spec, granularity="tile", **options)


def test_no_progress_bar_is_needed(spec: Spec, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    assert polylat.explore(spec, granularity="tile").complete


def test_progress(spec: Spec, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("tqdm", reason="the extra `explore` is not installed")
    polylat.explore(spec, granularity="tile")
    assert not capsys.readouterr().err  # not a terminal
    polylat.explore(spec, granularity="tile", progress=True)
    assert "8/8" in capsys.readouterr().err
