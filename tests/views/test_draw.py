"""Pictures, pages, traces and frames: what is on them, and that they can be read."""

from __future__ import annotations

import dataclasses
import itertools
import json
import re
import sys
import xml.etree.ElementTree as ET
from collections import Counter
from fractions import Fraction
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import polylat
from polylat import MissingExtraError, OptionError, Report, Spec, UnsupportedError
from polylat.analysis.timeline import Kind
from polylat.numbers import show
from polylat.views.captions import bounds_words
from polylat.views.curves import round_ticks
from polylat.views.perfetto import perfetto_trace
from polylat.views.scene import Box, Label, Polyline, timeline_scene
from polylat.views.style import DARK, LIGHT, PALETTE
from polylat.views.timeline import Stack
from polylat.views.timeline_layout import LETTER, marks, waited_for_port

ROOT = Path(__file__).parent.parent
FILES = [str(ROOT / f"examples/{name}.yaml") for name in ("arch", "workload", "tap_resident")]
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def spec() -> Spec:
    return polylat.load(FILES)


@pytest.fixture(scope="module")
def report(spec: Spec) -> Report:
    return polylat.analyze(spec, granularity="tile", background="o2")


@pytest.fixture(scope="module")
def attention() -> Report:
    return polylat.analyze(polylat.load(ROOT / "examples" / "attention.yaml"))


# Pictures -----------------------------------------------------------------------------------------


def test_svg_has_every_bar(report: Report) -> None:
    line = report.timeline()
    drawn = ET.fromstring(line.to_svg())
    boxes = [r for r in drawn.iter(f"{SVG}rect") if r.find(f"{SVG}title") is not None]
    legend = len(line.einsums) + 1
    assert len(boxes) == len(line.bars) + legend
    words = "".join(b.findtext(f"{SVG}title", "") for b in boxes)
    assert "background write-back" in words and "slack" in words and "waited for data" in words
    title = drawn.findtext(f"{SVG}title")
    assert title is not None and "latency 31,744" in title
    assert drawn.get("role") == "img"
    texts = {t.text for t in drawn.iter(f"{SVG}text")}
    assert "waits for data (flow)" in texts and "waits for space (capacity)" not in texts
    classes = {p.get("class") for p in drawn.iter(f"{SVG}path")}
    assert {"l-critical", "l-bound", "l-level", "l-flow"} <= classes


def test_who_waits_for_a_port(report: Report) -> None:
    """A tick where a wide bar begins for which its port was not free, and nowhere else."""
    line = report.timeline()
    picture = timeline_scene(Stack((line,)))
    boxes = [i for i in picture.items if isinstance(i, Box)][: len(line.bars)]
    waits = [
        (box.x, box.y)
        for box, bar in zip(boxes, line.bars, strict=True)
        if bar.waited_for == "port" and box.width >= 5
    ]
    assert len(waits) == 8  # for the write of o2 to DRAM: SRAM is read for it
    ticks = [i for i in picture.items if isinstance(i, Polyline) and i.style == "wait port"]
    *on_bars, legend = [tick.points[0] for tick in ticks]
    assert on_bars == waits
    assert any("waits for its port (port)" in w.text for w in picture.items if isinstance(w, Label))
    assert legend[1] > max(y for _, y in waits)
    # What came before a window is not in sight.
    start = next(bar.start for bar in line.bars if bar.waited_for == "port")
    there = report.timeline(window=(start, start + 2000))
    first = next(bar for bar in there.bars if bar.start == start and bar.waited_for == "port")
    assert not waited_for_port(there.segments[0], first)


def test_svg_of_what_repeats(attention: Report) -> None:
    line = attention.timeline()
    texts = [t.text or "" for t in ET.fromstring(line.to_svg()).iter(f"{SVG}text")]
    for repeat in line.repeats:
        assert any(text.startswith(f"× {repeat.count:,}") for text in texts)


@pytest.mark.parametrize("kind", ["foreground", "background", "fill"])
def test_textures(report: Report, kind: Kind) -> None:
    """What is in the background or prefetched looks unlike the rest, in the legend, too."""
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
    words = {"fill": "prefetched", "background": "in the background"}
    texts = {t.text for t in drawn.iter(f"{SVG}text")}
    assert {w for w in words.values() if w in texts} == {w for k, w in words.items() if k == kind}
    pytest.importorskip("plotly", reason="the extra `plot` is not installed")
    shapes = {
        t.marker.pattern.shape
        for t in line.to_plotly().data
        if t.type == "bar" and t.orientation == "h"
    }
    assert shapes == {{"foreground": "", "background": "/", "fill": "."}[kind]}


