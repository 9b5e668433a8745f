"""From numbers of variants to what they come to; what is shared is remembered."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np

from polylat.analysis import time_mapping
from polylat.errors import (
    CapacityError,
    MappingError,
    PolylatError,
    ScheduleError,
    TooLargeError,
    UnsupportedError,
)
from polylat.exact import Number, number
from polylat.exploration.pareto import Bar, Objective, Outcome, Vector, vector
from polylat.exploration.space import Space, split_name, with_tiles
from polylat.exploration.structure import Cell, Row, Structure, TooCostlyError
from polylat.model import Granularity, Lowered, lower
from polylat.occupancy import known_peak, occupancies
from polylat.schedule.timing import ORDERS
from polylat.visits import Solved, solve

__all__ = ["EXPLICIT", "Batch", "Evaluator", "evaluate", "evaluator", "forget", "members"]

EXPLICIT = 100_000
"""Up to this many tile iterations all of them are timed, and share a structure."""

_ILLEGAL = (MappingError, ScheduleError, CapacityError, TooLargeError, UnsupportedError)
Span = tuple[int, int, int]
"""(cell, first, end): some variants of a cell."""


@dataclass(frozen=True)
class Batch:
    """Some variants and what they come to.

    Parameters
    ----------
    outcomes
        (number of the variant, what it comes to)
    excluded
        How many others cannot be in the front.
    """

    outcomes: tuple[tuple[int, Outcome], ...]
    excluded: int


def evaluate(space: Space, spans: Sequence[Span], bar: Bar | None) -> Batch:
    """Evaluate some variants.

    Parameters
    ----------
    space
        The space.
    spans
        The variants.
    bar
        What they have to beat to be evaluated; None: all are.
    """
    mine = evaluator(space)
    outcomes: list[tuple[int, Outcome]] = []
    excluded = 0
    for span in spans:
        found, out = mine.span(span, bar)
        outcomes += found
        excluded += out
        if bar is not None and found:
            bar = bar.with_members(members(space, bar.objectives, found))
    return Batch(tuple(outcomes), excluded)


def members(
    space: Space, objectives: Sequence[Objective], outcomes: Iterable[tuple[int, Outcome]]
) -> Iterator[tuple[Vector, int]]:
    """Values and numbers of the legal variants; of those known to come to the same, the first."""
    slots = any(objective.name == "slots" for objective in objectives)
    seen: set[int] = set()
    for index, outcome in outcomes:
        if outcome.latency is None or (not slots and id(outcome) in seen):
            continue
        seen.add(id(outcome))
        counts = space.slot_table[index % space.widths[1]] if slots else ()
        yield vector(objectives, outcome.latency, dict(outcome.peaks), counts), index


_EVALUATORS: OrderedDict[str, Evaluator] = OrderedDict()


def forget() -> None:
    """Forget what is remembered of spaces."""
    _EVALUATORS.clear()


def evaluator(space: Space) -> Evaluator:
    """What evaluates a space in this process."""
    known = _EVALUATORS.get(space.key)
    if known is None:
        known = _EVALUATORS[space.key] = Evaluator(space)
        while len(_EVALUATORS) > 2:
            _EVALUATORS.popitem(last=False)
    return known


class Evaluator:
    """Evaluates the variants of a space.

    Parameters
    ----------
    space
        The space.
    """

    def __init__(self, space: Space) -> None:
        self.space = space
        self._shapes: OrderedDict[tuple[tuple[int, ...], str], _Shape] = OrderedDict()

    def span(self, span: Span, bar: Bar | None) -> tuple[list[tuple[int, Outcome]], int]:
        """What some variants of a cell come to, and how many others cannot be in the front."""
        space = self.space
        cell, first, end = span
        shapes, granularity, order, kinds = space.outer(cell)
        base = cell * space.inner
        numbers = range(first, end)
        shape = self._shape(shapes, granularity)
        if shape.error:
            outcome = Outcome(None, error=shape.error)
            return [(base + n, outcome) for n in numbers], 0
        if shape.structure is None:
            return self._one_by_one(shape, kinds, order, base, numbers, bar)
        mine = shape.cell(kinds)
        left: Sequence[int] = numbers
        if bar is not None:
            left = self._admitted(shape, mine, bar, base, numbers)
        found = shape.quickly(mine, order, left)
        outcomes = [(base + n, outcome) for n, outcome in zip(left, found, strict=True)]
        return outcomes, len(numbers) - len(left)

    def _one_by_one(
        self,
        shape: _Shape,
        kinds: tuple[str, ...],
        order: str,
        base: int,
        numbers: range,
        bar: Bar | None,
    ) -> tuple[list[tuple[int, Outcome]], int]:
        """Variants of which not all tile iterations are timed."""
        outcomes: list[tuple[int, Outcome]] = []
        fewest = [some[0] for _, some in self.space.slots]
        for n in numbers:
            bound = shape.busiest.get(kinds)
            if bar is not None and bound is not None:
                least = vector(bar.objectives, bound, {}, fewest)
                if bar.excludes(least, base + n):
                    continue
            outcomes.append((base + n, shape.fully(kinds, order, *self._choices(n))))
            if bar is not None:
                bar = bar.with_members(members(self.space, bar.objectives, outcomes[-1:]))
        return outcomes, len(numbers) - len(outcomes)

    def _choices(self, inner: int) -> tuple[tuple[bool, ...], tuple[int | None, ...]]:
        back, slot = divmod(inner, self.space.widths[1])
        return self.space.backgrounds(back), self.space.slot_table[slot]

    def _shape(self, shapes: tuple[int, ...], granularity: str) -> _Shape:
        key = shapes, granularity
        known = self._shapes.get(key)
        if known is None:
            known = self._shapes[key] = _Shape(self.space, shapes, granularity)
            while len(self._shapes) > 2:
                self._shapes.popitem(last=False)
        return known

    def _admitted(
        self, shape: _Shape, cell: Cell, bar: Bar, base: int, numbers: range
    ) -> list[int]:
        """The variants that the bounds do not exclude from the front."""
        structure = cell.structure
        assert structure is not None
        width = self.space.widths[1]
        peaks = {
            component: Fraction(peak, structure.held.denominator)
            for component, peak in cell.least_peaks.items()
        }
        fewest = [some[0] for _, some in self.space.slots]

        def least(steps: int) -> Any:
            latency = Fraction(max(cell.resource_bound, steps), structure.costs.scale)
            return vector(bar.objectives, latency, peaks, fewest)

        backs = range(numbers[0] // width, numbers[-1] // width + 1)
        chosen = [shape.background(self.space.backgrounds(back)) for back in backs]
        every = np.logical_or.reduce(np.array(chosen, dtype=np.bool_), axis=0)[None]
        overall = cell.dependence_bounds(every)[0]
        if bar.excludes(least(overall), base + numbers[0]):
            return []
        if width < 2:  # a bound takes as long as half a variant
            return list(numbers)
        bounds = cell.dependence_bounds(np.array(chosen, dtype=np.bool_))
        admitted: list[int] = []
        for back, steps in zip(backs, bounds, strict=True):
            some = range(max(back * width, numbers[0]), min((back + 1) * width, numbers[-1] + 1))
            if not bar.excludes(least(steps), base + some[0]):
                admitted += some
        return admitted


class _Shape:
    """The mapping with some tile shapes, at a granularity."""

    def __init__(self, space: Space, shapes: tuple[int, ...], granularity: str) -> None:
        self.space = space
        self.granularity = granularity
        self.structure: Structure | None = None
        self.error = ""
        self.busiest: dict[tuple[str, ...], Number] = {}
        """Per kinds of splits, the busy time of the busiest port, once it is known."""
        self._cells: dict[tuple[str, ...], Cell] = {}
        self._lowered: dict[tuple[Granularity, tuple[str, ...]], Lowered] = {}
        self._waiting: OrderedDict[Any, Solved] = OrderedDict()
        numbers = {loop.number: shape for (loop, _), shape in zip(space.tiles, shapes, strict=True)}
        try:
            self.spec = with_tiles(space.spec, numbers)
            asked: Any = "flow" if granularity == "auto" else granularity
            self.lowered = lower(self.spec, asked)
            if self.lowered.size <= min(EXPLICIT, space.max_tiles):
                pairs = (*space.fixed_background, *space.background)
                self.structure = Structure(self.lowered, pairs, self._limits())
        except TooCostlyError:
            pass
        except _ILLEGAL as error:
            self.error = said(error)

    def _limits(self) -> list[int | None]:
        others = self.space.other_slots
        fixed = [*others.values(), 2] if isinstance(others, Mapping) else [others]
        return [*fixed, *(n for _, some in self.space.slots for n in some)]

    # Splits

    @cached_property
    def _nodes(self) -> dict[str, int]:
        """Names of splits and their tree nodes."""
        branches: dict[int, dict[int, list[str]]] = {}
        for leaf in self.lowered.leaves:
            for split in leaf.splits:
                below = branches.setdefault(split.node, {})
                below.setdefault(split.branch, []).append(leaf.einsum.name)
        return {split_name(below.values()): n for n, below in branches.items() if len(below) > 1}

    def _pipelines(self, kinds: Sequence[str]) -> frozenset[int]:
        names = [name for name, _ in self.space.splits]
        chosen = {self._nodes[name]: kind for name, kind in zip(names, kinds, strict=True)}
        return frozenset(
            split.node
            for leaf in self.lowered.leaves
            for split in leaf.splits
            if (split.pipeline if split.node not in chosen else chosen[split.node] == "Pipeline")
        )

    def cell(self, kinds: tuple[str, ...]) -> Cell:
        """The variants with splits of these kinds."""
        assert self.structure is not None
        if kinds not in self._cells:
            if len(self._cells) > 16:
                self._cells.clear()
            self._cells[kinds] = self.structure.cell(self._pipelines(kinds))
        return self._cells[kinds]

    # What is in the background, and how many slots

    def background(self, chosen: Sequence[bool]) -> list[bool]:
        """Per write-back of the structure, whether it is in the background."""
        assert self.structure is not None
        pairs = self.pairs(chosen)
        return [pair in pairs for pair in self.structure.pairs]

    def pairs(self, chosen: Sequence[bool]) -> frozenset[tuple[str, str]]:
        """The write-backs in the background."""
        varied = [p for p, here in zip(self.space.background, chosen, strict=True) if here]
        return frozenset({*self.space.fixed_background, *varied})

    @cached_property
    def _slots(self) -> np.ndarray:
        """Per way to give slots and tensor of the structure, how many it has; 0: unlimited."""
        assert self.structure is not None
        explored = [tensor for tensor, _ in self.space.slots]
        others = self.space.other_slots
        tensors = self.structure.tensors
        table = np.empty((self.space.widths[1], len(tensors)), dtype=np.int64)
        for column, tensor in enumerate(tensors):
            if tensor in explored:
                table[:, column] = self.space.slot_counts[:, explored.index(tensor)]
            else:
                default = others.get(tensor, 2) if isinstance(others, Mapping) else others
                table[:, column] = default or 0
        return table

    # Evaluation

    def quickly(self, cell: Cell, order: str, numbers: Sequence[int]) -> list[Outcome]:
        """What variants of a cell come to, from the structure that they share."""
        if not numbers:
            return []
        size = len(numbers)
        backs, slot = np.divmod(np.array(numbers), self.space.widths[1])
        some, of = np.unique(backs, return_inverse=True)
        chosen = [self.background(self.space.backgrounds(int(back))) for back in some]
        background = np.array(chosen, dtype=np.bool_).reshape(len(some), -1)[of]
        slots = self._slots[slot]
        orders = (0, 1, 2) if order == "best" else (ORDERS.index(order),)
        if order == "best" and background.any():
            # The schedules that wait for the write-backs are schedules of these variants, too.
            background = np.concatenate((background, np.zeros_like(background)))
            slots = np.concatenate((slots, slots))
        rows, which = cell.rows(background, slots, orders)
        own, waiting = which[:size], which[-size:]
        unlike, place = np.unique(which, return_inverse=True)
        makespans = np.array([rows[n].makespan for n in unlike], dtype=np.int64)[place]
        mine, other = makespans[:size], makespans[-size:]
        waits = (other >= 0) & ((mine < 0) | (other < mine))
        known: dict[tuple[int, bool], Outcome] = {}
        outcomes = []
        for key in zip(np.where(waits, waiting, own).tolist(), waits.tolist(), strict=True):
            if key not in known:
                known[key] = self._outcome(cell, rows[key[0]], key[1], order)
            outcomes.append(known[key])
        return outcomes

    def _outcome(self, cell: Cell, row: Row, waits: bool, order: str) -> Outcome:
        structure = cell.structure
        if row.makespan < 0:
            which = "every order of the ports" if order == "best" else f"order {order!r}"
            return Outcome(None, error=f"ScheduleError: {which} contradicts the dependences")
        peaks = {
            component: number(Fraction(peak, structure.held.denominator))
            for component, peak in cell.by_component(row).items()
        }
        return self._checked(
            Outcome(
                number(Fraction(row.makespan, structure.costs.scale)),
                ORDERS[row.order],
                waits,
                True,
                tuple(sorted(peaks.items())),
            )
        )

    def fully(
        self,
        kinds: tuple[str, ...],
        order: str,
        chosen: tuple[bool, ...],
        counts: tuple[int | None, ...],
    ) -> Outcome:
        """What a variant comes to, by itself: not all of its tile iterations are looked at."""
        others = self.space.other_slots
        slots: Any = others
        mine = dict(zip((t for t, _ in self.space.slots), counts, strict=True))
        if mine:
            fixed = others if isinstance(others, Mapping) else {}
            default = 2 if isinstance(others, Mapping) else others
            slots = {**dict.fromkeys(self.space.tensors, default), **fixed, **mine}
        options = {
            "granularity": self.granularity,
            "order": order,
            "background": tuple(sorted(self.pairs(chosen))),
            "slots": slots,
            "max_tiles": self.space.max_tiles,
        }

        def lowering(granularity: Granularity) -> Lowered:
            key = granularity, kinds
            if key not in self._lowered:
                if len(self._lowered) > 16:
                    self._lowered.clear()
                base = lower(self.spec, granularity)
                pipelines = self._pipelines(kinds)
                leaves = tuple(
                    replace(
                        leaf,
                        splits=tuple(replace(s, pipeline=s.node in pipelines) for s in leaf.splits),
                    )
                    for leaf in base.leaves
                )
                self._lowered[key] = replace(base, leaves=leaves)
            return self._lowered[key]

        def solver(lowered: Lowered, pairs: Any, slots: Any, limit: int, **how: Any) -> Solved:
            if pairs or how:
                return solve(lowered, pairs, slots, limit, **how)
            frozen = tuple(slots.items()) if isinstance(slots, Mapping) else slots
            key = lowered.depths, kinds, frozen, limit
            if key not in self._waiting:
                self._waiting[key] = solve(lowered, pairs, slots, limit)
                while len(self._waiting) > 32:
                    self._waiting.popitem(last=False)
            return self._waiting[key]

        try:
            timed = time_mapping(self.spec, options, lowering=lowering, solver=solver)
        except _ILLEGAL as error:
            return Outcome(None, error=said(error))
        model = timed.solved.model
        load = Fraction(max(model.graph.loads, default=0), model.costs.scale)
        self.busiest[kinds] = number(load)
        peaks: dict[str, Number | None] = {}
        for memory in occupancies(timed.model, timed.chosen):
            peak, known = known_peak(memory), peaks.get(memory.component, 0)
            unknown = peak is None or known is None
            peaks[memory.component] = None if unknown else max(peak, known)  # type: ignore[type-var]
        latency = number(Fraction(timed.chosen.makespan, timed.model.costs.scale))
        waits = timed.model.background != timed.solved.model.background
        return self._checked(
            Outcome(
                latency, timed.chosen.order or "", waits, timed.exact, tuple(sorted(peaks.items()))
            )
        )

    @cached_property
    def _sizes(self) -> dict[str, Fraction]:
        """Bits that memories can hold, where that is limited."""
        sizes: dict[str, Fraction] = {}
        for leaf in self.lowered.leaves:
            for component in self.spec.arch.paths[leaf.einsum.name]:
                if component.kind == "Memory" and component.size is not None:
                    known = sizes.get(component.name, component.size)
                    sizes[component.name] = min(known, component.size)
        return sizes

    def _checked(self, outcome: Outcome) -> Outcome:
        if self.space.enforce_capacity:
            for component, peak in outcome.peaks:
                size = self._sizes.get(component)
                if size is not None and peak is not None and peak > size:
                    text = f"memory {component!r} holds up to {peak} bits, and its size is {size}"
                    return Outcome(None, error=f"CapacityError: {text}")
        return outcome


def said(error: PolylatError) -> str:
    """An error in one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"
