"""Tables of a report as pandas frames."""

from __future__ import annotations

from fractions import Fraction

import pytest

from polylat import Column, Report, Table


def test_frames(report: Report) -> None:
    pandas = pytest.importorskip("pandas", reason="the extra `frames` is not installed")
    accesses = report.accesses_frame()
    assert isinstance(accesses, pandas.DataFrame)
    assert accesses["critical"].sum() == report.latency
    assert accesses["critical"].dtype == "int64"
    keys = accesses.set_index(["einsum", "component", "tensor", "action"])["actions"]
    assert {tuple(None if pandas.isna(x) else x for x in k): v for k, v in keys.items()} == dict(
        report.accesses
    )
    ports = report.ports_frame().groupby("port")["busy"].sum()
    assert dict(ports) == {port.name: port.busy for port in report.ports}
    steps = report.critical_frame()
    assert steps["duration"].sum() == report.latency and len(steps) == len(report.critical_path)
    assert len(report.critical_frame(limit=3)) == 3
    rows = report.sensitivity_frame()
    assert rows["critical"].sum() == report.latency
    late = report.occupancy_frame(window=(31000, 10**9))
    assert {*late["time"]} and min(late["time"]) == 31000 and max(late["time"]) < report.latency
    memory = report.occupancy_frame()
    assert memory.groupby("memory")["bits"].max().to_dict() == {
        m.component: m.peak for m in report.occupancy
    }


def test_frames_of_fractions() -> None:
    """A column with a fraction has floats, and missing values stay missing."""
    pandas = pytest.importorskip("pandas", reason="the extra `frames` is not installed")
    columns = (Column("a", "A", "number"), Column("b", "B", "number"))
    frame = Table(columns, ((1, None), (Fraction(1, 2), 10**30))).to_frame()
    assert frame["a"].tolist() == [1.0, 0.5]
    assert pandas.isna(frame["b"][0]) and frame["b"][1] == 10**30


@pytest.mark.parametrize("number", [2**53, 2**53 + 1, -(2**60) - 1, 2**64 + 1])
def test_integers_beside_missing_values_are_exact(number: int) -> None:
    pandas = pytest.importorskip("pandas", reason="the extra `frames` is not installed")
    frame = Table((Column("a", "A", "number"),), ((None,), (number,))).to_frame()
    assert pandas.isna(frame["a"][0]) and int(frame["a"][1]) == number
