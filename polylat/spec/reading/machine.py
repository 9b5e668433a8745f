"""Properties of the machine under ``schedule:``: throughput, latency, setup, burst and rigid."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from polylat.errors import OptionError, UnsupportedError
from polylat.spec.arguments import check_exists
from polylat.spec.reading.actions import Actions, action_names, finite_time
from polylat.spec.reading.expressions.evaluation import evaluate_whole
from polylat.spec.reading.location import Location
from polylat.spec.reading.models import arch as m
from polylat.spec.reading.suggest import describe_value, did_you_mean, format_value

MACHINE_KEYS = ("throughput", "latency", "setup", "burst", "rigid")
"""The keys under ``schedule:`` that are no options of `analyze`."""

_BY_ACTION = ("throughput", "latency", "setup", "burst")
_KINDS = {"throughput": "throughput", "burst": "number"}
_TRANSFERS_ONLY = ("setup", "burst")


@dataclass(frozen=True)
class Machine:
    """What ``schedule:`` says about the components, checked but not evaluated.

    Parameters
    ----------
    given
        Key → component → action → number or expression.
    rigid
        The Computes whose pipelines stall as a whole.
    at
        Location of ``schedule:`` in the input.
    """

    given: Mapping[str, Mapping[str, Mapping[str, Any]]]
    rigid: frozenset[str]
    at: Location

    def throughputs(self, name: str, einsum: str) -> dict[str, tuple[Any, Location]]:
        """Return the throughputs given for a component's actions.

        Parameters
        ----------
        name
            Name of the component.
        einsum
            The Einsum for which they are evaluated, for messages.

        Returns
        -------
        dict
            Action → (number or expression, its location in the input).
        """
        entries = self._entries("throughput", name, einsum)
        return {action: (value, at) for action, value, at in entries}

    def latency(
        self, actions: Actions, own: Mapping[str, Fraction] | None = None
    ) -> dict[str, Fraction]:
        """Return the fixed latencies of a component's actions.

        Parameters
        ----------
        actions
            The actions of the component.
        own
            Action → its latency where ``schedule:`` gives none. Default: those of the actions'
            own fields.

        Returns
        -------
        dict
            Action → latency above zero; that under ``schedule:``, else the action's own.

        Raises
        ------
        ExpressionError
            A value is not a finite time.
        UnsupportedError
            A Toll has a latency: a transfer has those of its read and its write.
        """
        if own is None:
            own = {name: actions.latency(name) for name in actions.names}
        given = {**own, **self._times("latency", actions)}
        found = {name: time for name, time in given.items() if time}
        if found and isinstance(actions.model, m.TollModel):
            raise UnsupportedError(
                f"a fixed latency of the Toll {actions.model.name!r}",
                where=str(actions.at),
                fix="add it to the latency of the reads and writes whose values pass it",
            )
        return found

    def setup(self, actions: Actions) -> dict[str, Fraction]:
        """Return the times that each transfer keeps a component busy longer.

        Parameters
        ----------
        actions
            The actions of the component.

        Returns
        -------
        dict
            Action → time above zero.

        Raises
        ------
        ExpressionError
            A value is not a finite time.
        """
        return {name: time for name, time in self._times("setup", actions).items() if time}

    def burst(self, actions: Actions) -> dict[str, int]:
        """Return the numbers to whose multiples the actions of each transfer are rounded up.

        Parameters
        ----------
        actions
            The actions of the component.

        Returns
        -------
        dict
            Action → number above one.

        Raises
        ------
        ExpressionError
            A value is not a whole number above zero.
        """
        found = {
            action: evaluate_whole(value, actions.scopes[action], at, what="the burst")
            for action, value, at in self._entries("burst", *_names(actions))
        }
        return {name: count for name, count in found.items() if count > 1}

    def _times(self, key: str, actions: Actions) -> dict[str, Fraction]:
        return {
            action: finite_time(value, actions.scopes[action], at, what=f"the {key}")
            for action, value, at in self._entries(key, *_names(actions))
        }

    def _entries(self, key: str, name: str, einsum: str) -> list[tuple[str, Any, Location]]:
        """Return (action, value, location) of all values of a component."""
        at = (self.at / key / name).for_einsum(einsum)
        given = self.given.get(key, {}).get(name, {})
        return [(action, value, at / action) for action, value in given.items()]


def _names(actions: Actions) -> tuple[str, str]:
    """Return the component's name, and that of the Einsum."""
    return actions.model.name, str(actions.at.einsum)


def read_machine(
    schedule: Mapping[str, Any], components: Mapping[str, m.SpatialableModel], at: Location
) -> Machine:
    """Check what ``schedule:`` says about the components.

    Parameters
    ----------
    schedule
        The key ``schedule`` of the input.
    components
        Name → model of every component.
    at
        The root of the input.

    Returns
    -------
    Machine
        The properties.

    Raises
    ------
    OptionError
        A key has another form, or names a component or an action that does not exist.
    """
    here = at / "schedule"
    given = {key: _by_action(key, schedule.get(key), components, here) for key in _BY_ACTION}
    return Machine(given, _rigid(schedule.get("rigid"), components, here / "rigid"), here)


def _by_action(
    key: str, value: Any, components: Mapping[str, m.SpatialableModel], here: Location
) -> dict[str, dict[str, Any]]:
    kind = _KINDS.get(key, "time")
    found: dict[str, dict[str, Any]] = {}
    for name, by_action in _mapping(value, f"components to {{action: {kind}}}", here / key).items():
        at = here / key / name
        check_exists("component", name, components, key, str(at))
        model = components[name]
        if not isinstance(model, m.ComponentModel):
            raise OptionError(
                f"{key} names {name!r}, which has no actions",
                where=str(at),
                fix="name a Memory, a Toll, a Network or a Compute",
            )
        if isinstance(model, m.ComputeModel) and key in _TRANSFERS_ONLY:
            raise OptionError(
                f"{key} names the Compute {name!r}, which transfers nothing",
                where=str(at),
                fix="name a Memory, a Toll or a Network",
            )
        found[name] = _mapping(by_action, f"actions to {kind}s", at)
        for action, entry in found[name].items():
            if action not in action_names(model):
                raise OptionError(
                    f"{name!r} has no action {action!r}",
                    where=str(at / action),
                    fix=did_you_mean(action, action_names(model)),
                )
            if not isinstance(entry, (str, int, float, Fraction)):
                raise OptionError(
                    f"must be a number or an expression, not {describe_value(entry)}",
                    where=str(at / action),
                    fix=f"give a {kind}",
                )
    return found


def _rigid(
    value: Any, components: Mapping[str, m.SpatialableModel], at: Location
) -> frozenset[str]:
    names = [value] if isinstance(value, str) else [] if value is None else value
    if not isinstance(names, list):
        raise OptionError(
            f"rigid must be a list of Computes, not {describe_value(value)}", where=str(at)
        )
    computes = [name for name, model in components.items() if isinstance(model, m.ComputeModel)]
    for index, name in enumerate(names):
        if name not in computes:
            where = str(at if isinstance(value, str) else at / index)
            raise OptionError(
                f"rigid names {format_value(name)}, which is not a Compute",
                where=where,
                fix=did_you_mean(name, computes),
            )
    return frozenset(names)


def _mapping(value: Any, what: str, at: Location) -> dict[str, Any]:
    if value is None:
        return {}
    if isinstance(value, dict):
        return value
    raise OptionError(
        f"must be a mapping from {what}, not {describe_value(value)}",
        where=str(at),
        fix="write {component: {action: …}}",
    )
