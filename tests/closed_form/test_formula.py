"""Formulas: known closed forms, and every point of boxes against `analyze`."""

from __future__ import annotations

import random
from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np
import pytest
import sympy
from hypothesis import example as special
from hypothesis import given, settings
from hypothesis import strategies as st

import polylat
from builders import EXAMPLES, compute, delayed, einsum, leaf, loop, memory, nested, spec, storage
from disagreeing import draw
from formula_points import compare, with_size, with_throughput
from polylat import DomainError, Formula, OptionError, PolylatError, Spec, UnsupportedError
from thinned import thinned

Data = dict[str, Any]
FILES = [str(EXAMPLES / f"{name}.yaml") for name in ("arch", "workload")]


def example(name: str) -> Spec:
    """A mapping of the tapped cascade."""
    return polylat.load(*FILES, str(EXAMPLES / f"{name}.yaml"))


def one_einsum(load: int = 4, work: int = 1, trips: int = 10) -> Data:
    """Products of 4 values each, from DRAM through SRAM, which takes no time."""
    return spec(
        {"m": trips, "k": 4},
        [einsum("e", ("z", "m"), ("a", "m k"))],
        [
            memory("DRAM", f"1/{load}", "inf", size="inf"),
            memory("SRAM", "inf", "inf", size="inf"),
            compute("mac", f"1/{work}"),
        ],
        [storage("DRAM", "a", "z"), loop("m"), storage("SRAM", "a", "z"), loop("k"), leaf("e")],
    )


def stages(*durations: int, trips: int = 10) -> Data:
    """A Pipeline of stages, each with a Compute of its own."""
    count = len(durations)
    einsums = [
        einsum(f"e{k}", (f"t{k}", "m"), (f"t{k - 1}" if k else "i", "m")) for k in range(count)
    ]
    buffers = [memory(f"B{k}", "inf", "inf", size="inf") for k in range(count - 1)]
    units = [compute(f"c{k}", f"1/{d}") for k, d in enumerate(durations)]
    return spec(
        {"m": trips},
        einsums,
        [memory("DRAM", "inf", "inf", size="inf"), *buffers, *units],
        [
            storage("DRAM", "i", f"t{count - 1}"),
            loop("m"),
            *(storage(f"B{k}", f"t{k}") for k in range(count - 1)),
            {"type": "Pipeline", "nodes": [nested(leaf(f"e{k}", f"c{k}")) for k in range(count)]},
        ],
    )


@cache
def untapped() -> Formula:
    """The motivating cascade in its size and in the throughput of DRAM."""
    return polylat.symbolic(example("untapped"), ["M", "DRAM.throughput"], granularity="tile")


def same(one: Any, other: Any, values: dict[Any, range]) -> None:
    """Two expressions have the same values at some points."""
    symbols = list(values)
    for point in np.ndindex(*(len(some) for some in values.values())):
        at = {s: values[s][k] for s, k in zip(symbols, point, strict=True)}
        assert one.subs(at) == other.subs(at), at


@pytest.mark.slow
def test_streamed_is_the_roofline() -> None:
    """One Einsum without separate transfers takes what its busiest component takes."""
    formula = polylat.symbolic(Spec.from_dict(one_einsum()), ["M", "DRAM.read.throughput"])
    size, throughput = formula.symbols
    assert formula.expression == formula.roofline.expression
    wanted = size * sympy.Max(4, 4 / throughput)
    same(formula.expression, wanted, {size: range(1, 9), throughput: range(1, 5)})
    assert formula.latency.proven


@pytest.mark.parametrize(("load", "work"), [(1, 3), (2, 2), (3, 1)])
def test_staged_is_fill_largest_drain(load: int, work: int) -> None:
    """With two slots a tile is loaded while the one before it is computed."""
    data = one_einsum(load, work)
    formula = polylat.symbolic(Spec.from_dict(data), ["M"], staged="a@SRAM", slots=2)
    (size,) = formula.symbols
    wanted = 4 * load + (size - 1) * max(4 * load, 4 * work) + 4 * work
    assert sympy.expand(formula.expression - wanted) == 0
    assert str(formula.domain) == "{ [M] : M > 0 }"


@pytest.mark.long
def test_one_slot_against_two() -> None:
    """With one slot, loading and computing alternate; more than two slots gain nothing."""
    data = one_einsum(2, 3)
    formula = polylat.symbolic(Spec.from_dict(data), ["M", "slots"], staged="a@SRAM")
    for size in range(1, 12):
        assert formula(M=size, slots=1) == size * (8 + 12)
        assert formula(M=size, slots=2) == 8 + size * 12
        assert formula.fewest_slots(M=size) == min(size, 2)


