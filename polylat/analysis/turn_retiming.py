"""Retiming of a schedule in which the leaves run one after another: a closed form."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from functools import cached_property
from math import lcm

import numpy as np

from polylat.analysis.access import AccessKey
from polylat.analysis.evaluation import CriticalTotals, Evaluation, busiest_loads, duration_parts
from polylat.engine.solution import Solution
from polylat.numbers import Number, reduce_number
from polylat.schedule.arrays import Ints, Times

__all__ = ["TurnRetimer"]


class TurnRetimer:
    """Times a schedule anew in which leaves run one after another.

    Of every *turn* of a leaf, its tile iterations between two barriers, the busiest port says how
    long it takes.

    Parameters
    ----------
    solution
        The schedule: no Pipeline, no prefetched fills, nothing in the background.
    now
        Its critical path: by access, how long those on it take.
    """

    def __init__(self, solution: Solution, now: CriticalTotals) -> None:
        model = solution.model
        self.solution = solution
        self._model = model
        self._now = now
        self._parts = tuple(duration_parts(model))

    @cached_property
    def loads(self) -> Mapping[AccessKey, Number]:
        """What takes time, and for how long it keeps its busiest port busy at scale 1."""
        return busiest_loads(self._model, self._parts)

    def evaluate(
        self,
        scales: Mapping[AccessKey, Fraction],
        /,
        *,
        quick: bool = False,  # noqa: ARG002 - nothing else is sampled at
    ) -> Evaluation:
        """The latency with all durations of some accesses scaled; see `Retimer`."""
        used = {key: Fraction(scales.get(key, 1)) for key in self.loads}
        scale = self._model.costs.scale
        if all(factor == 1 for factor in used.values()):
            # Where several ports are as busy, those of the report's critical path.
            latency = self.solution.makespan
            return Evaluation(latency, used, self._now)
        unit = lcm(*(factor.denominator for factor in used.values()))
        ports, (times, rows) = self._model.graph.ports, self._turns
        busy = np.full(len(times) * ports, 0, dtype=object)
        for key, (where, steps) in rows.items():
            busy[where] += steps * int(used[key] * unit)
        by_turn = busy.reshape(len(times), ports)
        busiest = np.arange(len(times)) * ports + by_turn.argmax(axis=1)
        counts = np.full(len(busy), 0, dtype=object)
        counts[busiest] = times
        found = {key: int((steps * counts[where]).sum()) for key, (where, steps) in rows.items()}
        unscaled = {key: reduce_number(Fraction(n, scale)) for key, n in found.items() if n}
        latency = reduce_number(Fraction(int((busy * counts).sum()), scale * unit))
        return Evaluation(latency, used, lambda: unscaled)

    @cached_property
    def _turns(self) -> tuple[Times, Mapping[AccessKey, tuple[Ints, Times]]]:
        """Turns of leaves, and how long they keep which ports busy.

        Returns
        -------
        (times, rows)
            Per turn, how often there is one like it. By access, where (turn times the number of
            ports plus the port) and for how long.
        """
        graph, layout = self._model.graph, self._model.layout
        turn_of = np.zeros(graph.iterations, dtype=np.int64)
        inner = np.full(graph.iterations, 1, dtype=object)
        times: list[int] = []
        for tiles, base in zip(layout.tiles, layout.bases, strict=True):
            depth = max((split.depth for split in tiles.leaf.splits), default=0)
            mine = slice(base, base + tiles.size)
            firsts = tiles.firsts(depth)
            turn = np.searchsorted(firsts, np.arange(tiles.size), side="right") - 1
            turn_of[mine] = len(times) + turn
            outer = np.full(tiles.size, 1, dtype=object)
            for k, kept in enumerate(tiles.kept):
                many = outer if k < depth else inner[mine]
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
