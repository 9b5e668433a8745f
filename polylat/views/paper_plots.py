"""Plots for papers: latency against bandwidth or sizes, and one bar per mechanism."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from fractions import Fraction
from math import log2
from typing import TYPE_CHECKING, Any

from polylat.analysis.mechanisms import Mechanisms
from polylat.analysis.results import Results
from polylat.errors import OptionError
from polylat.numbers import format_factor, to_float
from polylat.views.matplotlib_figure import figure_class
from polylat.views.style import LIGHT, LINE_COLORS, PALETTE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["plot_bandwidth", "plot_lines", "plot_mechanisms"]

_COLORS = (*LINE_COLORS, PALETTE[8], PALETTE[14])
"""Colors that are visible on white paper, the clearest first."""

_DASHES = ("-", "--", "-.", ":")
_MARKERS = "osD^vP*X"
_SAMPLES = 32
"""Points of a curve per doubling of the bandwidth."""

_SHORT = {
    "Sequential splits": "Sequential",
    "write-backs in the background": "background",
    "all tiles staged": "staged",
}


def plot_bandwidth(
    reports: Results | Mapping[str, Results],
    component: str,
    action: str | None = None,
    *,
    factors: tuple[float, float] = (0.25, 8),
    width: float = 5.0,
) -> Figure:
    """Plot the latency of mappings against the bandwidth of a component.

    Parameters
    ----------
    reports
        A report, or name → report.
    component, action
        The component, and one of its actions; None: all of them.
    factors
        The least and the largest bandwidth, as multiples of the present one.
    width
        Width in inches.

    Returns
    -------
    matplotlib.figure.Figure
        The figure, which belongs to no window. Lines are exact; a marker shows where a higher
        bandwidth does not lower the latency any more. The order of service is kept, as in
        `Results.curve`.

    Raises
    ------
    MissingExtraError
        Matplotlib is not installed.
    OptionError
        There is no report or no such component, or the factors are not above zero and increasing.
    UnsupportedError
        A curve cannot be determined.
    """
    low, high = factors
    if not 0 < low < high:
        raise OptionError("factors are not two increasing numbers above zero")
    figure, axes = _figure(width)
    for number, (name, results) in enumerate(_named(reports).items()):
        curve = results.curve(component, action)
        steps = max(int(log2(high / low) * _SAMPLES), 1)
        bends = [1 / Fraction(scale) for scale, _ in curve.breakpoints if scale]
        at = {Fraction(low * (high / low) ** (k / steps)) for k in range(steps + 1)}
        at |= {bend for bend in bends if low <= bend <= high}
        shown = sorted(at)
        look: dict[str, Any] = {
            "color": _COLORS[number % len(_COLORS)],
            "linestyle": _DASHES[number % len(_DASHES)],
            "marker": _MARKERS[number % len(_MARKERS)],
            "label": name,
        }
        beyond = curve.beyond
        marked = [shown.index(Fraction(beyond))] if beyond and low <= beyond <= high else []
        axes.plot(
            [float(factor) for factor in shown],
            [to_float(curve.at_bandwidth(factor)) for factor in shown],
            markevery=marked,
            linewidth=1.5,
            **look,
        )
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter(lambda factor, _: format_factor(Fraction(factor)))
    axes.set_xlabel(f"bandwidth of {component}{f' ({action})' if action else ''}")
    axes.set_ylabel("latency")
    axes.set_ylim(bottom=0)
    _finish(axes)
    return figure


def plot_lines(
    lines: Mapping[str, Sequence[tuple[Fraction, Fraction]]],
    *,
    x: str,
    y: str,
    marked: Collection[Fraction] = (),
    bottom: float = 0,
    width: float = 5.0,
) -> Figure:
    """Plot lines through points.

    Parameters
    ----------
    lines
        Name → points, in order.
    x, y
        Labels of the axes.
    marked
        Places on the x axis whose points get a marker; none: no markers.
    bottom
        Where the y axis begins.
    width
        Width in inches.

    Returns
    -------
    matplotlib.figure.Figure
        The figure, which belongs to no window.

    Raises
    ------
    MissingExtraError
        Matplotlib is not installed.
    """
    figure, axes = _figure(width)
    for number, (name, points) in enumerate(lines.items()):
        axes.plot(
            [to_float(place) for place, _ in points],
            [to_float(value) for _, value in points],
            color=_COLORS[number % len(_COLORS)],
            linestyle=_DASHES[number % len(_DASHES)],
            marker=_MARKERS[number % len(_MARKERS)],
            markevery=[i for i, (place, _) in enumerate(points) if place in marked],
            linewidth=1.5,
            label=name,
        )
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.set_ylim(bottom=bottom)
    _finish(axes)
    return figure


def plot_mechanisms(reports: Results | Mapping[str, Results], *, width: float = 6.0) -> Figure:
    """Plot the latency of mappings under each mechanism, next to AccelForge's accounting.

    Parameters
    ----------
    reports
        A report, or name → report.
    width
        Width in inches.

    Returns
    -------
    matplotlib.figure.Figure
        The figure, which belongs to no window: per mapping a bar for AccelForge's accounting and
        for each row of `Results.mechanisms`.

    Raises
    ------
    MissingExtraError
        Matplotlib is not installed.
    OptionError
        There is no report.
    """
    figure, axes = _figure(width)
    found = {name: _bars(results.mechanisms()) for name, results in _named(reports).items()}
    # A mapping without write-backs or staged holders lacks some mechanisms.
    most_first = sorted(found.values(), key=len, reverse=True)
    kinds = list(dict.fromkeys(kind for bars in most_first for kind in bars))
    room = 0.8 / len(kinds)
    for number, kind in enumerate(kinds):
        heights = [bars.get(kind, 0.0) for bars in found.values()]
        places = [k + (number + 0.5) * room - 0.4 for k in range(len(found))]
        color = LIGHT["level"] if number == 0 else _COLORS[(number - 1) % len(_COLORS)]
        axes.bar(places, heights, room * 0.92, color=color, label=kind)
    axes.set_xticks(range(len(found)), list(found))
    axes.set_ylabel("latency")
    _finish(axes)
    return figure


def _bars(mechanisms: Mechanisms) -> dict[str, float]:
    """Return mechanism → latency; without those that have no schedule."""
    bars = {"AccelForge's accounting": to_float(mechanisms.accelforge)}
    for row in mechanisms.rows:
        if row.found.latency is not None:
            bars[_short(row.what)] = to_float(row.found.latency)
    return bars


def _short(what: str) -> str:
    """Shorten the words for mechanisms."""
    for long, short in _SHORT.items():
        what = what.replace(long, short)
    return what


def _named(reports: Results | Mapping[str, Results]) -> dict[str, Results]:
    named = {"": reports} if isinstance(reports, Results) else dict(reports)
    if not named or not all(isinstance(report, Results) for report in named.values()):
        raise OptionError("there is nothing to plot", fix="give a report, or {name: report, ...}")
    return named


def _figure(width: float) -> tuple[Figure, Axes]:
    figure = figure_class()(figsize=(width, width * 0.62), layout="constrained")
    return figure, figure.add_subplot()


def _finish(axes: Axes) -> None:
    """Give axes a grid, thousands in labels, and a legend above if there are names."""
    axes.grid(axis="y", color=LIGHT["grid"], linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.12g}")
    handles, labels = axes.get_legend_handles_labels()
    if any(labels) and handles:
        axes.figure.legend(loc="outside upper center", ncols=2, frameon=False, fontsize="small")