@pytest.mark.slow
@pytest.mark.parametrize("durations", [(2, 2, 2), (3, 1, 3), (2, 5, 4), (1, 2, 3, 4)])
def test_pipeline_of_stages(durations: tuple[int, ...]) -> None:
    """The sum of all stages, and the largest of them once more per further iteration."""
    formula = polylat.symbolic(Spec.from_dict(stages(*durations)), ["M"])
    (size,) = formula.symbols
    wanted = sum(durations) + (size - 1) * max(durations)
    assert sympy.expand(formula.expression - wanted) == 0


@pytest.mark.long
def test_pipeline_with_a_stage_as_a_parameter() -> None:
    """The same, in the duration of one stage."""
    formula = polylat.symbolic(Spec.from_dict(stages(3, 1, 2)), ["M", "c1.duration"])
    size, duration = formula.symbols
    wanted = 5 + duration + (size - 1) * sympy.Max(3, duration)
    same(formula.expression, wanted, {size: range(1, 9), duration: range(1, 9)})
    assert formula(M=7, c1_duration=Fraction(7, 2)) == 5 + Fraction(7, 2) * 7


@pytest.mark.slow
def test_motivating_cascade() -> None:
    """In the size and in the throughput of DRAM; a write-back in the background adds one tile."""
    formula = untapped()
    text = "M*Max(2944, 1472 + 2496/DRAM_throughput, 2432 + 1472/DRAM_throughput)"
    assert str(formula.expression) == text
    assert formula(M=8, DRAM_throughput=1) == 31744
    assert str(formula.domain) == "{ [M, DRAM_throughput] : M > 0 and DRAM_throughput > 0 }"
    assert formula.latency.transient == {"M": 1}
    interval = "Max(2944, 1472 + 2496/DRAM_throughput, 2432 + 1472/DRAM_throughput)"
    assert str(formula.latency.growth("M")) == interval
    written = polylat.symbolic(example("tap_resident"), ["M"], granularity="tile", background="o2")
    assert str(written.expression) == "3968*M + 64"
    assert written.latency.proven


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("untapped", {"granularity": "flow"}),
        ("untapped", {"pipelined": True, "granularity": "tile"}),
        ("tap_resident", {"background": "o2", "granularity": "tile"}),
    ],
)
def test_cascade_at_every_point(name: str, options: Data) -> None:
    """Sizes 1 to 6 and two large ones, throughputs 1 to 3: every order and every bound."""
    limits = {"M": None, "DRAM.throughput": (1, 3)}
    formula = polylat.symbolic(example(name), limits, **options)
    base = example(name)
    granularity = formula.options["granularity"]
    for size in thinned((1, 2, 3, 4, 5, 6, 33, 64), 3):
        for throughput in range(1, 4):
            first, second = formula.parameters
            changed = second.apply(first.apply(base, size), Fraction(1, throughput))
            report = polylat.analyze(changed, **{**options, "granularity": granularity})
            at = {"M": size, "DRAM_throughput": throughput}
            assert formula(**at) == report.latency, at
            for order, form in formula.by_order.items():
                try:
                    assert form(**at) == report.latency_by_order[order], (order, at)
                except DomainError:
                    assert order == "oldest"
            assert formula.resource_bound(**at) == report.resource_bound
            assert formula.barrier_bound(**at) == report.barrier_bound
            assert formula.roofline(**at) == report.roofline
            assert formula.dependence_bound(**at) == report.dependence_bound


def random_case(seed: int) -> tuple[Data, Data, str, str | None]:
    """A random cascade whose loops disagree, a size of it, and a component in half of the draws."""
    chance = random.Random(seed)
    case = draw(seed, 60, 1000)
    variable = chance.choice(list(case.spec["workload"]["iteration_space_shape"]))
    named = [n["name"] for n in case.spec["arch"]["nodes"] if n.get("actions")]
    component = chance.choice(named) if chance.random() < 0.3 else None
    return case.spec, case.options, variable, component


