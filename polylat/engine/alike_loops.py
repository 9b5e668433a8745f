"""Loops that are alike: the same loop of equal parts of a mapping.

A network repeats its layers. The loops of equal layers mostly need equal samples; so what the
search for a sample learns about one loop applies to all that are like it, and the number of its
rounds does not grow with the number of layers.
"""

from __future__ import annotations

from collections.abc import Hashable

from polylat.lowering.lowered import LoweredMapping

__all__ = ["alike_loops"]


def alike_loops(lowered: LoweredMapping) -> dict[int, tuple[int, ...]]:
    """Return which loops are alike.

    Parameters
    ----------
    lowered
        The mapping.

    Returns
    -------
    dict
        Tree node of a Temporal loop → the loops (tree nodes) like it, itself included, in tree
        order. Leaves of equal shapes are below them, in the same places.
    """
    below: dict[int, list[Hashable]] = {}
    shapes: dict[Hashable, int] = {}
    for leaf in lowered.leaves:
        # Numbers are faster to compare than the nested tuples.
        shape = shapes.setdefault(leaf.shape, len(shapes))
        for place, loop in enumerate(leaf.loops):
            if loop.unit is None:
                below.setdefault(loop.node, []).append((shape, place))
    groups: dict[Hashable, list[int]] = {}
    for node, leaves in below.items():
        groups.setdefault(tuple(leaves), []).append(node)
    return {node: tuple(alike) for alike in groups.values() for node in alike}
