"""What a latency is sensitive to: which durations count, what is free, and what more speed gains.

All figures are exact, and hold for the order of service of the report: it stays as it is. Where
durations change much, analysing anew may find a better order, and a lower latency.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from difflib import get_close_matches
from fractions import Fraction
from math import ceil, inf
from numbers import Real

from polylat.errors import OptionError, UnsupportedError
from polylat.exact import Number, number
from polylat.report import AccessKey, Report
from polylat.retime import OVERHEAD, Evaluation, Retimer
from polylat.spec.reading.numbers import BadNumber, exact, ratio

__all__ = [
    "Change",
    "Curve",
    "Row",
    "Sensitivity",
    "Throughput",
    "ThroughputKey",
    "WhatIf",
    "best_change",
    "curve",
    "sensitivity",
    "what_if",
]

ThroughputKey = str | tuple[str, str] | AccessKey
"""A component, (component, action), or (Einsum, component, tensor or None, action)."""
Throughput = int | float | str | Fraction | Decimal
"""A factor on throughput: a whole number, a Fraction, a decimal as text or Decimal, or inf."""

_PROBES = 8


@dataclass(frozen=True)
class Row:
    """How the latency depends on some durations.

    Parameters
    ----------
    einsum, component, tensor, action
        The accesses. The Einsum and the tensor are None where all of them are meant, the tensor
        also for a computation and for ``"overhead"``, the constant in ``total_latency``.
    critical
        Their time on the critical path.
    count
        How many times the duration of one action counts on the critical path: by so much grows
        the latency, at least, for each unit of time that one action takes longer.
    duration
        How long one action takes on its slowest port; None where that depends on the Einsum.
        `count` times `duration` is `critical`.
    slack
        How many times slower they could be for free: the largest factor on all these durations
        that leaves the latency as it is. None if they take no time. Where a rate comes so near
        another one that too many tile iterations would have to be looked at, a factor just below
        that is proven to be free.
    latency_if_free
        The latency if they took no time. None where too many tile iterations would have to be
        looked at to tell.
    """

    einsum: str | None
    component: str
    tensor: str | None
    action: str
    critical: Number
    count: Number
    duration: Number | None
    slack: Number | None
    latency_if_free: Number | None


@dataclass(frozen=True)
class Sensitivity:
    """What the latency of a schedule is sensitive to. The order of service stays.

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
    components: tuple[Row, ...]
    accesses: tuple[Row, ...]


@dataclass(frozen=True)
class WhatIf:
    """A latency under other throughputs. The order of service stays.

    Parameters
    ----------
    latency
        The latency.
    speedup
        How many times faster than the report; None if nothing takes time any more.
    critical
        Time on the critical path by (Einsum, component, tensor or None, action), largest first.
        The times add up to the latency.
    """

    latency: Number
    speedup: Fraction | None
    critical: Mapping[AccessKey, Number]


@dataclass(frozen=True)
class Change:
    """What it gains to make one action of one component faster. The order of service stays.

    Parameters
    ----------
    component, action
        What becomes faster.
    factor
        How many times faster.
    latency
        The latency then.
    speedup
        How many times faster than the report; None if nothing takes time any more.
    """

    component: str
    action: str
    factor: int
    latency: Number
    speedup: Fraction | None


