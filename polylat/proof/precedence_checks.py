"""Check that a schedule keeps rules of precedence."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from polylat.proof.broken_rule import BrokenRule
from polylat.proof.checked_schedule import CheckedSchedule
from polylat.proof.decide import Counterexample
from polylat.proof.finish import Finishes
from polylat.proof.precedence import PrecedenceRule
from polylat.proof.tile_sets import event_set
from polylat.schedule.pieces import Pieces

if TYPE_CHECKING:
    import islpy as isl

__all__ = ["check_rules"]


def check_rules(schedule: CheckedSchedule, rules: Iterable[PrecedenceRule]) -> Iterator[str]:
    """Check that a schedule keeps rules of precedence.

    Parameters
    ----------
    schedule
        The schedule to check.
    rules
        The rules.

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
    for rule in rules:
        _check_rule(schedule, finishes, rule)
        yield rule.kind


def _check_rule(schedule: CheckedSchedule, finishes: Finishes, rule: PrecedenceRule) -> None:
    waiting = schedule.block_starts(rule.leaf, rule.block).ready
    if rule.awaited_block is None:
        for part in finishes.parts(rule.awaited, rule.until):
            _check_up_to(schedule, rule, waiting, part.ends, part.last, ordered=part.ordered)
        return
    for ends in schedule.passes(rule.awaited, rule.awaited_block, rule.until):
        if rule.relation is None:
            _decide(schedule, rule, waiting, ends, rule.function, each=True)
        else:
            _check_all(schedule, rule, rule.relation, waiting, ends)


def _check_all(
    schedule: CheckedSchedule,
    rule: PrecedenceRule,
    relation: isl.Map,
    waiting: Pieces,
    ends: Pieces,
) -> None:
    """Check that an event has ended in all related tile iterations."""
    assert rule.awaited_block is not None
    every = schedule.block_starts(rule.awaited, rule.awaited_block).ready
    whole = ends.points == every.points
    if schedule.is_ordered(ends) and (whole or not schedule.pointwise):
        function = rule.function
        if not whole:
            some = relation.intersect_range(event_set(ends))
            function = some.lexmax_pw_multi_aff().coalesce()
        _decide(schedule, rule, waiting, ends, function, each=True)
        return
    pair = schedule.first_violation_among(relation, waiting, ends)
    if pair is not None:
        raise _broken(schedule, rule, pair, ends)


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
    which = schedule.restricted(function, rule.leaf)
    decide = schedule.decider.first_violation if each else schedule.decider.first_violation_up_to
    pair = decide(which, *both)
    if pair is not None:
        raise _broken(schedule, rule, pair, awaited)


def _broken(
    schedule: CheckedSchedule, rule: PrecedenceRule, pair: Counterexample, awaited: Pieces
) -> BrokenRule:
    who = schedule.start_in_words(rule.leaf, rule.block, pair.waiting)
    done = schedule.when(awaited, pair.awaited)
    ended = "finished" if rule.until == "passed" else "been served"
    what = f"{schedule.words.tile(rule.awaited, pair.awaited)} has {ended}, at {done}"
    if rule.awaited_block is not None:
        what = f"{schedule.words.block(rule.awaited, rule.awaited_block)} by {what}"
    return BrokenRule(f"{who} before {what} ({rule.kind}: {rule.why})")
