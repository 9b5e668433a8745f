"""Which leaves may sample different iterations of the loops that they share.

Leaves of a Pipeline that run at different rates repeat themselves with different periods. A sample
of a common loop for both has a common multiple of these periods, and is cut wherever one of them
changes. With a sample of its own, a leaf has its own periods and cuts only.

What a leaf reads of another one's results is found by loop indices, whatever is sampled. Other
rules compare the places of the tiles that leaves have in common: capacity, shared fills and
barriers. The leaves that these rules couple are sampled alike.
"""

from __future__ import annotations

from polylat.lowering.groups import connected_groups
from polylat.lowering.lowered import LoweredMapping
from polylat.lowering.paths import Leaf, LoopKeys, loop_nodes

__all__ = ["keys_apart"]


def keys_apart(lowered: LoweredMapping) -> LoopKeys | None:
    """Return keys by which leaves that no rule couples are sampled apart.

    Parameters
    ----------
    lowered
        The mapping.

    Returns
    -------
    LoopKeys or None
        Per leaf, the keys of its loops, which are tree nodes for some leaves; None where all leaves
        below one loop are coupled.
    """
    nodes = loop_nodes(lowered.leaves)
    groups = _coupled_leaves(lowered)
    first: dict[int, int] = {}
    other: dict[tuple[int, int], int] = {}
    above = 1 + max((node for mine in nodes for node in mine), default=0)
    found = []
    for leaf, mine in enumerate(nodes):
        group, keys = groups[leaf], []
        for node in mine:
            if first.setdefault(node, group) == group:
                keys.append(node)
            else:
                keys.append(other.setdefault((node, group), above + len(other)))
        found.append(tuple(keys))
    return tuple(found) if other else None


def _coupled_leaves(lowered: LoweredMapping) -> dict[int, int]:
    """Return per leaf the number of its group; leaves of a group are coupled, directly or not."""
    below: dict[int, list[int]] = {}
    for leaf in lowered.leaves:
        for node in _coupling_nodes(leaf):
            below.setdefault(node, []).append(leaf.number)
    fillers = [
        (number, *(bringer.leaf for bringer in source.sources if not bringer.produces))
        for (number, _), source in lowered.found.items()
    ]
    fillers += [
        (number, source.leaf)
        for (number, _), source in lowered.found.items()
        if source.leaf is not None and not source.produces
    ]
    groups = connected_groups(range(len(lowered.leaves)), (), [*below.values(), *fillers])
    return {leaf: group for group, (members, _) in enumerate(groups) for leaf in members}


def _coupling_nodes(leaf: Leaf) -> list[int]:
    """Return the tree nodes above a leaf, below some loop, that couple all leaves below them.

    The leaves that access a tensor in a holder share its tiles; the branches of a Sequential wait
    for each other.
    """
    holders = [h.node for several in leaf.holders.values() for h in several if h.depth > 0]
    return holders + [split.node for split in leaf.splits if split.depth > 0 and not split.pipeline]
