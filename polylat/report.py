"""`analyze`: from a mapping to its `Report`, the results with their output methods."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polylat.analysis.occupancy import check_capacity
from polylat.analysis.results import Results
from polylat.analysis.roofline import roofline
from polylat.analysis.timeline_builder import TimelineBuilder
from polylat.engine.folded_network import schedule_latency
from polylat.engine.orders import sequential_makespan, transfer_options
from polylat.exploration.progress import progress_bar
from polylat.files import extension
from polylat.lowering.lowered import lower, lower_requested
from polylat.numbers import Number
from polylat.proof.certificate import Certificate
from polylat.proof.verify import verify_results
from polylat.schedule.timing import ORDERS
from polylat.spec import Spec
from polylat.spec.arguments import normalize_flag
from polylat.spec.names import KnownNames, known_names
from polylat.spec.option_values import ACCOUNTINGS
from polylat.spec.options import check_option_names, normalize_option
from polylat.spec.reading.live.convert import as_spec
from polylat.spec.slots import DEFAULT_SLOTS
from polylat.spec.staged import staged_holders
from polylat.views import frames
from polylat.views.as_json import report_to_dict
from polylat.views.explanation import Explanation
from polylat.views.mapping_tree import mapping_tree
from polylat.views.notebook import report_html
from polylat.views.page import report_page
from polylat.views.perfetto import write_perfetto
from polylat.views.text import report_text
from polylat.views.timeline import Timeline, timeline
from polylat.views.tree import Tree

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["DEFAULT_MAX_TILES", "Report", "analyze", "analyze_options", "normalize_input"]

DEFAULT_MAX_TILES = 1_000_000


@dataclass(frozen=True, eq=False)
class Report(Results):
    """The result of `analyze`: the latency of a mapping, its bounds, and what determines it.

    Parameters
    ----------
    latency, latency_by_order, order, keeps_barriers, granularity, tiles
        As in `polylat.analysis.results.Results`, and so are the other fields.
    """

    def to_dict(self, *, steps: int | None = 0) -> dict[str, Any]:
        """Return the report as plain data for JSON, as ``docs/json.md`` describes it.

        Parameters
        ----------
        steps
            Number of steps of the critical path to list, from time 0 on; None for all.

        Returns
        -------
        dict
            Numbers are integers, or texts such as ``"1/3"``.
        """
        return report_to_dict(self, steps=steps)

    def timeline(
        self,
        *,
        window: tuple[Number, Number] | None = None,
        fold: bool | None = None,
        limit: int = 400,
        title: str | None = None,
    ) -> Timeline:
        """Return the timeline: when every port serves which access, and the memories' occupancy.

        Parameters
        ----------
        window
            (from, to): only accesses served between these times; None for all.
        fold
            Whether repetitions are shown once, with their number. None: if there are more than
            `limit` bars.
        limit
            Largest number of bars that a segment shows one by one; above it, a segment shows only
            how busy the ports are. More than a million bars are an error.
        title
            The title; None: the order and the write-backs in the background.

        Returns
        -------
        Timeline
            A value that draws itself.

        Raises
        ------
        OptionError
            The window is empty, or not within the schedule.

        Examples
        --------
        >>> import polylat
        >>> files = ("examples/arch.yaml", "examples/workload.yaml", "examples/tap_resident.yaml")
        >>> report = polylat.analyze(polylat.load(*files), granularity="tile", background="o2")
        >>> line = report.timeline()
        >>> [lane.name for lane in line.lanes], len(line.bars), line.bars[0].parts[0].tensor
        (['DRAM', 'SRAM', 'mac'], 67, 'i1')
        >>> long = polylat.analyze(
        ...     polylat.load("examples/attention.yaml"), granularity="tile"
        ... ).timeline()
        >>> [(repeat.count, repeat.period) for repeat in long.repeats]
        [(27, 8192), (29, 262144), (28, 8192), (28, 8192), (28, 8192)]
        """
        return timeline(self._timelines, window=window, fold=fold, limit=limit, title=title)

    @cached_property
    def _timelines(self) -> TimelineBuilder:
        return TimelineBuilder(self)

    def to_perfetto(
        self,
        path: str | Path,
        *,
        window: tuple[Number, Number] | None = None,
        limit: int = 100_000,
    ) -> Path:
        """Write a trace that Perfetto and ``chrome://tracing`` load.

        It has a track per port, an arrow to each bar from the bar that it waited for, and a counter
        per memory. A unit of time is shown as a microsecond.

        Parameters
        ----------
        path
            File to write: a name that ends in ``.json``.
        window
            (from, to): only accesses served between these times.
        limit
            Largest number of bars; above it, repetitions are listed once. More than a million bars
            are an error.

        Returns
        -------
        Path
            The file.

        Raises
        ------
        OptionError
            The name has another extension, or the file cannot be written.
        """
        extension(path, (".json",), "traces")
        return write_perfetto(self.timeline(window=window, limit=limit), path)

    def mapping_tree(self) -> Tree:
        """Return the mapping as a tree to be drawn, with the critical path marked.

        Returns
        -------
        Tree
            A value that draws itself.
        """
        return mapping_tree(self.given.mapping, results=self)

    def to_html(self, **options: Any) -> str:
        """Return the report as one self-contained page, which works offline.

        Parameters
        ----------
        **options
            As for `polylat.views.page.report_page`.

        Returns
        -------
        str
            HTML.
        """
        return report_page(self, self._timelines, **options)

    def accesses_frame(self) -> pd.DataFrame:
        """Return a row per access: actions, and time on the critical path.

        Returns
        -------
        pandas.DataFrame
            See `polylat.views.frames.accesses_frame`.
        """
        return frames.accesses_frame(self)

    def ports_frame(self) -> pd.DataFrame:
        """Return a row per port and Einsum: its busy time.

        Returns
        -------
        pandas.DataFrame
            See `polylat.views.frames.ports_frame`.
        """
        return frames.ports_frame(self)

    def critical_frame(self, limit: int = 10_000) -> pd.DataFrame:
        """Return a row per step of the critical path.

        Parameters
        ----------
        limit
            Largest number of rows.

        Returns
        -------
        pandas.DataFrame
            See `polylat.views.frames.critical_frame`.
        """
        return frames.critical_frame(self, limit)

    def sensitivity_frame(self) -> pd.DataFrame:
        """Return a row per access: slack, and the latency without it.

        Returns
        -------
        pandas.DataFrame
            See `polylat.views.frames.sensitivity_frame`.
        """
        return frames.sensitivity_frame(self)

    def occupancy_frame(self, *, window: tuple[Number, Number] | None = None) -> pd.DataFrame:
        """Return a row per change of a memory's occupancy.

        Parameters
        ----------
        window
            (from, to): only changes between these times; None for all.

        Returns
        -------
        pandas.DataFrame
            See `polylat.views.frames.occupancy_frame`.
        """
        return frames.occupancy_frame(self, window)

    def explain(self) -> Explanation:
        """Explain the latency: what limits it, which changes would help, and what has slack.

        Returns
        -------
        Explanation
            A value that prints itself.

        Examples
        --------
        >>> import polylat
        >>> files = ("examples/arch.yaml", "examples/workload.yaml", "examples/tap_resident.yaml")
        >>> explanation = polylat.analyze(polylat.load(*files)).explain()
        >>> explanation.to_dict()["changes"][0]["what"]
        'all splits as Pipelines'
        """
        return Explanation(self)

    def verify(self, *, progress: bool | None = None) -> Certificate:
        """Prove that the schedule keeps every rule of the model and ends at the latency.

        Parameters
        ----------
        progress
            Whether to show, after two seconds, what is being checked. None: on a terminal, if tqdm
            is installed.

        Returns
        -------
        Certificate
            The proven rules, and the method.

        Raises
        ------
        CertificateError
            A rule is violated, or cannot be proven.
        OptionError
            `progress` is none of these values.
        MissingExtraError
            The progress is wanted, and tqdm is not installed.
        """
        if progress is not None:
            progress = normalize_flag("progress", progress)
        with progress_bar(1, progress, first="checking the schedule", delay=2) as bar:

            def show(what: str, done: int, total: int) -> None:
                bar.set_description(f"checking the {what}", refresh=False)
                bar.total = total
                bar.update(done - bar.n)

            return verify_results(self, None if bar is None else show)

    def __str__(self) -> str:
        return report_text(self)

    def _repr_html_(self) -> str:
        return report_html(self, self._timelines)


class _Unset:
    """An option that is not given: the file's ``schedule:`` key applies, or else the default."""

    def __init__(self, default: object) -> None:
        self.default = default

    def __repr__(self) -> str:
        return repr(self.default)


