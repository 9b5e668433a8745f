"""`explore`: all that the choices of a mapping allow, and what of it is worth having."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polylat.analysis import DEFAULT_MAX_TILES, analyze
from polylat.errors import (
    InterruptedExplorationError,
    MissingExtraError,
    StoreError,
    WorkerError,
)
from polylat.exact import Number
from polylat.exploration.evaluate import EXPLICIT, Batch, Span, evaluate, members
from polylat.exploration.parallel import Run, runner
from polylat.exploration.pareto import (
    Bar,
    Objective,
    Outcome,
    Vector,
    front_of,
    objectives_of,
)
from polylat.exploration.space import Choice, Space, fingerprint
from polylat.exploration.store import Store
from polylat.files import named
from polylat.jsonform import optional
from polylat.model import lower
from polylat.report import Report
from polylat.spec import Spec
from polylat.spec.options import (
    normalize_enforce_capacity,
    normalize_flag,
    normalize_max_tiles,
)
from polylat.spec.reading.live import as_spec

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Exploration", "Result", "explore"]

_GROWTH = 4
"""So many times as many parts as were evaluated before are evaluated at a time: what was found
before may exclude some of theirs, whatever the number of processes."""
_MOST, _WORK = 1000, 10_000_000
"""Most variants of a part; and about so many tile iterations in all of them."""
_PARTS, _FEW = 64, 64
"""So many parts are enough to share out; and so few variants are not worth sharing out."""
_SHAPE = 64
"""To lower a mapping with other tile shapes takes about as long as so many variants of it."""
_FORMAT = 1


@dataclass(frozen=True)
class Result:
    """A variant and what it comes to.

    Parameters
    ----------
    number
        Its number in the space.
    choice
        What is chosen, as plain data.
    latency
        Its latency, None where it is illegal: `error` says why.
    order
        The order of the ports that the latency is of.
    waits_for_background
        Whether the schedule is the one that waits for the write-backs all the same.
    exact
        Whether the latency is exact.
    peaks
        Memory → the bits that it holds at most (of one unit of the stage that needs most), None
        if that is not known.
    error
        Why the variant is illegal; empty if it is not.
    """

    number: int
    choice: Choice
    latency: Number | None
    order: str
    waits_for_background: bool
    exact: bool
    peaks: Mapping[str, Number | None]
    error: str
    _space: Space = field(repr=False, compare=False, kw_only=True)

    @cached_property
    def spec(self) -> Spec:
        """The input with this choice: `analyze` of it, without options, gives `report`."""
        return self._space.applied(self.choice)

    @cached_property
    def report(self) -> Report:
        """The report of the variant, made when first asked for.

        Raises
        ------
        PolylatError
            The variant is illegal.
        """
        return analyze(self.spec)

    def to_dict(self) -> dict[str, Any]:
        """The result as plain data for JSON."""
        return {
            "number": self.number,
            "choice": self.choice.to_dict(),
            "latency": optional(self.latency),
            "order": self.order,
            "waits_for_background": self.waits_for_background,
            "exact": self.exact,
            "peaks": {memory: optional(peak) for memory, peak in self.peaks.items()},
            "error": self.error or None,
        }


@dataclass(frozen=True)
class Exploration:
    """All variants that were evaluated, and the front of those that nothing is better than.

    Parameters
    ----------
    objectives
        What was made small.
    variants
        Number of variants in the space.
    excluded
        How many of them the bounds excluded from the front, so that they were not evaluated.
    complete
        Whether all others were.
    remarks
        What else there is to say.
    """

    objectives: tuple[str, ...]
    variants: int
    excluded: int
    complete: bool
    remarks: tuple[str, ...]
    _space: Space = field(repr=False)
    _targets: tuple[Objective, ...] = field(repr=False)
    _outcomes: Mapping[int, Outcome] = field(repr=False)

    @cached_property
    def results(self) -> tuple[Result, ...]:
        """The variants that were evaluated, in the order of the space."""
        return tuple(self._result(number) for number in sorted(self._outcomes))

    @cached_property
    def front(self) -> tuple[Result, ...]:
        """Per point that no other one dominates, the first variant; the fastest first.

        A point dominates another one if it is no larger in any objective and smaller in one.
        """
        return tuple(self._result(number) for _, number in self._front)

    @cached_property
    def _front(self) -> list[tuple[Vector, int]]:
        return front_of(members(self._space, self._targets, self._outcomes.items()))

    @property
    def best(self) -> Result | None:
        """The first result of the front, None if all are illegal."""
        return self.front[0] if self.front else None

    @property
    def illegal(self) -> int:
        """How many of the variants evaluated are illegal."""
        return sum(outcome.latency is None for outcome in self._outcomes.values())

    @property
    def evaluated(self) -> int:
        """How many variants were evaluated."""
        return len(self._outcomes)

    @property
    def exact(self) -> bool:
        """Whether all latencies and peaks are exact, so that the front is."""
        return self.complete and all(
            outcome.exact and all(peak is not None for _, peak in outcome.peaks)
            for outcome in self._outcomes.values()
            if outcome.latency is not None
        )

    def _result(self, number: int) -> Result:
        outcome = self._outcomes[number]
        return Result(
            number,
            self._space.choice(number),
            outcome.latency,
            outcome.order,
            outcome.waits_for_background,
            outcome.exact,
            dict(outcome.peaks),
            outcome.error,
            _space=self._space,
        )

    def to_pandas(self) -> pd.DataFrame:
        """All results as a table, those of the front marked.

        Raises
        ------
        MissingExtraError
            pandas is not installed.
        """
        from polylat.exploration.tables import data_frame

        return data_frame(self)

    def save(self, path: str | Path) -> None:
        """Write all results to a file, ``.parquet`` or ``.csv``.

        Raises
        ------
        MissingExtraError
            pyarrow is not installed (Parquet only).
        StoreError
            The file cannot be written.
        """
        from polylat.exploration.tables import save

        save(self, named(path))

    def to_dict(self) -> dict[str, Any]:
        """The front as plain data for JSON, as ``docs/json.md`` describes it."""
        return {
            "schema": "polylat.exploration/1",
            "objectives": list(self.objectives),
            "variants": self.variants,
            "evaluated": self.evaluated,
            "excluded": self.excluded,
            "illegal": self.illegal,
            "complete": self.complete,
            "exact": self.exact,
            "remarks": list(self.remarks),
            "front": [result.to_dict() for result in self.front],
        }

    def __str__(self) -> str:
        from polylat.exploration.tables import exploration_text

        return exploration_text(self)

    def _repr_html_(self) -> str:
        from polylat.exploration.tables import exploration_html

        return exploration_html(self)


def explore(
    spec: Any,
    *,
    splits: bool = True,
    background: bool | Iterable[str | tuple[str, str]] = True,
    slots: Any = None,
    granularity: str | Sequence[str] | None = None,
    order: str | Sequence[str] | None = None,
    tiles: Mapping[str, Sequence[int]] | None = None,
    objectives: Iterable[str] = ("latency", "peak"),
    exhaustive: bool = False,
    enforce_capacity: bool | None = None,
    max_tiles: int | None = None,
    n_jobs: int | None = None,
    dask: Any = None,
    store: str | Path | None = None,
    progress: bool | None = None,
) -> Exploration:
    """The best schedules of a mapping, over the choices that it leaves open.

    Evaluates every variant of the mapping that the bounds do not exclude from the Pareto front of
    the objectives: the front is exact. A variant comes to what `analyze` says of it.

    Parameters
    ----------
    spec
        The input, or AccelForge's ``Spec`` or ``Mappings`` of one mapping. What is not explored is
        as it says.
    splits
        Whether to explore each split as Sequential and as Pipeline.
    background
        Which write-backs to explore in the foreground and in the background: True: all that the
        mapping has; False: none; or ``"o2"``, ``"o2@SRAM"``, ``("o2", "SRAM")``, several of these.
    slots
        Numbers of slots to explore, such as ``range(1, 4)``, for each tensor for which it may make
        a difference; or by tensor, ``{"o1": [1, 2, None]}``. None: as in the input.
    granularity, order
        One or several to explore; see `analyze`. None: as in the input.
    tiles
        Loop → tile shapes to explore. A loop is named by its rank variable: the loop over it that
        stands above all others. ``"m#2"`` is the second over m in tree order.
    objectives
        What to make small: ``"latency"``; ``"peak@SRAM"``, the bits that a memory holds at most,
        ``"peak"``: that of every memory; ``"slots"``, the sum of the slots explored.
    exhaustive
        Evaluate what the bounds exclude, too.
    enforce_capacity, max_tiles
        As for `analyze`: variants that do not fit their memories are illegal.
    n_jobs
        Number of processes, -1: one for each core. None: what ``joblib.parallel_config`` says, or
        else one.
    dask
        The address of a Dask scheduler, or a ``distributed.Client``: work on that cluster.
    store
        A file to which finished results are written, and from which an exploration goes on that
        has been interrupted.
    progress
        Whether to show a progress bar. None: on a terminal, where tqdm is installed.

    Returns
    -------
    Exploration
        The results, and the front.

    Raises
    ------
    SpecError
        The input is none of these.
    OptionError
        A choice does not exist.
    TooLargeError
        There are too many variants.
    MissingExtraError
        A library of an extra is not installed.
    StoreError
        The file of results cannot be used.
    WorkerError
        Too many workers have died, or the scheduler does not answer.
    InterruptedExplorationError
        Ctrl-C. This one and the two above have what was finished, as ``exploration``, if anything
        was.

    Examples
    --------
    >>> import polylat
    >>> files = ("examples/arch.yaml", "examples/workload.yaml", "examples/tap_resident.yaml")
    >>> found = polylat.explore(polylat.load(*files), objectives=["latency"])
    >>> found.variants, found.best.latency, str(found.best.choice)
    (8, 24576, 'Pipeline e1+e2|e3 e1|e2')
    >>> found.best.report.optimal
    True
    """
    exhaustive = normalize_flag("exhaustive", exhaustive)
    if progress is not None:
        progress = normalize_flag("progress", progress)
    spec = as_spec(spec)
    given = spec.schedule
    space = Space.of(
        spec,
        splits=splits,
        background=background,
        slots=slots,
        granularity=given.get("granularity", "auto") if granularity is None else granularity,
        order=given.get("order", "best") if order is None else order,
        tiles=tiles or {},
        max_tiles=normalize_max_tiles(
            given.get("max_tiles", DEFAULT_MAX_TILES) if max_tiles is None else max_tiles
        ),
        enforce_capacity=normalize_enforce_capacity(
            given.get("enforce_capacity", False) if enforce_capacity is None else enforce_capacity
        ),
    )
    lowered = lower(spec, "flow" if space.granularities[0] != "tile" else "tile")
    targets = objectives_of(objectives, _memories(spec, lowered.leaves))
    parts = _parts(space, lowered.size)
    saved = None
    if store is not None:
        key = fingerprint([_FORMAT, space.key, targets, exhaustive, parts[:3], len(parts)])
        saved = Store(named(store), key, len(parts))
    search = _Search(space, targets, parts, exhaustive, saved)
    try:
        with runner(n_jobs, dask) as run, _bar(space.size, progress) as bar:
            search.finish(run, bar)
    except (StoreError, WorkerError) as error:
        if search.outcomes:
            error.exploration = search.exploration(complete=False)
        raise
    except KeyboardInterrupt as error:
        where = f": they are in {store}, from which it goes on" if saved is not None else ""
        raise InterruptedExplorationError(
            f"interrupted; {len(search.outcomes):,} finished results are kept{where}",
            exploration=search.exploration(complete=False),
        ) from error
    finally:
        if saved is not None:
            saved.close()
    return search.exploration(complete=True)


class _Search:
    """An exploration as far as it has come."""

    def __init__(
        self,
        space: Space,
        targets: tuple[Objective, ...],
        parts: Sequence[tuple[Span, ...]],
        exhaustive: bool,
        store: Store | None,
    ) -> None:
        self.space = space
        self.targets = targets
        self.parts = parts
        self.exhaustive = exhaustive
        self.store = store
        self.outcomes: dict[int, Outcome] = {}
        self.excluded = 0

    def finish(self, run: Run, bar: Any) -> None:
        """Evaluate all parts, the last of the space first: what most may overlap."""
        order = [len(self.parts) - 1, *range(len(self.parts) - 1)]
        known = {} if self.store is None else self.store.finished
        front: list[tuple[Vector, int]] = []
        at = 0
        while at < len(order):
            # Processes wait for each other at the end of a turn: so there are few of them, and
            # one only where nothing is excluded.
            size = len(order) if self.exhaustive else max(1, _GROWTH * at)
            here = order[at : at + size]
            found = [self._take(known[part], bar) for part in here if part in known]
            limit = None if self.exhaustive else Bar(self.targets, tuple(front))
            todo = [part for part in here if part not in known]
            calls = [(self.space, self.parts[part], limit) for part in todo]
            for number, batch in run(evaluate, calls) if calls else ():
                # In memory first: what cannot be written is still there.
                found.append(self._take(batch, bar))
                if self.store is not None:
                    self.store.save(todo[number], batch)
            for batch in found:
                front += members(self.space, self.targets, batch.outcomes)
            front = front_of(front)
            at += size

    def _take(self, batch: Batch, bar: Any) -> Batch:
        self.outcomes.update(batch.outcomes)
        self.excluded += batch.excluded
        if bar is not None:
            bar.update(len(batch.outcomes) + batch.excluded)
        return batch

    def exploration(self, *, complete: bool) -> Exploration:
        """What has been found."""
        remark = "" if self.store is None else self.store.remark
        return Exploration(
            tuple(target.name for target in self.targets),
            self.space.size,
            self.excluded,
            complete,
            (remark,) if remark else (),
            self.space,
            self.targets,
            dict(self.outcomes),
        )


def _memories(spec: Spec, leaves: Sequence[Any]) -> tuple[str, ...]:
    """The memories that hold something, in the order of the architecture."""
    held = {
        holder.component
        for leaf in leaves
        for holders in leaf.holders.values()
        for holder in holders
        if not holder.toll
    }
    return tuple(name for name in spec.arch.order if name in held)


def _parts(space: Space, tiles: int) -> list[tuple[Span, ...]]:
    """What is evaluated at a time: not so much that others wait, and together what shares most.

    Tile shapes and cells stay in one piece where they are no more than a part may hold.
    """
    shapes = space.cells // space.cells_per_shape
    fair = max(_FEW, (space.size + _SHAPE * shapes) // _PARTS)
    most = 4 if tiles > EXPLICIT else max(1, min(_MOST, _WORK // max(tiles, 1), fair))
    shape = min(_SHAPE, most // 2)
    parts: list[tuple[Span, ...]] = []
    spans: list[Span] = []
    room = most
    for cell in range(space.cells):
        opens = cell % space.cells_per_shape == 0
        need = space.inner
        if opens:
            need = shape + space.cells_per_shape * space.inner
        if spans and need > room:
            parts.append(tuple(spans))
            spans, room = [], most
        if opens:
            room = max(1, room - shape)
        first = 0
        while first < space.inner:
            end = min(space.inner, first + room)
            spans.append((cell, first, end))
            room -= end - first
            first = end
            if not room:
                parts.append(tuple(spans))
                spans, room = [], most
    if spans:
        parts.append(tuple(spans))
    return parts


@contextmanager
def _bar(total: int, wanted: bool | None) -> Iterator[Any]:
    """A progress bar; None where none is wanted, or tqdm is not installed and none asked for."""
    if wanted is False:
        yield None
        return
    try:
        from tqdm.auto import tqdm
    except ImportError as error:
        if wanted is None:
            yield None
            return
        raise MissingExtraError(
            "tqdm is not installed", mend="pip install 'polylat[explore]'"
        ) from error
    # None: only on a terminal.
    with tqdm(total=total, unit="variant", disable=None if wanted is None else False) as bar:
        yield bar
