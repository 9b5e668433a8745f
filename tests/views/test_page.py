"""Pages: their sections, and that they are well-formed and self-contained; HTML in notebooks."""

from __future__ import annotations

import itertools
import re
import xml.etree.ElementTree as ET
from fractions import Fraction
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import polylat
from builders import EXAMPLE, EXAMPLES, ROOT
from polylat import Report, Spec
from polylat.numbers import format_number
from polylat.views.curves import round_ticks

SVG = "{http://www.w3.org/2000/svg}"


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
    "headline", "timeline", "changes", "comparison", "ports", "critical", "sensitivity", "memories",
    "energy", "mapping", "certificate", "inputs",
)  # fmt: skip


def test_close_ups() -> None:
    """Of the write-back whose cost the page gives; a mapping without one has none."""
    spec = polylat.load(EXAMPLE)
    text = polylat.analyze(spec, background="o2").to_html(sensitivity=False)
    assert "Close-up: the last write-back of o2 from SRAM in the background" in text
    assert "31,750" in text[text.index("Close-up") :]  # a tick of its axis
    files = [*EXAMPLE[:2], str(EXAMPLES / "untapped.yaml")]
    assert "Close-up" not in polylat.analyze(polylat.load(files)).to_html(sensitivity=False)


def test_a_page(report: Report) -> None:
    text = report.to_html(inputs=EXAMPLE, certificate=report.verify(), title="a < b")
    page = Page(text)
    assert [i for i in page.ids if i in SECTIONS] == list(SECTIONS)
    # Self-contained: nothing is fetched from anywhere.
    assert all(link.startswith(("#", "data:")) for link in page.links)
    assert not re.search(r"(?:src|url|import)\s*[=(]\s*[\"']?(?:https?:)?//", text)
    assert "31,744" in text and "a &lt; b" in text and "a < b" not in text
    assert "every access is served exactly once" in text  # of the certificate
    assert all(Path(name).name in text for name in EXAMPLE)
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
    """The page of an attention block at real size is small."""
    text = attention.to_html(sensitivity=False)
    assert len(text.encode()) < 1_500_000
    assert text.count("data-timeline=") == 2
    assert "Omitted" in text
    assert "report.to_html(sensitivity=True)" in text and "FILES" not in text


def test_first_answers(report: Report, attention: Report) -> None:
    """The headline: latency, what the write costs, cause, and what would help."""
    text = report.to_html()
    head = text[text.index('id="headline"') : text.index('id="timeline"')]
    answers = dict(re.findall("<dt>(.*?)</dt><dd>(.*?)</dd>", head))
    assert "The write-back of o2 from SRAM by e2 costs 64 of 31,808" in head
    assert answers["Critical path"].startswith("DRAM read 49.9%, SRAM read 24.1%")
    best = [change for change in report.changes().changes if (change.latency or 0) < 31808][:3]
    assert len(best) == 3
    for change in best:
        assert f"{change.what}: {change.found}" in answers["What would help"]
    assert "64 (0.2%) above the dependence bound" in head
    head = attention.to_html(sensitivity=False)
    assert "What would help</dt>" not in head and "Critical path</dt><dd>mac compute 99.9%" in head


@pytest.mark.slow
def test_pages_say_by_default_what_would_help(attention: Report) -> None:
    """For an attention block, too."""
    text = attention.to_html()
    assert "Omitted" not in text and "What would help" in text and "Latency by bandwidth" in text


def test_what_would_change_it(report: Report) -> None:
    text = report.to_html(sensitivity=True)
    assert "Latency by bandwidth" in text and "25,824" in text  # DRAM twice as fast
    assert "Omitted" not in text
    (drawn,) = [
        ET.fromstring(svg)
        for svg in re.findall(r"<svg.*?</svg>", text, re.DOTALL)
        if 'class="polylat curves"' in svg
    ]
    texts = [t.text or "" for t in drawn.iter(f"{SVG}text")]
    assert {"0", "20,000", "100,000", "1/4 x", "8 x", "now: 31,808"} <= set(texts)
    assert any(t.startswith("Latency, from 0") for t in texts) and any(
        "relative to" in t for t in texts
    )
    # Each breakpoint of a curve is marked, with its values.
    rings = [t.text for t in drawn.iterfind(f".//{SVG}circle/{SVG}title")]
    for component in ("DRAM", "SRAM"):
        curve = report.curve(component)
        inside = [at for scale, at in curve.breakpoints if scale and 1 <= 8 * scale <= 32]
        assert inside and all(
            any(f": {format_number(at)}" in str(r) for r in rings) for at in inside
        )
    assert "DRAM</b>: a higher bandwidth reduces the latency, down to 24,064 at 2.846x" in text
    assert "mac</b>: a higher bandwidth does not reduce the latency; 0.0625x suffices" in text


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


def test_notebooks(spec: Spec, report: Report) -> None:
    shown: dict[str, Any] = {
        "latency": report,
        "AccelForge": polylat.roofline(spec),
        "Proven": report.verify(),
        "Workload": spec,
        "Timeline": report.timeline(),
        "Mapping": polylat.tree(spec.mapping),
        "theirs": polylat.timelines({"theirs": polylat.roofline(spec)}),
    }
    for word, value in shown.items():
        text = value._repr_html_()
        Page(text)
        assert word.lower() in text.lower()
