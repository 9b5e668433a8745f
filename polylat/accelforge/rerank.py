"""Rank the mapper's Pareto set by overlapped latency."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from math import inf, isnan, nan
from typing import TYPE_CHECKING, Any

from polylat.accelforge.busy_times import SEPARATOR
from polylat.accelforge.candidates import Bounds, Timed, bound_mapping, time_mapping
from polylat.accelforge.data_frames import import_pandas, plain_number
from polylat.analysis.roofline import Roofline, roofline
from polylat.errors import OptionError, PolylatError, SpecError
from polylat.numbers import Number
from polylat.report import analyze, normalize_input
from polylat.spec import Spec
from polylat.spec.arguments import normalize_flag
from polylat.spec.options import check_option_names
from polylat.spec.reading.live.convert import MappingsConverter, is_mappings

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["rerank"]

_NOT_REQUESTED = "not requested"
_NOT_TIMED = "not timed"
_PROVEN = "proven"


def rerank(
    mappings: Any,
    *,
    exhaustive: bool = False,
    verify: bool = False,
    quiet: bool = False,
    recurrences: Mapping[str, str] | None = None,
    **options: Any,
) -> pd.DataFrame:
    """Rank AccelForge's mappings by polylat's latency, the fastest first.

    A mapping is not timed if its lower bounds on latency and energy show that one that was timed,
    and that fits its memories, is faster and takes no more energy. AccelForge's first choice is
    always timed.

    Parameters
    ----------
    mappings
        AccelForge's ``Mappings``, as returned by its mapper: a Pareto set with respect to the
        metrics that were requested from the mapper.
    exhaustive
        Whether to time all mappings, which takes longer.
    verify
        Whether to prove each schedule with ISL (`Report.verify`), which takes longer.
    quiet
        Whether to omit the message that says whether another mapping is the fastest.
    recurrences
        Tensors that are earlier states, such as ``{"H_prev": "H[t-1]"}``: see `polylat.load`.
    **options
        Options of `polylat.analyze`, such as ``pipelined=True`` (the mapper makes only Sequential
        splits), ``background="o2"``, ``staged="all"`` or ``slots=3``. They hold for all mappings.

    Returns
    -------
    pandas.DataFrame
        One row per mapping: first those that fit their memories, by latency and then energy; then
        those of which that is not known, those that were not timed, by their lower bound, those
        that do not fit, and those that could not be analyzed. Numbers that are not integral are
        floats; `polylat.analyze` has the exact ones. What is not known is NaN.

        ===================== ====================================================================
        ``mapping``           (the index) index of the mapping in `mappings`
        ``latency``           polylat's latency
        ``accelforge``        AccelForge's latency
        ``energy``            polylat's energy, in which leakage takes `latency`; NaN where the
                              architecture does not give energies
        ``accelforge_energy`` AccelForge's energy
        ``speedup``           AccelForge's latency divided by polylat's
        ``rank``              rank by polylat's latency, from 1; equal latencies share a rank. 0
                              where it is not known: a mapping that was not timed may be faster
        ``accelforge_rank``   rank by AccelForge's latency
        ``pareto``            whether no other mapping is at least as good in both latency and
                              energy, and better in one of them
        ``timed``             whether the mapping has a schedule
        ``lower_bound``       lower bound on the latency of any schedule of the requested mapping
        ``resource_bound``    the largest total busy time of a port
        ``dependence_bound``  the makespan if no block ever waits for a port
        ``barrier_bound``     what the branches of Sequentials take one after another
        ``optimal``           whether `latency` equals the largest bound
        ``exact``             whether `latency` is exact (else that of a feasible schedule)
        ``order``             the order of service
        ``peak NAME``         per memory NAME, the largest number of bits in it at any time, with
                              the slots of the options
        ``fits``              whether no memory exceeds its size
        ``certificate``       ``"proven"``, ``"not requested"``, ``"not timed"``, or why it could
                              not be proven
        ``error``             why the mapping could not be analyzed; else empty
        ``spec``              the mapping as a `polylat.Spec` with the options under ``schedule``:
                              `polylat.analyze` of it gives `latency`
        ===================== ====================================================================

        Its ``attrs`` have ``winner`` and ``accelforge_winner`` (indices of the fastest mappings;
        the winner fits its memories if any mapping does), ``winner_changes``, and ``message``, the
        text that is printed.

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
    pandas = import_pandas()
    for name, value in (("exhaustive", exhaustive), ("verify", verify), ("quiet", quiet)):
        normalize_flag(name, value)
    if not is_mappings(mappings):
        raise SpecError(
            f"cannot rank a {type(mappings).__name__}",
            fix="give AccelForge's Mappings, as returned by spec.map_workload_to_arch()",
        )
    if len(mappings) == 0:
        raise SpecError(
            "there are no mappings", fix="pass Mappings that contain at least one mapping"
        )
    times, energies = _totals(mappings, "latency"), _totals(mappings, "energy")
    converter = MappingsConverter(mappings, recurrences=recurrences)
    found = [
        _prepare(converter, number, time, energy, options)
        for number, (time, energy) in enumerate(zip(times, energies, strict=True))
    ]
    found = _time(found, exhaustive=exhaustive)
    if verify:
        found = [_verified(entry) for entry in found]
    found.sort(key=_Ranked.by_latency)
    table: pd.DataFrame = pandas.DataFrame([_row(entry, found) for entry in found]).set_index(
        "mapping"
    )
    table.attrs.update(_verdict(found))
    if not quiet:
        print(table.attrs["message"])
    return table


