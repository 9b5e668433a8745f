"""Rule 1 of *What waits for what*: flow, recurrences included."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from .dates import date
from .lowered import Lowered
from .moves import moved
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
    """An element flows from a tile iteration of one leaf to a tile iteration of another.

    Or of the same leaf, or of one before it in tree order: a recurrence.
    """

    source: int
    source_iteration: Index
    target: int
    target_iteration: Index


Residency = tuple[Index, Index]
"""Indices of the loops above a holder, the Temporal and the Spatial ones."""

Brought = Mapping[tuple[Residency, Element], Arrival]
"""Per residency and element: what brought it there."""


class Arrivals:
    """Rule 1 for all leaves: what a tile iteration waits for, and the flows."""

    def __init__(self, lowered: Lowered) -> None:
        self.lowered = lowered
        self.flows: set[Flow] = set()
        self.made_cache: dict[tuple[Node, str], Brought] = {}
        self.filled_cache: dict[tuple[Node, str], Brought] = {}
        self.last_cache: dict[tuple[Node, str], dict[tuple[Index, Element], Index]] = {}
        self.dates: dict[tuple[int, Index], Index] = {}

    def waits(self, run: Run, tensor: str, level: int, iteration: Index) -> set[Wait]:
        """Flow: what brought the elements that a tile iteration reads as an input out of a holder.

        By its fills into the next holder, or by its operations.
        """
        node = run.leaf.storages(tensor)[level]
        tile, lanes = iteration[: run.leaf.depth(node)], run.leaf.lanes(node)
        moves = moved(run.transfers[tensor, level + 1].fills, iteration)
        waits: set[Wait] = set()
        for unit, element in {(unit[:lanes], element) for unit, element in moves}:
            arrival = self.arrival(run, tensor, level, iteration, (tile, unit), element)
            if arrival is not None:
                waits.update(Wait(key) for key in arrival.steps)
                self.flows.update(
                    Flow(source, at, run.leaf.order, iteration) for source, at in arrival.sources
                )
        return waits

    def arrival(
        self,
        run: Run,
        tensor: str,
        level: int,
        iteration: Index,
        residency: Residency,
        element: Element,
    ) -> Arrival | None:
        """Flow: what brought an element to a holder in this residency; None: nothing to wait for.

        Its producer, the leaf itself included; else another leaf's fill. What no Einsum computes is
        in h0 from the start, and what the leaf itself filled is no flow.
        """
        leaf, node = run.leaf, run.leaf.storages(tensor)[level]
        producer = self.lowered.producers.get(tensor)
        made = filled = None
        if producer is not None and producer.below(node):
            made = self.brought_by_producer(node, tensor).get((residency, element))
            if made is not None and producer.order >= leaf.order:
                self.check_order(leaf, tensor, iteration, element, made)
        first = self.lowered.first(tensor, node)
        if level > 0 and first != leaf:
            filled = self.brought_by_reader(node, tensor).get((residency, element))
        computed = producer is not None and element in self.lowered.computed[tensor]
        padding = not computed and (level == 0 or producer is not None)
        own = level > 0 and first == leaf
        if made is None and filled is None and not (own or padding):
            raise Illegal(f"{leaf.einsum.name}: nobody brought {tensor}{element} at {residency}")
        if producer is not None and producer.below(node):
            self.check_final(leaf, tensor, node, residency, element)
        return made or filled

    def check_final(
        self, leaf: Leaf, tensor: str, node: Node, residency: Residency, element: Element
    ) -> None:
        """Flow: nothing is read in a residency after which its producer brings it there again."""
        if (node, tensor) not in self.last_cache:
            last: dict[tuple[Index, Element], Index] = {}
            for (at, of), other in self.brought_by_producer(node, tensor):
                last[of, other] = max(last.get((of, other), at), at)
            self.last_cache[node, tensor] = last
        tile, unit = residency
        if self.last_cache[node, tensor].get((unit, element), tile) > tile:
            raise Illegal(f"{leaf.einsum.name}: reads the partial sum {tensor}{element}")

    def check_order(
        self, leaf: Leaf, tensor: str, iteration: Index, element: Element, made: Arrival
    ) -> None:
        """Flow: a recurrence brings what is read before, in program order."""
        reads = self.date(leaf.order, iteration)
        if any(self.date(*source) >= reads for source in made.sources):
            raise Illegal(f"{leaf.einsum.name}: reads {tensor}{element} before it is produced")

    def date(self, order: int, iteration: Index) -> Index:
        """Flow, program order: the date without skew."""
        if (order, iteration) not in self.dates:
            leaf = self.lowered.leaves[order]
            self.dates[order, iteration] = date(self.lowered, leaf, iteration, None)
        return self.dates[order, iteration]

    def brought_by_producer(self, node: Node, tensor: str) -> Brought:
        """Flow, written or written back there by its producer.

        Every tile iteration that did so has finished, and so have the separate write-backs
        through which the element got there. A write-back waits for those from further in, so the
        outermost one stands for all.
        """
        if (node, tensor) in self.made_cache:
            return self.made_cache[node, tensor]
        run = self.lowered.runs[self.lowered.producers[tensor].order]
        leaf = run.leaf
        depth, lanes = leaf.depth(node), leaf.lanes(node)
        level = leaf.storages(tensor).index(node)
        into = run.transfers[tensor, level + 1]
        steps: dict[tuple[Residency, Element], list[Key]] = defaultdict(list)
        sources: dict[tuple[Residency, Element], list[tuple[int, Index]]] = defaultdict(list)
        for iteration in run.iterations:
            moves = moved(into.write_backs, iteration)
            for unit, element in {(unit[:lanes], element) for unit, element in moves}:
                target = (iteration[:depth], unit), element
                sources[target].append((leaf.order, iteration))
                steps[target].append(("end", leaf.order, iteration))
                if into.separate:
                    steps[target].append(("back", leaf.order, iteration, level + 1, tensor))
        brought = {at: Arrival(tuple(steps[at]), tuple(sources[at])) for at in steps}
        self.made_cache[node, tensor] = brought
        return brought

    def brought_by_reader(self, node: Node, tensor: str) -> Brought:
        """Flow, filled there by the first leaf that accesses the tensor.

        That fill has finished, a streamed one with its tile iteration, and so have the same leaf's
        fills of the outer holders it came through (not the tile iteration to which they belong).
        """
        if (node, tensor) in self.filled_cache:
            return self.filled_cache[node, tensor]
        run = self.lowered.runs[self.lowered.first(tensor, node).order]
        leaf = run.leaf
        holders = leaf.storages(tensor)
        level = holders.index(node)
        fills: dict[tuple[int, Residency, Element], Index] = {}
        for inner in range(1, level + 1):
            transfer, deep = run.transfers[tensor, inner], leaf.depth(holders[inner])
            for iteration in run.iterations:
                for unit, element in moved(transfer.fills, iteration):
                    fills[inner, (iteration[:deep], unit), element] = iteration
        brought = {}
        for (inner, (tile, unit), element), source in fills.items():
            if inner != level:
                continue
            steps: list[Key] = []
            for outer in range(1, level + 1):
                deep, lanes = leaf.depth(holders[outer]), leaf.lanes(holders[outer])
                at = fills.get((outer, (tile[:deep], unit[:lanes]), element))
                if at is not None and run.transfers[tensor, outer].separate:
                    steps.append(("fill", leaf.order, at, outer, tensor))
                elif at is not None:
                    steps.append(("end", leaf.order, at))
            brought[(tile, unit), element] = Arrival(tuple(steps), ((leaf.order, source),))
        self.filled_cache[node, tensor] = brought
        return brought
