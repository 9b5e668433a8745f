"""``schedule: recurrences:``: tensors of AccelForge's files that are states of earlier steps."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

import pytest

import polylat
from builders import RECURRENT, Data, compute, leaf, loop, memory, nested, spec, storage
from polylat.accelforge import search
from polylat.analysis.access import AccessKey
from polylat.analysis.roofline import Roofline
from polylat.errors import MappingError, OptionError, PolylatError, SpecError, UnsupportedError
from polylat.numbers import Number
from polylat.spec import Spec
from polylat.spec.mapping import Branch, Compute, Storage, Toll
from polylat.spec.writing.yaml_output import dump

SIZES = {"t": 6, "d": 4}
STEP = "H[t, d] = H_prev[t, d] * A[t, d]"
DIRECT = "H[t, d] = H[t-1, d] * A[t, d]"
KEY = {"H_prev": "H[t-1]"}
ARCH = [
    memory("DRAM", 2, 1, size="inf"),
    memory("SRAM", 4, 3, size="inf"),
    compute("mac", "1/3"),
]
LOOPS = [loop("t"), loop("d")]
NODES = [storage("DRAM", "H_prev", "A", "H"), *LOOPS, leaf("H")]


def machine(
    *texts: str,
    nodes: list[Data] = NODES,
    arch: list[Data] = ARCH,
    recurrences: Any = None,
    **workload: Any,
) -> Data:
    """An input with Einsums given as text."""
    data = spec(SIZES, [], arch, nodes)
    data["workload"] |= {"einsums": list(texts) or [STEP], **workload}
    if recurrences is not None:
        data["schedule"] = {"recurrences": recurrences}
    return copy.deepcopy(data)


def read(*texts: str, **more: Any) -> Spec:
    return Spec.from_dict(machine(*texts, **more))


def held(branch: Branch) -> list[tuple[str, tuple[str, ...]]]:
    """Components and tensors of all nodes, in tree order."""
    found = [(n.component, n.tensors) for n in branch.nodes if isinstance(n, Storage | Toll)]
    if not isinstance(branch.end, Compute):
        for inner in branch.end.branches:
            found += held(inner)
    return found


# What the tensors are


def test_the_earlier_state_is_the_state() -> None:
    """As if the Einsum read H itself."""
    found = read(recurrences=KEY)
    direct = read(DIRECT, nodes=[storage("DRAM", "H", "A"), *LOOPS, leaf("H")])
    assert found.workload.einsums[0].accesses == direct.workload.einsums[0].accesses
    assert found.workload.tensors == ("H", "A")
    assert found.workload.earlier == (("H_prev", "H"),)
    assert found.workload.names_of("H") == ("H_prev", "H")
    assert held(found.mapping) == [("DRAM", ("H", "A"))]
    assert Spec.from_dict(machine(recurrences={})) == read()


@pytest.mark.parametrize(
    ("text", "index"),
    [
        ("H[t-1]", ("t - 1", "d")),
        (" H [ t - 1 ] ", ("t - 1", "d")),
        ("H[T-1]", ("t - 1", "d")),
        ("H[T: t-1]", ("t - 1", "d")),
        ("H[T: T-1]", ("t - 1", "d")),
        ("H[t-1, d]", ("t - 1", "d")),
        ("H[d, t-1]", ("t - 1", "d")),
        ("H[d+2, T-1]", ("t - 1", "d + 2")),
        ("H[t]", ("t", "d")),
        ("H[]", ("t", "d")),
        ("H", ("t", "d")),
    ],
)
def test_the_text(text: str, index: tuple[str, ...]) -> None:
    (access,) = (a for a in read(recurrences={"H_prev": text}).workload.einsums[0].accesses[:1])
    assert access.ranks == ("T", "D")
    assert tuple(map(str, access.reads[0])) == index


def test_ranks_by_name_and_by_position() -> None:
    """H_prev[d, t] has the ranks of H in another order; P[i, j] has others, in the same order."""
    turned = read("H[t, d] = H_prev[d, t] * A[t, d]", recurrences=KEY)
    assert [str(i) for i in turned.workload.einsums[0].access("H").reads[0]] == ["t - 1", "d"]
    text = "H[t, d] = P[I: t, J: d] * A[t, d]"
    nodes = [storage("DRAM", "P", "A", "H"), *LOOPS, leaf("H")]
    placed = read(text, nodes=nodes, recurrences={"P": "H[t-1]"})
    assert placed.workload.einsums[0].access("H").ranks == ("T", "D")
    assert [str(i) for i in placed.workload.einsums[0].access("H").reads[0]] == ["t - 1", "d"]


def test_a_rank_that_is_not_named_after_its_variable() -> None:
    text = "H[Step: t, D: d] = H_prev[Step: t, D: d] * A[t, d]"
    for entry in ("H[t-1]", "H[Step-1]", "H[Step: t-1]"):
        state = read(text, recurrences={"H_prev": entry}).workload.einsums[0].access("H")
        assert state.ranks == ("Step", "D")
        assert [str(index) for index in state.reads[0]] == ["t - 1", "d"]


def test_a_state_before_an_earlier_state() -> None:
    """H_before[t] is H_prev[t-1], which is H[t-2]; three accesses of H."""
    nodes = [storage("DRAM", "H_before", "H_prev", "A", "H"), *LOOPS, leaf("H")]
    entries = {"H_before": "H_prev[t-1]", "H_prev": "H[t-1]"}
    found = read(
        "H[t, d] = H_before[t, d] * H_prev[t, d] * A[t, d]", nodes=nodes, recurrences=entries
    )
    state = found.workload.einsums[0].access("H")
    assert [[str(i) for i in r] for r in state.reads] == [["t - 2", "d"], ["t - 1", "d"]]
    assert held(found.mapping) == [("DRAM", ("H", "A"))]


def test_the_reader_stands_before_the_producer() -> None:
    found = read("G[t, d] = H_prev[t, d] * A[t, d]", "H[t, d] = G[t, d]", **PAIR, recurrences=KEY)
    assert found.workload.producers("H") == ("H",)
    assert [str(i) for i in found.workload.einsum("G").access("H").reads[0]] == ["t - 1", "d"]
    assert found.workload.shared == {"G", "H"}


STAGES: Data = {
    "type": "Sequential",
    "nodes": [nested(loop("d"), leaf("G")), nested(loop("d"), leaf("H"))],
}
PAIR: Data = {"nodes": [storage("DRAM", "H_prev", "A", "G", "H"), loop("t"), STAGES]}


@pytest.mark.parametrize("above", [True, False])
def test_the_analysis_is_that_of_the_state(above: bool) -> None:
    """Four steps of 2 + 3; registers above or below the loop over them."""
    arch = [memory("SRAM", size="inf"), memory("RF", "inf", "inf", size="inf")]
    arch.append(compute("mac", "1/2"))

    def report(text: str, names: list[str], **more: Any) -> polylat.Report:
        registers = [storage("RF", name) for name in names]
        inner = [*registers, loop("t")] if above else [loop("t"), *registers]
        nodes = [storage("SRAM", *names), storage("RF", "A"), *inner, leaf("H")]
        data = spec({"t": 4}, [], arch, nodes)
        data["workload"]["einsums"] = [text]
        data["schedule"] = {"latency": {"mac": {"compute": 3}}}
        return polylat.analyze(Spec.from_dict(data, **more))

    found = report("H[t] = A[t] * H_prev[t]", ["H_prev", "H"], recurrences=KEY)
    direct = report("H[t] = A[t] * H[t-1]", ["H"])
    assert found.latency == direct.latency == found.dependence_bound == 4 * (2 + 3)
    assert found.accesses == direct.accesses
    assert found.accesses["H", "SRAM", "H", "read"] == (1 if above else 4)


# Where the keys may be given


def test_from_files_and_arguments(tmp_path: Path) -> None:
    data = machine()
    whole = tmp_path / "whole.yaml"
    whole.write_text(dump(data), encoding="utf-8")
    key = tmp_path / "schedule.yaml"
    key.write_text("schedule:\n  recurrences:\n    H_prev: H[t-1]\n", encoding="utf-8")
    found = read(recurrences=KEY)
    assert polylat.load(whole, key) == found
    assert polylat.load(whole, recurrences=KEY) == found
    assert Spec.from_dict(data, recurrences=KEY) == found
    # An argument overrides the file.
    other = polylat.load(whole, key, recurrences={"H_prev": "H[t-2]"})
    assert str(other.workload.einsums[0].access("H").reads[0][0]) == "t - 2"


def test_the_key_is_written(tmp_path: Path) -> None:
    """The file has the names of the input; without the key, it is the one for AccelForge."""
    nodes = [storage("DRAM", "H_prev"), storage("DRAM", "A", "H"), *LOOPS, leaf("H")]
    data = machine(nodes=nodes)
    for found in (Spec.from_dict(data, recurrences=KEY), read(nodes=nodes, recurrences=KEY)):
        text = found.to_yaml()
        assert "tensors: [H_prev]" in text and 'H_prev: "H[t-1]"' in text
        whole, plain = tmp_path / "whole.yaml", tmp_path / "plain.yaml"
        whole.write_text(text, encoding="utf-8")
        assert polylat.load(whole) == found
        plain.write_text(found.to_yaml(schedule=False), encoding="utf-8")
        assert polylat.load(plain) == Spec.from_dict(data)


def test_other_values_of_variables() -> None:
    data = machine(recurrences=KEY) | {"variables": {"SIZE": 6}}
    data["workload"]["iteration_space_shape"]["t"] = "0 <= t < SIZE"
    found = Spec.from_dict(data).with_variables(SIZE=3)
    assert found.workload.earlier == (("H_prev", "H"),)
    assert polylat.roofline(found).latency * 2 == polylat.roofline(Spec.from_dict(data)).latency


# Prices


INNER = [loop("t"), storage("SRAM", "H_prev"), loop("d"), leaf("H")]
COPIED = [storage("DRAM", "H_prev"), loop("t", 2), storage("SRAM", "H")]


def check_equal(found: Roofline, plain: Roofline) -> None:
    """Check that two figures differ only in that the state has one name."""
    assert found.latency == plain.latency
    assert found.per_einsum == plain.per_einsum
    for ours, theirs in ((found.accesses, plain.accesses), (found.totals, plain.totals)):
        sums: dict[AccessKey, Number] = {}
        for (einsum, component, tensor, action), number in theirs.items():
            key = einsum, component, "H" if tensor == "H_prev" else tensor, action
            sums[key] = sums.get(key, 0) + number
        assert ours == sums


PRICED: dict[str, Data] = {
    "one node": {},
    "two nodes": {
        "nodes": [storage("DRAM", "H_prev", "A"), storage("DRAM", "H"), *LOOPS, leaf("H")]
    },
    "only one of the two further in": {"nodes": [storage("DRAM", "H_prev", "A", "H"), *INNER]},
    "both further in": {
        "nodes": [
            storage("DRAM", "H_prev", "A", "H"),
            storage("SRAM", "H"),
            storage("SRAM", "A", "H_prev"),
            *LOOPS,
            leaf("H"),
        ]
    },
    "another Einsum": PAIR,
    "a copy": {"nodes": [*COPIED, *LOOPS, leaf("H")]},
}
TEXTS: dict[str, tuple[str, ...]] = {
    "another Einsum": ("G[t, d] = H_prev[t, d] * A[t, d]", "H[t, d] = G[t, d]"),
    "a copy": ("H[t, d] = identity(H_prev[t, d])",),
}


@pytest.mark.parametrize("name", PRICED)
@pytest.mark.parametrize("accounting", ["1.0", "main"])
def test_the_price_is_that_of_the_file_without_the_key(name: str, accounting: str) -> None:
    """AccelForge prices H_prev as a tensor of its own: all figures are the same.

    Numbers of actions are sums under the name of the state.
    """
    more, texts = PRICED[name], TEXTS.get(name, ())
    plain = polylat.roofline(read(*texts, **more), accounting=accounting)
    found = polylat.roofline(read(*texts, **more, recurrences=KEY), accounting=accounting)
    assert plain.latency > 0
    check_equal(found, plain)


def test_a_node_may_hold_the_earlier_state_only() -> None:
    """SRAM holds H, as it holds H_prev; AccelForge's figure still has H_prev only."""
    found = read(**PRICED["only one of the two further in"], recurrences=KEY)
    assert held(found.mapping) == [("DRAM", ("H", "A")), ("SRAM", ("H",))]
    counts = polylat.roofline(found).accesses
    assert counts["H", "SRAM", "H", "read"] == 6 * 4  # of H_prev; 24 reads and as many writes
    assert counts["H", "SRAM", "H", "write"] == 6 * 4  # for its fills
    assert counts["H", "DRAM", "H", "write"] == 6 * 4  # of H, past SRAM


