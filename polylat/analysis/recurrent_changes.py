"""Changes that help against a recurrence: loops inside, small latencies, registers, staged inputs.

Each is an analysis of its own, so that buffer slots, ports and all other waits count.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from polylat.analysis.changes import Change
from polylat.analysis.recurrences import Recurrence
from polylat.analysis.recurrent_analysis import RecurrentAnalysis, WorkSpentError
from polylat.analysis.recurrent_holders import add_inner_memories, add_staged_inputs
from polylat.analysis.recurrent_latencies import add_latencies
from polylat.analysis.recurrent_loops import add_inner_loops
from polylat.engine.model import Model
from polylat.spec.names import KnownNames

__all__ = ["RecurrentChanges", "recurrent_changes"]

_MOST_RINGS = 4
"""Number of recurrences, the slowest first, for which changes are analyzed."""


@dataclass(frozen=True)
class RecurrentChanges:
    """Changes that help against recurrences.

    Parameters
    ----------
    changes
        The legal ones, each with its latency.
    remarks
        What the recurrences that are not hidden need to be so, in sentences.
    """

    changes: tuple[Change, ...] = ()
    remarks: tuple[str, ...] = ()


def recurrent_changes(
    model: Model,
    options: Mapping[str, Any],
    known: KnownNames,
    rings: Sequence[Recurrence],
) -> RecurrentChanges:
    """Analyze the changes that concern recurrences.

    Parameters
    ----------
    model
        The mapping.
    options
        All options of `analyze`, in their normal forms.
    known
        The names that exist.
    rings
        The recurrences of the mapping, the slowest first.

    Returns
    -------
    RecurrentChanges
        Per recurrence: its state in an inner memory, and its inputs staged. Per recurrence that
        takes longer than the busiest port: a loop inside the one that carries it, and the largest
        fixed latency with which it is hidden.
    """
    lowered = model.lowered
    analysis = RecurrentAnalysis(lowered.spec, lowered.leaves, options, known)
    try:
        _add_changes(analysis, rings[:_MOST_RINGS])
    except WorkSpentError:
        analysis.remarks.append(
            "Further changes against recurrences were not analyzed, as each takes long."
        )
    return RecurrentChanges(tuple(analysis.found.values()), tuple(analysis.remarks))


def _add_changes(analysis: RecurrentAnalysis, rings: Sequence[Recurrence]) -> None:
    by_loop: dict[int, list[Recurrence]] = {}
    for ring in rings:
        add_inner_memories(analysis, ring)
        add_staged_inputs(analysis, ring)
        if ring.binding:
            loop = analysis.leaves[ring.einsums[0]].temporal[ring.depth]
            by_loop.setdefault(loop.node, []).append(ring)
    for some in by_loop.values():
        add_inner_loops(analysis, some)
        add_latencies(analysis, some)
