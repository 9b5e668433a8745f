"""Cascades with recurrences whose loops are long: sampled and visited tile iterations agree."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from builders import stretched
from differences import differences
from recurrent_cascades import recurrent_cascades

Data = dict[str, Any]


@settings(max_examples=max(settings().max_examples // 4, 5))
@given(recurrent_cascades(), st.sampled_from((5, 7, 12, 20)), st.sampled_from((1, 2, 5)))
def test_sampled_and_visited(case: tuple[Data, Data], steps: int, batch: int) -> None:
    """Figures, schedules, critical paths, occupancy, sensitivities and explorations are equal."""
    data = stretched(case[0], {"t": steps, "b": batch})
    assert not differences(data, case[1] | {"max_tiles": 6_000})
