"""Retiming of a schedule in which the leaves run one after another: a closed form."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from fractions import Fraction
from functools import cached_property
from math import lcm

import numpy as np

from polylat.analysis.access import AccessKey
from polylat.analysis.evaluation import CriticalTotals, Evaluation, busiest_loads, duration_parts
from polylat.analysis.periodic_retiming import PeriodicRetimer
from polylat.engine.solution import Solution
from polylat.errors import UnsupportedError
from polylat.numbers import Number, reduce_number
from polylat.schedule.arrays import Ints, Times

__all__ = ["TurnRetimer"]


class TurnRetimer:
    """Retimes a schedule in which the leaves run one after another.

    A *turn* of a leaf is its tile iterations between two barriers. It takes the busy time of its
    busiest port; the latency is the sum over the turns.

    Parameters
    ----------
    solution
        The schedule: no Pipeline, no separate transfers.
    now
        Computes, per access, the time on its critical path.
    """

    def __init__(self, solution: Solution, now: CriticalTotals) -> None:
        model = solution.model
        self.solution = solution
        self._model = model
        self._now = now
        self._parts = tuple(duration_parts(model))

    @cached_property
    def loads(self) -> Mapping[AccessKey, Number]:
        """Access → busy time of its busiest port at scale 1; accesses without any are missing."""
        return busiest_loads(self._model, self._parts)

    def evaluate(
        self,
        scales: Mapping[AccessKey, Fraction],
        /,
        *,
        quick: bool = False,  # noqa: ARG002 - no other sample is required
    ) -> Evaluation:
        """Return the latency with scaled durations, see `Retimer`.

        Parameters
        ----------
        scales
            (Einsum, component, tensor or None, action) → the factor of its durations, or 1.
        quick
            Not used.

        Returns
        -------
        Evaluation
            The latency, and a critical path.
        """
        used = {key: Fraction(scales.get(key, 1)) for key in self.loads}
        scale = self._model.costs.scale
        if all(factor == 1 for factor in used.values()):
            # Of several equally busy ports, the report's critical path says which are critical.
            latency = self.solution.makespan
            return Evaluation(latency, used, self._now)
        unit = lcm(*(factor.denominator for factor in used.values()))
        ports, (times, rows) = self._model.graph.ports, self._turns
        busy = np.full(len(times) * ports, 0, dtype=object)
        for key, (where, steps) in rows.items():
            busy[where] += steps * int(used[key] * unit)
        by_turn = busy.reshape(len(times), ports)
        busiest = np.arange(len(times)) * ports + by_turn.argmax(axis=1)
        equal = (by_turn == by_turn.max(axis=1, keepdims=True)) & (by_turn > 0)
        counts = np.full(len(busy), 0, dtype=object)
        counts[busiest] = times
        found = {key: int((steps * counts[where]).sum()) for key, (where, steps) in rows.items()}
        unscaled = {key: reduce_number(Fraction(n, scale)) for key, n in found.items() if n}
        latency = reduce_number(Fraction(int((busy * counts).sum()), scale * unit))
        if not (equal.sum(axis=1) > 1).any():
            return Evaluation(latency, used, lambda: unscaled)

        def trace() -> Mapping[AccessKey, Number]:
            # Of several equally busy ports, the path of the schedule says which are critical.
            with suppress(UnsupportedError):
                return self._sampled.evaluate(used, quick=True).unscaled
            return unscaled

        return Evaluation(latency, used, trace)

    @cached_property
    def _sampled(self) -> PeriodicRetimer:
        return PeriodicRetimer(self.solution, self._now)

    @cached_property
    def _turns(self) -> tuple[Times, Mapping[AccessKey, tuple[Ints, Times]]]:
        """The turns of the leaves, and the busy times in each.

        (times, rows): the number of equal turns that each represents, shape (turns,); and, per
        access, the entries of a table of turns and ports, flattened, and the busy time of each, in
        steps of time.
        """
        graph, layout = self._model.graph, self._model.layout
        turn_of = np.zeros(graph.iterations, dtype=np.int64)
        inner = np.full(graph.iterations, 1, dtype=object)
        times: list[int] = []
        for tiles, base in zip(layout.tiles, layout.bases, strict=True):
            depth = max((split.depth for split in tiles.leaf.splits), default=0)
            of_leaf = slice(base, base + tiles.size)
            firsts = tiles.firsts(depth)
            turn = np.searchsorted(firsts, np.arange(tiles.size), side="right") - 1
            turn_of[of_leaf] = len(times) + turn
            outer = np.full(tiles.size, 1, dtype=object)
            for k, kept in enumerate(tiles.kept):
                many = outer if k < depth else inner[of_leaf]
                many *= kept.multiplicity[tiles.places[k]].astype(object)
            times += outer[firsts].tolist()
        rows: dict[AccessKey, tuple[Ints, Times]] = {}
        owner = graph.owner[graph.task_block]
        for part in self._parts:
            at = turn_of[owner[part.tasks]] * graph.ports + graph.task_port[part.tasks]
            where, steps = rows.get(part.key, (at[:0], inner[:0]))
            where, which = np.unique(np.concatenate((where, at)), return_inverse=True)
            total = np.full(len(where), 0, dtype=object)
            more = part.steps.astype(object) * inner[owner[part.tasks]]
            np.add.at(total, which, np.concatenate((steps, more)))
            rows[part.key] = where, total
        return np.array(times, dtype=object), rows
