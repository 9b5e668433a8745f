"""The mapper's Pareto set, ranked by overlapped latency."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
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
from polylat.spec import Spec
from polylat.spec.options import check_names, normalize_flag
from polylat.spec.reading.live import is_mappings, spec_of

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["rerank"]

NOT_ASKED = "not asked for"
PROVEN = "proven"


def rerank(
    mappings: Any,
    *,
    pipelined: bool = False,
    verify: bool = False,
    quiet: bool = False,
    **options: Any,
) -> pd.DataFrame:
    """AccelForge's mappings by polylat's latency, the fastest first.

    Parameters
    ----------
    mappings
        AccelForge's ``Mappings``: what its mapper returns, a set of mappings none of which is
        better than another in all that the mapper was asked for.
    pipelined
        Whether every Sequential split is taken as a Pipeline; the mapper makes Sequential ones.
    verify
        Whether each schedule is proven by ISL (`Report.verify`), which takes longer.
    quiet
        Whether to keep silent; otherwise one line is printed that says whether another mapping
        is the fastest now.
    **options
        Options of `polylat.analyze`, such as ``background="o2"`` or ``slots=3``.

    Returns
    -------
    pandas.DataFrame
        One row per mapping, by latency and then energy. Numbers are floats where they are no whole
        numbers; `polylat.analyze` has them exactly.

        ==================== =====================================================================
        ``mapping``          (the index) its number in `mappings`
        ``latency``          polylat's latency
        ``accelforge``       AccelForge's latency
        ``energy``           AccelForge's energy
        ``speedup``          AccelForge's latency as a multiple of polylat's
        ``rank``             its place by polylat's latency, from 1 on; equals share a place
        ``accelforge_rank``  its place by AccelForge's latency
        ``pareto``           whether no other mapping is at least as good in both latency and
                             energy, and better in one of them
        ``lower_bound``      no schedule of the mapping that was asked for takes less
        ``resource_bound``   the largest total busy time of a port
        ``dependence_bound`` the last finish if no port were ever busy
        ``optimal``          whether `latency` equals the larger bound
        ``exact``            whether `latency` is exact (else that of a schedule that exists)
        ``order``            the order of the ports
        ``peak NAME``        per memory NAME, the largest number of bits it holds at once
        ``fits``             whether no memory holds more than its size
        ``certificate``      ``"proven"``, ``"not asked for"``, or why it could not be proven
        ``error``            why the mapping was not analysed; empty if it was
        ==================== =====================================================================

        Its ``attrs`` say ``winner`` and ``accelforge_winner`` (numbers of the fastest mappings),
        ``winner_changes``, and ``message``, which is the line that is printed.

    Raises
    ------
    MissingExtraError
        pandas is not installed.
    SpecError
        `mappings` are not AccelForge's ``Mappings``, or there are none.
    OptionError
        An option cannot be used.
    """
    check_names(options)
    try:
        import pandas as pd
    except ImportError as error:
        raise MissingExtraError(
            "pandas is not installed", mend="pip install 'polylat[accelforge]'"
        ) from error
    for name, value in (("pipelined", pipelined), ("verify", verify), ("quiet", quiet)):
        normalize_flag(name, value)
    if not is_mappings(mappings):
        raise SpecError(
            f"cannot rank a {type(mappings).__name__}",
            mend="give AccelForge's Mappings, as spec.map_workload_to_arch() returns them",
        )
    if len(mappings) == 0:
        raise SpecError("there are no mappings", mend="let AccelForge's mapper find some")
    times, energies = _told(mappings, "latency"), _told(mappings, "energy")
    found = []
    for number, (time, energy) in enumerate(zip(times, energies, strict=True)):
        try:
            report = analyze(_spec(mappings, number, pipelined), **options)
        except OptionError:
            raise
        except PolylatError as error:
            found.append(_Ranked(number, time, energy, None, NOT_ASKED, str(error)))
        else:
            state = _certificate(report) if verify else NOT_ASKED
            known = float(report.roofline) if isnan(time) else time
            found.append(_Ranked(number, known, energy, report, state))
    found.sort(key=_Ranked.by_latency)
    table = pd.DataFrame([_row(one, found) for one in found]).set_index("mapping")
    table.attrs.update(_verdict(found))
    if not quiet:
        print(table.attrs["message"])
    return table


@dataclass(frozen=True)
class _Ranked:
    """A mapping, AccelForge's figures for it, and its report or why it has none."""

    number: int
    accelforge: float
    energy: float
    report: Report | None
    certificate: str
    error: str = ""

    def by_latency(self) -> tuple[Number | float, float, int]:
        """Key for sorting: the fastest first, and what was not analysed last."""
        return _latency(self), _or_last(self.energy), self.number

    def by_accelforge(self) -> tuple[float, float, int]:
        """Key for sorting as AccelForge would."""
        return _or_last(self.accelforge), _or_last(self.energy), self.number


