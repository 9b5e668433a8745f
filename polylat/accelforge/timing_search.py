"""Time joined mappings in the order of their lower bounds, until no other one can be better."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from math import inf
from pathlib import Path
from typing import Any, Literal

from polylat.accelforge.candidates import Bounds, bound_mapping, time_mapping
from polylat.errors import OptionError, PolylatError, SpecError
from polylat.exploration.evaluate import Batch
from polylat.exploration.parallel import Run
from polylat.exploration.pareto import Outcome
from polylat.exploration.store import Store
from polylat.numbers import Number
from polylat.spec import Spec

__all__ = ["OBJECTIVES", "Candidate", "Goal", "Progress", "TimingSearch"]

Goal = Literal["latency", "energy", "edp"]
OBJECTIVES: tuple[Goal, ...] = ("latency", "energy", "edp")

_MOST_AT_ONCE = 64
"""Most mappings that are timed before their latencies exclude others."""

Progress = Callable[[int], object]
"""Called with the number of mappings that are done."""


@dataclass(frozen=True)
class Candidate:
    """A joined mapping and what is known of it so far.

    Parameters
    ----------
    number
        Its row in AccelForge's table.
    busy
        The lower bound on its latency from AccelForge's sums; 0 where these are none.
    spec, options
        As from `polylat.report.normalize_input`; None before it was converted.
    bounds
        polylat's lower bounds.
    outcome
        Its schedule; None before it was timed.
    error
        Why it cannot be analyzed; otherwise empty.
    """

    number: int
    busy: Fraction
    spec: Spec | None = None
    options: Mapping[str, Any] | None = None
    bounds: Bounds | None = None
    outcome: Outcome | None = None
    error: str = ""

    @property
    def least_latency(self) -> Number:
        """The largest lower bound on the latency."""
        known = self.bounds
        return self.busy if known is None else max(self.busy, known.latency)

    @property
    def latency(self) -> Number | None:
        """The latency; None where it is not known."""
        return None if self.outcome is None else self.outcome.latency

    @cached_property
    def fits(self) -> bool | None:
        """Whether no memory exceeds its size; None where that is not known."""
        if self.outcome is None or self.spec is None:
            return None
        sizes: dict[str, Fraction] = {}
        for leaf in self.spec.mapping.leaves():
            for component in self.spec.arch.paths[leaf.einsum]:
                if component.kind == "Memory" and component.size is not None:
                    known = sizes.get(component.name, component.size)
                    sizes[component.name] = min(known, component.size)
        unknown = False
        for memory, peak in self.outcome.peaks:
            if memory in sizes and peak is not None and peak > sizes[memory]:
                return False
            unknown |= peak is None
        return None if unknown else True

    def value(self, goal: Goal) -> Number | None:
        """Return the objective of its schedule.

        Parameters
        ----------
        goal
            The objective.

        Returns
        -------
        Number or None
            Its value; None where it is not known.
        """
        if self.outcome is None or self.outcome.latency is None:
            return None
        latency, energy = self.outcome.latency, self.outcome.energy
        if goal == "latency":
            return latency
        if energy is None:
            return None
        return energy if goal == "energy" else energy * latency

    def least(self, goal: Goal) -> Number:
        """Return a lower bound on the objective.

        Parameters
        ----------
        goal
            The objective.

        Returns
        -------
        Number
            The bound; 0 where none is known.
        """
        latency = self.least_latency
        if goal == "latency":
            return latency
        energy = None if self.bounds is None else self.bounds.energy
        if energy is None:
            return 0
        least = energy.at(latency)
        return least if goal == "energy" else least * latency


class _NotABoundError(Exception):
    """AccelForge's sums are no lower bound."""


