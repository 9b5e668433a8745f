"""The sampled iterations of a loop represent all of them."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from polylat.lowering.sampling import LoopSample, SkippedPeriods


@st.composite
def kept_loops(draw: st.DrawFn) -> LoopSample:
    """A loop with skipped iterations."""
    cuts = []
    place, trips = 0, 0
    for _ in range(draw(st.integers(0, 3))):
        period = draw(st.integers(1, 4))
        place += draw(st.integers(2 * period, 3 * period + 2))
        periods = draw(st.integers(1, 6))
        cuts.append(SkippedPeriods(place, period, periods))
        trips += periods * period
    return LoopSample(trips + place + draw(st.integers(1, 5)), tuple(cuts))


@given(kept_loops())
def test_kept(kept: LoopSample) -> None:
    """Every iteration is sampled, or is some periods later than a sampled one."""
    every = np.arange(kept.trips)
    places, periods, lengths = kept.locate(every)
    assert (kept.digits[places] + periods * lengths == every).all()
    assert np.bincount(places, minlength=kept.count).tolist() == kept.multiplicity.tolist()
    assert sum(high - low + 1 for low, high in kept.runs) == kept.count
    assert (kept.digits[places[periods == 0]] == every[periods == 0]).all()
