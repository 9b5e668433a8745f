"""Pictures of timelines: complete and legible as SVG, as text, by matplotlib and by plotly."""

from __future__ import annotations

import dataclasses
import itertools
import re
import sys
import xml.etree.ElementTree as ET
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import polylat
from builders import EXAMPLE
from polylat import MissingExtraError, OptionError, Report, Spec, UnsupportedError
from polylat.analysis.timeline import Kind
from polylat.views.captions import bounds_words
from polylat.views.scene import Box, Label, Polyline
from polylat.views.style import DARK, KINDS, LIGHT, PALETTE
from polylat.views.timeline import TimelineStack
from polylat.views.timeline_layout import LETTER, marks, waited_for_port
from polylat.views.timeline_scene import timeline_scene

SVG = "{http://www.w3.org/2000/svg}"


def test_svg_has_every_bar(report: Report) -> None:
    line = report.timeline()
    drawn = ET.fromstring(line.to_svg())
    boxes = [r for r in drawn.iter(f"{SVG}rect") if r.find(f"{SVG}title") is not None]
    legend = len(line.einsums) + 1
    assert len(boxes) == len(line.bars) + legend
    words = "".join(b.findtext(f"{SVG}title", "") for b in boxes)
    assert (
        "write-back in the background" in words and "slack" in words and "waited for data" in words
    )
    title = drawn.findtext(f"{SVG}title")
    assert title is not None and "latency 31,808" in title
    assert drawn.get("role") == "img"
    texts = {t.text for t in drawn.iter(f"{SVG}text")}
    assert "waits for data (flow)" in texts and "waits for space (capacity)" not in texts
    classes = {p.get("class") for p in drawn.iter(f"{SVG}path")}
    assert {"l-critical", "l-bound", "l-level", "l-flow"} <= classes


def test_who_waits_for_a_port(spec: Spec) -> None:
    """There is a tick where a wide bar begins that waited for its port, and nowhere else."""
    pipelined = spec.with_pipelines()
    report = polylat.analyze(pipelined, granularity="tile")
    line = report.timeline()
    picture = timeline_scene(TimelineStack((line,)))
    boxes = [i for i in picture.items if isinstance(i, Box)][: len(line.bars)]
    waits = [
        (box.x, box.y)
        for box, bar in zip(boxes, line.bars, strict=True)
        if bar.waited_for == "port" and box.width >= 5
    ]
    assert len(waits) > 8  # stages contend for ports
    ticks = [i for i in picture.items if isinstance(i, Polyline) and i.style == "wait port"]
    *on_bars, legend = [tick.points[0] for tick in ticks]
    assert on_bars == waits
    assert any("waits for its port (port)" in w.text for w in picture.items if isinstance(w, Label))
    assert legend[1] > max(y for _, y in waits)
    # Bars before a window are not shown.
    start = next(bar.start for bar in line.bars if bar.waited_for == "port")
    there = report.timeline(window=(start, start + 2000))
    first = next(bar for bar in there.bars if bar.start == start and bar.waited_for == "port")
    assert not waited_for_port(there.segments[0], first)


def test_svg_of_what_repeats(attention: Report) -> None:
    line = attention.timeline()
    texts = [t.text or "" for t in ET.fromstring(line.to_svg()).iter(f"{SVG}text")]
    for repeat in line.repeats:
        assert any(text.startswith(f"× {repeat.count:,}") for text in texts)


@pytest.mark.parametrize("kind", ["foreground", "background", "write_back", "fill"])
def test_textures(report: Report, kind: Kind) -> None:
    """Separate transfers have textures, also in the legend."""
    line = report.timeline()
    (segment,) = line.segments
    bars = tuple(dataclasses.replace(bar, kind=kind) for bar in segment.bars)
    line = dataclasses.replace(line, segments=(dataclasses.replace(segment, bars=bars),))
    drawn = ET.fromstring(line.to_svg())
    boxes = [r for r in drawn.iter(f"{SVG}rect") if r.find(f"{SVG}title") is not None]
    textures = Counter((r.get("style") or "").partition("(")[2].rstrip(")") for r in boxes)
    plain = len(line.einsums) + (len(bars) if kind == "foreground" else 0)
    assert textures.pop("") == plain  # in the legend, Einsums are plain
    assert sum(textures.values()) == (0 if kind == "foreground" else len(bars) + 1)
    assert {f"#{p.get('id')}" for p in drawn.iter(f"{SVG}pattern")} == {*textures}
    assert {t[1] for t in textures} == ({kind[0]} if kind != "foreground" else set())
    texts = {t.text for t in drawn.iter(f"{SVG}text")}
    assert {k for k, words in KINDS.items() if words in texts} == {kind} - {"foreground"}
    pytest.importorskip("plotly", reason="the extra `plot` is not installed")
    shapes = {
        t.marker.pattern.shape
        for t in line.to_plotly().data
        if t.type == "bar" and t.orientation == "h"
    }
    marks_of = {"foreground": "", "background": "/", "write_back": "\\", "fill": "."}
    assert shapes == {marks_of[kind]}


