"""Check rules 1 to 3 of the model: flow, barriers and capacity."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from polylat.proof.broken_rule import BrokenRule
from polylat.proof.checked_schedule import CheckedSchedule
from polylat.proof.finish import Finishes
from polylat.proof.precedence import PrecedenceRule
from polylat.schedule.pieces import Pieces

if TYPE_CHECKING:
    import islpy as isl

__all__ = ["check_rules"]


def check_rules(schedule: CheckedSchedule) -> Iterator[str]:
    """Check rules 1 to 3: flow, barriers and capacity.

    Parameters
    ----------
    schedule
        The schedule to check.

    Yields
    ------
    str
        The kind of each rule, when it has been proven.

    Raises
    ------
    BrokenRule
        A rule is broken.
    """
    finishes = Finishes(schedule)
    for rule in schedule.rules:
        _check_rule(schedule, finishes, rule)
        yield rule.kind


def _check_rule(schedule: CheckedSchedule, finishes: Finishes, rule: PrecedenceRule) -> None:
    waiting = schedule.block_starts(rule.leaf, rule.block).ready
    if rule.awaited_block is not None:
        stream = schedule.block_starts(rule.awaited, rule.awaited_block)
        _decide(schedule, rule, waiting, stream.ready, rule.function, each=True)
        kind = schedule.expected.blocks[rule.awaited][rule.awaited_block].kind
        for pieces in stream.tasks.values():
            ends = schedule.ends(pieces)
            if kind == "fill":
                # Only this fill is awaited; fills of earlier tile iterations may end later.
                _decide(schedule, rule, waiting, ends, rule.function, each=True)
            else:
                last = finishes.last_with_event(rule.awaited, pieces)
                _check_up_to(schedule, rule, waiting, ends, last, ordered=schedule.is_ordered(ends))
        return
    for part in finishes.parts(rule.awaited):
        _check_up_to(schedule, rule, waiting, part.ends, part.last, ordered=part.ordered)


def _check_up_to(
    schedule: CheckedSchedule,
    rule: PrecedenceRule,
    waiting: Pieces,
    ends: Pieces,
    last: isl.PwMultiAff | None,
    *,
    ordered: bool,
) -> None:
    """Check that an event has ended in all tile iterations up to the awaited one."""
    function = rule.function
    if last is not None:
        function = last.pullback_pw_multi_aff(function).coalesce()
    _decide(schedule, rule, waiting, ends, function, each=ordered and not schedule.pointwise)


def _decide(
    schedule: CheckedSchedule,
    rule: PrecedenceRule,
    waiting: Pieces,
    awaited: Pieces,
    function: isl.PwMultiAff,
    *,
    each: bool,
) -> None:
    both = schedule.times_of(waiting), schedule.times_of(awaited)
    which = schedule.function_parts(function, rule.leaf)
    decide = schedule.decider.first_violation if each else schedule.decider.first_violation_up_to
    pair = decide(which, *both)
    if pair is None:
        return
    who = schedule.start_in_words(rule.leaf, rule.block, pair.waiting)
    done = schedule.when(awaited, pair.awaited)
    what = f"{schedule.words.tile(rule.awaited, pair.awaited)} has finished, at {done}"
    if rule.awaited_block is not None:
        what = f"{schedule.words.block(rule.awaited, rule.awaited_block)} by {what}"
    raise BrokenRule(f"{who} before {what} ({rule.kind}: {rule.why})")