@dataclass(frozen=True)
class Curve:
    """The latency as a function of how long some accesses take. The order of service stays.

    It is convex and piecewise linear in the *scale*: what all these durations are multiplied by.
    1 is now, 0 is no time; half the scale is twice the *bandwidth*.

    Parameters
    ----------
    component, action
        What is scaled: a component's accesses (all but ``"overhead"`` where the action is None).
    latency
        The latency now.
    breakpoints
        (scale, latency) where the pieces begin, the first at scale 0.
    slopes
        Slope of each piece, increasing: time of the scaled accesses on the critical path, at
        scale 1. The last piece never ends.
    unresolved
        (from, to) scales, close together, between which rates are so nearly equal that too many
        tile iterations would have to be looked at: there the curve is no more than the latency,
        which is no more than the straight line between the ends.
    """

    component: str
    action: str | None
    latency: Number
    breakpoints: tuple[tuple[Number, Number], ...]
    slopes: tuple[Number, ...]
    unresolved: tuple[tuple[Number, Number], ...] = ()

    def at(self, scale: Number) -> Number:
        """The latency at a scale of the durations, at least 0."""
        if not (isinstance(scale, Real) and 0 <= scale < inf):
            raise OptionError(
                f"a scale of durations is a number from 0 on, not {scale!r}",
                mend="1 is as it is now",
            )
        piece = bisect_right([start for start, _ in self.breakpoints], scale) - 1
        start, latency = self.breakpoints[piece]
        return number(Fraction(latency) + self.slopes[piece] * (Fraction(scale) - start))

    def at_bandwidth(self, factor: Throughput) -> Number:
        """The latency at a multiple of the bandwidth: 2 is twice as fast, inf takes no time."""
        return self.at(_scale(factor, "bandwidth"))

    @property
    def beyond(self) -> Number | None:
        """The multiple of the bandwidth beyond which more gains nothing.

        None if more always gains something; 0 if the bandwidth never matters.
        """
        if self.slopes[0]:
            return None
        return number(1 / Fraction(self.breakpoints[1][0])) if len(self.slopes) > 1 else 0

    @property
    def below(self) -> Number | None:
        """The multiple of the bandwidth below which latency times bandwidth is constant.

        None if it never is, as something else is always on the critical path, too; and where it
        always is, see `alone`.
        """
        start, latency = self.breakpoints[-1]
        if start == 0 or latency != self.slopes[-1] * start:
            return None
        return number(1 / Fraction(start))

    @property
    def alone(self) -> bool:
        """Whether latency times bandwidth is always the same: nothing else ever counts."""
        return self.breakpoints == ((0, 0),) and self.slopes[0] > 0


def sensitivity(report: Report) -> Sensitivity:
    """What the latency is sensitive to, by component and action, and by access.

    The order of service stays; analysing anew under other durations may find a better one.

    Parameters
    ----------
    report
        The report.

    Examples
    --------
    >>> import polylat
    >>> from polylat.sensitivity import sensitivity
    >>> files = ("examples/arch.yaml", "examples/workload.yaml", "examples/tap_resident.yaml")
    >>> report = polylat.analyze(polylat.load(*files), granularity="tile", background="o2")
    >>> for row in sensitivity(report).components:
    ...     print(row.component, row.action, row.count, row.duration, row.slack)
    SRAM read 11264 1 1
    DRAM read 8704 1 1
    SRAM write 7680 1 1
    DRAM write 4096 1 1
    mac compute 0 1 16
    """
    retimer = report._retimer
    now = retimer.evaluate({})
    rows: dict[frozenset[AccessKey], tuple[Number | None, Number | None]] = {}

    def row(keys: Sequence[AccessKey], einsum: str | None, tensor: str | None) -> Row:
        timed = frozenset(key for key in keys if key in retimer.loads)
        if timed not in rows:
            rows[timed] = _slack(retimer, timed, now), _if_free(retimer, timed, now)
        durations = {key: _duration(report, key) for key in keys}
        counts = (Fraction(now.time[k]) / durations[k] for k in timed if k in now.time)
        slack, free = rows[timed]
        return Row(
            einsum=einsum,
            component=keys[0][1],
            tensor=tensor,
            action=keys[0][3],
            critical=_sum(now.time.get(key, 0) for key in timed),
            count=_sum(counts),
            duration=next(iter(durations.values())) if len({*durations.values()}) == 1 else None,
            slack=slack,
            latency_if_free=free,
        )

    every = list(dict.fromkeys((*report.accesses, *retimer.loads)))
    groups: dict[tuple[str, str], list[AccessKey]] = {}
    for key in every:
        groups.setdefault((key[1], key[3]), []).append(key)
    return Sensitivity(
        now.latency,
        _ordered(row(keys, None, None) for keys in groups.values()),
        _ordered(row([key], key[0], key[2]) for key in every),
    )


