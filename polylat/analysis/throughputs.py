"""Names of accesses and factors on throughput, as users give them."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from difflib import get_close_matches
from fractions import Fraction
from math import inf

from polylat.analysis.access import OVERHEAD, AccessKey
from polylat.analysis.access_counts import access_counts
from polylat.analysis.evaluation import Retimer
from polylat.errors import OptionError
from polylat.spec.reading.numbers import BadNumber, parse_ratio, to_exact

__all__ = ["Throughput", "ThroughputKey", "describe_name", "duration_factor", "shown", "timed_keys"]

ThroughputKey = str | tuple[str, str] | AccessKey
"""A component, (component, action), or (Einsum, component, tensor or None, action)."""
Throughput = int | float | str | Fraction | Decimal
"""A factor on throughput: a number, also as text, or inf. A float is the decimal that it prints."""


def timed_keys(retimer: Retimer, component: str, action: str | None) -> frozenset[AccessKey]:
    """Return the accesses that take time on a component.

    Parameters
    ----------
    retimer
        Times the schedule anew.
    component, action
        The component, and one of its actions; None: all but ``"overhead"``.

    Returns
    -------
    frozenset
        (Einsum, component, tensor or None, action) keys.
    """
    return frozenset(
        key
        for key in retimer.loads
        if key[1] == component and (key[3] == action if action else key[3] != OVERHEAD)
    )


def describe_name(retimer: Retimer, name: object) -> str:
    """Describe the accesses that a name refers to.

    Parameters
    ----------
    retimer
        Times the schedule anew.
    name
        The name, as a user gives it (see `ThroughputKey`).

    Returns
    -------
    str
        A few words.

    Raises
    ------
    OptionError
        It refers to no access.
    """
    model = retimer.solution.model
    arch = model.lowered.spec.arch
    if isinstance(name, str):
        _known("component", name, arch.order)
        return name
    if not isinstance(name, tuple) or len(name) not in (2, 4):
        raise OptionError(
            f"throughputs: {shown(name)} does not name accesses",
            fix="name a component, (component, action) or (einsum, component, tensor, action)",
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
    known = {*access_counts(model), *retimer.loads}
    if name not in known:
        raise OptionError(
            f"there is no access {shown(name)}",
            where="throughputs",
            fix="use one of the keys of report.accesses",
        )
    return " ".join(str(part) for part in name if part is not None)


def _known(kind: str, name: object, known: Sequence[str], where: str | None = None) -> None:
    """Refuse a name that does not exist."""
    if name not in known:
        close = get_close_matches(str(name)[:200], known, n=1)
        use = f"use one of: {', '.join(known)}" if known else None
        raise OptionError(
            f"there is no {kind} {shown(name)}",
            where=where,
            fix=f"did you mean {close[0]!r}?" if close else use,
        )


def duration_factor(factor: object, what: str) -> Fraction:
    """Convert a factor on throughput to a factor on durations.

    Parameters
    ----------
    factor
        The factor on throughput.
    what
        What it applies to, for messages.

    Returns
    -------
    Fraction
        Its reciprocal; 0 for an infinite throughput.

    Raises
    ------
    OptionError
        It is not a number above zero, nor infinite.
    """
    if isinstance(factor, (str, float)) and factor in ("inf", inf):
        return Fraction(0)
    value: Fraction | None = None
    given = str(float(factor)) if isinstance(factor, float) else factor  # 0.1 means one tenth
    if isinstance(given, (int, Fraction, Decimal, str)) and not isinstance(given, bool):
        try:
            value = Fraction(parse_ratio(given) if isinstance(given, str) else to_exact(given))
        except (BadNumber, ArithmeticError):
            value = None
    if value is None or value <= 0:
        raise OptionError(
            f"a factor must be a number above zero, or inf, not {shown(factor)}",
            where=what,
            fix="write 2, 1.5 or Fraction(3, 2); 2 is twice as fast",
        )
    return 1 / value


def shown(value: object) -> str:
    """Return a value for a message.

    Parameters
    ----------
    value
        Any value.

    Returns
    -------
    str
        Its ``repr``, at most 80 characters of it.
    """
    text = repr(value)
    return text if len(text) <= 80 else text[:79] + "…"
