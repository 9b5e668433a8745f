"""AccelForge's mapper, with busy times among its objectives.

Everything that polylat uses of AccelForge's internals is here. The mapper's public functions make
partial mappings (``make_pmappings``) and join them (``join_pmappings``); neither takes further
objectives. So three names are replaced while partial mappings are made, in this process and in
AccelForge's worker processes:

- ``component_latency``, to read the analysis of a partial mapping, from which busy times follow;
- ``run_model``, to add them to the objectives;
- ``make_pmappings_from_templates`` and ``parallel``, so that workers do the same, and return
  their results in a fixed order.

They are put back when the partial mappings are made.
"""

from __future__ import annotations

import inspect
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, redirect_stdout, suppress
from functools import partial
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from io import StringIO
from typing import Any

from polylat.accelforge.busy_times import SEPARATOR, BusyTimes
from polylat.accelforge.joined import TooManyMappingsError
from polylat.errors import MissingExtraError, SpecError, TooLargeError, UnsupportedError

__all__ = ["check_engine", "join", "make_partial_mappings"]

_TEMPLATES = "accelforge.mapper.FFM._make_pmappings.make_pmappings_from_templates"
_MAKE = "accelforge.mapper.FFM._make_pmappings.make_pmappings"
_TILES = f"{_TEMPLATES}.make_tile_shapes"
_MODEL = "accelforge.model.run_model"
_SHAPES: dict[tuple[str, str], tuple[str, ...]] = {
    (_MODEL, "component_latency"): ("looptree_results", "flattened_arch", "mapping", "spec"),
    (_TILES, "run_model"): ("job", "add_reservations"),
    (_MAKE, "make_pmappings_from_templates"): ("jobs_with_similar_compatibilities",),
    (_MAKE, "parallel"): ("jobs", "n_jobs", "pbar", "pbar_position", "return_as"),
    ("accelforge.mapper.FFM", "make_pmappings"): (
        "spec",
        "einsum_names",
        "can_combine_multiple_runs",
        "cache_dir",
        "print_progress",
        "print_number_of_pmappings",
        "one_pbar_only",
    ),
    ("accelforge.mapper.FFM", "join_pmappings"): (
        "pmappings",
        "metrics",
        "require_all_einsums",
        "_pmapping_row_filter_function",
        "print_progress",
        "_skip_invalid",
        "_combine_reservations",
        "_runtime_log_file",
    ),
}
"""(module, name) → the parameters of each function that is called or replaced."""

_TESTED = "1.0.467"

_MOST_LOOPS = 24
"""Most loops of a partial mapping where all partial mappings are kept."""


def check_engine() -> None:
    """Check that AccelForge is there, and that its mapper is one that can be extended.

    Raises
    ------
    MissingExtraError
        AccelForge is not installed.
    UnsupportedError
        A function of its mapper has other parameters than in the version that is known.
    """
    try:
        import_module("accelforge")
    except ImportError as error:
        raise MissingExtraError(
            "AccelForge is not installed",
            fix="pip install 'polylat[accelforge]' (it needs Python 3.12 or newer)",
        ) from error
    for (module, name), parameters in _SHAPES.items():
        found: tuple[str, ...] | None = None
        with suppress(ImportError, AttributeError):
            found = tuple(inspect.signature(_attribute(module, name)).parameters)
        if found != parameters:
            raise UnsupportedError(
                f"the mapper of AccelForge {_version()} differs from that of {_TESTED}: it has no"
                f" {module}.{name}({', '.join(parameters)})",
                fix=f"install AccelForge {_TESTED}, or rank the mapper's own results with"
                " polylat.accelforge.rerank",
            )


def make_partial_mappings(
    spec: Any,
    busy: BusyTimes,
    *,
    n_jobs: int | None,
    cache: str | None,
    bar: bool = False,
    keep_all: bool = False,
) -> Any:
    """Let AccelForge make its partial mappings, with busy times among the objectives.

    Parameters
    ----------
    spec
        AccelForge's ``Spec``.
    busy
        The busy times.
    n_jobs
        Number of processes, -1: one per core; None: as AccelForge is set.
    cache
        Folder in which AccelForge keeps partial mappings; None: nowhere.
    bar
        Whether AccelForge shows a progress bar.
    keep_all
        Whether all partial mappings are kept, also those that others beat in all objectives:
        a large number, except for the smallest problems.

    Returns
    -------
    accelforge.mapper.FFM.MultiEinsumPmappings
        The partial mappings.

    Raises
    ------
    SpecError
        AccelForge finds none, or refuses the input.
    """
    make = _attribute("accelforge.mapper.FFM", "make_pmappings")
    templates = partial(_make_templates, busy, keep_all)
    with ExitStack() as stack:
        stack.enter_context(_quiet())
        stack.enter_context(_jobs(n_jobs))
        stack.enter_context(_replaced(_MAKE, "make_pmappings_from_templates", templates))
        stack.enter_context(_replaced(_MAKE, "parallel", _in_order))
        return _explained(make, spec, cache_dir=cache, print_progress=False, one_pbar_only=bar)