@pytest.mark.slow
@settings(max_examples=6)
@given(
    st.integers(0, 10**6),
    st.sets(st.integers(1, 20), min_size=3, max_size=9),
    st.sets(st.integers(1, 5), min_size=1, max_size=3),
)
@special(730249, {1, 9, 13}, {3, 4})  # more than 2 elements need more units than there are
def test_random_cascades(seed: int, sizes: set[int], throughputs: set[int]) -> None:
    """Inside of the domain every formula is what `analyze` says; outside it refuses."""
    data, options, variable, component = random_case(seed)
    names, box = [variable], {variable: sorted(sizes)}
    if component is not None:
        data = with_throughput(data, component, 1)
        names.append(f"{component}.throughput")
        box[names[1]] = sorted(throughputs)
    try:
        given_spec = Spec.from_dict(data)
        granularity = polylat.analyze(given_spec, **options).granularity
    except PolylatError:
        return
    options = {**options, "granularity": granularity}
    limits = {variable: (1, 16)} | ({names[1]: (1, 4)} if component else {})
    formula = polylat.symbolic(given_spec, limits, **options)
    assert compare(data, options, formula, box).found == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "wanted"),
    [({}, "3*M + 30*ceiling(M/4)"), ({"staged": "a@SRAM"}, "Max(46, 3*M + 30*ceiling(M/4))")],
)
def test_sizes_that_tiles_do_not_divide(options: Data, wanted: str) -> None:
    """The last tile is smaller: the number of tiles, each with a setup, is rounded up."""
    data = spec(
        {"m": 13, "k": 2},
        [einsum("e", ("z", "m"), ("a", "m k"))],
        [
            memory("DRAM", 1, "inf", size="inf"),
            memory("SRAM", "inf", "inf", size="inf"),
            compute("mac"),
        ],
        [
            storage("DRAM", "a", "z"),
            loop("m", 4),
            storage("SRAM", "a"),
            loop("m"),
            loop("k"),
            leaf("e"),
        ],
    )
    data["schedule"] = {"setup": {"DRAM": {"read": 30}}}
    formula = polylat.symbolic(Spec.from_dict(data), ["M"], granularity="tile", **options)
    assert str(formula.expression) == wanted
    result = compare(data, {"granularity": "tile", **options}, formula, {"m": range(4, 40)})
    assert result.found == []
    assert result.inside >= 6 * 36
    for size in range(4, 40):
        assert formula.expression.subs(formula.symbols[0], size) == formula(M=size)


@pytest.mark.slow
def test_two_sizes() -> None:
    """Two nested loops: the formula is multilinear in their sizes."""
    data = one_einsum()
    data["mapping"]["nodes"] = [
        storage("DRAM", "a", "z"),
        loop("m"),
        storage("SRAM", "z"),
        loop("k"),
        storage("SRAM", "a"),
        leaf("e"),
    ]
    formula = polylat.symbolic(Spec.from_dict(data), ["M", "K"], staged="a@SRAM")
    size, depth = formula.symbols
    assert sympy.expand(formula.expression - (4 * size * depth + 1)) == 0
    assert formula(M=10**5, K=10**4) == 4 * 10**9 + 1
    box = {"m": range(14, 22), "k": range(20, 28, 3)}
    found = compare(data, {"staged": "a@SRAM", "granularity": "tile"}, formula, box)
    assert found.found == []
    assert found.inside > found.points


@pytest.mark.long
@pytest.mark.parametrize("rigid", [False, True])
def test_fixed_latencies(rigid: bool) -> None:
    """A stage whose results arrive later; rigid pipelines stall, at every value by itself."""
    data = delayed(12, rigid=rigid)
    limits = {"M": (1, 40), "c1.compute.latency": (0, 6)}
    formula = polylat.symbolic(Spec.from_dict(data), limits)
    granularity = formula.options["granularity"]
    inside = 0
    for n in (1, 2, 5, 12, 40):
        for late in range(7):
            changed = with_size(data, "m", n)
            changed["schedule"]["latency"]["c1"] = {"compute": late}
            wanted = polylat.analyze(Spec.from_dict(changed), granularity=granularity).latency
            try:
                assert formula(M=n, c1_compute_latency=late) == wanted, (n, late)
            except DomainError:
                continue
            inside += 1
    assert inside >= (20 if rigid else 35)


@pytest.mark.slow
def test_report_at_a_point() -> None:
    """The analysis behind a value, with its certificate."""
    report = untapped().report(M=3, DRAM_throughput=2)
    assert report.latency == untapped()(M=3, DRAM_throughput=2) == 9504
    assert report.verify().proven


