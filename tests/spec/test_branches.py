"""What AccelForge's branches add to its language: read, with a meaning that is said, or refused."""

from __future__ import annotations

from typing import Any

import pytest

import oracle
import polylat
from builders import ROOT, Data, compute, einsum, leaf, loop, memory, spec, storage
from polylat import MappingError, PolylatError, Report, Spec, UnsupportedError
from polylat.errors import ExpressionError, SpecError
from polylat.spec.reading.evaluate import evaluate
from polylat.spec.reading.yaml_text import parse
from polylat.views.as_json import roofline_to_dict

INPUTS = ROOT / "tests" / "data" / "upstream"
IDENTITY = (
    "identity(...) is a copy, as on AccelForge's branch operations (a computation in its release):"
)
FIXED = (
    "A latency beside a throughput is a fixed latency, as on AccelForge's branch latency (its"
    " release ignores it):"
)
BUSY = (
    "A latency without a throughput is the time of one action, as in AccelForge's release (a fixed"
    " latency on its branch latency):"
)


def read(arch: str = "base", workload: str = "base", mapping: str = "good") -> Spec:
    """An input of our own, two element-wise Einsums over eight values, one part replaced."""
    names = (f"{arch}.arch", f"{workload}.wl", f"{mapping}.map")
    return polylat.load(*(INPUTS / f"{name}.yaml" for name in names))


def one_einsum(**actions: Any) -> Data:
    """z[m] = a[m] for four values in DRAM, on a Compute that is as given."""
    return spec(
        {"m": 4},
        [einsum("e0", ("z", "m"), ("a", "m"))],
        [memory("DRAM", "inf", "inf", size="inf"), {**compute("mac"), **actions}],
        [storage("DRAM", "a", "z"), loop("m"), leaf("e0")],
    )


def said(report: Report) -> list[str]:
    """What a report says of readings, as text and as data."""
    readings: list[str] = report.to_dict()["readings"]
    figures = polylat.roofline(report.spec)
    assert [*figures.readings] == roofline_to_dict(figures)["readings"] == readings
    assert {*readings} <= {*figures.headline()}
    text = " ".join(str(report).split())
    assert all(" ".join(sentence.split()) in text for sentence in readings)
    assert readings == list(report.spec.readings)
    return readings


# --------------------------------------------------------------------------------------------
# Branch latency
# --------------------------------------------------------------------------------------------


def test_a_latency_beside_a_throughput_delays() -> None:
    """Eight times, e1's operation passes 5 later, and so does e2's."""
    report = polylat.analyze(read(arch="latency_and_throughput"))
    assert report.latency == 24 + 8 * (5 + 5)
    assert said(report) == [f"{FIXED} mac compute."]
    report.verify()
    assert polylat.roofline(report.spec).latency == 24


def test_a_latency_alone_is_the_time_of_an_action() -> None:
    report = polylat.analyze(read(arch="latency_only"))
    assert report.latency == report.resource_bound == 16 * 5
    assert said(report) == [f"{BUSY} mac compute."]


def test_no_reading_where_there_is_one_meaning() -> None:
    assert said(polylat.analyze(read())) == []
    for action in (
        {"name": "compute", "throughput": 1, "latency": 0},
        {"name": "compute", "latency": 0},
        {"name": "compute", "throughput": 2},
    ):
        assert Spec.from_dict(one_einsum(actions=[action])).readings == ()
    # What the key schedule says has one meaning.
    data = one_einsum(actions=[{"name": "compute", "throughput": 1, "latency": 3}])
    data["schedule"] = {"latency": {"mac": {"compute": 7}}}
    assert Spec.from_dict(data).readings == ()


@pytest.mark.parametrize(
    ("own", "of_component", "expected"),
    [
        # Beside a throughput, latency_scale multiplies the fixed latency.
        ({"throughput": 1, "latency": 3}, {}, 4 + 3),
        ({"throughput": 1, "latency": 3, "latency_scale": 2}, {}, 4 + 6),
        ({"throughput": 1, "latency": 3, "latency_scale": 2}, {"latency_scale": "1/3"}, 4 + 2),
        ({"throughput": 1, "latency": 3}, {"latency_scale": 5, "throughput_scale": 2}, 2 + 15),
        ({"throughput": 1, "latency": 3, "throughput_scale": 4}, {"latency_scale": 0}, 1),
        ({"throughput": 1, "latency": 3}, {"n_parallel_instances": 4}, 1 + 3),
        # Elsewhere it divides the throughput.
        ({"throughput": 1, "latency_scale": 2}, {}, 8),
        ({"latency": 3}, {"latency_scale": 2}, 24),
    ],
)
def test_scales(own: Data, of_component: Data, expected: int) -> None:
    data = one_einsum(actions=[{"name": "compute", **own}], **of_component)
    report = polylat.analyze(Spec.from_dict(data))
    assert report.latency == expected
    report.verify()


