"""What an analysis takes, and what those of changed mappings may take together."""

from __future__ import annotations

from polylat.engine.model import Model

__all__ = ["MOST_WORK", "work_of"]

MOST_WORK = 4_000_000
"""What the analyses of changed mappings may take together, in tile iterations: about a minute."""

_PER_EINSUM = 200
"""Tile iterations that take as long as what an analysis does once per Einsum."""

_BEYOND_64_BITS = 20
"""How many times as long it takes with Python's integers, where times do not fit in 64 bits."""


def work_of(model: Model) -> int:
    """Return what an analysis of a mapping takes, in tile iterations.

    Parameters
    ----------
    model
        The mapping.

    Returns
    -------
    int
        The number of tile iterations that are visited or sampled, and what is done per Einsum.
    """
    slower = _BEYOND_64_BITS if model.graph.task_duration.dtype == object else 1
    return model.graph.iterations * slower + _PER_EINSUM * len(model.lowered.leaves)