def test_of_two_nodes_the_outer_one_holds_the_state() -> None:
    nodes = [
        storage("DRAM", "H_prev", "A", "H"),
        storage("SRAM", "H_prev"),
        storage("SRAM", "A", "H"),
        storage("SRAM", "H_before"),
    ]
    with pytest.raises(PolylatError, match="H_before"):
        read(nodes=[*nodes, *LOOPS, leaf("H")], recurrences=KEY)
    found = read(nodes=[*nodes[:-1], *LOOPS, leaf("H")], recurrences=KEY)
    expected = [("DRAM", ("H", "A")), ("SRAM", ("H",)), ("SRAM", ("A",))]
    assert held(found.mapping) == expected


def test_a_loop_between_two_nodes_is_refused() -> None:
    nodes = [
        storage("DRAM", "H_prev", "A", "H"),
        storage("SRAM", "H_prev"),
        loop("t"),
        storage("SRAM", "H"),
        loop("d"),
        leaf("H"),
    ]
    match = (
        r"'SRAM' holds 'H_prev' outside of a loop and 'H' inside, which are both 'H'.*"
        r"the other node is at mapping\.nodes\[1\]"
    )
    with pytest.raises(MappingError, match=match):
        read(nodes=nodes, recurrences=KEY)


def test_a_toll_is_named_once() -> None:
    """One Toll node per tensor, as AccelForge's mapper writes them; its directions must agree."""
    actions = [{"name": "read", "throughput": 2}]
    bus: Data = {"type": "Toll", "name": "bus", "direction": "up_and_down", "actions": actions}
    passed = [{"type": "Toll", "component": "bus", "tensors": [name]} for name in ("H_prev", "H")]
    nodes = [storage("DRAM", "H_prev", "A", "H"), *passed, *LOOPS, leaf("H")]
    found = read(nodes=nodes, arch=[ARCH[0], bus, ARCH[2]], recurrences=KEY)
    assert held(found.mapping) == [("DRAM", ("H", "A")), ("bus", ("H",)), ("bus", ())]
    assert polylat.analyze(found).accesses["H", "bus", "H", "read"] == 2 * 24
    bus["direction"] = {"H_prev": "down", "Other": "up"}
    with pytest.raises(SpecError, match="'bus' has another direction for 'H_prev' than for 'H'"):
        read(nodes=nodes, arch=[ARCH[0], bus, ARCH[2]], recurrences=KEY)