@pytest.mark.parametrize(("factor", "off"), [(8, False), (9, True)])
def test_sizes_off_the_scale(report: Report, factor: int, off: bool) -> None:
    """The line of a memory's size is in the picture, or it says that it is not."""
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
    waits = [f"waits for {w}" for w in ("data (flow)", "a barrier (barrier)", "its port (port)")]
    assert named == ["critical path", *waits]
    words = [a.text for a in figure.layout.annotations]
    assert words[:2] == [f"<b>{line.title}</b>", bounds_words(line)]
    assert any(
        "× 29" in (a.text or "") for a in attention.timeline().to_plotly().layout.annotations
    )
    stack = polylat.compare({"theirs": polylat.roofline(spec), "ours": report}).to_plotly()
    titles = [a.text for a in stack.layout.annotations if a.text.startswith("<b>")]
    assert titles == ["<b>theirs</b>", "<b>ours</b>"]
    assert stack.layout.xaxis2.matches == "x"


def test_memories_by_plotly(report: Report, attention: Report) -> None:
    """Under the lanes, on the same axis of time: what every memory holds, and its size."""
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
    """Letters stand out from the paper; without one of its own, from a light and a dark one."""
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
    """No name of a bound is over another, nor over the other's line."""
    line = report.timeline()
    bounds = tuple((n, t * 317) for (n, _), t in zip(line.bounds, times, strict=True))
    line = dataclasses.replace(line, bounds=bounds)
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
    """However narrow the picture is, every count is there, and none over another."""
    line = attention.timeline()
    drawn = timeline_scene(Stack((line,)), width)
    labels = [i for i in drawn.items if isinstance(i, Label) and i.style == "repeat"]
    assert len(labels) == len(line.repeats)
    for label, repeat in zip(labels, line.repeats, strict=True):
        assert label.text.split(" of ")[0] == f"× {repeat.count:,}"
        assert label.x + len(label.text) * LETTER / 2 <= width
    for one, other in itertools.combinations(labels, 2):
        half = (len(one.text) + len(other.text)) * LETTER / 2
        assert abs(one.x - other.x) >= half or abs(one.y - other.y) >= 15


# Traces -------------------------------------------------------------------------------------------

_EVENT = {"ph": {"type": "string"}, "name": {"type": "string", "minLength": 1}}
_WHERE = {"pid": {"type": "integer"}, "tid": {"type": "integer"}}
_WHEN = {"ts": {"type": "number", "minimum": 0}}


def event(phase: str, needed: dict[str, Any], free: dict[str, Any] | None = None) -> Any:
    properties = {**_EVENT, "ph": {"const": phase}, **_WHERE, **needed, **(free or {})}
    return {
        "type": "object",
        "properties": properties,
        "required": ["ph", "name", *_WHERE, *needed],
        "additionalProperties": False,
    }


# After "Trace Event Format": complete, metadata, counter, and flow start and finish events.
TRACE = {
    "type": "object",
    "required": ["traceEvents"],
    "additionalProperties": False,
    "properties": {
        "displayTimeUnit": {"enum": ["ms", "ns"]},
        "otherData": {"type": "object"},
        "traceEvents": {
            "type": "array",
            "items": {
                "oneOf": [
                    event(
                        "X",
                        {**_WHEN, "dur": {"type": "number", "minimum": 0}},
                        {"cat": {"type": "string"}, "args": {"type": "object"}},
                    ),
                    {
                        "oneOf": [
                            event("M", {"name": {"const": name}, "args": {
                                "type": "object", "required": [key], "additionalProperties": False,
                                "properties": {key: {"type": kind}}}})
                            for name, key, kind in (
                                ("process_name", "name", "string"),
                                ("thread_name", "name", "string"),
                                ("thread_sort_index", "sort_index", "integer"),
                            )
                        ]
                    },
                    event("C", {**_WHEN, "args": {"type": "object", "minProperties": 1,
                                                   "additionalProperties": {"type": "number"}}}),
                    event("s", {**_WHEN, "id": {"type": "integer"}, "cat": {"type": "string"}}),
                    event("f", {**_WHEN, "id": {"type": "integer"}, "cat": {"type": "string"},
                                "bp": {"const": "e"}}),
                ]
            },
        },
    },
}  # fmt: skip


