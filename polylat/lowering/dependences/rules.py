"""All rules of precedence, as edges between tile iterations and separate transfers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from polylat.lowering.dependences.barriers import barrier_edges
from polylat.lowering.dependences.capacity import capacity_edges
from polylat.lowering.dependences.edges import RuleEdges, joined_edges
from polylat.lowering.dependences.flow import flow_edges
from polylat.lowering.dependences.transfer_order import transfer_edges
from polylat.lowering.numbering import DependenceEdges, Numbering
from polylat.lowering.paths import Leaf
from polylat.lowering.sharing import SourceHolder
from polylat.lowering.transfers import TransferOptions
from polylat.spec.slots import Slots

__all__ = ["dependence_edges", "rule_edges"]


def dependence_edges(
    leaves: Sequence[Leaf],
    layout: Numbering,
    found: Mapping[tuple[int, str], SourceHolder],
    options: TransferOptions,
) -> DependenceEdges:
    """Return all dependence edges of a mapping.

    Parameters
    ----------
    leaves, layout
        The leaves, in tree order, and the numbering of their tile iterations and blocks.
    found
        (leaf, input tensor) → the holder in which the leaf finds it.
    options
        Which transfers are separate, and how many tiles holders keep.

    Returns
    -------
    DependenceEdges
        The edges, relation by relation.

    Raises
    ------
    MappingError
        An element is read that was not brought, or is not final; or a sum is lost.
    IrregularError
        Skipped tile iterations are not translates of the sampled ones that represent them.
    """
    return joined_edges(layout, rule_edges(leaves, layout, found, options, (options.slots,)))


def rule_edges(
    leaves: Sequence[Leaf],
    layout: Numbering,
    found: Mapping[tuple[int, str], SourceHolder],
    options: TransferOptions,
    slots: Iterable[Slots],
) -> list[RuleEdges]:
    """Return the edges of all rules under one or several numbers of slots, relation by relation.

    Parameters
    ----------
    leaves, layout, found
        As for `dependence_edges`.
    options
        Which transfers are separate.
    slots
        Numbers of tiles that holders keep.

    Returns
    -------
    list of RuleEdges
        The edges, each under the options that it depends on.

    Raises
    ------
    MappingError, IrregularError
        As for `dependence_edges`.
    """
    capacity = [
        part.in_type_of(layout) for some in slots for part in capacity_edges(leaves, layout, some)
    ]
    flow = [part.in_type_of(layout) for part in flow_edges(leaves, layout, found, options)]
    barriers = [part.in_type_of(layout) for part in barrier_edges(leaves, layout)]
    transfers = [part.in_type_of(layout) for part in transfer_edges(leaves, layout, options)]
    return [*flow, *barriers, *capacity, *transfers]
