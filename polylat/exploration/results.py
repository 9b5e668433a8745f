"""The evaluated variants of a mapping and their front, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from polylat.exploration.choice import Choice
from polylat.exploration.pareto import Outcome
from polylat.exploration.space import Space
from polylat.exploration.variant_input import variant_spec
from polylat.numbers import Number
from polylat.spec import Spec

__all__ = ["ExplorationData", "ResultData"]


@dataclass(frozen=True)
class ResultData:
    """One evaluated variant.

    Parameters
    ----------
    number
        Its number in the space.
    choice
        The choices that it consists of, as plain data.
    latency
        In the architecture's unit of time; None if the variant is illegal: see `error`.
    order
        The order of the ports in the schedule.
    keeps_barriers
        Whether it is a schedule of the mapping with every Pipeline as Sequential.
    exact
        Whether the latency is exact; otherwise it is an upper bound.
    peaks
        Memory → the most bits that one unit of it holds at a time, in the stage that holds most;
        None if that is not determined.
    error
        Why the variant is illegal; otherwise empty.
    energy
        In the architecture's unit of energy; None if it is no objective, or the variant is illegal.
    """

    number: int
    choice: Choice
    latency: Number | None
    order: str
    keeps_barriers: bool
    exact: bool
    peaks: Mapping[str, Number | None]
    error: str
    energy: Number | None
    _space: Space = field(repr=False, compare=False, kw_only=True)

    @cached_property
    def spec(self) -> Spec:
        """The input with this choice; `analyze` of it needs no options."""
        return variant_spec(self._space, self.choice)


@dataclass(frozen=True)
class ExplorationData:
    """The evaluated variants of a mapping, and their Pareto front.

    Parameters
    ----------
    objectives
        Names of the minimized objectives.
    variants
        Number of variants in the space.
    excluded
        Number of variants that were not evaluated, because their lower bounds exclude them from
        the front.
    complete
        Whether all other variants were evaluated.
    remarks
        Remarks on the file of results.
    """

    objectives: tuple[str, ...]
    variants: int
    excluded: int
    complete: bool
    remarks: tuple[str, ...]
    _space: Space = field(repr=False)
    _front: tuple[int, ...] = field(repr=False)
    _outcomes: Mapping[int, Outcome] = field(repr=False)

    @cached_property
    def results(self) -> tuple[ResultData, ...]:
        """The evaluated variants, in the order of their numbers."""
        return tuple(self._result(number) for number in sorted(self._outcomes))

    @cached_property
    def front(self) -> tuple[ResultData, ...]:
        """The Pareto front: the first variant of each point that no other point dominates.

        A point (the values of the objectives) dominates another one if it is no larger in any
        objective and smaller in at least one. The results are in lexicographic order of these
        values.
        """
        return tuple(self._result(number) for number in self._front)

    @property
    def best(self) -> ResultData | None:
        """The first result of the front; None if no evaluated variant is legal."""
        return self.front[0] if self.front else None

    @property
    def illegal(self) -> int:
        """Number of evaluated variants that are illegal."""
        return sum(outcome.latency is None for outcome in self._outcomes.values())

    @property
    def evaluated(self) -> int:
        """Number of evaluated variants."""
        return len(self._outcomes)

    @property
    def exact(self) -> bool:
        """Whether the front is exact: complete, and all latencies and peaks are exact."""
        return self.complete and all(
            outcome.exact and all(peak is not None for _, peak in outcome.peaks)
            for outcome in self._outcomes.values()
            if outcome.latency is not None
        )

    def _result(self, number: int) -> ResultData:
        outcome = self._outcomes[number]
        return ResultData(
            number,
            self._space.choice(number),
            outcome.latency,
            outcome.order,
            outcome.keeps_barriers,
            outcome.exact,
            dict(outcome.peaks),
            outcome.error,
            outcome.energy,
            _space=self._space,
        )