def check_trace(data: dict[str, Any]) -> None:
    jsonschema = pytest.importorskip("jsonschema", reason="the extra `test` is not installed")
    jsonschema.Draft202012Validator(TRACE).validate(data)
    events = data["traceEvents"]
    threads = {(e["pid"], e["tid"]) for e in events if e["name"] == "thread_name"}
    slices: dict[tuple[int, int], list[tuple[float, float]]] = {}
    for e in events:
        if e["ph"] == "X":
            assert (e["pid"], e["tid"]) in threads
            slices.setdefault((e["pid"], e["tid"]), []).append((e["ts"], e["ts"] + e["dur"]))
    for mine in slices.values():
        # Slices of a thread nest or are apart: here they are apart.
        mine.sort()
        assert all(a[1] <= b[0] + 1e-6 for a, b in itertools.pairwise(mine))
    flows: dict[int, list[dict[str, Any]]] = {}
    for e in events:
        if e["ph"] in "sf":
            flows.setdefault(e["id"], []).append(e)
            # A flow is bound to the slice around it.
            assert any(start <= e["ts"] <= end for start, end in slices[e["pid"], e["tid"]])
    for ends in flows.values():
        start, finish = ends
        assert (start["ph"], finish["ph"]) == ("s", "f") and start["ts"] <= finish["ts"]
        assert start["name"] == finish["name"] and start["cat"] == finish["cat"]
    for name in {e["name"] for e in events if e["ph"] == "C"}:
        at = [e["ts"] for e in events if e["ph"] == "C" and e["name"] == name]
        assert at == sorted(at)


def test_a_trace(report: Report, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"traces are written as \.json"):
        report.to_perfetto(tmp_path / "trace.svg")
    path = report.to_perfetto(tmp_path / "trace.json")
    data = json.loads(path.read_text(encoding="utf-8"))
    check_trace(data)
    events = data["traceEvents"]
    names = [e["args"]["name"] for e in events if e["name"] == "thread_name"]
    assert names == [port.name for port in report.ports]
    served = dict.fromkeys(names, 0)
    for e in events:
        if e["ph"] == "X":
            served[names[e["tid"] - 1]] += e["dur"]
    assert served == {port.name: port.busy for port in report.ports}
    assert {e["name"] for e in events if e["ph"] == "C"} == {"DRAM bits", "SRAM bits"}
    assert any(e["ph"] == "s" and e["name"] == "flow" for e in events)
    peak = max(e["args"]["bits"] for e in events if e["name"] == "SRAM bits")
    assert peak == next(m.peak for m in report.occupancy if m.component == "SRAM")


def test_traces_of_long_schedules(attention: Report) -> None:
    check_trace(perfetto_trace(attention.timeline(limit=600)))
    data = perfetto_trace(attention.timeline())
    check_trace(data)
    assert data["otherData"]["repeats"][1]["count"] == 29


def test_the_schema_refuses_what_is_wrong(report: Report) -> None:
    jsonschema = pytest.importorskip("jsonschema", reason="the extra `test` is not installed")
    validator = jsonschema.Draft202012Validator(TRACE)
    data = perfetto_trace(report.timeline())
    number = next(k for k, e in enumerate(data["traceEvents"]) if e["ph"] == "X")
    for change in ({"dur": -1}, {"ts": "0"}, {"ph": "Z"}, {"tid": "DRAM"}, {"more": 1}):
        events = [*data["traceEvents"]]
        events[number] = events[number] | change
        assert not validator.is_valid({**data, "traceEvents": events})
    events[number] = {k: v for k, v in data["traceEvents"][number].items() if k != "dur"}
    assert not validator.is_valid({**data, "traceEvents": events})


# Pages --------------------------------------------------------------------------------------------