@pytest.mark.parametrize(("factor", "off"), [(8, False), (9, True)])
def test_sizes_off_the_scale(report: Report, factor: int, off: bool) -> None:
    """The line of a memory's size is in the picture, or is said to be off the scale."""
    line = report.timeline()
    segment = line.segments[0]
    level = next(lv for lv in segment.levels if lv.peak)
    assert level.peak is not None
    only = dataclasses.replace(level, size=factor * level.peak)
    segment = dataclasses.replace(segment, levels=(only,))
    drawn = ET.fromstring(dataclasses.replace(line, segments=(segment,)).to_svg())
    texts = [t.text or "" for t in drawn.iter(f"{SVG}text")]
    assert any(text.endswith(": off the scale") for text in texts) == off
    lines = [p for p in drawn.iter(f"{SVG}path") if p.get("class") == "l-size"]
    assert len(lines) == (not off)


@pytest.mark.parametrize("width", [400, 1000])
def test_everything_is_inside(report: Report, width: int) -> None:
    drawn = ET.fromstring(report.timeline().to_svg(width=width))
    _, _, wide, high = map(float, drawn.get("viewBox", "").split())
    assert wide == width
    for box in drawn.iter(f"{SVG}rect"):
        if box.get("class") != "paper" and box.get("x"):
            x, y, w, h = (float(box.get(k, "0")) for k in ("x", "y", "width", "height"))
            assert x >= 0 and y >= 0 and x + w <= wide + 0.5 and y + h <= high + 0.5


def lightness(colour: str) -> float:
    parts = (int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5))
    weights = (0.2126, 0.7152, 0.0722)
    return sum(w * float(p**2.2) for w, p in zip(weights, parts, strict=True))


def test_colours_differ_in_grey() -> None:
    """Neighbours in the palette differ in lightness, so that grey prints can be read."""
    greys = [lightness(c) for c in PALETTE]
    assert all(abs(a - b) > 0.1 for a, b in itertools.pairwise(greys))


@pytest.mark.parametrize("kind", ["svg", "pdf", "png"])
def test_matplotlib(report: Report, kind: str, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="the extra `plot` is not installed")
    first, second = (report.timeline().save(tmp_path / f"{n}.{kind}") for n in ("a", "b"))
    assert first.read_bytes() == second.read_bytes()
    start = {"svg": b"<?xml", "pdf": b"%PDF", "png": b"\x89PNG"}[kind]
    assert first.read_bytes().startswith(start)
    if kind == "svg":
        drawn = ET.parse(first)
        texts = {t.text for t in drawn.iter(f"{SVG}text")}
        assert {"DRAM", "SRAM", "mac", "e1", "critical path"} <= texts


def test_plotly(report: Report, attention: Report, spec: Spec) -> None:
    pytest.importorskip("plotly", reason="the extra `plot` is not installed")
    line = report.timeline()
    figure = line.to_plotly()
    bars = [t for t in figure.data if t.type == "bar" and t.orientation == "h"]
    assert sum(len(t.x) for t in bars) == len(line.bars)
    assert {t.marker.pattern.shape for t in bars} == {"", "/"}
    assert any("slack" in text for t in bars for text in t.hovertext)
    named = [t.name for t in figure.data if t.type == "scatter" and t.name]
    waits = [f"waits for {w}" for w in ("data (flow)", "a barrier (barrier)")]
    assert named == ["critical path", *waits]
    words = [a.text for a in figure.layout.annotations]
    title, *notes = words[:3]
    assert title == f"<b>{line.title}</b>"
    assert " · ".join(notes) == bounds_words(line)
    assert any(
        "× 29" in (a.text or "") for a in attention.timeline().to_plotly().layout.annotations
    )
    stack = polylat.timelines({"theirs": polylat.roofline(spec), "ours": report}).to_plotly()
    titles = [a.text for a in stack.layout.annotations if a.text.startswith("<b>")]
    assert titles == ["<b>theirs</b>", "<b>ours</b>"]
    assert stack.layout.xaxis2.matches == "x"


def test_memories_by_plotly(report: Report, attention: Report) -> None:
    """The occupancy of every memory, and its size, are below the lanes, on the same axis."""
    pytest.importorskip("plotly", reason="the extra `plot` is not installed")
    for line in (report.timeline(), attention.timeline()):
        figure = line.to_plotly()
        told = [t for t in figure.data if t.type == "bar" and t.orientation != "h"]
        for k, drawn in enumerate(told):
            levels = [segment.levels[k] for segment in line.segments]
            steps = [step for level in levels for step in level.steps or ()]
            assert drawn.xaxis == "x" and list(drawn.y) == [float(bits) for _, bits in steps]
            (first, bits), (then, _), *_ = steps
            assert drawn.hovertext[0].startswith(
                f"{levels[0].name}, {first:,} to {then:,}:<br>{bits:,} bits<br>peak "
            )
        assert len(told) == len(line.segments[0].levels)
        rows = [figure.layout[f"yaxis{k or ''}"].domain for k in ("", *range(2, 2 + len(told)))]
        assert all(below[1] < above[0] for above, below in itertools.pairwise(rows))
    sizes = [s.y0 for s in figure.layout.shapes if s.line.dash == "dot"]
    assert sizes == [134217728, 16]


