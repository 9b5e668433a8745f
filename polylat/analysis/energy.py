"""The energy of a mapping: of its actions, and of leakage while it runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from polylat.analysis.access import AccessKey
from polylat.errors import SpecError, UnsupportedError
from polylat.numbers import Number, format_number, reduce_number
from polylat.spec.arch import Arch
from polylat.spec.energy import LEAKAGE, ComponentEnergy
from polylat.tables import Column, Table, Tabular

__all__ = [
    "Energy",
    "action_energies",
    "components_without_leakage",
    "leak_powers",
    "leakages",
]


@dataclass(frozen=True)
class Energy(Tabular):
    """The energy of a mapping, in the architecture's unit of energy.

    Parameters
    ----------
    actions
        (Einsum, component, tensor or None, action) → energy of these actions, in all units and all
        instances of the Einsum.
    leakage
        Component → leak power times latency; only components that leak.
    without
        Components whose leakage is not included, since the architecture does not give it.
    """

    actions: Mapping[AccessKey, Number]
    leakage: Mapping[str, Number]
    without: tuple[str, ...] = ()

    @property
    def total(self) -> Number:
        """The sum of all energies."""
        return reduce_number(sum((*self.actions.values(), *self.leakage.values()), Fraction(0)))

    @property
    def per_action(self) -> dict[tuple[str, str], Number]:
        """(component, action) → energy; the action of leakage is ``"leakage"``."""
        found: dict[tuple[str, str], Number] = {}
        for (_, component, _, action), energy in self.actions.items():
            key = component, action
            found[key] = reduce_number(found.get(key, 0) + energy)
        return found | {(name, LEAKAGE): energy for name, energy in self.leakage.items()}

    @property
    def per_component(self) -> dict[str, Number]:
        """Component → energy of its actions and of its leakage."""
        found: dict[str, Number] = {}
        for (component, _), energy in self.per_action.items():
            found[component] = reduce_number(found.get(component, 0) + energy)
        return found

    def headline(self) -> tuple[str, ...]:
        """Return the total, and what it leaves out.

        Returns
        -------
        tuple of str
            One or two sentences.
        """
        head = f"Energy  {format_number(self.total)}"
        if not self.without:
            return (head,)
        return head, f"Without the leakage of {', '.join(self.without)}, which is not known."

    def tables(self) -> tuple[Table, ...]:
        """Return the energy per component and action, the largest first.

        Returns
        -------
        tuple of Table
            One table, in the architecture's unit of energy.
        """
        total = self.total
        columns = (
            Column("component", "Component"),
            Column("action", "Action"),
            Column("energy", "Energy", "number"),
            Column("share", "Share", "share"),
        )
        ranked = sorted(self.per_action.items(), key=lambda item: -item[1])
        rows = tuple(
            (*name, energy, Fraction(energy, total) if total else None)
            for name, energy in ranked
            if energy
        )
        return (Table(columns, rows, "Energy of each action"),)


def action_energies(arch: Arch, totals: Mapping[AccessKey, Number]) -> dict[AccessKey, Number]:
    """Return the energies of actions.

    Parameters
    ----------
    arch
        The architecture.
    totals
        (Einsum, component, tensor or None, action) → number of actions, in all units.

    Returns
    -------
    dict
        The same keys → energy, in the architecture's unit of energy.

    Raises
    ------
    SpecError
        The architecture does not give the energy of an action that occurs.
    """
    energies: dict[AccessKey, Number] = {}
    for key, count in totals.items():
        einsum, component, _, action = key
        if not count:
            energies[key] = 0
            continue
        known = _energies(arch, einsum).get(component, ComponentEnergy())
        if action not in known.per_action:
            if action in known.missing:
                missing = known.missing[action]
                raise SpecError(missing.what, where=missing.where, fix=missing.fix)
            raise SpecError(
                f"the action {action!r} of {component!r} has no energy",
                fix="give the energy of each action in the architecture",
            )
        energies[key] = reduce_number(count * known.per_action[action])
    return energies


def leak_powers(arch: Arch, einsum: str) -> dict[str, Fraction]:
    """Return the leak powers of all components that leak, as an Einsum sees them.

    Parameters
    ----------
    arch, einsum
        The architecture, and the name of an Einsum.

    Returns
    -------
    dict
        Component → energy per unit of time, of all its instances.
    """
    return {c: e.leak_power for c, e in _energies(arch, einsum).items() if e.leak_power}


def leakages(arch: Arch, latency: Number) -> dict[str, Number]:
    """Return the energies that leak during an execution.

    Parameters
    ----------
    arch
        The architecture.
    latency
        The latency of the execution.

    Returns
    -------
    dict
        Component → energy; only components that leak.

    Raises
    ------
    UnsupportedError
        The leak power of a component is not the same for all Einsums.
    """
    found: dict[str, Fraction] | None = None
    for einsum in arch.energies:
        powers = leak_powers(arch, einsum)
        if found is not None and powers != found:
            name = next(c for c in {**found, **powers} if found.get(c) != powers.get(c))
            raise UnsupportedError(
                f"the leak power of {name!r} depends on the Einsum",
                fix="give a leak_power that does not use the Einsum's tensors",
            )
        found = powers
    return {name: reduce_number(power * latency) for name, power in (found or {}).items()}


def components_without_leakage(arch: Arch) -> tuple[str, ...]:
    """Return the components whose leakage is not known.

    Parameters
    ----------
    arch
        The architecture.

    Returns
    -------
    tuple of str
        In the order of the architecture.
    """
    unknown = {
        name
        for components in arch.energies.values()
        for name, energy in components.items()
        if LEAKAGE in energy.missing
    }
    return tuple(name for name in arch.order if name in unknown)


def _energies(arch: Arch, einsum: str) -> Mapping[str, ComponentEnergy]:
    return arch.energies.get(einsum, {})
