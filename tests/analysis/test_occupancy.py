"""Occupancy extrapolated from sampled tile iterations: the same as if all were visited."""

from __future__ import annotations

import random
from contextlib import suppress
from fractions import Fraction
from itertools import islice, pairwise
from typing import Any, NoReturn

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

import polylat
from builders import LEGAL, compute, einsum, leaf, loop, memory, nested, storage, stretched
from builders import spec as whole
from polylat import MappingError, Report, ScheduleError, Spec
from polylat.analysis import levels, occupancy, residency, residency_pieces
from polylat.analysis.levels import ChangeSeries, merge_series, peak_level
from polylat.analysis.occupancy import Occupancy, ResidentTile
from polylat.errors import UnsupportedError
from polylat.lowering.holder_tiles import is_replaced, storages_once
from polylat.lowering.lowered import lower
from polylat.lowering.sharing import leaves_sharing
from polylat.views.as_json import report_to_dict
from polylat.views.text import report_text
from reports import explicit_up_to
from strategies import cascades

Data = dict[str, Any]


def report(spec: Spec, explicit: int, **options: Any) -> Report:
    """The report, by the explicit engine for at most this number of tile iterations."""
    with explicit_up_to(explicit):
        return polylat.analyze(spec, **options)


@st.composite
def long_cascades(draw: st.DrawFn) -> tuple[Data, Data]:
    """A cascade with loops of many iterations, and options for `analyze`."""
    case = draw(st.sampled_from(LEGAL))
    variables = sorted(case["spec"]["workload"]["iteration_space_shape"])
    factors = {v: draw(st.sampled_from((1, 1, 3, 7, 20, 50))) for v in variables}
    background = [tuple(pair) for pair in case["options"]["background"] if draw(st.booleans())]
    options = {
        "slots": draw(st.sampled_from((1, 2, 2, 3, None))),
        "background": background,
        "order": draw(st.sampled_from(("program", "skew", "oldest"))),
        "granularity": draw(st.sampled_from(("tile", "flow"))),
    }
    return stretched(case["spec"], factors), options


def both(data: Data, options: Data) -> tuple[Report, Report]:
    """The reports of the explicit and of the periodic engine, where both apply."""
    try:
        spec = Spec.from_dict(data)
        assume(60 <= lower(spec, options["granularity"]).size <= 4000)
        every, some = report(spec, 10**9, **options), report(spec, 0, **options)
    except (MappingError, ScheduleError):
        assume(False)
        raise
    assume(some.engine == "periodic")
    return every, some


def check_same(some: Occupancy, every: Occupancy, times: list[Fraction]) -> None:
    """Two occupancies are the same relation."""
    assert (some.component, some.units, some.size) == (every.component, every.units, every.size)
    assert some.peak == every.peak == max((bits for _, bits in every.steps), default=0)
    assert some.exceeded == every.exceeded
    assert some.steps == every.steps
    assert list(some.tiles()) == list(every.tiles())
    for start, end in pairwise(times):
        there = some.at(start)
        assert there == every.at(start)
        assert there == tuple(t for t in every.tiles() if t.start <= start < t.end)
        assert some.level(start) == every.level(start) == sum(tile.bits for tile in there)
        low, high = min(start, end), max(start, end)
        steps = some.steps_between(low, high)
        assert steps == every.steps_between(low, high)
        assert some.peak_between(low, high) == max((bits for _, bits in steps), default=0)
        if low < high:
            assert steps[0] == (low, some.level(low))
            assert list(steps[1:]) == [s for s in every.steps if low < s[0] < high]


@settings(
    max_examples=max(settings().max_examples // 4, 5),
    suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow],
)
@given(long_cascades(), st.integers(0, 2**32), st.booleans())
def test_same_occupancy(case: tuple[Data, Data], seed: int, sparing: bool) -> None:
    """The sampled tiles determine the residency of all tiles."""
    every, some = both(*case)
    chance = random.Random(seed)
    times = [Fraction(chance.randrange(0, 1001), 1000) * every.latency for _ in range(4)]
    times += [Fraction(0), Fraction(every.latency)]
    with pytest.MonkeyPatch.context() as patch:
        if sparing:
            patch.setattr(levels, "MIN_SKIPPED_CHANGES", 0)
        for mine, theirs in zip(some.occupancy, every.occupancy, strict=True):
            check_same(mine, theirs, times)