@pytest.mark.parametrize("dark", [True, False, None])
def test_plotly_can_be_read(report: Report, dark: bool | None) -> None:
    """Text contrasts with the background; if that is transparent, with a light and a dark one."""
    pytest.importorskip("plotly", reason="the extra `plot` is not installed")
    layout = report.timeline().to_plotly(dark=dark).layout
    papers = [LIGHT["paper"], DARK["paper"]] if dark is None else [layout.paper_bgcolor]
    inks = {layout.font.color, *(a.font.color for a in layout.annotations)}
    for ink, paper in itertools.product(inks, papers):
        low, high = sorted(lightness(colour) + 0.05 for colour in (ink, paper))
        assert high / low > (4 if dark is None else 4.5)


@pytest.mark.parametrize(
    "times",
    [(100, 100), (99, 100), (1, 2), (1, 100), (50, 51), (30, 70), (90, 100), (45, 60), (5, 20)],
)
def test_names_of_bounds(report: Report, times: tuple[int, int]) -> None:
    """No name of a bound covers the other name or its line."""
    line = report.timeline()
    bounds = tuple((n, t * 317) for (n, _), t in zip(line.bounds, times, strict=False))
    line = dataclasses.replace(line, bounds=bounds)
    if times[0] == times[1]:
        (both,) = marks(line, [(80.0, 380.0)])
        assert both.text == "resource, dependence"
        return
    one, other = marks(line, [(80.0, 380.0)])
    low = [m.x - (len(m.text) * LETTER if m.anchor == "end" else 0) for m in (one, other)]
    apart = low[0] + len(one.text) * LETTER < low[1] or low[1] + len(other.text) * LETTER < low[0]
    assert apart or one.row != other.row
    for mine, its, start in ((one, other, low[0]), (other, one, low[1])):
        over = start < its.x < start + len(mine.text) * LETTER
        assert not over or its.row < mine.row


@pytest.mark.parametrize(
    ("module", "extra", "call"),
    [
        ("matplotlib.figure", "plot", lambda r: r.timeline().to_matplotlib()),
        ("plotly", "plot", lambda r: r.timeline().to_plotly()),
        ("pandas", "frames", lambda r: r.ports_frame()),
    ],
)
def test_a_missing_extra(
    report: Report, module: str, extra: str, call: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtraError, match=re.escape(f"polylat[{extra}]")):
        call(report)


def test_an_unknown_kind_of_picture(report: Report, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="pictures are"):
        report.timeline().save(tmp_path / "a.gif")


def test_text(report: Report, attention: Report) -> None:
    text = report.timeline().to_text(width=80)
    lines = text.splitlines()
    assert max(map(len, lines)) <= 80
    (dram, *_) = [line for line in lines if line.startswith("DRAM │")]
    assert dram.startswith("DRAM │AABB") and dram.endswith("C")
    assert "A e1  B e2  C e3" in text
    folded = attention.timeline().to_text(width=80)
    assert "×29" in folded and max(map(len, folded.splitlines())) <= 80


@pytest.mark.parametrize("width", [200, 400, 1000])
def test_counts_of_what_repeats(attention: Report, width: int) -> None:
    """However narrow the picture is, every count is there, and none covers another."""
    line = attention.timeline()
    drawn = timeline_scene(TimelineStack((line,)), width)
    labels = [i for i in drawn.items if isinstance(i, Label) and i.style == "repeat"]
    assert len(labels) == len(line.repeats)
    for label, repeat in zip(labels, line.repeats, strict=True):
        assert label.text.split(" of ")[0] == f"× {repeat.count:,}"
        assert label.x + len(label.text) * LETTER / 2 <= width
    for one, other in itertools.combinations(labels, 2):
        half = (len(one.text) + len(other.text)) * LETTER / 2
        assert abs(one.x - other.x) >= half or abs(one.y - other.y) >= 15


@pytest.mark.parametrize("throughput", ["1e-4000", "1e4000"])
def test_times_beyond_floats(throughput: str, tmp_path: Path) -> None:
    """They are drawn as any others; formats that need floats raise an error."""
    arch = Path(EXAMPLE[0]).read_text(encoding="utf-8")
    slow = tmp_path / "arch.yaml"
    slow.write_text(arch.replace("throughput: 1}", f"throughput: {throughput}}}"), encoding="utf-8")
    files = [str(slow), *EXAMPLE[1:]]
    report = polylat.analyze(polylat.load(files), granularity="tile", background="o2")
    for limit in (5, 400):
        line = report.timeline(fold=False, limit=limit)
        assert "<rect" in line.to_svg()
        with pytest.raises(UnsupportedError, match="floating-point"):
            line.to_plotly()
    assert report._repr_html_()
    assert report.curve("mac").at(0)
    with pytest.raises(UnsupportedError, match="floating-point"):
        report.to_perfetto(tmp_path / "trace.json")
