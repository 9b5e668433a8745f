"""Profiles for the property tests, and the reports of the examples.

HYPOTHESIS_PROFILE chooses a profile: ``dev`` (default), ``ci`` (the same examples every time),
``quick`` (a few, the same every time, not shrunk) or ``nightly`` (many). A failure prints the blob
that reproduces it.
"""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, Phase, settings

import polylat
from builders import EXAMPLE, EXAMPLES
from polylat import Report, Spec

# Times on shared machines are not comparable, and large random cascades are slow.
_COMMON = settings(deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])

settings.register_profile("dev", _COMMON, max_examples=100)
settings.register_profile("ci", _COMMON, max_examples=24, derandomize=True, database=None)
settings.register_profile(
    "quick",
    _COMMON,
    max_examples=15,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
)
settings.register_profile("nightly", _COMMON, max_examples=5000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "dev"))


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