def test_a_mapping_without_the_producer() -> None:
    """The state is an input then."""
    texts = "G[t, d] = H_prev[t, d] * A[t, d]", "H[t, d] = G[t, d]"
    nodes = [storage("DRAM", "H_prev", "A", "G"), *LOOPS, leaf("G")]
    found = read(*texts, nodes=nodes, recurrences=KEY)
    assert found.workload.einsum("G").inputs == ("H", "A")
    plain = polylat.analyze(read(*texts, nodes=nodes))
    assert polylat.analyze(found).latency == plain.latency


def test_storages_in_branches() -> None:
    """H_prev in one branch and H in the other: one buffer above, as if both were called H."""
    stages = [
        nested(storage("DRAM", "H_prev", "A"), *LOOPS, leaf("G")),
        nested(storage("DRAM", "H"), *LOOPS, leaf("H")),
    ]
    nodes = [storage("DRAM", "G"), {"type": "Sequential", "nodes": stages}]
    texts = "G[t, d] = H_prev[t, d] * A[t, d]", "H[t, d] = G[t, d]"
    found = read(*texts, nodes=nodes, recurrences=KEY)
    assert held(found.mapping) == [
        ("DRAM", ("G",)),
        ("DRAM", ("H",)),
        ("DRAM", ("A",)),
        ("DRAM", ()),
    ]
    assert list(found.mapping.merged_holders()) == [("H", "DRAM")]
    check_equal(polylat.roofline(found), polylat.roofline(read(*texts, nodes=nodes)))
    text = found.to_yaml()
    assert text.count("H_prev, A") == 1
    assert text[text.index("mapping:") :].count("tensors:") == 3


