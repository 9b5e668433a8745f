"""Schedule a network of equal blocks by a loop over one block, where blocks share no time.

A Sequential starts a block when everything in the previous block has finished, except write-backs
in the background; separate fills do not wait for it. So without these two, a block runs from the
end of the previous one as the first one does from time 0: a loop over the blocks has the same
schedules (see `polylat.spec.equal_blocks`). A separate fill of what its own block computes waits
for the Sequential, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from functools import partial
from typing import Any

from polylat.engine.orders import ScheduleChoice, schedule_mapping, transfer_options
from polylat.errors import PolylatError
from polylat.lowering.lowered import LoweredMapping, lower
from polylat.lowering.padding import padding_reads
from polylat.lowering.transfers import FreeTransfer, TransferOptions, separate_levels
from polylat.spec import Spec
from polylat.spec.equal_blocks import FoldedNetwork, fold_equal_blocks

__all__ = ["schedule_latency"]

_FEWEST_EINSUMS = 24
"""Smaller networks are scheduled as they are."""

_LARGEST_SHARE = Fraction(1, 2)
"""Largest share of the Einsums that a folded network may keep."""


def schedule_latency(
    spec: Spec, options: Mapping[str, Any], *, free: frozenset[FreeTransfer] = frozenset()
) -> ScheduleChoice:
    """Schedule a mapping, or a shorter one with the same latencies and bounds.

    Parameters
    ----------
    spec, options, free
        As for `schedule_mapping`.

    Returns
    -------
    ScheduleChoice
        The requested schedule. Its model may be that of the folded network: names of Einsums and
        tensors are then those of one block of each run of equal ones.

    Raises
    ------
    ScheduleError, TooLargeError
        As for `schedule_mapping`.
    """
    found = _folded_choice(spec, options, free)
    return schedule_mapping(spec, options, free=free) if found is None else found


def _folded_choice(
    spec: Spec, options: Mapping[str, Any], free: frozenset[FreeTransfer]
) -> ScheduleChoice | None:
    """Return the schedules of the folded network; None where they may be others."""
    if len(spec.workload.einsums) < _FEWEST_EINSUMS or options["enforce_capacity"]:
        return None
    apart = _named_tensors(options)
    if apart is None:
        return None
    folded = fold_equal_blocks(spec, apart | {tensor for tensor, *_ in free})
    if folded is None or not _saves_enough(spec, folded):
        return None
    try:
        transfers = replace(transfer_options(spec, options), free=free)
        if not _blocks_are_separate(lower(folded.spec, "tile", transfers), transfers, folded):
            return None
        lowering = partial(lower, folded.spec, exchanged=folded.exchanged)
        choice = schedule_mapping(folded.spec, options, free=free, lowering=lowering)
    except PolylatError:
        return None  # the error names what is in the network itself
    proven = choice.settled and choice.solved.settled and choice.exact and not choice.coarse
    return choice if proven else None


def _saves_enough(spec: Spec, folded: FoldedNetwork) -> bool:
    kept = len(folded.spec.workload.einsums)
    return kept <= _LARGEST_SHARE * len(spec.workload.einsums)


def _named_tensors(options: Mapping[str, Any]) -> set[str] | None:
    """Return the tensors that options name; None if one names all those in a component."""
    slots = options["slots"] if isinstance(options["slots"], Mapping) else ()
    pairs = {tensor for tensor, _ in (*options["background"], *options["staged"])}
    return None if None in pairs else pairs | {name.partition("@")[0] for name in slots}


def _blocks_are_separate(
    lowered: LoweredMapping, options: TransferOptions, folded: FoldedNetwork
) -> bool:
    """Return whether each separate fill waits for the Sequential, or is the same in the network."""
    fills = {
        (leaf.einsum.name, tensor)
        for leaf in lowered.leaves
        for tensor in leaf.einsum.inputs
        if separate_levels(leaf, tensor, options)
    }
    early = {(einsum, tensor) for einsum, tensor in fills if tensor not in lowered.produced}
    if any(einsum in folded.repeated or tensor in folded.cut for einsum, tensor in early):
        return False
    repeated = {(einsum, tensor) for einsum, tensor in fills if einsum in folded.repeated}
    # What no Einsum computes waits for nothing.
    return not repeated or repeated.isdisjoint(
        (padding.einsum, padding.tensor) for padding in padding_reads(lowered.leaves)
    )
