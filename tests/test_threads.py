"""The same results in threads, in processes, on a cluster, and in every order of sets."""

from __future__ import annotations

import importlib
import json
import multiprocessing
import os
import pkgutil
import random
import re
import subprocess
import sys
import threading
import warnings
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import islpy as isl
import numpy as np
import pytest

import polylat
from builders import ROOT
from polylat.exploration import parallel
from polylat.locks import SharedLock
from polylat.lowering import groups
from polylat.lowering.array_cache import array_cache
from polylat.spec.reading.expressions.evaluator import parse_expression
from threaded_cases import NAMES, answer, answers, load

THREADS = 8
OPTIONS: dict[str, Any] = {"granularity": "tile", "slots": [1, 2], "tiles": {"m#1": [1, 2]}}
LIGHT = ("analyze", "roofline", "verify", "explore")
"""Cases for processes, each of which begins anew."""


@pytest.fixture(scope="module")
def expected() -> dict[str, str]:
    return answers()


def light(expected: dict[str, str]) -> dict[str, str]:
    return {name: expected[name] for name in LIGHT}


def clear_caches() -> None:
    for cache in module_caches().values():
        cache.cache_clear()


def module_caches() -> dict[str, Any]:
    """All caches of functions, by name."""
    found = {}
    for module in pkgutil.walk_packages(polylat.__path__, "polylat."):
        if module.name == "polylat.__main__":
            continue
        for name, value in vars(importlib.import_module(module.name)).items():
            is_cache = hasattr(value, "cache_info") and not isinstance(value, type)
            if is_cache and value.__module__ == module.name:
                found[f"{module.name.removeprefix('polylat.')}.{name}"] = value
    return found


# Threads


@pytest.mark.slow
@pytest.mark.parametrize(
    "share",
    [
        pytest.param(False, id="own input", marks=pytest.mark.long),
        pytest.param(True, id="shared input"),
    ],
)
def test_eight_threads(expected: dict[str, str], share: bool) -> None:
    clear_caches()
    specs = {name: load(name) if share else None for name in NAMES}
    work = [name for name in NAMES for _ in range(2)]
    random.Random(5).shuffle(work)
    start = threading.Barrier(THREADS)

    def run(number: int) -> list[tuple[str, str]]:
        start.wait()
        return [(name, answer(name, specs[name])) for name in work[number::THREADS]]

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-4)
    try:
        with ThreadPoolExecutor(THREADS) as pool:
            found = [pair for pairs in pool.map(run, range(THREADS)) for pair in pairs]
    finally:
        sys.setswitchinterval(before)
    assert sorted({name for name, _ in found}) == sorted(NAMES)
    assert [(name, text) for name, text in found if text != expected[name]] == []


def test_one_report_in_eight_threads(expected: dict[str, str]) -> None:
    """What a report computes on first use is computed by several threads at once."""
    report = polylat.analyze(load("analyze"), granularity="tile")
    start = threading.Barrier(THREADS)
    alone = polylat.analyze(load("analyze"), granularity="tile")
    wanted = [alone.to_dict(steps=None), str(alone), alone.verify().to_dict()]

    def run(_: int) -> list[Any]:
        start.wait()
        return [report.to_dict(steps=None), str(report), report.verify().to_dict()]

    with ThreadPoolExecutor(THREADS) as pool:
        assert all(found == wanted for found in pool.map(run, range(THREADS)))


def test_a_limit_to_the_operations_of_isl_binds_its_thread_alone() -> None:
    """A limit in the context that all threads share stopped what others computed."""
    square = "{ [i, j] : 0 <= i < j < 100 and (exists e : i + 2j = 5e) }"
    with groups._at_most(1) as context:
        found = []
        thread = threading.Thread(target=lambda: found.append(isl.Set(square).lexmax()))
        thread.start()
        thread.join()
        assert found and found[0].is_singleton()
        assert isl.Set(square).lexmax().is_singleton()
        with pytest.raises(isl.Error):
            isl.Set(square, context).lexmax()


