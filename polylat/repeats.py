"""What stands for what: from tile iterations that are looked at to a graph that can be timed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from polylat.dependences.follow import follow, shared_depth
from polylat.dependences.layout import Layout
from polylat.lowering.scan import Ints
from polylat.lowering.tiles import IrregularError, Tiles
from polylat.schedule.graph import TaskGraph
from polylat.schedule.periodic import NotPeriodicError, PortWaits, Repeats, Stretch, Waits

__all__ = ["repeats"]


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
    served = _Served(layout, graph)
    skips = np.zeros(graph.tasks, dtype=np.bool_)
    stream = (served.leaf * served.width + served.sequence) * graph.ports + graph.task_port
    order = np.lexsort((served.iteration, stream))
    for some in np.split(order, np.flatnonzero(np.diff(stream[order])) + 1):
        if len(some) > 1:
            for _, target, copies in served.waits(some[:-1], some[1:]):
                at = np.searchsorted(served.iteration[some], served.iteration[target])
                skips[some[at - 1]] = copies.any(axis=0)
    return skips


def _finishes(layout: Layout, graph: TaskGraph) -> tuple[Waits, Waits]:
    """What a tile iteration's finish is made of: on each port the last task up to it.

    A port serves the tasks of a leaf in order, so that the last one ends last.

    Returns
    -------
    (ends, rules)
        Tasks and the tile iterations whose finish waits for them; tasks and the edges (by number)
        whose source's finish does.
    """
    served = _Served(layout, graph)
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
    keys = tiles.keys_of(places)
    found = np.minimum(np.searchsorted(tiles.keys, keys), tiles.size - 1)
    if (tiles.keys[found] != keys).any():
        raise IrregularError("what stands for others does not exist everywhere")
    return found


class _Served:
    """Tasks of a leaf on a port, in order."""

    def __init__(self, layout: Layout, graph: TaskGraph) -> None:
        self.layout = layout
        self.graph = graph
        leaf_of = np.searchsorted(np.array(layout.bases), graph.owner, side="right") - 1
        self.block_leaf = leaf_of
        self.iteration = graph.owner[graph.task_block]
        self.leaf = leaf_of[graph.task_block]
        self.sequence = graph.sequence[graph.task_block]
        width = int(graph.sequence.max(initial=0)) + 1
        self.keys = (self.iteration * width + self.sequence) * graph.ports + graph.task_port
        self.order = np.argsort(self.keys, kind="stable")
        self.width = width

    def at(self, iterations: Ints, like: Ints) -> Ints:
        """Tasks like some (same block, same port) in other tile iterations."""
        wanted = (iterations * self.width + self.sequence[like]) * self.graph.ports
        wanted = wanted + self.graph.task_port[like]
        keys = self.keys[self.order]
        at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
        if len(wanted) and (keys[at] != wanted).any():
            raise IrregularError("a port does not serve what stands for others alike")
        return self.order[at]

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
    served = _Served(layout, graph)
    tasks, start = graph.port_order(skewed=False)
    follows = np.ones(len(tasks), dtype=np.bool_)
    follows[start[:-1][start[:-1] < start[1:]]] = False
    at = np.flatnonzero(follows)
    return _joined(layout, served.waits(tasks[at - 1], tasks[at]))


def _skew(layout: Layout, graph: TaskGraph, shifts: Mapping[int, Sequence[int]]) -> Waits:
    served = _Served(layout, graph)
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
    served: _Served,
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
