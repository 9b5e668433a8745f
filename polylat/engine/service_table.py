"""The tasks of a sampled task graph, with the rules that carry a relation into skipped ranges.

An *instance* is a task and, per loop, the number of periods by which it is later: an instance of a
sampled task may lie in a skipped range. Two rules say which instance another one is related to,
given a relation between sampled tasks.

- *Constant distance.* In the outermost loop in which the two tile iterations differ, their distance
  in iterations is what it is between sampled positions, where skipped iterations do not count. The
  loops inside keep their indices. (The dependences of uniform loop nests have constant distances,
  too: `lowering.dependences.extend`.)
- *Translation.* If a task is moved by some periods, the related task moves by as many.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from polylat.lowering.dependences.extend import through_skipped
from polylat.lowering.iterations import IrregularError, IterationTable
from polylat.lowering.numbering import Numbering
from polylat.schedule.arrays import Ints
from polylat.schedule.events import Precedences
from polylat.schedule.graph import TaskGraph

__all__ = ["PrecedencePart", "ServiceTable", "joined_precedences"]

PrecedencePart = tuple[Ints, Ints, Ints]
"""(source, target, periods) of some precedences, see `Precedences`."""


class ServiceTable:
    """The tasks of a task graph, found by tile iteration, block and port.

    Parameters
    ----------
    layout
        The numbering of the tile iterations and blocks.
    graph
        The task graph.

    Attributes
    ----------
    block_leaf
        Shape (blocks,): the leaf of each block.
    iteration, leaf, sequence, port
        Shape (tasks,): the tile iteration of each task, its leaf, the position of its block among
        the blocks of the tile iteration, and its port.
    width
        One more than the largest position of a block.
    """

    def __init__(self, layout: Numbering, graph: TaskGraph) -> None:
        self.layout = layout
        self.graph = graph
        self.block_leaf = np.searchsorted(np.array(layout.bases), graph.owner, side="right") - 1
        self.iteration = graph.owner[graph.task_block]
        self.leaf = self.block_leaf[graph.task_block]
        self.sequence = graph.sequence[graph.task_block]
        self.port = graph.task_port
        self.width = int(graph.sequence.max(initial=0)) + 1
        keys = self._keys(self.iteration, self.sequence, self.port)
        self._order = np.argsort(keys, kind="stable")
        self._sorted_keys = keys[self._order]

    @cached_property
    def by_leaf(self) -> list[Ints]:
        """Per leaf, its tasks: by port, and in the order of their dates within a port."""
        order = np.lexsort((self.sequence, self.iteration, self.port, self.leaf))
        counts = np.bincount(self.leaf, minlength=len(self.layout.tiles))
        return np.split(order, np.cumsum(counts)[:-1])

    def counterparts(self, iterations: Ints, tasks: Ints) -> Ints:
        """Return the tasks of the same block and port in other tile iterations.

        Parameters
        ----------
        iterations
            The other tile iterations, shape (n,).
        tasks
            The given tasks, shape (n,).

        Returns
        -------
        numpy.ndarray
            Tasks, shape (n,).

        Raises
        ------
        IrregularError
            One of the tile iterations has no such task.
        """
        wanted = self._keys(iterations, self.sequence[tasks], self.port[tasks])
        at = self._search(wanted)
        if len(wanted) and (self._sorted_keys[at] != wanted).any():
            raise IrregularError("a port does not serve all periods alike")
        return self._order[at]

    def loop_indices(self, tasks: Ints, periods: Ints | None = None) -> Ints:
        """Return the loop indices of instances of tasks.

        Parameters
        ----------
        tasks
            Tasks, shape (n,); -1 for none.
        periods
            Per loop, the number of periods by which the instances are later, shape (depth, n);
            None: 0.

        Returns
        -------
        numpy.ndarray
            Loop indices, shape (depth, n); 0 where there is no task.
        """
        iterations = self.iteration[tasks]
        if periods is None:
            found = self.layout.digits[:, iterations]
        else:
            found = self.layout.later(iterations, periods)
        found[:, tasks < 0] = 0
        return found

    def locate(self, leaves: Ints, digits: Ints, sequence: Ints, port: Ints) -> tuple[Ints, Ints]:
        """Return the instances with given loop indices.

        Parameters
        ----------
        leaves
            Leaves, shape (n,).
        digits
            Loop indices, shape (depth, n).
        sequence, port
            Positions of the blocks in their tile iterations, and ports, shape (n,).

        Returns
        -------
        (tasks, periods)
            Tasks, shape (n,), -1 where there is none; and the number of periods per loop by which
            the instances are later, shape (depth, n).
        """
        found = np.full(len(leaves), -1)
        periods = np.zeros((self.layout.depth, len(leaves)), dtype=np.int64)
        for leaf in np.unique(leaves).tolist():
            tiles, base = self.layout.tiles[leaf], self.layout.bases[leaf]
            rows = np.flatnonzero(leaves == leaf)
            positions = np.zeros((tiles.depth, len(rows)), dtype=np.int64)
            exists = np.ones(len(rows), dtype=np.bool_)
            for k, kept in enumerate(tiles.kept):
                index = digits[k, rows]
                exists &= (index >= 0) & (index < kept.trips)
                index = np.clip(index, 0, kept.trips - 1)
                positions[k], periods[k, rows], _ = kept.locate(index)
            iterations = tiles.at_places(positions)
            wanted = self._keys(base + iterations, sequence[rows], port[rows])
            at = self._search(wanted)
            exists &= (iterations >= 0) & (self._sorted_keys[at] == wanted)
            found[rows[exists]] = self._order[at[exists]]
            periods[:, rows[~exists]] = 0
        return found, periods

    def at_sampled_distance(self, tasks: Ints, others: Ints) -> tuple[Ints, Ints]:
        """Return the instances that are as far from tasks as others are in sampled positions.

        Only the outermost loop in which the two differ counts, see the module. Where no such
        instance exists, it is the other task itself.

        Parameters
        ----------
        tasks, others
            Pairs of tasks, shape (n,).

        Returns
        -------
        (tasks, periods)
            Instances of tasks of the blocks and ports of `others`, as for `locate`.
        """
        positions, digits = self.layout.places, self.layout.digits
        here, there = self.iteration[tasks], self.iteration[others]
        depth = self.layout.shared[self.leaf[tasks], self.leaf[others]]
        wanted = []
        alike = np.arange(len(others))  # pairs with equal indices in all loops further out
        for k in range(self.layout.depth):
            alike = alike[depth[alike] > k]
            a, b = here[alike], there[alike]
            distance = positions[k, b] - positions[k, a]
            skipped = np.flatnonzero(digits[k, b] - digits[k, a] != distance)
            moved = digits[:, b[skipped]]
            moved[k] = digits[k, a[skipped]] + distance[skipped]
            wanted.append((alike[skipped], moved))
            alike = alike[distance == 0]
        pairs = np.concatenate([which for which, _ in wanted])
        like = others[pairs]
        located, later = self.locate(
            self.leaf[like],
            np.concatenate([moved for _, moved in wanted], axis=1),
            self.sequence[like],
            self.port[like],
        )
        exists = located >= 0
        found, periods = others.copy(), np.zeros((self.layout.depth, len(others)), dtype=np.int64)
        found[pairs[exists]], periods[:, pairs[exists]] = located[exists], later[:, exists]
        return found, periods

    def translate(
        self, related: Ints, related_periods: Ints, tasks: Ints, periods: Ints
    ) -> tuple[Ints, Ints]:
        """Return what instances are related to, given what their tasks are related to.

        The related instance moves by as many iterations as the instance is later than its task.

        Parameters
        ----------
        related, related_periods
            The relation, per task of the graph: another task, shape (tasks,), -1 for none; and the
            number of periods per loop by which that one is later, shape (depth, tasks).
        tasks, periods
            The instances, as for `loop_indices`.

        Returns
        -------
        (tasks, periods)
            The related instances, as for `locate`.
        """
        found, later = related[tasks], related_periods[:, tasks].copy()
        moved = np.flatnonzero((found >= 0) & periods.any(axis=0))
        if len(moved):
            digits = self.loop_indices(found[moved], later[:, moved])
            digits += self.loop_indices(tasks[moved], periods[:, moved])
            digits -= self.loop_indices(tasks[moved])
            like = found[moved]
            found[moved], later[:, moved] = self.locate(
                self.leaf[like], digits, self.sequence[like], self.port[like]
            )
        return found, later

    def last_served(
        self, leaf: int, tasks: Ints, port: Ints, position: Ints, periods: Ints
    ) -> tuple[Ints, Ints, Ints]:
        """Return the last task of a leaf on a port up to a tile iteration.

        Parameters
        ----------
        leaf, tasks
            The leaf, and some of its tasks in the order of `by_leaf`.
        port
            Ports, shape (n,).
        position, periods
            Tile iterations, numbered within the leaf, shape (n,), and the number of periods per
            loop by which the ones in question are later, shape (depth of the leaf, n).

        Returns
        -------
        (tasks, which, periods)
            The last tasks, shape (m,); to which of the n entries each belongs; and the number of
            periods per loop by which the instance is later, shape (depth of the leaf, m). Entries
            without such a task are missing.

        Raises
        ------
        IrregularError
            The task that represents a skipped one does not exist.
        """
        tiles, base = self.layout.tiles[leaf], self.layout.bases[leaf]
        keys = self.port[tasks] * tiles.size + self.iteration[tasks] - base
        at = np.searchsorted(keys, port * tiles.size + position, side="right") - 1
        which = np.flatnonzero((at >= 0) & (self.port[tasks[at]] == port))
        source = tasks[at[which]]
        occurrence = self.iteration[source] - base
        found, periods = self._occurring(leaf, occurrence, position[which], periods[:, which])
        changed = found != occurrence
        source[changed] = self.counterparts(base + found[changed], source[changed])
        return source, which, periods

    def last_of(
        self, leaf: int, some: Ints, position: Ints, periods: Ints
    ) -> tuple[Ints, Ints, Ints]:
        """Return the last one of some tile iterations of a leaf up to a tile iteration.

        Parameters
        ----------
        leaf, some
            The leaf, and some of its tile iterations, numbered within the leaf, increasing.
        position, periods
            As for `last_served`.

        Returns
        -------
        (iterations, which, periods)
            The last ones, numbered within the leaf, shape (m,); the others as for `last_served`.
        """
        at = np.searchsorted(some, position, side="right") - 1
        which = np.flatnonzero(at >= 0)
        found, periods = self._occurring(leaf, some[at[which]], position[which], periods[:, which])
        return found, which, periods

    def _occurring(
        self, leaf: int, occurrence: Ints, position: Ints, periods: Ints
    ) -> tuple[Ints, Ints]:
        """Return the last occurrences before instances, from those before their tile iterations."""
        tiles, base = self.layout.tiles[leaf], self.layout.bases[leaf]
        earlier = np.flatnonzero(occurrence != position)
        found, later = occurrence.copy(), periods.copy()
        digits = self.layout.later(base + position[earlier], periods[:, earlier])
        found[earlier], later[:, earlier] = _last_occurrence(
            tiles, position[earlier], periods[:, earlier], digits, occurrence[earlier]
        )
        return found, later

    def precedences(self, source: Ints, target: Ints) -> list[PrecedencePart]:
        """Return the precedences of pairs of tasks, carried across skipped ranges.

        Where a skipped range lies between the two, the target waits for an instance of the source
        at the distance of their sampled positions, if the source is in the range's last period.

        Parameters
        ----------
        source, target
            Shape (n,): each target waits for its source where no iterations are skipped.

        Returns
        -------
        list of (source, target, periods)
            Per pair of leaves: tasks, tasks, and the number of periods per loop of the source's
            leaf by which the instance of the source is later.

        Raises
        ------
        IrregularError
            The task that represents a skipped one does not exist.
        """
        parts = []
        pairs = self.leaf[target] * len(self.layout.tiles) + self.leaf[source]
        for pair in np.unique(pairs):
            waiting, awaited = divmod(int(pair), len(self.layout.tiles))
            which = np.flatnonzero(pairs == pair)
            base = self.layout.bases[awaited]
            before = self.iteration[source[which]] - base
            found, periods = through_skipped(
                self.layout.tiles[waiting],
                self.iteration[target[which]] - self.layout.bases[waiting],
                self.layout.tiles[awaited],
                before,
                depth=int(self.layout.shared[waiting, awaited]),
                occurs=True,
            )
            tasks = source[which].copy()
            moved = found != before
            tasks[moved] = self.counterparts(base + found[moved], source[which][moved])
            parts.append((tasks, target[which], periods))
        return parts

    def _keys(self, iterations: Ints, sequence: Ints, port: Ints) -> Ints:
        return (iterations * self.width + sequence) * self.graph.ports + port

    def _search(self, keys: Ints) -> Ints:
        """Positions in the sorted keys; where a key is missing, of another one."""
        return np.minimum(np.searchsorted(self._sorted_keys, keys), len(self._sorted_keys) - 1)


def joined_precedences(layout: Numbering, parts: Sequence[PrecedencePart]) -> Precedences:
    """Concatenate precedences; the numbers of periods are padded to the largest depth.

    Parameters
    ----------
    layout
        The numbering of the tile iterations.
    parts
        The precedences, in parts.

    Returns
    -------
    Precedences
        All precedences.
    """
    if not parts:
        empty = np.zeros(0, dtype=np.int64)
        return Precedences(empty, empty, np.zeros((layout.depth, 0), dtype=np.int64))
    columns = []
    for source, _, periods in parts:
        padded = np.zeros((layout.depth, len(source)), dtype=np.int64)
        padded[: len(periods)] = periods
        columns.append(padded)
    return Precedences(
        np.concatenate([source for source, _, _ in parts]),
        np.concatenate([target for _, target, _ in parts]),
        np.concatenate(columns, axis=1),
    )


def _last_occurrence(
    tiles: IterationTable, position: Ints, periods: Ints, digits: Ints, occurrence: Ints
) -> tuple[Ints, Ints]:
    """Return the last occurrences before tile iterations, from those before their representatives.

    `position` and `periods` say which tile iterations these are, `digits` are their loop indices.
    An access occurs in some tile iterations only: `occurrence` is the last one up to `position`.
    In the outermost loop in which the two differ, their distance in sampled positions is kept if
    the tile iteration is skipped and the occurrence is in the representing period or in the one
    before, or if the tile iteration is behind a skipped range and the occurrence is in the last
    period before the range. Any other occurrence is in no period that repeats: its index stays.
    """
    wanted = tiles.digits[:, occurrence].copy()
    same = np.ones(len(position), dtype=np.bool_)
    for k in range(tiles.depth):
        here, there = tiles.places[k][position], tiles.places[k][occurrence]
        wanted[k] = np.where(same & (here == there), digits[k], wanted[k])
        differ = same & (here != there)
        same &= ~differ
        for cut in tiles.kept[k].cuts:
            representing = cut.place - cut.period
            skipped = (here < cut.place) & (here >= representing) & (periods[k] > 0)
            near = skipped & (there >= representing - cut.period)
            near |= (here >= cut.place) & (there < cut.place) & (there >= representing)
            wanted[k] = np.where(differ & near, digits[k] - (here - there), wanted[k])
    return tiles.locate(wanted)