def test_an_interrupted_limit_does_not_last() -> None:
    with pytest.raises(KeyboardInterrupt), groups._at_most(1):
        raise KeyboardInterrupt
    with groups._at_most(0) as context:
        assert isl.Set("{ [i] : 0 <= i < 9 }", context).lexmax().is_singleton()


def test_filters_of_warnings_are_as_before() -> None:
    before = list(warnings.filters)
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(lambda k: parse_expression(f"{k} + 1"), range(2000)))
    assert list(warnings.filters) == before


def test_the_hook_of_threads_is_as_before() -> None:
    """Runners in several threads end in any order."""
    before = threading.excepthook
    one, other = parallel._SILENT_KILLS, parallel._SILENT_KILLS
    one.__enter__()
    other.__enter__()
    one.__exit__()
    assert threading.excepthook != before
    other.__exit__()
    assert threading.excepthook == before


def test_no_module_changes_state_that_threads_share() -> None:
    """Other modules have no registers or settings: those here have a lock or are local."""
    words = re.compile(
        r"^ +global |catch_warnings|rc_context|redirect_stdout|excepthook =|threading.local"
    )
    found = {
        (path.relative_to(ROOT / "polylat").as_posix(), match[0].strip(" ="))
        for path in (ROOT / "polylat").rglob("*.py")
        for line in path.read_text(encoding="utf-8").splitlines()
        for match in words.finditer(line)
    }
    assert found == {
        ("accelforge/engine.py", "catch_warnings"),  # AccelForge itself is not for threads
        ("accelforge/engine.py", "redirect_stdout"),
        ("exploration/evaluate.py", "threading.local"),
        ("exploration/parallel.py", "excepthook"),
        ("lowering/groups.py", "threading.local"),
        ("spec/reading/expressions/evaluator.py", "catch_warnings"),
        ("views/matplotlib_figure.py", "rc_context"),
    }


# Caches


def test_every_cache_is_bounded() -> None:
    sizes = {name: bound(cache) for name, cache in module_caches().items()}
    assert sizes == {
        "analysis.isl_pieces._prefix_text": 256,
        "lowering.dependences.exchange._existing_parts": 1024,
        "lowering.dependences.exchange._is_padded": 1024,
        "lowering.dependences.exchange._last_functions": 1024,
        "lowering.dependences.readings._lacking": 1024,
        "lowering.groups.first_point": 4096,
        "lowering.groups.last_targets": 4096,
        "lowering.groups.missing_point": 4096,
        "lowering.groups.solve_group": 1 << 26,  # bytes
        "lowering.groups.translates": 4096,
        "proof.footprints.interval_lengths": 1024,
        # One entry per module or process.
        "schedule.compilation._environment": None,
        "schedule.compilation._source_stamp": None,
    }


def bound(cache: Any) -> int | None:
    info = cache.cache_info()
    found: int | None = info.most if hasattr(info, "most") else info.maxsize
    return found


def test_a_cache_of_arrays_stays_within_its_bytes() -> None:
    calls: list[int] = []

    @array_cache(most=100_000)
    def zeros(count: int, *, text: str = "") -> Any:
        calls.append(count)
        return np.zeros(count, dtype=np.int64)

    for count in (10, 20, 10, 20):
        assert len(zeros(count)) == count
    assert calls == [10, 20]
    for count in range(1000):
        zeros(count, text="x" * count)
        info = zeros.cache_info()
        assert info.size <= info.most == 100_000
    assert info.entries < 100
    calls.clear()
    for _ in range(2):
        zeros(4000)
    assert calls == [4000, 4000], "a result of more than a quarter is not kept"
    zeros.cache_clear()
    assert zeros.cache_info()[2:4] == (0, 0)


def test_a_cache_of_arrays_in_threads() -> None:
    @array_cache(most=20_000)
    def zeros(count: int) -> Any:
        return np.full(count, count)

    def run(seed: int) -> bool:
        draw = random.Random(seed)
        return all((zeros(n) == n).all() for n in (draw.randrange(100) for _ in range(2000)))

    with ThreadPoolExecutor(THREADS) as pool:
        assert all(pool.map(run, range(THREADS)))
    assert zeros.cache_info().size <= 20_000