def test_hoisting_a_state() -> None:
    """The node above the split holds both, for AccelForge as well."""
    stages = [
        nested(storage("SRAM", "H_prev"), loop("d"), leaf("G")),
        nested(storage("SRAM", "H", "G"), loop("d"), leaf("H")),
    ]
    nodes = [
        storage("DRAM", "H_prev", "A", "G", "H"),
        loop("t"),
        {"type": "Sequential", "nodes": stages},
    ]
    texts = "G[t, d] = H_prev[t, d] * A[t, d]", "H[t, d] = G[t, d]"
    spec_ = read(*texts, nodes=nodes, recurrences=KEY)
    hoisted = spec_.hoist("H", "SRAM")
    assert hoisted == spec_.hoist("H_prev", "SRAM")
    assert held(hoisted.mapping) == [
        ("DRAM", ("H", "A", "G")),
        ("SRAM", ("H",)),
        ("SRAM", ("G",)),
    ]
    above = [
        *nodes[:2],
        storage("SRAM", "H_prev", "H"),
        {
            "type": "Sequential",
            "nodes": [
                nested(loop("d"), leaf("G")),
                nested(storage("SRAM", "G"), loop("d"), leaf("H")),
            ],
        },
    ]
    check_equal(polylat.roofline(hoisted), polylat.roofline(read(*texts, nodes=above)))
    assert "tensors: [H_prev, H]" in hoisted.to_yaml()


