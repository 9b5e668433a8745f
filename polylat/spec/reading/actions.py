"""The actions of a component: their throughput and the number of actions per value."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from functools import partial
from typing import Any

from polylat.errors import ExpressionError, SpecError
from polylat.spec.network import HOP
from polylat.spec.reading.expressions.evaluation import evaluate_number
from polylat.spec.reading.expressions.fields import lazy_field
from polylat.spec.reading.expressions.lazy_value import LazyValue
from polylat.spec.reading.expressions.max_plus import MaxPlusLatency
from polylat.spec.reading.expressions.objects import Fields, ItemList
from polylat.spec.reading.expressions.scope import Scope
from polylat.spec.reading.expressions.sets import NameSet
from polylat.spec.reading.expressions.tensor_sets import values_by_tensor
from polylat.spec.reading.location import Location
from polylat.spec.reading.models import arch as m
from polylat.spec.reading.numbers import Number
from polylat.spec.reading.rates import (
    multiply_rates,
    reciprocal,
    reciprocal_rate,
    require_positive,
    throughput_scale,
    throughput_scale_alone,
)
from polylat.spec.reading.suggest import format_value

_ALWAYS = {
    "Memory": ("read", "write"),
    "Toll": ("read",),
    "Compute": ("compute",),
    "Network": (HOP,),
}


def action_names(model: m.ComponentModel) -> tuple[str, ...]:
    """Return the actions of a component: those given, then those that its kind always has.

    Parameters
    ----------
    model
        The component.

    Returns
    -------
    tuple of str
        Their names.
    """
    given: list[m.ActionModel] = getattr(model, "actions", [])
    always = _ALWAYS[type(model).__name__.removesuffix("Model")]
    return tuple(dict.fromkeys((*(action.name for action in given), *always)))


def is_dummy(model: m.ComponentModel) -> bool:
    """Return whether a component is of AccelForge's class for components without costs.

    Parameters
    ----------
    model
        The component.

    Returns
    -------
    bool
        True if it is a ``Dummy``.
    """
    return str(model.component_class).lower() == "dummy"


def component_model_note(model: m.ComponentModel) -> str:
    """Return the note where AccelForge would take a missing value from.

    Parameters
    ----------
    model
        The component.

    Returns
    -------
    str
        In parentheses, behind a space; empty if the component has no class.
    """
    given = model.component_class
    if not given:
        return ""
    return (
        f" (AccelForge would query its component model {format_value(given)}, "
        "with the package hwcomponents)"
    )


def finite_time(expression: object, scope: Scope, at: Location, *, what: str) -> Fraction:
    """Evaluate an expression that must be a finite time.

    Parameters
    ----------
    expression, scope, at
        As for `polylat.spec.reading.expressions.evaluation.evaluate`.
    what
        Description of the time, for messages.

    Returns
    -------
    Fraction
        The time, at least zero.

    Raises
    ------
    ExpressionError
        If the value is negative, infinite or no number.
    """
    value = evaluate_number(expression, scope, at)
    if isinstance(value, float) or value < 0:
        raise ExpressionError(
            f"{what} must be a finite time of at least zero, not {format_value(value)}",
            where=str(at),
        )
    return Fraction(value)


class Actions:
    """The actions of a component: those given, then the missing ones that its kind always has.

    Parameters
    ----------
    model
        The component.
    everything
        All tensors of the Einsum.
    scope
        The names that the component's expressions may use.
    at
        Location of the component in the input.
    throughputs
        Action → (throughput, its location), given in place of those of the actions.
    """

    def __init__(
        self,
        model: m.ComponentModel,
        everything: NameSet,
        scope: Scope,
        at: Location,
        throughputs: Mapping[str, tuple[Any, Location]],
    ) -> None:
        self.model, self.everything, self.scope, self.at = model, everything, scope, at
        self.throughputs = throughputs
        here = at / "actions"
        given: list[m.ActionModel] = getattr(model, "actions", [])
        self.given = {action.name: (action, here / i) for i, action in enumerate(given)}
        self.names = action_names(model)
        for name in self.names:
            self.given.setdefault(name, (m.HolderActionModel(name=name), here))
        self.scopes = {name: self._scope(name) for name in self.names}

    def throughput(self, name: str) -> Number:
        """Return the throughput of an action, with all scales and the parallel instances.

        Parameters
        ----------
        name
            The action.

        Returns
        -------
        Number
            Actions per unit of time of the architecture; infinite if the action takes no time.

        Raises
        ------
        SpecError
            If no throughput is given.
        ExpressionError
            If an expression cannot be evaluated or is out of range.
        """
        action, at = self.given[name]
        key = "n_parallel_instances"
        instances = evaluate_number(
            self.model.n_parallel_instances, self.scope.without(key), self.at / key
        )
        require_positive(instances, key, self.at / key)
        scale = throughput_scale
        if self._has_fixed_latency(name):
            scale = throughput_scale_alone
        else:
            self._check_latency_scale(name)
        value = multiply_rates(self._given_throughput(name), scale(self.model, self.scope, self.at))
        value = multiply_rates(value, scale(action, self.scopes[name], at))
        return multiply_rates(value, instances)

    def latency(self, name: str) -> Fraction:
        """Return the fixed latency of an action, as its own fields give it.

        A latency without a throughput is the time that one action occupies the port, as in
        AccelForge: see `throughput`. Beside a throughput it is a fixed latency, as on AccelForge's
        branch ``latency``, and ``latency_scale`` multiplies it, that of the component and that of
        the action. Elsewhere ``latency_scale`` divides the throughput.

        Parameters
        ----------
        name
            The action.

        Returns
        -------
        Fraction
            The time, zero unless both throughput and latency are given. (A throughput under
            ``schedule:`` is one of the action.)

        Raises
        ------
        ExpressionError
            If an expression cannot be evaluated or is out of range.
        """
        if not self._has_fixed_latency(name):
            return Fraction(0)
        action, at = self.given[name]
        key, scope = "latency", self.scopes[name]
        what = f"the latency of {name!r}"
        time = finite_time(action.latency, scope.without(key), at / key, what=what)
        key = "latency_scale"
        for model, names, place in ((self.model, self.scope, self.at), (action, scope, at)):
            if model.latency_scale is not None:
                what = f"the {key} of {model.name!r}"
                time *= finite_time(model.latency_scale, names.without(key), place / key, what=what)
        return time

    def _has_fixed_latency(self, name: str) -> bool:
        action, _ = self.given[name]
        has_throughput = action.throughput is not None or name in self.throughputs
        return action.latency is not None and has_throughput

    def _check_latency_scale(self, name: str) -> None:
        """Refuse a component's ``latency_scale`` that scales times of two kinds."""
        other = next((n for n in self.names if self._has_fixed_latency(n)), None)
        if self.model.latency_scale is not None and other is not None:
            raise SpecError(
                f"latency_scale of {self.model.name!r} would multiply the fixed latency of"
                f" {other!r}, but divide the throughput of {name!r}, which has no latency",
                where=str(self.at / "latency_scale"),
                fix="give each action a throughput and a latency, or scale the actions themselves",
            )

    def per_value(self, name: str, bits: Mapping[str, Fraction]) -> dict[str, Fraction]:
        """Return the number of actions per value of each tensor.

        Parameters
        ----------
        name
            The action.
        bits
            Tensor → bits of one value in this component.

        Returns
        -------
        dict
            Tensor → number of actions per value.

        Raises
        ------
        ExpressionError
            If an expression cannot be evaluated or is out of range.
        """
        action, at = self.given[name]
        model = self.model
        if isinstance(model, m.NetworkModel):
            return {t: b * reciprocal(self._shared_bits_per_action()) for t, b in bits.items()}
        assert isinstance(model, m.HolderModel)
        assert isinstance(action, m.HolderActionModel)
        key = "values_per_action"
        scope = self.scopes[name]
        own = values_by_tensor(action.values_per_action, self.everything, scope, at / key)
        inherited = values_by_tensor(
            model.values_per_action, self.everything, self.scope, self.at / key
        )
        found: dict[str, Fraction] = {}
        for tensor, bits_per_value in bits.items():
            if tensor in own:
                value, place = own[tensor]
                values_per_action = evaluate_number(value, scope, place)
            elif tensor in inherited:
                value, place = inherited[tensor]
                values_per_action = evaluate_number(value, self.scope, place)
            else:
                found[tensor] = bits_per_value * reciprocal(self._bits_per_action(name))
                continue
            found[tensor] = reciprocal(require_positive(values_per_action, key, place))
        return found

    def table(self) -> ItemList:
        """Return the actions as the expressions of ``total_latency`` see them.

        Returns
        -------
        ItemList
            Name → attributes of the action, evaluated on first use.
        """
        return ItemList("the actions", {name: self._fields(name) for name in self.names})

    def _fields(self, name: str) -> Fields:
        others = ("throughput_scale", "latency_scale", "energy", "energy_scale")
        values: dict[str, Any] = {
            "name": name,
            "throughput": LazyValue(partial(self.throughput, name)),
            **{key: LazyValue(partial(self.scopes[name].lookup, key)) for key in others},
        }
        if isinstance(self.model, m.NetworkModel):
            values["latency"] = LazyValue(partial(self._given_latency, name))
        else:
            values["n_calls"] = MaxPlusLatency.calls(name)
        if isinstance(self.model, m.HolderModel):
            values["bits_per_action"] = LazyValue(partial(self._bits_per_action, name))
        return Fields(f"the action {name!r}", values)

    def _scope(self, name: str) -> Scope:
        """Return the names that the action's expressions may use: its own fields first."""
        action, at = self.given[name]
        table: dict[str, Any] = {"name": name}
        scope = Scope(table, self.scope)
        table["throughput"] = LazyValue(partial(self._given_throughput, name))
        for key in ("throughput_scale", "latency_scale"):
            table[key] = LazyValue(partial(throughput_scale, action, scope, at))
        for key in ("energy", "energy_scale"):
            table[key] = lazy_field(getattr(action, key), scope, key, at)
        if getattr(action, "bits_per_action", None) is not None:
            table["bits_per_action"] = LazyValue(partial(self._bits_per_action, name))
        return scope

    def _given_latency(self, name: str) -> Fraction:
        """Return the latency of an action of a Network, which must have a throughput, too.

        AccelForge reads a latency without a throughput as the reciprocal of one.
        """
        action, at = self.given[name]
        if action.latency is None or action.throughput is None:
            missing = "latency" if action.latency is None else "throughput beside its latency"
            raise SpecError(
                f"the action {name!r} of {self.model.name!r} has no {missing}",
                where=str(at),
                fix=f"give both, such as {{name: {name}, latency: 0, throughput: inf}}",
            )
        return self.latency(name)

    def _given_throughput(self, name: str) -> Number:
        """Return the throughput without scales."""
        action, at = self.given[name]
        scope = self.scopes[name].without("throughput")
        place = at / "throughput"
        if name in self.throughputs:
            given, place = self.throughputs[name]
            value = evaluate_number(given, scope, place)
        elif action.throughput is not None:
            value = evaluate_number(action.throughput, scope, place)
        elif action.latency is not None:
            place = at / "latency"
            value = evaluate_number(action.latency, scope, place)
            if value < 0:
                raise ExpressionError(
                    f"the latency is negative: {format_value(value)}", where=str(place)
                )
            value = reciprocal_rate(value)
        elif is_dummy(self.model):
            return float("inf")
        else:
            raise SpecError(
                f"the action {name!r} of {self.model.name!r} has no throughput"
                f"{component_model_note(self.model)}",
                where=str(at),
                fix=f"add {{name: {name}, throughput: …}} to its actions, or give it as "
                f"schedule: throughput: {{{self.model.name}: {{{name}: …}}}}; "
                "inf if it takes no time",
            )
        return require_positive(value, f"the throughput of {name!r}", place)

    def _bits_per_action(self, name: str) -> Number:
        action, at = self.given[name]
        model = self.model
        assert isinstance(model, m.HolderModel)
        assert isinstance(action, m.HolderActionModel)
        key = "bits_per_action"
        if action.bits_per_action is not None:
            value = evaluate_number(
                action.bits_per_action, self.scopes[name].without(key), at / key
            )
            return require_positive(value, key, at / key)
        return self._shared_bits_per_action()

    def _shared_bits_per_action(self) -> Number:
        """Return the bits per action that a component gives for all of its actions."""
        model = self.model
        assert isinstance(model, m.HolderModel | m.NetworkModel)
        if model.bits_per_action is None:
            return 1
        key = "bits_per_action"
        value = evaluate_number(model.bits_per_action, self.scope.without(key), self.at / key)
        return require_positive(value, key, self.at / key)
