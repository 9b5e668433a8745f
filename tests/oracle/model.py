"""The model of a mapping: all steps of its schedule, their accesses, and the flows.

Implements the start and finish of a tile iteration, the start of a separate fill or read-back and
of a separate write-back (*What waits for what*), and hosts of blocks (*Ports and their orders*).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from fractions import Fraction

from .barriers import Barriers
from .capacity import Capacity
from .flow import Arrivals, Flow
from .latency import foreground_latency, hop_latency, rigid_waits, transfer_latency
from .lowered import Lowered, lower
from .options import Names, Slots, read_options
from .ports import check_bindings, read_ports
from .problem import Index, Problem
from .steps import Key, Place, Step, Wait
from .transfers import Access, Run, Transfer, accesses_of, compute_accesses


class Model:
    """A mapping with its options: ``steps`` by key, ``accesses`` by name, ``flows``."""

    def __init__(
        self,
        problem: Problem,
        granularity: str,
        background: Names = (),
        slots: Slots = 2,
        staged: Names = (),
    ) -> None:
        self.lowered: Lowered = lower(problem, read_options(granularity, background, staged, slots))
        self.ports = read_ports(problem, self.lowered.leaves)
        check_bindings(self.ports, self.lowered.leaves)
        self.arrivals = Arrivals(self.lowered)
        self.barriers = Barriers(self.lowered)
        self.capacity = Capacity(self.lowered)
        self.accesses: dict[tuple[str, str, str | None, str], Fraction] = defaultdict(Fraction)
        self.steps: dict[Key, Step] = {}
        for run in self.runs:
            self.add_leaf(run)

    @property
    def runs(self) -> tuple[Run, ...]:
        """The leaves at the granularity of the options."""
        return self.lowered.runs

    @property
    def flows(self) -> set[Flow]:
        """Rule 1: all flows."""
        return self.arrivals.flows

    def add_leaf(self, run: Run) -> None:
        """All steps of a leaf."""
        leaf = run.leaf
        before: Index | None = None
        for iteration in run.iterations:
            flow = {
                (tensor, level): self.arrivals.waits(run, tensor, level, iteration)
                for tensor in leaf.einsum.tensors
                for level in range(len(leaf.storages(tensor)))
            }
            fills = self.add_fills(run, iteration, flow)
            waits = self.barriers.waits(run, iteration) | self.capacity.waits(run, iteration)
            waits.update(*flow.values(), fills)
            self.add_tile_iteration(run, iteration, before, waits, fills)
            self.add_write_backs(run, iteration)
            before = iteration

    def add_tile_iteration(
        self,
        run: Run,
        iteration: Index,
        before: Index | None,
        waits: set[Wait],
        fills: set[Wait],
    ) -> None:
        """Start and finish of a tile iteration; its foreground and its milestones.

        It starts when the one before it has started, its own separate fills have finished, and
        flow, barrier and capacity allow it. It is finished when its foreground has passed, its
        separate fills and read-backs have finished, and the one before it has finished. Rule 3: it
        has been served when its foreground, its separate fills and read-backs have, and the one
        before it has.
        """
        order = run.leaf.order
        foreground = list(self.foreground_accesses(run, iteration))
        work = self.ports.work(run.leaf, foreground)
        latency = foreground_latency(self.lowered, run, iteration)
        fore = ("fore", order, iteration)
        ends = {Wait(("passed", order, iteration)), *fills}
        served = {Wait(fore, "served"), *(Wait(fill.key, "served") for fill in fills)}
        if before is not None:
            waits = waits | {Wait(("start", order, before))}
            ends.add(Wait(("end", order, before)))
            served.add(Wait(("served", order, before)))
        self.add("start", run, iteration, waits)
        self.count(run, foreground)
        self.steps[fore] = Step(
            order,
            iteration,
            frozenset({Wait(("start", order, iteration))}),
            work,
            latency,
            Place(1, (), iteration),
        )
        passed = rigid_waits(self.lowered, run, iteration, work, latency)
        self.add("passed", run, iteration, {Wait(fore), *passed})
        self.add("served", run, iteration, served)
        self.add("end", run, iteration, ends)

    def foreground_accesses(self, run: Run, iteration: Index) -> Iterable[Access]:
        """The operations' reads, computation and writes, and the transfers that stream."""
        yield from compute_accesses(run, iteration)
        for transfer in run.transfers.values():
            if not transfer.separate:
                yield from accesses_of(self.lowered.problem, run, transfer, "down", iteration)
                yield from accesses_of(self.lowered.problem, run, transfer, "up", iteration)

    def add_fills(
        self, run: Run, iteration: Index, flow: Mapping[tuple[str, int], set[Wait]]
    ) -> set[Wait]:
        """Start of a separate fill or read-back, of every level; when they have finished.

        It waits for the leaf's own separate fill of the tile that it reads from, for what has to
        arrive there, for write-backs of what it reads back, and for room.
        """
        fills = set()
        for number, tensor in enumerate(run.leaf.einsum.tensors):
            for transfer in run.of(tensor):
                level = transfer.level
                if not transfer.separate or iteration not in transfer.down:
                    continue
                waits = set(self.capacity.waits_of_fill(run, tensor, level, iteration))
                waits |= own_fill(run, tensor, level - 1, iteration)
                waits |= write_backs_before(run, transfer, iteration)
                waits |= flow[tensor, level - 1]
                place = Place(0, (level, number), self.host(run, transfer, iteration))
                fills.add(Wait(self.add_transfer(run, transfer, "down", iteration, waits, place)))
        return fills

    def add_write_backs(self, run: Run, iteration: Index) -> None:
        """Start of a separate write-back, of every level.

        It waits until its tile iteration has finished, and so have the separate write-backs of
        deeper levels of that tensor that belong to it or to earlier tile iterations in the same
        tile of h_j.
        """
        leaf = run.leaf
        for number, tensor in enumerate(leaf.einsum.tensors):
            for transfer in run.of(tensor):
                if not transfer.separate or iteration not in transfer.up:
                    continue
                waits = {Wait(("end", leaf.order, iteration))}
                depth = leaf.depth(transfer.inner)
                for deeper in run.of(tensor)[transfer.level :]:
                    waits |= {
                        Wait(("back", leaf.order, other, deeper.level, tensor))
                        for other in deeper.up
                        if deeper.separate
                        and other[:depth] == iteration[:depth]
                        and other <= iteration
                    }
                place = Place(
                    2, (-transfer.level, number), iteration, self.lowered.is_background(transfer)
                )
                self.add_transfer(run, transfer, "up", iteration, waits, place)

    def add_transfer(
        self,
        run: Run,
        transfer: Transfer,
        way: str,
        iteration: Index,
        waits: set[Wait],
        place: Place,
    ) -> Key:
        """A separate transfer finishes a fixed latency after it was served."""
        kind = "fill" if way == "down" else "back"
        key = (kind, run.leaf.order, iteration, transfer.level, transfer.tensor)
        accesses = accesses_of(self.lowered.problem, run, transfer, way, iteration)
        self.count(run, accesses)
        self.steps[key] = Step(
            run.leaf.order,
            iteration,
            frozenset(waits),
            self.ports.work(run.leaf, accesses),
            transfer_latency(self.lowered, run.leaf, transfer, way)
            + hop_latency(self.lowered, run.leaf, transfer, way),
            place,
        )
        return key

    def add(self, kind: str, run: Run, iteration: Index, waits: Iterable[Wait]) -> None:
        """Add a milestone."""
        order = run.leaf.order
        self.steps[kind, order, iteration] = Step(order, iteration, frozenset(waits))

    def count(self, run: Run, accesses: Iterable[Access]) -> None:
        """Count accesses for the results."""
        for access in accesses:
            key = run.leaf.einsum.name, access.component, access.tensor, access.action
            self.accesses[key] += access.actions

    def host(self, run: Run, transfer: Transfer, iteration: Index) -> Index:
        """*Ports and their orders*: the tile iteration that hosts a fill in the orders with skew.

        A fill into a holder that is staged, or has a staged one further in, of a tensor that no
        Einsum produces is hosted one tile ahead unless ``slots`` is 1: at the first tile iteration
        of the tile before among those in which this leaf has operations.
        """
        tensor, options = transfer.tensor, self.lowered.options
        nodes = run.leaf.storages(tensor)[transfer.level :]
        ahead = any(options.is_staged(tensor, node.data["component"]) for node in nodes)
        component = transfer.inner.data["component"]
        if (
            not ahead
            or tensor in self.lowered.producers
            or options.slots_of(tensor, component) == 1
        ):
            return iteration
        firsts = [iterations[0] for iterations in run.tiles(transfer.inner).values()]
        return firsts[max(firsts.index(iteration) - 1, 0)]


def own_fill(run: Run, tensor: str, level: int, iteration: Index) -> set[Wait]:
    """The leaf's own separate fill or read-back of the tile of a level, if it has one."""
    transfer = run.transfers.get((tensor, level))
    if transfer is None or not transfer.separate:
        return set()
    first = run.tiles(transfer.inner)[iteration[: run.leaf.depth(transfer.inner)]][0]
    return (
        {Wait(("fill", run.leaf.order, first, level, tensor))} if first in transfer.down else set()
    )


def write_backs_before(run: Run, transfer: Transfer, iteration: Index) -> set[Wait]:
    """For a read-back: the write-backs of those elements from its level, in earlier tiles."""
    back = transfer.read_back.get(iteration, set())
    return {
        Wait(("back", run.leaf.order, other, transfer.level, transfer.tensor))
        for other in transfer.up
        if other < iteration and back & transfer.up[other]
    }
