"""The value `PrecedenceRule`: a precedence between the tile iterations of two leaves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import islpy as isl

__all__ = ["PrecedenceKind", "PrecedenceRule", "Reason"]

PrecedenceKind = Literal["flow", "barrier", "capacity", "prefetch"]
Reason = Literal["flow", "barrier", "capacity"]


@dataclass(frozen=True, eq=False)
class PrecedenceRule:
    """A precedence between the tile iterations of two leaves.

    Parameters
    ----------
    kind
        The rule of the model; *prefetch* for a rule that delays a separate fill.
    leaf, block
        The waiting block. The foreground block represents the start of its tile iteration.
    awaited, awaited_block
        The awaited leaf and its block; None for the finish of a tile iteration.
    function
        Waiting tile iteration → the last tile iteration that it waits for.
    why
        The reason, in words.
    reason
        The rule of the model, for separate fills too.
    """

    kind: PrecedenceKind
    leaf: int
    block: int
    awaited: int
    awaited_block: int | None
    function: isl.PwMultiAff
    why: str
    reason: Reason
