"""Plots for papers: their lines and bars have the figures of the analyses."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest

import polylat
from builders import EXAMPLES
from polylat import OptionError, Report

pytest.importorskip("matplotlib")


def example(name: str, **options: Any) -> Report:
    files = (EXAMPLES / f"{part}.yaml" for part in ("arch", "workload", name))
    return polylat.analyze(polylat.load(*files), **options)


@pytest.fixture(scope="module")
def reports() -> dict[str, Report]:
    return {
        "untapped": example("untapped"),
        "kept": example("tap_resident"),
        "overlapped": example("tap_resident", pipelined=True),
    }


def test_lines_are_exact_and_bend_where_the_curve_does(reports: dict[str, Report]) -> None:
    (axes,) = polylat.plot_bandwidth(reports, "DRAM", factors=(0.5, 4)).axes
    assert [line.get_label() for line in axes.lines] == list(reports)
    for line, report in zip(axes.lines, reports.values(), strict=True):
        curve = report.curve("DRAM")
        drawn: Any = line
        xs, ys = (list(map(float, data)) for data in (drawn.get_xdata(), drawn.get_ydata()))
        assert (xs[0], xs[-1]) == (0.5, 4) and xs == sorted(xs)
        assert all(
            float(curve.at_bandwidth(Fraction(x))) == pytest.approx(y)
            for x, y in zip(xs, ys, strict=True)
        )
        bends = [float(1 / Fraction(scale)) for scale, _ in curve.breakpoints if scale]
        assert {bend for bend in bends if 0.5 <= bend <= 4} <= set(xs)
        (marked,) = drawn.get_markevery()
        assert xs[marked] == float(curve.beyond or 0)


def test_one_report_and_one_action() -> None:
    figure = polylat.plot_bandwidth(example("tap_resident"), "SRAM", "read")
    assert figure.axes[0].get_xlabel() == "bandwidth of SRAM (read)"
    assert not figure.legends


def test_bars_are_the_mechanisms(reports: dict[str, Report]) -> None:
    some = {name: reports[name] for name in ("untapped", "kept")}
    (axes,) = polylat.plot_mechanisms(some).axes
    heights = {bars.get_label(): [bar.get_height() for bar in bars] for bars in axes.containers}
    assert list(heights) == [
        "AccelForge's accounting",
        *("Sequential", "Sequential, background", "Sequential, staged"),
        *("Pipelines", "Pipelines, background", "Pipelines, staged"),
    ]
    # Nothing is written back or staged in the first mapping.
    assert heights["AccelForge's accounting"] == [31744, 32768]
    assert heights["Sequential"] == [31744, 32256]
    assert heights["Sequential, background"] == [0, 31752]
    assert heights["Pipelines"] == [24064, 24576]


@pytest.mark.parametrize("given", [{}, {"a": 1}, []])
def test_nothing_to_plot(given: Any) -> None:
    for plot in (polylat.plot_mechanisms, lambda some: polylat.plot_bandwidth(some, "DRAM")):
        with pytest.raises(OptionError, match="nothing to plot"):
            plot(given)


@pytest.mark.parametrize("factors", [(0, 1), (2, 1), (1, 1), (-1, 2)])
def test_factors_that_are_no_range(factors: tuple[float, float]) -> None:
    with pytest.raises(OptionError, match="factors"):
        polylat.plot_bandwidth(example("untapped"), "DRAM", factors=factors)


def test_no_such_component() -> None:
    with pytest.raises(OptionError, match="'L2'"):
        polylat.plot_bandwidth(example("untapped"), "L2")


def test_saved_as_vectors(reports: dict[str, Report], tmp_path: Any) -> None:
    for ending in ("pdf", "svg"):
        path = tmp_path / f"plot.{ending}"
        polylat.plot_mechanisms(reports).savefig(path)
        assert path.stat().st_size > 1000
