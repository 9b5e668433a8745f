"""The energy of a lowered mapping."""

from __future__ import annotations

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
from polylat.numbers import Number

__all__ = ["known_energy", "mapping_energy"]


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


def known_energy(
    lowered: LoweredMapping, layout: Numbering, options: TransferOptions, latency: Number
) -> Energy | None:
    """Return the energy of a mapping if the architecture gives all that it needs.

    Parameters
    ----------
    lowered, layout, options, latency
        As for `mapping_energy`.

    Returns
    -------
    Energy or None
        None where `mapping_energy` raises an error.
    """
    try:
        return mapping_energy(lowered, layout, options, latency)
    except (SpecError, UnsupportedError):
        return None
