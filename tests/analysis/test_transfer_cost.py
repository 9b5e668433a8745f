"""What transfers cost: against the oracle without them, and by hand."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any
from unittest import mock

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import oracle
import polylat
from builders import EXAMPLES
from polylat import OptionError, Report, Spec
from polylat.analysis.transfer_cost import DIRECTIONS, last_write_back
from polylat.spec.names import known_names
from reports import analyzed
from strategies import Data, cascades


def example(name: str, **options: Any) -> Report:
    files = (EXAMPLES / f"{part}.yaml" for part in ("arch", "workload", name))
    return polylat.analyze(polylat.load(*files), **options)


@contextmanager
def without(tensor: str, component: str, ways: set[str]) -> Iterator[None]:
    """The oracle, in which some transfers of a holder have no accesses and no latency."""

    def freed(transfer: Any, way: str) -> bool:
        named = transfer.tensor == tensor and not transfer.own
        return named and transfer.inner.data["component"] == component and way in ways

    modules = [import_module(f"oracle.{name}") for name in ("model", "latency")]
    accesses_of, latency = modules[0].accesses_of, modules[1].transfer_latency

    def accesses(problem: Any, run: Any, transfer: Any, way: str, iteration: Any) -> Any:
        return [] if freed(transfer, way) else accesses_of(problem, run, transfer, way, iteration)

    def late(lowered: Any, leaf: Any, transfer: Any, way: str) -> Any:
        return 0 if freed(transfer, way) else latency(lowered, leaf, transfer, way)

    with (
        mock.patch.object(modules[0], "accesses_of", accesses),
        mock.patch.object(modules[0], "transfer_latency", late),
        mock.patch.object(modules[1], "transfer_latency", late),
    ):
        yield


@given(cascades(), st.data())
def test_without_it_the_oracle_agrees(case: tuple[Data, Data], data: st.DataObject) -> None:
    plain, options = case
    report = analyzed(plain, **options)
    spec = Spec.from_dict(plain)
    holders = known_names(spec.workload, spec.arch.order, spec.mapping).holders
    assume(holders)
    tensor, component = data.draw(st.sampled_from(holders))
    direction = data.draw(st.sampled_from(DIRECTIONS))
    try:
        found = report.cost_of((tensor, component), direction)
    except OptionError as error:
        assert "nothing is" in str(error)
        return
    ways = {way for way, some in (("up", found.writes), ("down", found.fetches)) if some}
    with without(tensor, component, ways):
        assert found.without.latency == oracle.analyze(plain, **options)["latency"]
    assert found.now.latency == report.latency
    if not found.writes:
        assert (found.background, found.waited_for) == (None, None)
        return
    pair, behind = (tensor, component), {*report.background}
    for inside, got in ((True, found.background), (False, found.waited_for)):
        assert got is not None
        pairs = sorted(behind | {pair} if inside else behind - {pair})
        assert got.latency == polylat.analyze(spec, **{**options, "background": pairs}).latency
    assert found.in_background == (pair in behind)


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        # In the background, DRAM writes the last value of o2 when e3 is done.
        ("tap_resident", {"background": "o2"}, (31744, 31752)),
        # It streams, after the 8 bits of w2 that its tile iteration of e2 reads from DRAM.
        ("tap_resident", {}, (19504, 19520)),
        ("untapped", {}, None),
    ],
)
def test_the_last_write_back(name: str, options: Any, expected: Any) -> None:
    found = last_write_back(example(name, **options).solution, ("o2", "SRAM"))
    assert found == expected


def test_the_tap() -> None:
    """o2 is kept in SRAM for e3, and written to DRAM as well."""
    found = example("tap_resident").cost_of("o2@SRAM")
    assert (found.cost, found.writes, found.fetches) == (512, ("e2",), ())
    assert found.background is not None
    assert (found.without.latency, found.background.latency) == (31744, 31752)
    assert str(found) == (
        "The write-back of o2 from SRAM by e2 costs 512 of 32,256: without it, the latency is"
        " 31,744. With the write-back in the background: 31,752."
    )
    hidden = example("tap_resident", background="o2").cost_of(("o2", "SRAM"))
    assert str(hidden) == (
        "The write-back of o2 from SRAM by e2 costs 8 of 31,752: without it, the latency is"
        " 31,744. The write-back is in the background; if it is waited for, 32,256."
    )


def test_both_ways() -> None:
    """e3 fetches o2 back from DRAM."""
    report = example("tap_refetched")
    costs = [report.cost_of("o2", way).cost for way in DIRECTIONS]
    assert costs == [1024, 512, 512]
    assert str(report.cost_of("o2")).startswith(
        "The write-back of o2 from SRAM by e2 and the fetch of o2 into SRAM by e3 cost 1,024 of"
        " 32,768: without them, the latency is 31,744."
    )


@pytest.mark.parametrize(
    ("named", "direction", "message"),
    [
        ("o2@DRAM", "both", "outermost holder.* use one of: o2@SRAM"),
        ("o1", "both", "outermost holder"),
        ("o4", "both", "no tensor 'o4'"),
        ("o2@mac", "both", "nothing holds 'o2' in 'mac'"),
        (3, "both", "3 names no transfer"),
        ("o2", "in", "nothing is fetched into 'SRAM'"),
        ("o2", "up", "direction is 'up'"),
    ],
)
def test_what_has_no_cost(named: Any, direction: Any, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        example("tap_resident").cost_of(named, direction)
