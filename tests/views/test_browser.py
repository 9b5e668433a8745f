"""Pages in a real browser: headless Chromium, driven by Selenium. Skipped where there is none."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import polylat
from builders import EXAMPLE, EXAMPLES
from polylat.views.tree import Tree
from polylat.views.tree_rows import TreeFlow, TreeRow

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    pytest.importorskip("selenium", reason="the extra `test` is not installed")
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or driver is None:
        pytest.skip("no chromium and chromedriver here")
    from selenium.webdriver import Chrome, ChromeOptions, ChromeService

    options = ChromeOptions()
    options.binary_location = chromium
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    started = Chrome(options=options, service=ChromeService(driver))
    yield started
    started.quit()


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    report = polylat.analyze(polylat.load(EXAMPLE), granularity="tile", background="o2")
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(report.to_html(inputs=EXAMPLE), encoding="utf-8")
    return path


def opened(browser: Chrome, page: Path, width: int = 1280, **media: str) -> None:
    """Open a page at a width, with media features such as ``prefers_color_scheme``."""
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    features = [{"name": k.replace("_", "-"), "value": v} for k, v in media.items()]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    browser.get(page.as_uri())


def js(browser: Chrome, script: str) -> Any:
    return browser.execute_script(f"return {script}")


def pressed(browser: Chrome, *keys: str) -> None:
    from selenium.webdriver import ActionChains
    from selenium.webdriver.common.by import By

    pane = browser.find_element(By.CSS_SELECTOR, "[data-timeline] .scroll")
    browser.execute_script("arguments[0].focus()", pane)
    for key in keys:
        ActionChains(browser).send_keys(key).perform()


def told(browser: Chrome) -> str:
    return str(js(browser, "document.querySelector('.readout').textContent"))


def test_nothing_is_wrong(browser: Chrome, page: Path) -> None:
    """No message on the console, and no request except for the page."""
    opened(browser, page)
    pressed(browser, "+", "-")
    assert browser.get_log("browser") == []  # type: ignore[no-untyped-call]
    fetched = js(browser, "performance.getEntriesByType('resource').map(e => e.name)")
    assert [name for name in fetched if not name.startswith("data:")] == []


def test_zoom(browser: Chrome, page: Path) -> None:
    from selenium.webdriver.common.by import By

    opened(browser, page)
    width = "document.querySelector('[data-timeline] svg').getBoundingClientRect().width"
    before = js(browser, width)
    for name, factor in (("in", 2), ("in", 4), ("out", 2), ("all", 1)):
        browser.find_element(By.CSS_SELECTOR, f"button[data-zoom={name}]").click()
        zoom = js(browser, "document.querySelector('[data-timeline]').dataset.zoom")
        assert float(zoom) == factor
        assert (js(browser, width) > 1.5 * before) == (factor > 1)
    # Bars grow with the axis, letters do not; names of lanes stay visible.
    pressed(browser, "+", "+", "+")
    bars = "document.querySelectorAll('[data-timeline] rect.e0')[0].getBoundingClientRect().width"
    wide = js(browser, bars)
    browser.execute_script("document.querySelector('[data-timeline] .scroll').scrollLeft = 3000")
    browser.implicitly_wait(0)
    at = js(
        browser,
        "new Promise(done => requestAnimationFrame(() => done(document.querySelector("
        "'[data-timeline] text.lane').getBoundingClientRect().x)))",
    )
    assert 0 <= at < 200
    svg = "document.querySelectorAll('[data-timeline] svg')[0]"
    on_top = (
        f"(() => [...{svg}.querySelectorAll('text.lane')].map(t => {{"
        " const b = t.getBoundingClientRect();"
        " const top = document.elementFromPoint(b.x + 2, b.y + b.height / 2);"
        " return top.getAttribute('class'); }))()"
    )
    assert set(js(browser, on_top)) <= {"lane", "paper"}, "bars pass beneath the names"
    pane = f"{svg}.closest('.scroll').getBoundingClientRect()"
    ticks = (
        f"[...{svg}.querySelectorAll('text.tick')].filter(t => {{"
        f" const x = t.getBoundingClientRect().x; return x > {pane}.left && x < {pane}.right; }})"
        ".filter(t => t.getAttribute('text-anchor') === 'middle')"
        ".map(t => [Number(t.textContent.replaceAll(',', '')), Number(t.getAttribute('x'))])"
    )
    seen = sorted(js(browser, ticks))
    assert len(seen) >= 5, "times can be read wherever it is zoomed to"
    rates = [(x1 - x0) / (t1 - t0) for (t0, x0), (t1, x1) in itertools.pairwise(seen)]
    assert max(rates) - min(rates) < 0.001, "and they are to scale"
    legend = f"[...{svg}.querySelectorAll('text.legend')].map(t => t.getBoundingClientRect().right)"
    assert all(0 < right <= 1280 for right in js(browser, legend)), "the legend stays in sight"
    pressed(browser, "0")
    assert js(browser, bars) * 7.9 < wide < js(browser, bars) * 8.1


def test_keys(browser: Chrome, page: Path) -> None:
    """The keyboard moves through the timeline bar by bar, with a description of each."""
    from selenium.webdriver.common.keys import Keys

    opened(browser, page)
    assert told(browser) == ""
    pressed(browser, Keys.ARROW_RIGHT)
    first = told(browser)
    assert "e1" in first and "duration" in first and "slack" in first
    pressed(browser, Keys.ARROW_RIGHT)
    second = told(browser)
    assert second != first and second.split("\n")[1].split(",")[0] == "DRAM"
    pressed(browser, Keys.ARROW_DOWN)
    assert told(browser).split("\n")[1].startswith("SRAM")
    pressed(browser, Keys.ARROW_UP, Keys.ARROW_LEFT)
    assert told(browser).split("\n")[1].startswith("DRAM")
    assert js(browser, "document.querySelectorAll('.chosen').length") == 1
    lanes = js(browser, "document.querySelectorAll('[data-timeline] svg text.lane').length")
    pressed(browser, *[Keys.ARROW_DOWN] * (lanes + 2))
    assert "\n" in told(browser), "a bar, and no box of the legend"
    heard = [told(browser)]
    for _ in range(5):
        pressed(browser, Keys.ARROW_RIGHT)
        heard.append(told(browser))
    last = heard.index(heard[-1])
    assert len(set(heard)) == last + 1 and set(heard[last:]) == {heard[-1]}, "each bar once"
    live = "document.querySelector('.readout').getAttribute('aria-live')"
    assert js(browser, live) == "polite"


def test_mouse(browser: Chrome, page: Path) -> None:
    from selenium.webdriver import ActionChains
    from selenium.webdriver.common.by import By

    opened(browser, page)
    bar = browser.find_elements(By.CSS_SELECTOR, "[data-timeline] rect.e2")[0]
    ActionChains(browser).move_to_element(bar).click().perform()
    assert told(browser).startswith("e3")


@pytest.mark.parametrize("width", [1280, 400])
def test_no_page_is_too_wide(browser: Chrome, page: Path, width: int) -> None:
    """Wide elements scroll, not the page."""
    opened(browser, page, width)
    assert js(browser, "document.documentElement.scrollWidth") <= width
    overlong = js(
        browser,
        "[...document.querySelectorAll('main *')].filter(e => !e.closest('.scroll, pre') &&"
        " e.getBoundingClientRect().right > innerWidth + 1).map(e => e.tagName)",
    )
    assert overlong == []


def many_flows() -> Tree:
    """A tree whose flows nest, cross, and fan out."""
    rows = [TreeRow("split", "Sequential", "", (), False)]
    for k in range(6):
        above = (k == 5,)
        rows.append(
            TreeRow("storage", f"SRAM keeps o{k}", "elements per tile: o 8" * k, above, True)
        )
        rows.append(TreeRow("compute", f"e{k} on mac", "", above, False, Fraction(1, 3) * (k % 2)))
    leaves = [2 * k + 2 for k in range(6)]
    pairs = [(0, 1), (0, 5), (1, 2), (1, 4), (1, 3), (2, 5), (3, 4), (4, 5)]
    flows = [TreeFlow(leaves[a], leaves[b], f"o{a}", "SRAM", a % 2 == 0) for a, b in pairs]
    return Tree(tuple(rows), (*flows, TreeFlow(leaves[0], leaves[1], "i", "a memory", False)))


@pytest.mark.parametrize("name", ["attention", "many_flows"])
def test_nothing_overlaps_in_a_tree(browser: Chrome, tmp_path: Path, name: str) -> None:
    """No texts overlap, and no line crosses a text."""
    tree = many_flows()
    if name == "attention":
        tree = polylat.tree(
            polylat.load(EXAMPLES / "attention.yaml", EXAMPLES / "attention_schedule.yaml")
        )
    path = tmp_path / "tree.html"
    path.write_text(f"<!DOCTYPE html><title>a tree</title>{tree.to_svg()}", encoding="utf-8")
    opened(browser, path)
    boxes = js(
        browser,
        "[...document.querySelectorAll('svg text')].map(t => { const b = t.getBBox();"
        " return [b.x, b.y, b.x + b.width, b.y + b.height]; })",
    )
    for (a, b, c, d), (e, f, g, h) in itertools.combinations(boxes, 2):
        assert c <= e or g <= a or d - 2 <= f or h - 2 <= b
    points = js(
        browser,
        "[...document.querySelectorAll('svg path')].flatMap(p => { const all = [];"
        " for (let at = 0; at <= p.getTotalLength(); at += 2) all.push(p.getPointAtLength(at));"
        " return all.map(q => [q.x, q.y]); })",
    )
    assert len(points) > 500
    through = [(x, y) for x, y in points for a, b, c, d in boxes if a < x < c and b + 2 < y < d - 2]
    assert through == []
    width, height = js(
        browser, "(b => [b.width, b.height])(document.querySelector('svg').viewBox.baseVal)"
    )
    assert all(c <= width and d <= height for _, _, c, d in boxes)


def test_light_and_dark(browser: Chrome, page: Path) -> None:
    from selenium.webdriver.common.by import By

    paper = "getComputedStyle(document.body).backgroundColor"
    ink = "getComputedStyle(document.querySelector('.polylat text')).fill"
    opened(browser, page, prefers_color_scheme="light")
    light = js(browser, paper), js(browser, ink)
    opened(browser, page, prefers_color_scheme="dark")
    dark = js(browser, paper), js(browser, ink)
    assert light[0] == "rgb(255, 255, 255)" and light[0] != dark[0] and light[1] != dark[1]
    browser.find_element(By.ID, "theme").click()
    assert (js(browser, paper), js(browser, ink)) == light


CONTRASTS = """(() => {
  const parts = (c) => [...c.match(/[\\d.]+/g).map(Number), 1].slice(0, 4);
  const linear = (v) => v <= 10 ? v / 3294.6 : ((v / 255 + 0.055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
  const behind = (e) => {
    for (; e; e = e.parentElement) {
      const colour = parts(getComputedStyle(e).backgroundColor);
      if (colour[3]) return colour;
    }
  };
  document.querySelectorAll("details").forEach((d) => { d.open = true; });
  const found = [];
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const e = walk.currentNode.parentElement;
    // Letters on bars have their colour from the palette.
    if (!walk.currentNode.textContent.trim() || e.closest("script,title,.bar")) continue;
    const own = getComputedStyle(e);
    const [a, b] = [light(parts(e.closest("svg") ? own.fill : own.color)), light(behind(e))];
    found.push([(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), walk.currentNode.textContent]);
  }
  return found;
})()"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast(browser: Chrome, page: Path, scheme: str) -> None:
    """The contrast of text is at least that of WCAG 2 (AA)."""
    opened(browser, page, prefers_color_scheme=scheme)
    found = js(browser, CONTRASTS)
    assert len(found) > 200 and any("critical" in text for _, text in found)
    assert [(ratio, text) for ratio, text in found if ratio < 4.5] == []


@pytest.mark.parametrize("width", [1280, 400])
def test_what_scrolls_is_reached_by_keys_and_shaded(
    browser: Chrome, page: Path, width: int
) -> None:
    """Elements that do not scroll cannot be focused, except for timelines."""
    opened(browser, page, width)
    panes = js(
        browser,
        "new Promise(done => requestAnimationFrame(() => setTimeout(() => done("
        "[...document.querySelectorAll('main .scroll')].filter(p => p.checkVisibility()).map(p => ["
        "p.scrollWidth > p.clientWidth, p.tabIndex, !!p.closest('[data-timeline]'),"
        " getComputedStyle(p).backgroundImage.includes('gradient')])))))",
    )
    assert any(scrolls for scrolls, *_ in panes) == (width == 400)
    for scrolls, stop, timeline, shaded in panes:
        assert (stop == 0) == (scrolls or timeline) and shaded
    # The heading of a table is read without scrolling.
    ends = js(
        browser,
        "[...document.querySelectorAll('caption span')].map(c => c.getBoundingClientRect().right)",
    )
    assert ends and max(ends) <= width


def test_headings_and_tables(browser: Chrome, page: Path) -> None:
    opened(browser, page)
    levels = js(browser, "[...document.querySelectorAll('h1,h2,h3,h4')].map(h => +h.tagName[1])")
    assert levels[0] == 1 and all(b <= a + 1 for a, b in itertools.pairwise(levels))
    captions = js(
        browser, "[...document.querySelectorAll('table')].map(t => t.caption?.textContent)"
    )
    assert all(captions) and len(set(captions)) == len(captions)


def test_every_control_has_a_name(browser: Chrome, page: Path) -> None:
    opened(browser, page)
    nodes = browser.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    roles = {"button", "link", "region", "img", "table", "heading", "navigation"}
    found: dict[str, list[str]] = {}
    for node in nodes:
        role = node.get("role", {}).get("value", "")
        if not node.get("ignored") and role in roles:
            found.setdefault(role, []).append(node.get("name", {}).get("value", ""))
    assert set(found) >= {"button", "link", "region", "heading", "table"}
    for role in roles - {"table"}:
        assert all(found.get(role, [])), role
    assert len(found["heading"]) >= 11


@pytest.mark.parametrize("chosen", ["light", "dark"])
@pytest.mark.parametrize("screen", ["light", "dark"])
def test_print(browser: Chrome, page: Path, screen: str, chosen: str) -> None:
    """Printed, there are no controls, several pages, and dark text whatever the screen's theme."""
    colours = (
        "[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color,"
        " getComputedStyle(document.querySelector('.polylat text')).fill,"
        " getComputedStyle(document.querySelector('.polylat .l-grid')).stroke,"
        " getComputedStyle(document.querySelector('pre')).backgroundColor]"
    )
    opened(browser, page, prefers_color_scheme="light")
    light = js(browser, colours)
    opened(browser, page, prefers_color_scheme=screen)
    browser.execute_script(f"document.documentElement.dataset.theme = '{chosen}'")
    features = [{"name": "prefers-color-scheme", "value": screen}]
    media = {"media": "print", "features": features}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    assert js(browser, colours) == light
    assert js(browser, "getComputedStyle(document.querySelector('.tools')).display") == "none"
    shade = "getComputedStyle(document.querySelector('.scroll')).backgroundImage"
    assert js(browser, shade) == "none"
    printed = browser.execute_cdp_cmd("Page.printToPDF", {})["data"]
    assert len(printed) > 10_000
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