@dataclass(frozen=True)
class _Ranked:
    """A mapping with AccelForge's latency and energy, and polylat's, their bounds, or an error."""

    number: int
    accelforge: float
    accelforge_energy: float
    spec: Spec | None = None
    options: Mapping[str, Any] | None = None
    bounds: Bounds | None = None
    timed: Timed | None = None
    certificate: str = _NOT_TIMED
    error: str = ""

    @property
    def energy(self) -> Number | float:
        """polylat's energy; NaN where it is not known."""
        if self.timed is not None:
            return nan if self.timed.energy is None else self.timed.energy
        known = None if self.bounds is None else self.bounds.energy
        return nan if known is None or known.leak_power else known.actions

    @property
    def compared_energy(self) -> Number | float:
        """polylat's energy, or its lower bound; else AccelForge's.

        One of them for all mappings of one architecture; infinite if there is none.
        """
        energy: Number | float | None = None
        if self.timed is not None:
            energy = self.timed.energy
        elif self.bounds is not None:
            energy = self.bounds.least_energy
        return _nan_last(self.accelforge_energy if energy is None else energy)

    @property
    def latency(self) -> Number | float:
        """polylat's latency, or its lower bound; infinite if it could not be analyzed."""
        if self.timed is not None:
            return self.timed.latency
        return inf if self.bounds is None or self.error else self.bounds.latency

    @property
    def group(self) -> int:
        """Which mappings come before others."""
        if self.error:
            return 4
        if self.timed is None:
            return 2
        return {True: 0, None: 1, False: 3}[self.timed.fits]

    def by_latency(self) -> tuple[int, Number | float, Number | float, int]:
        """Sort key: the fastest mapping that fits first, those without a schedule last."""
        return self.group, self.latency, self.compared_energy, self.number

    def by_accelforge(self) -> tuple[Number | float, Number | float, int]:
        """Sort key: AccelForge's order."""
        return _nan_last(self.accelforge), _nan_last(self.accelforge_energy), self.number

    def excludes(self, other: _Ranked) -> bool:
        """Whether this timed mapping shows that another one need not be timed."""
        return self.latency < other.latency and self.compared_energy <= other.compared_energy


def _prepare(
    converter: MappingsConverter, number: int, time: float, energy: float, options: dict[str, Any]
) -> _Ranked:
    """Convert a mapping, and determine its bounds."""
    try:
        spec, normal = normalize_input(converter.spec(number), options)
        figures = roofline(spec, accounting=normal["accounting"])
        bounds = bound_mapping(spec, normal)
    except OptionError:
        raise
    except PolylatError as error:
        return _Ranked(number, time, energy, error=str(error))
    latency = float(figures.latency) if isnan(time) else time
    return _Ranked(
        number,
        latency,
        _energy_of(figures) if isnan(energy) else energy,
        spec,
        normal,
        bounds,
    )


def _energy_of(figures: Roofline) -> float:
    known = figures.known_energy
    return nan if known is None else float(known.total)


def _time(found: Sequence[_Ranked], *, exhaustive: bool) -> list[_Ranked]:
    """Time the mappings in the order of their bounds, except those that are excluded."""
    known = {entry.number: entry for entry in found}
    left = [entry for entry in found if not entry.error]
    incumbents: list[_Ranked] = []

    def time(entry: _Ranked) -> None:
        assert entry.spec is not None and entry.options is not None
        try:
            timed = time_mapping(entry.spec, entry.options)
        except PolylatError as error:
            known[entry.number] = replace(entry, error=str(error))
            return
        done = replace(entry, timed=timed, certificate=_NOT_REQUESTED)
        known[entry.number] = done
        if timed.fits:
            incumbents.append(done)

    # AccelForge's first choice, with which the fastest is compared.
    for entry in sorted(left, key=_Ranked.by_accelforge):
        time(entry)
        left.remove(entry)
        if known[entry.number].timed is not None:
            break
    for entry in sorted(left, key=_Ranked.by_latency):
        if exhaustive or not any(done.excludes(entry) for done in incumbents):
            time(entry)
    return [known[entry.number] for entry in found]


