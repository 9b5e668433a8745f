"""What stands for what: from tile iterations that are looked at to a graph that can be timed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from polylat.dependences.follow import follow, shared_depth
from polylat.dependences.layout import Layout
from polylat.lowering.kept import Kept
from polylat.lowering.scan import Ints
from polylat.lowering.tiles import IrregularError, Tiles
from polylat.schedule.graph import TaskGraph
from polylat.schedule.oldest import Rivals
from polylat.schedule.periodic import (
    Events,
    NotPeriodicError,
    PortWaits,
    Repeats,
    Stretch,
    Waits,
)
from polylat.tasks import logical_dates

__all__ = ["Served", "repeats", "rivals", "served_like", "shortened"]


def repeats(layout: Layout, graph: TaskGraph, shifts: Mapping[int, Sequence[int]]) -> Repeats:
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
    program = _program(layout, graph)
    same = np.array_equal(graph.dates.program, graph.dates.skew)
    ends, rules = _finishes(layout, graph)
    return Repeats(
        earlier,
        _chain(layout),
        tuple(_stretches(layout)),
        PortWaits(program, program if same else _skew(layout, graph, shifts)),
        ends,
        rules,
        _skips(layout, graph),
    )


def _skips(layout: Layout, graph: TaskGraph) -> np.ndarray:
    """Per task, whether some are left out between it and the next of its block and port."""
    served = Served(layout, graph)
    skips = np.zeros(graph.tasks, dtype=np.bool_)
    stream = (served.leaf * served.width + served.sequence) * graph.ports + graph.task_port
    order = np.lexsort((served.iteration, stream))
    for some in np.split(order, np.flatnonzero(np.diff(stream[order])) + 1):
        if len(some) > 1:
            for _, target, copies in served.waits(some[:-1], some[1:]):
                at = np.searchsorted(served.iteration[some], served.iteration[target])
                skips[some[at - 1]] = copies.any(axis=0)
    return skips


def shortened(layout: Layout, graph: TaskGraph, shifts: Mapping[int, Sequence[int]]) -> TaskGraph:
    """The task graph of the same loops without what is left out of them.

    Every loop has as many iterations as are looked at. What waits for something left out waits for
    what stands where that would be: so far behind the beginning of what is left out, or so far
    before its end, whichever is nearer.
    """
    whole = tuple(
        replace(tiles, kept=tuple(Kept(kept.count) for kept in tiles.kept))
        for tiles in layout.tiles
    )
    dates = logical_dates(replace(layout, tiles=whole), shifts)
    moved = np.flatnonzero(graph.edge_copies.any(axis=0))
    source = graph.edge_source.copy()
    events = Events(graph)
    owner = graph.owner[source[moved]]
    for leaf, (tiles, base) in enumerate(zip(layout.tiles, layout.bases, strict=True)):
        mine = moved[graph.leaf[owner] == leaf]
        position = graph.owner[source[mine]] - base
        places = tiles.places[:, position].copy()
        for k, kept in enumerate(tiles.kept):
            copies = graph.edge_copies[k, mine]
            for cut in kept.cuts:
                here = (places[k] < cut.place) & (places[k] >= cut.place - cut.period)
                here &= copies > 0
                near = np.where(copies <= cut.copies // 2, copies, copies - cut.copies)
                places[k, here] += (near * cut.period)[here]
            places[k] = np.clip(places[k], 0, kept.count - 1)
        there = tiles.at_places(places)
        found = events.block_at(base + np.maximum(there, 0), source[mine])
        known = (there >= 0) & (found >= 0)
        source[mine[known]] = found[known]
    none = np.zeros_like(graph.edge_copies)
    return replace(graph, edge_source=source, edge_copies=none, dates=dates)


def served_like(layout: Layout, graph: TaskGraph, order: Ints, start: Ints) -> Waits:
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
    source, copies = served.beside(order[at], order[at - 1])
    return Waits(source, order[at], copies)


def rivals(layout: Layout, graph: TaskGraph, order: Ints, start: Ints) -> Rivals:
    """Per task, what else its port may have chosen: of each stream of blocks the next one.

    Parameters
    ----------
    order, start
        Tasks in the order of service in the shortened loops, port by port.
    """
    served = Served(layout, graph)
    stream = served.leaf * served.width + served.sequence
    parts: list[tuple[Ints, ...]] = []
    nothing = np.zeros(0, dtype=np.int64)
    for port in range(graph.ports):
        mine = order[start[port] : start[port + 1]]
        for one in np.unique(stream[mine]):
            at = np.flatnonzero(stream[mine] == one)
            other = mine[at]
            if (np.diff(served.iteration[other]) < 0).any():
                raise NotPeriodicError([])  # not served in order
            place = np.searchsorted(at, np.arange(len(mine)), side="right")
            there = place < len(at)
            following = np.full(len(mine), -1)
            copies = np.zeros((layout.depth, len(mine)), dtype=np.int64)
            following[there], copies[:, there] = served.beside(mine[there], other[place[there]])
            # What comes before it comes so many periods later as it does itself.
            previous, earlier = np.full(len(mine), other[-1]), np.zeros_like(copies)
            previous[there], earlier[:, there] = served.shifted(
                *_within(served, other), following[there], copies[:, there]
            )
            parts.append(
                (mine, np.full(len(mine), one), following, previous, copies, earlier)
                + (served.digits(mine), served.digits(following, copies))
            )
    if not parts:
        none = np.zeros((layout.depth, 0), dtype=np.int64)
        parts.append((nothing, nothing, nothing, nothing, none, none, none, none))
    return Rivals(*(np.concatenate(column, axis=-1) for column in zip(*parts, strict=True)))


def _within(served: Served, tasks: Ints) -> tuple[Ints, Ints]:
    """Per task of the graph, the one before it in its stream (-1: none), and copies of that."""
    previous = np.full(served.graph.tasks, -1, dtype=np.int64)
    copies = np.zeros((served.layout.depth, served.graph.tasks), dtype=np.int64)
    if len(tasks) > 1:
        previous[tasks[1:]], copies[:, tasks[1:]] = served.beside(tasks[1:], tasks[:-1])
    return previous, copies


def _finishes(layout: Layout, graph: TaskGraph) -> tuple[Waits, Waits]:
    """What a tile iteration's finish is made of: on each port the last task up to it.

    A port serves the tasks of a leaf in order, so that the last one ends last.

    Returns
    -------
    (ends, rules)
        Tasks and the tile iterations whose finish waits for them; tasks and the edges (by number)
        whose source's finish does.
    """
    served = Served(layout, graph)
    kinds = graph.kind[graph.task_block]
    ends: list[tuple[Ints, Ints, Ints]] = []
    rules: list[tuple[Ints, Ints, Ints]] = []
    edges = np.flatnonzero(graph.edge_source < graph.iterations)
    edge_leaf = served.block_leaf[graph.edge_source[edges]]
    for leaf, (tiles, base) in enumerate(zip(layout.tiles, layout.bases, strict=True)):
        mine = np.flatnonzero((served.leaf == leaf) & (kinds != 2))
        every = np.arange(tiles.size)
        nothing = np.zeros((tiles.depth, tiles.size), dtype=np.int64)
        some = edges[edge_leaf == leaf]
        position = graph.edge_source[some] - base
        copies = graph.edge_copies[: tiles.depth, some]
        for port in np.unique(graph.task_port[mine]):
            tasks = mine[graph.task_port[mine] == port]
            tasks = tasks[np.lexsort((served.sequence[tasks], served.iteration[tasks]))]
            for found, who, at, later in (
                (ends, base + every, every, nothing),
                (rules, some, position, copies),
            ):
                source, which, copied = served.last(tiles, base, tasks, at, later)
                found.append((source, who[which], copied))
    return _joined(layout, ends), _joined(layout, rules)


def _chain(layout: Layout) -> Waits:
    parts = []
    for tiles, base in zip(layout.tiles, layout.bases, strict=True):
        waiting = np.arange(1, tiles.size)
        awaited, copies = follow(tiles, waiting, tiles, waiting - 1, depth=tiles.depth)
        parts.append((base + awaited, base + waiting, copies))
    return _joined(layout, parts)


def _joined(layout: Layout, parts: Sequence[tuple[Ints, Ints, Ints]]) -> Waits:
    if not parts:
        empty = np.zeros(0, dtype=np.int64)
        return Waits(empty, empty, np.zeros((layout.depth, 0), dtype=np.int64))
    columns = []
    for source, _, copies in parts:
        padded = np.zeros((layout.depth, len(source)), dtype=np.int64)
        padded[: len(copies)] = copies
        columns.append(padded)
    return Waits(
        np.concatenate([p[0] for p in parts]),
        np.concatenate([p[1] for p in parts]),
        np.concatenate(columns, axis=1),
    )


def _stretches(layout: Layout) -> list[Stretch]:
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
                    Stretch(
                        (leaf, k, number), cut.copies, base + stand, base + earlier, base + later
                    )
                )
    return found


def _tiles_at(tiles: Tiles, places: Ints) -> Ints:
    found = tiles.at_places(places)
    if (found < 0).any():
        raise IrregularError("what stands for others does not exist everywhere")
    return found


class Served:
    """Tasks of a leaf on a port, in order."""

    def __init__(self, layout: Layout, graph: TaskGraph) -> None:
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

    def at(self, iterations: Ints, like: Ints) -> Ints:
        """Tasks like some (same block, same port) in other tile iterations."""
        wanted = (iterations * self.width + self.sequence[like]) * self.graph.ports
        wanted = wanted + self.graph.task_port[like]
        at = np.minimum(np.searchsorted(self._sorted, wanted), len(self._sorted) - 1)
        if len(wanted) and (self._sorted[at] != wanted).any():
            raise IrregularError("a port does not serve what stands for others alike")
        return self.order[at]

    def digits(self, tasks: Ints, copies: Ints | None = None) -> Ints:
        """Indices of the loops of tasks (-1: none, all 0), so many periods later."""
        found = np.zeros((self.layout.depth, len(tasks)), dtype=np.int64)
        for leaf, (tiles, base) in enumerate(
            zip(self.layout.tiles, self.layout.bases, strict=True)
        ):
            mine = np.flatnonzero((tasks >= 0) & (self.leaf[tasks] == leaf))
            position = self.iteration[tasks[mine]] - base
            for k, kept in enumerate(tiles.kept):
                row = tiles.digits[k, position]
                if kept.cuts and copies is not None:
                    row = row + copies[k, mine] * kept.periods[tiles.places[k, position]]
                found[k, mine] = row
        return found

    def located(self, leaves: Ints, digits: Ints, sequence: Ints, port: Ints) -> tuple[Ints, Ints]:
        """Tasks of such leaves, indices, blocks and ports (-1: none), and copies of these."""
        found = np.full(len(leaves), -1)
        copies = np.zeros((self.layout.depth, len(leaves)), dtype=np.int64)
        for leaf in np.unique(leaves).tolist():
            tiles, base = self.layout.tiles[leaf], self.layout.bases[leaf]
            mine = np.flatnonzero(leaves == leaf)
            places = np.zeros((tiles.depth, len(mine)), dtype=np.int64)
            inside = np.ones(len(mine), dtype=np.bool_)
            for k, kept in enumerate(tiles.kept):
                row = digits[k, mine]
                inside &= (row >= 0) & (row < kept.trips)
                places[k], copies[k, mine], _ = kept.locate(np.clip(row, 0, kept.trips - 1))
            there = tiles.at_places(places)
            wanted = ((base + there) * self.width + sequence[mine]) * self.graph.ports + port[mine]
            at = np.minimum(np.searchsorted(self._sorted, wanted), len(self._sorted) - 1)
            inside &= (there >= 0) & (self._sorted[at] == wanted)
            found[mine[inside]] = self.order[at[inside]]
            copies[:, mine[~inside]] = 0
        return found, copies

    def beside(self, tasks: Ints, others: Ints) -> tuple[Ints, Ints]:
        """What stands to tasks as others do in the shortened loops.

        The first loop in which the two differ moves along: the other one is as far from the task
        as it is there. Where there is no such thing, it is the other one itself.

        Returns
        -------
        (tasks, copies)
            As `Tiles.locate` gives them.
        """
        found, copies = others.copy(), np.zeros((self.layout.depth, len(others)), dtype=np.int64)
        pairs = self.leaf[tasks] * len(self.layout.tiles) + self.leaf[others]
        for pair in np.unique(pairs):
            mine, theirs = divmod(int(pair), len(self.layout.tiles))
            tiles, those = self.layout.tiles[mine], self.layout.tiles[theirs]
            if those.whole:
                continue
            which = np.flatnonzero(pairs == pair)
            depth = tiles.depth if mine == theirs else shared_depth(tiles, those)
            a = tiles.places[:, self.iteration[tasks[which]] - self.layout.bases[mine]]
            there = self.iteration[others[which]] - self.layout.bases[theirs]
            b, digits = those.places[:, there], those.digits[:, there].copy()
            same = np.ones(len(which), dtype=np.bool_)
            moved = np.zeros(len(which), dtype=np.bool_)
            for k in range(depth):
                offset = those.kept[k].digits - np.arange(those.kept[k].count)
                over = same & (offset[a[k]] != offset[b[k]])
                digits[k, over] = b[k, over] + offset[a[k, over]]
                moved |= over
                same &= a[k] == b[k]
            some = which[moved]
            if len(some):
                like = others[some]
                tasks_there, later = self.located(
                    self.leaf[like], digits[:, moved], self.sequence[like], self.port[like]
                )
                known = tasks_there >= 0
                found[some[known]] = tasks_there[known]
                copies[:, some[known]] = later[:, known]
        return found, copies

    def shifted(self, source: Ints, earlier: Ints, tasks: Ints, copies: Ints) -> tuple[Ints, Ints]:
        """Per task, so many periods later, what `source` says of it, so many periods later.

        Parameters
        ----------
        source, earlier
            Per task of the graph another one (-1: none), and copies of that.
        tasks, copies
            Some tasks, and how many periods later they are.
        """
        found, later = source[tasks], earlier[:, tasks].copy()
        moved = np.flatnonzero((found >= 0) & copies.any(axis=0))
        if len(moved):
            digits = self.digits(found[moved], later[:, moved])
            digits += self.digits(tasks[moved], copies[:, moved])
            digits -= self.digits(tasks[moved])
            like = found[moved]
            found[moved], later[:, moved] = self.located(
                self.leaf[like], digits, self.sequence[like], self.port[like]
            )
        return found, later

    def last(
        self, tiles: Tiles, base: int, tasks: Ints, position: Ints, copies: Ints
    ) -> tuple[Ints, Ints, Ints]:
        """The last of a leaf's tasks on a port up to each of some tile iterations.

        Parameters
        ----------
        tiles, base
            The leaf's tile iterations.
        tasks
            The tasks, in order.
        position, copies
            Tile iterations, as `Tiles.locate` gives them.

        Returns
        -------
        (tasks, which, copies)
            The task, for which of the tile iterations, and how many periods later.
        """
        occurs = self.iteration[tasks] - base
        at = np.searchsorted(occurs, position, side="right") - 1
        which = np.flatnonzero(at >= 0)
        at, position, copies = at[which], position[which], copies[:, which]
        digits = tiles.digits[:, position].copy()
        for k, kept in enumerate(tiles.kept):
            if kept.cuts:
                digits[k] += copies[k] * kept.periods[tiles.places[k][position]]
        found, later = _moved(tiles, position, copies, digits, occurs[at])
        source = tasks[at].copy()
        changed = found != occurs[at]
        source[changed] = self.at(base + found[changed], source[changed])
        return source, which, later

    def waits(self, source: Ints, target: Ints) -> list[tuple[Ints, Ints, Ints]]:
        """The tasks `target` wait for `source`, or what that stands for; by leaves."""
        parts = []
        pairs = self.leaf[target] * len(self.layout.tiles) + self.leaf[source]
        for pair in np.unique(pairs):
            mine, theirs = divmod(int(pair), len(self.layout.tiles))
            which = np.flatnonzero(pairs == pair)
            tiles, others = self.layout.tiles[mine], self.layout.tiles[theirs]
            base, start = self.layout.bases[mine], self.layout.bases[theirs]
            depth = tiles.depth if mine == theirs else shared_depth(tiles, others)
            before = self.iteration[source[which]] - start
            found, copies = follow(
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
            parts.append((tasks, target[which], copies))
        return parts


def _program(layout: Layout, graph: TaskGraph) -> Waits:
    served = Served(layout, graph)
    tasks, start = graph.port_order(skewed=False)
    follows = np.ones(len(tasks), dtype=np.bool_)
    follows[start[:-1][start[:-1] < start[1:]]] = False
    at = np.flatnonzero(follows)
    return _joined(layout, served.waits(tasks[at - 1], tasks[at]))


def _skew(layout: Layout, graph: TaskGraph, shifts: Mapping[int, Sequence[int]]) -> Waits:
    served = Served(layout, graph)
    parts: list[tuple[Ints, Ints, Ints]] = []
    group = graph.task_port * len(layout.tiles) + served.leaf
    order = np.lexsort((served.sequence, served.iteration, group))
    cuts = np.flatnonzero(np.diff(group[order])) + 1
    lists: dict[int, dict[int, Ints]] = {}
    for some in np.split(order, cuts):
        if len(some):
            lists.setdefault(int(graph.task_port[some[0]]), {})[int(served.leaf[some[0]])] = some
            parts += served.waits(some[:-1], some[1:])
    for by_leaf in lists.values():
        for mine, tasks in by_leaf.items():
            iterations = served.iteration[tasks]
            first = np.concatenate(([True], iterations[1:] != iterations[:-1]))
            targets = tasks[first]
            for theirs, others in by_leaf.items():
                if theirs != mine:
                    parts.append(
                        _last_served(layout, served, mine, targets, theirs, others, shifts)
                    )
    return _joined(layout, parts)


def _last_served(
    layout: Layout,
    served: Served,
    mine: int,
    targets: Ints,
    theirs: int,
    tasks: Ints,
    shifts: Mapping[int, Sequence[int]],
) -> tuple[Ints, Ints, Ints]:
    """Of another leaf's tasks on a port, the last one with an earlier skewed date than each."""
    tiles, others = layout.tiles[mine], layout.tiles[theirs]
    base, start = layout.bases[mine], layout.bases[theirs]
    digits, there = _before(tiles, served.iteration[targets] - base, others, shifts)
    targets = targets[there]
    position, copies = others.locate_before(digits[:, there])
    source, which, later = served.last(others, start, tasks, position, copies)
    return source, targets[which], later


def _moved(
    tiles: Tiles, position: Ints, copies: Ints, digits: Ints, occurrence: Ints
) -> tuple[Ints, Ints]:
    """The last occurrence at or before tile iterations, from that before their stand-ins."""
    wanted = tiles.digits[:, occurrence].copy()
    same = np.ones(len(position), dtype=np.bool_)
    for k in range(tiles.depth):
        mine, theirs = tiles.places[k][position], tiles.places[k][occurrence]
        wanted[k] = np.where(same & (mine == theirs), digits[k], wanted[k])
        differ = same & (mine != theirs)
        same &= ~differ
        for cut in tiles.kept[k].cuts:
            inside = (mine < cut.place) & (copies[k] > 0) & (mine >= cut.place - cut.period)
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
    tiles: Tiles, events: Ints, others: Tiles, shifts: Mapping[int, Sequence[int]]
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
