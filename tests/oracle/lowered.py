"""A mapping with its options: leaves, what they move, who produces and who consumes.

Implements the words *flow* and *exchange holder* (*Words*), and which holders and producers
are legal.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from .options import Options
from .paths import Leaf, check_holders, read_leaves
from .problem import Element, Illegal, Index, Node, Problem
from .transfers import Run, Transfer, read_runs


@dataclass(frozen=True, eq=False)
class Lowered:
    """The leaves of a mapping at a granularity; ``producers`` are those of each output tensor."""

    problem: Problem
    options: Options
    leaves: tuple[Leaf, ...]
    runs: tuple[Run, ...]
    producers: Mapping[str, Leaf]

    def consumers(self, tensor: str) -> list[Leaf]:
        """The leaves that read a tensor as an input, its producer aside."""
        return [
            leaf
            for leaf in self.leaves
            if leaf.einsum.reads(tensor) and not leaf.einsum.writes(tensor)
        ]

    def first(self, tensor: str, node: Node) -> Leaf:
        """Residency: the first leaf in tree order below a holder that accesses the tensor."""
        return next(
            leaf for leaf in self.leaves if leaf.below(node) and leaf.einsum.reads_or_writes(tensor)
        )

    def exchange_holder(self, tensor: str, consumer: Leaf) -> Node:
        """*Words*: the innermost holder that stands above both a consumer and the producer."""
        shared = [node for node in consumer.storages(tensor) if self.producers[tensor].below(node)]
        if not shared:
            raise Illegal(f"{consumer.einsum.name}: no holder of {tensor} shared with its producer")
        return shared[-1]

    def exchange_holders(self, tensor: str) -> set[Node]:
        """The exchange holders of all consumers of a tensor that a leaf produces."""
        return {self.exchange_holder(tensor, consumer) for consumer in self.consumers(tensor)}

    def is_background(self, transfer: Transfer) -> bool:
        """Whether the write-back is named in ``background``."""
        return self.options.is_background(transfer.tensor, transfer.inner.data["component"])

    @cached_property
    def computed(self) -> Mapping[str, frozenset[Element]]:
        """Padding: the elements that the producer computes over its whole domain."""
        return {
            tensor: frozenset(operation.writes[tensor] for operation in leaf.operations)
            for tensor, leaf in self.producers.items()
        }


def lower(problem: Problem, options: Options) -> Lowered:
    """Lower a mapping; what the rules forbid whatever the schedule is an error."""
    leaves = read_leaves(problem)
    for leaf in leaves:
        check_holders(problem, leaf)
    producers: dict[str, Leaf] = {}
    for leaf in leaves:
        for access in leaf.einsum.accesses:
            if access.output:
                if access.tensor in producers:
                    raise Illegal(f"two producers of {access.tensor}")
                producers[access.tensor] = leaf
    runs = read_runs(leaves, producers, options)
    lowered = Lowered(problem, options, leaves, runs, producers)
    for tensor, leaf in producers.items():
        lowered.exchange_holders(tensor)
        check_sum(leaf, tensor)
    return lowered


def check_sum(leaf: Leaf, tensor: str) -> None:
    """Rule 1: an output's element is not updated in two residencies of its h0.

    The loops above it may be Spatial: then two units update it.
    """
    node = leaf.storages(tensor)[0]
    depth, lanes = leaf.depth(node), leaf.lanes(node)
    found: dict[Element, tuple[Index, Index]] = {}
    for operation in leaf.operations:
        tile, element = (operation.time[:depth], operation.lane[:lanes]), operation.writes[tensor]
        if found.setdefault(element, tile) != tile:
            raise Illegal(f"{leaf.einsum.name}: the sum {tensor}{element} is lost")