def test_scales_with_two_meanings() -> None:
    actions = [{"name": "read", "throughput": 1, "latency": 3}, {"name": "write", "throughput": 1}]
    data = one_einsum()
    data["arch"]["nodes"][0] |= {"actions": actions, "latency_scale": 2}
    with pytest.raises(SpecError, match="would multiply the fixed latency of 'read', but divide"):
        Spec.from_dict(data)
    actions[1]["latency"] = 0
    assert polylat.analyze(Spec.from_dict(data)).latency == 8 + 6
    negative = [{"name": "compute", "throughput": 1, "latency": 1, "latency_scale": -1}]
    with pytest.raises(ExpressionError, match="latency_scale of 'compute' must be a finite time"):
        Spec.from_dict(one_einsum(actions=negative))


def test_a_memory_shared_by_fused_einsums_is_no_faster_than_its_port() -> None:
    """SRAM alone is busy for 19,456."""
    spec = polylat.load(INPUTS / "shared_port.yaml")
    report = polylat.analyze(spec)
    assert (report.latency, report.resource_bound) == (19968, 19456)
    overlapped = polylat.analyze(spec.with_pipelines())
    assert (overlapped.latency, overlapped.optimal) == (19456, True)
    overlapped.verify()


# --------------------------------------------------------------------------------------------
# Branch pipeline
# --------------------------------------------------------------------------------------------


def bound(numbers: Any, fanout: int = 2) -> Data:
    """Two element-wise Einsums over four values, 5 each, in a bound Pipeline."""
    stages = [{"type": "Nested", "nodes": [leaf(name)]} for name in ("e0", "e1")]
    return spec(
        {"m": 4},
        [einsum("e0", ("b", "m"), ("a", "m")), einsum("e1", ("c", "m"), ("b", "m"))],
        [
            memory("S", "inf", "inf", size="inf"),
            {**compute("mac", "1/5"), "spatial": [{"name": "X", "fanout": fanout}]},
        ],
        [
            storage("S", "a", "c"),
            loop("m"),
            storage("S", "b"),
            {"type": "Pipeline", "binding": numbers, "nodes": stages},
        ],
    )


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [([0, 1], 25), ([1, 0], 25), ([0, 0], 40), ([], 25), (None, 25), (["N", "N + 1"], 25)],
)
def test_bindings(numbers: Any, expected: int) -> None:
    data = bound(numbers) | {"variables": {"N": 3}}
    report = polylat.analyze(Spec.from_dict(data))
    assert report.latency == expected
    if numbers != ["N", "N + 1"]:
        assert oracle.analyze(data)["latency"] == expected
    report.verify()


@pytest.mark.parametrize(
    ("numbers", "kind", "match"),
    [
        ([0], MappingError, r"binding.*the binding has 1 numbers, the Pipeline has 2 stages"),
        ([0, -1], ExpressionError, r"binding\[1\]: the number of a stage's units must be a whole"),
        ([0, "1/2"], ExpressionError, r"must be a whole number of at least zero, not"),
        ([0, None], SpecError, r"binding\[1\]: must be a number or an expression, not"),
        ("0, 1", SpecError, "must be a list"),
    ],
)
def test_bad_bindings(numbers: Any, kind: type[PolylatError], match: str) -> None:
    with pytest.raises(kind, match=match):
        Spec.from_dict(bound(numbers))


def test_a_binding_that_a_file_cannot_have() -> None:
    with pytest.raises(MappingError) as error:
        polylat.analyze(read(mapping="pipeline_binding"))
    assert str(error.value) == (
        "mapping.nodes[3] (pipeline_binding.map.yaml, line 6): the binding [0, 1] gives 'B' and 'C'"
        " units of their own, but both need the same unit of 'mac'. Fix: give 'mac' several units"
        " (spatial: [{name: X, fanout: 2}]), map them to different Computes, or give both stages"
        " one number."
    )
    sequential = bound([0, 1])
    sequential["mapping"]["nodes"][-1]["type"] = "Sequential"
    with pytest.raises(SpecError, match="unknown key 'binding'"):
        Spec.from_dict(sequential)


def test_a_binding_is_kept() -> None:
    given = Spec.from_dict(bound([1, 0]))
    assert given.with_pipelines() == given
    assert "binding: [1, 0]" in given.to_yaml()
    assert "Pipeline e0|e1  (binding 1, 0)" in str(polylat.tree(given))
    best = polylat.explore(given).best
    assert best is not None and best.spec.mapping == given.mapping


def test_concurrent_binding_of_one_unit() -> None:
    assert polylat.analyze(read(arch="concurrent")).latency == 24
    data = one_einsum(support_concurrent_binding="perhaps")
    with pytest.raises(SpecError, match="support_concurrent_binding: must be true or false"):
        Spec.from_dict(data)


def test_threads_of_a_mapper() -> None:
    data = one_einsum() | {"mapper": {"n_concurrent_threads": 1}}
    assert polylat.analyze(Spec.from_dict(data)).latency == 4
    for number in (2, "N", None):
        data["mapper"] = {"n_concurrent_threads": number}
        if number is not None:
            with pytest.raises(UnsupportedError, match=r"^mapper.n_concurrent_threads: .*pipeline"):
                Spec.from_dict(data)
    assert Spec.from_dict(data) == Spec.from_dict(one_einsum())


