"""Colors and names that all renderers share.

The first eight colors are those of Okabe and Ito, which color-blind readers can distinguish, in an
order in which neighbors differ in lightness, and so in gray as well. The other eight are darker and
paler ones. Separate transfers are textured: fills are dotted, write-backs striped, write-backs in
the background hatched.
"""

from __future__ import annotations

from collections.abc import Mapping

from polylat.analysis.timeline import Kind
from polylat.schedule.reasons import Wait

__all__ = [
    "CRITICAL",
    "CRITICAL_DARK",
    "DARK",
    "KINDS",
    "LETTERS_ON",
    "LIGHT",
    "LIGHT_OR_DARK",
    "LINE_COLORS",
    "PALETTE",
    "WAIT_REASONS",
    "einsum_color",
]

PALETTE = (
    *("#0072b2", "#e69f00", "#009e73", "#f0e442", "#cc79a7", "#56b4e9", "#d55e00", "#b0b0b0"),
    *("#003f63", "#ffd37f", "#00503a", "#fff4a8", "#7d3a5e", "#b8e0f7", "#7a3600", "#cfc4a8"),
)
"""Colors of Einsums, in their order: eight, then darker and paler variants of these."""

LINE_COLORS = tuple(PALETTE[k] for k in (0, 6, 2, 4, 1, 5))
"""Colors of the palette that are visible on both light and dark paper, the clearest first."""

LETTERS_ON = (
    *("#ffffff", "#000000", "#ffffff", "#000000", "#000000", "#000000", "#ffffff", "#000000"),
    *("#ffffff", "#000000", "#ffffff", "#000000", "#ffffff", "#000000", "#ffffff", "#000000"),
)
"""Color of letters on each color of the palette."""

LIGHT: Mapping[str, str] = {
    "ink": "#1c2024",
    "faint": "#5b6570",
    "grid": "#d5dae0",
    "paper": "#ffffff",
    "level": "#9aa5b1",
}
"""Colors on light paper."""

DARK: Mapping[str, str] = {
    "ink": "#e8eaed",
    "faint": "#a3adb8",
    "grid": "#3a424b",
    "paper": "#14181c",
    "level": "#66717d",
}
"""Colors on dark paper."""

LIGHT_OR_DARK: Mapping[str, str] = {
    "ink": "#767b80",
    "faint": "#767b80",
    "grid": "rgba(128,128,128,.25)",
    "paper": "rgba(0,0,0,0)",
    "level": "rgba(128,138,148,.45)",
}
"""Colors that can be read on both light and dark paper."""

CRITICAL = "#c8102e"
"""Color of the critical path."""

CRITICAL_DARK = "#ff7285"
"""Color of letters about the critical path on dark paper."""

WAIT_REASONS: Mapping[Wait, str] = {
    "port": "its port",
    "flow": "data",
    "barrier": "a barrier",
    "capacity": "space",
    None: "nothing",
    "unknown": "what is not determined",
}
"""Reason of a wait → what is waited for."""

KINDS: Mapping[Kind, str] = {
    "fill": "fill",
    "foreground": "foreground",
    "write_back": "write-back",
    "background": "write-back in the background",
}
"""Kinds of bars in words, in the order of legends."""


def einsum_color(einsum: int) -> str:
    """Return the color of an Einsum.

    Parameters
    ----------
    einsum
        The number of the Einsum in the order of the workload.

    Returns
    -------
    str
        A color of `PALETTE`, such as ``"#0072b2"``.

    Examples
    --------
    >>> einsum_color(0), einsum_color(16) == einsum_color(0)
    ('#0072b2', True)
    """
    return PALETTE[einsum % len(PALETTE)]