@pytest.mark.long
def test_kinks_between_sizes() -> None:
    """A latency that is the largest of two lines is not taken for the line between its ends.

    At a throughput just above 8/23, two stages have nearly the same rate: the one with the smaller
    rate is the last one up to size 26.
    """
    options: Data = {"granularity": "flow", "pipelined": True, "order": "program"}
    spec_ = example("untapped")
    (size,) = polylat.symbolic(spec_, ["M"]).parameters
    (throughput,) = polylat.symbolic(spec_, ["DRAM.throughput"]).parameters
    near = throughput.apply(spec_, Fraction(2147, 5920))
    at_near = polylat.symbolic(near, {"M": (1, 80)}, **options)
    for n in (1, 10, 24, 25, 26, 27, 40, 80):
        wanted = polylat.analyze(size.apply(near, n), **options).latency
        assert at_near(M=n) == wanted, n


def test_refuses_outside() -> None:
    """Outside of the domain there is no number, but an error; and NaN in arrays."""
    formula = polylat.symbolic(example("untapped"), {"M": (2, 16)})
    assert formula(M=2) == 7936
    with pytest.raises(DomainError, match="not proven at M = 17"):
        formula(M=17)
    with pytest.raises(DomainError, match="whole number"):
        formula(M="5/2")
    found = formula.lambdify()(M=np.array([1, 2, 16, 17]))
    assert np.isnan(found).tolist() == [True, False, False, True]


@pytest.mark.parametrize(
    ("parameters", "problem"),
    [
        (["Q"], "there is no parameter 'Q'"),
        (["DRAM.speed"], "is not understood"),
        (["DRM.throughput"], "there is no component 'DRM'"),
        (["DRAM.fetch.throughput"], "there is no action 'fetch'"),
        (["o9.slots"], "there is no slots 'o9'"),
        ({"M": (0, 4)}, "is no range"),
        ({"M": (9, 4)}, "is no range"),
        ({"DRAM.throughput": (0, 4)}, "is no range"),
        (["M", "m_tiles"], "sizes of one rank variable"),
    ],
)
def test_bad_parameters(parameters: Any, problem: str) -> None:
    """One clear error per mistake."""
    with pytest.raises(OptionError, match=problem):
        polylat.symbolic(
            example("mixed" if problem == "outermost loops" else "untapped"), parameters
        )


def test_too_many_parameters() -> None:
    """Two times are not supported, and it says so."""
    with pytest.raises(UnsupportedError, match="2 times"):
        polylat.symbolic(example("untapped"), ["DRAM.throughput", "SRAM.throughput"])


def test_bad_values() -> None:
    """Values are checked by name."""
    formula = polylat.symbolic(example("untapped"), ["M"])
    with pytest.raises(OptionError, match="no parameter 'N'"):
        formula(N=3)
    with pytest.raises(OptionError, match="'M' has no value"):
        formula()
    with pytest.raises(OptionError, match="must be a number"):
        formula(M="many")
    with pytest.raises(OptionError, match="no option"):
        polylat.symbolic(example("untapped"), ["M"], backgrund="o2")


def test_lambdify_on_arrays() -> None:
    """Arrays are broadcast, and every entry is the exact value as a double."""
    formula = untapped()
    sizes, throughputs = np.arange(1, 50)[:, None], np.array([0.5, 1.0, 1.5, 7.0])
    found = formula.lambdify()(M=sizes, DRAM_throughput=throughputs)
    assert found.shape == (49, 4)
    for i, j in np.ndindex(found.shape):
        if throughputs[j] >= 1:
            exact = formula(M=int(sizes[i, 0]), DRAM_throughput=float(throughputs[j]))
            assert found[i, j] == pytest.approx(float(exact), rel=1e-14)
        else:
            assert np.isnan(found[i, j])


def test_design_questions() -> None:
    """Answers are exact, and those of `analyze` around them."""
    formula = untapped()
    assert formula.enough("DRAM.throughput", M=8) == Fraction(23, 8)
    bends = formula.breakpoints("DRAM.throughput", M=8)
    assert bends.values == (Fraction(16, 15), Fraction(23, 8))
    assert [s.share for s in bends.stretches] == [
        Fraction(2496, 3968),
        Fraction(1472 * 15, 16) / (2432 + Fraction(1472 * 15, 16)),
        0,
    ]
    report = polylat.analyze(example("untapped"), granularity="tile")
    assert report.what_if({"DRAM": Fraction(23, 8)}).latency == formula(M=8, DRAM_throughput=100)
    assert report.what_if({"DRAM": Fraction(22, 8)}).latency > formula(M=8, DRAM_throughput=100)
    assert "2.875" in str(bends)