@pytest.mark.long
def test_few_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nearly all occupancies are determined by few tile iterations."""
    monkeypatch.setattr(occupancy, "MAX_EXPLICIT", 0)
    chance = random.Random(1)
    memories = refused = 0
    while memories < 100:
        case = chance.choice(LEGAL)
        variables = sorted(case["spec"]["workload"]["iteration_space_shape"])
        factors = {v: chance.choice((1, 1, 3, 7, 20, 50)) for v in variables}
        spec = Spec.from_dict(stretched(case["spec"], factors))
        if not 60 <= lower(spec, "flow").size <= 10_000:
            continue
        with suppress(MappingError, ScheduleError):
            found = report(spec, 0, granularity="flow", order="skew")
            if found.engine == "periodic":
                memories += len(found.occupancy)
                refused += sum(occupancy.peak_or_none(m) is None for m in found.occupancy)
    assert refused <= 2


# A memory that is written faster than it is read -------------------------------------------------


def backlog(trips: int, read: int = 2) -> Report:
    """Tile i is written from i to i + 1, and read for `read` from 1 + i * read on (read > 1)."""
    ports = {"separate_read_write_ports": True}
    data = whole(
        {"m": trips},
        [einsum("e0", ("a", "m"), ("b", "m")), einsum("e1", ("c", "m"), ("a", "m"))],
        [
            memory("DRAM", "inf", "inf", size="inf", **ports),
            memory("SRAM", f"1/{read}", 1, size="inf", **ports),
            compute("mac", "inf"),
        ],
        [
            storage("DRAM", "b", "c"),
            loop("m"),
            storage("SRAM", "a"),
            {"type": "Pipeline", "nodes": [nested(leaf("e0")), nested(leaf("e1"))]},
        ],
    )
    data["workload"]["bits_per_value"] = {"All": 8}
    for node in data["arch"]["nodes"][:2]:
        for action in node["actions"]:
            action["bits_per_action"] = 8
    return polylat.analyze(Spec.from_dict(data), slots=None)


@pytest.mark.parametrize("read", [2, 3, 7])
@pytest.mark.parametrize("trips", [10, 30_000, 10**9])
def test_backlog(trips: int, read: int) -> None:
    """The last tile is written when all but those that have been read by then are there."""
    found = backlog(trips, read)
    assert (found.latency, found.engine == "periodic") == (1 + trips * read, trips > 5_000)
    dram, sram = found.occupancy
    assert (dram.component, dram.peak) == ("DRAM", 16 * trips)
    assert sram.peak == 8 * (trips - (trips - 2) // read)
    assert sram.level(trips) == 8 * (trips - (trips - 1) // read)
    assert sram.peak_between(trips, found.latency) == sram.level(trips)
    some = trips // 2 if trips < 50_000 else 5_000
    tile = next(islice(sram.tiles(), some, None))
    assert tile == ResidentTile("a", (("m", some),), some, 1 + (some + 1) * read, 8)
    last = sram.at(found.latency - Fraction(1, 2))
    assert [t.index for t in last] == [(("m", trips - 1),)]
    assert sram.at(found.latency) == () == sram.at(-1)


def test_too_many_steps() -> None:
    """A list of billions of changes is refused; that of a window is not."""
    sram = backlog(10**9).occupancy[1]
    with pytest.raises(UnsupportedError, match="'SRAM' changes more than 1000000 times"):
        _ = sram.steps
    with pytest.raises(UnsupportedError, match="more than 1000000 times"):
        sram.steps_between(0, 10**8)
    start = 10**8
    level = 8 * (start + 1 - (start - 1) // 2)
    # In the next step one is written and one has been read; in the one after that, one is written.
    assert sram.steps_between(start, start + Fraction(5, 2)) == (
        (start, level),
        (start + 2, level + 8),
    )
    assert sram.steps_between(5, 5) == ()
    assert sram.peak_between(5, 5) == 0


# Tiles that take the place of others ------------------------------------------------------------


def weights(dram: int | str, register: int | str, **options: Any) -> Report:
    """A matrix product with one weight at a time in a register with two ports."""
    data = whole(
        {"m": 64, "n": 8, "k": 8},
        [einsum("mm", ("Z", "m n"), ("A", "m k"), ("B", "k n"))],
        [
            memory("DRAM", dram, dram, size="inf"),
            memory("RF", register, register, size=1, separate_read_write_ports=True),
            compute("mac", 1),
        ],
        [
            storage("DRAM", "A", "B", "Z"),
            *(loop("n"), loop("k"), storage("RF", "B"), loop("m"), leaf("mm")),
        ],
    )
    return polylat.analyze(Spec.from_dict(data), **options)


@pytest.mark.parametrize("granularity", ["auto", "tile", "flow", "full"])
@pytest.mark.parametrize("dram", ["1/4", 1, 100])
@pytest.mark.parametrize("register", [1, 4, "inf"])
def test_weights_stay_in_their_register(
    dram: int | str, register: int | str, granularity: str
) -> None:
    """However fast its port for writes runs ahead, a weight arrives when the last one leaves."""
    found = weights(dram, register, granularity=granularity, enforce_capacity=True)
    (held,) = (m for m in found.occupancy if m.component == "RF")
    assert (held.peak, held.size) == (1, 1)
    with explicit_up_to(0):
        some = weights(dram, register, granularity=granularity)
    assert [m.peak for m in some.occupancy] == [m.peak for m in found.occupancy]
    # Staged tiles are really there: two by default, one with one slot.
    staged = weights(dram, register, granularity=granularity, staged="all", slots=2)
    assert [m.peak for m in staged.occupancy if m.component == "RF"] <= [2]


@given(cascades())
def test_tiles_that_stream_do_not_overlap(case: tuple[Data, Data]) -> None:
    """In a holder of one leaf, without separate transfers."""
    try:
        found = polylat.analyze(Spec.from_dict(case[0]), **case[1])
    except (MappingError, ScheduleError):
        return
    model = found.solution.model
    leaves = model.lowered.leaves
    holders: dict[tuple[str, str], list[bool]] = {}
    for first, tensor, level in storages_once(leaves):
        holder = first.storages(tensor)[level]
        sharing = leaves_sharing(leaves, tensor, holder)
        replaced = is_replaced(model.layout, sharing, tensor, level, holder)
        holders.setdefault((tensor, holder.component), []).append(replaced)
    for held in found.occupancy:
        tiles = list(held.tiles())
        for (tensor, component), alone in holders.items():
            if component == held.component and alone == [True]:
                own = sorted((t.start, t.end) for t in tiles if t.tensor == tensor)
                assert all(end <= start for (_, end), (start, _) in pairwise(own))


# Where sampled tile iterations do not suffice ----------------------------------------------------


def not_periodic(*args: Any) -> NoReturn:
    raise residency.IrregularResidencyError


def test_all_iterations_are_visited_where_occupancy_is_not_periodic(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """All tile iterations are visited where the sampled ones do not suffice, up to a limit."""
    found = backlog(6_000)
    real = residency_pieces.holder_residency

    def only_whole(solution: Any, *args: Any) -> residency.HolderResidency:
        return real(solution, *args) if solution.model.layout.whole else not_periodic()

    monkeypatch.setattr(occupancy, "holder_residency", only_whole)
    assert found.occupancy[1].peak == 8 * (6_000 - 5_999 // 2)


def test_undetermined_occupancy_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where too many would have to be visited, a memory has no peak rather than a wrong one."""
    monkeypatch.setattr(occupancy, "MAX_EXPLICIT", 0)
    monkeypatch.setattr(occupancy, "holder_residency", not_periodic)
    found = backlog(6_000)
    for ask in ("peak", "steps"):
        with pytest.raises(UnsupportedError, match="'SRAM' do not start and end at constant rates"):
            getattr(found.occupancy[1], ask)
    with pytest.raises(UnsupportedError, match="not periodic"):
        found.occupancy[1].at(0)
    assert [(m["peak"], m["exceeded"]) for m in report_to_dict(found)["memories"]] == [
        (None, None),
        (None, None),
    ]
    assert report_text(found).count("the occupancy is not periodic") == 2


