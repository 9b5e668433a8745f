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

from polylat.engine.ages import Services, are_older
from polylat.engine.served_ahead import ServedAhead
from polylat.engine.service_log import StreamLog
from polylat.engine.service_table import ServiceTable
from polylat.lowering.iterations import IrregularError
from polylat.lowering.numbering import Numbering
from polylat.schedule.arrays import Ints, Mask, concatenated_ranges
from polylat.schedule.boxes import Parts, Rows, Sources
from polylat.schedule.event_families import family_numbers
from polylat.schedule.events import EventNumbering, Precedences
from polylat.schedule.extension import ExtensionRules, Followers, ServiceRules
from polylat.schedule.extrapolation import NotPeriodicError
from polylat.schedule.graph import TaskGraph

__all__ = [
    "ServiceOrder",
    "order_of_services",
    "order_of_shortened_loops",
    "service_rules",
    "transferred_order",
]

_ROWS_AT_ONCE = 100_000
"""How many followers are compared with their tasks at once: it bounds the memory that they take."""

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
    moves
        Shape (rows, D, D): by how many iterations each of its indices (first axis) increases per
        period of each loop of the task (second axis).
    before
        Shape (tasks,): a row whose stream is that of the task served directly before; -1: none.
    before_digits, before_moves
        Shape (tasks, D) and (tasks, D, D): the loop indices of that task, and how they move.
    """

    task: Ints
    leaf: Ints
    sequence: Ints
    exists: Mask
    digits: Ints
    moves: Ints
    before: Ints
    before_digits: Ints
    before_moves: Ints


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
    digits = np.zeros((len(task), layout.depth), dtype=np.int64)
    some = np.flatnonzero(exists)
    found, later = table.at_sampled_distance(task[some], follower[some])
    digits[some] = table.loop_indices(found, later).T
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


def _padded(digits: Sequence[tuple[float, ...]], depth: int) -> Ints:
    found = np.zeros((len(digits), depth), dtype=np.int64)
    for row, indices in enumerate(digits):
        found[row, : len(indices)] = indices
    return found


def _moving(
    table: ServiceTable,
    back: Sequence[tuple[Ints, Ints]],
    preceding: Precedences,
    rows: tuple[Ints, Ints, Mask, Ints],
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
    moves = np.zeros((len(task), layout.depth, layout.depth), dtype=np.int64)
    before_moves = np.zeros((graph.tasks, layout.depth, layout.depth), dtype=np.int64)
    for k, (cells, earlier) in enumerate(back):
        spread, mine = concatenated_ranges(first[cells], width[cells])
        others = mine - first[cells][spread] + first[earlier][spread]
        if (width[cells] != width[earlier]).any() or (exists[mine] != exists[others]).any():
            raise NotPeriodicError(_places(layout, k))
        moves[mine, :, k] = digits[mine] - digits[others]
        here = (before[cells] >= 0) & (before[earlier] >= 0)
        before_moves[cells[here], :, k] = before_digits[cells[here]] - before_digits[earlier[here]]
        alike = kinds[before[cells[here]]] == kinds[before[earlier[here]]]
        before[cells[here][~alike]] = -1
        before[cells[~here]] = -1
    moves[~exists] = 0
    return ServiceOrder(
        task,
        kinds // table.width,
        kinds % table.width,
        exists,
        digits,
        moves,
        before,
        before_digits,
        before_moves,
    )


def _followers(
    table: ServiceTable, stream: Ints, order: Ints, start: Ints, among: Mask | None
) -> tuple[Ints, Ints, Ints]:
    """Return (task, stream, first later task of the stream or -1), by task and stream."""
    none = np.zeros(0, dtype=np.int64)
    tasks, streams, followers = [none], [none], [none]
    for port in range(table.graph.ports):
        mine = order[start[port] : start[port + 1]]
        for kind in np.unique(stream[mine]).tolist():
            in_stream = stream[mine] == kind
            of_stream = mine[in_stream]
            if (np.diff(table.iteration[of_stream]) < 0).any():
                raise NotPeriodicError([])
            following = np.append(of_stream, -1)[np.cumsum(in_stream)]
            here = slice(None) if among is None else among[mine]
            tasks.append(mine[here])
            streams.append(np.full(len(tasks[-1]), kind))
            followers.append(following[here])
    task, kinds, follower = (np.concatenate(parts) for parts in (tasks, streams, followers))
    by_task = np.lexsort((kinds, task))
    return task[by_task], kinds[by_task], follower[by_task]


def _places(layout: Numbering, loop: int) -> list[tuple[int, int, int]]:
    """Return the skipped ranges of a loop, of all leaves."""
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
            raise NotPeriodicError(_places(layout, k))
        found.append((cells, back))
    return found


def service_rules(
    layout: Numbering,
    graph: TaskGraph,
    rules: ExtensionRules,
    order: ServiceOrder,
    shifts: Mapping[int, Sequence[int]],
    ahead: ServedAhead | None,
) -> ServiceRules:
    """Return the precedences of an order of service, and what makes it work-conserving.

    Parameters
    ----------
    layout, graph, rules
        The numbering of the sampled tile iterations, their task graph and their precedences.
    order
        The order of service.
    shifts
        Tree node of a Pipeline → the shift of each stage in the skewed dates.
    ahead
        The fills that are served ahead of other blocks, see `Model`.

    Returns
    -------
    ServiceRules
        The precedences of the order, the followers, and which tasks are older than these.

    Raises
    ------
    NotPeriodicError
        What precedes a follower does not move with the box.
    """
    families = rules.families
    follow = np.flatnonzero(order.exists)
    task, leaf, sequence = order.task[follow], order.leaf[follow], order.sequence[follow]
    family = family_numbers(families.task, leaf, sequence, graph.task_port[task])
    ready = family_numbers(families.start, leaf)
    if families.ready:
        fills = family_numbers(families.ready, leaf, sequence)
        ready = np.where(fills >= 0, fills, ready)
    target = families.tasks[task]
    parts = np.split(follow, np.arange(_ROWS_AT_ONCE, len(follow), _ROWS_AT_ONCE))
    older = np.concatenate([_older(layout, graph, order, p, shifts, ahead) for p in parts])
    width = max(layout.depth, 1)

    def followers(chosen: Ints) -> Followers:
        here = follow[chosen]
        sources = _sources(
            *_points(layout, graph, order.task[here]),
            order.leaf[here],
            _wide(order.digits[here], width),
            _wide_matrix(order.moves[here], width),
        )
        itself = np.ones(len(here), dtype=np.bool_)
        numbers, never = np.arange(len(here)), np.zeros(len(here), dtype=np.int64)
        rows = Rows(target[chosen], family[chosen], numbers, itself, itself, never)
        return Followers(sources.parts(rules.grid), rows, ready[chosen], older[chosen])

    return ServiceRules(*_in_order(layout, graph, rules, order), target, older, followers)


def _in_order(
    layout: Numbering, graph: TaskGraph, rules: ExtensionRules, order: ServiceOrder
) -> tuple[Parts, Rows]:
    """Return the precedences of an order of service, and the parts of their sources.

    A task waits for the one served directly before it, and for all tasks of every stream before
    its follower in the stream, unless this follows from what the task before it waits for.
    """
    families, grid = rules.families, rules.grid
    width = max(layout.depth, 1)
    rows = np.flatnonzero(~_as_before(layout, graph, order))
    task, stream_leaf = order.task[rows], order.leaf[rows]
    iteration = graph.owner[graph.task_block[task]]
    itself = (graph.leaf[iteration] == stream_leaf) & (
        graph.sequence[graph.task_block[task]] == order.sequence[rows]
    )
    # The tasks of the stream before the follower (all, if there is none). In the task's own stream
    # these are the tasks before itself.
    up_to, moves = _wide(order.digits[rows], width), _wide_matrix(order.moves[rows], width)
    up_to[itself] = _wide(layout.digits[:, iteration[itself]].T, width)
    moves[itself] = 0
    for k in range(layout.depth):
        moves[itself, k, k] = layout.period_lengths[k, iteration[itself]]
    bounded = order.exists[rows] | itself
    precedes = ~bounded
    for k in range(width - 1, -1, -1):
        inside = k < grid.depth[stream_leaf]
        end = grid.trips[stream_leaf, k] - 1
        open_ = inside & bounded & ~precedes
        down = open_ & (up_to[:, k] > 0)
        reset = open_ & ~down
        if (moves[reset, k] != 0).any():
            raise NotPeriodicError([place for j in range(width) for place in _places(layout, j)])
        up_to[:, k] = np.where(down, up_to[:, k] - 1, np.where(reset, end, up_to[:, k]))
        precedes |= down
        all_ = inside & ~bounded
        up_to[all_, k] = end[all_]
    some = np.flatnonzero(precedes)
    direct = np.flatnonzero(order.before >= 0)
    before = order.before[direct]
    ports = graph.task_port
    served = family_numbers(families.task, order.leaf[rows], order.sequence[rows], ports[task])
    directly = family_numbers(
        families.task, order.leaf[before], order.sequence[before], ports[direct]
    )
    sources = Sources.joined(
        [
            _sources(
                *_points(layout, graph, task[some]), stream_leaf[some], up_to[some], moves[some]
            ),
            _sources(
                *_points(layout, graph, direct),
                order.leaf[before],
                _wide(order.before_digits[direct], width),
                _wide_matrix(order.before_moves[direct], width),
            ),
        ],
        width,
    )
    n, m = len(some), len(direct)
    of_task = np.arange(n + m) >= n
    found = Rows(
        np.concatenate((families.tasks[task[some]], families.tasks[direct])),
        np.concatenate((family_numbers(families.latest_of, served[some]), directly)),
        np.arange(n + m),
        of_task,
        of_task,
        np.zeros(n + m, dtype=np.int64),
    )
    return sources.parts(grid), found


def _as_before(layout: Numbering, graph: TaskGraph, order: ServiceOrder) -> Mask:
    """Return which rows have the same follower as for the task served directly before.

    What a task waits for then follows: that task has waited for the same tasks of the stream, if
    the stream is neither its own nor that of the task in question. This is decided for all members
    of the tasks' boxes, whose followers are affine functions of the number of periods.

    Returns
    -------
    numpy.ndarray
        Shape (rows,).
    """
    found = np.zeros(len(order.task), dtype=np.bool_)
    width = np.bincount(order.task, minlength=graph.tasks)
    first = np.cumsum(width) - width
    table = ServiceTable(layout, graph)
    tasks = np.flatnonzero((order.before >= 0) & (width > 0))
    at = order.before[tasks]
    previous, periods = table.locate(
        order.leaf[at], order.before_digits[tasks].T, order.sequence[at], graph.task_port[tasks]
    )
    # The task before may itself be skipped: its followers move with the one that represents it.
    owner, own = table.iteration[previous], table.iteration[tasks]
    length = np.maximum(layout.period_lengths[:, owner], 1)
    moves = order.before_moves[tasks].transpose(1, 2, 0)
    slope, rest = moves // length[:, None], moves % length[:, None]
    reach = slope * layout.skipped_periods[None, :, own]
    least = periods + np.minimum(reach, 0).sum(axis=1)
    most = periods + np.maximum(reach, 0).sum(axis=1)
    good = (previous >= 0) & (width[previous] == width[tasks]) & (rest == 0).all(axis=(0, 1))
    good &= ((least >= 0) & (most <= layout.skipped_periods[:, owner])).all(axis=0)
    tasks, previous, periods = tasks[good], previous[good], periods[:, good].T
    slope = slope[:, :, good].transpose(2, 0, 1)
    at_once = max(_ROWS_AT_ONCE // max(int(width.max(initial=0)), 1), 1)
    for start in range(0, len(tasks), at_once):
        some = slice(start, start + at_once)
        pairs = np.stack((tasks[some], previous[some]))
        which, mine = concatenated_ranges(first[pairs[0]], width[pairs[0]])
        others = mine - first[pairs[0]][which] + first[pairs[1]][which]
        same = order.exists[mine] == order.exists[others]
        for stream in order.leaf, order.sequence:
            same &= stream[mine] == stream[others]
        theirs = order.moves[others]
        moved = order.digits[others] + np.einsum("rpk,rk->rp", theirs, periods[some][which])
        same &= (order.digits[mine] == moved).all(axis=1)
        same &= (order.moves[mine] == theirs @ slope[some][which]).all(axis=(1, 2))
        for leaf, sequence in zip(table.leaf[pairs], table.sequence[pairs], strict=True):
            own_stream = order.leaf[mine] == leaf[which]
            same &= ~(own_stream & (order.sequence[mine] == sequence[which]))
        found[mine[same]] = True
    return found


def _points(layout: Numbering, graph: TaskGraph, tasks: Ints) -> tuple[Ints, Ints]:
    """Return the leaves of tasks, and their points of the grid."""
    iteration = graph.owner[graph.task_block[tasks]]
    keys = np.concatenate([tiles.keys for tiles in layout.tiles])
    return graph.leaf[iteration], keys[iteration]


def _sources(leaf: Ints, target: Ints, other: Ints, base: Ints, moves: Ints) -> Sources:
    """Return sources with a matrix each, or none where they do not move."""
    moving = np.flatnonzero(moves.any(axis=(1, 2)))
    slope = np.full(len(target), -1)
    slope[moving] = np.arange(len(moving))
    return Sources(leaf, target, other, base, np.zeros_like(target), slope, moves[moving])


def _wide(digits: Ints, width: int) -> Ints:
    found = np.zeros((len(digits), width), dtype=np.int64)
    found[:, : digits.shape[1]] = digits
    return found


def _wide_matrix(moves: Ints, width: int) -> Ints:
    found = np.zeros((len(moves), width, width), dtype=np.int64)
    found[:, : moves.shape[1], : moves.shape[2]] = moves
    return found


def _older(
    layout: Numbering,
    graph: TaskGraph,
    order: ServiceOrder,
    rows: Ints,
    shifts: Mapping[int, Sequence[int]],
    ahead: ServedAhead | None,
) -> Mask:
    """Return whether tasks come before their followers in the order "oldest", in all of the box."""
    task = order.task[rows]
    iteration = graph.owner[graph.task_block[task]]
    steps = np.zeros((len(rows), layout.depth, layout.depth), dtype=np.int64)
    for k in range(layout.depth):
        steps[:, k, k] = layout.period_lengths[k, iteration]
    sequence = graph.sequence[graph.task_block[task]]
    tasks = Services(graph.leaf[iteration], sequence, layout.digits[:, iteration], steps)
    followers = Services(
        order.leaf[rows], order.sequence[rows], order.digits[rows].T, order.moves[rows]
    )
    return are_older(layout, shifts, ahead, tasks, followers, layout.skipped_periods[:, iteration])


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
    moved = np.einsum("rpk,kr->rp", order.moves[rows], periods[:, spread])
    previous = order.before[representative]
    return ServiceOrder(
        spread,
        order.leaf[rows],
        order.sequence[rows],
        order.exists[rows],
        order.digits[rows] + moved,
        order.moves[rows] * steps[:, spread].T[:, None, :],
        np.where(previous < 0, -1, previous - first[representative] + first_new),
        order.before_digits[representative]
        + np.einsum("rpk,kr->rp", order.before_moves[representative], periods),
        order.before_moves[representative] * steps.T[:, None, :],
    )