_DEFAULTS: dict[str, Any] = {
    "granularity": _Unset("auto"),
    "order": _Unset("best"),
    "pipelined": _Unset(()),
    "background": _Unset(()),
    "staged": _Unset(()),
    "slots": _Unset(DEFAULT_SLOTS),
    "max_tiles": _Unset(DEFAULT_MAX_TILES),
    "enforce_capacity": _Unset(False),
    "accounting": _Unset(ACCOUNTINGS[0]),
}


def analyze(
    spec: Spec | Any,
    *,
    granularity: str = _DEFAULTS["granularity"],
    order: str = _DEFAULTS["order"],
    pipelined: bool | str | Iterable[str] = _DEFAULTS["pipelined"],
    background: bool | str | Iterable[str | tuple[str, str]] = _DEFAULTS["background"],
    staged: bool | str | Iterable[str | tuple[str, str]] = _DEFAULTS["staged"],
    slots: int | Mapping[str, int | None] | None = _DEFAULTS["slots"],
    max_tiles: int = _DEFAULTS["max_tiles"],
    enforce_capacity: bool = _DEFAULTS["enforce_capacity"],
    accounting: str = _DEFAULTS["accounting"],
) -> Report:
    """Compute the latency of a mapping that respects its dependences.

    An option that is not given takes its value from the input's ``schedule:`` key, or else its
    default.

    Parameters
    ----------
    spec
        The input; or AccelForge's ``Spec`` with a mapping, or its ``Mappings`` of one mapping.
    granularity
        Which Temporal loops distinguish tile iterations: ``"tile"`` (those above the innermost
        Storage, Toll or split), ``"flow"`` (also those that index exchanged tensors), ``"full"``
        (all of them), or ``"auto"``: flow where that gives at most `max_tiles`, else tile.
    order
        In which order a port serves: ``"program"`` (depth first), ``"skew"`` (by skewed date),
        ``"oldest"`` (work-conserving), or ``"best"``: the one with the least latency.
    pipelined
        Splits that are treated as Pipelines, in addition to those that are: True for all, or names
        such as ``"e1|e2+e3"`` (the Einsums of the branches), which ``polylat tree`` shows.
    background
        Write-backs that no Sequential waits for: tensors, or (tensor, component written back from)
        pairs, also written ``"o2@SRAM"``; or True or ``"all"``, for all of them.
    staged
        Holders whose tiles are handed over as a whole, each by a transfer of its own: (tensor,
        component) pairs, also written ``"o1@SRAM"``; tensors (all of their holders); components
        (all tensors in them); or True or ``"all"``.
    slots
        Number of tiles that an exchange holder, or a holder with separate transfers, keeps (None:
        unlimited), for all tensors, by tensor, or by ``"tensor@component"``.
    max_tiles
        Largest number of tile iterations.
    enforce_capacity
        Whether it is an error if a memory holds more than its size.
    accounting
        The release of AccelForge whose figure `Report.roofline` is: ``"1.0"`` or ``"main"``.

    Returns
    -------
    Report
        Latency, bounds, and what they consist of.

    Raises
    ------
    MappingError
        The mapping is illegal.
    ScheduleError
        The order (or all of them) contradicts the dependences; the message names a cycle.
    OptionError
        An option cannot be used.
    CapacityError
        With `enforce_capacity`: a memory holds more than its size.
    TooLargeError
        There are more than `max_tiles` tile iterations.
    UnsupportedError
        The input is not modelled.

    Examples
    --------
    >>> import polylat
    >>> files = ("examples/arch.yaml", "examples/workload.yaml", "examples/tap_resident.yaml")
    >>> spec = polylat.load(*files)
    >>> report = polylat.analyze(spec, background="o2")
    >>> report.latency, report.sequential, report.staged
    (31752, 32256, 32256)
    >>> polylat.analyze(spec, pipelined=True).latency
    24576
    """
    given = {
        "granularity": granularity,
        "order": order,
        "pipelined": pipelined,
        "background": background,
        "staged": staged,
        "slots": slots,
        "max_tiles": max_tiles,
        "enforce_capacity": enforce_capacity,
        "accounting": accounting,
    }
    spec, options, known = _with_options(as_spec(spec), given)
    choice = schedule_latency(spec, options)
    solved, solution = choice.solved, choice.chosen
    solutions = solved.solutions
    accounted = roofline(choice.lowered.spec, accounting=options["accounting"])
    resource, dependence, barrier = choice.bounds
    report = Report(
        latency=solution.makespan,
        latency_by_order={
            order: solutions[order].makespan
            if order in solutions and solutions[order].legal
            else None
            for order in ORDERS
        },
        order=solution.order or "",
        keeps_barriers=not any(solution is one for one in solutions.values()),
        granularity=choice.lowered.granularity,
        tiles=choice.lowered.size,
        resource_bound=resource,
        dependence_bound=dependence,
        barrier_bound=barrier,
        roofline=accounted.latency,
        sequential=sequential_makespan(choice, options["max_tiles"]),
        staged_holders=staged_holders(options["staged"], known),
        slots=options["slots"],
        engine=solution.model.engine,
        exact=choice.exact,
        unsettled=tuple(order for order in ORDERS if order not in solutions),
        given=spec,
        # Schedules of visited tile iterations are large, and these are no longer needed.
        choice=replace(choice, in_turn=None),
        accounted=accounted,
        options=options,
    )
    if options["enforce_capacity"]:
        check_capacity(report.occupancy)
    return report


