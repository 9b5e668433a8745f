"""What stands for what: from tile iterations that are looked at to a graph that can be timed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property

import numpy as np

from polylat.lowering.dependences.extend import through_skipped
from polylat.lowering.iterations import IrregularError, IterationTable
from polylat.lowering.numbering import Numbering
from polylat.lowering.sampling import LoopSample
from polylat.lowering.task_graph import logical_dates
from polylat.schedule.arrays import Ints
from polylat.schedule.events import EventNumbering, PortPrecedences, Precedences
from polylat.schedule.extrapolation import NotPeriodicError, PeriodicStructure, SkippedRange
from polylat.schedule.graph import TaskGraph
from polylat.schedule.work_conserving import ServiceAlternatives

__all__ = ["Served", "repeats", "rivals", "served_like", "shortened"]


def repeats(layout: Numbering, graph: TaskGraph, shifts: Mapping[int, Sequence[int]]) -> PeriodicStructure:
    """How the tile iterations of a task graph stand for others.

    Raises
    ------
    IrregularError
        They do not.
    """
    earlier = np.full((layout.depth, graph.iterations), -1, dtype=np.int64)
    for tiles, base in zip(layout.tiles, layout.bases, strict=True):
        mine = tiles.earlier
        earlier[: tiles.depth, base : base + tiles.size] = np.where(mine < 0, -1, mine + base)
    served = Served(layout, graph)
    program = _program(served)
    same = np.array_equal(graph.dates.program, graph.dates.skew)
    ends, rules = _finishes(served)
    return PeriodicStructure(
        earlier,
        _chain(layout),
        tuple(_stretches(layout)),
        PortPrecedences(program, program if same else _skew(served, shifts)),
        ends,
        rules,
        _skips(served),
    )


def _skips(served: Served) -> np.ndarray:
    """Per task, whether some are left out between it and the next of its block and port."""
    skips = np.zeros(served.graph.tasks, dtype=np.bool_)
    stream = (served.leaf * served.width + served.sequence) * served.graph.ports + served.port
    order = np.lexsort((served.iteration, stream))
    at = np.flatnonzero(stream[order[1:]] == stream[order[:-1]])
    before = np.empty_like(order)
    before[order[at + 1]] = order[at]
    for _, target, periods in served.waits(order[at], order[at + 1]):
        skips[before[target]] = periods.any(axis=0)
    return skips


def shortened(layout: Numbering, graph: TaskGraph, shifts: Mapping[int, Sequence[int]]) -> TaskGraph:
    """The task graph of the same loops without what is left out of them.

    Every loop has as many iterations as are looked at. What waits for something left out waits for
    what stands where that would be: so far behind the beginning of what is left out, or so far
    before its end, whichever is nearer.
    """
    whole = tuple(
        replace(tiles, kept=tuple(LoopSample(kept.count) for kept in tiles.kept))
        for tiles in layout.tiles
    )
    dates = logical_dates(replace(layout, tiles=whole), shifts)
    moved = np.flatnonzero(graph.edge_periods.any(axis=0))
    source = graph.edge_source.copy()
    events = EventNumbering(graph)
    owner = graph.owner[source[moved]]
    for leaf, (tiles, base) in enumerate(zip(layout.tiles, layout.bases, strict=True)):
        mine = moved[graph.leaf[owner] == leaf]
        position = graph.owner[source[mine]] - base
        places = tiles.places[:, position].copy()
        for k, kept in enumerate(tiles.kept):
            periods = graph.edge_periods[k, mine]
            for cut in kept.cuts:
                here = (places[k] < cut.place) & (places[k] >= cut.place - cut.period)
                here &= periods > 0
                near = np.where(periods <= cut.periods // 2, periods, periods - cut.periods)
                places[k, here] += (near * cut.period)[here]
            places[k] = np.clip(places[k], 0, kept.count - 1)
        there = tiles.at_places(places)
        found = events.block_at(base + np.maximum(there, 0), source[mine])
        known = (there >= 0) & (found >= 0)
        source[mine[known]] = found[known]
    none = np.zeros_like(graph.edge_periods)
    return replace(graph, edge_source=source, edge_periods=none, dates=dates)


def served_like(layout: Numbering, graph: TaskGraph, order: Ints, start: Ints) -> Precedences:
    """What ports serve before each task if they go on as they do in the shortened loops.

    Parameters
    ----------
    order, start
        Tasks in the order of service there, port by port; and where each port's begin.
    """
    served = Served(layout, graph)
    follows = np.ones(len(order), dtype=np.bool_)
    follows[start[:-1][start[:-1] < start[1:]]] = False
    at = np.flatnonzero(follows)
    source, periods = served.beside(order[at], order[at - 1])
    return Precedences(source, order[at], periods)


def rivals(layout: Numbering, graph: TaskGraph, order: Ints, start: Ints) -> ServiceAlternatives:
    """Per task, what else its port may have chosen: of each stream of blocks the next one.

    Parameters
    ----------
    order, start
        Tasks in the order of service in the shortened loops, port by port.
    """
    served = Served(layout, graph)
    stream = served.leaf * served.width + served.sequence
    first, width = (np.zeros(graph.tasks, dtype=np.int64) for _ in range(2))
    streams: list[Ints] = []
    columns: list[tuple[Ints, Ints, Ints]] = []
    for port in range(graph.ports):
        mine = order[start[port] : start[port + 1]]
        kinds = np.unique(stream[mine])
        width[mine] = len(kinds)
        first[mine] = sum(len(row) for row, _, _ in columns) + len(kinds) * np.arange(len(mine))
        for number, kind in enumerate(kinds):
            here = stream[mine] == kind
            other = mine[here]
            if (np.diff(served.iteration[other]) < 0).any():
                raise NotPeriodicError([])  # not served in order
            following = np.append(other, -1)[np.cumsum(here)]
            columns.append((first[mine] + number, np.full(len(mine), len(streams)), following))
            streams.append(other)
    columns.append((np.zeros(0, dtype=np.int64),) * 3)
    row, column, following = (np.concatenate(part) for part in zip(*columns, strict=True))
    tasks, gaps = np.repeat(order, width[order]), np.empty_like(row)
    periods = np.zeros((layout.depth, len(row)), dtype=np.int64)
    there = np.flatnonzero(following >= 0)
    following[there], periods[:, there] = served.beside(tasks[row[there]], following[there])
    # From task to task, down each column: a gap goes on while what follows is the same.
    new = np.ones(len(row), dtype=np.bool_)
    new[1:] = np.any([part[1:] != part[:-1] for part in (column, following, *periods)], axis=0)
    opens = np.flatnonzero(new)
    gaps[row] = np.repeat(np.arange(len(opens)), np.diff(opens, append=len(row)))
    following, periods = following[opens], periods[:, opens]
    # What comes before it comes so many periods later as it does itself.
    finals = np.array([other[-1] for other in streams], dtype=np.int64)
    previous, earlier = finals[column[opens]], np.zeros_like(periods)
    there = np.flatnonzero(following >= 0)
    previous[there], earlier[:, there] = served.shifted(
        *_within(served, streams), following[there], periods[:, there]
    )
    own, digits = served.digits(np.arange(graph.tasks)), served.digits(following, periods)
    return ServiceAlternatives(first, width, tasks, gaps, following, previous, periods, earlier, own, digits)


def _within(served: Served, streams: Sequence[Ints]) -> tuple[Ints, Ints]:
    """Per task of the graph, the one before it in its stream (-1: none), and copies of that."""
    previous = np.full(served.graph.tasks, -1, dtype=np.int64)
    periods = np.zeros((served.layout.depth, served.graph.tasks), dtype=np.int64)
    none = np.zeros(0, dtype=np.int64)
    tasks = np.concatenate([none, *(some[1:] for some in streams)])
    before = np.concatenate([none, *(some[:-1] for some in streams)])
    previous[tasks], periods[:, tasks] = served.beside(tasks, before)
    return previous, periods


def _finishes(served: Served) -> tuple[Precedences, Precedences]:
    """What a tile iteration's finish is made of: on each port the last task up to it.

    A port serves the tasks of a leaf in order, so that the last one ends last.

    Returns
    -------
    (ends, rules)
        Tasks and the tile iterations whose finish waits for them; tasks and the edges (by number)
        whose source's finish does.
    """
    layout, graph = served.layout, served.graph
    kinds = graph.kind[graph.task_block]
    ends: list[tuple[Ints, Ints, Ints]] = []
    rules: list[tuple[Ints, Ints, Ints]] = []
    edges = np.flatnonzero(graph.edge_source < graph.iterations)
    edge_leaf = served.block_leaf[graph.edge_source[edges]]
    for leaf, (tiles, base) in enumerate(zip(layout.tiles, layout.bases, strict=True)):
        mine = served.by_leaf[leaf]
        mine = mine[kinds[mine] != 2]
        ports = np.unique(served.port[mine])
        every = np.arange(tiles.size)
        nothing = np.zeros((tiles.depth, tiles.size), dtype=np.int64)
        some = edges[edge_leaf == leaf]
        position = graph.edge_source[some] - base
        periods = graph.edge_periods[: tiles.depth, some]
        for found, who, at, later in (
            (ends, base + every, every, nothing),
            (rules, some, position, periods),
        ):
            times = len(ports)
            source, which, copied = served.last(
                leaf, mine, np.repeat(ports, len(at)), np.tile(at, times), np.tile(later, times)
            )
            found.append((source, np.tile(who, times)[which], copied))
    return _joined(layout, ends), _joined(layout, rules)


def _chain(layout: Numbering) -> Precedences:
    parts = []
    for tiles, base in zip(layout.tiles, layout.bases, strict=True):
        waiting = np.arange(1, tiles.size)
        awaited, periods = through_skipped(tiles, waiting, tiles, waiting - 1, depth=tiles.depth)
        parts.append((base + awaited, base + waiting, periods))
    return _joined(layout, parts)


def _joined(layout: Numbering, parts: Sequence[tuple[Ints, Ints, Ints]]) -> Precedences:
    if not parts:
        empty = np.zeros(0, dtype=np.int64)
        return Precedences(empty, empty, np.zeros((layout.depth, 0), dtype=np.int64))
    columns = []
    for source, _, periods in parts:
        padded = np.zeros((layout.depth, len(source)), dtype=np.int64)
        padded[: len(periods)] = periods
        columns.append(padded)
    return Precedences(
        np.concatenate([p[0] for p in parts]),
        np.concatenate([p[1] for p in parts]),
        np.concatenate(columns, axis=1),
    )


def _stretches(layout: Numbering) -> list[SkippedRange]:
    """Per loop and cut, the tile iterations around what is left out.

    Raises
    ------
    IrregularError
        An access is not the same before and behind it.
    """
    found = []
    for leaf, (tiles, base) in enumerate(zip(layout.tiles, layout.bases, strict=True)):
        for k, kept in enumerate(tiles.kept):
            for number, cut in enumerate(kept.cuts):
                place = tiles.places[k]
                stand = np.flatnonzero((place >= cut.place - cut.period) & (place < cut.place))
                places = tiles.places[:, stand].copy()
                before, after = places.copy(), places.copy()
                before[k] -= cut.period
                after[k] += cut.period
                earlier, later = _tiles_at(tiles, before), _tiles_at(tiles, after)
                for block in layout.blocks[leaf]:
                    for access in block.accesses:
                        counts = np.zeros(tiles.size, dtype=np.int64)
                        counts[access.iterations] = access.counts
                        if (counts[stand] != counts[earlier]).any() or (
                            counts[stand] != counts[later]
                        ).any():
                            raise NotPeriodicError([(leaf, k, number)])
                found.append(
                    SkippedRange(
                        (leaf, k, number), cut.periods, base + stand, base + earlier, base + later
                    )
                )
    return found


def _tiles_at(tiles: IterationTable, places: Ints) -> Ints:
    found = tiles.at_places(places)
    if (found < 0).any():
        raise IrregularError("what stands for others does not exist everywhere")
    return found


class Served:
    """Tasks of a leaf on a port, in order."""

    def __init__(self, layout: Numbering, graph: TaskGraph) -> None:
        self.layout = layout
        self.graph = graph
        leaf_of = np.searchsorted(np.array(layout.bases), graph.owner, side="right") - 1
        self.block_leaf = leaf_of
        self.iteration = graph.owner[graph.task_block]
        self.leaf = leaf_of[graph.task_block]
        self.sequence = graph.sequence[graph.task_block]
        self.port = graph.task_port
        width = int(graph.sequence.max(initial=0)) + 1
        self.keys = (self.iteration * width + self.sequence) * graph.ports + graph.task_port
        self.order = np.argsort(self.keys, kind="stable")
        self._sorted = self.keys[self.order]
        self.width = width

    @cached_property
    def by_leaf(self) -> list[Ints]:
        """Per leaf its tasks, port by port in order."""
        order = np.lexsort((self.sequence, self.iteration, self.port, self.leaf))
        return np.split(
            order, np.cumsum(np.bincount(self.leaf, minlength=len(self.layout.tiles)))[:-1]
        )

    def at(self, iterations: Ints, like: Ints) -> Ints:
        """Tasks like some (same block, same port) in other tile iterations."""
        wanted = (iterations * self.width + self.sequence[like]) * self.graph.ports
        wanted = wanted + self.graph.task_port[like]
        at = np.minimum(np.searchsorted(self._sorted, wanted), len(self._sorted) - 1)
        if len(wanted) and (self._sorted[at] != wanted).any():
            raise IrregularError("a port does not serve what stands for others alike")
        return self.order[at]

    def digits(self, tasks: Ints, periods: Ints | None = None) -> Ints:
        """Indices of the loops of tasks (-1: none, all 0), so many periods later."""
        iterations = self.iteration[tasks]
        if periods is None:
            found = self.layout.digits[:, iterations]
        else:
            found = self.layout.later(iterations, periods)
        found[:, tasks < 0] = 0
        return found

    def located(self, leaves: Ints, digits: Ints, sequence: Ints, port: Ints) -> tuple[Ints, Ints]:
        """Tasks of such leaves, indices, blocks and ports (-1: none), and copies of these."""
        found = np.full(len(leaves), -1)
        periods = np.zeros((self.layout.depth, len(leaves)), dtype=np.int64)
        for leaf in np.unique(leaves).tolist():
            tiles, base = self.layout.tiles[leaf], self.layout.bases[leaf]
            mine = np.flatnonzero(leaves == leaf)
            places = np.zeros((tiles.depth, len(mine)), dtype=np.int64)
            inside = np.ones(len(mine), dtype=np.bool_)
            for k, kept in enumerate(tiles.kept):
                row = digits[k, mine]
                inside &= (row >= 0) & (row < kept.trips)
                places[k], periods[k, mine], _ = kept.locate(np.clip(row, 0, kept.trips - 1))
            there = tiles.at_places(places)
            wanted = ((base + there) * self.width + sequence[mine]) * self.graph.ports + port[mine]
            at = np.minimum(np.searchsorted(self._sorted, wanted), len(self._sorted) - 1)
            inside &= (there >= 0) & (self._sorted[at] == wanted)
            found[mine[inside]] = self.order[at[inside]]
            periods[:, mine[~inside]] = 0
        return found, periods

    def beside(self, tasks: Ints, others: Ints) -> tuple[Ints, Ints]:
        """What stands to tasks as others do in the shortened loops.

        The first loop in which the two differ moves along: the other one is as far from the task
        as it is there. Where there is no such thing, it is the other one itself.

        Returns
        -------
        (tasks, copies)
            As `Tiles.locate` gives them.
        """
        places, digits = self.layout.places, self.layout.digits
        a, b = self.iteration[tasks], self.iteration[others]
        depth = self.layout.shared[self.leaf[tasks], self.leaf[others]]
        wanted = []
        alike = np.arange(len(others))
        for k in range(self.layout.depth):
            alike = alike[depth[alike] > k]
            mine, theirs = a[alike], b[alike]
            step = places[k, theirs] - places[k, mine]
            over = np.flatnonzero(digits[k, theirs] - digits[k, mine] != step)
            there = digits[:, theirs[over]]
            there[k] = digits[k, mine[over]] + step[over]
            wanted.append((alike[over], there))
            alike = alike[step == 0]
        some = np.concatenate([which for which, _ in wanted])
        like = others[some]
        located, later = self.located(
            self.leaf[like],
            np.concatenate([there for _, there in wanted], axis=1),
            self.sequence[like],
            self.port[like],
        )
        known = located >= 0
        found, periods = others.copy(), np.zeros((self.layout.depth, len(others)), dtype=np.int64)
        found[some[known]], periods[:, some[known]] = located[known], later[:, known]
        return found, periods

    def shifted(self, source: Ints, earlier: Ints, tasks: Ints, periods: Ints) -> tuple[Ints, Ints]:
        """Per task, so many periods later, what `source` says of it, so many periods later.

        Parameters
        ----------
        source, earlier
            Per task of the graph another one (-1: none), and copies of that.
        tasks, periods
            Some tasks, and how many periods later they are.
        """
        found, later = source[tasks], earlier[:, tasks].copy()
        moved = np.flatnonzero((found >= 0) & periods.any(axis=0))
        if len(moved):
            digits = self.digits(found[moved], later[:, moved])
            digits += self.digits(tasks[moved], periods[:, moved])
            digits -= self.digits(tasks[moved])
            like = found[moved]
            found[moved], later[:, moved] = self.located(
                self.leaf[like], digits, self.sequence[like], self.port[like]
            )
        return found, later

    def last(
        self, leaf: int, tasks: Ints, port: Ints, position: Ints, periods: Ints
    ) -> tuple[Ints, Ints, Ints]:
        """The last of a leaf's tasks on a port up to each of some tile iterations.

        Parameters
        ----------
        leaf, tasks
            The leaf; its tasks, port by port in order.
        port, position, periods
            Ports, and tile iterations of the leaf as `Tiles.locate` gives them.

        Returns
        -------
        (tasks, which, copies)
            The task, for which of the tile iterations, and how many periods later.
        """
        tiles, base = self.layout.tiles[leaf], self.layout.bases[leaf]
        keys = self.port[tasks] * tiles.size + self.iteration[tasks] - base
        at = np.searchsorted(keys, port * tiles.size + position, side="right") - 1
        which = np.flatnonzero((at >= 0) & (self.port[tasks[at]] == port))
        source, position, periods = tasks[at[which]], position[which], periods[:, which]
        occurs = self.iteration[source] - base
        past = np.flatnonzero(occurs != position)
        found = occurs.copy()
        digits = self.layout.later(base + position[past], periods[:, past])
        found[past], periods[:, past] = _moved(
            tiles, position[past], periods[:, past], digits, occurs[past]
        )
        changed = found != occurs
        source[changed] = self.at(base + found[changed], source[changed])
        return source, which, periods

    def waits(self, source: Ints, target: Ints) -> list[tuple[Ints, Ints, Ints]]:
        """The tasks `target` wait for `source`, or what that stands for; by leaves."""
        parts = []
        pairs = self.leaf[target] * len(self.layout.tiles) + self.leaf[source]
        for pair in np.unique(pairs):
            mine, theirs = divmod(int(pair), len(self.layout.tiles))
            which = np.flatnonzero(pairs == pair)
            tiles, others = self.layout.tiles[mine], self.layout.tiles[theirs]
            base, start = self.layout.bases[mine], self.layout.bases[theirs]
            depth = int(self.layout.shared[mine, theirs])
            before = self.iteration[source[which]] - start
            found, periods = through_skipped(
                tiles,
                self.iteration[target[which]] - base,
                others,
                before,
                depth=depth,
                occurs=True,
            )
            tasks = source[which].copy()
            moved = found != before
            tasks[moved] = self.at(start + found[moved], source[which][moved])
            parts.append((tasks, target[which], periods))
        return parts


def _program(served: Served) -> Precedences:
    tasks, start = served.graph.port_order(skewed=False)
    follows = np.ones(len(tasks), dtype=np.bool_)
    follows[start[:-1][start[:-1] < start[1:]]] = False
    at = np.flatnonzero(follows)
    return _joined(served.layout, served.waits(tasks[at - 1], tasks[at]))


def _skew(served: Served, shifts: Mapping[int, Sequence[int]]) -> Precedences:
    parts: list[tuple[Ints, Ints, Ints]] = []
    firsts = []
    for tasks in served.by_leaf:
        new_port = np.diff(served.port[tasks], prepend=-1) != 0
        parts += served.waits(tasks[:-1][~new_port[1:]], tasks[1:][~new_port[1:]])
        firsts.append(tasks[new_port | (np.diff(served.iteration[tasks], prepend=-1) != 0)])
    for mine, targets in enumerate(firsts):
        for theirs, tasks in enumerate(served.by_leaf):
            serves = np.bincount(served.port[tasks], minlength=served.graph.ports) > 0
            both = targets[serves[served.port[targets]]]
            if theirs != mine and len(both):
                parts.append(_last_served(served, mine, both, theirs, shifts))
    return _joined(served.layout, parts)


def _last_served(
    served: Served, mine: int, targets: Ints, theirs: int, shifts: Mapping[int, Sequence[int]]
) -> tuple[Ints, Ints, Ints]:
    """Of another leaf's tasks on its port, the last one with an earlier skewed date than each."""
    layout = served.layout
    tiles, others = layout.tiles[mine], layout.tiles[theirs]
    digits, there = _before(tiles, served.iteration[targets] - layout.bases[mine], others, shifts)
    targets = targets[there]
    position, periods = others.locate_before(digits[:, there])
    source, which, later = served.last(
        theirs, served.by_leaf[theirs], served.port[targets], position, periods
    )
    return source, targets[which], later


