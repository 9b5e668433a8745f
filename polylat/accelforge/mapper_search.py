"""`search`: AccelForge's mapper by overlapped latency."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from fractions import Fraction
from math import inf, nan
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polylat.accelforge.busy_times import SEPARATOR, BusyTimes, busy_times
from polylat.accelforge.data_frames import import_pandas, plain_number
from polylat.accelforge.engine import check_engine, join, make_partial_mappings
from polylat.accelforge.fastest import Fastest
from polylat.accelforge.joined import (
    KeepBelow,
    TooManyMappingsError,
    bounds_of_rows,
    least_of_einsums,
    mark_rows,
)
from polylat.accelforge.timing_search import OBJECTIVES, Candidate, Goal, TimingSearch
from polylat.errors import (
    InterruptedExplorationError,
    OptionError,
    SpecError,
    TooLargeError,
    UnsupportedError,
)
from polylat.exploration.fingerprint import fingerprint
from polylat.exploration.parallel import Run, runner
from polylat.exploration.progress import progress_bar
from polylat.files import as_path
from polylat.numbers import Number, format_number, reduce_number
from polylat.report import analyze, normalize_input
from polylat.spec import Spec
from polylat.spec.arguments import normalize_flag
from polylat.spec.options import check_option_names
from polylat.spec.reading.live.convert import MappingsConverter, is_spec
from polylat.spec.reading.suggest import did_you_mean

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Search", "search"]

_MOST = 200_000
"""Most mappings that an exhaustive search joins."""


@dataclass(frozen=True, eq=False)
class Search:
    """The mappings that `search` found, and how good the best of them is.

    Parameters
    ----------
    objective
        What was minimized: ``"latency"``, ``"energy"`` or ``"edp"`` (their product).
    best
        The best mapping that fits its memories, as `polylat.accelforge.best` returns it.
    value
        Its objective.
    lower_bound
        No mapping that the partial mappings can form (`exhaustive`, or the objective latency), or
        that AccelForge joined (otherwise), has a smaller objective.
    mappings
        AccelForge's ``Mappings``: all that were joined.
    table
        One row per mapping, see `search`.
    partial_mappings
        Einsum → number of its partial mappings that AccelForge kept.
    exhaustive
        Whether all mappings that the partial mappings can form were considered.
    remarks
        What the user should know: about a damaged file of results, or bounds that do not hold.
    """

    objective: Goal
    best: Fastest
    value: Number
    lower_bound: Number
    mappings: Any = field(repr=False)
    table: pd.DataFrame = field(repr=False)
    partial_mappings: Mapping[str, int]
    exhaustive: bool
    remarks: tuple[str, ...] = ()

    @property
    def timed(self) -> int:
        """Number of mappings that were timed."""
        return int(self.table["timed"].sum())

    @property
    def skipped(self) -> int:
        """Number of mappings that were not timed, as their lower bounds exclude them."""
        return int((~self.table["timed"] & (self.table["error"] == "")).sum())

    @property
    def optimal(self) -> bool:
        """Whether the objective of the best mapping equals `lower_bound`."""
        return self.value == self.lower_bound

    @property
    def gap(self) -> float:
        """The objective of the best mapping divided by `lower_bound`, less one."""
        if not self.lower_bound:
            return inf if self.value else 0.0
        return float(Fraction(self.value) / Fraction(self.lower_bound)) - 1

    @property
    def guarantee(self) -> str:
        """What is known of the mappings that were not timed, in words."""
        name = {"latency": "latency", "energy": "energy", "edp": "product of energy and latency"}
        what = name[self.objective]
        everything = "that AccelForge's partial mappings can form"
        joined = f"of the {len(self.table):,} that AccelForge joined"
        wide = everything if self.exhaustive or self.objective == "latency" else joined
        if self.exhaustive and self.best.fits:
            wide += ", and that fits its memories,"
        if not self.lower_bound:
            first = f"It is the best {joined}; of others, nothing is known."
        elif self.optimal:
            first = f"No mapping {wide} has a smaller {what}."
        else:
            first = (
                f"No mapping {wide} has a {what} below {format_number(self.lower_bound)}: the best"
                f" is at most {100 * self.gap:.3g} % above the least possible."
            )
            if not self.exhaustive and wide != joined:
                first += f" It is the best {joined}."
        if self.best.fits is False:
            first += " None of those that were timed fits its memories."
        elif self.best.fits is None:
            first += " Whether it fits its memories is not known."
        failed = int((self.table["error"] != "").sum())
        if failed:
            first += f" {failed:,} could not be analyzed (column error): nothing is known of them."
        return (
            f"{first} AccelForge makes partial mappings of single Einsums, and keeps of those with"
            " the same loops shared with other Einsums the ones that no other one equals or beats"
            " in all of its objectives, busy times of all ports included: the rest was not joined."
        )

    def __str__(self) -> str:
        lines = [self.table.attrs["message"], self.guarantee, *self.remarks]
        return "\n\n".join(["\n".join(lines), str(self.best.report)])


def search(
    spec: Any,
    *,
    pipelined: bool | str | Iterable[str] = True,
    objective: str = "latency",
    exhaustive: bool = False,
    metrics: Any = None,
    most: int = _MOST,
    n_jobs: int | None = None,
    dask: Any = None,
    store: str | Path | None = None,
    cache: str | Path | None = None,
    progress: bool | None = None,
    **options: Any,
) -> Search:
    """Find the mapping with the least overlapped latency, with AccelForge's mapper.

    AccelForge makes partial mappings, one Einsum each, and joins them, with the busy time of every
    port among its objectives. The largest busy time of a port is a lower bound on the latency of a
    joined mapping. The mappings are timed in the order of their lower bounds (those of `analyze`
    included), until the bound of the next one is no less than the best latency.

    Parameters
    ----------
    spec
        AccelForge's ``Spec``; its mapping is not used, and its mapper's options hold.
    pipelined
        As for `polylat.analyze`, but True by default: AccelForge makes only Sequentials.
    objective
        What is minimized: ``"latency"``, ``"energy"`` (of `polylat.Report.energy`), or ``"edp"``,
        their product.
    exhaustive
        Whether to consider all mappings that the partial mappings can form, except those that
        their bounds exclude: the join then drops none for its busy times, energy and memory usage.
    metrics
        AccelForge's ``Metrics`` that the join keeps Pareto-optimal, besides busy times. None: those
        of ``spec.mapper.metrics``, latency, resource usage and, if it is an objective, energy.
        Fewer are faster, and leave fewer mappings.
    most
        Most mappings that an exhaustive search joins.
    n_jobs
        Number of processes, -1: one per core. None: as AccelForge is set for its mapper, and as
        ``joblib.parallel_config`` says for timing.
    dask
        Address of a Dask scheduler, or a ``distributed.Client``: time mappings on that cluster.
    store
        A file to which the timed mappings are written. An interrupted search of the same mappings
        continues from it.
    cache
        A folder in which AccelForge keeps its partial mappings, to be used again.
    progress
        Whether to show progress bars. None: on a terminal, if tqdm is installed.
    **options
        Other options of `polylat.analyze`, such as ``background="o2"``, ``staged="all"`` or
        ``slots=3``. There are no ``recurrences`` here: busy times would be no lower bounds.

    Returns
    -------
    Search
        The best mapping, a table of all, and what is known of those that were not timed. The
        table has one row per joined mapping (the index is its index in `Search.mappings`): those
        that fit their memories, by the objective, then others as in `rerank`. Its columns:
        ``objective``, ``latency``, ``energy``, ``accelforge`` (AccelForge's latency), ``busy``
        (the lower bound from AccelForge's sums), ``lower_bound`` (of the latency), ``timed``,
        ``order``, ``exact``, ``peak NAME``, ``fits``, ``error`` and ``spec``, as in `rerank`. What
        is not known is NaN; a mapping whose busy time excludes it has no ``spec``.

    Raises
    ------
    MissingExtraError
        A library is not installed.
    UnsupportedError
        The version of AccelForge is another one, polylat does not model the input, or
        `recurrences` are given.
    SpecError
        `spec` is no ``Spec``; AccelForge finds no mapping; none can be analyzed; or an energy is
        needed that the architecture does not give.
    OptionError
        An option has an invalid name or value.
    TooLargeError
        An exhaustive search has too many mappings.
    StoreError, WorkerError
        As for `polylat.explore`.
    InterruptedExplorationError
        Ctrl-C.
    """
    if options.pop("recurrences", None) is not None:
        raise UnsupportedError(
            "search has no recurrences: AccelForge's mapper takes an earlier state for an input"
            " and counts transfers of it that the recurrence does not have, so that its busy times"
            " are no lower bounds",
            fix="search without, and time what it joined with"
            " rerank(found.mappings, recurrences=...)",
        )
    check_option_names(options)
    if objective not in OBJECTIVES:
        raise OptionError(
            f"there is no objective {objective!r}",
            fix=did_you_mean(str(objective), OBJECTIVES) or f"use one of {', '.join(OBJECTIVES)}",
        )
    exhaustive = normalize_flag("exhaustive", exhaustive)
    if progress is not None:
        progress = normalize_flag("progress", progress)
    if type(most) is not int or most < 1:
        raise OptionError(f"most must be a positive whole number, not {most!r}")
    check_engine()
    import_pandas()
    if not is_spec(spec):
        raise SpecError(
            f"cannot search mappings of a {type(spec).__name__}",
            fix="give AccelForge's Spec, as af.Spec.from_yaml(...) makes it",
        )
    options = {"pipelined": pipelined, **options}
    goal = objective
    mapper = _Mapper(spec, goal, bool(pipelined), metrics, n_jobs, cache, progress)
    first = mapper.join()
    with runner(n_jobs, dask) as run:
        # The file of results is that of the mappings that are joined last.
        found = _timed(mapper, first, goal, options, run, None if exhaustive else store, progress)
        best = found.search.best
        value = None if best is None else best.value(goal)
        if exhaustive:
            limit = value if goal == "latency" and best is not None and best.fits else None
            everything = mapper.join_all(first, limit if found.search.trusted else None, most)
            found = _timed(mapper, everything, goal, options, run, store, progress)
    return found.result(mapper, goal, exhaustive=exhaustive)


class _Mapper:
    """AccelForge's mapper for one input."""

    def __init__(
        self,
        spec: Any,
        goal: Goal,
        pipelined: bool,
        metrics: Any,
        n_jobs: int | None,
        cache: str | Path | None,
        progress: bool | None,
    ) -> None:
        self.busy: BusyTimes = busy_times(spec, pipelined=pipelined)
        self.n_jobs = n_jobs
        spec = deepcopy(spec)
        kinds = type(spec.mapper.metrics)
        if metrics is None:
            metrics = spec.mapper.metrics | kinds.LATENCY | kinds.RESOURCE_USAGE
            if goal != "latency":
                metrics |= kinds.ENERGY
        elif not isinstance(metrics, kinds):
            raise OptionError(
                f"metrics must be AccelForge's Metrics, not {metrics!r}",
                fix="give for example af.Metrics.LATENCY | af.Metrics.ENERGY",
            )
        if metrics & kinds.ENERGY_DELAY_PRODUCT:  # AccelForge would drop its factors
            metrics = (metrics | kinds.LATENCY | kinds.ENERGY) & ~kinds.ENERGY_DELAY_PRODUCT
        spec.mapper.metrics = metrics | kinds.LATENCY
        self.spec = spec
        self.metrics = spec.mapper.metrics
        options = spec.mapper
        self.bounds_hold = not (
            options.explore_imperfect_temporal_loops or options.explore_imperfect_spatial_loops
        )
        """AccelForge's counts of imperfect tiles are averages, which may exceed polylat's."""
        folder = None
        if cache is not None:
            # AccelForge tells inputs apart, but not the busy times among its objectives.
            folder = str(as_path(cache).resolve() / fingerprint(self.busy)[:16])
        shown = bool(progress) or (progress is None and sys.stderr.isatty())
        self.pmappings = make_partial_mappings(
            spec, self.busy, n_jobs=n_jobs, cache=folder, bar=shown
        )
        self.counts = {
            einsum: sum(len(group.mappings.data) for group in groups)
            for einsum, groups in self.pmappings.einsum2pmappings.items()
        }

    def join(self) -> Any:
        """Return the mappings that AccelForge keeps."""
        return join(self.pmappings, self.metrics, n_jobs=self.n_jobs)

    def join_all(self, first: Any, latency: Number | None, most: int) -> Any:
        """Return all mappings whose busy times are below a latency, and those of the first join."""
        import pandas as pd

        keep = KeepBelow(
            None if latency is None or not self.bounds_hold else float(latency),
            self.busy.columns,
            least_of_einsums(self.pmappings, self.busy),
            most,
        )
        marked = deepcopy(self.pmappings)
        try:
            mark_rows(marked)
        except TooManyMappingsError as error:
            raise TooLargeError(
                f"the exhaustive search has too many mappings: {error}",
                fix="search without exhaustive, or constrain the mapper",
            ) from error
        found = join(marked, self.metrics, n_jobs=self.n_jobs, keep=keep)
        table = pd.concat([first.data, found.data]).reset_index(drop=True)
        table = table[~pd.Series(_row_texts(table)).duplicated()].reset_index(drop=True)
        return first._update(data=table)

    def bounds(self, mappings: Any) -> list[Fraction]:
        """Return a lower bound on the latency of every joined mapping."""
        if not self.bounds_hold:
            return [Fraction(0)] * len(mappings)
        tolerance = float(self.spec.mapper.objective_tolerance)
        return bounds_of_rows(mappings.data, self.busy, tolerance)


@dataclass(frozen=True)
class _Found:
    """The result of timing the joined mappings."""

    search: TimingSearch
    mappings: Any
    floor: Fraction
    """No mapping that the partial mappings can form is faster; 0 where that is not known."""
    remarks: tuple[str, ...]

    def result(self, mapper: _Mapper, goal: Goal, *, exhaustive: bool) -> Search:
        """Return what the user sees."""
        best = self.search.best
        if best is None:
            errors = [c.error for c in self.search.found.values() if c.error]
            raise SpecError(f"no mapping could be analyzed; the first one: {errors[0]}")
        value = best.value(goal)
        assert value is not None and best.spec is not None
        table = _table(self, goal)
        table.attrs["winner"] = best.number
        table.attrs["message"] = (
            f"The best of {len(table):,} mappings is {best.number}: {goal}"
            f" {format_number(value)}. {int(table['timed'].sum()):,} were timed."
        )
        report = analyze(best.spec)
        fastest = Fastest(best.number, best.spec, report, table, best.fits)
        return Search(
            goal,
            fastest,
            value,
            self._lower_bound(value, goal, exhaustive=exhaustive),
            self.mappings,
            table,
            mapper.counts,
            exhaustive,
            self.remarks,
        )

    def _lower_bound(self, value: Number, goal: Goal, *, exhaustive: bool) -> Number:
        """Return a lower bound on the objective of all mappings that the result speaks of."""
        if goal == "latency" and not exhaustive:
            return reduce_number(min(Fraction(value), self.floor))
        least: Number = value
        for candidate in self.search.found.values():
            outcome = candidate.outcome
            if candidate.error or (outcome is not None and outcome.exact):
                continue  # its value is not below that of the best, or it does not fit
            least = min(least, candidate.least(goal))
        return reduce_number(Fraction(least))


def _timed(
    mapper: _Mapper,
    mappings: Any,
    goal: Goal,
    options: Mapping[str, Any],
    run: Run,
    store: str | Path | None,
    progress: bool | None,
) -> _Found:
    """Time the joined mappings."""
    converter = MappingsConverter(mappings)
    bounds = mapper.bounds(mappings)
    candidates = [Candidate(number, bound) for number, bound in enumerate(bounds)]

    def convert(number: int) -> tuple[Spec, Mapping[str, Any]]:
        return normalize_input(converter.spec(number), options)

    normal = convert(0)[1]  # a wrong option is an error of the search, not of every mapping
    first = _first_choice(mappings)
    with progress_bar(len(candidates), progress, "mapping") as bar:

        def done(count: int) -> None:
            if bar is not None:
                bar.set_description("timing", refresh=False)
                bar.update(count)

        found = TimingSearch(goal, convert, done)
        remarks = []
        try:
            if store is not None:
                spec = converter.spec(0)
                texts = _row_texts(mappings.data)
                key = fingerprint([texts, spec.arch, spec.workload, normal, goal])
                remark = found.open_store(as_path(store), key, len(candidates))
                remarks += [remark] if remark else []
            found.run(candidates, run, first)
        except KeyboardInterrupt as error:
            kept = f" in {store}, from which the search continues" if store is not None else ""
            raise InterruptedExplorationError(
                f"interrupted; {found.kept:,} timed mappings are kept{kept}"
                if kept
                else "interrupted; give a store to continue from"
            ) from error
    floor = min(bounds) if found.trusted else Fraction(0)
    if not found.trusted:
        remarks.append(
            "AccelForge counts more accesses than polylat does: its busy times are not used as"
            " bounds."
        )
    elif not mapper.bounds_hold:
        remarks.append(
            "The mapper explores imperfect tiles, of which AccelForge counts averages: its busy"
            " times are not used as bounds."
        )
    return _Found(found, mappings, floor, tuple(remarks))


def _table(found: _Found, goal: Goal) -> pd.DataFrame:
    """Return the table of all mappings."""
    import pandas as pd

    data = found.mappings.data
    rows = []
    for number, candidate in found.search.found.items():
        outcome, value = candidate.outcome, candidate.value(goal)
        row: dict[str, Any] = {
            "mapping": number,
            "objective": nan if value is None else plain_number(value),
            "latency": nan,
            "energy": nan,
            "accelforge": plain_number(
                Fraction(float(data[f"Total{SEPARATOR}latency"].iloc[number]))
            ),
            "busy": plain_number(candidate.busy),
            "lower_bound": plain_number(candidate.least_latency),
            "timed": outcome is not None,
            "order": "",
            "exact": nan,
        }
        if outcome is not None and outcome.latency is not None:
            row |= {
                "latency": plain_number(outcome.latency),
                "energy": nan if outcome.energy is None else plain_number(outcome.energy),
                "order": outcome.order,
                "exact": outcome.exact,
                **{
                    f"peak {name}": nan if p is None else plain_number(p)
                    for name, p in outcome.peaks
                },
            }
        row["fits"] = nan if candidate.fits is None else candidate.fits
        row |= {"error": candidate.error, "spec": candidate.spec}
        group = 4 if candidate.error else 2
        if value is not None:
            group = {True: 0, None: 1, False: 3}[candidate.fits]
        place = group, value if value is not None else candidate.least(goal), number
        rows.append((place, row))
    rows.sort(key=lambda entry: entry[0])
    return pd.DataFrame([row for _, row in rows]).set_index("mapping")


def _first_choice(mappings: Any) -> int:
    """Return AccelForge's first choice."""
    latencies = [float(value) for value in mappings.data[f"Total{SEPARATOR}latency"]]
    return min(range(len(latencies)), key=latencies.__getitem__)


def _row_texts(table: Any) -> list[str]:
    """Return a text per mapping that tells it from others: its nodes and tile shapes."""
    names = sorted(n for n in table.columns if not n.startswith(("Total", "reservation")))
    columns = [
        [v.compact_str() if hasattr(v, "compact_str") else str(v) for v in table[name]]
        for name in names
    ]
    return [";".join(parts) for parts in zip(*columns, strict=True)]
