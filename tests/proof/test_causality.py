"""Causality as a line of the certificate: what happens before its cause is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import oracle
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
from oracle.causality import Cause, causes
from polylat import Report, Spec
from polylat.analysis.starts import BlockStarts, Starts, build_starts
from polylat.engine.solution import Solution
from polylat.proof.broken_rule import BrokenRule
from polylat.proof.causality import causality_rules
from polylat.proof.certificate import CertificateError
from polylat.proof.checked_schedule import CheckedSchedule
from polylat.proof.precedence_checks import check_rules
from polylat.proof.verify import checked_schedule, verify
from polylat.schedule.pieces import Pieces, merge_pieces
from reports import report_or_none
from strategies import cascades

Data = dict[str, Any]
Index = tuple[int, ...]


def at_time(pieces: Pieces, index: Index, by: int) -> Pieces:
    """Pieces of which one tile iteration happens at another time."""
    digits, start, duration = pieces.expanded()
    here = (digits == np.array(index, dtype=np.int64)[:, None]).all(axis=0)
    return merge_pieces(Pieces.of_points(digits, np.where(here, start + by, start), duration))


def moved(schedule: Starts, leaf_number: int, block: int, index: Index, by: int) -> Starts:
    """A schedule of which one block starts, and is served, at another time."""
    blocks = [
        BlockStarts(
            stream.leaf,
            stream.block,
            at_time(stream.ready, index, by),
            {port: at_time(pieces, index, by) for port, pieces in stream.tasks.items()},
        )
        if (stream.leaf, stream.block) == (leaf_number, block)
        else stream
        for stream in schedule.blocks
    ]
    return Starts(schedule.scale, tuple(blocks))


def causal(checked: CheckedSchedule) -> bool:
    """Whether the line *causality* of the certificate holds."""
    try:
        list(check_rules(checked, causality_rules(checked.sets)))
    except BrokenRule as error:
        assert "causality" in str(error) and " before " in str(error)
        return False
    return True


def place_of(checked: CheckedSchedule, key: tuple[Any, ...]) -> tuple[int, int, Index]:
    """The leaf, block and tile iteration of a step of the oracle."""
    kind, number, index = key[:3]
    if kind in ("fore", "passed"):
        return number, checked.sets.foreground(number), index
    name = "fill" if kind == "fill" else "write_back"
    block = checked.sets.separate_block(number, name, key[4], key[3])
    assert block is not None
    return number, block, index


def passing(checked: CheckedSchedule, key: tuple[Any, ...]) -> int:
    """When a step of the oracle has finished, in steps of the schedule."""
    number, block, index = place_of(checked, key)
    times = [
        start
        for pieces in checked.passes(number, block, "passed")
        for digits, start in zip(pieces.expanded()[0].T.tolist(), pieces.expanded()[1], strict=True)
        if tuple(digits) == index
    ]
    return int(max(times))


def check_refused(report: Report, solution: Solution, cause: Cause, pointwise: bool) -> None:
    """Move what follows a cause to the moment before the cause is over."""
    schedule = build_starts(solution)
    checked = checked_schedule(solution.model, schedule, pointwise=pointwise)
    assert causal(checked)
    number, block, index = place_of(checked, cause.second)
    ready = checked.block_starts(number, block).ready
    start = next(
        int(time)
        for digits, time in zip(ready.expanded()[0].T.tolist(), ready.expanded()[1], strict=True)
        if tuple(digits) == index
    )
    by = passing(checked, cause.first) - start - 1
    if by >= 0:
        return  # the cause takes no time
    early = moved(schedule, number, block, index, by)
    assert not causal(checked_schedule(solution.model, early, pointwise=pointwise)), cause
    with pytest.raises(CertificateError):
        verify(solution.model, early, solution.schedule.makespan, pointwise=pointwise)


def legal_solutions(report: Report) -> list[Solution]:
    return [s for s in report.schedules.solutions.values() if s.legal]


@given(st.sampled_from(LEGAL), st.booleans(), st.data())
def test_what_precedes_its_cause_is_refused(
    case: Data, pointwise: bool, data: st.DataObject
) -> None:
    """The causes are those of the oracle, which enumerates operations and elements."""
    check_causes(case, pointwise, data)


def check_causes(case: Data, pointwise: bool, data: st.DataObject) -> None:
    """A schedule in which something precedes one of its causes is refused."""
    report = polylat.analyze(Spec.from_dict(case["spec"]), **options_of(case))
    model = oracle.Model(oracle.read_problem(case["spec"]), **case["options"])
    solution = data.draw(st.sampled_from(legal_solutions(report)))
    found = sorted(causes(model), key=str)
    if found:
        cause = data.draw(st.sampled_from(found))
        check_refused(report, solution, cause, pointwise)


@given(cascades(), st.booleans())
def test_schedules_are_causal(case: tuple[Data, Data], pointwise: bool) -> None:
    report = report_or_none(case)
    if report is not None:
        for solution in legal_solutions(report):
            starts = build_starts(solution)
            assert causal(checked_schedule(solution.model, starts, pointwise=pointwise))


def chain() -> Data:
    """Partial sums of b leave the RF for the SRAM, and come back; c reads b in the SRAM."""
    first = nested(loop("k"), loop("m"), storage("RF", "a", "b"), leaf("e1"))
    second = nested(loop("m"), storage("RF", "b"), leaf("e2", "alu"))
    return spec(
        {"m": 3, "k": 2},
        [einsum("e1", ("b", "m"), ("a", "m k")), einsum("e2", ("c", "m"), ("b", "m"))],
        [
            memory("DRAM", 1, 1, size="inf"),
            memory("SRAM", 1, 1, size="inf"),
            memory("RF", 2, 2, size="inf"),
            {"type": "Fork", "nodes": [compute("alu")]},
            compute("mac"),
        ],
        [
            storage("DRAM", "a", "c"),
            storage("SRAM", "b"),
            {"type": "Pipeline", "nodes": [first, second]},
        ],
    )


def acausal(kind: str, tensor: str, leaf_number: int, index: Index) -> str:
    """The message on a block of the chain that starts at time 0."""
    report = polylat.analyze(Spec.from_dict(chain()), staged="all", granularity="full")
    assert report.verify().latency == report.latency
    solution = report.solution
    checked = checked_schedule(solution.model, build_starts(solution))
    block = checked.sets.separate_block(leaf_number, kind, tensor, 1)
    assert block is not None
    ready = checked.block_starts(leaf_number, block).ready
    digits, start, _ = ready.expanded()
    at = digits.T.tolist().index(list(index))
    early = moved(checked.schedule, leaf_number, block, index, -int(start[at]))
    with pytest.raises(BrokenRule) as caught:
        list(check_rules(checked_schedule(solution.model, early), causality_rules(checked.sets)))
    with pytest.raises(CertificateError):
        verify(solution.model, early, solution.schedule.makespan)
    return str(caught.value)


def test_a_write_back_before_its_computation() -> None:
    message = acausal("write_back", "b", 0, (1, 1))
    assert message.startswith(
        "the write-back of 'b' from 'RF' by tile iteration (k: 1, m: 1) of Einsum 'e1' starts at 0,"
    )
    assert "(causality: e1 computes b)" in message


def test_a_read_back_before_the_write_back() -> None:
    message = acausal("fill", "b", 0, (1, 2))
    assert message.startswith(
        "the read-back of 'b' in 'RF' by tile iteration (k: 1, m: 2) of Einsum 'e1' starts at 0,"
    )
    assert "the write-back of 'b' from 'RF' by tile iteration (k: 0, m: 2)" in message


def test_a_fill_before_the_write_back_of_what_it_reads() -> None:
    message = acausal("fill", "b", 1, (2,))
    assert message.startswith(
        "the fill of 'b' in 'RF' by tile iteration (m: 2) of Einsum 'e2' starts at 0,"
    )


def test_a_fill_after_its_use() -> None:
    """The fill of the last tile is served after the tile iteration that uses it."""
    report = polylat.analyze(Spec.from_dict(chain()), staged="all", granularity="full")
    solution = report.solution
    schedule = build_starts(solution)
    checked = checked_schedule(solution.model, schedule)
    block = checked.sets.separate_block(0, "fill", "a", 1)
    assert block is not None
    late = moved(schedule, 0, block, (1, 2), solution.schedule.makespan)
    with pytest.raises(BrokenRule, match=r"causality: e1 fetches a into RF"):
        list(check_rules(checked_schedule(solution.model, late), causality_rules(checked.sets)))
    with pytest.raises(CertificateError):
        verify(solution.model, late, solution.schedule.makespan)


def test_the_chain_has_every_kind_of_transfer() -> None:
    report = polylat.analyze(Spec.from_dict(chain()), staged="all", granularity="full")
    checked = checked_schedule(report.solution.model, build_starts(report.solution))
    for kind, tensor, number in (("fill", "b", 0), ("write_back", "b", 0), ("fill", "b", 1)):
        assert checked.sets.separate_block(number, kind, tensor, 1) is not None
    certificate = report.verify()
    (line,) = (p for p in certificate.proven if p.kind == "causality")
    assert line.relations >= 6 and "computed" in line.meaning


def test_inner_write_backs_come_first() -> None:
    """Two holders on the way out: the element leaves the inner one before the outer one."""
    data = spec(
        {"m": 4},
        [einsum("e", ("b", "m"), ("a", "m"))],
        [
            memory("DRAM", 1, 1, size="inf"),
            memory("SRAM", 1, 1, size="inf"),
            memory("RF", 1, 1, size="inf"),
            compute("mac"),
        ],
        [
            storage("DRAM", "a", "b"),
            loop("m", 2),
            storage("SRAM", "b"),
            loop("m"),
            storage("RF", "b"),
            leaf("e"),
        ],
    )
    report = polylat.analyze(Spec.from_dict(data), staged=["b@RF"], background=["b@SRAM"])
    report.verify()
    solution = report.solution
    schedule = build_starts(solution)
    checked = checked_schedule(solution.model, schedule)
    outer, inner = (checked.sets.separate_block(0, "write_back", "b", k) for k in (1, 2))
    assert outer is not None and inner is not None
    late = moved(schedule, 0, inner, (1, 1), solution.schedule.makespan)
    with pytest.raises(BrokenRule, match=r"causality: e writes back b from RF"):
        list(check_rules(checked_schedule(solution.model, late), causality_rules(checked.sets)))
