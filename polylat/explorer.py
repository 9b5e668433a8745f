"""`explore`: evaluate the variants of a mapping, and return those on the Pareto front."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polylat.errors import InterruptedExplorationError, PolylatError, StoreError, WorkerError
from polylat.exploration.build_space import build_space
from polylat.exploration.pareto import objective_names
from polylat.exploration.results import ExplorationData, ResultData
from polylat.exploration.search import FrontSearch
from polylat.files import as_path
from polylat.numbers import Number
from polylat.report import DEFAULT_MAX_TILES, Report, analyze
from polylat.spec.arguments import normalize_flag
from polylat.spec.option_values import normalize_enforce_capacity, normalize_max_tiles
from polylat.spec.reading.live.convert import as_spec
from polylat.views import exploration as views
from polylat.views.as_json import optional_number

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Exploration", "Result", "explore"]


@dataclass(frozen=True)
class Result(ResultData):
    """One evaluated variant.

    Parameters
    ----------
    number, choice, latency, order, keeps_barriers, exact, peaks, error, energy
        As in `polylat.exploration.results.ResultData`.
    """

    @cached_property
    def report(self) -> Report:
        """The report of the variant, computed on first use.

        Raises
        ------
        PolylatError
            The variant is illegal.
        """
        return analyze(self.spec)

    def to_dict(self) -> dict[str, Any]:
        """Return the result as plain data for JSON.

        Returns
        -------
        dict
            As ``docs/json.md`` describes it.
        """
        return {
            "number": self.number,
            "choice": self.choice.to_dict(),
            "latency": optional_number(self.latency),
            "order": self.order,
            "keeps_barriers": self.keeps_barriers,
            "exact": self.exact,
            "energy": optional_number(self.energy),
            "peaks": {memory: optional_number(peak) for memory, peak in self.peaks.items()},
            "error": self.error or None,
        }


@dataclass(frozen=True)
class Exploration(ExplorationData):
    """The evaluated variants of a mapping, and their Pareto front.

    Parameters
    ----------
    objectives, variants, excluded, complete, remarks
        As in `polylat.exploration.results.ExplorationData`.
    """

    @cached_property
    def results(self) -> tuple[Result, ...]:
        """The evaluated variants, in the order of their numbers."""
        return tuple(map(_result, super().results))

    @cached_property
    def front(self) -> tuple[Result, ...]:
        """The Pareto front; see `polylat.exploration.results.ExplorationData.front`."""
        return tuple(map(_result, super().front))

    @property
    def best(self) -> Result | None:
        """The first result of the front; None if no evaluated variant is legal."""
        return self.front[0] if self.front else None

    @cached_property
    def given_latency(self) -> Number | None:
        """Latency of the mapping as it was given; None if it is illegal."""
        try:
            return analyze(self._space.spec).latency
        except PolylatError:
            return None

    def to_pandas(self) -> pd.DataFrame:
        """Return all results as a table, with a column that marks the front.

        Returns
        -------
        pandas.DataFrame
            One row per evaluated variant.

        Raises
        ------
        MissingExtraError
            pandas is not installed.
        """
        return views.data_frame(self)

    def save(self, path: str | Path) -> None:
        """Write all results to a file.

        Parameters
        ----------
        path
            A file whose name ends in ``.parquet`` or ``.csv``.

        Raises
        ------
        MissingExtraError
            pyarrow is not installed (Parquet only).
        StoreError
            The file cannot be written.
        """
        views.save(self, as_path(path))

    def to_dict(self) -> dict[str, Any]:
        """Return the front as plain data for JSON.

        Returns
        -------
        dict
            As ``docs/json.md`` describes it.
        """
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
        return views.exploration_text(self, self.given_latency)

    def _repr_html_(self) -> str:
        return views.exploration_html(self)


def _result(data: ResultData) -> Result:
    return Result(**{f.name: getattr(data, f.name) for f in fields(data)})


def explore(
    spec: Any,
    *,
    splits: bool = True,
    background: bool | Iterable[str | tuple[str, str]] = True,
    staged: bool | str | Iterable[str] = False,
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
    """Find the best schedules of a mapping over the choices that it leaves open.

    Evaluate every variant of the mapping that its lower bounds do not exclude from the Pareto
    front of the objectives: the front is exact. Each evaluated variant has the latency and the
    peaks that `analyze` computes for it.

    Parameters
    ----------
    spec
        The input, or AccelForge's ``Spec`` or ``Mappings`` of one mapping. Choices that are not
        explored are as the input says.
    splits
        Whether to explore each split as Sequential and as Pipeline.
    background
        Write-backs to explore in the foreground and in the background: True: all that the mapping
        has; False: none; or one or several of ``"o2"``, ``"o2@SRAM"``, ``("o2", "SRAM")``.
    staged
        Memories to explore streaming and staged: True: all that hold something other than backing
        storages; False: none; or one or several of their names. A memory is staged with all tensors
        in it.
    slots
        Slot counts to explore, such as ``range(1, 4)``, for each tensor for which they may make a
        difference; or by tensor or holder, ``{"o1": [1, 2, None], "o2@SRAM": [2, 3]}`` (None:
        unlimited). None: as in the input.
    granularity, order
        One or several values to explore; see `analyze`. None: as in the input.
    tiles
        Loop → tile shapes to explore. A loop is named by its rank variable: the loop over it that
        is above all others over it; or ``"m#2"``, the second loop over m in tree order.
    objectives
        Quantities to minimize: ``"latency"``; ``"energy"``, that of `polylat.Report.energy`;
        ``"peak@SRAM"``, the most bits that a memory holds at a time; ``"peak"``, the peaks of all
        memories; ``"slots"``, the sum of the explored slot counts.
    exhaustive
        Whether to evaluate the variants that the bounds exclude, too.
    enforce_capacity, max_tiles
        As for `analyze`: variants that do not fit their memories are illegal.
    n_jobs
        Number of processes, -1: one per core. None: as ``joblib.parallel_config`` says, or else
        one.
    dask
        Address of a Dask scheduler, or a ``distributed.Client``: evaluate on that cluster.
    store
        A file to which finished results are written. An interrupted exploration with the same
        options continues from it.
    progress
        Whether to show a progress bar. None: on a terminal, if tqdm is installed.

    Returns
    -------
    Exploration
        The results and the front.

    Raises
    ------
    SpecError
        The input is none of these; or energy is an objective, and the architecture lacks one.
    OptionError
        An option does not exist, or cannot be used.
    TooLargeError
        There are too many variants.
    MissingExtraError
        A library of an extra is not installed.
    StoreError
        The file of results cannot be used.
    WorkerError
        Too many workers have died, or the scheduler does not answer.
    InterruptedExplorationError
        Ctrl-C. The attribute ``exploration`` of this error and of the two above has the finished
        results, if there are any.

    Notes
    -----
    Branch and bound: lower bounds on latency (busy time of the busiest port, longest path of
    dependences without ports) and on peaks are compared with the front so far, see
    `polylat.exploration.pareto.Incumbents`.

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
    names = objective_names(objectives)
    space = build_space(
        spec,
        splits=splits,
        background=background,
        staged=staged,
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
        with_energy="energy" in names,
    )
    file = None if store is None else as_path(store)
    search = FrontSearch(space, names, exhaustive=exhaustive, store=file)
    try:
        search.run(n_jobs, dask, progress)
    except (StoreError, WorkerError) as error:
        search.add_stored()
        if search.outcomes:
            error.exploration = _exploration(search, complete=False)
        raise
    except KeyboardInterrupt as error:
        is_read = search.add_stored()
        kept = f"{len(search.outcomes):,} finished results are kept"
        if not is_read:
            kept = f"all results in {store} are kept, of which {len(search.outcomes):,} were read"
        elif store is not None:
            kept += f" in {store}, from which the exploration continues"
        raise InterruptedExplorationError(
            f"interrupted; {kept}", exploration=_exploration(search, complete=False)
        ) from error
    return _exploration(search, complete=True)


def _exploration(search: FrontSearch, *, complete: bool) -> Exploration:
    return Exploration(
        tuple(objective.name for objective in search.objectives),
        search.space.size,
        search.excluded,
        complete,
        search.remarks,
        search.space,
        tuple(number for _, number in search.front),
        dict(search.outcomes),
    )
