"""The value `PrecedenceRule`: a precedence between the tile iterations of two leaves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import islpy as isl

__all__ = ["PrecedenceKind", "PrecedenceRule", "Reason", "Until", "flow_from_all"]

PrecedenceKind = Literal["flow", "transfer", "barrier", "capacity", "causality"]
Reason = Literal["flow", "barrier", "capacity"]
Until = Literal["passed", "served"]
"""Whether the awaited block must have passed, fixed latency included, or only been served."""


@dataclass(frozen=True, eq=False)
class PrecedenceRule:
    """A precedence between the tile iterations of two leaves.

    Parameters
    ----------
    kind
        The rule of the model; *transfer* if a separate transfer waits, or a tile iteration for its
        own separate transfers.
    leaf, block
        The waiting leaf and its block. A foreground starts with its tile iteration.
    awaited, awaited_block
        The awaited leaf and its block; None: the foregrounds of a tile iteration and of all tile
        iterations before it.
    function
        Waiting tile iteration → the last tile iteration that it waits for.
    why
        The reason, in words.
    reason
        The rule of the model from which the precedence follows, also for kind *transfer*.
    until
        Whether the awaited block must have passed, or only been served.
    relation
        Waiting tile iteration → all tile iterations whose block it waits for; None: only that of
        `function`. Waiting tile iterations of a leaf start in order, so of several that wait for
        the same ones, the relation may have only the first.
    """

    kind: PrecedenceKind
    leaf: int
    block: int
    awaited: int
    awaited_block: int | None
    function: isl.PwMultiAff
    why: str
    reason: Reason
    until: Until = "passed"
    relation: isl.Map | None = None


def flow_from_all(
    kind: PrecedenceKind,
    waiting: tuple[int, int],
    awaited: tuple[int, int],
    relation: isl.Map,
    why: str,
) -> PrecedenceRule:
    """Return the rule that a block waits for all related tile iterations of another block.

    Parameters
    ----------
    kind
        The kind of the rule.
    waiting, awaited
        (leaf, block) of both.
    relation
        Waiting tile iteration → all tile iterations whose block it waits for.
    why
        The reason, in words.

    Returns
    -------
    PrecedenceRule
        The rule, by flow: the awaited block must have passed.
    """
    last = relation.lexmax_pw_multi_aff().coalesce()
    return PrecedenceRule(kind, *waiting, *awaited, last, why, "flow", relation=relation)
