"""The search for the Pareto front: parts of the space, evaluated in turns, each with its bounds.

Branch and bound: every turn evaluates some parts of the space, in parallel. The front of what was
evaluated in earlier turns excludes the variants of later ones whose lower bounds it dominates, so
the result is the exact front. Finished parts are saved.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any, cast

from polylat.exploration.evaluate import Batch, Span, clear_cache, evaluate, points
from polylat.exploration.fingerprint import fingerprint
from polylat.exploration.parallel import runner
from polylat.exploration.pareto import (
    Incumbents,
    Objective,
    Outcome,
    Vector,
    front_of,
    objectives_of,
)
from polylat.exploration.progress import progress_bar
from polylat.exploration.space import Space
from polylat.exploration.store import Store
from polylat.exploration.tiled_mapping import MOST_SHARED
from polylat.lowering.lowered import RequestedGranularity, lower, lower_requested
from polylat.lowering.transfers import TransferOptions

__all__ = ["FrontSearch"]

_GROWTH = 4
"""Ratio of the parts of a turn to those evaluated before. The turns are the same for every number
of processes, and so is the set of excluded variants."""
_MOST_VARIANTS, _MOST_TILES = 1000, 10_000_000
"""Largest number of variants of a part, and of tile iterations of all its variants together."""
_MOST_SAMPLED = 4
"""The same where each variant is evaluated from a sample of its tile iterations."""
_PARTS, _FEWEST_VARIANTS = 64, 64
"""Number of parts that processes can share evenly; smaller parts than this are not worth it."""
_LOWERING = 64
"""Making a graph, for other tile shapes or transfers, takes about as long as this number of
variants."""


class FrontSearch:
    """The search for the front of a space: the results so far, and the parts still to evaluate.

    Parameters
    ----------
    space
        The space.
    objectives
        Names of the objectives, as for `polylat.explore`.
    exhaustive
        Whether variants that cannot be in the front are evaluated, too.
    store
        The file of results; None: none.

    Raises
    ------
    OptionError
        There is no such objective.
    """

    def __init__(
        self, space: Space, objectives: Iterable[str], *, exhaustive: bool, store: Path | None
    ) -> None:
        every = TransferOptions(frozenset((*space.fixed_background, *space.background)))
        first = cast("RequestedGranularity", space.granularities[0])
        lowered = lower_requested(partial(lower, space.spec), first, every, space.max_tiles)
        self.space = space
        self.objectives: tuple[Objective, ...] = objectives_of(objectives, lowered.memories)
        self.exhaustive = exhaustive
        self.outcomes: dict[int, Outcome] = {}
        """Number of a variant → its evaluation."""
        self.excluded = 0
        """Number of variants that were not evaluated, because they cannot be in the front."""
        self._parts = _parts(space, lowered.size)
        self._store = None
        if store is not None:
            parts = self._parts
            key = [space.key, self.objectives, exhaustive, parts[:3], len(parts)]
            self._store = Store(store, fingerprint(key), len(parts), self._is_result)

    @property
    def remarks(self) -> tuple[str, ...]:
        """Remarks on the file of results."""
        return (self._store.remark,) if self._store is not None and self._store.remark else ()

    @property
    def front(self) -> list[tuple[Vector, int]]:
        """The front of the outcomes so far, as (values of the objectives, number)."""
        return front_of(points(self.space, self.objectives, self.outcomes.items()))

    def run(self, n_jobs: int | None, dask: Any, progress: bool | None) -> None:
        """Evaluate all variants that are not excluded.

        Parameters
        ----------
        n_jobs, dask, progress
            As for `polylat.explore`.

        Raises
        ------
        OptionError
            `n_jobs` or `dask` cannot be used.
        MissingExtraError
            A library of an extra is not installed.
        StoreError
            The results cannot be written.
        WorkerError
            Too many workers have died, or the scheduler does not answer.
        """
        if self._store is not None:
            self._store.read()
        try:
            self._run(n_jobs, dask, progress)
        finally:
            # Tables of a large space take a gigabyte.
            clear_cache()

    def _run(self, n_jobs: int | None, dask: Any, progress: bool | None) -> None:
        # First the part whose variants overlap most: it gives a good front to start with.
        first = self._first_part()
        order = [first, *(part for part in range(len(self._parts)) if part != first)]
        stored = {} if self._store is None else self._store.finished
        front: list[tuple[Vector, int]] = []
        done = 0
        with runner(n_jobs, dask) as run, progress_bar(self.space.size, progress) as bar:
            while done < len(order):
                # Processes wait for each other at the end of a turn: so the turns are few, and
                # there is a single one where no variant may be excluded.
                size = len(order) if self.exhaustive else max(1, _GROWTH * done)
                turn = order[done : done + size]
                batches = [self._add(stored[part], bar) for part in turn if part in stored]
                incumbents = None if self.exhaustive else Incumbents(self.objectives, tuple(front))
                left = [part for part in turn if part not in stored]
                calls = [(self.space, self._parts[part], incumbents) for part in left]
                for number, batch in run(evaluate, calls) if calls else ():
                    # Added before it is written: it must not be lost if the file cannot be written.
                    batches.append(self._add(batch, bar))
                    if self._store is not None:
                        self._store.save(left[number], batch)
                for batch in batches:
                    front += points(self.space, self.objectives, batch.outcomes)
                front = front_of(front)
                done += size

    def _first_part(self) -> int:
        """Return the part with the last variant that stages no more than every variant does."""
        space = self.space
        streaming = space.cells_per_graph << len(space.background)
        cell = space.cells - (streaming << len(space.staged)) + streaming - 1
        return max(n for n, spans in enumerate(self._parts) if spans[0][0] <= cell)

    def add_stored(self) -> bool:
        """Add the stored results that `run` has not reached, for a search that ends early.

        Returns
        -------
        bool
            Whether the file was read to its end.
        """
        if self._store is None:
            return True
        for batch in self._store.finished.values():
            self.outcomes.update(batch.outcomes)
        return self._store.is_read

    def _is_result(self, part: int, batch: Batch) -> bool:
        """Return whether stored results can be those of a part."""
        first_of = self.space.variants_per_cell
        spans = [range(c * first_of + a, c * first_of + b) for c, a, b in self._parts[part]]
        numbers = {number for number, _ in batch.outcomes}
        energy = any(objective.name == "energy" for objective in self.objectives)
        return (
            len(numbers) == len(batch.outcomes)
            and len(numbers) + batch.excluded == sum(map(len, spans))
            and all(any(number in span for span in spans) for number in numbers)
            and not (self.exhaustive and batch.excluded)
            and all(
                o.latency is None or (o.energy is not None) == energy for _, o in batch.outcomes
            )
        )

    def _add(self, batch: Batch, bar: Any) -> Batch:
        self.outcomes.update(batch.outcomes)
        self.excluded += batch.excluded
        if bar is not None:
            bar.set_description("exploring", refresh=False)
            bar.update(len(batch.outcomes) + batch.excluded)
        return batch


def _parts(space: Space, tiles: int) -> list[tuple[Span, ...]]:
    """Divide the space into parts, each evaluated by one call.

    A part is small enough that no process waits long for another one. Variants that share most
    are in the same part: cells, and cells with the same graph, are divided only where they are
    larger than a part.
    """
    graphs = space.cells // space.cells_per_graph
    even = max(_FEWEST_VARIANTS, (space.size + _LOWERING * graphs) // _PARTS)
    most = max(1, min(_MOST_VARIANTS, _MOST_TILES // max(tiles, 1), even))
    if tiles > MOST_SHARED:
        most = _MOST_SAMPLED
    lowering = min(_LOWERING, most // 2)
    parts: list[tuple[Span, ...]] = []
    spans: list[Span] = []
    room = most
    for cell in range(space.cells):
        new_graph = cell % space.cells_per_graph == 0
        need = space.variants_per_cell
        if new_graph:
            need = lowering + space.cells_per_graph * space.variants_per_cell
        if spans and need > room:
            parts.append(tuple(spans))
            spans, room = [], most
        if new_graph:
            room = max(1, room - lowering)
        first = 0
        while first < space.variants_per_cell:
            end = min(space.variants_per_cell, first + room)
            spans.append((cell, first, end))
            room -= end - first
            first = end
            if not room:
                parts.append(tuple(spans))
                spans, room = [], most
    if spans:
        parts.append(tuple(spans))
    return parts
