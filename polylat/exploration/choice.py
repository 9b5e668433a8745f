"""The choices that a variant of a mapping consists of, as plain data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from polylat.exploration.axes import SplitName, WriteBack
from polylat.spec.pairs import pair_names
from polylat.spec.staged import Staged

__all__ = ["CellChoice", "Choice", "TransferChoice"]


@dataclass(frozen=True)
class Choice:
    """One variant of a mapping, as plain data.

    Parameters
    ----------
    splits
        (name, ``"Sequential"`` or ``"Pipeline"``) of each split. A split is named by the Einsums
        of its branches: ``e1|e2+e3``.
    background
        The write-backs in the background, as (tensor, component that it is written back from).
    staged
        What is staged, as the option of `analyze` names it: memories that are explored, and
        ``"tensor@component"`` for each holder in other memories.
    slots
        (tensor or ``"tensor@component"``, slot count) of each one whose slots are explored: the
        number of tiles that its holders keep, None: unlimited.
    granularity, order
        The options of `analyze`.
    tiles
        (loop, tile shape) of each loop whose tile shapes are explored.
    """

    splits: tuple[tuple[SplitName, str], ...]
    background: tuple[tuple[str, str], ...]
    staged: tuple[str, ...]
    slots: tuple[tuple[str, int | None], ...]
    granularity: str
    order: str
    tiles: tuple[tuple[str, int], ...] = ()

    def __str__(self) -> str:
        parts = {
            "tiles": [f"{loop}={shape}" for loop, shape in self.tiles],
            "Pipeline": [name for name, kind in self.splits if kind == "Pipeline"],
            "background": pair_names(self.background),
            "staged": list(self.staged),
            "slots": [f"{t}={'none' if n is None else n}" for t, n in self.slots],
        }
        texts = [f"{axis} {' '.join(values)}" for axis, values in parts.items() if values]
        return "; ".join(texts) or "Sequential"

    def to_dict(self) -> dict[str, Any]:
        """Return the choice as plain data for JSON.

        Returns
        -------
        dict
            As ``docs/json.md`` describes it.
        """
        return {
            "splits": dict(self.splits),
            "background": pair_names(self.background),
            "staged": list(self.staged),
            "slots": dict(self.slots),
            "granularity": self.granularity,
            "order": self.order,
            "tiles": dict(self.tiles),
        }


class TransferChoice(NamedTuple):
    """The choices that make some transfers blocks of their own.

    Parameters
    ----------
    staged
        The holders that are staged, as the option of `analyze` in its normal form.
    background
        The write-backs in the background.
    """

    staged: Staged
    background: frozenset[WriteBack]


class CellChoice(NamedTuple):
    """The choices that all variants of a cell have in common.

    Parameters
    ----------
    shapes
        Tile shapes of the loops of `Space.tiles`.
    granularity
        The option of `analyze`.
    transfers
        Which transfers are blocks of their own.
    order
        The option of `analyze`.
    kinds
        Kinds of the splits of `Space.splits`.
    """

    shapes: tuple[int, ...]
    granularity: str
    transfers: TransferChoice
    order: str
    kinds: tuple[str, ...]
