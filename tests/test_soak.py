"""The soak test itself: its functions exist, and it fails when it should."""

from __future__ import annotations

import random

import pytest

from benchmarks import soak
from benchmarks.soak import ALLOWED, OF_REPORT, OF_SPEC, Soak
from polylat import OptionError, Report, Spec


@pytest.mark.parametrize("name", OF_REPORT)
def test_functions_of_a_report(name: str, report: Report) -> None:
    OF_REPORT[name](report)


@pytest.mark.parametrize("name", OF_SPEC)
def test_functions_of_an_input(name: str, spec: Spec) -> None:
    OF_SPEC[name](spec)


def samples(memory: list[float], caches: float = 0) -> list[dict[str, float]]:
    return [{"memory": used, "caches": caches * k} for k, used in enumerate(memory)]


@pytest.mark.parametrize(
    ("memory", "caches", "failures"),
    [
        ([100, *[200.0] * 30], 0, 0),
        ([100, *[200.0] * 10, 5000, *[200.0] * 19], 0, 0),  # one large input
        ([100, *(200.0 + 3 * k for k in range(30))], 0, 1),  # a leak
        ([100, *(200.0 + 3 * k for k in range(30))], 3, 0),  # caches of arrays that fill up
    ],
)
def test_growth(memory: list[float], caches: float, failures: int) -> None:
    run = Soak(1, 1)
    run.samples = samples(memory, caches)
    run._check_memory()
    assert len(run.failures) == failures
    assert all(f"more than {ALLOWED}" in failure for failure in run.failures)


def test_errors_of_polylat_are_counted_and_others_fail() -> None:
    run = Soak(1, 1)

    def raising(error: Exception) -> None:
        raise error

    assert run._call("a", lambda: raising(OptionError("no"))) is None
    assert (run.refused["a"], run.failures) == (1, [])
    assert run._call("b", lambda: raising(AssertionError())) is None
    assert len(run.failures) == 1 and run.failures[0].startswith("b: Traceback")
    assert run._call("c", lambda: 5) == 5 and run.calls["c"] == 1


def test_a_cache_that_exceeds_its_size(monkeypatch: pytest.MonkeyPatch) -> None:
    class Cache:
        def cache_info(self) -> Cache:
            return self

        size, most = 11, 10

    monkeypatch.setattr(soak, "_caches", lambda: iter([("one", Cache())]))
    run = Soak(1, 1)
    run._sample(0)
    assert run.failures == ["the cache of one has 11 bytes"]


def test_a_draw() -> None:
    run = Soak(1, 1)
    from builders import LEGAL

    case = LEGAL[0]
    run._run_case(case["spec"], case["options"], random.Random(1))
    assert run.failures == []
    assert run.calls["from_dict"] == run.calls["analyze"] == 1