def what_if(report: Report, throughputs: Mapping[ThroughputKey, Throughput]) -> WhatIf:
    """The latency with other throughputs.

    The order of service stays; analysing anew may find a better one. With infinite throughput,
    accesses take no time, and still wait for their turn.

    Parameters
    ----------
    report
        The report.
    throughputs
        Component, (component, action), or (Einsum, component, tensor or None, action) → factor
        on throughput: 2 is twice as fast. Where several fit, the most specific holds.
        ``"overhead"``, the constant in a ``total_latency``, is an action; a component alone does
        not mean it.

    Raises
    ------
    OptionError
        A name does not exist, or a factor is not a number above zero.

    Examples
    --------
    >>> import polylat
    >>> files = ("examples/arch.yaml", "examples/workload.yaml", "examples/tap_resident.yaml")
    >>> report = polylat.analyze(polylat.load(*files), granularity="tile", background="o2")
    >>> report.what_if({"DRAM": 2}).latency, report.what_if({("SRAM", "read"): "inf"}).latency
    (25792, 24576)
    """
    if not isinstance(throughputs, Mapping):
        raise OptionError(
            f"throughputs must be a mapping, not {_shown(throughputs)}",
            mend='write {"DRAM": 2} for twice as fast',
        )
    retimer = report._retimer
    given: dict[ThroughputKey, Fraction] = {}
    for name, factor in throughputs.items():
        given[name] = _scale(factor, f"throughput of {_named(report, name)}")
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
    found = retimer.evaluate(scales)
    return WhatIf(found.latency, _speedup(report, found.latency), found.time)


def best_change(report: Report, factor: int = 2) -> Change | None:
    """The action of a component that lowers the latency most when it becomes faster.

    The order of service stays; analysing anew may find a better one.

    Parameters
    ----------
    report
        The report.
    factor
        How many times faster.

    Returns
    -------
    Change or None
        None where no single action that becomes so much faster is known to lower the latency.

    Examples
    --------
    >>> import polylat
    >>> from polylat.sensitivity import best_change
    >>> files = ("examples/arch.yaml", "examples/workload.yaml", "examples/tap_resident.yaml")
    >>> best_change(polylat.analyze(polylat.load(*files), granularity="tile"))
    Change(component='DRAM', action='read', factor=2, latency=27904, speedup=Fraction(126, 109))
    """
    retimer = report._retimer
    now = retimer.evaluate({})
    best: Change | None = None
    # What is not on this critical path leaves it as long as it is.
    for component, action in dict.fromkeys((key[1], key[3]) for key in now.time):
        keys = _keys(retimer, component, action)
        try:
            latency = retimer.evaluate(dict.fromkeys(keys, Fraction(1, factor))).latency
        except UnsupportedError:  # too many tile iterations would have to be looked at
            continue
        if latency < (best.latency if best else now.latency):
            best = Change(component, action, factor, latency, _speedup(report, latency))
    return best


def curve(report: Report, component: str, action: str | None = None) -> Curve:
    """The latency as a function of the bandwidth of a component.

    The order of service stays; analysing anew at another bandwidth may find a better one.

    Parameters
    ----------
    report
        The report.
    component
        The component.
    action
        One of its actions; None for all of them (but not for the constant in its
        ``total_latency``, which is the action ``"overhead"``).

    Raises
    ------
    OptionError
        There is no such component or action.

    Examples
    --------
    >>> import polylat
    >>> files = ("examples/arch.yaml", "examples/workload.yaml", "examples/tap_resident.yaml")
    >>> report = polylat.analyze(polylat.load(*files), granularity="tile", background="o2")
    >>> found = report.curve("DRAM")
    >>> found.breakpoints[1], found.slopes[0], found.at_bandwidth(2), found.beyond
    ((Fraction(65, 184), 24064), 0, 25792, Fraction(184, 65))
    """
    _named(report, component if action is None else (component, action))
    retimer = report._retimer
    keys = _keys(retimer, component, action)
    now = retimer.evaluate({})
    pieces, unresolved = _envelope(_tangents(retimer, keys), _steepest(retimer, keys))
    return Curve(
        component,
        action,
        now.latency,
        tuple((number(start), number(line.at(start))) for start, line in pieces),
        tuple(number(line.slope) for _, line in pieces),
        tuple((number(left), number(right)) for left, right in unresolved),
    )


# Lines -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Line:
    """A line that touches a convex function from below."""

    rest: Fraction
    slope: Fraction

    def at(self, scale: Fraction) -> Fraction:
        return self.rest + self.slope * scale


_Tangents = Callable[[Fraction], _Line]


def _tangents(retimer: Retimer, keys: Collection[AccessKey]) -> _Tangents:
    """Scale of some durations → a line through the latency there that is nowhere above it."""
    return lambda scale: _line(retimer.evaluate(dict.fromkeys(keys, scale)), keys, scale)