@pytest.mark.long
def test_first_faster_in_the_limit() -> None:
    """The least size at which one line is below another one, far beyond where they begin."""
    quick = polylat.symbolic(Spec.from_dict(stages(1, 1, 99)), ["M"])
    slow = polylat.symbolic(Spec.from_dict(stages(100, 100)), ["M"])
    # 101 + 99·(M − 1) against 200 + 100·(M − 1): always less. The other way round: never.
    assert quick.first_faster(slow, "M") == 1
    assert slow.first_faster(quick, "M") is None
    longer = polylat.symbolic(Spec.from_dict(stages(400, 1, 1)), ["M"])
    flat = polylat.symbolic(Spec.from_dict(stages(1, 401, 1)), ["M"])
    # 402 + 400·(M − 1) against 403 + 401·(M − 1).
    assert longer.first_faster(flat, "M") == 1
    late = polylat.symbolic(Spec.from_dict(stages(*[99] * 9)), ["M"])
    early = polylat.symbolic(Spec.from_dict(stages(100, 1)), ["M"])
    # 891 + 99·(M − 1) < 101 + 100·(M − 1) from M = 792 on.
    assert late.first_faster(early, "M") == 792
    assert late(M=791) == early(M=791)


def test_sweep() -> None:
    """A table of exact values, None outside of the domain, and a plot."""
    limits = {"M": (1, 8), "DRAM.throughput": (1, 2)}
    formula = polylat.symbolic(example("untapped"), limits, granularity="tile")
    sweep = formula.sweep(M=[1, 8, 9], DRAM_throughput=[1, "3/2"])
    assert sweep.rows[0] == (1, 1, 3968)
    assert [row[-1] is None for row in sweep.rows] == [False] * 4 + [True] * 2
    assert "2 of them outside" in str(sweep)
    assert sweep.plot().axes[0].get_xlabel() == "M"
    assert len(formula.breakpoints("DRAM.throughput", M=4).plot().axes[0].lines) == 1


@pytest.mark.slow
@pytest.mark.parametrize(("stride", "taps"), [(1, 3), (2, 3), (2, 1), (3, 2)])
def test_footprints(stride: int, taps: int) -> None:
    """Numbers of actions of a convolution, with sliding windows and strides."""
    data = spec(
        {"p": 9, "r": taps},
        [
            {
                "name": "conv",
                "tensor_accesses": [
                    {"name": "a", "projection": {"A": f"{stride}*p + r"}},
                    {"name": "w", "projection": {"W": "r"}},
                    {"name": "z", "projection": {"Z": "p"}, "output": True},
                ],
            }
        ],
        [memory("DRAM", size="inf"), memory("SRAM", size="inf"), compute("mac")],
        [
            storage("DRAM", "a", "w", "z"),
            loop("p", 4),
            storage("SRAM", "a", "w"),
            loop("p", 1),
            loop("r", 1),
            leaf("conv"),
        ],
    )
    formula = polylat.symbolic(Spec.from_dict(data), ["P"])
    assert formula.accesses
    for size in range(4, 30):
        data["workload"]["iteration_space_shape"]["p"] = f"0 <= p < {size}"
        report = polylat.analyze(Spec.from_dict(data), granularity=formula.options["granularity"])
        for key, form in formula.accesses.items():
            assert form(P=size) == report.accesses[key], (key, size)


def test_peaks() -> None:
    """The most bits that a memory holds, at every size up to 64."""
    formula = polylat.symbolic(Spec.from_dict(one_einsum()), ["M"], staged="a@SRAM", slots=2)
    for size in (1, 2, 5, 64):
        data = one_einsum(trips=size)
        report = polylat.analyze(
            Spec.from_dict(data),
            staged="a@SRAM",
            slots=2,
            granularity=formula.options["granularity"],
        )
        for memory_ in report.occupancy:
            assert formula.peaks[memory_.component](M=size) == memory_.peak


def test_latex_and_json() -> None:
    """What notebooks and programs read."""
    formula = polylat.symbolic(example("untapped"), ["M"])
    assert formula.latex() == r"3968 \mathrm{M}"
    assert formula._repr_latex_() == r"$\displaystyle 3968 \mathrm{M}$"
    data = formula.to_dict()
    assert data["schema"] == "polylat.formula/1"
    assert data["formulas"]["latency"]["expression"] == "3968*M"
    assert data["formulas"]["latency"]["proven_for_all_sizes"]
