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
    written = count(panel, "DRAM", "b", "write")
    time = panel.latency // written
    return [count(panel, "SRAM", "a", "read"), written, time, panel.latency]


def footprint(theirs: Any, ours: Any) -> list[Number]:
    read = count(ours, "DRAM", "a", "read")
    return [count(theirs, "DRAM", "a", "read"), read, ours.latency // read]


def in_order(panel: Any) -> list[Number]:
    (w,) = bars(panel, "DRAM")
    computed = bars(panel, "mac1")[-1].finish
    return [w.finish, computed, bars(panel, "mac2")[0].start, panel.latency]


def late(one: Any, two: Any) -> list[Number]:
    """The fixed latencies: of the steps between services."""
    assert one.latency - bars(one, "mac")[-1].finish == 100 + 3 + 200
    steps = {step.tensor: step.duration for step in two.critical_path if step.action == "latency"}
    assert list(two.critical_totals.values()).count(200) == 2
    return [each(one, "mac"), 100, steps["z"], steps[None], *latencies(one, two)]


def rigid(one: Any, two: Any) -> list[Number]:
    arrived, computed = bars(one, "DRAM")[0].finish, bars(one, "mac")[0]
    first, held = (
        next(bar for bar in bars(panel, "DRAM") if bar.kind == "write_back") for panel in (one, two)
    )
    return [
        *(arrived, computed.duration, first.start - computed.finish, first.duration),
        *(first.start, one.latency, held.start, two.latency),
    ]


def bounds(one: Any, other: Any, third: Any, none: Any) -> list[Number]:
    assert one.latency == one.resource_bound > one.dependence_bound
    assert other.latency == other.dependence_bound == other.barrier_bound
    assert third.latency == third.barrier_bound
    assert not none.optimal
    return [
        *(one.resource_bound, other.dependence_bound, other.resource_bound),
        *(third.barrier_bound, third.resource_bound, third.dependence_bound),
        *(none.latency, none.resource_bound, none.dependence_bound, none.barrier_bound),
    ]


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
    "staged": lambda *panels: [each(panels[0], "mac"), *latencies(*panels)],
    "leaving": lambda *panels: [
        each(panels[0], "mac"),
        each(panels[0], "DRAM"),
        *latencies(*panels),
    ],
    "returning": lambda one, two: [
        len(bars(two, "mac")),
        each(two, "DRAM"),
        *latencies(one, two),
    ],
    "weights": latencies,
    "room": lambda one, two: [
        each(one, "DRAM"),
        *latencies(one, two),
        *(peak(one), peak(two), 4 * 8),
    ],
    "ahead": lambda one, two: [each(one, "DRAM"), *latencies(one, two)],
    "freed": lambda panel: [
        each(panel, "DRAM"),
        each(panel, "mac"),
        panel.latency - bars(panel, "mac")[-1].finish,
        panel.latency,
    ],
    "background": lambda *panels: [
        *(each(panels[0], component) for component in ("mac1", "DRAM", "mac2")),
        *latencies(*panels),
    ],
    "in_order": in_order,
    "finish": lambda fore, back: [
        each(fore, "DRAM"),
        fore.latency,
        bars(back, "mac2")[-1].finish,
        bars(back, "DRAM")[0].start,
        back.latency,
    ],
    "latency": late,
    "setup": lambda one, two: [
        each(one, "mac"),
        one.latency,
        each(two, "queue"),
        two.latency,
    ],
    "burst": lambda one, two: [
        each(one, "DRAM"),
        one.latency,
        *2 * [each(two, "DRAM")],
        two.latency,
    ],
    "rigid": rigid,
    "early": lambda *panels: [each(panels[0], "mac"), *latencies(*panels)],
    "sharing": lambda one, two: [each(one, "mac"), *latencies(one, two)],
    "ranges": lambda one, two: [each(one, "mac"), *latencies(one, two)],
    "bindings": lambda one, two: [each(one, "mac"), *latencies(one, two)],
    "recurrence": lambda one, *two: [each(one, "mac"), 3, *latencies(one, *two)],
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


@pytest.mark.slow
@pytest.mark.parametrize("rule", RULES)
def test_pictures_are_what_the_script_draws(rule: str) -> None:
    drawn = draw(RULES[rule]())
    assert (DOCS / "pictures" / f"{rule}.svg").read_text(encoding="utf-8") == f"{drawn}\n"


def test_every_rule_has_its_picture() -> None:
    assert re.findall(r"\(pictures/(\w+)\.svg\)", MODEL) == list(RULES)
    drawn = {path.stem for path in (DOCS / "pictures").glob("*.svg")}
    assert drawn - {"truth"} == set(RULES)  # that one is made by the comparison with hardware


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
        # AccelForge: three fetches of 2 for each Einsum. Here: three, then e1, e2.
        "residency": [2 * 3 * 2, 3 * 2 + 1 + 1],
        # From 0 to 7, without 2 and 5.
        "footprint": [8, 6],
        "streaming": [4 * 2],
        # e1 takes 2 per element, e2 3: the first e1, then all of e2.
        "flow": [2 + 4 * 3],
        "barrier": [4 * 2 + 4 * 3],
        # e1 takes 1, e2 3, five elements.
        "capacity": [5 * (1 + 3), 1 + 5 * 3],
        # Fill, computation and write-back take 10 for each of four tiles. One slot: the next fill
        # after the computation, the next computation after the write-back. Two: a pipeline.
        "staged": [4 * 10, 3 * 20 + 30, 30 + 3 * 10],
        "leaving": [3 * 3, 2 + 3 * 3],
        # Three writes and two reads of 2; and three operations between them.
        "returning": [5 * 2, 5 * 2 + 3 * 1],
        # a, w and c take 2 each on DRAM, and e1 takes 3; above the split, DRAM never waits.
        "weights": [4 * (3 + 4), 4 * 6],
        # e1, its write-back 3, ..., then the last e2; or e1 is one ahead.
        "room": [4 * (1 + 3) + 1, 1 + 4 * 3 + 1],
        # Each tile: its fill 2, then e1 and e2; or the fills in a row, then the last e1 and e2.
        "ahead": [3 * (2 + 1 + 1), 3 * 2 + 1 + 1],
        # Fill and operation in turn; the last result passes 5 later.
        "freed": [3 * (2 + 3) + 5],
        # Each element: e1 and its write together 2, or 1 + 2, or only e1; then e2 3.
        "background": [4 * (2 + 3), 4 * (1 + 2 + 3), 4 * (1 + 3)],
        # w, then four operations.
        "in_order": [6 + 4],
        # e1 1 and then the write of c, 4; the first c is computed at 2.
        "finish": [3 * (1 + 4), 2 + 3 * 4],
        # The last foreground is served at 40. Staged: fills 1 and 2 arrive at 110 and 120; fill 4
        # is served at 130 to 140, after the second computation, and arrives at 240.
        "latency": [40 + 100 + 3 + 200, 240 + 10 + 3 + 10 + 200],
        "setup": [3 * 4, 3 * 8],
        "burst": [3 * 3, 3 * 4],
        # Four writes of 3 from the first result on: at 3 + 1 + 2, or with the third operation.
        "rigid": [6 + 4 * 3, 10 + 4 * 3],
        # A port of 80; in program order, fill, computation and write-back in turn.
        "early": [4 * 30, 4 * 20],
        "sharing": [4 * (2 + 2), 2 + 4 * 2],
        # Three stages in turn; e1 and e3 in turn, while e2 has a unit of its own.
        "ranges": [4 * (2 + 2 + 2), 4 * (2 + 2)],
        # e1 and e2 in turn, then the last e3; e1 and e3 in turn, while e2 has a unit of its own.
        "bindings": [4 * (2 + 2) + 2, 4 * (2 + 2)],
        # Four steps of 2 + 3; the batch inside: 3 * max(2 * 2, 2 + 3) + 2 * 2 + 3; outside: the
        # second chain starts after the last step of the first one has been served.
        "recurrence": [4 * (2 + 3), 3 * 5 + 4 + 3, 3 * 5 + 2 + 4 * 5],
        # a and x, then e2 while DRAM serves the rest and the next e1 takes 1.
        "blocks": [2 + 2 + 1 + 2 + 1 + 2],
        # e1 and e3 take 2 on one unit, e2 5: in turn, or with e2 never waiting.
        "orders": [4 * (2 + 5 + 2), 2 + 4 * 5 + 2, 2 + 4 * 5 + 2],
        "bounds": [4 * (2 + 2), 4 * (2 + 2), 4 * 2 + 4 * 2, 1 + 4 * 3],
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
