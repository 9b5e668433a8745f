"""Derive rule 2 of the model: the branches of a Sequential run one after another."""

from __future__ import annotations

from collections.abc import Iterator

from polylat.analysis.isl_pieces import last_within, preceding, prefix_function
from polylat.lowering.paths import Leaf
from polylat.proof.precedence import PrecedenceRule
from polylat.proof.tile_sets import TileSets

__all__ = ["barrier_rules"]


def barrier_rules(sets: TileSets) -> Iterator[PrecedenceRule]:
    """Derive rule 2: the branches of a Sequential run one after another.

    Parameters
    ----------
    sets
        The tile iterations of the mapping.

    Yields
    ------
    PrecedenceRule
        A rule per pair of leaves of consecutive branches.
    """
    below: dict[int, dict[int, list[Leaf]]] = {}
    depths: dict[int, int] = {}
    for leaf in sets.leaves:
        for split in leaf.splits:
            if not split.pipeline:
                below.setdefault(split.node, {}).setdefault(split.branch, []).append(leaf)
                depths[split.node] = split.depth
    for node, branches in below.items():
        depth, last = depths[node], max(branches)
        turns = sets.prefixes([x for some in branches.values() for x in some], depth)
        before = preceding(turns, 1)
        for branch, waiting in branches.items():
            ahead = branches[branch - 1 if branch else last]
            for leaf in waiting:
                turn = prefix_function(sets.depths[leaf.number], depth)
                if not branch:
                    turn = before.pullback_pw_multi_aff(turn)
                for other in ahead:
                    ended = last_within(sets.spaces[other.number], depth)
                    yield PrecedenceRule(
                        "barrier",
                        leaf.number,
                        sets.foreground(leaf.number),
                        other.number,
                        None,
                        ended.pullback_pw_multi_aff(turn).coalesce(),
                        f"the Sequential above {leaf.einsum.name}",
                        "barrier",
                    )
