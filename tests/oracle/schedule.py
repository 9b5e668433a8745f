"""Schedules: when each step starts, was served, and has finished.

Implements how ports serve in the three orders, with all times as early as possible.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from graphlib import CycleError, TopologicalSorter
from heapq import heappop, heappush
from math import lcm
from typing import Any

from .model import Model
from .ports import Port
from .sequence import Priority, sequence, shifts_of
from .steps import Key, Step

ORDERS = ("program", "skew", "oldest")

Event = tuple[Any, ...]
"""``("start", key)``, ``("block", key, port)``, ``("served", key)`` or ``("finish", key)``."""


@dataclass(frozen=True)
class Network:
    """Precedences between events: each happens a delay after all those that it waits for.

    A ``block`` event is the end of a service, whose duration is in ``durations``. Times are
    integers, in steps of 1 / ``scale``.
    """

    before: dict[Event, dict[Event, int]]
    durations: dict[Event, int]
    scale: int


@dataclass(frozen=True)
class Schedule:
    """The times of all events in an order of service, in steps of 1 / scale."""

    order: str | None
    times: Mapping[Event, int]
    network: Network

    def time(self, event: str, key: Key) -> Fraction:
        """When a step may start, was served, or has finished."""
        return Fraction(self.times[event, key], self.network.scale)

    def start(self, key: Key) -> Fraction:
        """When a step may start: from then on each of its ports may serve it."""
        return self.time("start", key)

    def served(self, key: Key) -> Fraction:
        """When all ports have served a step."""
        return self.time("served", key)

    def finish(self, key: Key) -> Fraction:
        """When a step has finished, a fixed latency after it was served."""
        return self.time("finish", key)

    @property
    def services(self) -> dict[tuple[Key, Port], tuple[Fraction, Fraction]]:
        """Start and end of the service of each block on each port."""
        scale = self.network.scale
        return {
            (event[1], event[2]): (
                Fraction(self.times[event] - duration, scale),
                Fraction(self.times[event], scale),
            )
            for event, duration in self.network.durations.items()
        }

    @property
    def latency(self) -> Fraction:
        """The last finish of anything, background included."""
        return Fraction(max(self.times.values(), default=0), self.network.scale)


def scale_of(steps: Mapping[Key, Step]) -> int:
    """The least number of steps per unit of time in which all times are integers."""
    return lcm(
        *(wait.delay.denominator for step in steps.values() for wait in step.waits if wait.delay),
        *(duration.denominator for step in steps.values() for duration in step.work.values()),
        *(step.latency.denominator for step in steps.values()),
    )


def network_of(steps: Mapping[Key, Step]) -> Network:
    """The precedences of *What waits for what*."""
    scale = scale_of(steps)
    before: dict[Event, dict[Event, int]] = {}
    durations: dict[Event, int] = {}
    for key, step in steps.items():
        start, served, finish = ("start", key), ("served", key), ("finish", key)
        before[start], before[served] = {}, {start: 0}
        for wait in step.waits:
            other = wait.event, wait.key
            delay = int(wait.delay * scale) if wait.delay else 0
            before[start][other] = max(delay, before[start].get(other, delay))
        for port, duration in step.work.items():
            block = ("block", key, port)
            before[block] = {start: 0}
            before[served][block] = 0
            durations[block] = int(duration * scale)
        before[finish] = {served: int(step.latency * scale)}
    return Network(before, durations, scale)


def without_ports(steps: Mapping[Key, Step]) -> Schedule | None:
    """*Results*, dependence bound: no block waits for a port, each still takes its duration."""
    return earliest(network_of(steps), None)


def in_order(steps: Mapping[Key, Step], priority: Priority, order: str) -> Schedule | None:
    """``"program"``, ``"skew"``: each port serves in a fixed sequence."""
    network = network_of(steps)
    services: dict[Port, list[Event]] = defaultdict(list)
    for event in network.durations:
        services[event[2]].append(event)
    for events in services.values():
        events.sort(key=lambda event: priority(steps[event[1]]))
        for one, two in itertools.pairwise(events):
            network.before[two][one] = 0
    return earliest(network, order)


def earliest(network: Network, order: str | None) -> Schedule | None:
    """ASAP: the earliest times; None where the precedences contradict each other."""
    times: dict[Event, int] = {}
    try:
        for event in TopologicalSorter(network.before).static_order():
            waits = (times[other] + delay for other, delay in network.before[event].items())
            times[event] = max(waits, default=0) + network.durations.get(event, 0)
    except CycleError:
        return None
    return Schedule(order, times, network)


def oldest_first(steps: Mapping[Key, Step], priority: Priority) -> Schedule | None:
    """``"oldest"``: an idle port takes, among the blocks that may start, the one of least place.

    All others come before write-backs in the background. Everything that finishes at an instant
    is taken into account before the ports choose. None where some step never starts.
    """
    network = network_of(steps)
    followers: dict[Event, list[tuple[Event, int]]] = defaultdict(list)
    for event, others in network.before.items():
        for other, delay in others.items():
            followers[other].append((event, delay))
    missing = {event: len(others) for event, others in network.before.items()}
    ready: dict[Event, int] = defaultdict(int)
    times: dict[Event, int] = {}
    waiting: dict[Port, list[tuple[Any, ...]]] = defaultdict(list)
    serving: dict[Port, Event] = {}
    coming: list[tuple[int, int, str, Event]] = []
    number = itertools.count()

    def announce(time: int, what: str, event: Event) -> None:
        heappush(coming, (time, next(number), what, event))

    for event, count in missing.items():
        if count == 0:
            announce(0, "happens", event)
    while coming:
        now = coming[0][0]
        while coming and coming[0][0] == now:
            _, _, what, event = heappop(coming)
            if what == "arrives":
                step = steps[event[1]]
                place = (step.place.background, *priority(step))
                heappush(waiting[event[2]], (place, next(number), event))
                continue
            times[event] = now
            if event[0] == "block":
                del serving[event[2]]
            for follower, delay in followers[event]:
                ready[follower] = max(ready[follower], now + delay)
                missing[follower] -= 1
                if missing[follower] == 0:
                    what = "arrives" if follower[0] == "block" else "happens"
                    announce(ready[follower], what, follower)
        for port, queue in waiting.items():
            if queue and port not in serving:
                event = heappop(queue)[-1]
                serving[port] = event
                announce(now + network.durations[event], "happens", event)
    return Schedule("oldest", times, network) if len(times) == len(missing) else None


def schedule_of(model: Model, order: str) -> Schedule | None:
    """The schedule of a mapping in one of the three orders; None where it is not available."""
    make: Mapping[str, Callable[[], Schedule | None]] = {
        "program": lambda: in_order(model.steps, sequence(model, None), "program"),
        "skew": lambda: in_order(model.steps, sequence(model, shifts_of(model)), "skew"),
        "oldest": lambda: oldest_first(model.steps, sequence(model, shifts_of(model))),
    }
    return make[order]()


def latencies(model: Model) -> dict[str, Fraction | None]:
    """The latency in each order; None where the order is not available."""
    schedules = {order: schedule_of(model, order) for order in ORDERS}
    return {order: None if s is None else s.latency for order, s in schedules.items()}
