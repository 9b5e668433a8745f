"""Colours and names that all renderers share.

The colours are those of Okabe and Ito, which colour-blind readers tell apart, in an order in which
neighbours differ in lightness, so that they differ in grey as well; from the ninth on darker and
paler ones. What is in the background is hatched, and what is prefetched is dotted.
"""

from __future__ import annotations

from collections.abc import Mapping

from polylat.report import WaitedFor

__all__ = [
    "BOTH",
    "CRITICAL",
    "CRITICAL_DARK",
    "DARK",
    "KINDS",
    "LIGHT",
    "ON",
    "PALETTE",
    "WAITS",
    "colour",
]

PALETTE = (
    *("#0072b2", "#e69f00", "#009e73", "#f0e442", "#cc79a7", "#56b4e9", "#d55e00", "#b0b0b0"),
    *("#003f63", "#ffd37f", "#00503a", "#fff4a8", "#7d3a5e", "#b8e0f7", "#7a3600", "#cfc4a8"),
)
"""Colours of Einsums, one after another: eight, and then darker and paler ones of these."""

ON = (
    *("#ffffff", "#000000", "#ffffff", "#000000", "#000000", "#000000", "#ffffff", "#000000"),
    *("#ffffff", "#000000", "#ffffff", "#000000", "#ffffff", "#000000", "#ffffff", "#000000"),
)
"""Colours of letters on each of the palette's colours."""

LIGHT: Mapping[str, str] = {
    "ink": "#1c2024",
    "faint": "#5b6570",
    "grid": "#d5dae0",
    "paper": "#ffffff",
    "level": "#9aa5b1",
}
DARK: Mapping[str, str] = {
    "ink": "#e8eaed",
    "faint": "#a3adb8",
    "grid": "#3a424b",
    "paper": "#14181c",
    "level": "#66717d",
}
BOTH: Mapping[str, str] = {
    "ink": "#767b80",
    "faint": "#767b80",
    "grid": "rgba(128,128,128,.25)",
    "paper": "rgba(0,0,0,0)",
    "level": "rgba(128,138,148,.45)",
}
"""Colours that can be read on light and on dark paper."""

CRITICAL = "#c8102e"
"""Colour of the critical path, which is a line of its own width, too."""
CRITICAL_DARK = "#ff7285"
"""The same for letters on dark, where they are to be read."""

WAITS: Mapping[WaitedFor | None, str] = {
    "port": "its port",
    "flow": "data",
    "barrier": "a barrier",
    "capacity": "space",
    None: "nothing",
}
KINDS = {
    "fill": "prefetched fill",
    "foreground": "foreground",
    "background": "background write-back",
}


def colour(einsum: int) -> str:
    """The colour of an Einsum, by its place.

    Examples
    --------
    >>> colour(0), colour(16) == colour(0)
    ('#0072b2', True)
    """
    return PALETTE[einsum % len(PALETTE)]