# --------------------------------------------------------------------------------------------
# Branches operations and adapter
# --------------------------------------------------------------------------------------------


def with_einsums(*entries: Any, key: str = "einsums") -> Data:
    return {**one_einsum(), "workload": {"rank_sizes": {"M": 4}, key: list(entries)}}


def test_an_identity_is_a_copy() -> None:
    """As with `is_copy_operation`; with false, it is a computation like any other function."""
    spec = read(workload="op_identity")
    report = polylat.analyze(spec)
    assert said(report) == [f"{IDENTITY} B."]
    assert ("B", "mac", None, "compute") not in report.accesses
    accesses = polylat.analyze(read()).accesses
    assert accesses["B", "mac", None, "compute"] == 8

    def made(text: str, **more: Any) -> Spec:
        data = with_einsums({"einsum": text, **more})
        data["workload"]["bits_per_value"] = {"All": 1}
        data["mapping"]["nodes"][-1]["einsum"] = "z"
        return Spec.from_dict(data)

    copied = made("z[m] = a[m]", is_copy_operation=True)
    assert made("z[m] = identity( a[m] )") == made("z [m]= identity(a[m])") == copied
    assert made("z[m] = identity(a[m])", is_copy_operation=True).readings == ()
    computed = made("z[m] = a[m]")
    for text in ("identity(a[m])", "exp(a[m])", "copy(a[m])"):
        assert made(f"z[m] = {text}", is_copy_operation=False) == computed
    assert made("z[m] = exp(a[m])") == made("z[m] = identity(a[m]) * 2") == computed
    again = Spec.from_parts(evaluate(parse(made("z[m] = identity(a[m])").to_yaml())))
    assert (again, again.readings) == (copied, ())


LEAVE = (
    "Fix: leave it out: an operation is one action of the Compute, whatever it computes; an Einsum"
    " that only copies has is_copy_operation: true."
)


def test_kinds_of_operations() -> None:
    with pytest.raises(UnsupportedError) as error:
        read(workload="op_map")
    assert str(error.value) == (
        "workload.einsums[0] (op_map.wl.yaml, line 5): 'map' is a key of AccelForge's branch"
        f" operations. {LEAVE}"
    )
    with pytest.raises(UnsupportedError, match="'reduce' is a key of AccelForge's branch operatio"):
        Spec.from_dict(with_einsums([{"einsum": "z[m] = a[m]", "reduce": "max"}]))
    assert polylat.analyze(read(workload="op")).latency == 24


@pytest.mark.parametrize("key", ["einsums", "einsums_and_adapters"])
def test_adapters(key: str) -> None:
    copied = {"type": "Copy", "name": "copy_a", "tensor": "a"}
    for entries, ranks in (
        ((copied, "z[m] = a[m]"), "m"),
        (
            ("t[M: m + 1, n] = b[m]", [copied, {"einsum": "z[m] = b[m] * a[M: 2*m, n]"}]),
            "M: 2*m, n",
        ),
        ((copied, {"name": "e0", "tensor_accesses": []}), "m"),
    ):
        with pytest.raises(UnsupportedError) as error:
            Spec.from_dict(with_einsums(*entries, key=key))
        message = str(error.value)
        assert "!Copy is an adapter of AccelForge's branch adapter. Fix: write {einsum: " in message
        assert f'"copy_a__a[{ranks}] = a[{ranks}]", is_copy_operation: true}}' in message
        assert "and read copy_a__a in the Einsums after it" in message
    tagged = {"type": "Einsum", "einsum": "z[m] = a[m]"}
    with pytest.raises(UnsupportedError, match=r"\[0\]: !Einsum is a tag of .* Fix: remove the"):
        Spec.from_dict(with_einsums(tagged, key=key))


def test_the_list_of_einsums_and_adapters() -> None:
    with pytest.raises(UnsupportedError) as error:
        Spec.from_dict(with_einsums("z[m] = a[m]", key="einsums_and_adapters"))
    assert str(error.value).startswith(
        "workload: 'einsums_and_adapters' is a key of AccelForge's branch adapter. Fix: call it"
    )


def test_tags_in_files(tmp_path: Any) -> None:
    text = (INPUTS / "base.wl.yaml").read_text(encoding="utf-8")
    file = tmp_path / "adapter.yaml"
    file.write_text(text.replace("einsums:", "einsums:\n  - !Copy {name: c, tensor: A}"))
    with pytest.raises(UnsupportedError, match=r"adapter.yaml, line 5\): !Copy .*c__A\[m\] = A\[m"):
        polylat.load(INPUTS / "base.arch.yaml", file, INPUTS / "good.map.yaml")
    file.write_text(text.replace("einsums:", "einsums:\n  - !Copies {name: c, tensor: A}"))
    with pytest.raises(SpecError, match="unknown tag '!Copies'"):
        polylat.load(INPUTS / "base.arch.yaml", file, INPUTS / "good.map.yaml")
