"""Derive the ports of a component from its ``total_latency``."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from polylat.errors import ExpressionError, SpecError, UnsupportedError
from polylat.spec.arch import Port
from polylat.spec.reading.actions import Actions
from polylat.spec.reading.expressions.evaluation import evaluate
from polylat.spec.reading.expressions.evaluator import parse_expression
from polylat.spec.reading.expressions.kinds import kind_of
from polylat.spec.reading.expressions.latency import maximum
from polylat.spec.reading.expressions.max_plus import LinearForm, MaxPlusLatency, NotMaxPlusError
from polylat.spec.reading.expressions.objects import ItemList
from polylat.spec.reading.expressions.scope import Scope
from polylat.spec.reading.location import Location
from polylat.spec.reading.models import arch as m
from polylat.spec.reading.numbers import Number
from polylat.spec.reading.rates import reciprocal
from polylat.spec.reading.suggest import format_value
from polylat.spec.total_latency import TotalLatency

_CALLS = "n_calls"
_ROUNDING = ("ceil", "floor", "round", "trunc", "int")
_FIX = (
    "write it with +, max() and n_calls times or over constants, such as "
    "max(a.n_calls / a.throughput for a in actions); polylat.roofline evaluates it as it is"
)
_BURST_FIX = (
    "leave the rounding out, and give the bursts as schedule: burst: {component: {action: n}}, "
    "which rounds up each transfer; polylat.roofline evaluates it as it is"
)


def build_ports(
    model: m.ComponentModel, actions: Actions, scope: Scope, at: Location
) -> tuple[Port, ...] | TotalLatency:
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
    tuple of Port, or TotalLatency
        At least one port; the expression if it is not a maximum of sums, or subtracts.

    Raises
    ------
    SpecError
        ``total_latency`` and ``separate_read_write_ports`` are both given.
    ExpressionError
        ``total_latency`` cannot be evaluated, or is not a finite time.
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
    if model.total_latency is None:
        # AccelForge's default: sum(a.n_calls / a.throughput for a in actions).
        return _named([_sum_of(actions.names, actions)])
    own = Scope({"actions": actions.table()}, scope)
    forms = _forms(model.total_latency, own, here)
    if isinstance(forms, str):
        return _unported(model.total_latency, own, actions.table(), forms, here)
    return _named(list(forms))


def latency_forms(
    name: str, text: Any, scope: Scope, at: Location, *, example: str
) -> tuple[LinearForm, ...]:
    """Evaluate a ``total_latency`` to the arguments of its outermost ``max``.

    Parameters
    ----------
    name
        Name of the component.
    text, scope
        The expression, and the names that it may use.
    at
        Location of the component in the input.
    example
        An expression that can be evaluated, for messages.

    Returns
    -------
    tuple of LinearForm
        Those that take time; at least one.

    Raises
    ------
    ExpressionError
        The value is not a finite time.
    UnsupportedError
        The value is not a maximum of sums, or subtracts.
    """
    here = at / "total_latency"
    forms = _forms(text, scope, here)
    if isinstance(forms, str):
        raise UnsupportedError(
            f"the total_latency of {name!r} {forms}",
            where=str(here),
            fix=f"write it with +, max() and counts times or over constants, such as {example}",
        )
    return forms


def _forms(text: Any, scope: Scope, at: Location) -> tuple[LinearForm, ...] | str:
    """Return the arguments of the outermost ``max`` that take time; or why there are none."""
    try:
        value = maximum([_latency(text, scope, at)])
    except NotMaxPlusError as error:
        return f"is not a maximum of sums: {error}"
    if any(form.constant < 0 or min(form.terms.values(), default=0) < 0 for form in value.forms):
        return "subtracts"
    busy = tuple(form for form in value.forms if form.terms or form.constant)
    return busy or (LinearForm({}),)


def _unported(
    expression: Any, scope: Scope, actions: ItemList, reason: str, at: Location
) -> TotalLatency:
    """Return a ``total_latency`` without ports, with the values that its expression uses."""
    nodes = list(ast.walk(parse_expression(expression))) if isinstance(expression, str) else []
    names = {node.id for node in nodes if isinstance(node, ast.Name)} - {"actions"}
    used: set[object] = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    used |= {node.value for node in nodes if isinstance(node, ast.Constant)}
    rounds = any(name in names for name in _ROUNDING) or any(
        isinstance(node, (ast.FloorDiv, ast.Mod)) for node in nodes
    )
    return TotalLatency(
        expression,
        {name: scope.lookup(name) for name in sorted(names) if name in scope},
        {
            name: {key: fields.attribute(key) for key in fields.names() if key in used - {_CALLS}}
            for name, fields in zip(actions.names(), actions, strict=True)
        },
        str(at),
        reason,
        _BURST_FIX if rounds else _FIX,
    )


def _latency(text: Any, scope: Scope, at: Location) -> MaxPlusLatency | Number:
    value = evaluate(text, scope, at)
    if isinstance(value, (MaxPlusLatency, int, Fraction)):
        return value
    got = format_value(value) if isinstance(value, (str, float)) else kind_of(value)
    raise ExpressionError(f"{format_value(text)} must be a finite time, not {got}", where=str(at))


def _sum_of(names: Sequence[str], actions: Actions) -> LinearForm:
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
