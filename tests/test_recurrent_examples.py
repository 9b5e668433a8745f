"""Recurrences whose figures are computed by hand, or follow from a formula."""

from __future__ import annotations

import itertools
from fractions import Fraction
from typing import Any

import pytest

import oracle
from recurrent import (
    flash_attention,
    fusemax,
    scan,
    scan_with_loads,
    three_stages,
    two_stages,
    two_stages_in_dram,
)

Data = dict[str, Any]
Row = tuple[str, Data, Data, Data]
"""A name, a specification, the options of ``analyze``, and some of its results."""


def orders(*latencies: int) -> Data:
    """The latencies in the three orders: one for all, or one each."""
    each = latencies * 3 if len(latencies) == 1 else latencies
    return {"latency_by_order": dict(zip(("program", "skew", "oldest"), each, strict=True))}


def bounds(dependence: int, resource: int) -> Data:
    """The two bounds."""
    return {"dependence_bound": dependence, "resource_bound": resource}


# --------------------------------------------------------------------------------------------
# (a) One Einsum that reads its own result
# --------------------------------------------------------------------------------------------

STREAMED: Data = {}
BACKGROUND: Data = {"background": ["h@RF"]}
STAGED: Data = {"staged": "all"}

SCANS: list[Row] = [
    (
        f"scan-{steps}-{time}-{latency}",
        scan(steps, time, latency),
        STREAMED,
        orders(total) | bounds(total, resource) | {"tiles": steps},
    )
    for steps, time, latency, total, resource in [
        (5, 2, 3, 25, 10),
        (8, 1, 4, 40, 8),
        (6, 3, 0, 18, 18),
    ]
]

HELD: list[Row] = [
    (
        f"scan-held-{registers}-{'-'.join(options) or 'streamed'}",
        scan(4, 2, 3, registers=registers),
        options,
        orders(total)
        | {"actions": {"SRAM": (reads, writes), "RF": (4 if registers == "h0" else 8, inside)}},
    )
    for registers, reads, writes, inside, totals in [
        ("h0", 0, 0, 4, (20,)),
        ("above", 1, 4, 5, (20, 1 + 20 + 1, 1 + 4 * 5 + 4)),
        ("half", 2, 4, 6, (20, 2 * (1 + 10 + 1), 2 * (1 + 2 * 5 + 2))),
        ("below", 4, 4, 8, (20, 4 * (1 + 5 + 1), 4 * (1 + 5 + 1))),
    ]
    for options, total in zip((STREAMED, BACKGROUND, STAGED), totals, strict=False)
]

LOADS: list[Row] = [
    ("loads-streamed", scan_with_loads(5, 2, 3, 4), {}, orders(5 * (4 + 3))),
    ("loads-staged", scan_with_loads(5, 2, 3, 4), {"staged": "x"}, orders(4 + 5 * (2 + 3))),
]

# --------------------------------------------------------------------------------------------
# (b) Two and three stages in a ring
# --------------------------------------------------------------------------------------------

STAGES: list[Row] = [
    row
    for steps, batch, first, second, total, dependence, resource, sequential in [
        (5, 1, 2, 3, 25, 25, 15, 25),
        (5, 2, 2, 3, 32, 25, 30, 50),
        (5, 3, 2, 3, 47, 25, 45, 75),
        (4, 2, 1, 1, 9, 8, 8, 16),
        (4, 1, 1, 4, 20, 20, 16, 20),
        (3, 4, 2, 2, 26, 12, 24, 48),
    ]
    for row in [
        (
            f"two-stages-{steps}-{batch}-{first}-{second}",
            two_stages(steps, batch, first, second),
            STREAMED,
            orders(total) | bounds(dependence, resource) | {"sequential": sequential},
        ),
        (
            f"two-stages-{steps}-{batch}-{first}-{second}-sequential",
            two_stages(steps, batch, first, second, "Sequential"),
            STREAMED,
            orders(sequential) | bounds(dependence=sequential, resource=resource),
        ),
    ]
]

RINGS: list[Row] = [
    ("three-stages-1", three_stages(4, 1), STREAMED, orders(28) | {"dependence_bound": 28}),
    ("three-stages-2", three_stages(4, 2), STREAMED, orders(35) | {"resource_bound": 32}),
    ("state-above", two_stages_in_dram(4, "above"), STREAMED, orders(5 + 4 * 9)),
    ("state-half", two_stages_in_dram(4, "half"), STREAMED, orders(2 * 5 + 4 * 9)),
    ("state-below", two_stages_in_dram(4, "below"), STREAMED, orders(4 * 5 + 4 * 9)),
]

# --------------------------------------------------------------------------------------------
# (c) A batch hides the latency of a scan. Outside, the dependence bound is that of one chain of
# steps: tile iterations start in order, so that a step of the next one waits for the last start.
# --------------------------------------------------------------------------------------------

BATCHES: list[Row] = [
    row
    for batch, inside, outside, resource in [
        (1, 40, 40, 10),
        (2, 42, 74, 20),
        (3, 44, 108, 30),
        (4, 46, 142, 40),
        (6, 66, 210, 60),
    ]
    for row in [
        (
            f"batch-{batch}-inside",
            scan(5, 2, 6, batch=batch),
            STREAMED,
            orders(inside) | bounds(40, resource),
        ),
        (
            f"batch-{batch}-outside",
            scan(5, 2, 6, batch=batch, outer="b"),
            STREAMED,
            orders(outside) | bounds((batch - 1) * 4 * 8 + 40, resource),
        ),
        (
            f"batch-{batch}-tile",
            scan(5, 2, 6, batch=batch),
            {"granularity": "tile"},
            orders(5 * (batch * 2 + 6)) | {"tiles": 5},
        ),
    ]
]

