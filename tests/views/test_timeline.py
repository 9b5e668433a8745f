"""Timelines that draw themselves: widths, titles, files, and several on one axis of time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import polylat
from builders import EXAMPLE, EXAMPLES
from polylat import OptionError, Report


def example(**options: Any) -> Report:
    return polylat.analyze(polylat.load(EXAMPLE), **{"granularity": "tile", **options})


def test_slack_that_is_not_determined_is_marked() -> None:
    """The caption of a bar says so."""
    from polylat.views.captions import bar_words

    line = example(background="o2").timeline()
    bar = line.bars[0]
    assert f"slack {bar.slack}" in bar_words(bar, line.lanes[bar.lane])
    unknown = bar_words(replace(bar, slack=None), line.lanes[bar.lane])
    assert "slack not determined" in unknown


@pytest.mark.parametrize(
    ("name", "widths", "allowed"),
    [
        ("to_svg", (199, -5, 10_001, "1000"), "from 200 to 10,000 pixels"),
        ("to_matplotlib", (0, float("nan"), 101), "from 2 to 100 inches"),
        ("to_text", (1, 19, 1_001, None), "from 20 to 1,000 columns"),
    ],
)
def test_no_width(name: str, widths: tuple[Any, ...], allowed: str) -> None:
    line = example().timeline()
    for width in widths:
        with pytest.raises(OptionError) as error:
            getattr(line, name)(width=width)
        assert f"width={width!r}" in str(error.value) and allowed in str(error.value)


def test_narrow_widths() -> None:
    line = polylat.analyze(
        polylat.load(EXAMPLES / "attention.yaml", EXAMPLES / "attention_schedule.yaml")
    ).timeline()
    assert max(map(len, line.to_text(width=20).splitlines())) <= 20
    assert 'width="200"' in line.to_svg(width=200)


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    report, nowhere = example(), tmp_path / "no" / "where"
    for write in (
        lambda: report.timeline().save(nowhere.with_suffix(".html")),
        lambda: report.to_perfetto(nowhere.with_suffix(".json")),
        lambda: report.to_html(inputs=[str(nowhere)]),
    ):
        with pytest.raises(OptionError, match=r"cannot (write|read) .*where"):
            write()


def test_timelines() -> None:
    spec = polylat.load(EXAMPLE)
    stack = polylat.timelines({"AccelForge": polylat.roofline(spec), "here": polylat.analyze(spec)})
    theirs, ours = stack.timelines
    assert theirs.latency == 32768 == max(bar.finish for bar in theirs.bars)
    assert sum(bar.duration for bar in theirs.bars if bar.critical) == 32768
    assert [lane.name for lane in theirs.lanes] == [lane.name for lane in ours.lanes]
    assert ours.title == "here" and not ours.folded
    same = polylat.timelines([polylat.roofline(spec), polylat.analyze(spec)])
    assert [line.title for line in same.timelines] == ["AccelForge", "order program"]


def test_lanes_are_in_the_order_of_the_architecture() -> None:
    """In AccelForge's accounting, too, although its first Einsum does not use the vector unit."""
    spec = polylat.load(EXAMPLES / "attention.yaml", EXAMPLES / "attention_schedule.yaml")
    for line in polylat.timelines([polylat.roofline(spec), polylat.analyze(spec)]).timelines:
        found = list(dict.fromkeys(lane.component for lane in line.lanes))
        assert found == [name for name in spec.arch.order if name in found]
        assert {"vector", "register", "mac"} <= {*found}
        for einsum, lane in {(bar.einsum, line.lanes[bar.lane].component) for bar in line.bars}:
            assert lane in {component.name for component in spec.arch.paths[einsum]}


@pytest.mark.parametrize("items", [[], {}, ["a"], [None], 3, None])
def test_items_that_have_no_timeline(items: Any) -> None:
    with pytest.raises(OptionError):
        polylat.timelines(items)


def test_titles_are_strings() -> None:
    report = polylat.analyze(polylat.load(EXAMPLE))
    calls: list[Callable[[Any], object]] = [
        lambda title: report.timeline(title=title),
        lambda title: polylat.timelines({title: report}),
        lambda title: report.to_html(title=title),
    ]
    for call in calls:
        for title in (3, b"title"):
            with pytest.raises(OptionError, match="a title must be a string"):
                call(title)


def test_names_of_files_are_names() -> None:
    report = polylat.analyze(polylat.load(EXAMPLE))
    calls: list[Callable[[Any], object]] = [
        report.timeline().save,
        report.to_perfetto,
        lambda path: report.to_html(inputs=path),
        lambda path: report.to_html(inputs=[path]),
    ]
    for call in calls:
        for path in (None, 3):
            with pytest.raises(OptionError, match="not the name of a file"):
                call(path)


def test_a_mapping_that_takes_no_time() -> None:
    spec = polylat.load(EXAMPLE)
    for path in spec.arch.paths.values():
        for component in path:
            object.__setattr__(component, "ports", ())
    report = polylat.analyze(spec)
    line = report.timeline()
    assert line.latency == 0 and line.bars == ()
    shown: list[Callable[[], Any]] = [line.to_text, line.to_svg, line.to_html, line.to_matplotlib]
    for show in shown:
        assert show()
    assert line.to_plotly().to_html()
