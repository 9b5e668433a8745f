"""Evaluate the energies of a component. An energy that cannot be evaluated is recorded as missing.

Latencies do not depend on energies: an input without them is valid.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

from polylat.errors import ExpressionError, PolylatError, SpecError, UnsupportedError
from polylat.spec.energy import LEAKAGE, ComponentEnergy, MissingEnergy
from polylat.spec.reading.actions import Actions, component_model_note, is_dummy
from polylat.spec.reading.expressions.evaluation import evaluate_number
from polylat.spec.reading.expressions.scope import Scope
from polylat.spec.reading.location import Location
from polylat.spec.reading.suggest import format_value

__all__ = ["component_energy"]


def component_energy(
    actions: Actions, above: Callable[[], int], gated: Location | None
) -> ComponentEnergy:
    """Evaluate the energies of a component.

    Parameters
    ----------
    actions
        The actions of the component.
    above
        Returns the product of the fanouts of the components above.
    gated
        Location in the input of what switches off unused components, if anything does.

    Returns
    -------
    ComponentEnergy
        The energies, as one Einsum sees them.
    """
    per_action: dict[str, Fraction] = {}
    missing: dict[str, MissingEnergy] = {}
    for name in actions.names:
        try:
            per_action[name] = _action_energy(actions, name)
        except PolylatError as error:
            missing[name] = MissingEnergy(error.what, error.where, error.fix)
    power = Fraction(0)
    try:
        power = _leak_power(actions, above, gated)
    except PolylatError as error:
        missing[LEAKAGE] = MissingEnergy(error.what, error.where, error.fix)
    return ComponentEnergy(per_action, power, missing)


def _action_energy(actions: Actions, name: str) -> Fraction:
    """Return the energy of an action, scales included."""
    model, (action, at) = actions.model, actions.given[name]
    if action.energy is None and is_dummy(model):
        return Fraction(0)
    if action.energy is None:
        raise SpecError(
            f"the action {name!r} of {model.name!r} has no energy{component_model_note(model)}",
            where=str(actions.at),
            fix=f"add {{name: {name}, energy: …}} to its actions",
        )
    own, shared = actions.scopes[name], actions.scope
    key = "energy_scale"
    return (
        _finite(action.energy, own.without("energy"), at / "energy")
        * _finite(action.energy_scale, own.without(key), at / key)
        * _finite(model.energy_scale, shared.without(key), actions.at / key)
    )


def _leak_power(actions: Actions, above: Callable[[], int], gated: Location | None) -> Fraction:
    """Return the leak power of all instances, scales included."""
    model, scope, at = actions.model, actions.scope, actions.at
    if model.leak_power is None and is_dummy(model):
        return Fraction(0)
    if model.leak_power is None:
        raise SpecError(
            f"{model.name!r} has no leak power{component_model_note(model)}",
            where=str(at),
            fix="give its leak_power",
        )

    def value(key: str) -> Fraction:
        return _finite(getattr(model, key), scope.without(key), at / key)

    one = value("leak_power") * value("leak_power_scale") * value("n_parallel_instances")
    power = one * above() if one else one
    if power and gated is not None:
        raise UnsupportedError(
            "power gating, which leakage depends on, is not modeled",
            where=str(gated),
            fix="set it to False",
        )
    return power


def _finite(expression: object, scope: Scope, at: Location) -> Fraction:
    value = evaluate_number(expression, scope, at)
    if isinstance(value, float):
        raise ExpressionError(f"must be a finite number, not {format_value(value)}", where=str(at))
    return Fraction(value)
