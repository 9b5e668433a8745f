"""Analyze changes that concern recurrences, and whether they hide them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from typing import Any

from polylat.analysis.changes import Change, ChangeKind
from polylat.analysis.occupancy import occupancies
from polylat.analysis.recurrences import Recurrence, recurrences
from polylat.analysis.variation import Rescheduled, reschedule_with_choice
from polylat.analysis.work import MOST_WORK, work_of
from polylat.engine.solution import Solution
from polylat.errors import PolylatError, UnsupportedError
from polylat.lowering.holder_tiles import memory_sizes
from polylat.lowering.paths import Leaf
from polylat.numbers import format_number, percent
from polylat.spec import Spec
from polylat.spec.mapping import Branch
from polylat.spec.names import KnownNames, known_names
from polylat.spec.options import without_missing
from polylat.spec.reading.mapping_paths import check_paths

__all__ = ["RecurrentAnalysis", "RingChange", "RingOutcome", "WorkSpentError", "least"]


class WorkSpentError(Exception):
    """No further change is analyzed."""


@dataclass(frozen=True)
class RingChange:
    """A change that may help against recurrences.

    Parameters
    ----------
    kind, what, write
        As of `Change`.
    spec, options
        The input with the change, and the options of `analyze` in their normal forms.
    component
        The component that has smaller fixed latencies; None for other changes.
    """

    kind: ChangeKind
    what: str
    write: str
    spec: Spec
    options: Mapping[str, Any]
    component: str | None = None


@dataclass(frozen=True)
class RingOutcome:
    """What a change gives.

    Parameters
    ----------
    found
        Its latency.
    hides
        Whether the recurrences take no longer than the busiest port.
    slowest
        The slowest of the recurrences; None where their times are not known.
    chosen
        The schedule.
    """

    found: Rescheduled
    hides: bool
    slowest: Recurrence | None
    chosen: Solution

    @property
    def ratio(self) -> Fraction | None:
        """The time of the slowest recurrence by that of the busiest port; None: not known."""
        ring = self.slowest
        return Fraction(ring.interval) / Fraction(ring.busy) if ring and ring.busy else None

    @property
    def rate(self) -> str:
        """The time of the slowest recurrence, and that of the busiest port, in words."""
        ring = self.slowest
        if ring is None or not ring.ports:
            return "not determined"
        return (
            f"{format_number(ring.interval)} per iteration of {ring.variable}, port"
            f" {ring.ports[0][0]} {format_number(ring.busy)}"
        )


class RecurrentAnalysis:
    """The changes of one mapping that concern its recurrences.

    Parameters
    ----------
    spec, leaves
        The input, and the leaves of its mapping.
    options
        All options of `analyze`, in their normal forms.
    known
        The names that exist.
    """

    def __init__(
        self, spec: Spec, leaves: Sequence[Leaf], options: Mapping[str, Any], known: KnownNames
    ) -> None:
        self.spec = spec
        self.leaves = {leaf.einsum.name: leaf for leaf in leaves}
        self.options = options
        self.known = known
        self.found: dict[str, Change] = {}
        """The legal changes, by their words."""
        self.remarks: list[str] = []
        """What recurrences need to be hidden, in sentences."""
        self._left = MOST_WORK

    def analyzed(self, candidate: RingChange, rings: Sequence[Recurrence]) -> RingOutcome | None:
        """Analyze a change.

        Parameters
        ----------
        candidate
            The change.
        rings
            The recurrences that it concerns.

        Returns
        -------
        RingOutcome or None
            What it gives; None where it is illegal.

        Raises
        ------
        WorkSpentError
            The changes before have taken too many tile iterations.
        """
        if self._left <= 0:
            raise WorkSpentError
        found, choice = reschedule_with_choice(candidate.spec, candidate.options)
        if choice is None:
            return None
        self._left -= work_of(choice.solved.model)
        names = {ring.einsums for ring in rings}
        try:
            left = [r for r in recurrences(choice.solved.unlimited) if r.einsums in names]
        except PolylatError:
            left = []
        hides = len(left) >= len(names) and not any(ring.binding for ring in left)
        slowest = max(left, key=lambda ring: ring.interval, default=None)
        return RingOutcome(found, hides, slowest, choice.chosen)

    def add(self, candidate: RingChange, rings: Sequence[Recurrence]) -> RingOutcome | None:
        """Analyze a change, and keep it if it is legal.

        Parameters
        ----------
        candidate, rings
            As for `analyzed`.

        Returns
        -------
        RingOutcome or None
            What it gives; None where it is illegal, or known already.
        """
        if candidate.what in self.found:
            return None
        outcome = self.analyzed(candidate, rings)
        if outcome is not None:
            self.keep(candidate, rings, outcome)
        return outcome

    def keep(
        self, candidate: RingChange, rings: Sequence[Recurrence], outcome: RingOutcome
    ) -> None:
        """Keep a change.

        Parameters
        ----------
        candidate, rings
            As for `analyzed`.
        outcome
            What it gives.
        """
        spec = candidate.spec
        known = known_names(spec.workload, spec.arch.order, spec.mapping)
        self.found[candidate.what] = Change(
            candidate.kind,
            candidate.what,
            replace(spec, schedule=without_missing(candidate.options, known)),
            candidate.component,
            None,
            outcome.found,
            candidate.write,
            rings[0].einsums,
            outcome.hides if any(ring.binding for ring in rings) else None,
            self._overflow(outcome.chosen),
        )

    def tell(self, rings: Sequence[Recurrence], *sentences: str) -> None:
        """Add sentences on recurrences.

        Parameters
        ----------
        rings
            The recurrences, the slowest first.
        *sentences
            What is to be said.
        """
        name = " → ".join(rings[0].einsums)
        more = f" and {len(rings) - 1} more" if len(rings) > 1 else ""
        self.remarks += [f"Recurrence {name}{more}: {sentence}" for sentence in sentences]

    def with_mapping(self, mapping: Branch) -> Spec | None:
        """Return the input with another mapping.

        Parameters
        ----------
        mapping
            The root of the mapping.

        Returns
        -------
        Spec or None
            The input; None where a loop or a holder may not stand there.
        """
        try:
            check_paths(mapping, self.spec.workload, self.spec.arch)
        except PolylatError:
            return None
        return replace(self.spec, mapping=mapping)

    @cached_property
    def _limited(self) -> bool:
        """Whether a memory is limited."""
        return bool(memory_sizes(self.spec, list(self.leaves.values())))

    def _overflow(self, chosen: Solution) -> str:
        """Say which memories do not hold what a change needs; empty if all do."""
        if not self._limited:
            return ""
        try:
            full = [m for m in occupancies(chosen) if m.exceeded]
        except UnsupportedError:
            return ""
        return ", ".join(
            f"{m.name} would hold {format_number(m.peak)} of {format_number(m.size)} bits"
            f" ({percent(m.peak, m.size)})"
            for m in full
            if m.size is not None
        )


def least(holds: Callable[[int], bool], most: int) -> int | None:
    """Return the least number for which a condition holds that then holds for all larger ones.

    Parameters
    ----------
    holds
        The condition.
    most
        The largest number to try, at least 1.

    Returns
    -------
    int or None
        The number, from 1 on; None where the condition does not hold for `most`.

    Examples
    --------
    >>> least(lambda number: number * number >= 50, 100), least(lambda number: False, 100)
    (8, None)
    """
    low, high = 0, 1
    while not holds(high):
        if high == most:
            return None
        low, high = high, min(2 * high, most)
    while high - low > 1:
        middle = (low + high) // 2
        if holds(middle):
            high = middle
        else:
            low = middle
    return high
