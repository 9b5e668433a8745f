"""Follows a schedule in which tile iterations stand for others back in time.

The following is compiled (`polylat.schedule.backtrack`). Here it gets a schedule as plain arrays, and
what it found gets the user's words.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import pairwise

import numpy as np

from polylat.analysis.repetition import Digits, Item, Repetition, Served, Stay
from polylat.engine.solution import Solution
from polylat.errors import UnsupportedError
from polylat.lowering.durations import access_durations, tasks_by_block_and_port
from polylat.schedule.arrays import Ints, Times, concatenated_ranges, group_by_key, group_offsets
from polylat.schedule.backtrack import (
    BacktrackRecord,
    BacktrackTables,
    binding_reasons,
    coprime_moduli,
    residues,
    trace_critical_path,
)
from polylat.schedule.backtrack_kernels import CHILD, COUNT, LOST, PLACE, REASONS, SHAPE, SHIFT
from polylat.schedule.events import Precedences
from polylat.schedule.extrapolation import PeriodicTaskGraph
from polylat.schedule.reasons import PORT, START

__all__ = ["CriticalWalk"]


class CriticalWalk:
    """A schedule in which tile iterations stand for others, ready to be followed back in time.

    Parameters
    ----------
    solution
        The schedule.
    """

    def __init__(self, solution: Solution) -> None:
        model, timing = solution.model, solution.schedule
        plan = model.plan
        assert isinstance(plan, PeriodicTaskGraph)
        self.model = model
        self.timing = timing
        self.graph = plan.graph
        self.events = plan.events
        self.repeats = plan.repeats
        self.tiles = model.layout.tiles
        self.loops = len(plan.repeats.earlier)

    def reasons(self, tasks: Sequence[int]) -> list[int]:
        """What tasks that are looked at waited for; `PORT` where that cannot be followed."""
        chosen = np.array(tasks, dtype=np.int64)
        found: list[int] = binding_reasons(self._tables, chosen, START, PORT).tolist()
        return found

    def back(self) -> tuple[Item, ...]:
        """The critical path in order of time.

        Raises
        ------
        UnsupportedError
            What it waited for is not found.
        """
        if self.timing.makespan == 0:
            return ()
        trail, items, shapes = trace_critical_path(self._tables, self._last, START, PORT)
        if items == LOST:
            raise UnsupportedError(
                "the critical path cannot be followed through what repeats",
                where="mapping",
                fix="raise max_tiles, or use granularity='tile'",
            )
        return _Items(self._kinds[1], [t.depth for t in self.tiles], trail, items, shapes).forward()

    @cached_property
    def _last(self) -> int:
        """The end of the last task, of the foreground if there is such a one."""
        graph = self.graph
        ended = np.flatnonzero(self.timing.task_begin + graph.task_duration == self.timing.makespan)
        front = ended[graph.kind[graph.task_block[ended]] != 2]
        return int((front if len(front) else ended)[0]) + graph.blocks

    # Tables

    @cached_property
    def _tables(self) -> BacktrackTables:
        graph, timing = self.graph, self.timing
        n, events = graph.iterations, self.events
        count = graph.blocks + graph.tasks
        every = np.arange(count)
        iteration = events.iteration[:count]
        values = np.concatenate(
            (timing.begin, timing.fill_begin[n:], timing.task_begin + graph.task_duration)
        )
        after = np.full((self.loops, n), -1, dtype=np.int64)
        periods = np.ones((self.loops, n), dtype=np.int64)
        for stretch in self.repeats.stretches:
            after[stretch.where[1], stretch.stand] = stretch.after
            periods[stretch.where[1], stretch.stand] = stretch.periods + 1

        def like(rows: Ints) -> Ints:
            """Per event and loop, the event like it in another tile iteration."""
            found = np.full((count, self.loops), -1, dtype=np.int64)
            for k, row in enumerate(rows):
                there = row[iteration]
                some = np.flatnonzero(there >= 0)
                found[some, k] = events.at(every[some], there[some])
            return found

        earlier = like(self.repeats.earlier)
        moduli = coprime_moduli(self._most(values, earlier))
        own = np.lexsort((graph.sequence, graph.owner))
        served_start, served = group_by_key(graph.task_block, graph.blocks)
        wait_start, waits, rule, reason = self.waits
        return BacktrackTables(
            moduli=moduli,
            values=residues(values, moduli),
            durations=residues(graph.task_duration, moduli),
            iteration=_plain(iteration),
            earlier=earlier,
            after=like(after),
            periods=_plain(periods.T),
            kind=_plain(graph.kind),
            sequence=_plain(graph.sequence),
            task_block=_plain(graph.task_block),
            task_port=_plain(graph.task_port),
            task_kind=self._kinds[0],
            own_start=group_offsets(graph.owner, n),
            own=_plain(own),
            served_start=_plain(served_start),
            served=_plain(served),
            leaf=_plain(graph.leaf),
            **self._places(),
            **self._cuts(),
            wait_start=wait_start,
            wait_source=_plain(waits.source),
            wait_rule=rule,
            wait_reason=reason,
            wait_copies=_plain(waits.periods.T),
        )

    def _most(self, values: Times, earlier: Ints) -> int:
        """More than any time that the walk comes to, or difference between such times."""
        most = int(values.max(initial=0))
        trips = max((kept.trips for tiles in self.tiles for kept in tiles.kept), default=1)
        for column in earlier.T:
            some = np.flatnonzero(column >= 0)
            grown = abs(values[some] - values[column[some]])
            most += trips * int(grown.max(initial=0))
        return 2 * most * (trips + 1)

    def _places(self) -> dict[str, Ints]:
        """Where tile iterations are in the loops."""
        layout = self.model.layout
        keys = np.concatenate([tiles.keys for tiles in self.tiles])
        return {
            "digits": np.ascontiguousarray(layout.digits.T),
            "period": np.ascontiguousarray(layout.period_lengths.T),
            "keys": _plain(keys),
            "bases": np.array([*layout.bases, layout.iterations], dtype=np.int64),
        }

    def _cuts(self) -> dict[str, Ints]:
        """Which iterations of the loops are looked at, leaf by leaf."""
        count = np.zeros((len(self.tiles), self.loops), dtype=np.int64)
        trips = np.zeros_like(count)
        where, cuts = [], []
        for leaf, tiles in enumerate(self.tiles):
            for k, kept in enumerate(tiles.kept):
                count[leaf, k], trips[leaf, k] = kept.count, kept.trips
                for cut in kept.cuts:
                    stand = int(kept.digits[cut.place - cut.period])
                    where.append(leaf * self.loops + k)
                    cuts.append((cut.place, cut.period, cut.periods, stand))
        columns = np.array(cuts, dtype=np.int64).reshape(-1, 4).T
        names = ("cut_place", "cut_period", "cut_copies", "cut_stand")
        found = {name: _plain(column) for name, column in zip(names, columns, strict=True)}
        start = group_offsets(np.array(where, dtype=np.int64), count.size)
        return found | {"trips": trips, "places": count, "cut_start": start}

    @cached_property
    def waits(self) -> tuple[Ints, Precedences, Ints, Ints]:
        """Waits of starts and of ends of tasks: where each event's begin, they, rules, reasons.

        What waits for a block waits for its start and for each of its tasks: a rule is that of
        the edge, and which of these it is.
        """
        graph, repeats = self.graph, self.repeats
        n, blocks = graph.iterations, graph.blocks
        parts: list[tuple[Ints, Ints, Ints, Ints, Ints]] = []

        def add(source: Ints, target: Ints, periods: Ints | None, rule: Ints, reason: Ints) -> None:
            if periods is None:
                periods = np.zeros((self.loops, len(source)), dtype=np.int64)
            parts.append((source, target, periods, rule, reason))

        def of_edges(source: Ints, edge: Ints, periods: Ints, which: Ints | int) -> None:
            keep = np.flatnonzero(graph.edge_target[edge] < blocks)  # finishes are not walked to
            rule = graph.edge_rule[edge] * (graph.ports + 2) + which
            target, reason = graph.edge_target[edge], graph.edge_reason[edge]
            add(source[keep], target[keep], periods[:, keep], rule[keep], reason[keep])

        rules = repeats.rules
        port = graph.task_port[rules.source]
        of_edges(rules.source + blocks, rules.target, rules.periods, 2 + port)
        start, of_block = group_by_key(graph.task_block, blocks)
        alone = np.flatnonzero(graph.edge_source >= n)
        sizes = np.diff(start)[graph.edge_source[alone]]
        which, place = concatenated_ranges(start[graph.edge_source[alone]], sizes)
        task, edge = of_block[place], alone[which]
        of_edges(task + blocks, edge, graph.edge_periods[:, edge], 2 + graph.task_port[task])
        ready = np.where(graph.kind == 0, np.arange(blocks), graph.owner)
        every = np.arange(len(graph.edge_source))
        of_edges(ready[graph.edge_source], every, graph.edge_periods, 1)
        top = (int(graph.edge_rule.max(initial=0)) + 1) * (graph.ports + 2)
        fills = n + np.flatnonzero(graph.kind[n:] == 0)
        nothing = np.full(len(fills), START)
        add(fills, graph.owner[fills], None, top + graph.sequence[fills], nothing)
        top += int(graph.sequence.max(initial=0)) + 1
        chain = repeats.chain
        size = len(chain.source)
        add(chain.source, chain.target, chain.periods, np.full(size, top), np.full(size, START))
        assert self.timing.order is not None
        served = repeats.ports.of(self.timing.order)
        leaf = graph.leaf[graph.owner[graph.task_block[served.source]]]
        right = np.full(len(leaf), PORT)
        add(served.source + blocks, served.target + blocks, served.periods, leaf, right)

        source, target, rule, reason = (
            np.concatenate([part[k] for part in parts]) for k in (0, 1, 3, 4)
        )
        periods = np.concatenate([part[2] for part in parts], axis=1)
        order = np.lexsort((rule, target))
        waits = Precedences(source[order], target[order], periods[:, order])
        starts = group_offsets(target, blocks + graph.tasks)
        return starts, waits, _plain(rule[order]), _plain(reason[order])

    # Words

    @cached_property
    def _kinds(self) -> tuple[Ints, list[Served]]:
        """Per task, a number for what it is made of; and by number, that."""
        kinds: dict[Served, int] = {}
        number = np.zeros(self.graph.tasks, dtype=np.int64)
        for leaf, block, port, tasks, iterations in tasks_by_block_and_port(
            self.model.graph, self.model.layout
        ):
            parts = access_durations(
                self.model.lowered, self.model.costs, leaf, block, port, iterations
            )
            first, alike = _alike(len(tasks), [(which, times) for _, which, times in parts])
            known = []
            for task in first.tolist():
                made = []
                for what, which, times in parts:
                    at = int(np.searchsorted(which, task))
                    if at < len(which) and which[at] == task:
                        made.append((what, int(times[at])))
                known.append(kinds.setdefault(Served(leaf, tuple(made)), len(kinds)))
            number[tasks] = np.array(known, dtype=np.int64)[alike]
        return number, list(kinds)


def _alike(count: int, columns: Sequence[tuple[Ints, Times]]) -> tuple[Ints, Ints]:
    """Rows of a table with gaps that are equal.

    Parameters
    ----------
    count
        Number of rows.
    columns
        Per column, the rows that have something there, and what.

    Returns
    -------
    (first, group)
        The first row of each group, and the group of each row.
    """
    group = np.zeros(count, dtype=np.int64)
    first = np.zeros(min(count, 1), dtype=np.int64)
    for rows, values in columns:
        code = np.zeros(count, dtype=np.int64)
        code[rows] = np.unique(values, return_inverse=True)[1].reshape(-1) + 1
        _, first, group = np.unique(
            group * (len(values) + 1) + code, return_index=True, return_inverse=True
        )
    return first, group.reshape(-1)


class _Items:
    """What a walk found, latest first, as parts of a path in order of time.

    Parameters
    ----------
    kinds
        What tasks are made of, by kind.
    depths
        Number of loops per leaf.
    trail, items, shapes
        What the walk found.
    """

    def __init__(
        self,
        kinds: Sequence[Served],
        depths: Sequence[int],
        trail: BacktrackRecord,
        items: int,
        shapes: int,
    ) -> None:
        self.kinds = kinds
        self.depths = depths
        self.shape: list[int] = trail.items[SHAPE, :items].tolist()
        self.start: list[int] = trail.items[PLACE, : items + 1].tolist()
        self.digits = trail.places[: self.start[-1], :-1]
        self.count: list[int] = trail.shapes[COUNT, :shapes].tolist()
        child, shift = trail.shapes[[CHILD, SHIFT], : shapes + 1].tolist()
        self.children = [trail.children[a:b].tolist() for a, b in pairwise(child)]
        self.shift = [trail.shifts[a:b] for a, b in pairwise(shift)]
        self.stays = REASONS * len(kinds)

    def forward(self) -> tuple[Item, ...]:
        """The path."""
        digits = self.digits.copy()
        # A round that is the first on the way back is the last in order of time.
        for shape, start in zip(self.shape, self.start, strict=False):
            if shape >= self.stays:
                by = self._turn[shape - self.stays]
                digits[start : start + len(by)] += by
        places = iter(digits[::-1].tolist())
        return tuple(self._item(shape, places) for shape in reversed(self.shape))

    def _item(self, shape: int, places: Iterator[list[int]]) -> Item:
        if shape < self.stays:
            served = self.kinds[shape // REASONS]
            digits = tuple(next(places)[: self.depths[served.leaf]])
            return Stay(served, digits, shape % REASONS)
        number = shape - self.stays
        body = tuple(self._item(child, places) for child in reversed(self.children[number]))
        return Repetition(body, self.count[number], self._back[number])

    @cached_property
    def _turn(self) -> list[Ints]:
        """Per repetition, how far its places in the last round, of all within it, are from here."""
        found: list[Ints] = []
        for count, children, shift in zip(self.count, self.children, self.shift, strict=True):
            by = (count - 1) * shift
            at = 0
            for child in children:
                inner = found[child - self.stays] if child >= self.stays else by[:0]
                by[at : at + len(inner)] += inner
                at += max(len(inner), 1)
            found.append(by)
        return found

    @cached_property
    def _leaves(self) -> list[list[int]]:
        """Per repetition, the leaf of each place."""
        found: list[list[int]] = []
        for children in self.children:
            mine = []
            for child in children:
                if child < self.stays:
                    mine.append(self.kinds[child // REASONS].leaf)
                else:
                    mine += found[child - self.stays]
            found.append(mine)
        return found

    @cached_property
    def _back(self) -> list[tuple[Digits, ...]]:
        """Per repetition, the shifts in order of time."""
        return [
            tuple(
                tuple(row[: self.depths[leaf]])
                for row, leaf in zip((-shift[::-1]).tolist(), reversed(leaves), strict=True)
            )
            for shift, leaves in zip(self.shift, self._leaves, strict=True)
        ]


def _plain(values: Ints) -> Ints:
    """As the compiled code takes it: 64 bits, contiguous."""
    return np.ascontiguousarray(values, dtype=np.int64)
