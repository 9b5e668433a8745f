"""Loops that Einsums share under different names of their rank variables."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import polylat
from polylat.errors import MappingError, PolylatError, SpecError, UnsupportedError
from polylat.report import Report
from polylat.spec import Spec
from polylat.spec.affine import Affine
from polylat.spec.mapping import Branch, Compute, Spatial, Temporal
from polylat.spec.workload import Einsum, Projection
from strategies import cascades

Name = Callable[[str, str], str]


def own(variable: str, einsum: str) -> str:
    """A name that no other Einsum has."""
    return f"{variable}_{einsum}"


def swapped(variable: str, einsum: str) -> str:
    """Names that other Einsums have, for other variables."""
    return variable if einsum.endswith(("0", "2")) else f"{variable}{variable}"


def renamed_affine(expression: Affine, einsum: str, name: Name) -> Affine:
    terms = tuple((name(variable, einsum), k) for variable, k in expression.terms)
    return Affine(terms, expression.constant)


def renamed_einsum(einsum: Einsum, name: Name) -> Einsum:
    return replace(
        einsum,
        rank_variables=tuple(name(v, einsum.name) for v in einsum.rank_variables),
        constraints=tuple(renamed_affine(c, einsum.name, name) for c in einsum.constraints),
        accesses=tuple(
            replace(
                access,
                reads=tuple(renamed_projection(some, einsum.name, name) for some in access.reads),
                write=access.write and renamed_projection(access.write, einsum.name, name),
            )
            for access in einsum.accesses
        ),
    )


def renamed_projection(projection: Projection, einsum: str, name: Name) -> Projection:
    return tuple(renamed_affine(index, einsum, name) for index in projection)


def renamed_branch(branch: Branch, name: Name) -> Branch:
    leaves = [leaf.einsum for leaf in branch.leaves()]
    nodes = tuple(
        replace(
            node,
            rank_variable="shared",
            by_einsum=tuple((e, name(node.rank_variable, e)) for e in leaves),
        )
        if isinstance(node, (Temporal, Spatial))
        else node
        for node in branch.nodes
    )
    if isinstance(branch.end, Compute):
        return Branch(nodes, branch.end)
    stages = tuple(renamed_branch(inner, name) for inner in branch.end.branches)
    return Branch(nodes, replace(branch.end, branches=stages))


def renamed(spec: Spec, name: Name) -> Spec:
    """The same input, where every Einsum has its own names of rank variables."""
    einsums = tuple(renamed_einsum(e, name) for e in spec.workload.einsums)
    workload = replace(spec.workload, einsums=einsums)
    return replace(spec, workload=workload, mapping=renamed_branch(spec.mapping, name))


def figures(report: Report) -> list[Any]:
    memories = [(m.component, m.units, m.peak, m.steps) for m in report.occupancy]
    return [
        report.latency_by_order,
        (report.order, report.granularity, report.tiles, report.engine),
        (report.resource_bound, report.dependence_bound, report.roofline, report.sequential),
        report.accesses,
        report.critical_totals,
        memories,
    ]


def outcome(spec: Spec, options: dict[str, Any]) -> Any:
    try:
        report = polylat.analyze(spec, **options)
    except PolylatError as error:
        return type(error)
    return figures(report)


@given(st.sampled_from((own, swapped)), cascades())
def test_names_of_rank_variables_mean_nothing(
    name: Name, drawn: tuple[dict[str, Any], dict[str, Any]]
) -> None:
    data, options = drawn
    try:
        spec = Spec.from_dict(data)
    except MappingError:
        assume(False)  # a few of the mappings that are drawn are illegal
        raise
    assert outcome(renamed(spec, name), options) == outcome(spec, options)


# Two matrix multiplications that share a loop, which e1 calls m and e2 calls x ------------------


def node(kind: str, **keys: Any) -> dict[str, Any]:
    return {"type": kind, **keys}


def temporal(variable: Any, tile_shape: int = 1) -> dict[str, Any]:
    return node("Temporal", rank_variable=variable, tile_shape=tile_shape)


def product(name: str, *tensors: dict[str, Any]) -> dict[str, Any]:
    accesses = [{**t, "output": t is tensors[-1]} for t in tensors]
    return {"name": name, "tensor_accesses": accesses}


def data(shared: Any, x: str = "x", size: int = 8, kind: str = "Pipeline") -> dict[str, Any]:
    """The input; `shared` is the shared loop's rank variable, `x` what e2 calls M."""
    throughput = [{"name": "read", "throughput": 2}, {"name": "write", "throughput": 2}]
    components = [
        node("Memory", name="DRAM", size="inf", actions=throughput),
        node("Memory", name="SRAM", size="inf", actions=throughput),
        node("Compute", name="mac", actions=[{"name": "compute", "throughput": 1}]),
    ]
    e1 = product(
        "e1",
        {"name": "i", "projection": {"M": "m", "K": "k"}},
        {"name": "v", "projection": {"K": "k", "N": "n"}},
        {"name": "o", "projection": {"M": "m", "N": "n"}},
    )
    e2 = product(
        "e2",
        {"name": "o", "projection": {"M": x, "N": "y"}},
        {"name": "w", "projection": {"N": "y", "Z": "z"}},
        {"name": "r", "projection": {"M": x, "Z": "z"}},
    )
    mapping = [
        node("Storage", component="DRAM", tensors=["i", "v", "w", "r"]),
        temporal(shared, 2),
        node("Storage", component="SRAM", tensors=["o"]),
        node(
            kind,
            nodes=[
                node(
                    "Nested",
                    nodes=[
                        temporal("m"),
                        temporal("k"),
                        temporal("n"),
                        node("Compute", einsum="e1", component="mac"),
                    ],
                ),
                node(
                    "Nested",
                    nodes=[
                        temporal(x),
                        temporal("y"),
                        temporal("z"),
                        node("Compute", einsum="e2", component="mac"),
                    ],
                ),
            ],
        ),
    ]
    return {
        "arch": {"nodes": components},
        "workload": {
            "rank_sizes": {"M": size, "K": 4, "N": 4, "Z": 4},
            "bits_per_value": {"All": 8},
            "einsums": [e1, e2],
        },
        "mapping": {"nodes": mapping},
    }