# The architecture


def test_expressions_may_name_the_earlier_state() -> None:
    """Bits per value, sets of tensors, and renames are evaluated by the names of the file."""
    arch = copy.deepcopy(ARCH)
    arch[0]["actions"][0]["throughput"] = "H_prev.bits_per_value * 2"
    arch[1]["actions"][0]["throughput"] = "len(Inputs) + len(Inputs & ~H_prev)"
    data = machine(arch=arch, recurrences=KEY)
    found = Spec.from_dict(data)
    plain = Spec.from_dict(machine(arch=arch))
    assert found.arch.paths["H"][0].ports == plain.arch.paths["H"][0].ports
    check_equal(polylat.roofline(found), polylat.roofline(plain))


def test_a_state_that_is_only_read_has_the_rates_of_the_earlier_one() -> None:
    arch = copy.deepcopy(ARCH)
    arch[0]["bits_per_action"] = "4 if H_prev else 2"
    arch[0]["spatial"] = [{"name": "X", "fanout": 2, "may_reuse": "H_prev"}]
    found = read(*TEXTS["another Einsum"], **PAIR, arch=arch, recurrences=KEY)
    reader, writer = (found.arch.component(e, "DRAM") for e in ("G", "H"))
    assert reader.actions_per_value["read", "H"] == reader.actions_per_value["read", "H_prev"]
    assert [dim.may_reuse for dim in reader.spatial] == [{"H", "H_prev"}]
    assert [dim.may_reuse for dim in writer.spatial] == [frozenset()]


@pytest.mark.parametrize("key", ["bits_per_value", "bits_per_action"])
def test_components_that_treat_them_differently(key: str) -> None:
    arch = copy.deepcopy(ARCH)
    if key == "bits_per_value":
        arch[0]["bits_per_value"] = {"H_prev": 2}
    else:
        arch[0]["actions"][0]["bits_per_action"] = "1"
        arch[0]["bits_per_value"] = {"H_prev": 4, "H": 1}
    match = r"'DRAM' has another number of actions 'read' per value for 'H_prev' than for 'H', in"
    with pytest.raises(SpecError, match=match) as error:
        read(arch=arch, recurrences=KEY)
    assert error.value.where == "schedule.recurrences.H_prev"
    arch[0], arch[1] = ARCH[0], {**ARCH[1], **{k: v for k, v in arch[0].items() if k != "name"}}
    found = read(arch=arch, recurrences=KEY)  # nothing is held there
    check_equal(polylat.roofline(found), polylat.roofline(read(arch=arch)))


# AccelForge's Mamba

MAMBA = [
    "B[b, n] = WB[d, n] * X[b, d]",
    "AD[b, d, n] = A[d, n] * DELTA[b, d]",
    "HH[b, d, n] = H_prev[b, d, n] * AD[b, d, n]",
    "HX[b, d, n] = BD[b, d, n] * X[b, d]",
    "H[b, d, n] = HX[b, d, n] + HH[b, d, n]",
]
"""Of ``examples/workloads/transformers/mamba/mamba.yaml``: one step of the recurrence."""


