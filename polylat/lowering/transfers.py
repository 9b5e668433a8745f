"""Which transfers between holders are blocks of their own, and how many tiles a holder keeps."""

from __future__ import annotations

from dataclasses import dataclass, replace

from polylat.lowering.paths import Leaf
from polylat.spec.slots import Slots
from polylat.spec.staged import Staged, is_staged

__all__ = ["FreeTransfer", "TransferOptions", "hand_over_depth", "separate_levels"]

FreeTransfer = tuple[str, str, bool]
"""(tensor, component of the holder, whether it is the transfer into the holder)"""


@dataclass(frozen=True)
class TransferOptions:
    """The options that say how tiles move between holders.

    Parameters
    ----------
    background
        (tensor, component) pairs: write-backs from there that nothing but their readers and their
        room waits for.
    staged
        The holders that hand over whole tiles.
    slots
        Number of tiles that holders keep.
    free
        (tensor, component, inward) of the transfers into a holder (inward) or out of it that take
        no time, so that their cost can be determined.
    """

    background: frozenset[tuple[str, str]] = frozenset()
    staged: Staged = ()
    slots: Slots = 2
    free: frozenset[FreeTransfer] = frozenset()

    @property
    def without_background(self) -> TransferOptions:
        """The same options without background write-backs."""
        return replace(self, background=frozenset())

    def is_staged(self, tensor: str, component: str) -> bool:
        """Return whether a holder hands over whole tiles.

        Parameters
        ----------
        tensor, component
            The holder.

        Returns
        -------
        bool
            Whether it does.
        """
        return is_staged(self.staged, tensor, component)


def separate_levels(leaf: Leaf, tensor: str, options: TransferOptions) -> int:
    """Return how many of the outer storages have separate transfers.

    The transfers of a storage are separate if it is staged; if it holds an input above a split; if
    the write-back of the output from it is in the background; or if those of a storage further in
    are.

    Parameters
    ----------
    leaf, tensor, options
        The leaf, a tensor that it accesses, and the options.

    Returns
    -------
    int
        Storages 1, 2, … up to this number have separate transfers; all further in stream.
    """
    output = leaf.einsum.access(tensor).output
    storages = leaf.storages(tensor)
    for level in range(len(storages) - 1, 0, -1):
        holder = storages[level]
        behind = output and (tensor, holder.component) in options.background
        ahead = not output and holder.above_split
        if ahead or behind or options.is_staged(tensor, holder.component):
            return level
    return 0


def hand_over_depth(leaf: Leaf, tensor: str, level: int, options: TransferOptions) -> int | None:
    """Return the depth of the tiles in which an output's elements leave a storage.

    A staged storage hands over whole tiles, and the storages further out see the elements arrive in
    these.

    Parameters
    ----------
    leaf, tensor, level, options
        The leaf, its output, the index of a storage, and the options.

    Returns
    -------
    int or None
        The depth; None if elements leave one by one.
    """
    staged = (h for h in leaf.storages(tensor)[level:] if options.is_staged(tensor, h.component))
    return next((holder.depth for holder in staged), None)