class Page(HTMLParser):
    """Tags, ids and links of a page; checks that tags are closed in order."""

    VOID = frozenset({"meta", "link", "br", "rect", "path"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.append((tag, given))
        if given.get("id"):
            self.ids.append(str(given["id"]))
        for key in ("href", "src", "xlink:href"):
            if key in given:
                self.links.append(str(given[key]))
        if tag not in {"meta", "link", "br"}:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if self.open and self.open[-1] == tag:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


SECTIONS = (
    "headline", "comparison", "timeline", "ports", "critical", "sensitivity", "memories", "mapping",
    "certificate", "inputs",
)  # fmt: skip


def test_a_page(report: Report) -> None:
    text = report.to_html(inputs=FILES, certificate=report.verify(), title="a < b")
    page = Page(text)
    assert [i for i in page.ids if i in SECTIONS] == list(SECTIONS)
    # Self-contained: nothing is fetched from anywhere.
    assert all(link.startswith(("#", "data:")) for link in page.links)
    assert not re.search(r"(?:src|url|import)\s*[=(]\s*[\"']?(?:https?:)?//", text)
    assert "31,744" in text and "a &lt; b" in text and "a < b" not in text
    assert "every access is served once" in text  # of the certificate
    assert all(Path(name).name in text for name in FILES)
    assert str(ROOT) not in text
    assert any(tag == "html" and a.get("lang") == "en" for tag, a in page.tags)
    headings = [tag for tag, _ in page.tags if re.fullmatch("h[1-6]", tag)]
    assert headings[0] == "h1" and headings.count("h1") == 1
    for tag, attributes in page.tags:
        if attributes.get("tabindex") == "0":
            assert attributes.get("aria-label"), (tag, attributes)
        if tag == "th":
            assert attributes.get("scope") == "col"


def test_pages_are_small(attention: Report) -> None:
    """A page of a block at real size is below the megabyte; five would be too much."""
    text = attention.to_html(sensitivity=False)
    assert len(text.encode()) < 1_500_000
    assert text.count("data-timeline=") == 2
    assert "Omitted" in text
    assert "report.to_html(sensitivity=True)" in text and "FILES" not in text


def test_first_answers(report: Report, attention: Report) -> None:
    """How long, why, which writes are on the critical path, and what would help."""
    text = report.to_html()
    head = text[text.index('id="headline"') : text.index('id="comparison"')]
    answers = dict(re.findall("<dt>(.*?)</dt><dd>(.*?)</dd>", head))
    assert answers["Critical path"].startswith("SRAM read 35.5%, DRAM read 27.4%")
    assert answers["Writes on the critical path"].startswith("o2 to SRAM by e2 12.9%")
    assert answers["Writes off the critical path"] == "o2 to DRAM by e2"
    assert answers["What would help"].startswith("twice the bandwidth of DRAM: 25,792, 1.231")
    assert "no schedule has a shorter chain of dependences" in head
    head = attention.to_html(sensitivity=False)
    assert "What would help" not in head and "Critical path</dt><dd>mac compute 99.9%" in head
    # Write-backs are named before fills.
    assert "Writes on the critical path</dt><dd>none</dd>" in head
    assert "Writes off the critical path</dt><dd>S to SRAM by QK, " in head


def test_pages_say_unasked_what_would_help(attention: Report) -> None:
    """At the size of a block, too."""
    text = attention.to_html()
    assert "Omitted" not in text and "What would help" in text and "Latency by bandwidth" in text


def test_what_would_change_it(report: Report) -> None:
    text = report.to_html(sensitivity=True)
    assert "Latency by bandwidth" in text and "25,792" in text  # DRAM twice as fast
    assert "Omitted" not in text
    (drawn,) = [
        ET.fromstring(svg)
        for svg in re.findall(r"<svg.*?</svg>", text, re.DOTALL)
        if 'class="polylat curves"' in svg
    ]
    texts = [t.text or "" for t in drawn.iter(f"{SVG}text")]
    assert {"0", "20,000", "100,000", "1/4 x", "8 x", "now: 31,744"} <= set(texts)
    assert any(t.startswith("Latency, from 0") for t in texts) and any("relative to" in t for t in texts)
    # Each place where a curve turns is marked, and told.
    rings = [t.text for t in drawn.iterfind(f".//{SVG}circle/{SVG}title")]
    for component in ("DRAM", "SRAM"):
        curve = report.curve(component)
        inside = [at for scale, at in curve.breakpoints if scale and 1 <= 8 * scale <= 32]
        assert inside and all(any(f": {show(at)}" in str(r) for r in rings) for at in inside)
    assert "DRAM</b>: more bandwidth reduces the latency, down to 24,064 at 2.831 x" in text
    assert "mac</b>: more bandwidth does not reduce the latency; 0.0625 x suffices (flat" in text


@given(st.fractions(Fraction(1, 10**9), 10**15))
def test_ticks_are_round(most: Fraction) -> None:
    ticks = round_ticks(most)
    assert ticks[0] == 0 and ticks[-2] < most <= ticks[-1] and 3 <= len(ticks) <= 7
    steps = {b - a for a, b in itertools.pairwise(ticks)}
    assert len(steps) == 1
    assert f"{float(steps.pop()):e}"[:8] in ("1.000000", "2.000000", "5.000000")


def test_a_page_of_a_timeline(report: Report, tmp_path: Path) -> None:
    path = report.timeline().save(tmp_path / "timeline.html")
    page = Page(path.read_text(encoding="utf-8"))
    assert all(link.startswith(("#", "data:")) for link in page.links)


# Trees, notebooks, frames -------------------------------------------------------------------------


def test_trees(spec: Spec, report: Report) -> None:
    plain = spec.mapping.tree()
    assert "for m  (tiles of 1)" in plain.to_text() and not plain.flows
    known = spec.tree()
    assert "for m  (8 tiles of 1)" in known.to_text()
    flows = {(f.tensor, f.component) for f in known.flows}
    assert flows == {("o1", "SRAM"), ("o2", "SRAM")}
    marked = report.mapping_tree()
    assert "◀ critical" in marked.to_text() and "o1 8" in marked.to_text()
    total = sum(row.share or Fraction(0) for row in marked.rows)
    assert total == 1
    for tree in (plain, known, marked):
        drawn = ET.fromstring(tree.to_svg())
        words = " ".join(tree.legend())
        assert ("critical" in words, "arrow" in words) == (tree is marked, tree is not plain)
        assert "Sequential:" in words and "Pipeline:" not in words and "spatial" not in words
        spans = ["".join(t.itertext()) for t in drawn.iter(f"{SVG}text")]
        assert all(any(row.text in s for s in spans) for row in tree.rows)


def test_notebooks(spec: Spec, report: Report) -> None:
    shown: dict[str, Any] = {
        "latency": report,
        "AccelForge": polylat.roofline(spec),
        "Proven": report.verify(),
        "Workload": spec,
        "Timeline": report.timeline(),
        "Mapping": spec.mapping,
        "theirs": polylat.compare({"theirs": polylat.roofline(spec)}),
    }
    for word, value in shown.items():
        text = value._repr_html_()
        Page(text)
        assert word.lower() in text.lower()


def test_frames(report: Report) -> None:
    pandas = pytest.importorskip("pandas", reason="the extra `frames` is not installed")
    accesses = report.accesses_frame()
    assert isinstance(accesses, pandas.DataFrame)
    assert accesses["critical"].sum() == report.latency
    assert accesses["critical"].dtype == "int64"
    keys = accesses.set_index(["einsum", "component", "tensor", "action"])["actions"]
    assert {tuple(None if pandas.isna(x) else x for x in k): v for k, v in keys.items()} == dict(
        report.accesses
    )
    ports = report.ports_frame().groupby("port")["busy"].sum()
    assert dict(ports) == {port.name: port.busy for port in report.ports}
    steps = report.critical_frame()
    assert steps["duration"].sum() == report.latency and len(steps) == len(report.critical_path)
    assert len(report.critical_frame(limit=3)) == 3
    rows = report.sensitivity_frame()
    assert rows["critical"].sum() == report.latency
    late = report.occupancy_frame(window=(31000, 10**9))
    assert {*late["time"]} and min(late["time"]) == 31000 and max(late["time"]) < report.latency
    memory = report.occupancy_frame()
    assert memory.groupby("memory")["bits"].max().to_dict() == {
        m.component: m.peak for m in report.occupancy
    }


def test_frames_of_fractions() -> None:
    """A column with a fraction is one of floats, and what is missing stays missing."""
    pandas = pytest.importorskip("pandas", reason="the extra `frames` is not installed")
    from polylat.views.frames import _frame

    frame = _frame(("a", "b"), [(1, None), (Fraction(1, 2), 10**30)])
    assert frame["a"].tolist() == [1.0, 0.5]
    assert pandas.isna(frame["b"][0]) and frame["b"][1] == 10**30


@pytest.mark.parametrize("throughput", ["1e-4000", "1e4000"])
def test_times_beyond_floats(throughput: str, tmp_path: Path) -> None:
    """They are drawn as any others; what counts in floats says that it cannot."""
    arch = Path(FILES[0]).read_text(encoding="utf-8")
    slow = tmp_path / "arch.yaml"
    slow.write_text(arch.replace("throughput: 1}", f"throughput: {throughput}}}"), encoding="utf-8")
    files = [str(slow), *FILES[1:]]
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