def mamba(texts: list[str], recurrences: Any = None) -> Data:
    tensors = list(dict.fromkeys(word for t in texts for word in _tensors(t)))
    names = [text.partition("[")[0] for text in texts]
    steps = "i" in texts[2]
    variables = [["b", "d", "n"]] * len(names)
    branches = [
        nested(*(loop(v) for v in own), leaf(name))
        for own, name in zip(variables, names, strict=True)
    ]
    nodes = [
        storage("DRAM", *tensors),
        *([loop("i")] if steps else []),
        {"type": "Sequential", "nodes": branches},
    ]
    data = spec({"b": 1, "d": 4, "n": 3, "i": 5}, [], ARCH, nodes)
    data["workload"]["einsums"] = list(texts)
    if recurrences is not None:
        data["schedule"] = {"recurrences": recurrences}
    return data


def _tensors(text: str) -> list[str]:
    return [part.split()[-1].strip("*+=") for part in text.split("[")[:-1]]


def test_one_step_of_mamba_has_no_rank_of_time() -> None:
    """It says nothing of the next step; the message says what is missing."""
    with pytest.raises(OptionError) as error:
        Spec.from_dict(mamba(MAMBA, {"H_prev": "H[i-1]"}))
    text = str(error.value)
    assert "'H' has no rank 'i', nor one that a rank variable of this name indexes" in text
    assert "it has B, D, N" in text
    assert "as in H[i, b, d, n] and H_prev[i, b, d, n], and the mapping a loop over it" in text


def test_mamba_with_a_rank_of_time() -> None:
    steps = [text.replace("[b,", "[b, i,") for text in MAMBA]
    plain = Spec.from_dict(mamba(steps))
    found = Spec.from_dict(mamba(steps, {"H_prev": "H[i-1]"}))
    read_ = found.workload.einsum("HH").access("H").reads
    assert [[str(i) for i in r] for r in read_] == [["b", "i - 1", "d", "n"]]
    check_equal(polylat.roofline(found), polylat.roofline(plain))


# Cascades with answers


def renamed(data: Data) -> tuple[Data, dict[str, str]]:
    """The same cascade, in which what is read of a computed tensor has names of its own.

    A constant in an index becomes a shift.
    """
    data = copy.deepcopy(data)
    work = data["workload"]
    produced = {a["name"] for e in work["einsums"] for a in e["tensor_accesses"] if a.get("output")}
    entries: dict[str, str] = {}
    for einsum in work["einsums"]:
        for access in einsum["tensor_accesses"]:
            tensor = access["name"]
            if access.get("output") or tensor not in produced:
                continue
            shifts = []
            for rank, index in access["projection"].items():
                match = re.fullmatch(r"(\w+) ([+-]) (\d+)", index)
                if match:
                    access["projection"][rank] = match[1]
                    shifts.append(f"{rank}{match[2]}{match[3]}")
            name = f"{tensor}_{len(entries)}"
            access["name"] = name
            work["bits_per_value"][name] = work["bits_per_value"][tensor]
            entries[name] = f"{tensor}[{', '.join(shifts)}]"

    def rename(node: Data) -> None:
        if "tensors" in node:
            names = [n for n in entries if n.rpartition("_")[0] in node["tensors"]]
            node["tensors"] = [*node["tensors"], *names]
        for inner in node.get("nodes", ()):
            rename(inner)

    rename(data["mapping"])
    return data, entries


@pytest.mark.slow
@pytest.mark.parametrize("case", RECURRENT, ids=lambda case: str(case["name"]))
def test_cascades_with_other_names(case: Data) -> None:
    """Identified, they are the cascades; their prices are those of the tensors with other names."""
    plain, entries = renamed(case["spec"])
    direct = Spec.from_dict(case["spec"])
    found = Spec.from_dict(plain, recurrences=entries)
    assert entries
    for ours, theirs in zip(found.workload.einsums, direct.workload.einsums, strict=True):
        assert ours.accesses == theirs.accesses
        assert (ours.constraints, ours.is_copy) == (theirs.constraints, theirs.is_copy)
    assert held(found.mapping) == held(direct.mapping)
    for einsum, path in direct.arch.paths.items():
        for component, like in zip(path, found.arch.paths[einsum], strict=True):
            assert component.actions_per_value.items() <= like.actions_per_value.items()
            assert component.ports == like.ports
    known, priced = polylat.roofline(found), polylat.roofline(Spec.from_dict(plain))
    assert (known.latency, known.per_einsum) == (priced.latency, priced.per_einsum)


