"""Derive the shifts of the stages of Pipelines, by which skewed dates differ from program order.

A stage is served later by the distance over which elements flow into it: the least integers that
satisfy difference constraints, hence longest paths.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import islpy as isl

from polylat.analysis.isl_pieces import prefix_map
from polylat.lowering.paths import Leaf, PathSplit
from polylat.proof.element_flow import brought_elements
from polylat.proof.flow_rules import fetched_before, tile_read
from polylat.proof.sources import Source
from polylat.proof.tile_sets import TileSets

__all__ = ["largest_trips", "stage_shifts"]


@dataclass(frozen=True)
class _Meeting:
    """The split at which the paths of two leaves part, and the loops of its index.

    Parameters
    ----------
    split, other
        The split on the path of the leaf that waits, and on that of the other one.
    above
        The number of loops above the split above it, or 0.
    """

    split: PathSplit
    other: PathSplit
    above: int


def stage_shifts(sets: TileSets) -> dict[int, tuple[int, ...]]:
    """Derive the shifts of the stages of Pipelines in skewed dates.

    Parameters
    ----------
    sets
        The tile iterations of the mapping.

    Returns
    -------
    dict
        Tree node of a Pipeline → the shift of each stage. A Pipeline in which elements flow back
        over less than the stages in between, so that no shifts serve, is missing.
    """
    stages: dict[int, int] = {}
    for leaf in sets.leaves:
        for split in leaf.splits:
            if split.pipeline:
                stages[split.node] = max(stages.get(split.node, 0), split.branch + 1)
    least: dict[int, dict[tuple[int, int], int]] = {node: {} for node in stages}
    radices = largest_trips(sets)
    for (number, tensor), sources in sets.sources.items():
        for source in sources:
            reader, bringer = sets.leaves[number], sets.leaves[source.leaf]
            meeting = _meeting(reader, bringer)
            if meeting is None or not meeting.split.pipeline:
                continue
            stage, behind = meeting.split.branch, meeting.other.branch
            distances = [
                _distance(flow, reader, meeting, radices)
                for flow in _flows(sets, reader, bringer, tensor, source)
            ]
            for distance in distances:
                if distance is not None:
                    wait = distance + (behind < stage)
                    known = least[meeting.split.node]
                    known[behind, stage] = max(wait, known.get((behind, stage), wait))
    found = {node: _longest(stages[node], waits) for node, waits in least.items()}
    return {node: shifts for node, shifts in found.items() if shifts is not None}


def largest_trips(sets: TileSets) -> dict[int, int]:
    """Return the largest trip count of every loop, over all leaves below it.

    Parameters
    ----------
    sets
        The tile iterations of the mapping.

    Returns
    -------
    dict
        Tree node of a loop → its largest trip count.
    """
    found: dict[int, int] = {}
    for leaf in sets.leaves:
        for loop, trips in zip(leaf.loops, leaf.trips, strict=True):
            found[loop.node] = max(trips, found.get(loop.node, 0))
    return found


def _meeting(reader: Leaf, bringer: Leaf) -> _Meeting | None:
    above = 0
    for split, other in zip(reader.splits, bringer.splits, strict=False):
        if split.branch != other.branch:
            return _Meeting(split, other, above)
        above = split.depth
    return None


def _flows(
    sets: TileSets, reader: Leaf, bringer: Leaf, tensor: str, source: Source
) -> Iterator[isl.Map]:
    """Yield relations from tile iterations to those that bring what they read."""
    if not source.produces:
        some = fetched_before(sets, reader, bringer, tensor, source.level)
        yield isl.Map.from_pw_multi_aff(some).intersect_domain(sets.spaces[reader.number])
        return
    first = sets.firsts(reader.number, tile_read(sets, reader, tensor, source.level))
    problem = sets.expected.problem
    for index in reader.einsum.access(tensor).reads:
        for elements in brought_elements(problem, reader, index, bringer, tensor, source.level):
            yield elements.between(first, sets.spaces[bringer.number])


def _distance(
    flow: isl.Map, reader: Leaf, meeting: _Meeting, radices: Mapping[int, int]
) -> int | None:
    """Return how many turns later, at most, a tile iteration is than one that waits for it."""
    sizes = flow.dim(isl.dim_type.in_), flow.dim(isl.dim_type.out)
    heads = [prefix_map(size, meeting.above) for size in sizes]
    together = flow & heads[0].apply_range(heads[1].reverse())
    if together.is_empty():
        return None
    weight, terms = 1, []
    for k in reversed(range(meeting.above, meeting.split.depth)):
        terms.append(f"{weight}*(b{k} - r{k})")
        weight *= radices[reader.temporal[k].node]
    dims = [*(f"r{k}" for k in range(sizes[0])), *(f"b{k}" for k in range(sizes[1]))]
    lag = isl.Aff(f"{{ [{', '.join(dims)}] -> [{' + '.join(terms) or '0'}] }}")
    return int(together.wrap().flatten().max_val(lag).to_python())


def _longest(stages: int, waits: Mapping[tuple[int, int], int]) -> tuple[int, ...] | None:
    """Return the least shifts that satisfy all waits; None where there are none."""
    shifts = [0] * stages
    for _ in range(stages + 1):
        before = list(shifts)
        for (behind, stage), wait in waits.items():
            shifts[stage] = max(shifts[stage], shifts[behind] + wait)
        if shifts == before:
            return tuple(shifts)
    return None