def join(
    pmappings: Any,
    metrics: Any,
    *,
    n_jobs: int | None,
    keep: Callable[[Any], Any] | None = None,
) -> Any:
    """Let AccelForge join partial mappings.

    Parameters
    ----------
    pmappings
        As from `make_partial_mappings`.
    metrics
        AccelForge's ``Metrics``.
    n_jobs
        As for `make_partial_mappings`.
    keep
        Which rows of a table of (partly joined) mappings are kept, as a mask; it is sent to other
        processes. None: all.

    Returns
    -------
    accelforge.mapper.FFM.Mappings
        The joined mappings.

    Raises
    ------
    SpecError
        AccelForge cannot join them.
    TooLargeError
        `keep` refuses that number of rows.
    """
    function = _attribute("accelforge.mapper.FFM", "join_pmappings")
    with _quiet(), _jobs(n_jobs):
        return _explained(
            function,
            pmappings,
            metrics=metrics,
            _pmapping_row_filter_function=keep,
            print_progress=False,
        )


def _make_templates(busy: BusyTimes, keep_all: bool, jobs_with_similar_compatibilities: Any) -> Any:
    """``make_pmappings_from_templates`` with busy times; in any process."""
    make = _attribute(_TEMPLATES, "make_pmappings_from_templates")
    latency, run = _attribute(_MODEL, "component_latency"), _attribute(_TILES, "run_model")
    analyses: list[Any] = []

    def component_latency(
        looptree_results: Any, flattened_arch: Any, mapping: Any, spec: Any
    ) -> Any:
        analyses.append(looptree_results)
        return latency(looptree_results, flattened_arch, mapping, spec)

    def run_model(job: Any, add_reservations: bool = True) -> Any:
        analyses.clear()
        symbols, objectives, *rest = run(job, add_reservations)
        zero = import_module("symengine").Integer(0)
        found = busy.of(job.einsum_name, analyses[-1], job.mapping.nodes, zero)
        objectives |= found
        if keep_all:
            # Two partial mappings differ in a tile shape. So none beats the other one in all
            # objectives, if each tile shape is one, and so is its negation.
            marks = {
                f"Total{SEPARATOR}tile{SEPARATOR}{place}{SEPARATOR}{sign}": factor * shape
                for place, shape in enumerate([*symbols, *[zero] * (_MOST_LOOPS - len(symbols))])
                for sign, factor in (("least", 1), ("most", -1))
            }
            objectives |= marks
            rest[-1] |= marks  # the numbers of actions, by which AccelForge compares them, too
        return symbols, objectives, *rest

    with (
        _replaced(_MODEL, "component_latency", component_latency),
        _replaced(_TILES, "run_model", run_model),
    ):
        return make(jobs_with_similar_compatibilities)


def _in_order(jobs: Any, *args: Any, return_as: str | None = None, **options: Any) -> Any:
    """``parallel`` with the results in the order of the jobs: without it, ties would be random."""
    del return_as
    run = _attribute("accelforge.util.parallel", "parallel")
    return run(jobs, *args, **options)


@contextmanager
def _replaced(module: str, name: str, value: Any) -> Iterator[None]:
    place = import_module(module)
    before = getattr(place, name)
    setattr(place, name, value)
    try:
        yield
    finally:
        setattr(place, name, before)


@contextmanager
def _quiet() -> Iterator[None]:
    """Suppress what AccelForge prints, and the warnings that pandas gives about AccelForge."""
    with redirect_stdout(StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextmanager
def _jobs(n_jobs: int | None) -> Iterator[None]:
    """Let AccelForge use this number of processes."""
    if n_jobs is None:
        yield
        return
    settings = import_module("accelforge.util.parallel")
    change = _attribute("accelforge", "set_n_parallel_jobs")
    before = settings.get_n_parallel_jobs()
    change(n_jobs if n_jobs > 0 else max(1, (os.cpu_count() or 1) + 1 + n_jobs))
    try:
        yield
    finally:
        change(before)


def _explained(function: Callable[..., Any], *args: Any, **options: Any) -> Any:
    """Call AccelForge, and turn what it raises into one error."""
    try:
        return function(*args, **options)
    except TooManyMappingsError as error:
        raise TooLargeError(
            f"the exhaustive search has too many mappings: {error}",
            fix="search without exhaustive, raise `most`, or constrain the mapper",
        ) from error
    except Exception as error:
        kinds = (ValueError, RuntimeError, KeyError, TypeError, AssertionError)
        if not (isinstance(error, kinds) or type(error).__module__.startswith("accelforge")):
            raise
        text = str(error).strip() or type(error).__name__
        raise SpecError(
            f"AccelForge's mapper cannot map the workload: {text.splitlines()[0]}",
            fix="see what spec.map_workload_to_arch() reports, and loosen its constraints",
        ) from error


def _attribute(module: str, name: str) -> Any:
    return getattr(import_module(module), name)


def _version() -> str:
    try:
        return version("accelforge")
    except PackageNotFoundError:
        return "(unknown version)"
