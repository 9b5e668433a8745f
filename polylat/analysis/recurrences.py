"""The recurrences of a mapping: how long each takes per step, beside what the ports need.

The schedule in which no block waits for a port runs each ring of dependences as fast as it can. So
the time from one step to the next, in its steady state, is the recurrence-constrained initiation
interval of modulo scheduling (Rau 1994): the delay of the ring, divided by its distance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from math import prod

import networkx as nx
import numpy as np

from polylat.analysis.access import port_name
from polylat.analysis.access_counts import port_labels
from polylat.analysis.state_memory import StateMemory, state_memory
from polylat.engine.model import Model
from polylat.engine.solution import Solution
from polylat.lowering.cascade import cascade_graph
from polylat.lowering.dependences.exchange import Exchange
from polylat.lowering.dependences.readings import exchanges, storage_reads
from polylat.lowering.paths import Leaf, leaves_below
from polylat.numbers import Number, format_number, reduce_number
from polylat.schedule.arrays import Times

__all__ = ["Recurrence", "recurrences"]

_LONGEST_PERIOD = 16
"""Largest number of steps after which the steps of a visited loop may repeat."""


@dataclass(frozen=True)
class Recurrence:
    """A ring of Einsums, each of which reads what another one, or itself, computed before.

    Parameters
    ----------
    einsums, tensors
        The Einsums of the ring, in tree order, and the states: what is read of an earlier step.
    variable, tile, depth
        The loop that carries it: rank variable, tile shape, and number of Temporal loops above it.
    distance
        The least number of iterations of the loop between the computation of an element and its
        use.
    interval
        Time per iteration that the ring takes at least, in the architecture's unit of time. It
        includes what the ring waits for outside, such as a slower ring ahead of it.
    ports
        Per port that the Einsums below the loop use: its name, and its busy time per iteration.
        The busiest first.
    states
        Per tensor of `tensors`, what it takes to hold it.
    """

    einsums: tuple[str, ...]
    tensors: tuple[str, ...]
    variable: str
    tile: int
    depth: int
    distance: int
    interval: Number
    ports: tuple[tuple[str, Number], ...]
    states: tuple[StateMemory, ...]

    @property
    def delay(self) -> Number:
        """Time from the computation of an element to that which depends on it: of one turn."""
        return reduce_number(self.interval * Fraction(self.distance))

    @property
    def busy(self) -> Number:
        """Busy time per iteration of the busiest port; 0 without any."""
        return self.ports[0][1] if self.ports else 0

    @property
    def binding(self) -> bool:
        """Whether the ring takes longer than the busiest port."""
        return self.interval > self.busy

    @property
    def copies_to_hide(self) -> int | None:
        """Factor on the number of independent copies inside the loop that hides the ring.

        Copies are batches or heads, for example. The busiest port is then busy for as long as the
        ring takes, if each copy keeps it busy for as long as now. An estimate, which ignores buffer
        slots: `Results.changes` analyzes such mappings. None where no port is busy.
        """
        if not self.busy:
            return None
        return -(-Fraction(self.interval) // Fraction(self.busy))

    def __str__(self) -> str:
        ring = " → ".join(self.einsums)
        ring += " (to itself)" if len(self.einsums) == 1 else ""
        per = f"per iteration of {self.variable}"
        takes = f"The recurrence {ring} takes {format_number(self.interval)} {per}"
        if not self.ports:
            return f"{takes}."
        if not self.binding:
            port = f"port {self.ports[0][0]} needs {format_number(self.busy)}"
            return f"{takes}, hidden: {port}."
        return (
            f"{takes}, no port more than {format_number(self.busy)} ({self.ports[0][0]}). By busy"
            f" times alone, {self.copies_to_hide} times as many independent copies inside the loop"
            " (batches, heads) hide it."
        )


def recurrences(unlimited: Solution) -> tuple[Recurrence, ...]:
    """Return the recurrences of a mapping.

    Parameters
    ----------
    unlimited
        The schedule in which no block waits for a port.

    Returns
    -------
    tuple of Recurrence
        One per ring, the slowest first.

    Examples
    --------
    >>> import polylat
    >>> files = "examples/state_space.yaml", "examples/state_space_schedule.yaml"
    >>> (ring,) = polylat.analyze(polylat.load(*files)).recurrences
    >>> ring.einsums, ring.interval, ring.busy
    (('HH', 'H'), 10, 8)
    """
    model = unlimited.model
    lowered = model.lowered
    graph = cascade_graph(lowered.leaves)
    found = []
    for members in nx.strongly_connected_components(nx.DiGraph(graph)):
        ring = sorted(members)
        pairs = [
            pair
            for (number, tensor), source in lowered.found.items()
            if number in members and source.recurrent and source.producer in members
            for pair in exchanges(lowered.leaves, number, tensor, source)
            if pair.produces
        ]
        steps = [step for pair in pairs if (step := _step(model, pair)) is not None]
        if steps:
            loop = min(k for k, _ in steps)
            distance = min(by for k, by in steps if k == loop)
            tensors = tuple(dict.fromkeys(pair.tensor for pair in pairs))
            found.append(_recurrence(unlimited, ring, tensors, loop, distance))
    return tuple(sorted(found, key=lambda ring: -ring.interval))


def _step(model: Model, pair: Exchange) -> tuple[int, int] | None:
    """Return the outermost loop over which an element is carried, and by how many iterations."""
    reader, bringer = pair.reader, pair.bringer
    tiles, others = model.layout.tiles[reader.number], model.layout.tiles[bringer.number]
    depth, events, _ = storage_reads(model.layout, reader, pair.tensor, pair.level)
    last, some = pair.last_within(tiles, depth, events, others, pair.holder.depth)
    pairs = zip(reader.temporal, bringer.temporal, strict=False)
    for k, (mine, other) in enumerate(pairs):
        if mine.node != other.node or k >= min(tiles.depth, others.depth):
            break
        apart = tiles.digits[k, events] - last[k]
        carried = apart[some & (apart > 0)]
        if len(carried):
            return k, int(carried.min())
    return None


def _recurrence(
    unlimited: Solution, ring: Sequence[int], tensors: tuple[str, ...], loop: int, distance: int
) -> Recurrence:
    model = unlimited.model
    leaves = [model.lowered.leaves[number] for number in ring]
    carrying = leaves[0].temporal[loop]
    below = leaves_below(model.lowered.leaves, carrying.node)
    interval = max(_interval(unlimited, leaf, loop) for leaf in leaves)
    return Recurrence(
        tuple(leaf.einsum.name for leaf in leaves),
        tensors,
        carrying.variable,
        carrying.tile,
        loop,
        distance,
        reduce_number(interval / model.costs.scale),
        _busy_per_iteration(model, below, loop),
        tuple(state_memory(model, tensor, below, carrying) for tensor in tensors),
    )


def _interval(unlimited: Solution, leaf: Leaf, loop: int) -> Fraction:
    """Return the time per iteration between the starts of a leaf, in steps, in its steady state."""
    model = unlimited.model
    tiles, base = model.layout.tiles[leaf.number], model.layout.bases[leaf.number]
    starts: Times = unlimited.schedule.ready[base : base + tiles.size]
    others = [k for k in range(tiles.depth) if k != loop]
    first = np.flatnonzero((tiles.places[others] == 0).all(axis=0))
    kept = tiles.kept[loop]
    if kept.cuts:
        cut = max(kept.cuts, key=lambda cut: cut.periods)
        at = dict(zip(tiles.places[loop, first].tolist(), starts[first].tolist(), strict=True))
        there, before = cut.place - 1, cut.place - 1 - cut.period
        if there in at and before in at:
            return Fraction(at[there] - at[before], int(kept.period_lengths[there]))
    times = [int(starts[i]) for i in first]
    if len(times) < 2:
        return Fraction(0)
    growth = [b - a for a, b in pairwise(times)]
    later = growth[len(growth) // 2 :]
    for period in range(1, min(_LONGEST_PERIOD, len(later) // 2) + 1):
        if later[period:] == later[:-period]:
            return Fraction(sum(later[-period:]), period)
    return Fraction(sum(later), len(later))


def _busy_per_iteration(
    model: Model, below: Sequence[Leaf], loop: int
) -> tuple[tuple[str, Number], ...]:
    """Return the ports that leaves use, with their busy times per iteration of a loop of theirs."""
    graph = model.graph
    leaf_of = graph.leaf[graph.owner[graph.task_block]]
    times = graph.multiplicity[graph.owner[graph.task_block]]
    iterations = prod(below[0].temporal_trips[: loop + 1])
    found = []
    for port, label in enumerate(port_labels(model)):
        some = np.isin(leaf_of, [leaf.number for leaf in below]) & (graph.task_port == port)
        load = int((graph.task_duration[some].astype(object) * times[some]).sum())
        if load:
            busy = reduce_number(Fraction(load, iterations * model.costs.scale))
            found.append((port_name(*label), busy))
    return tuple(sorted(found, key=lambda item: -item[1]))