def _or_last(value: float) -> float:
    return inf if isnan(value) else value


def _told(mappings: Any, metric: str) -> list[float]:
    """What AccelForge says of each mapping; not a number where it was not asked."""
    column = f"Total<SEP>{metric}"
    if column in mappings.data.columns:
        return [float(value) for value in mappings.data[column]]
    return [nan] * len(mappings)


def _spec(mappings: Any, number: int, pipelined: bool) -> Spec:
    spec = spec_of(mappings, number)
    return replace(spec, mapping=spec.mapping.with_pipelines()) if pipelined else spec


def _certificate(report: Report) -> str:
    try:
        report.verify()
    except PolylatError as error:
        return str(error)
    return PROVEN


def _row(one: _Ranked, ranked: Sequence[_Ranked]) -> dict[str, Any]:
    report = one.report
    row: dict[str, Any] = {
        "mapping": one.number,
        "latency": nan,
        "accelforge": _plain(one.accelforge),
        "energy": _plain(one.energy),
        "speedup": nan,
        "rank": 0,
        "accelforge_rank": 1 + sum(other.accelforge < one.accelforge for other in ranked),
        "pareto": False,
    }
    if report is not None:
        row |= {
            "latency": _plain(report.latency),
            "speedup": float(Fraction(one.accelforge) / report.latency) if report.latency else nan,
            "rank": 1 + sum(_latency(other) < report.latency for other in ranked),
            "pareto": not any(_beats(other, one) for other in ranked),
            "lower_bound": _plain(report.lower_bound),
            "resource_bound": _plain(report.resource_bound),
            "dependence_bound": _plain(report.dependence_bound),
            "optimal": report.optimal,
            "exact": report.exact,
            "order": report.order,
            **_memories(report),
        }
    return row | {"certificate": one.certificate, "error": one.error}


def _memories(report: Report) -> dict[str, Any]:
    """Peaks by memory (the largest, where stages have units of their own), and whether all fit."""
    peaks: dict[str, Any] = {}
    fits: bool | float = True
    for memory in report.occupancy:
        name = f"peak {memory.component}"
        try:
            peaks[name] = max(peaks.get(name, 0), _plain(memory.peak))
            fits = fits and not memory.exceeded
        except UnsupportedError:  # it is not known
            peaks[name] = fits = nan
    return peaks | {"fits": fits}


def _latency(one: _Ranked) -> Number | float:
    return inf if one.report is None else one.report.latency


def _beats(other: _Ranked, one: _Ranked) -> bool:
    theirs, mine = (_latency(other), other.energy), (_latency(one), one.energy)
    return theirs != mine and theirs[0] <= mine[0] and theirs[1] <= mine[1]


def _plain(value: Number | float) -> int | float:
    """A number for a table: whole if it is."""
    return int(value) if isfinite(value) and value == int(value) else float(value)


def _verdict(ranked: Sequence[_Ranked]) -> dict[str, Any]:
    """Which mapping is the fastest, and whether that is the one that AccelForge has first."""
    analysed = [one for one in ranked if one.report is not None]
    if not analysed:
        message = "None of the mappings could be analysed: the column error says why."
        return {"winner": None, "accelforge_winner": None, "winner_changes": False} | {
            "message": message
        }
    first, before = analysed[0], min(analysed, key=_Ranked.by_accelforge)
    changes = _latency(before) > _latency(first)
    if changes:
        message = (
            f"The fastest mapping changes: {first.number} ({_said(_latency(first))}; AccelForge:"
            f" {_said(first.accelforge)}) instead of {before.number} ({_said(_latency(before))};"
            f" AccelForge: {_said(before.accelforge)})."
        )
    else:
        first = before
        message = (
            f"The fastest mapping stays {first.number}: {_said(_latency(first))}"
            f" (AccelForge: {_said(first.accelforge)})."
        )
    left = len(ranked) - len(analysed)
    if left:
        message += f" {left} of {len(ranked)} could not be analysed: the column error says why."
    return {
        "winner": first.number,
        "accelforge_winner": before.number,
        "winner_changes": changes,
        "message": message,
    }


def _said(value: Number | float) -> str:
    plain = _plain(value)
    return f"{plain:,}" if isinstance(plain, int) else f"{plain:,.6g}"
