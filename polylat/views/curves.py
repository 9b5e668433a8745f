"""Plot the latency against bandwidths for pages: a picture, a sentence per curve, and tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from html import escape
from math import log2

from polylat.analysis.bandwidth_curve import Curve
from polylat.numbers import Number, format_factor, format_number
from polylat.views.curve_tables import (
    DRAWN_FACTORS,
    bandwidths_of_components_table,
    breakpoints_table,
    curve_sentences,
    marked_breakpoints,
)
from polylat.views.html import table_box
from polylat.views.style import LINE_COLORS
from polylat.views.timeline_layout import round_tick_step

__all__ = ["curves_html", "round_ticks"]

_DASHES = ("", "6 3", "2 2", "8 3 2 3", "1 2")
# The picture is as wide as a phone's screen; on wider screens it grows, but its letters do not.
_WIDE, _HIGH, _TOP, _BOTTOM, _RIGHT = 366.0, 250.0, 34.0, 42.0, 12.0


def round_ticks(most: Number, count: int = 6) -> list[Fraction]:
    """Return round ticks for an axis: multiples of 1, 2 or 5 times a power of ten.

    Parameters
    ----------
    most
        The largest value on the axis, above 0.
    count
        Largest number of intervals.

    Returns
    -------
    list[Fraction]
        Ticks from 0 up to the first that is at least `most`.

    Examples
    --------
    >>> [int(tick) for tick in round_ticks(98304)]
    [0, 20000, 40000, 60000, 80000, 100000]
    >>> [str(tick) for tick in round_ticks(Fraction(1, 3))]
    ['0', '1/10', '1/5', '3/10', '2/5']
    """
    step = round_tick_step(Fraction(most) / count)
    return [step * k for k in range(-int(-most // step) + 1)]


def curves_html(curves: Sequence[Curve]) -> str:
    """Render the latency against the bandwidth of each component.

    Parameters
    ----------
    curves
        A curve per component.

    Returns
    -------
    str
        HTML.
    """
    drawn = [c for c in curves if any(c.at_bandwidth(f) != c.latency for f in DRAWN_FACTORS)]
    looks = {curve.component: _look(k) for k, curve in enumerate(drawn)}
    words = "".join(
        f"<li>{_swatch(looks.get(c.component))}<b>{escape(c.component)}</b>: {_sentence(c)}"
        f"{'' if c.component in looks else ' (flat here, not drawn)'}</li>"
        for c in curves
    )
    picture = _picture(drawn, looks) if drawn else ""
    parts = [
        f'<div class="plot">{picture}<ul class="key">{words}</ul></div>',
        table_box(bandwidths_of_components_table(curves)),
    ]
    breakpoints = breakpoints_table(curves)
    if breakpoints.rows:
        summary = "Breakpoints of the curves: the rings in the picture"
        parts.append(f"<details><summary>{summary}</summary>{table_box(breakpoints)}</details>")
    return "".join(parts)


def _sentence(curve: Curve) -> str:
    return escape("; ".join(curve_sentences(curve, "bandwidth")))


def _look(number: int) -> str:
    color, dash = LINE_COLORS[number % len(LINE_COLORS)], _DASHES[number % len(_DASHES)]
    return f'style="stroke:{color}" stroke-dasharray="{dash}"'


def _swatch(look: str | None) -> str:
    line = f'<path class="l-curve" d="M0 6H28" {look}/>' if look else ""
    return f'<svg class="polylat" width="30" height="12" aria-hidden="true">{line}</svg>'


def _picture(curves: Sequence[Curve], looks: dict[str, str]) -> str:
    now = curves[0].latency
    ticks = round_ticks(max(c.at_bandwidth(DRAWN_FACTORS[0]) for c in curves))
    left = 8 + 6.4 * max(len(format_number(tick)) for tick in ticks)
    low, high = log2(DRAWN_FACTORS[0]), log2(DRAWN_FACTORS[-1])
    right, foot = _WIDE - _RIGHT, _HIGH - _BOTTOM

    def x(factor: Number) -> float:
        return left + (log2(factor) - low) / (high - low) * (right - left)

    def y(latency: Number) -> float:
        return foot - float(Fraction(latency) / ticks[-1]) * (foot - _TOP)

    def lines() -> Iterator[str]:
        for tick in ticks:
            yield f'<path class="l-grid" d="M{left:.1f} {y(tick):.1f}H{right:.1f}"/>'
            yield _text(left - 4, y(tick) + 3.5, format_number(tick), "end")
        for factor in DRAWN_FACTORS:
            name = "l-bound" if factor == 1 else "l-grid"
            yield f'<path class="{name}" d="M{x(factor):.1f} {_TOP}V{foot}"/>'
            yield _text(x(factor), foot + 14, f"{factor} x", "middle")
        yield _text(4, 14, "Latency, from 0, in the architecture's unit of time", "start")
        yield _text(
            (left + right) / 2, foot + 32, "Bandwidth, relative to the current one", "middle"
        )
        for curve in curves:
            turns = marked_breakpoints(curve)
            between = [Fraction(2.0 ** (low + (high - low) * k / 60)) for k in range(61)]
            factors = sorted({*between, *(f for f, _ in turns)})
            path = "L".join(f"{x(f):.1f} {y(curve.at_bandwidth(f)):.1f}" for f in factors)
            yield f'<path class="l-curve" d="M{path}" {looks[curve.component]}/>'
            for factor, latency in turns:
                hover = f"{curve.component}, {format_factor(factor)}: {format_number(latency)}"
                yield (
                    f'<circle cx="{x(factor):.1f}" cy="{y(latency):.1f}" r="2.4"'
                    f" {looks[curve.component]}><title>{escape(hover)}</title></circle>"
                )
        yield f'<circle class="now" cx="{x(1):.1f}" cy="{y(now):.1f}" r="3"/>'
        yield _text(x(1) + 5, y(now) - 7, f"now: {format_number(now)}", "start", "now")

    title = "Latency against bandwidth, from a quarter of the current one to eight times it"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="polylat curves" role="img"'
        f' viewBox="0 0 {_WIDE:.0f} {_HIGH:.0f}"><title>{title}; the table has the figures.</title>'
        f"{''.join(lines())}</svg>"
    )


def _text(x: float, y: float, text: str, anchor: str, style: str = "axis") -> str:
    return f'<text class="{style}" text-anchor="{anchor}" x="{x:.1f}" y="{y:.1f}">{escape(text)}</text>'
