"""The option `pipelined`: names of splits, and what it is the same as."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import polylat
from builders import EXAMPLES
from polylat.errors import MappingError, OptionError, ScheduleError, UnsupportedError
from polylat.spec.mapping import Pipeline
from strategies import Data, cascades

FILES = [str(EXAMPLES / name) for name in ("arch.yaml", "workload.yaml", "untapped.yaml")]


def test_names() -> None:
    spec = polylat.load(FILES)
    assert [split.name for split in spec.mapping.splits()] == ["e1+e2|e3", "e1|e2"]
    inner = spec.with_pipelines(["e1|e2"])
    assert [type(split).__name__ for split in inner.mapping.splits()] == ["Sequential", "Pipeline"]
    assert spec.with_pipelines([]) == spec


@pytest.mark.parametrize("value", ["e1|e3", ["e1|e2", "e2|e1"], 1, [True], "", {"all": 1}])
def test_what_is_no_split(value: Any) -> None:
    with pytest.raises(OptionError, match="pipelined"):
        polylat.analyze(polylat.load(FILES), pipelined=value)


def test_a_file_may_say_it() -> None:
    spec = polylat.load(FILES)
    for value in (True, "all", ["e1|e2", "e1 + e2 | e3"]):
        found = polylat.analyze(replace(spec, schedule={"pipelined": value}))
        assert found.latency == polylat.analyze(spec.with_pipelines()).latency == 24064
    assert (
        polylat.explore(
            replace(spec, schedule={"pipelined": ("e1|e2",)}), splits=False, background=False
        )
        .results[0]
        .latency
        == 31232
    )


def test_true_is_all() -> None:
    spec = polylat.load(
        [str(EXAMPLES / n) for n in ("arch.yaml", "workload.yaml", "tap_resident.yaml")]
    )
    for every in (True, "all", ["all"]):
        assert polylat.analyze(spec, background=every).latency == 31752
        assert polylat.analyze(spec, staged=every).staged_holders == (("o2", "SRAM"),)
    assert polylat.analyze(spec, background=False, staged=False, pipelined=False).latency == 32256


@given(cascades(), st.data())
def test_it_is_the_same_as_another_mapping(case: tuple[Data, Data], data: st.DataObject) -> None:
    try:
        spec = polylat.Spec.from_dict(case[0])
    except MappingError:
        return
    names = [split.name for split in spec.mapping.splits()]
    chosen = data.draw(st.lists(st.sampled_from(names), unique=True)) if names else []
    other = spec.with_pipelines(chosen)
    assert all(
        isinstance(new, Pipeline) == (isinstance(old, Pipeline) or old.name in chosen)
        for old, new in zip(spec.mapping.splits(), other.mapping.splits(), strict=True)
    )
    try:
        expected = polylat.analyze(other, granularity="tile")
    except (MappingError, ScheduleError, UnsupportedError) as error:
        with pytest.raises(type(error)):
            polylat.analyze(spec, granularity="tile", pipelined=chosen)
        return
    found = polylat.analyze(spec, granularity="tile", pipelined=chosen)
    assert found.latency_by_order == expected.latency_by_order
    again = polylat.analyze(found.spec)
    assert again.to_dict() == found.to_dict()
