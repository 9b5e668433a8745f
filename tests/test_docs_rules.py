"""The pictures of the model's rules: what they show, and the figures in their captions."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import pytest

import polylat
from builders import ROOT
from drawn.inputs import Panel
from polylat.numbers import Number
from rules import RULES, draw

DOCS = ROOT / "docs"
MODEL = (DOCS / "model.md").read_text(encoding="utf-8")

Panels: TypeAlias = tuple[Panel, ...]


def latencies(*panels: Panel) -> list[Number]:
    return [panel.latency for panel in panels]


def count(panel: Panel, component: str, tensor: str, action: str) -> Number:
    """The number of actions, of all Einsums."""
    where = (component, tensor, action)
    return sum(actions for (_, *at), actions in panel.accesses.items() if tuple(at) == where)


def bars(panel: Panel, component: str) -> list[polylat.analysis.timeline.Bar]:
    """The accesses that a component's port serves, in order of time."""
    assert isinstance(panel, polylat.Report)
    line = panel.timeline()
    return [bar for bar in line.bars if line.lanes[bar.lane].component == component]


def each(panel: Panel, component: str) -> Number:
    """The duration of each access that a component serves."""
    (time,) = {bar.duration for bar in bars(panel, component)}
    return time


def peak(panel: Panel) -> Number:
    """The peak of SRAM, in bits."""
    assert isinstance(panel, polylat.Report)
    (peak,) = (held.peak for held in panel.occupancy if held.component == "SRAM")
    return peak


def periods(panel: Any) -> list[Number]:
    written = count(panel, "DRAM", "a", "write")
    time = panel.latency // written
    return [count(panel, "SRAM", "a", "read"), written, time, panel.latency]


