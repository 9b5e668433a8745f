"""A mapping run with values, in program order: a check of what moves and of what is legal.

Nothing here waits. The tree is walked tile iteration by tile iteration; values are copied from
holder to holder as *Accesses and their counts* says, and an operation finds its operands in the
innermost holders, or does not. For mappings without Spatial loops.
"""

from __future__ import annotations

from collections import Counter, defaultdict

from .dates import date
from .lowered import Lowered
from .paths import Operation
from .problem import Element, Index, Node
from .transfers import Run, Transfer

GIVEN = -1
"""The value of what no operation computes; that of others is how often they were updated."""


class Values:
    """The contents of all holders, by residency; and what was wrong when the tree was run."""

    def __init__(self, lowered: Lowered) -> None:
        self.lowered = lowered
        self.held: dict[tuple[Node, str, Index], dict[Element, int]] = defaultdict(dict)
        self.updates = {
            tensor: Counter(operation.writes[tensor] for operation in leaf.operations)
            for tensor, leaf in lowered.producers.items()
        }
        self.wrong: list[str] = []
        self.operations: dict[tuple[int, Index], list[Operation]] = defaultdict(list)
        for run in lowered.runs:
            for operation in run.leaf.operations:
                self.operations[run.leaf.order, operation.time[: run.depth]].append(operation)
        turns = [(run, iteration) for run in lowered.runs for iteration in run.iterations]
        turns.sort(key=lambda turn: date(lowered, turn[0].leaf, turn[1], None))
        for run, iteration in turns:
            self.run(run, iteration)
        self.check_results()

    def place(self, run: Run, node: Node, tensor: str, time: Index) -> dict[Element, int]:
        """What a holder holds of a tensor, in the residency of a tile iteration or operation."""
        return self.held[node, tensor, time[: run.leaf.depth(node)]]

    def run(self, run: Run, iteration: Index) -> None:
        """A tile iteration: values move inwards, operations, values move outwards."""
        leaf = run.leaf
        for tensor in leaf.einsum.tensors:
            for transfer in run.of(tensor):
                self.move_inwards(run, transfer, iteration)
        for operation in self.operations[leaf.order, iteration]:
            self.operate(run, operation)
        for tensor in leaf.einsum.tensors:
            for transfer in reversed(run.of(tensor)):
                outer = leaf.storages(tensor)[transfer.level - 1]
                inside = self.place(run, transfer.inner, tensor, iteration)
                for element in transfer.up.get(iteration, ()):
                    self.place(run, outer, tensor, iteration)[element] = inside[element]

    def move_inwards(self, run: Run, transfer: Transfer, iteration: Index) -> None:
        """Fills, which must be of final values, and read-backs."""
        tensor, level = transfer.tensor, transfer.level
        inside = self.place(run, transfer.inner, tensor, iteration)
        for element in transfer.filled.get(iteration, ()):
            inside[element] = self.read(run, tensor, level - 1, iteration, element)
        outer = run.leaf.storages(tensor)[level - 1]
        for element in transfer.read_back.get(iteration, ()):
            inside[element] = self.place(run, outer, tensor, iteration).get(element, 0)

    def operate(self, run: Run, operation: Operation) -> None:
        """Read all operands, update the output."""
        nodes = {tensor: run.leaf.storages(tensor) for tensor in run.leaf.einsum.tensors}
        for tensor, elements in operation.reads.items():
            for element in elements:
                self.read(run, tensor, len(nodes[tensor]) - 1, operation.time, element)
        for tensor, element in operation.writes.items():
            inside = self.place(run, nodes[tensor][-1], tensor, operation.time)
            inside[element] = inside.get(element, 0) + 1

    def read(self, run: Run, tensor: str, level: int, time: Index, element: Element) -> int:
        """What is read as an input out of a holder: there, and final."""
        total = self.updates.get(tensor, Counter())[element]
        inside = self.place(run, run.leaf.storages(tensor)[level], tensor, time)
        if total == 0 and (level == 0 or tensor in self.updates):
            return GIVEN  # from the start in h0; padding, *Accesses and their counts*
        if total == 0 and element in inside:
            return GIVEN
        if inside.get(element) != total:
            self.wrong.append(f"{run.leaf.einsum.name}: {tensor}{element} at {time}")
        return inside.get(element, 0)

    def check_results(self) -> None:
        """Every element that is computed is complete in one residency of its h0."""
        for tensor, leaf in self.lowered.producers.items():
            backing = leaf.storages(tensor)[0]
            for element, total in self.updates[tensor].items():
                if not any(
                    held.get(element) == total
                    for (node, name, _), held in self.held.items()
                    if (node, name) == (backing, tensor)
                ):
                    self.wrong.append(f"{tensor}{element} is lost")
