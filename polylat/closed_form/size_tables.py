"""Tables of all figures over the sizes, at fixed times."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import partial
from itertools import product
from math import prod

from polylat.analysis.roofline import roofline
from polylat.closed_form.family import LOWER_BOUNDS, Figure, MappingFamily
from polylat.closed_form.multilinear import Multilinear
from polylat.closed_form.parameters import Bound
from polylat.closed_form.size_pieces import (
    SizePiece,
    SizeTable,
    in_classes,
    largest_of,
    least_of,
    table_of,
)
from polylat.closed_form.verification import ProvenRange, decide_for_all_sizes
from polylat.engine.model import Model, build
from polylat.engine.sampling_search import Inputs
from polylat.engine.solve import QUICK, Schedules, solve_sampled
from polylat.engine.trip_ranges import MorePeriodsError, Range, RangeProver, Sizes
from polylat.errors import PolylatError
from polylat.lowering.lowered import with_sequential_splits
from polylat.schedule.timing import ORDERS, Order

__all__ = ["SizeTables"]

_HIGH = {1: 1 << 36, 2: 1 << 22}
"""By number of sizes, where the proof of a range begins: large, so that it is unbounded."""

_MOST_OLDEST = 10_000
"""Largest sample for the order "oldest"."""

_MOST_CLASSES = 32
"""Largest number of residues of the sizes for which a proof is sought."""

_CHECKED = 64
"""Up to this size (or 8 tiles), figures without a proof are computed one by one."""

_MOST_POINTS = 400
"""Largest number of sizes at which figures are computed one by one."""

_FIRST = (1, 4, 16, 64)
"""Numbers of tiles from which on numbers of actions are affine, as far as needed."""


@dataclass(eq=False)
class SizeTables:
    """Tables of all figures, at any times.

    Parameters
    ----------
    family
        The mappings.
    bounds
        Per size, its least and largest value.
    """

    family: MappingFamily
    bounds: tuple[Bound, ...]
    _tables: dict[tuple[tuple[Fraction, ...], bool], Mapping[Figure, SizeTable]] = field(
        default_factory=dict
    )

    def at(
        self, times: tuple[Fraction, ...], *, static: bool = False
    ) -> Mapping[Figure, SizeTable]:
        """Return the figures as functions of the sizes.

        Parameters
        ----------
        times
            The times, see `Parameter.coordinate`.
        static
            Leave out the order "oldest" and the latency where they take long.

        Returns
        -------
        Mapping
            Figure → its table.
        """
        if (times, static) not in self._tables:
            self._tables[times, static] = self._table(times, static)
        return self._tables[times, static]

    def verified(
        self, times: tuple[Fraction, ...], *, static: bool = False
    ) -> Iterator[ProvenRange]:
        """Prove the schedules again, with ISL.

        Parameters
        ----------
        times, static
            As for `at`.

        Yields
        ------
        ProvenRange
            One per class of sizes, and per order or the dependence bound, if it is proven.

        Raises
        ------
        CertificateError
            A schedule is not the earliest one at some size.
        """
        for search in self._searches(times, static):
            yield from search.verified()

    def _searches(self, times: tuple[Fraction, ...], static: bool) -> Iterator[_ClassSearch]:
        """One search per class of sizes; none where proofs are not sought."""
        if self._seeks_proofs:
            for residues in product(*map(range, self._steps)):
                yield _ClassSearch(self, times, self._steps, residues, static)

    @property
    def _steps(self) -> Sizes:
        """Per size, after how many values the tiles repeat."""
        return tuple(parameter.step for parameter in self.family.sizes)

    @property
    def _seeks_proofs(self) -> bool:
        """Whether there are few classes of sizes, and more sizes than are analyzed one by one."""
        steps = self._steps
        tops = zip(steps, self.bounds, strict=True)
        enough = all(top is None or top >= 16 * step for step, (_, top) in tops)
        return bool(steps) and prod(steps) <= _MOST_CLASSES and enough

    def leaves_no_choice(self, times: tuple[Fraction, ...]) -> bool:
        """Return whether every port serves in one order only, whatever the durations.

        Parameters
        ----------
        times
            As for `at`; above zero.

        Returns
        -------
        bool
            True where the leaves run one after another, or every port serves blocks of one kind
            only, none of them ahead. All orders are then the same.
        """
        steps = self._steps
        try:
            # The mapping may be illegal at a large size: it may need more units than there are.
            inputs = self.family.inputs_at((_large(steps, (0,) * len(steps)), times))
            if steps:
                found = solve_sampled(inputs, QUICK, most_oldest=0)
                if found is None:
                    return False
                model = found.model
            else:
                model = build(*inputs)
        except PolylatError:
            return False
        return model.runs_in_turn or (model.streams and not model.graph.rivals.any())

    def peaks_at(self, times: tuple[Fraction, ...]) -> Mapping[Figure, SizeTable]:
        """Return the peak occupancies as functions of the sizes, computed one by one.

        Parameters
        ----------
        times
            As for `at`.

        Returns
        -------
        Mapping
            Figure → its table.
        """
        found: dict[Figure, dict[Sizes, Fraction]] = {}
        for sizes in self._small(0):
            for figure, peak in self.family.peaks_at((sizes, times)).items():
                found.setdefault(figure, {})[sizes] = peak
        step = self.family.sizes[0].step if self.bounds else 1
        return {figure: table_of([], points, step) for figure, points in found.items()}

    def _table(self, times: tuple[Fraction, ...], static: bool) -> Mapping[Figure, SizeTable]:
        if not self.bounds:
            found = self.family.figures_at(((), times)) or {}
            return {
                figure: SizeTable((SizePiece((), (), (), Multilinear((value,)), "each size"),))
                for figure, value in found.items()
            }
        pieces: dict[Figure, list[SizePiece]] = {}
        for search in self._searches(times, static):
            for figure, some in search.pieces().items():
                pieces.setdefault(figure, []).extend(some)
        least = tuple(low for low, _ in self.bounds)
        pieces = {
            figure: [piece.from_size(least) for piece in some] for figure, some in pieces.items()
        }
        points = self._computed(times, pieces, static)
        figures = dict.fromkeys((*pieces, *(f for found in points.values() for f in found)))
        tables = {
            figure: table_of(
                pieces.get(figure, []),
                {sizes: found[figure] for sizes, found in points.items() if figure in found},
                self._steps[0],
            )
            for figure in figures
        }
        return {
            figure: replace(table, pieces=tuple(p.from_size(least) for p in table.pieces))
            for figure, table in tables.items()
        }

    def _computed(
        self,
        times: tuple[Fraction, ...],
        pieces: Mapping[Figure, Sequence[SizePiece]],
        static: bool,
    ) -> dict[Sizes, Mapping[Figure, Fraction]]:
        """The figures at sizes below those of the ranges, or at all sizes where there is none."""
        found: dict[Sizes, Mapping[Figure, Fraction]] = {}
        wanted: dict[Figure, None] = dict.fromkeys((*pieces, "latency", *ORDERS, *LOWER_BOUNDS))
        if static:
            wanted = {figure: None for figure in wanted if figure not in ("latency", "oldest")}
        elif "latency" in pieces:
            wanted = dict.fromkeys(pieces)  # an order that is not proven may be illegal
        lows = [piece.low[0] for figure in wanted for piece in pieces.get(figure, ())]
        for sizes in self._small(max(lows, default=0)):
            known = all(
                any(piece.covers(sizes) for piece in pieces.get(figure, ())) for figure in wanted
            )
            if not known:
                figures = self.family.figures_at((sizes, times))
                if figures is not None:
                    found[sizes] = figures
        return found

    def _small(self, start: int) -> Iterator[Sizes]:
        """The sizes up to the given ones, and to where a range starts."""
        ranges = []
        for parameter, (low, high) in zip(self.family.sizes, self.bounds, strict=True):
            most = max(_CHECKED, 8 * parameter.step) if high is None else high
            if len(self.bounds) == 1 and start > most:
                most = min(start, _MOST_POINTS)
            ranges.append(range(low, most + 1))
        if prod(map(len, ranges)) <= _MOST_POINTS:
            yield from product(*ranges)
        elif len(ranges) == 1:
            yield from ((size,) for size in ranges[0][:_MOST_POINTS])


@dataclass(frozen=True)
class _ClassSearch:
    """The search for figures of a class of sizes, for all sizes from some on.

    Parameters
    ----------
    tables, times, static
        The tables, the times, and whether to save the time for "oldest".
    steps, residues
        The class of sizes.
    """

    tables: SizeTables
    times: tuple[Fraction, ...]
    steps: Sizes
    residues: Sizes
    static: bool

    def pieces(self) -> dict[Figure, list[SizePiece]]:
        """The figures that are proven."""
        high = _large(self.steps, self.residues)
        try:
            found = self._solved(self._inputs_at, high)
            if found is None:
                return {}
            pieces = self._by_order(self._inputs_at, high, found)
            pieces |= self._counted(found, high)
            if not self.static:
                barred: list[list[SizePiece]] = []
                if _needs_in_turn(found):
                    sequential = partial(self._inputs_at, sequential=True)
                    other = self._solved(sequential, high)
                    if other is None:
                        barred = [[]]
                    else:
                        in_turn = self._by_order(sequential, high, other)
                        barred = [in_turn.get(order, []) for order in _legal(other)]
                pieces["latency"] = self._latency(found, pieces, barred)
        except PolylatError:
            return {}
        return {figure: some for figure, some in pieces.items() if some}

    def _inputs_at(self, sizes: Sizes, *, sequential: bool = False) -> Inputs:
        inputs = self.tables.family.inputs_at((sizes, self.times))
        if not sequential:
            return inputs
        return inputs._replace(lowered=with_sequential_splits(inputs.lowered))

    def _solved(self, inputs_at: Callable[..., Inputs], high: Sizes) -> Schedules | None:
        return solve_sampled(inputs_at(high), QUICK, most_oldest=0 if self.static else _MOST_OLDEST)

    def _by_order(
        self, inputs_at: Callable[..., Inputs], high: Sizes, found: Schedules
    ) -> dict[Figure, list[SizePiece]]:
        """The makespan in each order, and the dependence bound."""
        pieces: dict[Figure, list[SizePiece]] = {}
        for order, ranges in self._ranges_by_order(inputs_at, high, found):
            known = [self._pieces(prover, proven) for prover, proven in ranges]
            figure = "dependence_bound" if order is None else order
            pieces[figure] = [piece for some in known for piece in some] if all(known) else []
        return pieces

    def _ranges_by_order(
        self, inputs_at: Callable[..., Inputs], high: Sizes, found: Schedules
    ) -> Iterator[tuple[Order | None, list[tuple[RangeProver, Range | None]]]]:
        """Per order, the proven ranges of all classes of sizes after which its schedule repeats."""
        provers = {self.steps: [RangeProver(inputs_at, high, self.steps, found)]}
        for order in (*ORDERS, None):
            steps = self.steps
            for _ in range(2):
                try:
                    ranges = [(prover, prover.range_of(order)) for prover in provers[steps]]
                except MorePeriodsError as error:
                    steps = tuple(a * b for a, b in zip(steps, error.factors, strict=True))
                    if prod(steps) > _MOST_CLASSES:
                        break
                    if steps not in provers:
                        provers[steps] = self._split(inputs_at, high, steps)
                    continue
                yield order, ranges
                break

    def verified(self) -> Iterator[ProvenRange]:
        """Prove the schedules of the class again, with ISL."""
        high = _large(self.steps, self.residues)
        found = self._solved(self._inputs_at, high)
        if found is None or len(self.steps) != 1:
            return
        for order, ranges in self._ranges_by_order(self._inputs_at, high, found):
            for prover, proven in ranges:
                ends = None if proven is None else prover.ends(order, proven)
                if proven is None or ends is None:
                    continue
                (step,) = prover.step
                steps = (proven.high[0] - proven.low[0]) // step
                count = decide_for_all_sizes(ends[0], ends[1], steps)
                name = order or "dependence bound"
                yield ProvenRange(name, self.times, proven.low, prover.step, count)

    def _split(
        self, inputs_at: Callable[..., Inputs], high: Sizes, steps: Sizes
    ) -> list[RangeProver]:
        """Prepare proofs for classes with larger steps."""
        provers = []
        factors = [b // a for a, b in zip(self.steps, steps, strict=True)]
        for more in product(*map(range, factors)):
            top = tuple(n - k * s for n, k, s in zip(high, more, self.steps, strict=True))
            found = self._solved(inputs_at, top)
            if found is None:
                return []
            provers.append(RangeProver(inputs_at, top, steps, found))
        return provers

    def _pieces(self, prover: RangeProver, proven: Range | None) -> list[SizePiece]:
        if proven is None:
            return []
        high = tuple(
            top if proven.unbounded else min(n, top or n)
            for n, (_, top) in zip(proven.high, self.tables.bounds, strict=True)
        )
        lines = [
            Multilinear.between(
                proven.low, proven.high, [Fraction(time, proven.scale) for time in event]
            )
            for event in proven.last
        ]
        piece = SizePiece(proven.low, high, prover.step, lines[0], "all sizes")
        return largest_of(piece, lines)

    def _latency(
        self,
        found: Schedules,
        pieces: Mapping[Figure, list[SizePiece]],
        barred: Sequence[list[SizePiece]],
    ) -> list[SizePiece]:
        """The least makespan of all orders, or a makespan that attains a bound."""
        order = self.tables.family.options["order"]
        if order != "best":
            return pieces.get(order, [])
        choices = [*(pieces.get(o, []) for o in _legal(found)), *barred]
        bounds = [piece for name in LOWER_BOUNDS for piece in pieces.get(name, [])]
        latency = []
        for *some, lower in in_classes(*choices, bounds):
            known = [piece for group in some for piece in group]
            if not known:
                continue
            best = least_of(known) if all(some) else None
            if best is None:
                attained = (
                    piece.from_size(bound.low)
                    for bound in lower
                    for piece in known
                    if piece.value == bound.value
                )
                best = next(attained, None)
            if best is None:
                return []
            latency.append(best)
        return latency

    def _counted(self, found: Schedules, high: Sizes) -> dict[Figure, list[SizePiece]]:
        """Bounds and numbers of actions.

        A number of actions grows with the sizes of a class by ever smaller steps, until by equal
        ones. From there on, bounds are maxima of sums of affine functions, and so convex. A convex
        function is affine between two sizes if it is on the line at a third one between them.
        """
        if len(self.steps) != 1:
            return {}
        (step,), (last,) = self.steps, high
        family, (_, top) = self.tables.family, self.tables.bounds[0]
        pieces: dict[Figure, list[SizePiece]] = {}
        far = self._of_model(found.model, high)
        for more in _FIRST:
            if pieces.keys() == far.keys():
                break
            low = last % step + more * step
            sizes = [(low + k * step,) for k in range(3)]
            found_near = [family.figures_at((size, self.times)) for size in sizes]
            near = [figures for figures in found_near if figures is not None]
            if len(near) < len(sizes):
                continue
            for figure, value in far.items():
                if figure in pieces or not all(figure in figures for figures in near):
                    continue
                line = Multilinear.between((low,), (last,), (near[0][figure], value))
                pairs = zip(sizes, near, strict=True)
                if all(line.at(size) == figures[figure] for size, figures in pairs):
                    pieces[figure] = [SizePiece((low,), (top,), self.steps, line, "all sizes")]
        return pieces

    def _of_model(self, model: Model, sizes: Sizes) -> dict[Figure, Fraction]:
        scale = model.costs.scale
        spec = self.tables.family.spec_at((sizes, self.times))
        return {
            "resource_bound": Fraction(model.resource_bound, scale),
            "barrier_bound": Fraction(model.barrier_bound, scale),
            "roofline": Fraction(roofline(spec).latency),
            **self.tables.family.counts(model),
        }


def _large(steps: Sizes, residues: Sizes) -> Sizes:
    """The large sizes of a class from which ranges are proven."""
    far = _HIGH.get(len(steps), 1 << 16)
    return tuple(far // step * step + r for step, r in zip(steps, residues, strict=True))


def _legal(found: Schedules) -> list[Order]:
    """The orders that may be the best one: legal, or not known."""
    solutions = found.solutions
    return [order for order in ORDERS if order not in solutions or solutions[order].legal]


def _needs_in_turn(found: Schedules) -> bool:
    """Whether schedules that keep the barriers of Pipelines are chosen from, too."""
    pipelines = any(split.pipeline for leaf in found.model.lowered.leaves for split in leaf.splits)
    program = found.solutions.get("program")
    return pipelines and not (found.model.streams and program is not None and program.legal)
