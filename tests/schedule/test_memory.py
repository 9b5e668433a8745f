"""Memory of task graphs in which every tile iteration is visited."""

from __future__ import annotations

import tracemalloc
from typing import Any

import pytest

import polylat
from chains import chain
from polylat.engine import solve


@pytest.mark.parametrize(
    ("options", "most", "kept"),
    [
        ({"granularity": "full", "background": True}, 520, 380),
        # Twice: a second schedule, with every Pipeline as a Sequential, is compared with this one.
        ({"granularity": "tile"}, 900, 400),
    ],
)
def test_a_visited_tile_iteration_takes_few_bytes(
    options: dict[str, Any], most: int, kept: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(solve, "EXPLICIT", 10**9)
    rows = 20_000 if options["granularity"] == "tile" else 2_000
    polylat.analyze(chain(10), **options)  # compile
    spec = chain(rows)
    tracemalloc.start()
    report = polylat.analyze(spec, **options)
    left, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert report.engine == "explicit"
    assert peak <= most * report.tiles
    assert left <= kept * report.tiles
