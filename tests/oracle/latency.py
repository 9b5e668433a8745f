"""The paragraphs *Fixed latency* and *Rigid computation* of *What waits for what*."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from fractions import Fraction

from .lowered import Lowered
from .networks import longest, passing, routes
from .paths import Leaf
from .ports import Port
from .problem import Index
from .steps import Wait
from .transfers import Run, Transfer


def action_latency(lowered: Lowered, leaf: Leaf, tensor: str, level: int, action: str) -> Fraction:
    """Fixed latency of an action on a tensor in the holder of a level."""
    component = leaf.storages(tensor)[level].data["component"]
    return lowered.problem.costs.latency_of(component, action)


def hop_latency(
    lowered: Lowered,
    leaf: Leaf,
    transfer: Transfer,
    way: str,
    iteration: Index | None = None,
) -> Fraction:
    """*Networks*: the latency of the longest routes of a transfer, or of operations' accesses.

    In a foreground, of the dimensions in which something passes in this tile iteration.
    """
    problem = lowered.problem
    outer = leaf.storages(transfer.tensor)[transfer.level - 1]
    between = leaf.path[leaf.path.index(outer) : leaf.path.index(transfer.inner)]
    tolls = [node for node in between if node.kind == "Toll" and node.holds(transfer.tensor)]
    total = Fraction(0)
    for one, other in itertools.pairwise([outer, *tolls, transfer.inner]):
        for route in routes(problem, leaf, one, other):
            hops = [
                longest(problem, leaf, part, one, route)
                for part in transfer.parts(way)
                for i in ([iteration] if iteration is not None else part.moves)
                if passing(problem, leaf, part, part.of(i), one, route, hops=False)
            ]
            if hops:
                total += max(hops) * problem.costs.latency_of(route.network.name, "hop")
    return total


def transfer_latency(lowered: Lowered, leaf: Leaf, transfer: Transfer, way: str) -> Fraction:
    """Fixed latency of a transfer: the read at the source and the write at the destination.

    What it needs in Networks comes on top (`hop_latency`).
    """
    outer, inner = ("read", "write") if way == "down" else ("write", "read")
    tensor, level = transfer.tensor, transfer.level
    return action_latency(lowered, leaf, tensor, level - 1, outer) + action_latency(
        lowered, leaf, tensor, level, inner
    )


def foreground_latency(lowered: Lowered, run: Run, iteration: Index) -> Fraction:
    """Fixed latency of a foreground: the longest chain inwards, the computation, outwards.

    Inwards the largest over the tensors that it reads; an output that it does not read as an input
    is one of them where this tile iteration updates a partial sum.
    """
    leaf = run.leaf
    inwards, outwards = [Fraction(0)], Fraction(0)
    for tensor in leaf.einsum.tensors:
        innermost = len(leaf.storages(tensor)) - 1
        streamed = [transfer for transfer in run.of(tensor) if not transfer.separate]
        if iteration in run.transfers[tensor, innermost + 1].down:
            own = run.transfers[tensor, innermost + 1]
            inwards.append(
                action_latency(lowered, leaf, tensor, innermost, "read")
                + hop_latency(lowered, leaf, own, "down", iteration)
                + sum(
                    transfer_latency(lowered, leaf, transfer, "down")
                    + hop_latency(lowered, leaf, transfer, "down", iteration)
                    for transfer in streamed
                    if iteration in transfer.down
                )
            )
        if leaf.einsum.writes(tensor):
            outwards += action_latency(lowered, leaf, tensor, innermost, "write")
            own = run.transfers[tensor, innermost + 1]
            outwards += hop_latency(lowered, leaf, own, "up", iteration)
            for transfer in streamed:
                if iteration in transfer.up:
                    outwards += transfer_latency(lowered, leaf, transfer, "up")
                    outwards += hop_latency(lowered, leaf, transfer, "up", iteration)
    compute = Fraction(0)
    if not leaf.einsum.copies:
        component = leaf.path[-1].data["component"]
        compute = lowered.problem.costs.latency_of(component, "compute")
    return max(inwards) + compute + outwards


def rigid_waits(
    lowered: Lowered, run: Run, iteration: Index, work: Mapping[Port, Fraction], latency: Fraction
) -> set[Wait]:
    """Rigid computation: a foreground does not pass before its pipeline has advanced far enough.

    With d the duration (on the port that serves it longest) and L the latency of the foreground,
    for m from 0 to ⌊L/d⌋: start of (e, i + m) + d + L − m·d. Without a duration only m = 0 counts.
    """
    leaf = run.leaf
    if leaf.path[-1].data["component"] not in lowered.problem.costs.rigid:
        return set()
    duration = max(work.values(), default=Fraction(0))
    steps = latency // duration if duration else 0
    place = run.iterations.index(iteration)
    return {
        Wait(("start", leaf.order, other), "start", duration + latency - m * duration)
        for m, other in enumerate(run.iterations[place : place + int(steps) + 1])
    }