def normalize_input(spec: Spec, given: Mapping[str, Any]) -> tuple[Spec, dict[str, Any]]:
    """Return the input and the options with which `analyze` would work, before anything is lowered.

    Parameters
    ----------
    spec, given
        As for `analyze_options`.

    Returns
    -------
    (Spec, dict)
        The input with its splits as `pipelined` says, and with all options under ``schedule``; the
        options in their normal forms.

    Raises
    ------
    OptionError
        There is no such option, or its value cannot be used.
    """
    check_option_names(given)
    spec, options, _ = _with_options(spec, {**_DEFAULTS, **given})
    return replace(spec, schedule=dict(options)), options


def analyze_options(spec: Spec, given: Mapping[str, Any]) -> tuple[Spec, dict[str, Any]]:
    """Return the input and the options with which `analyze` would work.

    Parameters
    ----------
    spec
        The input.
    given
        Options of `analyze`; one that is missing has the value of the input's ``schedule:`` key, or
        else its default.

    Returns
    -------
    (Spec, dict)
        The input with its splits as `pipelined` says; all options in their normal forms, with a
        definite granularity.

    Raises
    ------
    OptionError
        There is no such option, or its value cannot be used.
    """
    check_option_names(given)
    spec, options, _ = _with_options(spec, {**_DEFAULTS, **given})
    transfers = transfer_options(spec, options)
    lowered = lower_requested(
        partial(lower, spec), options["granularity"], transfers, options["max_tiles"]
    )
    return spec, {**options, "granularity": lowered.granularity}


def _with_options(spec: Spec, given: Mapping[str, Any]) -> tuple[Spec, dict[str, Any], KnownNames]:
    """Return the input with its Pipelines, the options in their normal forms, and known names."""
    known = known_names(spec.workload, spec.arch.order, spec.mapping)
    options = {name: _option(spec, name, value, known) for name, value in given.items()}
    return spec.with_pipelines(options["pipelined"]), options, known


def _option(spec: Spec, name: str, value: Any, known: KnownNames) -> Any:
    if isinstance(value, _Unset):
        value = spec.schedule.get(name, value.default)
    return normalize_option(name, value, known)