# Levels --------------------------------------------------------------------------------


@st.composite
def series(draw: st.DrawFn) -> list[tuple[int, tuple[tuple[int, int], ...], int]]:
    """Series of changes: (first, (period, count) per dimension, weight)."""
    return [
        (
            draw(st.integers(0, 60)),
            tuple(
                (draw(st.sampled_from((0, 1, 2, 3, 5, 8, 60))), draw(st.integers(1, 30)))
                for _ in range(draw(st.integers(0, 2)))
            ),
            draw(st.sampled_from((-3, -2, -1, 1, 2, 3))),
        )
        for _ in range(draw(st.integers(1, 6)))
    ]


@given(series(), st.integers(-2, 400), st.integers(1, 400), st.booleans())
def test_levels(
    some: list[tuple[int, tuple[tuple[int, int], ...], int]], low: int, size: int, sparing: bool
) -> None:
    """The level and its maximum agree with an evaluation change by change."""
    events: list[tuple[int, int]] = []
    parts = []
    for first, dimensions, weight in some:
        times = [first]
        for period, count in dimensions:
            times = [t + k * period for t in times for k in range(count)]
        events += [(t, weight) for t in times]
        table = np.array(dimensions, dtype=np.int64).reshape(-1, 2).T
        parts.append(
            ChangeSeries(
                np.array([first]), table[0][:, None], table[1][:, None], np.array([weight])
            )
        )

    def level(time: int) -> int:
        return sum(weight for t, weight in events if t <= time)

    changes = merge_series(parts)
    high = low + size
    with pytest.MonkeyPatch.context() as patch:
        if sparing:
            patch.setattr(levels, "MIN_SKIPPED_CHANGES", 0)
        assert peak_level(changes, low, high) == max(level(t) for t in range(low, high))
    moments, found = levels.level_steps(changes, low, high, 10**6)
    assert moments[0] == low
    assert all(level(t) == b for t, b in zip(moments, found, strict=True))
    assert set(moments[1:].tolist()) == {
        t for t in range(low + 1, high) if level(t) != level(t - 1)
    }