def _line(found: Evaluation, keys: Collection[AccessKey], scale: Fraction) -> _Line:
    slope = found.slope(keys)
    return _Line(found.latency - slope * scale, slope)


def _steepest(retimer: Retimer, keys: Collection[AccessKey]) -> Fraction:
    """The largest slope of any line: the latency if only these accesses took time."""
    rest = dict.fromkeys((key for key in retimer.loads if key not in keys), Fraction(0))
    return Fraction(retimer.evaluate(rest).latency)


_Piece = tuple[Fraction, _Line]


def _envelope(
    tangents: _Tangents, steepest: Fraction
) -> tuple[list[_Piece], list[tuple[Fraction, Fraction]]]:
    """The pieces of a convex piecewise linear function from 0 on, and where they begin.

    Parameters
    ----------
    tangents
        Gives a line of the function anywhere.
    steepest
        Its slope from some place on.

    Returns
    -------
    (pieces, unresolved)
        And narrow intervals in which no line can be had.
    """
    first = (Fraction(0), tangents(Fraction(0)))
    last = (Fraction(1), tangents(Fraction(1)))
    points = [first, last]
    while last[1].slope != steepest:
        last = (2 * last[0], tangents(2 * last[0]))
        points.append(last)
    pieces: list[_Piece] = []
    unresolved: list[tuple[Fraction, Fraction]] = []
    # What is left to be resolved, from left to right: each between two points with their lines.
    while len(points) > 1:
        (left, low), (right, high) = points[:2]
        if low.at(right) == high.at(right):
            pieces.append((left, low))
        elif low.at(left) == high.at(left):
            pieces.append((left, high))
        else:
            middle = (low.rest - high.rest) / (high.slope - low.slope)
            try:
                line = tangents(middle)
            except UnsupportedError:
                near = _around(tangents, middle, left, right)
                if near:
                    points[1:1] = near
                    continue
                unresolved.append((left, right))
            else:
                if line.at(middle) != low.at(middle):
                    points.insert(1, (middle, line))
                    continue
            pieces += [(left, low), (middle, high)]
        del points[0]
    pieces.append(points[0])
    distinct = [piece for i, piece in enumerate(pieces) if i == 0 or piece[1] != pieces[i - 1][1]]
    return distinct, unresolved


def _around(tangents: _Tangents, middle: Fraction, left: Fraction, right: Fraction) -> list[_Piece]:
    """Points with their lines close to one where none can be had, if they are not there yet."""
    found = []
    for factor in (1 - _CLOSE, 1 + _CLOSE):
        scale = middle.limit_denominator(10**9) * factor
        if left < scale < right:
            try:
                found.append((scale, tangents(scale)))
            except UnsupportedError:
                continue
    return found


_CLOSE = Fraction(1, 10**5)


# Rows --------------------------------------------------------------------------------------------


def _ordered(rows: Iterable[Row]) -> tuple[Row, ...]:
    return tuple(sorted(rows, key=lambda r: (-r.critical, r.slack is None, r.slack or 0)))


def _slack(retimer: Retimer, keys: Collection[AccessKey], now: Evaluation) -> Number | None:
    """The largest factor on durations that leaves the latency as it is; None if unlimited."""
    if not keys:
        return None
    if any(key in now.time for key in keys):
        return 1
    # Slower than this, some port alone is busy for longer; a whole number is timed sooner.
    scale = Fraction(ceil(Fraction(now.latency) / max(retimer.loads[key] for key in keys)))
    while True:
        try:
            probe, found = _probe(retimer, keys, now, scale)
            if probe == scale and found.latency == now.latency:
                return number(scale)
            line = _line(found, keys, probe)
        except UnsupportedError:
            return _proven_slack(retimer, keys, now, scale)
        # The latency is no less than its line here, so nothing slower than where that line leaves
        # the present latency is free. Lines become less steep, and there are finitely many.
        scale = (now.latency - line.rest) / line.slope


