"""Rank the mapper's Pareto set by overlapped latency."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import inf, isfinite, isnan, nan
from typing import TYPE_CHECKING, Any

from polylat.errors import (
    MissingExtraError,
    OptionError,
    PolylatError,
    SpecError,
    UnsupportedError,
)
from polylat.numbers import Number
from polylat.report import Report, analyze
from polylat.spec.arguments import normalize_flag
from polylat.spec.options import check_option_names
from polylat.spec.reading.live.convert import convert_spec, is_mappings

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["rerank"]

_NOT_REQUESTED = "not requested"
_PROVEN = "proven"


def rerank(
    mappings: Any,
    *,
    verify: bool = False,
    quiet: bool = False,
    **options: Any,
) -> pd.DataFrame:
    """Rank AccelForge's mappings by polylat's latency, the fastest first.

    Parameters
    ----------
    mappings
        AccelForge's ``Mappings``, as returned by its mapper: a Pareto set with respect to the
        metrics that were requested from the mapper.
    verify
        Whether to prove each schedule with ISL (`Report.verify`), which takes longer.
    quiet
        Whether to omit the message that says whether another mapping is the fastest.
    **options
        Options of `polylat.analyze`, such as ``pipelined=True`` (the mapper makes only Sequential
        splits), ``background="o2"``, ``staged="all"`` or ``slots=3``. They hold for all mappings.

    Returns
    -------
    pandas.DataFrame
        One row per mapping, sorted by latency and then energy. Numbers that are not integral are
        floats; `polylat.analyze` has the exact ones.

        ===================== ====================================================================
        ``mapping``           (the index) index of the mapping in `mappings`
        ``latency``           polylat's latency
        ``accelforge``        AccelForge's latency
        ``energy``            polylat's energy, in which leakage takes `latency`; NaN where the
                              architecture does not give energies
        ``accelforge_energy`` AccelForge's energy
        ``speedup``           AccelForge's latency divided by polylat's
        ``rank``              rank by polylat's latency, from 1; equal latencies share a rank
        ``accelforge_rank``   rank by AccelForge's latency
        ``pareto``            whether no other mapping is at least as good in both latency and
                              energy, and better in one of them
        ``lower_bound``       lower bound on the latency of any schedule of the requested mapping
        ``resource_bound``    the largest total busy time of a port
        ``dependence_bound``  the makespan if no block ever waits for a port
        ``barrier_bound``     what the branches of Sequentials take one after another
        ``optimal``           whether `latency` equals the largest bound
        ``exact``             whether `latency` is exact (else that of a feasible schedule)
        ``order``             the order of service
        ``peak NAME``         per memory NAME, the largest number of bits in it at any time
        ``fits``              whether no memory exceeds its size
        ``certificate``       ``"proven"``, ``"not requested"``, or why it could not be proven
        ``error``             why the mapping could not be analyzed; else empty
        ``spec``              the mapping as a `polylat.Spec` with the options under ``schedule``:
                              `polylat.analyze` of it gives `latency`
        ===================== ====================================================================

        Its ``attrs`` have ``winner`` and ``accelforge_winner`` (indices of the fastest mappings),
        ``winner_changes``, and ``message``, the text that is printed.

    Raises
    ------
    MissingExtraError
        pandas is not installed.
    SpecError
        `mappings` is not AccelForge's ``Mappings``, or is empty.
    OptionError
        An option has an invalid name or value.
    """
    check_option_names(options)
    try:
        import pandas as pd
    except ImportError as error:
        raise MissingExtraError(
            "pandas is not installed", fix="pip install 'polylat[accelforge]'"
        ) from error
    for name, value in (("verify", verify), ("quiet", quiet)):
        normalize_flag(name, value)
    if not is_mappings(mappings):
        raise SpecError(
            f"cannot rank a {type(mappings).__name__}",
            fix="give AccelForge's Mappings, as returned by spec.map_workload_to_arch()",
        )
    if len(mappings) == 0:
        raise SpecError(
            "there are no mappings", fix="pass Mappings that contain at least entry mapping"
        )
    times, energies = _totals(mappings, "latency"), _totals(mappings, "energy")
    found = []
    for number, (time, energy) in enumerate(zip(times, energies, strict=True)):
        try:
            report = analyze(convert_spec(mappings, number), **options)
        except OptionError:
            raise
        except PolylatError as error:
            found.append(_Ranked(number, time, energy, None, _NOT_REQUESTED, str(error)))
        else:
            certificate = _certificate(report) if verify else _NOT_REQUESTED
            figures = report.accelforge
            latency = float(figures.latency) if isnan(time) else time
            known = nan if figures.known_energy is None else float(figures.known_energy.total)
            given = known if isnan(energy) else energy
            found.append(_Ranked(number, latency, given, report, certificate))
    found.sort(key=_Ranked.by_latency)
    table = pd.DataFrame([_row(entry, found) for entry in found]).set_index("mapping")
    table.attrs.update(_verdict(found))
    if not quiet:
        print(table.attrs["message"])
    return table


@dataclass(frozen=True)
class _Ranked:
    """A mapping with AccelForge's latency and energy, and polylat's report or error."""

    number: int
    accelforge: float
    accelforge_energy: float
    report: Report | None
    certificate: str
    error: str = ""

    @property
    def energy(self) -> Number | float:
        """polylat's energy; NaN where it is not known."""
        energy = None if self.report is None else self.report.known_energy
        return nan if energy is None else energy.total

    @property
    def compared_energy(self) -> Number | float:
        """polylat's energy, else AccelForge's: one of them for all mappings of one architecture."""
        return self.accelforge_energy if isinstance(self.energy, float) else self.energy

    def by_latency(self) -> tuple[Number | float, Number | float, int]:
        """Sort key: the fastest mapping first, those without a report last."""
        return _latency(self), _nan_last(self.compared_energy), self.number

    def by_accelforge(self) -> tuple[Number | float, Number | float, int]:
        """Sort key: AccelForge's order."""
        return _nan_last(self.accelforge), _nan_last(self.accelforge_energy), self.number