def test_rates_without_a_common_period() -> None:
    """Many slightly different periods are visited as long as necessary, and no longer."""
    primes = (1_000_003, 1_000_033, 1_000_037, 1_000_039)
    parts = [
        ChangeSeries(
            np.array([0, p // 2]), np.full((1, 2), p), np.full((1, 2), 10**12), np.array([1, -1])
        )
        for p in primes
    ]
    with pytest.raises(UnsupportedError, match="common multiple is too long"):
        peak_level(merge_series(parts), 0, 10**18)


Affine = tuple[int, tuple[int, ...]]


@st.composite
def lines(draw: st.DrawFn, depth: int) -> Affine:
    """A time that grows at constant rates."""
    return draw(st.integers(0, 40)), tuple(draw(st.integers(0, 6)) for _ in range(depth))


@given(st.data(), st.integers(1, 2))
def test_boxes_are_split(data: st.DataObject, depth: int) -> None:
    """Each part has one start and one end, and together they are all."""
    counts = tuple(data.draw(st.integers(1, 9)) for _ in range(depth))
    group = st.lists(lines(depth), min_size=1, max_size=3)
    starts = data.draw(st.lists(group, min_size=1, max_size=3))
    ends = data.draw(group)
    zero = (0,) * depth

    def value(line: Affine, at: tuple[int, ...]) -> int:
        return line[0] + sum(g * n for g, n in zip(line[1], at, strict=True))

    seen = set()
    for first, sizes, start, end in residency_pieces._split_box(starts, ends, zero, counts):
        for more in np.ndindex(*sizes):
            at = tuple(a + b for a, b in zip(first, more, strict=True))
            assert at not in seen
            seen.add(at)
            assert value(start, more) == min(max(value(a, at) for a in g) for g in starts)
            assert value(end, more) == max(value(a, at) for a in ends)
    assert seen == set(np.ndindex(*counts))
