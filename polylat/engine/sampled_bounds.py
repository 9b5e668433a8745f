"""Lower bounds of a mapping from the smallest sample of its tile iterations, without a schedule."""

from __future__ import annotations

from polylat.engine.model import Model, build
from polylat.engine.sampling_search import Inputs, SamplingSearch
from polylat.lowering.iterations import IrregularError
from polylat.lowering.lowered import LoweredMapping
from polylat.lowering.transfers import TransferOptions
from polylat.schedule.extrapolation import NotPeriodicError

__all__ = ["model_for_bounds"]

_MOST_SAMPLED = 30_000
"""Largest sample: beyond it, a mapping is scheduled without bounds first."""


def model_for_bounds(
    lowered: LoweredMapping, options: TransferOptions, max_tiles: int
) -> Model | None:
    """Build a mapping from as few tile iterations as represent all of them.

    Parameters
    ----------
    lowered, options
        The mapping and the options, as in `Model`.
    max_tiles
        Largest number of tile iterations to visit where no sample represents all.

    Returns
    -------
    Model or None
        Its `resource_bound`, `barrier_bound` and actions are those of all tile iterations; times
        may not be extrapolated from it. None where too many tile iterations would be visited.

    Raises
    ------
    MappingError
        The mapping is illegal.
    """
    try:
        model = SamplingSearch(Inputs(lowered, options), _MOST_SAMPLED).model()
    except (IrregularError, NotPeriodicError):
        model = None
    if model is None and lowered.size <= min(max_tiles, _MOST_SAMPLED):
        model = build(lowered, options)
    return model
