"""Causality: no value is moved before it exists, no tile used before it has arrived.

Derived from the operations, element by element, and not from what the steps wait for.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from .model import Model
from .paths import Operation
from .problem import Element, Index, Node
from .schedule import Schedule
from .steps import Key
from .transfers import Run

Tile = tuple[Node, str, Index, Element]
"""An element of a tensor in a tile of a holder."""


@dataclass(frozen=True)
class Cause:
    """The first step has finished when the second one starts."""

    first: Key
    second: Key


def check_causality(model: Model, schedule: Schedule) -> list[str]:
    """What happens before its cause in a schedule; nothing, if the schedule is right."""
    return [
        f"{cause.first} finishes at {schedule.finish(cause.first)}, "
        f"{cause.second} starts at {schedule.start(cause.second)}"
        for cause in causes(model)
        if schedule.finish(cause.first) > schedule.start(cause.second)
    ]


def check_ports(schedule: Schedule) -> list[str]:
    """Ports: each serves one block at a time, and none before it may start."""
    wrong = []
    services = defaultdict(list)
    for (key, port), (start, end) in schedule.services.items():
        services[port].append((start, end, key))
        if start < schedule.start(key):
            wrong.append(f"{key} is served at {start}, before {schedule.start(key)}")
    for port, times in services.items():
        for (_, end, one), (start, _, two) in itertools.pairwise(
            sorted(times, key=lambda t: t[:2])
        ):
            if start < end:
                wrong.append(f"{one} and {two} overlap on {port}")
    return wrong


def causes(model: Model) -> set[Cause]:
    """All causes of a mapping."""
    found: set[Cause] = set()
    moved = Moved(model)
    for run in model.runs:
        found.update(write_backs_follow(run, moved))
        found.update(read_backs_follow(run, moved))
        found.update(uses_follow(model, run, moved))
    return found


class Moved:
    """The separate transfers that move an element into a tile of a holder, or out of it."""

    def __init__(self, model: Model) -> None:
        self.fills: dict[Tile, set[Key]] = defaultdict(set)
        self.backs: dict[Tile, set[Key]] = defaultdict(set)
        for run in model.runs:
            for transfer in run.transfers.values():
                if not transfer.separate:
                    continue
                node, tensor = transfer.inner, transfer.tensor
                depth = run.leaf.depth(node)
                for kind, way, found in (
                    ("fill", transfer.down, self.fills),
                    ("back", transfer.up, self.backs),
                ):
                    for iteration in way:
                        key = kind, run.leaf.order, iteration, transfer.level, tensor
                        for element in transfer.elements(way, iteration):
                            found[node, tensor, iteration[:depth], element].add(key)


def tile_of(run: Run, node: Node, tensor: str, operation: Operation) -> Tile:
    """The element that an operation accesses, in the tile of a holder."""
    return node, tensor, operation.time[: run.leaf.depth(node)], operation.elements[tensor]


def foreground(run: Run, operation: Operation) -> Key:
    """The foreground that contains an operation."""
    return "fore", run.leaf.order, operation.time[: run.depth]


def passed(run: Run, operation: Operation) -> Key:
    """The milestone at which the foreground of an operation has passed."""
    return "passed", run.leaf.order, operation.time[: run.depth]


def write_backs_follow(run: Run, moved: Moved) -> Iterator[Cause]:
    """For every element, its computation ends before every separate write-back that moves it.

    And so on outwards: the write-back out of the holder further in ends before. An element that is
    computed leaves every holder with separate write-backs.
    """
    leaf = run.leaf
    for access in leaf.einsum.accesses:
        if not access.output:
            continue
        nodes = leaf.storages(access.tensor)
        levels = [t.level for t in run.of(access.tensor) if t.separate]
        for operation in leaf.operations:
            inner: Iterable[Key] = {passed(run, operation)}
            for level in reversed(levels):
                outer = moved.backs[tile_of(run, nodes[level], access.tensor, operation)]
                if not outer:
                    raise AssertionError(f"{access.tensor} stays in level {level}")
                yield from (Cause(one, two) for one in inner for two in outer)
                inner = outer


def read_backs_follow(run: Run, moved: Moved) -> Iterator[Cause]:
    """For every element read back: its write-backs from that holder, in earlier tiles, are over."""
    for transfer in run.transfers.values():
        if not transfer.access.output or not transfer.separate:
            continue
        node, tensor = transfer.inner, transfer.tensor
        depth = run.leaf.depth(node)
        for iteration in transfer.down:
            key = "fill", run.leaf.order, iteration, transfer.level, tensor
            for element in transfer.elements(transfer.down, iteration):
                for (other, name, tile, x), backs in moved.backs.items():
                    if (other, name, x) == (node, tensor, element) and tile < iteration[:depth]:
                        yield from (Cause(back, key) for back in backs)


def uses_follow(model: Model, run: Run, moved: Moved) -> Iterator[Cause]:
    """Every separate fill ends before the foreground of the tile iterations that use the tile.

    From the outside in: what brought an element to a holder ends before the next fill inwards, and
    the last one before the foreground. The first link is the producer: its computations of the
    element in the same residency, and the separate write-backs to the holder.
    """
    leaf = run.leaf
    for access in leaf.einsum.accesses:
        tensor, nodes = access.tensor, leaf.storages(access.tensor)
        for operation in leaf.operations:
            brought: set[Key] = set()
            if not access.output:
                brought |= produced(model, run, tensor, operation, moved)
            for level in range(1, len(nodes)):
                if not run.transfers[tensor, level].separate:
                    continue
                fills = moved.fills.get(tile_of(run, nodes[level], tensor, operation), set())
                if not (fills or access.output or is_made_in(model, tensor, nodes[level])):
                    raise AssertionError(f"{tensor} never arrives in level {level}")
                yield from (Cause(one, two) for one in brought for two in fills)
                brought = fills or brought
            yield from (Cause(one, foreground(run, operation)) for one in brought)


def is_made_in(model: Model, tensor: str, node: Node) -> bool:
    """Whether a tensor is produced below a holder: then no fill brings it there."""
    return tensor in model.lowered.producers and model.lowered.producers[tensor].below(node)


def produced(model: Model, run: Run, tensor: str, operation: Operation, moved: Moved) -> set[Key]:
    """What made an element and moved it to the exchange holder, in the same residency."""
    producer = model.lowered.producers.get(tensor)
    if producer is None:
        return set()
    node = model.lowered.exchange_holder(tensor, run.leaf)
    tile = tile_of(run, node, tensor, operation)
    maker = model.runs[producer.order]
    keys: set[Key] = set()
    for other in producer.operations:
        if tile_of(maker, node, tensor, other) == tile:
            keys.add(passed(maker, other))
            for transfer in maker.of(tensor)[producer.storages(tensor).index(node) :]:
                keys |= moved.backs.get(tile_of(maker, transfer.inner, tensor, other), set())
    return keys
