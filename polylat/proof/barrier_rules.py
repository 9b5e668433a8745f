"""Derive rule 2 of the model: the branches of a Sequential run one after another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import islpy as isl

from polylat.analysis.isl_pieces import last_within, preceding, prefix_function, prefix_map
from polylat.lowering.paths import Leaf
from polylat.proof.precedence import PrecedenceRule
from polylat.proof.tile_sets import TileSets

__all__ = ["barrier_rules"]

_SET = isl.dim_type.set


def barrier_rules(sets: TileSets) -> Iterator[PrecedenceRule]:
    """Derive rule 2: the branches of a Sequential run one after another.

    Parameters
    ----------
    sets
        The tile iterations of the mapping.

    Yields
    ------
    PrecedenceRule
        A rule per pair of leaves of consecutive branches, and one per block of write-backs of the
        earlier one that is not in the background.
    """
    below: dict[int, dict[int, list[Leaf]]] = {}
    depths: dict[int, int] = {}
    for leaf in sets.leaves:
        for split in leaf.splits:
            if not split.pipeline:
                below.setdefault(split.node, {}).setdefault(split.branch, []).append(leaf)
                depths[split.node] = split.depth
    for node, branches in below.items():
        depth = depths[node]
        for (branch, other_branch), before in _preceding_turns(sets, branches, depth).items():
            for other in branches[other_branch]:
                for leaf in branches[branch]:
                    yield from _between(sets, leaf, other, depth, before)


def _between(
    sets: TileSets, leaf: Leaf, other: Leaf, depth: int, before: isl.PwMultiAff
) -> Iterator[PrecedenceRule]:
    """Yield rules by which the turns of a leaf wait for turns of another one."""
    number = leaf.number
    turn = before.pullback_pw_multi_aff(prefix_function(sets.depths[number], depth))
    ended = last_within(sets.spaces[other.number], depth)
    why = f"the Sequential above {leaf.einsum.name}"
    front = sets.foreground(number)
    yield PrecedenceRule(
        "barrier",
        number,
        front,
        other.number,
        None,
        ended.pullback_pw_multi_aff(turn).coalesce(),
        why,
        "barrier",
    )
    for index, block in enumerate(sets.expected.blocks[other.number]):
        if block.kind == "write_back" and not block.background:
            function, relation = sets.within_tiles(
                turn.intersect_domain(sets.firsts(number, depth)), (other.number, index), depth
            )
            yield PrecedenceRule(
                "barrier",
                number,
                front,
                other.number,
                index,
                function,
                why,
                "barrier",
                relation=relation,
            )


def _preceding_turns(
    sets: TileSets, branches: Mapping[int, Sequence[Leaf]], depth: int
) -> Mapping[tuple[int, int], isl.PwMultiAff]:
    """Return the preceding turn of each turn; a turn is a branch at one index of the loops above.

    The turns that have tile iterations are one sequence, by index, then by branch. So a turn waits
    for the last turn before it that has tile iterations.

    The result maps (branch, preceding branch) to a function: index of a turn of the former → index
    of the preceding turn, if that is one of the latter.
    """
    turns = isl.Set.empty(prefix_map(depth + 1, depth + 1).get_space().domain())
    for branch, leaves in branches.items():
        indices = sets.prefixes(leaves, depth).insert_dims(_SET, depth, 1)
        turns = turns | indices.fix_val(_SET, depth, branch)
    before = preceding(turns.coalesce(), 1)
    index = prefix_function(depth + 1, depth)
    found = {}
    order = sorted(branches)
    for at, branch in enumerate(order):
        here = before.pullback_pw_multi_aff(_of_branch(depth, branch))
        left = here.domain()
        # The branches before this one, and then those behind it, whose previous turns precede.
        for other in [*reversed(order[:at]), *reversed(order[at:])]:
            if left.is_empty():
                break
            there = turns.fix_val(_SET, depth, other)
            part = here.intersect_domain(there.preimage_pw_multi_aff(here))
            if not part.domain().is_empty():
                found[branch, other] = index.pullback_pw_multi_aff(part).coalesce()
                left = left - part.domain()
    return found


def _of_branch(depth: int, branch: int) -> isl.PwMultiAff:
    """Return the function from the indices of the loops above a split to a branch's turns."""
    dims = [f"i{k}" for k in range(depth)]
    return isl.PwMultiAff(f"{{ [{', '.join(dims)}] -> [{', '.join([*dims, str(branch)])}] }}")
