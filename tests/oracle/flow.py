"""Rule 1 of *What waits for what*: flow."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from .lowered import Lowered
from .paths import Leaf
from .problem import Element, Illegal, Index, Node
from .steps import Key, Wait
from .transfers import Run


@dataclass(frozen=True)
class Arrival:
    """What brought an element to a holder: steps that must have finished, and the tile iterations.

    The tile iterations are those of the producer, or the one to which a shared fill belongs.
    """

    steps: tuple[Key, ...]
    sources: tuple[tuple[int, Index], ...]


@dataclass(frozen=True)
class Flow:
    """An element flows from a tile iteration of one leaf to a tile iteration of a later one."""

    source: int
    source_iteration: Index
    target: int
    target_iteration: Index


Brought = Mapping[tuple[Index, Element], Arrival]
"""Per residency (indices of the loops above a holder) and element: what brought it there."""


class Arrivals:
    """Rule 1 for all leaves: what a tile iteration waits for, and the flows."""

    def __init__(self, lowered: Lowered) -> None:
        self.lowered = lowered
        self.flows: set[Flow] = set()
        self.cache: dict[tuple[Node, str], Brought] = {}

    def waits(self, run: Run, tensor: str, iteration: Index) -> set[Wait]:
        """Flow: what brought the elements that a tile iteration reads in a shared holder."""
        leaf, level = run.leaf, run.arrival[tensor]
        producer = self.lowered.producers.get(tensor)
        if producer is not None and (level is None or producer.order > leaf.order):
            raise Illegal(f"{leaf.einsum.name}: reads {tensor} before it is produced")
        if level is None or (level == 0 and producer is None):
            return set()
        node = leaf.storages(tensor)[level]
        tile = iteration[: leaf.depth(node)]
        within = run.transfers[tensor, level + 1]
        waits: set[Wait] = set()
        for element in within.elements(within.down, iteration):
            arrival = self.brought(node, tensor).get((tile, element))
            if arrival is None:
                if producer is not None and element not in self.lowered.computed[tensor]:
                    continue  # padding, *Accesses and their counts*
                raise Illegal(f"{leaf.einsum.name}: nobody brought {tensor}{element} at {tile}")
            if producer is not None and producer.below(node):
                self.check_final(leaf, tensor, node, tile, element)
            waits.update(Wait(key) for key in arrival.steps)
            self.flows.update(
                Flow(source, at, leaf.order, iteration) for source, at in arrival.sources
            )
        return waits

    def check_final(
        self, leaf: Leaf, tensor: str, node: Node, tile: Index, element: Element
    ) -> None:
        """Flow: nothing is read in a residency after which its producer updates it again."""
        for later, other in self.brought(node, tensor):
            if other == element and later > tile:
                raise Illegal(f"{leaf.einsum.name}: reads the partial sum {tensor}{element}")

    def brought(self, node: Node, tensor: str) -> Brought:
        """Flow: what brought each element to a holder, by its producer or by the first reader."""
        if (node, tensor) not in self.cache:
            producer = self.lowered.producers.get(tensor)
            if producer is not None and producer.below(node):
                brought = self.brought_by_producer(node, tensor, self.lowered.runs[producer.order])
            else:
                readers = self.lowered.consumers(tensor)
                first = next(leaf for leaf in readers if leaf.below(node))
                brought = self.brought_by_reader(node, tensor, self.lowered.runs[first.order])
            self.cache[node, tensor] = brought
        return self.cache[node, tensor]

    def brought_by_producer(self, node: Node, tensor: str, run: Run) -> Brought:
        """Flow, written or written back there by a producer.

        Every tile iteration that did so has finished, and so have the separate write-backs
        through which the element got there. A write-back waits for those from further in, so the
        outermost one stands for all.
        """
        leaf = run.leaf
        depth, level = leaf.depth(node), leaf.storages(tensor).index(node)
        into = run.transfers[tensor, level + 1]
        steps: dict[tuple[Index, Element], list[Key]] = defaultdict(list)
        sources: dict[tuple[Index, Element], list[tuple[int, Index]]] = defaultdict(list)
        for iteration in run.iterations:
            for element in into.elements(into.up, iteration):
                target = iteration[:depth], element
                sources[target].append((leaf.order, iteration))
                steps[target].append(("end", leaf.order, iteration))
                if into.separate:
                    steps[target].append(("back", leaf.order, iteration, level + 1, tensor))
        return {at: Arrival(tuple(steps[at]), tuple(sources[at])) for at in steps}

    def brought_by_reader(self, node: Node, tensor: str, run: Run) -> Brought:
        """Flow, filled there by another reader's leaf.

        That fill has finished, and so have the same leaf's fills of the outer holders it came
        through (not the tile iteration to which they belong).
        """
        leaf = run.leaf
        holders, depth = leaf.storages(tensor), leaf.depth(node)
        level = holders.index(node)
        fills: dict[tuple[int, Index, Element], Index] = {}
        for inner in range(1, level + 1):
            transfer, deep = run.transfers[tensor, inner], leaf.depth(holders[inner])
            for iteration in run.iterations:
                for element in transfer.elements(transfer.down, iteration):
                    fills[inner, iteration[:deep], element] = iteration
        brought = {}
        for (inner, tile, element), source in fills.items():
            if inner != level:
                continue
            steps: list[Key] = []
            for outer in range(1, level + 1):
                at = fills.get((outer, tile[: leaf.depth(holders[outer])], element))
                if at is not None:
                    steps.append(("fill", leaf.order, at, outer, tensor))
            brought[tile[:depth], element] = Arrival(tuple(steps), ((leaf.order, source),))
        return brought
