"""Mutations: a schedule of which any piece is moved by one is refused."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import polylat
from builders import EXAMPLE, LEGAL, OURS
from polylat import Report, Spec
from polylat.analysis.starts import BlockStarts, Starts, build_starts
from polylat.proof.certificate import CertificateError
from polylat.proof.verify import verify
from polylat.schedule.pieces import Pieces
from reports import explicit_up_to, report_or_none
from strategies import cascades, long_cascades
from thinned import thinned

Data = dict[str, Any]
READY = -1
"""The start of a block, in the place of a port."""


def moved(pieces: Pieces, what: str, piece: int, loop: int, by: int) -> Pieces | None:
    """The pieces with one number changed; None where that changes no tile iteration's time."""
    if what in ("start", "duration"):
        column = getattr(pieces, what).copy()
        column[piece] += by
        return replace(pieces, **{what: column})
    if loop >= pieces.depth:
        return None
    if what in ("rate", "stride") and pieces.count[loop, piece] == 1:
        return None
    table = getattr(pieces, what).copy()
    table[loop, piece] += by
    if what in ("count", "stride") and table[loop, piece] < 1:
        return None
    return replace(pieces, **{what: table})


def mutations(schedule: Starts) -> Iterator[tuple[int, int, str, int, int, int]]:
    """Every number of every piece, up and down by one: (block, event, what, piece, loop, by)."""
    for at, stream in enumerate(schedule.blocks):
        for event in (READY, *stream.tasks):
            pieces = stream.ready if event == READY else stream.tasks[event]
            for piece in range(pieces.size):
                for by in (-1, 1):
                    yield at, event, "start", piece, 0, by
                    if event != READY:
                        yield at, event, "duration", piece, 0, by
                    for loop in range(pieces.depth):
                        for what in ("rate", "count", "low", "stride"):
                            yield at, event, what, piece, loop, by


def mutated(schedule: Starts, change: tuple[int, int, str, int, int, int]) -> Starts | None:
    """A schedule with one number of one piece changed."""
    at, event, what, piece, loop, by = change
    stream = schedule.blocks[at]
    pieces = moved(stream.ready if event == READY else stream.tasks[event], what, piece, loop, by)
    if pieces is None:
        return None
    ready = pieces if event == READY else stream.ready
    tasks = stream.tasks if event == READY else {**stream.tasks, event: pieces}
    blocks = list(schedule.blocks)
    blocks[at] = BlockStarts(stream.leaf, stream.block, ready, tasks)
    return Starts(schedule.scale, tuple(blocks))


def refused(report: Report, schedule: Starts, pointwise: bool | None) -> bool:
    model, makespan = report.solution.model, report.solution.schedule.makespan
    try:
        verify(model, schedule, makespan, pointwise=pointwise)
    except CertificateError:
        return True
    return False


def check(report: Report | None, data: st.DataObject, pointwise: bool | None) -> None:
    if report is None:
        return
    schedule = build_starts(report.solution)
    changes = list(mutations(schedule))
    for change in data.draw(st.lists(st.sampled_from(changes), min_size=1, max_size=8)):
        other = mutated(schedule, change)
        if other is not None:
            assert refused(report, other, pointwise), change


@given(cascades(), st.sampled_from(["program", "skew", "oldest"]), st.booleans(), st.data())
def test_moved_pieces_of_explicit_schedules(
    case: tuple[Data, Data], order: str, pointwise: bool, data: st.DataObject
) -> None:
    check(report_or_none(case, order), data, pointwise)


@settings(max_examples=max(settings().max_examples // 5, 5))
@given(long_cascades(), st.data())
def test_moved_pieces_of_periodic_schedules(case: tuple[Data, Data], data: st.DataObject) -> None:
    with explicit_up_to(0):
        report = report_or_none(case, max_tiles=5_000)
    # Beyond a number of starts, it is not checked that these are the earliest.
    assume(report is None or not any("early" in note for note in report.verify().notes))
    check(report, data, None)


@pytest.mark.long
@pytest.mark.parametrize("name", ["example", "chain", "periodic"])
def test_numbers_of_a_schedule(name: str) -> None:
    if name == "example":
        files = polylat.load(*EXAMPLE)
        report = polylat.analyze(files, granularity="tile", background="o2")
    elif name == "chain":
        report = polylat.analyze(polylat.load(OURS / "map_chain1_a3xy.yaml"))
    else:
        case = next(c for c in LEGAL if c["name"] == "cascade-1011")
        with explicit_up_to(0):
            report = polylat.analyze(Spec.from_dict(case["spec"]), granularity="flow")
    schedule = build_starts(report.solution)
    for change in thinned(list(mutations(schedule)), 4):
        other = mutated(schedule, change)
        assert other is None or refused(report, other, None), change
