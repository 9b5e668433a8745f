"""Rule 2 of *What waits for what*: Sequential."""

from __future__ import annotations

from collections import defaultdict
from functools import cached_property

from .lowered import Lowered
from .problem import Index, Node
from .steps import Wait
from .transfers import Run

Turn = tuple[Index, int]
"""Indices of the loops above a split, and a branch of it."""


class Barriers:
    """Rule 2 for all Sequentials of a mapping."""

    def __init__(self, lowered: Lowered) -> None:
        self.lowered = lowered

    def waits(self, run: Run, iteration: Index) -> set[Wait]:
        """Sequential: a branch waits for the one before it that has tile iterations.

        That may be one of an earlier index of the loops above the split: a branch without
        iterations for an index hands on what it waited for.
        """
        waits: set[Wait] = set()
        for split, branch in run.leaf.turns:
            if split.kind == "Sequential":
                turn = iteration[: run.leaf.depth(split)], branch
                before = [other for other in self.finished[split] if other < turn]
                if before:
                    waits |= self.finished[split][max(before)]
        return waits

    @cached_property
    def finished(self) -> dict[Node, dict[Turn, set[Wait]]]:
        """Sequential: per turn of a split that exists, when all of it has finished.

        Tile iterations of a leaf finish in order, hence the last one of each leaf; and separate
        write-backs, unless they are in the background.
        """
        finished: dict[Node, dict[Turn, set[Wait]]] = defaultdict(lambda: defaultdict(set))
        for run in self.lowered.runs:
            leaf = run.leaf
            for split, branch in leaf.turns:
                depth = leaf.depth(split)
                last = {iteration[:depth]: iteration for iteration in run.iterations}
                for index, iteration in last.items():
                    finished[split][index, branch].add(Wait(("end", leaf.order, iteration)))
                for (tensor, level), transfer in run.transfers.items():
                    if transfer.separate and not self.lowered.is_background(transfer):
                        for iteration in transfer.up:
                            key = ("back", leaf.order, iteration, level, tensor)
                            finished[split][iteration[:depth], branch].add(Wait(key))
        return finished