# --------------------------------------------------------------------------------------------
# (d) Attention in blocks of keys
# --------------------------------------------------------------------------------------------

ATTENTION: list[Row] = [
    row
    for granularity, latency, queries, sequential, pipeline, dependence, resource in [
        ("tile", 0, 1, 56, (48, 32, 32), 24, 32),
        ("tile", 3, 1, 92, (73, 40, 40), 34, 32),
        ("tile", 10, 1, 176, (136, 82, 82), 76, 32),
        ("tile", 10, 2, 232, (182, 104, 104), 92, 64),
        ("flow", 0, 1, 56, (40, 32, 32), 8, 32),
        ("flow", 3, 1, 92, (65, 38, 38), 26, 32),
        ("flow", 10, 1, 176, (128, 80, 80), 68, 32),
        ("flow", 10, 2, 232, (144, 90, 88), 68, 64),
        ("flow", 10, 4, 344, (182, 128, 128), 68, 128),
    ]
    for row in [
        (
            f"flash-{granularity}-{latency}-{queries}",
            flash_attention(queries, latency),
            {"granularity": granularity},
            orders(*pipeline) | bounds(dependence, resource) | {"sequential": sequential},
        ),
        (
            f"flash-{granularity}-{latency}-{queries}-sequential",
            flash_attention(queries, latency, "Sequential"),
            {"granularity": granularity},
            orders(sequential),
        ),
    ]
]

FUSEMAX: list[Row] = [
    row
    for latency, sequential, pipeline, dependence in [
        (0, 90, (62, 63, 62), 29),
        (10, 460, (322, 174, 147), 146),
    ]
    for row in [
        (
            f"fusemax-{latency}",
            fusemax(latency),
            {"granularity": "tile"},
            orders(*pipeline) | bounds(dependence, 58) | {"sequential": sequential},
        ),
        (
            f"fusemax-{latency}-sequential",
            fusemax(latency, "Sequential"),
            {"granularity": "tile"},
            orders(sequential) | {"resource_bound": 58},
        ),
    ]
]

LONGER: list[Row] = [
    (
        f"fusemax-blocks-{blocks}",
        fusemax(10, blocks=blocks),
        {"granularity": "tile"},
        {"latency": n},
    )
    for blocks, n in [(3, 123), (4, 147), (5, 171), (6, 195)]
]

ROWS = [*SCANS, *HELD, *LOADS, *STAGES, *RINGS, *BATCHES, *ATTENTION, *FUSEMAX, *LONGER]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("data", "options", "expected"), [pytest.param(*row[1:], id=row[0]) for row in ROWS]
)
def test_figures(data: Data, options: Data, expected: Data) -> None:
    """All figures of a worked case."""
    answer = oracle.analyze(data, **{"granularity": "flow", **options})
    answer["actions"] = actions_of_state(answer["accesses"])
    assert {name: answer[name] for name in expected} == expected


def actions_of_state(accesses: dict[tuple[str, str, str | None, str], Fraction]) -> Data:
    """Reads and writes of h in SRAM and in the registers."""
    return {
        component: tuple(
            sum(
                count
                for (_, where, tensor, what), count in accesses.items()
                if (where, tensor, what) == (component, "h", action)
            )
            for action in ("read", "write")
        )
        for component in ("SRAM", "RF")
    }


def test_state_below_its_loop() -> None:
    """Where the backing storage of a state stands below the loop, nobody brings what is read."""
    with pytest.raises(oracle.Illegal, match="nobody brought"):
        oracle.analyze(scan(4, 2, 3, registers="lost"))


@pytest.mark.parametrize("kind", ["Pipeline", "Sequential"])
def test_two_stages_by_formula(kind: str) -> None:
    """Steps take what the slower unit or the ring takes; as a Sequential everything adds up."""
    for steps, batch, first, second in itertools.product((1, 2, 4), (1, 2, 3), (1, 3), (1, 2)):
        most, both = max(first, second), first + second
        expected = (steps - 1) * max(batch * most, both) + (batch - 1) * most + both
        if kind == "Sequential":
            expected = steps * batch * both
        answer = oracle.analyze(two_stages(steps, batch, first, second, kind), granularity="flow")
        assert set(answer["latency_by_order"].values()) == {expected}


@pytest.mark.long
@pytest.mark.parametrize("outer", ["t", "b"])
@pytest.mark.parametrize("latency", [0, 1, 3, 6])
def test_scans_by_formula(outer: str, latency: int) -> None:
    """A batch inside hides the latency from B·d ≥ d + L on; outside only that of its last step."""
    for steps, batch, time in itertools.product((1, 2, 4, 5), (1, 2, 3, 4), (1, 2)):
        step = time + latency
        if outer == "t":
            expected = (steps - 1) * max(batch * time, step) + batch * time + latency
        else:
            expected = (batch - 1) * ((steps - 1) * step + time) + steps * step
        data = scan(steps, time, latency, batch=batch, outer=outer)
        answer = oracle.analyze(data, granularity="flow")
        assert set(answer["latency_by_order"].values()) == {expected}


def test_shifts_of_a_ring() -> None:
    """Three stages with distance 1 have no skew; a batch of two makes the distance 2."""
    shifts = []
    for batch in (1, 2, 3):
        model = oracle.Model(oracle.read_problem(three_stages(4, batch)), "flow")
        shifts.append(list(oracle.shifts_of(model).values()))
    assert shifts == [[], [[0, 1, 2]], [[0, 1, 2]]]
