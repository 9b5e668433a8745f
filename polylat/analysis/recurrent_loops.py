"""Loops inside the one that carries a recurrence: from how many iterations on it is hidden."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from polylat.analysis.inner_loops import InnerLoops, inner_loops
from polylat.analysis.recurrences import Recurrence
from polylat.analysis.recurrent_analysis import RecurrentAnalysis, RingChange, RingOutcome, least
from polylat.lowering.paths import leaves_below
from polylat.spec.slots import DEFAULT_SLOTS

__all__ = ["add_inner_loops"]

_MOST_SLOTS = 64
"""Largest number of additional slots that is tried."""


def add_inner_loops(analysis: RecurrentAnalysis, rings: Sequence[Recurrence]) -> None:
    """Add the changes that put a loop inside the one that carries some recurrences.

    Parts of the tile are tried where no loop from outside hides them.

    Parameters
    ----------
    analysis
        The changes.
    rings
        The recurrences, all of which one loop carries.
    """
    ring = rings[0]
    carrying = analysis.leaves[ring.einsums[0]].temporal[ring.depth].node
    below = leaves_below(analysis.leaves.values(), carrying)
    tried = list(inner_loops(analysis.spec, below, rings, analysis.leaves))
    sentences, hidden = [], False
    for loops in tried:
        if loops.outer is not None or not hidden:
            sentence, hides = _add_loops(analysis, loops, rings)
            sentences.append(sentence)
            hidden = hidden or hides
    if not tried:
        sentences.append(f"there is no loop to move inside the loop over {ring.variable}.")
    analysis.tell(rings, *sentences)
    if not hidden and ring.busy:
        copies = f"the number of copies, {ring.copies_to_hide}, is an estimate from busy times."
        analysis.tell(rings, copies)


def _add_loops(
    analysis: RecurrentAnalysis, loops: InnerLoops, rings: Sequence[Recurrence]
) -> tuple[str, bool]:
    """Add the changes that put iterations of one loop inside.

    Returns from how many iterations on the recurrences are hidden, in a sentence, and whether they
    are.
    """
    inside = f"iterations of {loops.name} inside the loop over {rings[0].variable}"
    tried: list[int] = []
    best = None
    hidden = ""
    for count in loops.counts:
        outcome = _add_loop(analysis, loops, count, rings)
        if outcome is None:
            continue
        tried.append(count)
        if outcome.hides:
            hidden = f"hidden from {count} {inside} on ({outcome.rate})."
            break
        ratio = outcome.ratio
        if ratio is None or (best is not None and ratio >= best):
            break
        best = ratio
    if not tried:
        return f"no {inside} are legal.", False
    if loops.outer is not None:
        _add_loop(analysis, loops, loops.counts[-1], rings)
    hidden = hidden or _with_more_slots(analysis, loops, rings)
    numbers = " or ".join(map(str, tried))
    slots = "" if analysis.options["slots"] is None else ", with any number of slots"
    return hidden or f"not hidden by {numbers} {inside}{slots}.", bool(hidden)


def _candidate(analysis: RecurrentAnalysis, loops: InnerLoops, count: int) -> RingChange | None:
    """Return the change that puts some iterations inside; None where one may not stand there."""
    spec = analysis.with_mapping(loops.mapping(count))
    if spec is None:
        return None
    return RingChange("loop", loops.words(count), loops.text(count), spec, analysis.options)


def _add_loop(
    analysis: RecurrentAnalysis, loops: InnerLoops, count: int, rings: Sequence[Recurrence]
) -> RingOutcome | None:
    candidate = _candidate(analysis, loops, count)
    return None if candidate is None else analysis.add(candidate, rings)


def _with_more_slots(
    analysis: RecurrentAnalysis, loops: InnerLoops, rings: Sequence[Recurrence]
) -> str:
    """Add the change with the fewest iterations, and then slots, that hide some recurrences.

    More slots never make a recurrence slower. Returns the numbers in a sentence; empty where there
    are none.
    """
    if analysis.options["slots"] is None:
        return ""
    best = None
    for count in loops.counts:
        candidate = _candidate(analysis, loops, count)
        if candidate is None:
            continue
        unlimited = replace(candidate, options={**candidate.options, "slots": None})
        outcome = analysis.analyzed(unlimited, rings)
        if outcome is None:
            continue
        if outcome.hides:
            slots = _fewest_slots(analysis, candidate, rings)
            return (
                f"slots are the limit: hidden from {count} iterations of {loops.name} inside the"
                f" loop over {rings[0].variable} with {slots}."
            )
        ratio = outcome.ratio
        if ratio is None or (best is not None and ratio >= best):
            return ""
        best = ratio
    return ""


def _fewest_slots(
    analysis: RecurrentAnalysis, candidate: RingChange, rings: Sequence[Recurrence]
) -> str:
    """Add a change with the fewest slots that hide some recurrences, which unlimited ones do."""
    tried: dict[int | None, RingOutcome | None] = {}

    def options(more: int | None) -> dict[str, Any]:
        slots = None if more is None else _more_slots(analysis, more)
        return {**candidate.options, "slots": slots}

    def hides(more: int | None) -> bool:
        tried[more] = outcome = analysis.analyzed(replace(candidate, options=options(more)), rings)
        return outcome is not None and outcome.hides

    more = least(hides, _MOST_SLOTS)
    slots = options(more)["slots"]
    counted = f"{more} more slots everywhere"
    if slots is None:
        counted = "unlimited slots"
        hides(None)
    elif isinstance(slots, int):
        counted = f"{slots} slots"
    outcome = tried[more]
    assert outcome is not None, "it hides the recurrences"
    changed = replace(
        candidate,
        what=f"{candidate.what}, {counted}",
        write=f"{candidate.write}; schedule: {{slots: {_flow(slots)}}}",
        options=options(more),
    )
    analysis.keep(changed, rings, outcome)
    return f"{counted} on ({outcome.rate})"


def _more_slots(analysis: RecurrentAnalysis, more: int) -> int | dict[str, int | None]:
    """Return the option with more slots for every holder that has a limited number."""
    slots = analysis.options["slots"]
    if isinstance(slots, int):
        return slots + more
    every = {**dict.fromkeys(analysis.spec.workload.tensors, DEFAULT_SLOTS), **slots}
    return {name: None if count is None else count + more for name, count in every.items()}


def _flow(value: Any) -> str:
    """Return slots as YAML on one line."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{name}: {_flow(count)}" for name, count in value.items()) + "}"
    return "unlimited" if value is None else str(value)