def _verified(entry: _Ranked) -> _Ranked:
    if entry.timed is None:
        return entry
    try:
        analyze(entry.spec).verify()
    except PolylatError as error:
        return replace(entry, certificate=str(error))
    return replace(entry, certificate=_PROVEN)


def _nan_last(value: Number | float) -> Number | float:
    return inf if isnan(value) else value


def _totals(mappings: Any, metric: str) -> list[float]:
    """Return AccelForge's total of each mapping; NaN if the metric was not requested."""
    column = f"Total{SEPARATOR}{metric}"
    if column in mappings.data.columns:
        return [float(value) for value in mappings.data[column]]
    return [nan] * len(mappings)


def _row(entry: _Ranked, ranked: Sequence[_Ranked]) -> dict[str, Any]:
    row: dict[str, Any] = {
        "mapping": entry.number,
        "latency": nan,
        "accelforge": plain_number(entry.accelforge),
        "energy": plain_number(entry.energy),
        "accelforge_energy": plain_number(entry.accelforge_energy),
        "speedup": nan,
        "rank": 0,
        "accelforge_rank": 1 + sum(other.accelforge < entry.accelforge for other in ranked),
        "pareto": False,
        "timed": entry.timed is not None,
    }
    timed, bounds = entry.timed, entry.bounds
    if timed is not None:
        faster = [other for other in ranked if other.latency < timed.latency]
        row |= {
            "latency": plain_number(timed.latency),
            "speedup": float(Fraction(entry.accelforge) / timed.latency) if timed.latency else nan,
            "rank": 1 + len(faster) if all(other.timed is not None for other in faster) else 0,
            "pareto": not any(_dominates(other, entry) for other in ranked),
            "lower_bound": plain_number(timed.lower_bound),
            "resource_bound": plain_number(timed.resource_bound),
            "dependence_bound": plain_number(timed.dependence_bound),
            "barrier_bound": plain_number(timed.barrier_bound),
            "optimal": timed.optimal,
            "exact": timed.exact,
            "order": timed.order,
            **{f"peak {name}": nan if p is None else plain_number(p) for name, p in timed.peaks},
            "fits": nan if timed.fits is None else timed.fits,
        }
    elif bounds is not None and not entry.error:
        row |= {
            "lower_bound": plain_number(bounds.latency),
            "resource_bound": plain_number(bounds.resource),
            "barrier_bound": plain_number(bounds.barrier),
        }
    spec = None if entry.error else entry.spec
    return row | {"certificate": entry.certificate, "error": entry.error, "spec": spec}


def _dominates(other: _Ranked, entry: _Ranked) -> bool:
    """Whether `other`, which is timed, dominates the mapping in latency and energy."""
    if other.timed is None:
        # A timed mapping excludes it, and dominates whatever this one would dominate.
        return False
    a = other.latency, other.compared_energy
    b = entry.latency, entry.compared_energy
    return a != b and a[0] <= b[0] and a[1] <= b[1]


def _verdict(ranked: Sequence[_Ranked]) -> dict[str, Any]:
    """Return the table's attributes: the fastest mapping, and whether it is AccelForge's."""
    timed = [entry for entry in ranked if entry.timed is not None]
    if not timed:
        message = "None of the mappings could be analyzed: see the column error."
        return {"winner": None, "accelforge_winner": None, "winner_changes": False} | {
            "message": message
        }
    fastest, expected = timed[0], min(timed, key=_Ranked.by_accelforge)
    changes = (expected.group, expected.latency) > (fastest.group, fastest.latency)
    if changes:
        message = (
            f"The fastest mapping changes: {fastest.number} ({_format(fastest.latency)};"
            f" AccelForge: {_format(fastest.accelforge)}) instead of {expected.number}"
            f" ({_format(expected.latency)}; AccelForge: {_format(expected.accelforge)})."
        )
    else:
        fastest = expected
        message = (
            f"The fastest mapping stays {fastest.number}: {_format(fastest.latency)}"
            f" (AccelForge: {_format(fastest.accelforge)})."
        )
    if fastest.group:
        message += (
            " None of the mappings fits its memories."
            if fastest.group == 3
            else " Whether it fits its memories is not known."
        )
    elif expected.group == 3:
        message += f" {expected.number} does not fit its memories."
    left = sum(entry.timed is None and not entry.error for entry in ranked)
    if left:
        message += f" {left} of {len(ranked)} were not timed: their bounds exclude them."
    failed = sum(bool(entry.error) for entry in ranked)
    if failed:
        message += f" {failed} of {len(ranked)} could not be analyzed: see the column error."
    return {
        "winner": fastest.number,
        "accelforge_winner": expected.number,
        "winner_changes": changes,
        "message": message,
    }


def _format(value: Number | float) -> str:
    plain = plain_number(value)
    return f"{plain:,}" if isinstance(plain, int) else f"{plain:,.6g}"
