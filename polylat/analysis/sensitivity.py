"""The sensitivity of a latency: which durations are critical, which have slack, what speed gains.

All figures are exact, or None with a reason; they hold for the order of service of the schedule.
Where durations change much, analyzing the mapping anew may find a better order, and a lower
latency.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor

from polylat.analysis.access import OVERHEAD, AccessKey
from polylat.analysis.access_counts import access_counts
from polylat.analysis.envelope import tangent
from polylat.analysis.evaluation import Evaluation, Retimer, rigid_accesses
from polylat.analysis.throughputs import (
    Throughput,
    ThroughputKey,
    describe_name,
    duration_factor,
    shown,
)
from polylat.errors import OptionError, UnsupportedError
from polylat.numbers import Number, format_number, format_speedup, reduce_number
from polylat.tables import Column, Table, Tabular

__all__ = [
    "NO_TIME",
    "RIGID",
    "Sensitivity",
    "SensitivityRow",
    "WhatIf",
    "sensitivity",
    "what_if",
]

_PROBES = 8
"""Largest number of evaluations to find a scale that is quick to evaluate."""

NO_TIME = "these accesses take no time"
"""The reason why a row has no slack that says that any factor is free."""

RIGID = "the stalls of a rigid pipeline depend on these durations"
"""The reason why a row of a rigid pipeline has no slack."""

_JUST_BELOW = tuple(1 - Fraction(1, 10**digits) for digits in (6, 4, 3, 2, 1))
"""Factors on a scale that is too expensive to evaluate, nearest first."""

_COLUMNS = (
    Column("einsum", "Einsum"),
    Column("component", "Component"),
    Column("tensor", "Tensor", words={None: "-"}),
    Column("action", "Action"),
    Column("critical", "Critical time", "number", {None: "not determined"}),
    Column("share", "Share", "share"),
    Column("count", "Actions", "number"),
    Column("duration", "Time each", "number", {None: "varies"}),
    Column("slack", "Slack", "factor", {None: "-"}),
    Column("latency_if_free", "Latency if free", "number", {None: "not determined"}),
)


@dataclass(frozen=True)
class SensitivityRow:
    """How the latency depends on some durations.

    Parameters
    ----------
    einsum, component, tensor, action
        The accesses. The Einsum and the tensor are None for a row over all of them; the tensor is
        also None for a computation and for ``"overhead"``, the constant in ``total_latency``.
    critical
        Their time on the critical path; None where that cannot be traced.
    count
        Number of their actions on the critical path: the latency grows by at least this much for
        each unit of time by which one action takes longer. None as for `critical`, and in rigid
        pipelines, where it may also become shorter.
    duration
        Duration of one action on its slowest port; None where that depends on the Einsum.
        `count` times `duration` is `critical`.
    slack
        The largest factor on all these durations that leaves the latency unchanged; None where
        there is none, or where it cannot be determined.
    slack_reason
        Why `slack` is None; None if it is not.
    latency_if_free
        The latency if they took no time. None where too many tile iterations would have to be
        sampled, and in rigid pipelines.
    """

    einsum: str | None
    component: str
    tensor: str | None
    action: str
    critical: Number | None
    count: Number | None
    duration: Number | None
    slack: Number | None
    slack_reason: str | None
    latency_if_free: Number | None

    @property
    def name(self) -> str:
        """The accesses in words, such as ``e1 DRAM w1 read``."""
        parts = (self.einsum, self.component, self.tensor, self.action)
        return " ".join(part for part in parts if part)


@dataclass(frozen=True)
class Sensitivity(Tabular):
    """The sensitivity of a latency to durations, with the order of service kept.

    Parameters
    ----------
    latency
        The latency of the report.
    components
        A row per (component, action), the most critical first, then the one with least slack.
    accesses
        A row per (Einsum, component, tensor, action), in the same order.
    """

    latency: Number
    components: tuple[SensitivityRow, ...]
    accesses: tuple[SensitivityRow, ...]

    def headline(self) -> tuple[str, ...]:
        """Return the latency, and what is kept.

        Returns
        -------
        tuple of str
            Two sentences.
        """
        kept = "The order of service on each port is kept."
        return f"Latency  {format_number(self.latency)}", kept

    def tables(self) -> tuple[Table, ...]:
        """Return the rows by component and action, and by access.

        Returns
        -------
        tuple of Table
            Two tables: time and share on the critical path, number and duration of actions on it,
            slack (the factor by which they can be slower at the same latency), and the latency if
            they took no time. Notes say why a slack is not determined.
        """
        by_access = self._table("Sensitivity by access", self.accesses)
        names = [column.key for column in _COLUMNS if column.key not in ("einsum", "tensor")]
        by_action = self._table("Sensitivity by component and action", self.components)
        return by_action.select(*names), by_access

    def _table(self, title: str, rows: Sequence[SensitivityRow]) -> Table:
        whole = Fraction(self.latency or 1)
        values = tuple(
            (
                *(row.einsum, row.component, row.tensor, row.action),
                *(row.critical, None if row.critical is None else Fraction(row.critical) / whole),
                *(row.count, row.duration, row.slack, row.latency_if_free),
            )
            for row in rows
        )
        notes = dict.fromkeys(
            f"Slack of {row.name}: {row.slack_reason}."
            for row in rows
            if row.slack_reason not in (None, NO_TIME)
        )
        return Table(_COLUMNS, values, title, tuple(notes))


@dataclass(frozen=True)
class WhatIf(Tabular):
    """A latency under other throughputs. The order of service is kept.

    Parameters
    ----------
    latency
        The latency.
    speedup
        Latency of the report as a multiple of `latency`; None if that is zero.
    critical
        Time on the critical path by (Einsum, component, tensor or None, action), largest first.
        The times add up to the latency. None where the path cannot be traced.
    """

    latency: Number
    speedup: Fraction | None
    critical: Mapping[AccessKey, Number] | None

    def headline(self) -> tuple[str, ...]:
        """Return the latency, and what is kept.

        Returns
        -------
        tuple of str
            Two sentences.
        """
        times = "" if self.speedup is None else f"  {format_speedup(self.speedup)} as fast"
        return (f"Latency  {format_number(self.latency)}{times}", "The order of service is kept.")

    def tables(self) -> tuple[Table, ...]:
        """Return the critical path by access.

        Returns
        -------
        tuple of Table
            One table; without rows where the path cannot be traced.
        """
        rows = []
        for (einsum, component, tensor, action), time in (self.critical or {}).items():
            share = Fraction(time) / Fraction(self.latency)
            rows.append((einsum, component, tensor, action, time, share))
        return (Table(_COLUMNS[:6], tuple(rows), "Critical path"),)


def sensitivity(retimer: Retimer, by_access: bool = True) -> Sensitivity:
    """Compute the sensitivity of the latency, by component and action, and by access.

    The order of service is kept; analyzing the mapping with other durations may find a better one.

    Parameters
    ----------
    retimer
        Times the schedule anew.
    by_access
        Whether to compute the rows by access, too.

    Returns
    -------
    Sensitivity
        Critical time, slack and latency if free, per row.

    Examples
    --------
    >>> import polylat
    >>> files = ("examples/arch.yaml", "examples/workload.yaml", "examples/tap_resident.yaml")
    >>> report = polylat.analyze(polylat.load(*files), granularity="tile", background="o2")
    >>> for row in report.sensitivity().components:
    ...     print(row.component, row.action, row.count, row.duration, row.slack)
    DRAM read 15872 1 1
    SRAM read 7680 1 1
    DRAM write 4160 1 1
    SRAM write 4096 1 1
    mac compute 0 1 16
    """
    now = retimer.evaluate({})
    times, rigid = now.time_or_none, rigid_accesses(retimer.solution.model)
    rows: dict[frozenset[AccessKey], tuple[Number | None, str | None, Number | None]] = {}

    def row(keys: Sequence[AccessKey], einsum: str | None, tensor: str | None) -> SensitivityRow:
        timed = frozenset(key for key in keys if key in retimer.loads)
        if timed & rigid:
            rows[timed] = None, RIGID, None
        elif timed not in rows:
            rows[timed] = *_slack(retimer, timed, now), _if_free(retimer, timed, now)
        durations = {key: _duration(retimer, key) for key in keys}
        critical = {} if times is None else {k: times[k] for k in timed if k in times}
        each = [durations[key] for key in critical]
        # A setup takes time that no number of actions does.
        counted = (
            times is not None
            and all(each)
            and not timed & rigid
            and not any(_has_setup(retimer, key) for key in critical)
        )
        counts = (Fraction(time) / durations[key] for key, time in critical.items())
        slack, reason, free = rows[timed]
        return SensitivityRow(
            einsum=einsum,
            component=keys[0][1],
            tensor=tensor,
            action=keys[0][3],
            critical=None if times is None else _sum(critical.values()),
            count=_sum(counts) if counted else None,
            duration=next(iter(durations.values())) if len({*durations.values()}) == 1 else None,
            slack=slack,
            slack_reason=reason,
            latency_if_free=free,
        )

    every = list(dict.fromkeys((*access_counts(retimer.solution.model), *retimer.loads)))
    groups: dict[tuple[str, str], list[AccessKey]] = {}
    for key in every:
        groups.setdefault((key[1], key[3]), []).append(key)
    return Sensitivity(
        now.latency,
        _ordered(row(keys, None, None) for keys in groups.values()),
        _ordered(row([key], key[0], key[2]) for key in (every if by_access else ())),
    )


def what_if(retimer: Retimer, throughputs: Mapping[ThroughputKey, Throughput]) -> WhatIf:
    """Compute the latency with other throughputs.

    The order of service is kept; analyzing the mapping anew may find a better one. With infinite
    throughput, accesses take no time, but keep their turn.

    Parameters
    ----------
    retimer
        Times the schedule anew.
    throughputs
        Component, (component, action), or (Einsum, component, tensor or None, action) → factor
        on throughput: 2 is twice as fast. Where several fit, the most specific holds.
        ``"overhead"``, the constant in a ``total_latency``, is an action that a component alone
        does not include.

    Returns
    -------
    WhatIf
        The latency, and its critical path.

    Raises
    ------
    OptionError
        A name does not exist, or a factor is not a number above zero.
    UnsupportedError
        Too many tile iterations must be sampled, or durations in a rigid pipeline change.

    Examples
    --------
    >>> import polylat
    >>> files = ("examples/arch.yaml", "examples/workload.yaml", "examples/tap_resident.yaml")
    >>> report = polylat.analyze(polylat.load(*files), granularity="tile", background="o2")
    >>> report.what_if({"DRAM": 2}).latency, report.what_if({("SRAM", "read"): "inf"}).latency
    (25824, 24576)
    """
    if not isinstance(throughputs, Mapping):
        raise OptionError(
            f"throughputs must be a mapping, not {shown(throughputs)}",
            fix='write {"DRAM": 2} for twice as fast',
        )
    given: dict[ThroughputKey, Fraction] = {}
    for name, factor in throughputs.items():
        given[name] = duration_factor(factor, f"throughput of {describe_name(retimer, name)}")
    scales = {}
    for key in retimer.loads:
        _, component, _, action = key
        fitting: list[ThroughputKey] = [key, (component, action)]
        if action != OVERHEAD:
            fitting.append(component)
        for name in fitting:
            if name in given:
                scales[key] = given[name]
                break
    now, found = retimer.evaluate({}), retimer.evaluate(scales)
    return WhatIf(found.latency, _speedup(now.latency, found.latency), found.time_or_none)


def _ordered(rows: Iterable[SensitivityRow]) -> tuple[SensitivityRow, ...]:
    return tuple(sorted(rows, key=lambda r: (-(r.critical or 0), r.slack is None, r.slack or 0)))


def _slack(
    retimer: Retimer, keys: Collection[AccessKey], now: Evaluation
) -> tuple[Number | None, str | None]:
    """Return the largest factor on durations at the same latency, or None and the reason.

    The latency is a convex, piecewise linear function of the factor. Newton's method on it, from
    above, follows tangents, of which there are finitely many.
    """
    if not keys:
        return None, NO_TIME
    if any(key in (now.time_or_none or ()) for key in keys):
        return 1, None
    # Above this scale, one port alone is busy for longer. An integer is quicker to evaluate.
    scale = Fraction(ceil(Fraction(now.latency) / max(retimer.loads[key] for key in keys)))
    while True:
        try:
            probe, found = _probe(retimer, keys, now, scale)
            if probe == scale and found.latency == now.latency:
                return reduce_number(scale), None
            line = tangent(found, keys, probe)
        except UnsupportedError:
            return None, _undetermined(_free_factor(retimer, keys, now, scale), scale)
        # The latency is at least its tangent, so no scale above their intersection is free.
        scale = (now.latency - line.rest) / line.slope


def _probe(
    retimer: Retimer, keys: Collection[AccessKey], now: Evaluation, scale: Fraction
) -> tuple[Fraction, Evaluation]:
    """Evaluate the schedule at a scale, or at a smaller one that is not free, if that is quicker.

    Where two rates are nearly equal, many tile iterations must be sampled; elsewhere, few.
    """
    probe, free, slow = scale, Fraction(1), scale
    for _ in range(_PROBES):
        try:
            found = retimer.evaluate(dict.fromkeys(keys, probe), quick=True)
        except UnsupportedError:
            slow = probe
        else:
            if probe == scale or found.latency > now.latency:
                return probe, found
            free = probe
        probe = ((free + slow) / 2).limit_denominator(1000)
        if not free < probe < slow:
            break
    return scale, retimer.evaluate(dict.fromkeys(keys, scale))


def _undetermined(low: Number, high: Fraction) -> str:
    """Say why a slack is not determined, and the factors that it is between."""
    least, most = _decimal(floor(low * 1000)), _decimal(ceil(high * 1000))
    return (
        f"between {least} and {most}; not determined, as too many tile iterations would have to"
        " be sampled"
    )


def _decimal(thousandths: int) -> str:
    whole, rest = divmod(thousandths, 1000)
    return f"{whole:,}.{rest:03}".rstrip("0").rstrip(".")


def _free_factor(
    retimer: Retimer, keys: Collection[AccessKey], now: Evaluation, scale: Fraction
) -> Number:
    """Return a factor that is free, just below one at which too many iterations must be sampled.

    At that one, two rates are so nearly equal that many iterations pass before one catches up.
    """
    # A search for a larger sample is tried once, where it is most likely to succeed.
    tries = [(below, True) for below in _JUST_BELOW] + [(_JUST_BELOW[-1], False)]
    for below, quick in tries:
        try:
            factor = scale.limit_denominator(1000) * below
            found = retimer.evaluate(dict.fromkeys(keys, factor), quick=quick)
            if found.latency == now.latency:
                return reduce_number(max(factor, Fraction(1)))
        except UnsupportedError:
            continue
    return 1


def _if_free(retimer: Retimer, keys: Collection[AccessKey], now: Evaluation) -> Number | None:
    """Return the latency if some accesses took no time; None where it is undetermined."""
    times = now.time_or_none
    if times is not None and not any(key in times for key in keys):
        return now.latency
    try:
        return retimer.evaluate(dict.fromkeys(keys, Fraction(0))).latency
    except UnsupportedError:
        return None


def _duration(retimer: Retimer, key: AccessKey) -> Number:
    """Return the duration of one action on its slowest port."""
    einsum, name, _, action = key
    ports = retimer.solution.model.lowered.spec.arch.component(einsum, name).ports
    if action == OVERHEAD:
        return reduce_number(max(port.constant for port in ports))
    return reduce_number(
        max((p.durations.get(action, Fraction(0)) for p in ports), default=Fraction(0))
    )


def _has_setup(retimer: Retimer, key: AccessKey) -> bool:
    """Return whether transfers take time in addition to that of their actions."""
    model = retimer.solution.model
    (leaf,) = (leaf.number for leaf in model.lowered.leaves if leaf.einsum.name == key[0])
    name = leaf, *key[1:]
    return name in model.costs.per_transfer or name in model.costs.bursts


def _sum(values: Iterable[Number]) -> Number:
    return reduce_number(sum(values, Fraction(0)))


def _speedup(before: Number, latency: Number) -> Fraction | None:
    return Fraction(before) / Fraction(latency) if latency else None