# Processes


def in_processes(method: str, count: int = 2) -> list[dict[str, str]]:
    context = multiprocessing.get_context(method)
    with ProcessPoolExecutor(count, mp_context=context) as pool:
        return list(pool.map(answers, [LIGHT] * count))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_processes(expected: dict[str, str], method: str) -> None:
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"there is no {method} here")
    assert in_processes(method) == [light(expected)] * 2


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_a_process_that_is_forked_while_a_thread_holds_a_lock() -> None:
    lock, held, done = SharedLock(), threading.Event(), threading.Event()

    def hold() -> None:
        with lock:
            held.set()
            done.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    child = os.fork()
    if not child:
        with lock:
            os._exit(0)
    try:
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert lock.locked()
    finally:
        done.set()
        thread.join()
    assert not lock.locked()


@pytest.mark.long
@pytest.mark.filterwarnings("ignore")
def test_dask_workers_with_several_threads(
    expected: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    distributed = pytest.importorskip("distributed", reason="the extra `dask` is not installed")
    pytest.importorskip("joblib", reason="the extra `dask` is not installed")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, (ROOT, ROOT / "tests"))))
    alone = polylat.explore(load("explore"), n_jobs=1, **OPTIONS)
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=4, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        futures = [client.submit(answer, name, pure=False) for name in LIGHT * 2]
        assert client.gather(futures) == [expected[name] for name in LIGHT * 2]
        found = polylat.explore(load("explore"), dask=client, **OPTIONS)
    assert (found.results, found.front) == (alone.results, alone.front)


def test_one_and_several_workers(expected: dict[str, str]) -> None:
    pytest.importorskip("joblib", reason="the extra `explore` is not installed")
    spec = load("explore")
    one, two = (polylat.explore(spec, n_jobs=n, **OPTIONS) for n in (1, 2))
    assert (one.results, one.front, one.to_dict()) == (two.results, two.front, two.to_dict())


# Interpreters


def run_program(python: Path | str, names: tuple[str, ...], **environment: str) -> dict[str, str]:
    done = subprocess.run(
        [str(python), str(ROOT / "tests" / "threaded_cases.py"), *names],
        env=os.environ
        | {"PYTHONPATH": os.pathsep.join(map(str, (ROOT, ROOT / "tests")))}
        | environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, str] = json.loads(done.stdout)
    return found


@pytest.mark.slow
def test_every_order_of_sets(expected: dict[str, str]) -> None:
    """This process has a random seed, so that the seed of each run is another one."""
    assert run_program(sys.executable, LIGHT, PYTHONHASHSEED="1") == light(expected)


@pytest.mark.long
@pytest.mark.parametrize("seed", ["0", "2"])
def test_more_orders_of_sets(expected: dict[str, str], seed: str) -> None:
    assert run_program(sys.executable, NAMES, PYTHONHASHSEED=seed) == expected


def other_pythons() -> list[Path]:
    """Other interpreters that have polylat's dependencies.

    Those of the variable POLYLAT_PYTHONS, and that of `make accelforge`.
    """
    given = os.environ.get("POLYLAT_PYTHONS", "").split(os.pathsep)
    usual = ROOT / ".venv-accelforge" / "bin" / "python"
    return [*map(Path, filter(None, given)), *([usual] if usual.exists() else [])]


@pytest.mark.slow
def test_other_pythons(expected: dict[str, str]) -> None:
    """All but the page, which names the versions of Python and of the libraries."""
    pythons = other_pythons()
    if not pythons:
        pytest.skip("no other Python: name some in POLYLAT_PYTHONS")
    names = tuple(name for name in NAMES if name != "page")
    wanted = {name: expected[name] for name in names}
    for python in pythons:
        assert run_program(python, names) == wanted, python
