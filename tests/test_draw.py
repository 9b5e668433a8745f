"""Pictures, pages, traces and frames: what is on them, and that they can be read."""

from __future__ import annotations

import dataclasses
import itertools
import json
import re
import sys
import xml.etree.ElementTree as ET
from fractions import Fraction
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

import polylat
from polylat import MissingExtraError, OptionError, Report, Spec
from polylat.draw.perfetto import trace
from polylat.draw.style import PALETTE

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


def test_svg_of_what_repeats(attention: Report) -> None:
    line = attention.timeline()
    texts = [t.text or "" for t in ET.fromstring(line.to_svg()).iter(f"{SVG}text")]
    for repeat in line.repeats:
        assert any(text.startswith(f"× {repeat.count:,}") for text in texts)


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


def test_colours_differ_in_grey() -> None:
    """Neighbours in the palette differ in lightness, so that grey prints can be read."""

    def lightness(colour: str) -> float:
        parts = (int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5))
        weights = (0.2126, 0.7152, 0.0722)
        return sum(w * float(p**2.2) for w, p in zip(weights, parts, strict=True))

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
    figure = report.timeline().to_plotly()
    bars = [t for t in figure.data if t.type == "bar"]
    assert sum(len(t.x) for t in bars) == len(report.timeline().bars)
    assert {t.marker.pattern.shape for t in bars} == {"", "/"}
    assert any("slack" in text for t in bars for text in t.hovertext)
    assert any(t.name == "critical path" for t in figure.data)
    assert any(
        "× 29" in (a.text or "") for a in attention.timeline().to_plotly().layout.annotations
    )
    stack = polylat.compare({"theirs": polylat.roofline(spec), "ours": report}).to_plotly()
    assert [a.text for a in stack.layout.annotations[:2]] == ["theirs", "ours"]


@pytest.mark.parametrize(
    ("module", "extra", "call"),
    [
        ("matplotlib.figure", "plot", lambda r: r.timeline().to_matplotlib()),
        ("plotly.subplots", "plot", lambda r: r.timeline().to_plotly()),
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
    check_trace(trace(attention.timeline(limit=600)))
    data = trace(attention.timeline())
    check_trace(data)
    assert data["otherData"]["repeats"][1]["count"] == 29


def test_the_schema_refuses_what_is_wrong(report: Report) -> None:
    jsonschema = pytest.importorskip("jsonschema", reason="the extra `test` is not installed")
    validator = jsonschema.Draft202012Validator(TRACE)
    data = trace(report.timeline())
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
    for tag, given in page.tags:
        if given.get("tabindex") == "0":
            assert given.get("aria-label"), (tag, given)
        if tag == "th":
            assert given.get("scope") == "col"


def test_pages_are_small(attention: Report) -> None:
    """A page of a block at real size is below the megabyte; five would be too much."""
    text = attention.to_html(sensitivity=False)
    assert len(text.encode()) < 1_500_000
    assert text.count("data-timeline=") == 2
    assert "Left out" in text


def test_what_would_change_it(report: Report) -> None:
    text = report.to_html(sensitivity=True)
    assert "Latency by bandwidth" in text and "25,792" in text  # DRAM twice as fast
    assert "Left out" not in text


def test_a_page_of_a_timeline(report: Report, tmp_path: Path) -> None:
    path = report.timeline().save(tmp_path / "timeline.html")
    page = Page(path.read_text(encoding="utf-8"))
    assert all(link.startswith(("#", "data:")) for link in page.links)


# Trees, notebooks, frames -------------------------------------------------------------------------


def test_trees(spec: Spec, report: Report) -> None:
    plain = spec.mapping.tree()
    assert "for m  (tiles of 1)" in plain.to_text() and not plain.flows
    known = spec.tree()
    assert "for m  (8 x 1)" in known.to_text()
    flows = {(f.tensor, f.component) for f in known.flows}
    assert flows == {("o1", "SRAM"), ("o2", "SRAM")}
    marked = report.mapping_tree()
    assert "◀ critical" in marked.to_text() and "o1 8" in marked.to_text()
    total = sum(row.share or Fraction(0) for row in marked.rows)
    assert total == 1
    for tree in (plain, known, marked):
        drawn = ET.fromstring(tree.to_svg())
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
    memory = report.occupancy_frame()
    assert memory.groupby("memory")["bits"].max().to_dict() == {
        m.component: m.peak for m in report.occupancy
    }


def test_frames_of_fractions() -> None:
    """A column with a fraction is one of floats, and what is missing stays missing."""
    pandas = pytest.importorskip("pandas", reason="the extra `frames` is not installed")
    from polylat.frames import _frame

    frame = _frame(("a", "b"), [(1, None), (Fraction(1, 2), 10**30)])
    assert frame["a"].tolist() == [1.0, 0.5]
    assert pandas.isna(frame["b"][0]) and frame["b"][1] == 10**30
