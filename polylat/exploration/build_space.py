"""Build the space of an exploration from the requested options."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from polylat.errors import OptionError, TooLargeError
from polylat.exploration.axes import (
    background_axes,
    one_or_several,
    slot_axes,
    split_axes,
    staged_axes,
    tile_axes,
)
from polylat.exploration.space import Space
from polylat.lowering.lowered import lower
from polylat.spec import Spec
from polylat.spec.option_values import normalize_granularity, normalize_order

__all__ = ["build_space"]

_MOST_VARIANTS = 2_000_000
"""Largest number of variants of a space."""


def build_space(
    spec: Spec,
    *,
    splits: bool,
    background: bool | Iterable[Any],
    staged: bool | str | Iterable[str],
    slots: Any,
    granularity: str | Sequence[str],
    order: str | Sequence[str],
    tiles: Mapping[str, Sequence[int]],
    max_tiles: int,
    enforce_capacity: bool,
    with_energy: bool,
) -> Space:
    """Return the space of the requested options.

    Parameters
    ----------
    spec
        The input.
    splits, background, staged, slots, granularity, order, tiles
        As for `polylat.explore`.
    max_tiles, enforce_capacity
        The options of `analyze`.
    with_energy
        Whether the energy of each variant is evaluated.

    Returns
    -------
    Space
        All variants.

    Raises
    ------
    OptionError
        An option does not exist, or cannot be used.
    TooLargeError
        There are too many variants.
    UnsupportedError
        The input is not modelled.
    """
    if not isinstance(splits, bool):
        raise OptionError(f"splits is {splits!r}", fix="give True or False: all, or none")
    spec = spec.with_pipelines(spec.schedule.get("pipelined", ()))
    lowered = lower(spec, "tile")
    explored, fixed = background_axes(spec, lowered, background)
    memories, staged_always = staged_axes(spec, lowered, staged)
    may_be_staged = (*staged_always, *((None, memory) for memory in memories))
    counts, others = slot_axes(spec, lowered, may_be_staged, slots)
    space = Space(
        spec,
        tile_axes(spec.mapping, tiles),
        one_or_several(granularity, "granularity", normalize_granularity),
        memories,
        staged_always,
        explored,
        fixed,
        one_or_several(order, "order", normalize_order),
        split_axes(spec.mapping, explored=splits),
        counts,
        others,
        max_tiles,
        enforce_capacity,
        with_energy,
    )
    if space.size > _MOST_VARIANTS:
        raise TooLargeError(
            f"the choices make {space.size:,} variants, more than {_MOST_VARIANTS:,}",
            fix="explore fewer at a time: fewer slots, tile shapes, memories or write-backs",
        )
    return space
