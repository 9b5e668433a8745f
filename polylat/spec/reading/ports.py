"""Derive the ports of a component from its ``total_latency``."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from polylat.errors import ExpressionError, SpecError, UnsupportedError
from polylat.spec.arch import Port
from polylat.spec.reading.actions import Actions
from polylat.spec.reading.expressions.evaluation import evaluate
from polylat.spec.reading.expressions.kinds import kind_of
from polylat.spec.reading.expressions.latency import maximum
from polylat.spec.reading.expressions.max_plus import LinearForm, MaxPlusLatency, NotMaxPlusError
from polylat.spec.reading.expressions.scope import Scope
from polylat.spec.reading.location import Location
from polylat.spec.reading.models import arch as m
from polylat.spec.reading.numbers import Number
from polylat.spec.reading.rates import reciprocal
from polylat.spec.reading.suggest import format_value

_DEFAULT_LATENCY = "sum(a.n_calls / a.throughput for a in actions)"


def build_ports(
    model: m.ComponentModel, actions: Actions, scope: Scope, at: Location
) -> tuple[Port, ...]:
    """Build one port per argument of the outermost ``max`` of a component's ``total_latency``.

    Parameters
    ----------
    model, actions
        The component and its actions.
    scope
        The names that ``total_latency`` may use, other than ``actions``.
    at
        Location of the component in the input.

    Returns
    -------
    tuple of Port
        At least one port.

    Raises
    ------
    SpecError
        ``total_latency`` and ``separate_read_write_ports`` are both given.
    ExpressionError
        ``total_latency`` is not a finite time.
    UnsupportedError
        ``total_latency`` is not a maximum of sums, or subtracts.
    """
    here = at / "total_latency"
    if model.separate_read_write_ports:
        if model.total_latency is not None:
            raise SpecError(
                "total_latency and separate_read_write_ports are both given",
                where=str(here),
                fix="leave one of them out",
            )
        reads = [name for name in actions.names if name == "read"]
        rest = [name for name in actions.names if name != "read"]
        return _named([_sum_of(group, actions) for group in (reads, rest) if group])
    text = _DEFAULT_LATENCY if model.total_latency is None else model.total_latency
    try:
        value = maximum([_latency(text, Scope({"actions": actions.table()}, scope), here)])
    except NotMaxPlusError as error:
        raise UnsupportedError(
            f"the total_latency of {model.name!r} is not a maximum of sums: {error}",
            where=str(here),
            fix="write it with +, max() and n_calls times or over constants, such as "
            "max(a.n_calls / a.throughput for a in actions)",
        ) from None
    for form in value.forms:
        if form.constant < 0 or any(c < 0 for c in form.terms.values()):
            raise UnsupportedError(
                f"the total_latency of {model.name!r} subtracts",
                where=str(here),
                fix="write it as a max() of sums of n_calls over throughput",
            )
    busy = [form for form in value.forms if form.terms or form.constant]
    return _named(busy or [LinearForm({})])


def _latency(text: Any, scope: Scope, at: Location) -> MaxPlusLatency | Number:
    value = evaluate(text, scope, at)
    if isinstance(value, (MaxPlusLatency, int, Fraction)):
        return value
    got = format_value(value) if isinstance(value, (str, float)) else kind_of(value)
    raise ExpressionError(f"{format_value(text)} must be a finite time, not {got}", where=str(at))


def _sum_of(names: list[str], actions: Actions) -> LinearForm:
    return LinearForm({name: reciprocal(actions.throughput(name)) for name in names})


def _named(forms: list[LinearForm]) -> tuple[Port, ...]:
    """Return one port per form, named after its actions if there are several ports."""
    if len(forms) == 1:
        return (Port("", dict(forms[0].terms), forms[0].constant),)
    ports: list[Port] = []
    for form in forms:
        name = "+".join(form.terms) or "constant"
        taken = {port.name for port in ports}
        index = next(i for i in range(1, len(forms) + 1) if _numbered(name, i) not in taken)
        ports.append(Port(_numbered(name, index), dict(form.terms), form.constant))
    return tuple(ports)


def _numbered(name: str, index: int) -> str:
    return name if index == 1 else f"{name} #{index}"