@pytest.mark.parametrize("shared", [["m", "x"], ["x", "m"], {"m", "x"}, {"e1": "m", "e2": "x"}])
@pytest.mark.parametrize("size", [8, 7, 65536])
def test_a_set_of_rank_variables_is_each_einsums_own(shared: Any, size: int) -> None:
    spec = Spec.from_dict(data(shared, size=size))
    (loop,) = (n for n in spec.mapping.nodes if isinstance(n, Temporal))
    assert loop.rank_variable == "m,x"
    assert loop.by_einsum == (("e1", "m"), ("e2", "x"))
    report = polylat.analyze(spec, granularity="flow")
    one_name = polylat.analyze(Spec.from_dict(data("m", "m", size)), granularity="flow")
    assert figures(report) == figures(one_name)
    assert report.engine == ("periodic" if size == 65536 else "explicit")


def test_it_is_proven() -> None:
    spec = Spec.from_dict(data(["m", "x"], size=1024))
    certificate = polylat.analyze(spec, granularity="tile").verify()
    assert {p.kind for p in certificate.proven} >= {"flow", "capacity", "ports", "latency"}


@pytest.mark.parametrize("shared", ["m", ["m"], {"e1": "m", "e2": "m"}])
def test_one_name_is_no_set(shared: Any) -> None:
    spec = Spec.from_dict(data(shared, "m"))
    assert spec == Spec.from_dict(data("m", "m"))


def test_the_two_may_differ_in_size() -> None:
    """e2 reads M in [0, 6) of what e1 makes in [0, 8): its last tile does not exist."""
    given = data(["m", "x"], kind="Sequential")
    given["workload"]["iteration_space_shape"] = {"x": "0 <= x < 6"}
    spec = Spec.from_dict(given)
    report = polylat.analyze(spec)
    assert report.accesses["e1", "mac", None, "compute"] == 8 * 4 * 4
    assert report.accesses["e2", "mac", None, "compute"] == 6 * 4 * 4
    assert polylat.roofline(spec).latency == report.roofline
    report.verify()


def test_a_set_that_does_not_say_which_is_meant() -> None:
    with pytest.raises(UnsupportedError, match=r"'e1' has several .* 'm', 'k'") as e:
        Spec.from_dict(data(["m", "x", "k"]))
    assert "mapping.nodes[1].rank_variable" in str(e.value)
    assert "{e1: m, …}" in str(e.value)


@pytest.mark.parametrize(
    ("shared", "match"),
    [
        (["k"], r"is above 'e2', which has none of these"),
        (["m", "q"], r"rank_variable\[1\]: no Einsum has the rank variable 'q'"),
        ({"e1": "m"}, r"does not say which rank variable of 'e2'"),
        ({"e1": "m", "e2": "k"}, r"does not say which rank variable of 'e2'"),
        ({"e1": "m", "e3": "x"}, r"there is no Einsum 'e3' below the loop"),
    ],
)
def test_a_loop_that_is_not_every_einsums(shared: Any, match: str) -> None:
    with pytest.raises(MappingError, match=match):
        Spec.from_dict(data(shared))


@pytest.mark.parametrize("shared", [[], {}, [1], {"e1": 1}])
def test_names_are_texts(shared: Any) -> None:
    with pytest.raises(SpecError, match="must be a name"):
        Spec.from_dict(data(shared))
