"""Certificates of random cascades with separate transfers, in every order that is legal."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

import builders
import polylat
from builders import (
    LEGAL,
    compute,
    einsum,
    leaf,
    loop,
    memory,
    nested,
    options_of,
    spec,
    storage,
)
from polylat import Spec
from polylat.analysis.starts import build_starts
from polylat.proof.certificate import CertificateError
from polylat.proof.dependence_bound import dependence_chain
from polylat.proof.earliest import check_without_ports
from polylat.proof.service_order import check_service_order
from polylat.proof.verify import checked_schedule, verify
from reports import explicit_up_to
from thinned import thinned

Data = dict[str, Any]


def title(case: Data) -> str:
    """What names a test."""
    return str(case["name"])


POINTWISE = thinned(LEGAL, 3)
"""The cases whose rules are also proven at every point, one by one."""


@pytest.mark.slow
@pytest.mark.parametrize("case", LEGAL, ids=title)
def test_every_legal_order_is_certified(case: Data) -> None:
    """The report with its critical path; the schedules of the other orders; the one without ports.

    The engine visits all tile iterations: there are few.
    """
    report = polylat.analyze(Spec.from_dict(case["spec"]), **options_of(case))
    assert report.engine == "explicit"
    certificate = report.verify()
    assert certificate.latency == report.latency
    assert not [note for note in certificate.notes if "critical path" in note]
    for order, solution in report.schedules.solutions.items():
        if solution.legal:
            starts, makespan = build_starts(solution), solution.schedule.makespan
            for pointwise in (False, True) if case in POINTWISE else (False,):
                verify(solution.model, starts, makespan, pointwise=pointwise)
            checked = checked_schedule(solution.model, starts)
            assert check_service_order(checked, order, solution.model.shifts) is not None
    unlimited = report.schedules.unlimited
    checked = checked_schedule(unlimited.model, build_starts(unlimited))
    assert check_without_ports(checked)
    assert dependence_chain(checked, unlimited.schedule.makespan) is not None


@pytest.mark.long
@pytest.mark.parametrize("explicit", [0, 100_000])
def test_long_cascades_with_staged_tiles(explicit: int) -> None:
    """A chain of two stages with staged tiles, sampled and visited one by one."""
    stages = [
        nested(loop("m"), storage("RF", *tensors), leaf(f"e{k}", f"mac{k}"))
        for k, tensors in enumerate((("a", "b"), ("b", "c")))
    ]
    data = spec(
        {"m": 400},
        [einsum("e0", ("b", "m"), ("a", "m")), einsum("e1", ("c", "m"), ("b", "m"))],
        [
            memory("DRAM", 1, 1, size="inf"),
            memory("SRAM", 1, "inf", size="inf"),
            memory("RF", "inf", 1, size="inf"),
            {"type": "Fork", "nodes": [compute("mac1", "1/2")]},
            compute("mac0", "1/3"),
        ],
        [storage("DRAM", "a", "c"), storage("SRAM", "b"), {"type": "Pipeline", "nodes": stages}],
    )
    for order in ("program", "skew", "oldest"):
        for staged in ("b", "b@RF", ("b@RF", "c")):
            with explicit_up_to(explicit):
                report = polylat.analyze(
                    Spec.from_dict(data), staged=staged, order=order, granularity="tile"
                )
            certificate = report.verify()
            assert certificate.latency == report.latency
            kinds = {p.kind: p.relations for p in certificate.proven}
            assert kinds["transfer"] and kinds["causality"]


def test_a_report_that_keeps_barriers() -> None:
    """The claim that a schedule is that of the mapping in turn is compared with the schedule."""
    case = next(c for c in builders.LEGAL if c["name"] == "cascade-1010")
    report = polylat.analyze(Spec.from_dict(case["spec"]), granularity="flow", staged="all")
    assert report.keeps_barriers
    assert report.latency < min(x for x in report.latency_by_order.values() if x is not None)
    assert report.verify().latency == report.latency
    with pytest.raises(CertificateError, match="keeps_barriers"):
        replace(report, keeps_barriers=False).verify()
    with pytest.raises(CertificateError, match="latency is"):
        replace(report, latency=report.latency_by_order["oldest"] or 0).verify()
    for order, solution in report.schedules.solutions.items():
        own = replace(report, choice=replace(report.choice, chosen=solution), order=order)
        with pytest.raises(CertificateError):
            own.verify()
