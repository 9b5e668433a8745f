"""The order of service of a list schedule, for all tile iterations at once.

A *stream* is all blocks of one kind in a leaf; a port serves the tasks of a stream in order. So an
order of service says, per task and stream on its port, which task of the stream is the first one to
be served after the task: its *follower*. The loop indices of followers are affine functions on the
box of skipped tile iterations that a sampled one represents.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from polylat.engine.service_log import StreamLog
from polylat.engine.service_table import ServiceTable
from polylat.lowering.iterations import IrregularError
from polylat.lowering.numbering import Numbering
from polylat.schedule.arrays import Ints, Mask, Narrow, concatenated_ranges, narrow_type
from polylat.schedule.events import EventNumbering, Precedences
from polylat.schedule.extrapolation import NotPeriodicError
from polylat.schedule.graph import TaskGraph

__all__ = [
    "ROWS_AT_ONCE",
    "ServiceOrder",
    "order_of_services",
    "order_of_shortened_loops",
    "places_of",
    "transferred_order",
]

ROWS_AT_ONCE = 50_000
"""How many followers are examined at once: it bounds the memory that they take."""

_StreamKey = tuple[int, int, int]
"""(leaf, position of the block in its tile iterations, port)"""


@dataclass(frozen=True, eq=False)
class ServiceOrder:
    """Per task, and stream on its port, the first task of the stream that is served later.

    Parameters
    ----------
    task, leaf, sequence
        Shape (rows,): a task, and a stream: its leaf, and the position of its block among those of
        a tile iteration. The rows of a task are consecutive.
    exists
        Shape (rows,): whether there is a follower.
    digits
        Shape (rows, D): its loop indices for k = 0.
    moving, matrices
        Shape (n,) and (n, D, D): the rows whose followers move, increasing, and a matrix each: by
        how many iterations each index of the follower (first axis) increases per period of each
        loop of the task (second axis).
    before
        Shape (tasks,): a row whose stream is that of the task served directly before; -1: none.
    before_digits, before_moves
        Shape (tasks, D) and (tasks, D, D): the loop indices of that task, and how they move.
    """

    task: Narrow
    leaf: Narrow
    sequence: Narrow
    exists: Mask
    digits: Narrow
    moving: Ints
    matrices: Ints
    before: Ints
    before_digits: Ints
    before_moves: Ints

    def moves(self, rows: Ints) -> Ints:
        """Return how followers move.

        Parameters
        ----------
        rows
            Numbers of rows, shape (n,).

        Returns
        -------
        numpy.ndarray
            Shape (n, D, D): a matrix each, see `matrices`.
        """
        found = np.zeros((len(rows), *self.matrices.shape[1:]), dtype=np.int64)
        some, which = self.moving_among(rows)
        found[some] = self.matrices[which]
        return found

    def moving_among(self, rows: Ints) -> tuple[Ints, Ints]:
        """Return which rows have followers that move.

        Parameters
        ----------
        rows
            Numbers of rows, shape (n,).

        Returns
        -------
        (positions, which)
            Positions in `rows`, and the positions of these rows in `moving`.
        """
        return _found_in(self.moving, rows)


def order_of_shortened_loops(
    layout: Numbering, graph: TaskGraph, order: Ints, start: Ints, among: Mask | None = None
) -> tuple[Precedences, ServiceOrder]:
    """Return the order of service of the shortened loops, carried into the whole loops.

    Each task has the followers and the predecessor that it has in the shortened loops, as far away
    as there (see `service_table`).

    Parameters
    ----------
    layout, graph
        The numbering of the sampled tile iterations and blocks, and their task graph.
    order, start
        The tasks in the order of service of the shortened loops, by port, shape (tasks,); and where
        the tasks of each port begin, shape (ports + 1,).
    among
        Shape (tasks,): the tasks whose followers are returned; None: all.

    Returns
    -------
    (precedences, order)
        Per task the one that its port serves directly before it; and the followers.

    Raises
    ------
    NotPeriodicError
        A port does not serve a stream in order, or followers do not move with the boxes.
    """
    table = ServiceTable(layout, graph)
    stream = table.leaf * table.width + table.sequence
    back = _earlier(layout, graph)
    wanted = None if among is None else among.copy()
    if wanted is not None:
        # How a follower moves is seen from that of the task one period earlier.
        for _ in back:
            for cells, earlier in back:
                wanted[earlier[wanted[cells]]] = True
    task, kinds, follower = _followers(table, stream, order, start, wanted)
    exists = follower >= 0
    digits = np.zeros((len(task), layout.depth), dtype=narrow_type(_most_trips(layout)))
    some = np.flatnonzero(exists)
    for first in range(0, len(some), ROWS_AT_ONCE):
        rows = some[first : first + ROWS_AT_ONCE]
        found, later = table.at_sampled_distance(task[rows], follower[rows])
        digits[rows] = table.loop_indices(found, later).T
    follows = np.ones(len(order), dtype=np.bool_)
    follows[start[:-1][start[:-1] < start[1:]]] = False
    at = np.flatnonzero(follows)
    source, periods = table.at_sampled_distance(order[at], order[at - 1])
    before = Precedences(source, order[at], periods)
    return before, _moving(table, back, before, (task, kinds, exists, digits))


def order_of_services(
    layout: Numbering, graph: TaskGraph, services: Mapping[_StreamKey, StreamLog]
) -> tuple[Precedences, ServiceOrder]:
    """Return the order of service in which all tile iterations are served.

    Parameters
    ----------
    layout, graph
        The numbering of the sampled tile iterations and blocks, and their task graph.
    services
        The services of all streams.

    Returns
    -------
    (precedences, order)
        As `order_of_shortened_loops`.

    Raises
    ------
    NotPeriodicError
        A task is not among the services, or followers do not move with the boxes.
    """
    table = ServiceTable(layout, graph)
    streams: dict[int, list[tuple[int, StreamLog]]] = {}
    for (leaf, sequence, port), log in services.items():
        streams.setdefault(port, []).append((leaf * table.width + sequence, log))
    for mine in streams.values():
        mine.sort(key=lambda entry: entry[0])
    depths = [tiles.depth for tiles in layout.tiles]
    indices = layout.digits[:, table.iteration].T.tolist()
    task: list[int] = []
    kinds: list[int] = []
    followers: list[tuple[float, ...] | None] = []
    targets: list[int] = []
    sources: list[tuple[int, tuple[float, ...]]] = []
    columns = (table.leaf.tolist(), table.sequence.tolist(), table.port.tolist())
    for number, (leaf, sequence, port) in enumerate(zip(*columns, strict=True)):
        begin = services[leaf, sequence, port].begin(tuple(indices[number][: depths[leaf]]))
        if begin is None:
            raise NotPeriodicError([])
        last = None
        for kind, log in streams[port]:
            task.append(number)
            kinds.append(kind)
            after, earlier = log.after(begin), log.before(begin)
            followers.append(None if after is None else after[1])
            if earlier is not None and (last is None or earlier[0] > last[0]):
                last = (earlier[0], kind, earlier[1])
        if last is not None:
            targets.append(number)
            sources.append(last[1:])
    target = np.array(targets, dtype=np.int64)
    kind_of = np.array([kind for kind, _ in sources], dtype=np.int64)
    source, periods = table.locate(
        kind_of // table.width,
        _padded([at for _, at in sources], layout.depth).T,
        kind_of % table.width,
        table.port[target],
    )
    if (source < 0).any():
        raise NotPeriodicError([])
    before = Precedences(source, target, periods)
    exists = np.array([at is not None for at in followers], dtype=np.bool_)
    digits = _padded([at or () for at in followers], layout.depth)
    rows = np.array(task, dtype=np.int64), np.array(kinds, dtype=np.int64), exists, digits
    return before, _moving(table, _earlier(layout, graph), before, rows)


def _most_trips(layout: Numbering) -> int:
    return max((kept.trips for tiles in layout.tiles for kept in tiles.kept), default=1)


def _padded(digits: Sequence[tuple[float, ...]], depth: int) -> Ints:
    found = np.zeros((len(digits), depth), dtype=np.int64)
    for row, indices in enumerate(digits):
        found[row, : len(indices)] = indices
    return found


def _moving(
    table: ServiceTable,
    back: Sequence[tuple[Ints, Ints]],
    preceding: Precedences,
    rows: tuple[Narrow, Narrow, Mask, Narrow],
) -> ServiceOrder:
    """Return an order of service, given the followers for k = 0.

    How followers move is seen from those of the tasks one period earlier: `back`, see `_earlier`.
    """
    layout, graph = table.layout, table.graph
    task, kinds, exists, digits = rows
    source, targets = preceding.source, preceding.target
    stream = table.leaf * table.width + table.sequence
    width = np.bincount(task, minlength=graph.tasks)
    first = np.cumsum(width) - width
    before = np.full(graph.tasks, -1)
    before_digits = np.zeros((graph.tasks, layout.depth), dtype=np.int64)
    before_digits[targets] = table.loop_indices(source, preceding.periods).T
    spread, mine = concatenated_ranges(first[targets], width[targets])
    match = kinds[mine] == stream[source][spread]
    before[targets[spread[match]]] = mine[match]
    cells_of = np.unique(np.concatenate([task[:0], *(cells for cells, _ in back)]))
    _, in_cells = concatenated_ranges(first[cells_of], width[cells_of])
    in_cells = in_cells[exists[in_cells]]
    matrices = np.zeros((len(in_cells), layout.depth, layout.depth), dtype=np.int64)
    before_moves = np.zeros((graph.tasks, layout.depth, layout.depth), dtype=np.int64)
    for k, (cells, earlier) in enumerate(back):
        spread, mine = concatenated_ranges(first[cells], width[cells])
        others = mine - first[cells][spread] + first[earlier][spread]
        if (width[cells] != width[earlier]).any() or (exists[mine] != exists[others]).any():
            raise NotPeriodicError(places_of(layout, k))
        some, which = _found_in(in_cells, mine)
        matrices[which, :, k] = digits[mine[some]] - digits[others[some]]
        here = (before[cells] >= 0) & (before[earlier] >= 0)
        before_moves[cells[here], :, k] = before_digits[cells[here]] - before_digits[earlier[here]]
        alike = kinds[before[cells[here]]] == kinds[before[earlier[here]]]
        before[cells[here][~alike]] = -1
        before[cells[~here]] = -1
    return ServiceOrder(
        task,
        kinds // table.width,
        kinds % table.width,
        exists,
        digits,
        in_cells,
        matrices,
        before,
        before_digits,
        before_moves,
    )


def _found_in(increasing: Ints, wanted: Ints) -> tuple[Ints, Ints]:
    """Return the positions of the numbers that occur in a list, and where they are in it."""
    at = np.searchsorted(increasing, wanted)
    there = np.append(increasing, -1)[at] == wanted
    return np.flatnonzero(there), at[there]


def _followers(
    table: ServiceTable, stream: Ints, order: Ints, start: Ints, among: Mask | None
) -> tuple[Narrow, Narrow, Narrow]:
    """Return (task, stream, first later task of the stream or -1), by task and stream."""
    served = [order[start[port] : start[port + 1]] for port in range(table.graph.ports)]
    streams = [np.unique(stream[mine]) for mine in served]
    width = np.zeros(table.graph.tasks, dtype=np.int64)
    for mine, of_port in zip(served, streams, strict=True):
        width[mine if among is None else mine[among[mine]]] = len(of_port)
    count = len(width)
    numbers = narrow_type(max(count, int(stream.max(initial=0))))
    task = np.repeat(np.arange(count, dtype=numbers), width)
    kinds, follower = np.empty_like(task), np.empty_like(task)
    first = np.cumsum(width) - width
    for mine, of_port in zip(served, streams, strict=True):
        here = slice(None) if among is None else among[mine]
        for number, kind in enumerate(of_port.tolist()):
            in_stream = stream[mine] == kind
            of_stream = mine[in_stream]
            if (np.diff(table.iteration[of_stream]) < 0).any():
                raise NotPeriodicError([])
            rows = first[mine[here]] + number
            kinds[rows] = kind
            follower[rows] = np.append(of_stream, -1)[np.cumsum(in_stream)][here]
    return task, kinds, follower


def places_of(layout: Numbering, loop: int) -> list[tuple[int, int, int]]:
    """Return the skipped ranges of a loop, of all leaves.

    Parameters
    ----------
    layout, loop
        The numbering, and the number of the loop in each leaf.

    Returns
    -------
    list of (leaf, loop, number of the range in the loop)
        The ranges.
    """
    return [
        (leaf, loop, number)
        for leaf, tiles in enumerate(layout.tiles)
        if loop < tiles.depth
        for number in range(len(tiles.kept[loop].cuts))
    ]


def _earlier(layout: Numbering, graph: TaskGraph) -> list[tuple[Ints, Ints]]:
    """Per loop: the tasks that represent skipped ones, and the same tasks one period earlier."""
    events = EventNumbering(graph)
    owner = graph.owner[graph.task_block]
    found = []
    for k, earlier in enumerate(layout.earlier):
        cells = np.flatnonzero(earlier[owner] >= 0)
        back = events.earlier_tasks(cells, earlier[owner[cells]])
        if (back < 0).any():
            raise NotPeriodicError(places_of(layout, k))
        found.append((cells, back))
    return found


def transferred_order(
    order: ServiceOrder, old: tuple[Numbering, TaskGraph], new: tuple[Numbering, TaskGraph]
) -> ServiceOrder:
    """Transfer an order of service to another sample of the same mapping.

    Parameters
    ----------
    order
        The order of service.
    old, new
        The numbering and the task graph that it is of, and those to transfer it to.

    Returns
    -------
    ServiceOrder
        The same order.

    Raises
    ------
    IrregularError
        A box of the new sample is not part of a box of the old one.
    """
    before, after = ServiceTable(*old), ServiceTable(*new)
    layout, graph = new
    digits = after.loop_indices(np.arange(graph.tasks))
    representative, periods = before.locate(after.leaf, digits, after.sequence, after.port)
    iteration = graph.owner[graph.task_block]
    skipped, length = layout.skipped_periods[:, iteration], layout.period_lengths[:, iteration]
    steps = np.zeros_like(length)
    for k in range(layout.depth):
        wide = np.flatnonzero(skipped[k])
        corner = digits[:, wide].copy()
        corner[k] += skipped[k, wide] * length[k, wide]
        there, _ = before.locate(after.leaf[wide], corner, after.sequence[wide], after.port[wide])
        if (there != representative[wide]).any():
            raise IrregularError("a port does not serve all periods alike")
        old_length = old[0].period_lengths[k, old[1].owner[old[1].task_block[there]]]
        if (length[k, wide] % np.maximum(old_length, 1)).any():
            raise IrregularError("a port does not serve all periods alike")
        steps[k, wide] = length[k, wide] // np.maximum(old_length, 1)
    if (representative < 0).any():
        raise IrregularError("a port does not serve all periods alike")
    width = np.bincount(order.task, minlength=old[1].tasks)
    first = np.cumsum(width) - width
    spread, rows = concatenated_ranges(first[representative], width[representative])
    first_new = np.cumsum(width[representative]) - width[representative]
    some, which = order.moving_among(rows)
    matrices = order.matrices[which]
    indices = order.digits[rows].astype(np.int64)
    indices[some] += np.einsum("rpk,kr->rp", matrices, periods[:, spread[some]])
    previous = order.before[representative]
    return ServiceOrder(
        spread,
        order.leaf[rows],
        order.sequence[rows],
        order.exists[rows],
        indices,
        some,
        matrices * steps[:, spread[some]].T[:, None, :],
        np.where(previous < 0, -1, previous - first[representative] + first_new),
        order.before_digits[representative]
        + np.einsum("rpk,kr->rp", order.before_moves[representative], periods),
        order.before_moves[representative] * steps.T[:, None, :],
    )
