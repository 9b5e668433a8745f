"""The input of a variant: other tile shapes, splits and options than those that were given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from polylat.exploration.axes import SplitName
from polylat.exploration.choice import Choice
from polylat.exploration.space import Space
from polylat.spec import Spec
from polylat.spec.mapping import Branch, Pipeline, Sequential, Spatial, Temporal
from polylat.spec.option_values import ACCOUNTINGS
from polylat.spec.slots import Slots

__all__ = ["slots_option", "variant_options", "variant_spec", "with_tiles"]


def slots_option(space: Space, counts: Mapping[str, int | None]) -> Slots:
    """Return the option ``slots`` of `analyze` for a variant.

    Parameters
    ----------
    space
        The space.
    counts
        Slot counts of the tensors and holders that are explored.

    Returns
    -------
    int, mapping or None
        `Space.other_slots` if none is explored; otherwise slot counts by name.
    """
    others = space.other_slots
    if not counts:
        return others
    if isinstance(others, Mapping):
        return {**others, **counts}
    return {**dict.fromkeys(space.spec.workload.tensors, others), **counts}


def variant_options(space: Space, choice: Choice) -> dict[str, Any]:
    """Return the options of `analyze` for a variant.

    Parameters
    ----------
    space
        The space.
    choice
        The variant.

    Returns
    -------
    dict
        All options, in their normal forms.
    """
    return {
        "granularity": choice.granularity,
        "order": choice.order,
        "background": choice.background,
        "staged": tuple(_staged_pair(name) for name in choice.staged),
        "slots": slots_option(space, dict(choice.slots)),
        "max_tiles": space.max_tiles,
        "enforce_capacity": space.enforce_capacity,
        "accounting": space.spec.schedule.get("accounting", ACCOUNTINGS[0]),
    }


def _staged_pair(name: str) -> tuple[str | None, str | None]:
    """Return (tensor or None: every one, component) of a name in `Choice.staged`."""
    tensor, _, component = name.rpartition("@")
    return tensor or None, component


def variant_spec(space: Space, choice: Choice) -> Spec:
    """Return the input with the tile shapes, splits and options of a variant.

    Parameters
    ----------
    space
        The space.
    choice
        The variant.

    Returns
    -------
    Spec
        An input of which `analyze`, without options, gives the variant.
    """
    shapes = dict(choice.tiles)
    numbers = {loop.number: shapes[loop.name] for loop, _ in space.tiles}
    spec = with_tiles(space.spec, numbers)
    mapping = _with_splits(spec.mapping, dict(choice.splits))
    return replace(spec, mapping=mapping, schedule=variant_options(space, choice))


def _with_splits(mapping: Branch, kinds: Mapping[SplitName, str]) -> Branch:
    """Return the mapping with splits of these kinds."""
    end = mapping.end
    if not isinstance(end, Sequential | Pipeline):
        return mapping
    kind = kinds.get(end.name, type(end).__name__)
    branches = tuple(_with_splits(branch, kinds) for branch in end.branches)
    if kind == type(end).__name__:
        return replace(mapping, end=replace(end, branches=branches))
    split = Pipeline if kind == "Pipeline" else Sequential
    return replace(mapping, end=split(branches, end.where))


def with_tiles(spec: Spec, shapes: Mapping[int, int]) -> Spec:
    """Return the input with other tile shapes of some loops.

    Parameters
    ----------
    spec
        The input.
    shapes
        Number of a loop, in tree order → its tile shape.

    Returns
    -------
    Spec
        The input with these tile shapes; `spec` itself if there are none.
    """
    if not shapes:
        return spec
    number = 0

    def walk(branch: Branch) -> Branch:
        nonlocal number
        nodes = []
        for node in branch.nodes:
            new = node
            if isinstance(node, Temporal | Spatial):
                new = replace(node, tile_shape=shapes.get(number, node.tile_shape))
                number += 1
            nodes.append(new)
        end = branch.end
        if isinstance(end, Sequential | Pipeline):
            end = replace(end, branches=tuple(walk(below) for below in end.branches))
        return Branch(tuple(nodes), end)

    return replace(spec, mapping=walk(spec.mapping))