def _probe(
    retimer: Retimer, keys: Collection[AccessKey], now: Evaluation, scale: Fraction
) -> tuple[Fraction, Evaluation]:
    """The schedule at a scale, or at one below it that is not free either, if that is quicker.

    Where two rates are nearly the same, many tile iterations must be looked at; further away, few.
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


def _proven_slack(
    retimer: Retimer, keys: Collection[AccessKey], now: Evaluation, scale: Fraction
) -> Number:
    """A factor that is free, just below one at which too many tile iterations must be looked at.

    There two rates are so nearly the same that one catches up with the other after very long.
    """
    for below in _JUST_BELOW:
        try:
            factor = scale.limit_denominator(1000) * below
            if retimer.evaluate(dict.fromkeys(keys, factor)).latency == now.latency:
                return number(max(factor, Fraction(1)))
        except UnsupportedError:
            continue
    return 1


_JUST_BELOW = tuple(1 - Fraction(1, 10**digits) for digits in (6, 4, 3, 2, 1))


def _if_free(retimer: Retimer, keys: Collection[AccessKey], now: Evaluation) -> Number | None:
    """The latency if some accesses took no time."""
    if not any(key in now.time for key in keys):
        return now.latency
    try:
        return retimer.evaluate(dict.fromkeys(keys, Fraction(0))).latency
    except UnsupportedError:
        return None


def _duration(report: Report, key: AccessKey) -> Number:
    """How long one action takes on its slowest port."""
    einsum, name, _, action = key
    ports = report._model.lowered.spec.arch.component(einsum, name).ports
    if action == OVERHEAD:
        return number(max(port.constant for port in ports))
    return number(max((p.durations.get(action, Fraction(0)) for p in ports), default=Fraction(0)))


def _sum(values: Iterable[Number]) -> Number:
    return number(sum(values, Fraction(0)))


def _speedup(report: Report, latency: Number) -> Fraction | None:
    return Fraction(report.latency) / Fraction(latency) if latency else None


# Names and numbers -------------------------------------------------------------------------------


def _keys(retimer: Retimer, component: str, action: str | None) -> frozenset[AccessKey]:
    """What takes time on a component, by one action or by all but ``"overhead"``."""
    return frozenset(
        key
        for key in retimer.loads
        if key[1] == component and (key[3] == action if action else key[3] != OVERHEAD)
    )


def _named(report: Report, name: object) -> str:
    """What a name stands for, in words; raises `OptionError` if it is none."""
    arch = report._model.lowered.spec.arch
    if isinstance(name, str):
        _known("component", name, arch.order)
        return name
    if not isinstance(name, tuple) or len(name) not in (2, 4):
        raise OptionError(
            f"throughputs: {_shown(name)} names no accesses",
            mend="name a component, (component, action) or (einsum, component, tensor, action)",
        )
    if len(name) == 2:
        component, action = name
        _known("component", component, arch.order)
        used = [c for path in arch.paths.values() for c in path if c.name == component]
        actions = [a for c in used for a in c.actions]
        if any(port.constant for c in used for port in c.ports):
            actions.append(OVERHEAD)
        if used:
            _known("action", action, list(dict.fromkeys(actions)), f"component {component!r}")
        return f"{component} {action}"
    known = {*report.accesses, *report._retimer.loads}
    if name not in known:
        raise OptionError(
            f"there is no access {_shown(name)}",
            where="throughputs",
            mend="use one of the keys of report.accesses",
        )
    return " ".join(str(part) for part in name if part is not None)


def _known(kind: str, name: object, known: Sequence[str], where: str | None = None) -> None:
    if name not in known:
        close = get_close_matches(str(name)[:200], known, n=1)
        use = f"use one of: {', '.join(known)}" if known else None
        raise OptionError(
            f"there is no {kind} {_shown(name)}",
            where=where,
            mend=f"did you mean {close[0]!r}?" if close else use,
        )


def _scale(factor: object, what: str) -> Fraction:
    """The factor on durations that a factor on throughput means."""
    if isinstance(factor, (str, float)) and factor in ("inf", inf):
        return Fraction(0)
    value: Fraction | None = None
    if isinstance(factor, (int, Fraction, Decimal, str)) and not isinstance(factor, bool):
        try:
            value = Fraction(ratio(factor) if isinstance(factor, str) else exact(factor))
        except (BadNumber, ArithmeticError):
            value = None
    if value is None or value <= 0:
        raise OptionError(
            f"a factor must be an exact number above zero, or inf, not {_shown(factor)}",
            where=what,
            mend='write 2, "1.5" or Fraction(3, 2); 2 is twice as fast',
        )
    return 1 / value


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:79] + "…"
