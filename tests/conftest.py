"""Profiles for the property tests, and the reports of the examples.

HYPOTHESIS_PROFILE chooses a profile: ``dev`` (default), ``ci`` (the same examples every time),
``quick`` (a few, the same every time, not shrunk), ``full`` (as ``ci``, but more) or ``nightly``
(many). A failure prints the blob that reproduces it. The profile also limits the cases of
parametrized tests: ``quick`` runs a few of each, ``ci`` some of those marked as slow, the others
all. Neither ``quick`` nor ``ci`` runs tests marked as long.
"""

from __future__ import annotations

import os
from collections import defaultdict

import pytest
from hypothesis import HealthCheck, Phase, settings

import polylat
from builders import EXAMPLE, EXAMPLES
from polylat import Report, Spec
from thinned import spread

# Times on shared machines are not comparable, and large random cascades are slow.
_COMMON = settings(deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])

settings.register_profile("dev", _COMMON, max_examples=100)
settings.register_profile("ci", _COMMON, max_examples=12, derandomize=True, database=None)
settings.register_profile("full", _COMMON, max_examples=24, derandomize=True, database=None)
settings.register_profile(
    "quick",
    _COMMON,
    max_examples=3,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
)
settings.register_profile("nightly", _COMMON, max_examples=5000)
PROFILE = os.environ.get("HYPOTHESIS_PROFILE", "dev")
settings.load_profile(PROFILE)


SHORT = PROFILE in {"quick", "ci"}
"""Whether the profile leaves out what takes long."""


def most_cases(item: pytest.Item) -> int | None:
    """Largest number of cases of a test under the profile; None without a limit."""
    if PROFILE == "quick":
        return 2
    return 16 if SHORT and item.get_closest_marker("slow") else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep what the profile runs: of a test with many cases some of them, evenly spaced."""
    cases: dict[str, list[pytest.Item]] = defaultdict(list)
    for item in items:
        if not (SHORT and item.get_closest_marker("long")):
            cases[item.nodeid.partition("[")[0]].append(item)
    kept = {item for group in cases.values() for item in spread(group, most_cases(group[0]))}
    config.hook.pytest_deselected(items=[item for item in items if item not in kept])
    items[:] = [item for item in items if item in kept]


@pytest.fixture(scope="session")
def spec() -> Spec:
    """The example of the README."""
    return polylat.load(EXAMPLE)


@pytest.fixture(scope="session")
def report(spec: Spec) -> Report:
    """The report on that example, with o2 written back in the background."""
    return polylat.analyze(spec, granularity="tile", background="o2")


@pytest.fixture(scope="session")
def attention() -> Report:
    """The report on the attention block of the examples."""
    return polylat.analyze(
        polylat.load(EXAMPLES / "attention.yaml", EXAMPLES / "attention_schedule.yaml")
    )