# Errors


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ("H[t-1]", "recurrences must be a mapping, not 'H"),
        ({"H_pref": "H[t-1]"}, "recurrences names the tensor 'H_pref', .* mean 'H_prev'"),
        ({"H_prev": "G[t-1]"}, "recurrences names the tensor 'G', which does not exist"),
        ({"H": "H[t-1]"}, "recurrences names 'H', which Einsum 'H' computes"),
        ({"H_prev": "A[t-1]"}, "recurrences names 'A' as the state, which no Einsum computes"),
        ({"A": "H_prev[t-1]", "H_prev": "A[t]"}, "has a cycle: A → H_prev → A"),
        ({"H_prev": "H_prev[t-1]"}, "has a cycle: H_prev → H_prev"),
        ({"H_prev": 3}, "must be the text of a tensor, not 3"),
        ({"H_prev": "H[t-1"}, "must be the text of a tensor"),
        ({"H_prev": "H[2*t]"}, r"'2\*t' is not a rank and a whole number"),
        ({"H_prev": "H[t-1,]"}, "'' is not a rank"),
        ({"H_prev": "H[t-s]"}, "'t-s' is not a rank"),
        ({"H_prev": "H[t-1, T-1]"}, "names the rank 'T' twice"),
        ({"H_prev": "H[D: t-1]"}, "'H' has no rank 'D: t'"),
        ({"H_prev": "H[q-1]"}, "'H' has no rank 'q', .* it has T, D"),
    ],
)
def test_errors(entries: Any, message: str) -> None:
    with pytest.raises(OptionError, match=message) as error:
        read(recurrences=entries)
    assert error.value.where is not None
    assert error.value.where.startswith("schedule.recurrences")
    assert error.value.fix


def test_tensors_that_do_not_fit() -> None:
    nodes = [storage("DRAM", "P", "A", "H"), *LOOPS, leaf("H")]
    with pytest.raises(OptionError, match="'P' has the ranks T, and 'H' has T, D"):
        read("H[t, d] = P[t] * A[t, d]", nodes=nodes, recurrences={"P": "H[t-1]"})
    with pytest.raises(OptionError, match="'H_prev' has 2 bits per value, and 'H' has 1"):
        read(bits_per_value={"H_prev": 2, "~H_prev": 1}, recurrences=KEY)
    twice = "H[t, D: t] = P[t, D: t] * A[t, d]"
    with pytest.raises(OptionError, match="'t' indexes several ranks of 'H': T, D"):
        read(twice, nodes=nodes, recurrences={"P": "H[t-1]"})


def test_bad_arguments() -> None:
    wrong: Any = "H[t-1]"
    with pytest.raises(OptionError, match="recurrences must be a mapping, not 'H"):
        Spec.from_dict(machine(), recurrences=wrong)
    data = machine() | {"schedule": {"recurrences": ["H_prev"]}}
    with pytest.raises(OptionError, match="recurrences must be a mapping, not a list"):
        Spec.from_dict(data, recurrences=KEY)


def test_an_option_names_the_state() -> None:
    data = machine(recurrences=KEY)
    data["schedule"]["slots"] = {"H_prev": 3}
    with pytest.raises(OptionError, match="H_prev"):
        Spec.from_dict(data)


def test_the_table_of_the_workload() -> None:
    """What an Einsum reads of a state is among what it reads."""
    einsums, _ = read(recurrences=KEY).tables()
    assert einsums.rows == (("H", "H, A", "H", "t, d"),)


def test_search_refuses_recurrences() -> None:
    """The mapper's busy times are no lower bounds for a state; AccelForge is not asked."""
    with pytest.raises(UnsupportedError, match="search has no recurrences") as info:
        search(None, recurrences={"H_prev": "H[t-1]"})
    assert "rerank(found.mappings, recurrences=...)" in str(info.value)
