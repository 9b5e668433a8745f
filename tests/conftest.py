"""Profiles for the property tests.

HYPOTHESIS_PROFILE chooses one: ``dev`` (default), ``ci`` (the same examples every time), ``quick``
(a few, the same every time) or ``nightly`` (many). A failure prints the blob that reproduces it.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

# Times on shared machines say nothing, and random cascades take as long as they are large.
_COMMON = settings(deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])

settings.register_profile("dev", _COMMON, max_examples=100)
settings.register_profile("ci", _COMMON, max_examples=100, derandomize=True, database=None)
settings.register_profile("quick", _COMMON, max_examples=15, derandomize=True, database=None)
settings.register_profile("nightly", _COMMON, max_examples=5000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "dev"))