def _moved(
    tiles: IterationTable, position: Ints, periods: Ints, digits: Ints, occurrence: Ints
) -> tuple[Ints, Ints]:
    """The last occurrence before tile iterations, from that before their stand-ins."""
    wanted = tiles.digits[:, occurrence].copy()
    same = np.ones(len(position), dtype=np.bool_)
    for k in range(tiles.depth):
        mine, theirs = tiles.places[k][position], tiles.places[k][occurrence]
        wanted[k] = np.where(same & (mine == theirs), digits[k], wanted[k])
        differ = same & (mine != theirs)
        same &= ~differ
        for cut in tiles.kept[k].cuts:
            inside = (mine < cut.place) & (periods[k] > 0) & (mine >= cut.place - cut.period)
            near = differ & inside & (theirs >= cut.place - 2 * cut.period)
            near |= (
                differ
                & (mine >= cut.place)
                & (theirs < cut.place)
                & (theirs >= cut.place - cut.period)
            )
            wanted[k] = np.where(near, digits[k] - (mine - theirs), wanted[k])
    return tiles.locate(wanted)


def _before(
    tiles: IterationTable, events: Ints, others: IterationTable, shifts: Mapping[int, Sequence[int]]
) -> tuple[Ints, np.ndarray]:
    """Indices of another leaf's last tile iteration with an earlier skewed date, if any."""
    at = next(
        i
        for i, (a, b) in enumerate(zip(tiles.leaf.splits, others.leaf.splits, strict=False))
        if a.branch != b.branch
    )
    split, other = tiles.leaf.splits[at], others.leaf.splits[at]
    above = tiles.leaf.splits[at - 1].depth if at else 0
    turns = tiles.turns(tiles.digits[:, events], above, split.depth)
    if split.pipeline:
        moved = shifts[split.node]
        turns = turns + moved[split.branch] - moved[other.branch]
        first = other.branch > split.branch
    else:
        first = other.branch < split.branch
    if not first:
        turns = turns - 1
    count = 1
    for k in range(above, split.depth):
        count *= others.radix(k)
    digits = np.zeros((others.depth, len(events)), dtype=np.int64)
    digits[:above] = tiles.digits[:above, events]
    rest = np.clip(turns, 0, count - 1)
    for k in range(split.depth - 1, above - 1, -1):
        digits[k] = rest % others.radix(k)
        rest = rest // others.radix(k)
    # No such turn within the loops above: the last one of the turn before.
    fixed = np.full(len(events), split.depth, dtype=np.int64)
    early = turns < 0
    there = ~early
    for k in range(above - 1, -1, -1):
        back = early & (digits[k] > 0)
        digits[k, back] -= 1
        fixed[back] = k + 1
        there |= back
        early &= ~back
    return others.clip_last(digits, fixed), there
