"""Evaluate the energies of a component. An energy that cannot be evaluated is recorded as missing.

Latencies do not depend on energies: an input without them is valid.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

from polylat.errors import ExpressionError, PolylatError
from polylat.spec.energy import LEAKAGE, ComponentEnergy, MissingEnergy
from polylat.spec.reading.actions import Actions, is_dummy
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
    model = actions.model
    per_action: dict[str, Fraction] = {}
    missing: dict[str, MissingEnergy] = {}

    def known(name: str, value: Callable[[], Fraction | None], what: str, fix: str) -> Fraction:
        try:
            found = value()
        except PolylatError as error:
            missing[name] = MissingEnergy(error.what, error.where, error.fix)
            return Fraction(0)
        if found is None:
            given = model.component_class
            note = f" (AccelForge would query its component model {format_value(given)})"
            missing[name] = MissingEnergy(what + (note if given else ""), str(actions.at), fix)
        return found or Fraction(0)

    for name in actions.names:
        energy = known(
            name,
            lambda name=name: _action_energy(actions, name),  # type: ignore[misc]
            f"the action {name!r} of {model.name!r} has no energy",
            f"add {{name: {name}, energy: …}} to its actions",
        )
        if name not in missing:
            per_action[name] = energy
    power = known(
        LEAKAGE,
        lambda: _leak_power(actions, above),
        f"{model.name!r} has no leak power",
        "give its leak_power",
    )
    if power and gated is not None:
        what, fix = "power gating, which leakage depends on, is not modeled", "set it to False"
        missing[LEAKAGE] = MissingEnergy(what, str(gated), fix)
        power = Fraction(0)
    return ComponentEnergy(per_action, power, missing)


def _action_energy(actions: Actions, name: str) -> Fraction | None:
    """Return the energy of an action, scales included; None if it is not given."""
    model, (action, at) = actions.model, actions.given[name]
    if action.energy is None:
        return Fraction(0) if is_dummy(model) else None
    own, shared = actions.scopes[name], actions.scope
    key = "energy_scale"
    return (
        _finite(action.energy, own.without("energy"), at / "energy")
        * _finite(action.energy_scale, own.without(key), at / key)
        * _finite(model.energy_scale, shared.without(key), actions.at / key)
    )


def _leak_power(actions: Actions, above: Callable[[], int]) -> Fraction | None:
    """Return the leak power of all instances, scales included; None if it is not given."""
    model, scope, at = actions.model, actions.scope, actions.at
    if model.leak_power is None:
        return Fraction(0) if is_dummy(model) else None

    def value(key: str) -> Fraction:
        return _finite(getattr(model, key), scope.without(key), at / key)

    one = value("leak_power") * value("leak_power_scale") * value("n_parallel_instances")
    return one * above() if one else one


def _finite(expression: object, scope: Scope, at: Location) -> Fraction:
    value = evaluate_number(expression, scope, at)
    if isinstance(value, float):
        raise ExpressionError(f"must be a finite number, not {format_value(value)}", where=str(at))
    return Fraction(value)