def _nan_last(value: Number | float) -> Number | float:
    return inf if isnan(value) else value


def _totals(mappings: Any, metric: str) -> list[float]:
    """Return AccelForge's total of each mapping; NaN if the metric was not requested."""
    column = f"Total<SEP>{metric}"
    if column in mappings.data.columns:
        return [float(value) for value in mappings.data[column]]
    return [nan] * len(mappings)


def _certificate(report: Report) -> str:
    try:
        report.verify()
    except PolylatError as error:
        return str(error)
    return _PROVEN


def _row(entry: _Ranked, ranked: Sequence[_Ranked]) -> dict[str, Any]:
    report = entry.report
    row: dict[str, Any] = {
        "mapping": entry.number,
        "latency": nan,
        "accelforge": _plain(entry.accelforge),
        "energy": _plain(entry.energy),
        "accelforge_energy": _plain(entry.accelforge_energy),
        "speedup": nan,
        "rank": 0,
        "accelforge_rank": 1 + sum(other.accelforge < entry.accelforge for other in ranked),
        "pareto": False,
    }
    if report is not None:
        row |= {
            "latency": _plain(report.latency),
            "speedup": float(Fraction(entry.accelforge) / report.latency)
            if report.latency
            else nan,
            "rank": 1 + sum(_latency(other) < report.latency for other in ranked),
            "pareto": not any(_dominates(other, entry) for other in ranked),
            "lower_bound": _plain(report.lower_bound),
            "resource_bound": _plain(report.resource_bound),
            "dependence_bound": _plain(report.dependence_bound),
            "barrier_bound": _plain(report.barrier_bound),
            "optimal": report.optimal,
            "exact": report.exact,
            "order": report.order,
            **_memories(report),
        }
    spec = None if report is None else report.spec
    return row | {"certificate": entry.certificate, "error": entry.error, "spec": spec}


def _memories(report: Report) -> dict[str, Any]:
    """Return the peak per memory (the largest of stages with separate units), and `fits`."""
    peaks: dict[str, Any] = {}
    fits: bool | float = True
    for memory in report.occupancy:
        name = f"peak {memory.component}"
        try:
            peaks[name] = max(peaks.get(name, 0), _plain(memory.peak))
            fits = fits and not memory.exceeded
        except UnsupportedError:  # the occupancy is not determined
            peaks[name] = fits = nan
    return peaks | {"fits": fits}


def _latency(entry: _Ranked) -> Number | float:
    return inf if entry.report is None else entry.report.latency


def _dominates(other: _Ranked, entry: _Ranked) -> bool:
    """Whether `other` dominates the mapping in latency and energy."""
    a = _latency(other), other.compared_energy
    b = _latency(entry), entry.compared_energy
    return a != b and a[0] <= b[0] and a[1] <= b[1]


def _plain(value: Number | float) -> int | float:
    """Convert a number for a table: an int if it is integral, else a float."""
    return int(value) if isfinite(value) and value == int(value) else float(value)


def _verdict(ranked: Sequence[_Ranked]) -> dict[str, Any]:
    """Return the table's attributes: the fastest mapping, and whether it is AccelForge's."""
    analyzed = [entry for entry in ranked if entry.report is not None]
    if not analyzed:
        message = "None of the mappings could be analyzed: see the column error."
        return {"winner": None, "accelforge_winner": None, "winner_changes": False} | {
            "message": message
        }
    fastest, expected = analyzed[0], min(analyzed, key=_Ranked.by_accelforge)
    changes = _latency(expected) > _latency(fastest)
    if changes:
        message = (
            f"The fastest mapping changes: {fastest.number} ({_format(_latency(fastest))};"
            f" AccelForge: {_format(fastest.accelforge)}) instead of {expected.number}"
            f" ({_format(_latency(expected))}; AccelForge: {_format(expected.accelforge)})."
        )
    else:
        fastest = expected
        message = (
            f"The fastest mapping stays {fastest.number}: {_format(_latency(fastest))}"
            f" (AccelForge: {_format(fastest.accelforge)})."
        )
    failed = len(ranked) - len(analyzed)
    if failed:
        message += f" {failed} of {len(ranked)} could not be analyzed: see the column error."
    return {
        "winner": fastest.number,
        "accelforge_winner": expected.number,
        "winner_changes": changes,
        "message": message,
    }


def _format(value: Number | float) -> str:
    plain = _plain(value)
    return f"{plain:,}" if isinstance(plain, int) else f"{plain:,.6g}"
