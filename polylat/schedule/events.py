"""Numbers of the events of a task graph, and precedences between them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from polylat.schedule.arrays import Ints, Mask, Narrow, Times, narrow_type, widened
from polylat.schedule.graph import TaskGraph

__all__ = ["EventNumbering", "LaggedPrecedences", "Precedences"]


@dataclass(frozen=True, eq=False)
class Precedences:
    """Precedences: each target waits for a source, or for the source some periods later.

    Parameters
    ----------
    source, target
        Shape (precedences,): numbers of events, or of what else the owner says.
    periods
        Shape (loops, precedences): how many periods later than `source` the awaited event is.
    """

    source: Ints
    target: Ints
    periods: Ints


@dataclass(frozen=True, eq=False)
class LaggedPrecedences(Precedences):
    """Precedences with times between their sources and their targets.

    Parameters
    ----------
    lag
        Shape (precedences,), in steps: how long after its source the target happens at the
        earliest, its own duration aside.
    """

    lag: Times


@dataclass(frozen=True, eq=False)
class EventNumbering:
    """Numbering of events.

    In this order: the starts of the tile iterations and of the separate blocks, the ends of the
    tasks, the ends of the service of tile iterations (with all earlier ones of their leaves) and of
    separate blocks, the finishes of the tile iterations.

    Parameters
    ----------
    graph
        The task graph.
    """

    graph: TaskGraph

    @property
    def count(self) -> int:
        """Number of events."""
        return 2 * self.graph.blocks + self.graph.tasks + self.graph.iterations

    @property
    def number_type(self) -> type[np.signedinteger[Any]]:
        """A type in which the number of events fits twice."""
        return narrow_type(2 * self.count)

    def numbers_where(self, holds: Mask) -> Narrow:
        """Return the positions at which a mask holds, in the type of events.

        Parameters
        ----------
        holds
            Shape (n,): a truth value per event, or per block, task or tile iteration.

        Returns
        -------
        numpy.ndarray
            The positions, increasing.
        """
        return np.flatnonzero(holds).astype(self.number_type, copy=False)

    def _number(self, event: int) -> np.signedinteger[Any]:
        """Return an event in a type to which others can be added."""
        return self.number_type(event)

    def task(self, tasks: Ints) -> Ints:
        """Return the events at which tasks end.

        Parameters
        ----------
        tasks
            Shape (n,): numbers of tasks.

        Returns
        -------
        numpy.ndarray
            Shape (n,): numbers of events.
        """
        return tasks + self._number(self.graph.blocks)

    def block(self, blocks: Ints) -> Ints:
        """Return the events at which blocks have been served.

        Parameters
        ----------
        blocks
            Shape (n,): numbers of blocks.

        Returns
        -------
        numpy.ndarray
            Shape (n,): numbers of events.
        """
        return blocks + self._number(self.graph.blocks + self.graph.tasks)

    def finish(self, iterations: Ints) -> Ints:
        """Return the events at which tile iterations finish.

        Parameters
        ----------
        iterations
            Shape (n,): numbers of tile iterations.

        Returns
        -------
        numpy.ndarray
            Shape (n,): numbers of events.
        """
        return iterations + self._number(2 * self.graph.blocks + self.graph.tasks)

    def of_tasks(self, durations: Times) -> Times:
        """Return the durations of events: those of tasks precede their ends, others take no time.

        Parameters
        ----------
        durations
            Shape (tasks,), in steps.

        Returns
        -------
        numpy.ndarray
            Shape (events,), in steps.
        """
        found = np.full(self.count, 0, dtype=durations.dtype)
        self.of_ends(found)[:] = durations
        return found

    def of_ends(self, values: Times) -> Times:
        """Return the values of the ends of tasks.

        Parameters
        ----------
        values
            Shape (events,): a value per event.

        Returns
        -------
        numpy.ndarray
            Shape (tasks,): a view.
        """
        return values[self.graph.blocks : self.graph.blocks + self.graph.tasks]

    def of_finishes(self, values: Times) -> Times:
        """Return the values of the finishes of tile iterations.

        Parameters
        ----------
        values
            Shape (events,): a value per event.

        Returns
        -------
        numpy.ndarray
            Shape (iterations,): a view.
        """
        return values[2 * self.graph.blocks + self.graph.tasks :]

    @cached_property
    def _block_keys(self) -> tuple[Ints, Ints, int]:
        width = int(self.graph.sequence.max(initial=0)) + 1
        keys = widened(self.graph.owner) * width + self.graph.sequence
        order = np.argsort(keys, kind="stable")
        return keys[order], order, width

    @cached_property
    def task_keys(self) -> tuple[Ints, Ints]:
        """The increasing keys ``block * ports + port`` of all tasks, and the task of each key."""
        keys = widened(self.graph.task_block) * self.graph.ports + self.graph.task_port
        order = np.argsort(keys, kind="stable")
        return keys[order], order

    def block_at(self, iterations: Ints, like: Ints) -> Ints:
        """Return the blocks that correspond to given blocks in other tile iterations.

        Parameters
        ----------
        iterations
            Shape (n,): the other tile iterations.
        like
            Shape (n,): the given blocks; a block corresponds if its `sequence` is the same.

        Returns
        -------
        numpy.ndarray
            Shape (n,): the blocks; -1 where there is none.
        """
        keys, order, width = self._block_keys
        return _look_up(keys, order, widened(iterations) * width + self.graph.sequence[like])

    def task_at(self, blocks: Ints, like: Ints) -> Ints:
        """Return the tasks of other blocks on the ports of given tasks.

        Parameters
        ----------
        blocks
            Shape (n,): the other blocks; -1 for none.
        like
            Shape (n,): the given tasks.

        Returns
        -------
        numpy.ndarray
            Shape (n,): the tasks; -1 where there is none.
        """
        keys, order = self.task_keys
        wanted = widened(blocks) * self.graph.ports + self.graph.task_port[like]
        return np.where(blocks < 0, -1, _look_up(keys, order, wanted))

    def earlier_tasks(self, tasks: Ints, iterations: Ints) -> Ints:
        """Return the tasks that correspond to given tasks in other tile iterations.

        Parameters
        ----------
        tasks
            Shape (n,): the given tasks.
        iterations
            Shape (n,): the other tile iterations.

        Returns
        -------
        numpy.ndarray
            Shape (n,): the tasks; -1 where there is none.
        """
        blocks = self.block_at(iterations, self.graph.task_block[tasks])
        return self.task_at(blocks, tasks)

    def at(self, events: Ints, iterations: Ints) -> Ints:
        """Return the events that correspond to given events in other tile iterations.

        Parameters
        ----------
        events
            Shape (n,): the given events.
        iterations
            Shape (n,): the other tile iterations.

        Returns
        -------
        numpy.ndarray
            Shape (n,): the events; -1 where there is none.
        """
        graph = self.graph
        found = np.full(len(events), -1, dtype=np.int64)
        n, blocks, tasks = graph.iterations, graph.blocks, graph.tasks
        begin, finish = events < n, events >= 2 * blocks + tasks
        found[begin] = iterations[begin]
        found[finish] = self.finish(iterations[finish])
        fill = (events >= n) & (events < blocks)
        found[fill] = self.block_at(iterations[fill], events[fill])
        served = (events >= blocks) & (events < blocks + tasks)
        like = events[served] - blocks
        there = self.task_at(self.block_at(iterations[served], graph.task_block[like]), like)
        found[served] = np.where(there < 0, -1, self.task(there))
        ended = (events >= blocks + tasks) & ~finish
        there = self.block_at(iterations[ended], events[ended] - blocks - tasks)
        found[ended] = np.where(there < 0, -1, self.block(there))
        return found

    @cached_property
    def block_of(self) -> Ints:
        """Shape (events,): the block of each event; of a finish, the foreground block."""
        graph = self.graph
        every = np.arange(graph.blocks)
        return np.concatenate((every, graph.task_block, every, every[: graph.iterations]))

    @cached_property
    def iteration(self) -> Ints:
        """Shape (events,): the tile iteration that each event belongs to."""
        return self.graph.owner[self.block_of]


def _look_up(keys: Ints, values: Ints, wanted: Ints) -> Ints:
    if not len(keys):
        return np.full(len(wanted), -1, dtype=np.int64)
    at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[at] == wanted, values[at], -1)
