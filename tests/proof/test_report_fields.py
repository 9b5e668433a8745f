"""`verify` refuses a report of which any figure or option was replaced."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from dataclasses import fields, replace
from fractions import Fraction
from functools import cache
from typing import Any

import pytest

import polylat
from builders import EXAMPLE, OURS
from polylat import Report
from polylat.proof.certificate import CertificateError
from reports import explicit_up_to

NOT_PROVEN = {
    "sequential": "the latency of another mapping; checked where that is the same mapping",
}
"""Fields that may be replaced unnoticed, with the reason; the certificate names them, too."""

SCHEDULE = {
    "given": "the input, which is lowered again",
    "choice": "the schedules: every figure is derived from them, and they are proven",
    "accounted": "AccelForge's accounting, with which `roofline` is compared",
    "options": "what was asked for; those that the schedule depends on are compared with it",
}
"""Fields that are neither a figure nor an option."""

DERIVED = ("accesses", "ports", "background", "idle_background", "contention")
"""Figures that a report derives from its schedule on first use, and that are proven as well."""


def changed(report: Report, name: str, value: Any) -> Report:
    """The same report with another value of a field or derived figure."""
    if name not in DERIVED:
        return replace(report, **{name: value})
    found = copy(report)
    vars(found)[name] = value
    return found


@cache
def reports() -> dict[str, Report]:
    """Explicit and periodic, with write-backs in the background, with a Pipeline, a bracket."""
    with explicit_up_to(0):
        periodic = polylat.analyze(polylat.load(OURS / "map_mlp_a2_small.yaml"))
    assert periodic.engine == "periodic"
    overlapped = polylat.load(*EXAMPLE, top="Pipeline", inner="Pipeline")
    bracket = polylat.analyze(overlapped, granularity="flow", max_tiles=40)
    assert not bracket.exact
    return {
        "background": polylat.analyze(
            polylat.load(*EXAMPLE), granularity="tile", background=["o2", "o1"]
        ),
        "pipeline": polylat.analyze(polylat.load(OURS / "t_chain2_pipeline_node.yaml")),
        "sequential": polylat.analyze(polylat.load(OURS / "map_chain1_a2.yaml")),
        "periodic": periodic,
        "bracket": bracket,
    }


def other_values(value: Any) -> list[Any]:
    """Other values of the same type."""
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, (int, Fraction)):
        return [value + 1, value - 1, 0 if value else 7]
    if isinstance(value, str):
        words = ("program", "skew", "oldest", "tile", "flow", "full", "explicit", "periodic", "")
        return [word for word in words if word != value]
    if value is None:
        return [1]
    if isinstance(value, Mapping):
        found = [{**value, key: other} for key in value for other in other_values(value[key])]
        return [*found, {**value, "more": 1}, dict(list(value.items())[1:]) if value else {"a": 1}]
    if isinstance(value, tuple):
        return [(*value, ("a", "b")), value[1:] if value else (("o2", "SRAM"),)]
    raise AssertionError(f"no other value of {type(value)}")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["background", "pipeline", "sequential", "periodic", "bracket"])
@pytest.mark.parametrize("field", [*(f.name for f in fields(Report)), *DERIVED])
def test_every_replaced_field_is_refused(name: str, field: str) -> None:
    report = reports()[name]
    if field in SCHEDULE:
        return
    for other in other_values(getattr(report, field)):
        if field in NOT_PROVEN or (field == "exact" and not other):
            continue  # a report that claims less than is proven is no wrong report
        with pytest.raises(CertificateError):
            changed(report, field, other).verify()


def test_the_reports_themselves_are_proven() -> None:
    for report in reports().values():
        assert report.verify().latency == report.latency


def test_the_lists_name_fields_of_the_report() -> None:
    names = {f.name for f in fields(Report)}
    assert {*NOT_PROVEN, *SCHEDULE} <= names
    assert not {*NOT_PROVEN} & {*SCHEDULE}


def test_a_field_that_is_not_proven_is_named() -> None:
    notes = " ".join(reports()["pipeline"].verify().notes)
    assert "sequential" in notes and "roofline" in notes and "orders" in notes


def test_the_sequential_latency_of_the_same_mapping() -> None:
    report = reports()["sequential"]
    assert report.sequential is not None
    with pytest.raises(CertificateError, match="sequential"):
        replace(report, sequential=report.sequential + 1).verify()


def test_a_replaced_port_is_refused() -> None:
    report = reports()["pipeline"]
    for k, port in enumerate(report.ports):
        for change in ({"busy": port.busy + 1}, {"utilization": port.utilization / 2}):
            ports = (*report.ports[:k], replace(port, **change), *report.ports[k + 1 :])
            with pytest.raises(CertificateError, match="ports"):
                changed(report, "ports", ports).verify()
