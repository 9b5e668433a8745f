"""Causality: no value is moved before it exists, no tile used before it has arrived.

Derived from the operations, element by element, and not from what the steps wait for.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from .flow import Residency
from .model import Model
from .moves import moved as moves
from .paths import Operation
from .problem import Element, Index, Node
from .schedule import Schedule
from .steps import Key
from .transfers import Run, Transfer

Tile = tuple[Node, str, Residency, Element]
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
    """The separate transfers that move an element into a tile of a holder, or out of it.

    ``streams``: the tile iterations that fill an element into a tile in their foregrounds.
    """

    def __init__(self, model: Model) -> None:
        self.fills: dict[Tile, set[Key]] = defaultdict(set)
        self.backs: dict[Tile, set[Key]] = defaultdict(set)
        self.streams: dict[Tile, set[tuple[int, Index]]] = defaultdict(set)
        for run in model.runs:
            for transfer in run.transfers.values():
                if not transfer.separate:
                    self.add_streams(run, transfer)
                    continue
                node, tensor = transfer.inner, transfer.tensor
                depth = run.leaf.depth(node)
                for kind, way, found in (("fill", "down", self.fills), ("back", "up", self.backs)):
                    for iteration in run.iterations:
                        key = kind, run.leaf.order, iteration, transfer.level, tensor
                        for unit, element in moves(transfer.parts(way), iteration):
                            found[node, tensor, (iteration[:depth], unit), element].add(key)

    def add_streams(self, run: Run, transfer: Transfer) -> None:
        """What a transfer fills that is part of foregrounds; the operations' own are not."""
        if not transfer.own:
            depth = run.leaf.depth(transfer.inner)
            for iteration in transfer.down:
                for unit, element in moves(transfer.parts("down"), iteration):
                    residency = iteration[:depth], unit
                    tile = transfer.inner, transfer.tensor, residency, element
                    self.streams[tile].add((run.leaf.order, iteration))


def tile_of(run: Run, node: Node, tensor: str, operation: Operation, element: Element) -> Tile:
    """An element that an operation accesses, in the tile of a holder."""
    time, lane = operation.time[: run.leaf.depth(node)], operation.lane[: run.leaf.lanes(node)]
    return node, tensor, (time, lane), element


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
    for operation in leaf.operations:
        for tensor, element in operation.writes.items():
            nodes = leaf.storages(tensor)
            inner: Iterable[Key] = {passed(run, operation)}
            for level in reversed([t.level for t in run.of(tensor) if t.separate]):
                outer = moved.backs[tile_of(run, nodes[level], tensor, operation, element)]
                if not outer:
                    raise AssertionError(f"{tensor} stays in level {level}")
                yield from (Cause(one, two) for one in inner for two in outer)
                inner = outer


def read_backs_follow(run: Run, moved: Moved) -> Iterator[Cause]:
    """For every element read back: its write-backs from that holder, in earlier tiles, are over."""
    for transfer in run.transfers.values():
        if not transfer.separate:
            continue
        node, tensor = transfer.inner, transfer.tensor
        depth = run.leaf.depth(node)
        for iteration in transfer.read_back:
            key = "fill", run.leaf.order, iteration, transfer.level, tensor
            for value in moves(transfer.read_backs, iteration):
                for (other, name, (tile, unit), x), backs in moved.backs.items():
                    same = (other, name, (unit, x)) == (node, tensor, value)
                    if same and tile < iteration[:depth]:
                        yield from (Cause(back, key) for back in backs)


def uses_follow(model: Model, run: Run, moved: Moved) -> Iterator[Cause]:
    """Every separate fill ends before the foreground of the tile iterations that use the tile.

    From the outside in: what brought an element to a holder ends before the next fill inwards, and
    the last one before the foreground. The first link is the producer, which may be the leaf
    itself: its computations of the element in the same residency, and the separate write-backs to
    the holder. What is read back is used, too.
    """
    for operation in run.leaf.operations:
        for tensor, elements in operation.reads.items():
            for element in elements:
                level, brought = produced(model, run, tensor, operation, element, moved)
                yield from arrives(model, run, (tensor, element), operation, moved, level, brought)
        for tensor, element in operation.writes.items():
            yield from arrives(model, run, (tensor, element), operation, moved, 0, None)


def arrives(
    model: Model,
    run: Run,
    value: tuple[str, Element],
    operation: Operation,
    moved: Moved,
    level: int,
    brought: set[Key] | None,
) -> Iterator[Cause]:
    """From the holder of a level inwards, to the foreground.

    ``brought``: what brought the value to that holder; None for a partial sum, which need not
    arrive anywhere: the first operation on it reads nothing.
    """
    (tensor, element), nodes = value, run.leaf.storages(value[0])
    before = brought or set()
    for inner in range(level + 1, len(nodes)):
        tile = tile_of(run, nodes[inner], tensor, operation, element)
        streams = moved.streams.get(tile, set())
        fills = moved.fills.get(tile, set()) | {
            ("end", *stream) for stream in streams if stream[0] != run.leaf.order
        }
        missing = brought is not None and not fills and not streams
        if missing and not is_padding(model, *value, nodes[inner]):
            raise AssertionError(f"{tensor} never arrives in level {inner}")
        yield from (Cause(one, two) for one in before for two in fills)
        before = fills or before
    yield from (Cause(one, foreground(run, operation)) for one in before)


def is_padding(model: Model, tensor: str, element: Element, node: Node) -> bool:
    """Whether no Einsum computes an element of a tensor that is produced below a holder."""
    producer = model.lowered.producers.get(tensor)
    if producer is None or not producer.below(node):
        return False
    return element not in model.lowered.computed[tensor]


def produced(
    model: Model, run: Run, tensor: str, operation: Operation, element: Element, moved: Moved
) -> tuple[int, set[Key]]:
    """What made an element, and moved it to the innermost holder where it is in this residency.

    The level of that holder; 0 where no operation computes the element.
    """
    producer = model.lowered.producers.get(tensor)
    if producer is None:
        return 0, set()
    maker = model.runs[producer.order]
    for level, node in reversed(list(enumerate(run.leaf.storages(tensor)))):
        if not producer.below(node):
            continue
        tile = tile_of(run, node, tensor, operation, element)
        keys: set[Key] = set()
        for other in producer.operations:
            if tile_of(maker, node, tensor, other, other.writes[tensor]) == tile:
                keys.add(passed(maker, other))
                for transfer in maker.of(tensor)[level:]:
                    inner = tile_of(maker, transfer.inner, tensor, other, element)
                    keys |= moved.backs.get(inner, set())
        if keys:
            return level, keys
    return 0, set()
