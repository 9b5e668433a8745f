"""What is to be scheduled: the input, the paths of its leaves, and the options."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from polylat.engine.model import Model
from polylat.lowering.paths import Leaf
from polylat.proof.sources import Source, find_sources
from polylat.spec import Spec

__all__ = ["Problem"]


@dataclass(frozen=True, eq=False)
class Problem:
    """A mapping and its options, without anything that an engine derives from them.

    Parameters
    ----------
    spec
        The input.
    leaves
        Its leaves with their paths, in tree order.
    depths
        Per leaf, the number of Temporal loops that index its tile iterations.
    background, slots
        The options: (tensor, component) pairs whose write-backs are in the background, and the
        number of tiles that holders keep.
    """

    spec: Spec
    leaves: tuple[Leaf, ...]
    depths: tuple[int, ...]
    background: frozenset[tuple[str, str]]
    slots: int | Mapping[str, int | None] | None

    @staticmethod
    def of(model: Model) -> Problem:
        """Return the mapping and options of a model.

        Parameters
        ----------
        model
            The model, of which nothing else is used.

        Returns
        -------
        Problem
            The mapping and its options.
        """
        lowered = model.lowered
        return Problem(lowered.spec, lowered.leaves, lowered.depths, model.background, model.slots)

    @cached_property
    def sources(self) -> Mapping[tuple[int, str], Source]:
        """(leaf, input) → the Storage in which the leaf finds it."""
        return find_sources(self.leaves)
