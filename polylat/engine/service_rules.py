"""The precedences of an order of service, and the conditions that make it work-conserving."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from polylat.engine.ages import Services, are_older
from polylat.engine.served_ahead import ServedAhead
from polylat.engine.service_order import ROWS_AT_ONCE, ServiceOrder, places_of
from polylat.engine.service_table import ServiceTable
from polylat.lowering.numbering import Numbering
from polylat.schedule.arrays import Ints, Mask, Narrow, concatenated_ranges, narrow_type
from polylat.schedule.boxes import Parts, Rows, Sources
from polylat.schedule.event_families import family_numbers
from polylat.schedule.extension import ExtensionRules, Followers, ServiceRules
from polylat.schedule.extrapolation import NotPeriodicError
from polylat.schedule.graph import TaskGraph

__all__ = ["service_rules"]


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
    follow = np.flatnonzero(order.exists).astype(narrow_type(len(order.exists)))
    waiting = families.tasks.astype(narrow_type(families.count))[order.task[follow]]
    parts = np.split(follow, np.arange(ROWS_AT_ONCE, len(follow), ROWS_AT_ONCE))
    older = np.concatenate([_older(layout, graph, order, p, shifts, ahead) for p in parts])
    width = max(layout.depth, 1)

    def followers(chosen: Ints) -> Followers:
        here = follow[chosen]
        task, leaf, sequence = order.task[here], order.leaf[here], order.sequence[here]
        family = family_numbers(families.task, leaf, sequence, graph.task_port[task])
        ready = family_numbers(families.start, leaf)
        if families.ready:
            fills = family_numbers(families.ready, leaf, sequence)
            ready = np.where(fills >= 0, fills, ready)
        sources = _sources(
            *_points(layout, graph, task),
            leaf,
            _wide(order.digits[here], width),
            _wide_matrix(order.moves(here), width),
        )
        itself = np.ones(len(here), dtype=np.bool_)
        numbers, never = np.arange(len(here)), np.zeros(len(here), dtype=np.int64)
        rows = Rows(families.tasks[task], family, numbers, itself, itself, never)
        return Followers(sources.parts(rules.grid), rows, ready, older[chosen])

    return ServiceRules(*_in_order(layout, graph, rules, order), waiting, older, followers)


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
    up_to, moves = _wide(order.digits[rows], width), _wide_matrix(order.moves(rows), width)
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
            raise NotPeriodicError([place for j in range(width) for place in places_of(layout, j)])
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
    at_once = max(ROWS_AT_ONCE // max(int(width.max(initial=0)), 1), 1)
    for start in range(0, len(tasks), at_once):
        some = slice(start, start + at_once)
        pairs = np.stack((tasks[some], previous[some]))
        which, mine = concatenated_ranges(first[pairs[0]], width[pairs[0]])
        others = mine - first[pairs[0]][which] + first[pairs[1]][which]
        same = order.exists[mine] == order.exists[others]
        for stream in order.leaf, order.sequence:
            same &= stream[mine] == stream[others]
        theirs = order.moves(others)
        moved = order.digits[others] + np.einsum("rpk,rk->rp", theirs, periods[some][which])
        same &= (order.digits[mine] == moved).all(axis=1)
        same &= (order.moves(mine) == theirs @ slope[some][which]).all(axis=(1, 2))
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


def _sources(leaf: Ints, target: Ints, other: Narrow, base: Ints, moves: Ints) -> Sources:
    """Return sources with a matrix each, or none where they do not move."""
    moving = np.flatnonzero(moves.any(axis=(1, 2)))
    slope = np.full(len(target), -1)
    slope[moving] = np.arange(len(moving))
    same = np.zeros_like(target)
    return Sources(leaf, target, other.astype(np.int64), base, same, slope, moves[moving])


def _wide(digits: Narrow, width: int) -> Ints:
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
        order.leaf[rows],
        order.sequence[rows],
        order.digits[rows].T.astype(np.int64),
        order.moves(rows),
    )
    return are_older(layout, shifts, ahead, tasks, followers, layout.skipped_periods[:, iteration])
