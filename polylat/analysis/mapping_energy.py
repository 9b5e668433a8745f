"""The energy of a lowered mapping."""

from __future__ import annotations

from typing import NamedTuple

from polylat.analysis.access_counts import total_actions
from polylat.analysis.energy import (
    Energy,
    action_energies,
    components_without_leakage,
    leakages,
)
from polylat.errors import SpecError, UnsupportedError
from polylat.lowering.lowered import LoweredMapping
from polylat.lowering.numbering import Numbering
from polylat.lowering.transfers import TransferOptions
from polylat.numbers import Number, reduce_number

__all__ = ["EnergyByLatency", "energy_by_latency", "known_energy_by_latency", "mapping_energy"]


def mapping_energy(
    lowered: LoweredMapping, layout: Numbering, options: TransferOptions, latency: Number
) -> Energy:
    """Return the energy of a mapping.

    Parameters
    ----------
    lowered, layout, options
        The mapping, its tile iterations and blocks, and which transfers are separate.
    latency
        Its latency.

    Returns
    -------
    Energy
        The energy of all actions in all units, and of leakage during the latency.

    Raises
    ------
    SpecError
        The architecture does not give the energy of an action that occurs.
    UnsupportedError
        A leak power depends on the Einsum.
    """
    arch = lowered.spec.arch
    actions = action_energies(arch, total_actions(lowered, layout, options))
    return Energy(actions, leakages(arch, latency), components_without_leakage(arch))


class EnergyByLatency(NamedTuple):
    """The total energy of a mapping, which is affine in its latency.

    Parameters
    ----------
    actions
        The energy of all actions.
    leak_power
        The sum of all leak powers.
    """

    actions: Number
    leak_power: Number

    def at(self, latency: Number) -> Number:
        """Return the total energy.

        Parameters
        ----------
        latency
            The latency.

        Returns
        -------
        Number
            In the architecture's unit of energy.
        """
        return reduce_number(self.actions + self.leak_power * latency)


def energy_by_latency(
    lowered: LoweredMapping, layout: Numbering, options: TransferOptions
) -> EnergyByLatency:
    """Return the total energy of a mapping as a function of its latency.

    Parameters
    ----------
    lowered, layout, options
        As for `mapping_energy`.

    Returns
    -------
    EnergyByLatency
        The function.

    Raises
    ------
    SpecError, UnsupportedError
        As for `mapping_energy`.
    """
    actions = mapping_energy(lowered, layout, options, 0).total
    return EnergyByLatency(actions, sum(leakages(lowered.spec.arch, 1).values(), 0))


def known_energy_by_latency(
    lowered: LoweredMapping, layout: Numbering, options: TransferOptions
) -> EnergyByLatency | None:
    """Return the energy of a mapping by its latency, if it is known.

    Parameters
    ----------
    lowered, layout, options
        As for `mapping_energy`.

    Returns
    -------
    EnergyByLatency or None
        None where the architecture does not give it.
    """
    try:
        return energy_by_latency(lowered, layout, options)
    except (SpecError, UnsupportedError):
        return None
