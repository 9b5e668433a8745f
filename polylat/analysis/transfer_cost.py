"""What the transfers of a holder cost: the latency with them, without them, in the background."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import numpy as np

from polylat.analysis.variation import Rescheduled, reschedule
from polylat.engine.model import Model
from polylat.engine.solution import Solution
from polylat.errors import OptionError
from polylat.lowering.accesses.blocks import Access
from polylat.lowering.paths import Leaf
from polylat.lowering.ports import total_values
from polylat.lowering.transfers import FreeTransfer
from polylat.numbers import Number, format_number
from polylat.spec.names import KnownNames, Pair
from polylat.spec.pairs import pair_names, parse_pair
from polylat.spec.reading.suggest import did_you_mean, format_value

__all__ = [
    "DIRECTIONS",
    "Direction",
    "TransferCost",
    "last_write_back",
    "named_holder",
    "relevant_write_backs",
    "transfer_cost",
    "written_values",
]

Direction = Literal["both", "out", "in"]
"""The transfers of a holder: those out of it, those into it, or both."""

DIRECTIONS: tuple[Direction, ...] = ("both", "out", "in")


@dataclass(frozen=True)
class TransferCost:
    """What the transfers between a holder and the one above it cost.

    Parameters
    ----------
    tensor, component
        The holder.
    direction
        Which transfers count: ``"out"``: write-backs; ``"in"``: fetches; or ``"both"``.
    writes, fetches
        The Einsums that write back from there, and those that fetch into it, of those that count.
    now
        The latency as it is.
    without
        The latency if these transfers took no time and kept no port busy. What waits for the
        elements still waits until they have been computed.
    in_background
        Whether the write-backs are in the background now.
    background
        The latency with the write-backs in the background; None if nothing is written back.
    waited_for
        The latency if Sequentials wait for the write-backs; None if nothing is written back.
    """

    tensor: str
    component: str
    direction: Direction
    writes: tuple[str, ...]
    fetches: tuple[str, ...]
    now: Rescheduled
    without: Rescheduled
    in_background: bool
    background: Rescheduled | None
    waited_for: Rescheduled | None

    @property
    def cost(self) -> Number | None:
        """By how much the transfers lengthen the latency; None where it cannot be determined."""
        if not (self.now.exact and self.without.exact):
            return None
        assert self.now.latency is not None
        assert self.without.latency is not None
        return self.now.latency - self.without.latency

    @property
    def what(self) -> str:
        """The transfers in words, such as ``the write-back of o2 from SRAM by e2``."""
        tensor, component = self.tensor, self.component
        parts = []
        if self.writes:
            parts.append(f"the write-back of {tensor} from {component} by {_and(self.writes)}")
        if self.fetches:
            parts.append(f"the fetch of {tensor} into {component} by {_and(self.fetches)}")
        return " and ".join(parts)

    def __str__(self) -> str:
        return " ".join(self.sentences())

    def sentences(self) -> Iterator[str]:
        """Say what the transfers cost.

        Yields
        ------
        str
            One or two sentences.
        """
        several = bool(self.writes and self.fetches)
        verb, them = ("cost", "them") if several else ("costs", "it")
        what = self.what
        if self.cost is not None:
            price = format_number(self.cost) if self.cost else "nothing"
            yield (
                f"{what[0].upper()}{what[1:]} {verb} {price} of {self.now}: without {them}, the"
                f" latency is {self.without}."
            )
        elif self.without.latency is None:
            yield f"What {what} {verb} is not determined: {self.without.reason}."
        else:
            yield (
                f"What {what} {verb} is not known exactly: the latency is {self.now},"
                f" and {self.without} without {them}."
            )
        if self.background is None or self.waited_for is None:
            return
        if self.in_background:
            yield f"The write-back is in the background; if it is waited for, {self.waited_for}."
        else:
            yield f"With the write-back in the background: {self.background}."


def _and(names: tuple[str, ...]) -> str:
    return " and ".join((", ".join(names[:-1]), names[-1])) if len(names) > 1 else names[0]


def named_holder(value: object, known: KnownNames) -> Pair:
    """Return the holder that a text or a pair names.

    Parameters
    ----------
    value
        ``"o2@SRAM"``, ``("o2", "SRAM")``, or ``"o2"`` where the tensor has a single holder with
        transfers.
    known
        The names that exist.

    Returns
    -------
    (str, str)
        Tensor and component.

    Raises
    ------
    OptionError
        There is no such holder, or several.
    """
    pair = parse_pair(value)
    fix = _one_of(known.holders)
    if pair is None or pair[0] is None:
        raise OptionError(f"{format_value(value)} names no transfer", fix=fix)
    tensor, component = pair
    if tensor not in known.tensors:
        raise OptionError(f"there is no tensor {tensor!r}", fix=did_you_mean(tensor, known.tensors))
    having = [holder for holder in known.holders if holder[0] == tensor]
    found = [holder for holder in having if component in (None, holder[1])]
    if len(found) == 1:
        return found[0]
    own = _one_of(having) or fix
    if found:
        raise OptionError(f"{tensor!r} has several holders with transfers", fix=own)
    if component is None or (tensor, component) in known.backing:
        raise OptionError(
            f"{format_value(value)} has no transfers: it is the outermost holder of the tensor",
            fix=own,
        )
    raise OptionError(f"nothing holds {tensor!r} in {component!r}", fix=own)


def _one_of(holders: Collection[Pair]) -> str | None:
    return f"use one of: {', '.join(pair_names(holders))}" if holders else None


def transfer_cost(
    model: Model,
    options: Mapping[str, Any],
    now: Rescheduled,
    holder: Pair,
    direction: Direction = "both",
) -> TransferCost:
    """Return what the transfers of a holder cost.

    Parameters
    ----------
    model
        The mapping as it is.
    options
        All options of `analyze`, in their normal forms.
    now
        Its latency.
    holder
        Tensor and component of the holder.
    direction
        Which of its transfers count.

    Returns
    -------
    TransferCost
        Latencies of the mapping as `analyze` computes them.

    Raises
    ------
    OptionError
        The holder has no such transfer.
    """
    if direction not in DIRECTIONS:
        raise OptionError(
            f"direction is {format_value(direction)}", fix=f"use one of: {', '.join(DIRECTIONS)}"
        )
    writes, fetches = _users(model, holder)
    writes, fetches = (() if direction == "in" else writes, () if direction == "out" else fetches)
    if not writes and not fetches:
        raise OptionError(
            f"nothing is {'written back from' if direction == 'out' else 'fetched into'}"
            f" {holder[1]!r} for {holder[0]!r}",
            fix="leave out the direction" if direction != "both" else None,
        )
    free: set[FreeTransfer] = set()
    if writes:
        free.add((*holder, False))
    if fetches:
        free.add((*holder, True))
    spec, behind = model.lowered.spec, model.options.background
    inside = holder in behind
    others: dict[bool, Rescheduled | None] = {True: None, False: None}
    if writes:
        pairs = {True: behind | {holder}, False: behind - {holder}}
        for way, chosen in pairs.items():
            changed = {**options, "background": tuple(sorted(chosen))}
            others[way] = now if way == inside else reschedule(spec, changed)
    return TransferCost(
        *holder,
        direction,
        writes,
        fetches,
        now,
        reschedule(spec, options, free=frozenset(free)),
        inside,
        others[True],
        others[False],
    )


def last_write_back(solution: Solution, holder: Pair) -> tuple[Number, Number] | None:
    """Return when the last write-back from a holder is served.

    Parameters
    ----------
    solution
        The schedule.
    holder
        Tensor and component of the holder.

    Returns
    -------
    (start, finish) or None
        On the ports of the component above, together with the other accesses of its block; None
        where nothing is written back.
    """
    model, timing = solution.model, solution.schedule
    graph = model.graph
    found: list[int] = []
    outer: set[str] = set()
    for leaf, streams in zip(model.lowered.leaves, model.layout.streams, strict=True):
        levels = _levels(leaf, holder)
        above = {leaf.storages(holder[0])[level - 1].component for level in levels}
        outer |= above
        for stream in streams:
            for access in stream.block.accesses:
                if _moves(access, holder[0], above) and not access.inward:
                    found.append(int(stream.numbers_in(access.iterations)[-1]))
    ports = [n for n, key in enumerate(model.costs.ports) if key.component in outer]
    there = np.isin(graph.task_block, found) & np.isin(graph.task_port, ports)
    tasks = np.flatnonzero(there)
    if not len(tasks):
        return None
    ends = timing.task_begin[tasks] + graph.task_duration[tasks]
    last = int(ends.argmax())
    return solution.time(int(timing.task_begin[tasks[last]])), solution.time(int(ends[last]))


def relevant_write_backs(
    model: Model, known: KnownNames, background: Collection[Pair]
) -> tuple[Pair, ...]:
    """List the write-backs of tensors that Einsums read, and those in the background.

    Parameters
    ----------
    model
        The mapping.
    known
        The names that exist.
    background
        The write-backs in the background.

    Returns
    -------
    tuple of (str, str)
        Tensor and component of the holders, in the order of the tree.
    """
    read = {tensor for leaf in model.lowered.leaves for tensor in leaf.einsum.reads}
    return tuple(p for p in known.write_backs if p[0] in read or p in background)


def written_values(model: Model) -> dict[Pair, int]:
    """Count what is written back from each holder.

    Parameters
    ----------
    model
        The mapping.

    Returns
    -------
    dict
        (tensor, component) of the holder → number of values, in the busiest unit.
    """
    found: dict[Pair, int] = {}
    inputs = zip(model.lowered.leaves, model.layout.blocks, model.layout.tiles, strict=True)
    for leaf, blocks, tiles in inputs:
        pairs = [
            (holder.component, (tensor, inner.component))
            for tensor in leaf.einsum.tensors
            for holder, inner in pairwise(leaf.storages(tensor))
        ]
        for access in (access for block in blocks for access in block.accesses):
            for outer, pair in pairs:
                if _moves(access, pair[0], {outer}) and not access.inward:
                    found[pair] = found.get(pair, 0) + total_values(access, tiles)
    return found


def _levels(leaf: Leaf, holder: Pair) -> list[int]:
    """Return the levels of a holder that has transfers, on the path of a leaf."""
    tensor, component = holder
    if tensor not in leaf.einsum.tensors:
        return []
    return [n for n, h in enumerate(leaf.storages(tensor)) if n and h.component == component]


def _moves(access: Access, tensor: str, above: Collection[str]) -> bool:
    """Return whether an access is the outer end of a transfer of a tensor from or to components."""
    action = "read" if access.inward else "write"
    moved = access.transfer and access.tensor == tensor
    return moved and access.component in above and access.action == action


def _users(model: Model, holder: Pair) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the Einsums that write back from a holder, and those that fetch into it."""
    tensor, _ = holder
    writes: list[str] = []
    fetches: list[str] = []
    for leaf, blocks in zip(model.lowered.leaves, model.layout.blocks, strict=True):
        above = {leaf.storages(tensor)[level - 1].component for level in _levels(leaf, holder)}
        for access in (access for block in blocks for access in block.accesses):
            if _moves(access, tensor, above):
                (fetches if access.inward else writes).append(leaf.einsum.name)
    return tuple(dict.fromkeys(writes)), tuple(dict.fromkeys(fetches))