def footprint(theirs: Any, ours: Any) -> list[Number]:
    read = count(ours, "DRAM", "a", "read")
    return [count(theirs, "DRAM", "a", "read"), read, ours.latency // read]


def in_order(panel: Any) -> list[Number]:
    (w,) = bars(panel, "DRAM")
    computed = bars(panel, "mac1")[-1].finish
    return [w.finish, computed, bars(panel, "mac2")[0].start, panel.latency]


def bounds(one: Any, other: Any, neither: Any) -> list[Number]:
    assert one.latency == one.resource_bound > one.dependence_bound
    assert other.latency == other.dependence_bound
    assert not neither.optimal
    figures = [one.resource_bound, other.dependence_bound, other.resource_bound]
    return [*figures, neither.latency, neither.resource_bound, neither.dependence_bound]


def occupancy(one: Any, two: Any, many: Any) -> list[Number]:
    assert two.latency == many.latency
    (size,) = {panel.occupancy[1].size for panel in (one, two, many)}
    (tile,) = {tile.bits for tile in one.occupancy[1].tiles()}
    return [size, tile, peak(one), peak(two), peak(many), one.latency, two.latency]


def repetition(panel: Any) -> list[Number]:
    (repeat,) = panel.timeline().repeats
    return [panel.tiles // 2, repeat.period, repeat.count, panel.latency]


def bracket(coarse: Any, fine: Any) -> list[Number]:
    assert not coarse.exact
    assert fine.exact
    return [8, coarse.latency, coarse.lower_bound, 10, fine.latency]


FIGURES: Mapping[str, Callable[..., list[Number]]] = {
    "ports": lambda one, two, more: [
        *latencies(one, two),
        more.latency - one.latency,
        more.latency,
    ],
    "granularity": latencies,
    "fills": lambda above, below: [
        each(above, "DRAM"),
        count(above, "DRAM", "a", "read"),
        above.latency,
        count(below, "DRAM", "a", "read"),
        below.latency,
    ],
    "readback": lambda below, above: [
        count(below, "DRAM", "z", "write"),
        below.latency,
        count(above, "DRAM", "z", "write"),
        count(above, "DRAM", "z", "read"),
        above.latency,
    ],
    "tolls": latencies,
    "operations": lambda panel: [
        *dict.fromkeys(bar.duration for bar in bars(panel, "SRAM")),
        panel.latency,
    ],
    "actions": lambda one, two: [8, *latencies(one, two)],
    "imperfect": lambda panel: [bars(panel, "DRAM")[1].duration, panel.tiles, panel.latency],
    "spatial": lambda shared, apart: [count(shared, "SRAM", "a", "read"), apart.latency],
    "copies": periods,
    "residency": lambda theirs, ours: [
        count(theirs, "DRAM", "a", "read"),
        theirs.latency,
        count(ours, "DRAM", "a", "read"),
        ours.latency,
    ],
    "footprint": footprint,
    "streaming": lambda panel: [each(panel, "DRAM"), each(panel, "mac"), panel.latency],
    "flow": lambda panel: [each(panel, "mac1"), each(panel, "mac2"), panel.latency],
    "barrier": latencies,
    "capacity": lambda one, two: [*latencies(one, two), peak(one), peak(two)],
    "room": lambda one, two: [each(one, "DRAM"), one.latency, peak(one), peak(two), 4 * 8],
    "prefetch": latencies,
    "ahead": lambda one, two: [each(one, "DRAM"), *latencies(one, two)],
    "background": lambda fore, back: [
        bars(fore, "DRAM")[0].duration,
        each(fore, "mac2"),
        *latencies(fore, back),
    ],
    "in_order": in_order,
    "finish": lambda fore, back: [
        each(fore, "DRAM"),
        fore.latency,
        bars(back, "mac2")[-1].finish,
        back.latency,
    ],
    "sharing": lambda one, two: [each(one, "mac"), *latencies(one, two)],
    "blocks": lambda panel: [len(bars(panel, "DRAM")) // 3, panel.latency],
    "orders": lambda program, skew, oldest: [
        each(program, "mac1"),
        each(program, "mac2"),
        *latencies(program, skew, oldest),
    ],
    "bounds": bounds,
    "occupancy": occupancy,
    "repetition": repetition,
    "bracket": bracket,
}
"""Per picture, the figures in its caption, in their order."""


@pytest.fixture(scope="module")
def pictures() -> dict[str, Panels]:
    """The contents of the pictures of the rules."""
    return {name: tuple(rule().values()) for name, rule in RULES.items()}


@pytest.mark.parametrize("rule", RULES)
def test_pictures_are_what_the_script_draws(rule: str) -> None:
    drawn = draw(RULES[rule]())
    assert (DOCS / "pictures" / f"{rule}.svg").read_text(encoding="utf-8") == f"{drawn}\n"


def test_every_rule_has_its_picture() -> None:
    assert re.findall(r"\(pictures/(\w+)\.svg\)", MODEL) == list(RULES)
    assert {path.stem for path in (DOCS / "pictures").glob("*.svg")} == set(RULES)


def test_latencies_of_the_pictures(pictures: dict[str, Panels]) -> None:
    found = {rule: [panel.latency for panel in panels] for rule, panels in pictures.items()}
    assert found == {
        # Four reads and four writes of 1.
        "ports": [4 + 4, 4, 3 + 4 + 4],
        "granularity": [4 * 2 + 4 * 3, 2 + 4 * 3],
        # Six operations of 1; two fetches of 2, or six.
        "fills": [6 * 1, 6 * 2],
        # Six operations of 1, two write-backs; six write-backs and four read-backs.
        "readback": [6, 6 + 4],
        "tolls": [3 + 3, 3],
        "operations": [2 + 3 * 3],
        "actions": [4 + 4, (4 + 4) // 2],
        # Two elements, one, two.
        "imperfect": [(2 + 1 + 2) * 2],
        "spatial": [3, 3 * 2],
        # Four writes of 2 in DRAM.
        "copies": [4 * 2],
        # AccelForge: three fetches of 2 for each Einsum. Here: three, then the last e2.
        "residency": [2 * 3 * 2, 3 * 2 + 1],
        # From 0 to 7, without 2 and 5.
        "footprint": [8, 6],
        "streaming": [4 * 2],
        # e1 takes 2 per element, e2 3: the first e1, then all of e2.
        "flow": [2 + 4 * 3],
        "barrier": [4 * 2 + 4 * 3],
        # e1 takes 1, e2 3, five elements.
        "capacity": [5 * (1 + 3), 1 + 5 * 3],
        # Four write-backs of 3, then the last e2.
        "room": [4 * 3 + 1, 4 * 3 + 1],
        # a, w and c take 2 each on DRAM: with w ahead, DRAM never waits for long.
        "prefetch": [28, 24],
        # Each tile: its fill 2, then e2 1; or the fills in a row, then the last e2.
        "ahead": [3 * (2 + 1), 3 * 2 + 1],
        # Each element: e1 1 and its write 2, together 2; then e2 3 and its write 2.
        "background": [4 * (2 + 3), 4 * (1 + 3)],
        # w, then four operations.
        "in_order": [6 + 4],
        # e1 1 and then the write of c, 4.
        "finish": [3 * (1 + 4), 1 + 3 * 4],
        "sharing": [4 * (2 + 2), 2 + 4 * 2],
        # a and x, then e2 while DRAM serves the rest and the next e1 takes 1.
        "blocks": [2 + 2 + 1 + 2 + 1 + 2],
        # e1 and e3 take 2 on one unit, e2 5: in turn, or with e2 never waiting.
        "orders": [4 * (2 + 5 + 2), 2 + 4 * 5 + 2, 2 + 4 * 5 + 2],
        "bounds": [4 * (2 + 2), 4 * (2 + 2), 1 + 4 * 3],
        "occupancy": [4 * (1 + 2), 1 + 4 * 2, 1 + 4 * 2],
        "repetition": [1 + 3 * 1_000_000],
        "bracket": [1000 * 2 + 1000 * 3, 2 + 1000 * 3],
    }


@pytest.mark.parametrize("rule", RULES)
def test_captions_of_the_pictures(rule: str, pictures: dict[str, Panels]) -> None:
    found = re.search(rf"\(pictures/{rule}\.svg\)\n\n *\*(.+?\.)\*\n", MODEL, re.DOTALL)
    assert found is not None
    said = [
        int(text.replace(",", ""))
        for text in re.findall(r"(?<![\w.])\d+(?:,\d{3})*(?!\w)", found[1])
    ]
    assert said == FIGURES[rule](*pictures[rule])