class TimingSearch:
    """Times candidates until the best is known.

    Parameters
    ----------
    goal
        The objective.
    convert
        Number of a candidate → its input and options, as from `polylat.report.normalize_input`.
    progress
        Called with the number of candidates that are done.
    """

    def __init__(
        self,
        goal: Goal,
        convert: Callable[[int], tuple[Spec, Mapping[str, Any]]],
        progress: Progress,
    ) -> None:
        self.goal = goal
        self.found: dict[int, Candidate] = {}
        """Number of a candidate → what is known of it."""
        self.trusted = True
        """Whether AccelForge's sums are lower bounds, as far as candidates have shown."""
        self._convert = convert
        self._progress = progress
        self._store: Store | None = None
        self._incumbent: Number | float = inf
        """The least objective of a candidate that fits its memories."""

    def open_store(self, path: Path, key: str, count: int) -> str:
        """Use a file of results; return a remark on it.

        Parameters
        ----------
        path, key
            The file, and the fingerprint of the search.
        count
            Number of candidates.

        Returns
        -------
        str
            What was done about a damaged file; otherwise empty.

        Raises
        ------
        StoreError
            The file cannot be used.
        """
        self._store = Store(path, key, count, _is_result)
        self._store.read()
        return self._store.remark

    @property
    def kept(self) -> int:
        """Number of candidates that were timed, now or before."""
        stored = {} if self._store is None else self._store.finished
        timed = {number for number, c in self.found.items() if c.outcome is not None}
        return len(timed | stored.keys())

    def run(self, candidates: Sequence[Candidate], run: Run, first: int | None = None) -> None:
        """Time candidates, except those that cannot be better than the best.

        Parameters
        ----------
        candidates
            The candidates.
        run
            Runs functions in processes.
        first
            The number of a candidate that is always timed.

        Raises
        ------
        SpecError
            An energy is needed, and the architecture does not give it.
        OptionError
            An option cannot be used.
        """
        self.found.update((c.number, c) for c in candidates)
        numbers = [c.number for c in candidates]
        try:
            self._run(numbers, run, first)
        except _NotABoundError:
            # Without them, every candidate has polylat's bounds only.
            self.trusted = False
            for number, candidate in self.found.items():
                self.found[number] = replace(candidate, busy=Fraction(0))
            self._run(numbers, run, first)

    def _run(self, numbers: Sequence[int], run: Run, first: int | None) -> None:
        order = sorted(numbers, key=lambda n: (self.found[n].busy, n))
        start = [n for n in order if n == first] + order[:1]
        self._time([self._bounded(n) for n in dict.fromkeys(start) if not self._done(n)], run)
        left = []
        for number in order:
            # The other objectives have no bound before the mapping is converted.
            known = self.goal == "latency" and self.found[number].busy >= self._incumbent
            if not known and not self._done(number):
                self._bounded(number)
                left.append(number)
        left.sort(key=lambda n: (self.found[n].least(self.goal), n))
        size = 1
        while left:
            turn, left = left[:size], left[size:]
            better = [n for n in turn if self.found[n].least(self.goal) < self._incumbent]
            self._time([self.found[n] for n in better], run)
            size = min(2 * size, _MOST_AT_ONCE)

    def _done(self, number: int) -> bool:
        candidate = self.found[number]
        return candidate.outcome is not None or bool(candidate.error)

    @property
    def best(self) -> Candidate | None:
        """The best candidate that fits its memories, of several the first; None if there is none.

        If none is known to fit: the best of those that may fit, else the best of all.
        """
        ranked = [
            ({True: 0, None: 1, False: 2}[c.fits], value, _energy(c), c.number, c)
            for c in self.found.values()
            if (value := c.value(self.goal)) is not None
        ]
        return min(ranked, key=lambda entry: entry[:4])[4] if ranked else None

    def _bounded(self, number: int) -> Candidate:
        """Convert a candidate and determine its bounds."""
        candidate = self.found[number]
        if candidate.bounds is not None or candidate.error:
            return candidate
        try:
            spec, options = self._convert(number)
            bounds = bound_mapping(spec, options)
        except OptionError:
            raise
        except PolylatError as error:
            found = Candidate(number, candidate.busy, error=str(error))
        else:
            if self.goal != "latency" and bounds.energy is None and bounds.latency:
                raise SpecError(
                    f"the objective {self.goal!r} needs energies, and the architecture lacks some",
                    fix="give the energy of every action, or choose objective='latency'",
                )
            if bounds.latency and candidate.busy > bounds.latency:
                raise _NotABoundError
            found = Candidate(number, candidate.busy, spec, options, bounds)
        self.found[number] = found
        return found

    def _time(self, candidates: Sequence[Candidate], run: Run) -> None:
        """Time candidates, or take what is stored of them."""
        stored = {} if self._store is None else self._store.finished
        left = []
        for candidate in candidates:
            number = candidate.number
            if candidate.error:
                self._progress(1)
            elif number in stored:
                self._add(number, stored[number].outcomes[0][1])
            else:
                left.append(candidate)
        calls = [(candidate.spec, candidate.options) for candidate in left]
        for place, outcome in run(_outcome, calls) if calls else ():
            number = left[place].number
            self._add(number, outcome)
            if self._store is not None:
                self._store.save(number, Batch(((number, outcome),), 0))

    def _add(self, number: int, outcome: Outcome) -> None:
        timed = None if outcome.latency is None else outcome
        candidate = replace(self.found[number], outcome=timed, error=outcome.error)
        self.found[number] = candidate
        value = candidate.value(self.goal)
        if candidate.fits and value is not None:
            self._incumbent = min(self._incumbent, value)
        self._progress(1)


def _energy(candidate: Candidate) -> Number | float:
    energy = None if candidate.outcome is None else candidate.outcome.energy
    return inf if energy is None else energy


def _is_result(number: int, batch: Batch) -> bool:
    """Return whether stored results can be those of a candidate."""
    return not batch.excluded and [n for n, _ in batch.outcomes] == [number]


def _outcome(spec: Spec, options: Mapping[str, Any]) -> Outcome:
    """Schedule a mapping; in any process."""
    try:
        timed = time_mapping(spec, options)
    except PolylatError as error:
        return Outcome(None, error=str(error))
    return Outcome(
        timed.latency,
        timed.order,
        exact=timed.exact,
        peaks=timed.peaks,
        energy=timed.energy,
    )
