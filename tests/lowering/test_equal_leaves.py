"""Equal leaves and exchanges are lowered once: the results are those of lowering each of them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from math import inf
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import oracle
import polylat
from benchmarks.network_inputs import transformer
from oracle import Illegal, NoOrder
from polylat.engine import folded_network
from polylat.errors import PolylatError
from polylat.lowering.accesses import shared_blocks
from polylat.lowering.accesses.counting import leaf_blocks
from polylat.lowering.dependences import exchange
from polylat.lowering.iterations import IterationTable
from polylat.lowering.paths import Leaf
from strategies import cascades, chances, tensor_names

Data = dict[str, Any]

modest = settings(max_examples=20, deadline=None)


@contextmanager
def no_equal_leaves() -> Iterator[None]:
    """Let no leaf have the shape of another one."""
    numbers = count()

    def shape(leaf: Leaf) -> int:
        return int(vars(leaf).setdefault("number of the test", next(numbers)))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Leaf, "shape", property(shape))
        yield


def forget_exchanges() -> None:
    """Clear the caches of exchanges."""
    exchange._is_padded.cache_clear()
    exchange._last_functions.cache_clear()


def renamed(data: Data, names: list[str], number: int) -> Data:
    """Return data in which names have a number; those of number 0 stay."""
    if not number:
        return data
    words = "|".join(map(re.escape, sorted(names, key=len, reverse=True)))
    text = re.sub(rf"\b({words})\b", rf"\1_{number}", json.dumps(data))
    copy: Data = json.loads(text)
    return copy


def without(node: Data, component: str, tensors: list[str]) -> Data | None:
    """Return a node that holds no such tensors in a component; None: nothing is left of it."""
    if node["type"] == "Storage" and node["component"] == component:
        left = [tensor for tensor in node["tensors"] if tensor not in tensors]
        return {**node, "tensors": left} if left else None
    if "nodes" in node:
        inner = [without(child, component, tensors) for child in node["nodes"]]
        return {**node, "nodes": [child for child in inner if child is not None]}
    return node


@st.composite
def repeated(draw: Any) -> tuple[Data, Data]:
    """Draw a cascade and options, two or three times in sequence under different names.

    Some inputs are common: held in the DRAM above all copies. The options name the first copy.
    """
    spec, options = draw(cascades(max_einsums=2))
    workload = spec["workload"]
    variables = sorted(workload["iteration_space_shape"])
    for einsum in workload["einsums"]:
        for access in einsum["tensor_accesses"]:
            if isinstance(access["projection"], list):
                # Otherwise the ranks of a tensor would have the names of its variables.
                named = enumerate(access["projection"])
                access["projection"] = {f"R{rank}": index for rank, index in named}
    tensors = tensor_names(workload)
    written = {
        access["name"]
        for einsum in workload["einsums"]
        for access in einsum["tensor_accesses"]
        if access.get("output")
    }
    common = [t for t in tensors if t not in written and draw(chances(3))]
    names = [*variables, *(e["name"] for e in workload["einsums"])]
    names += [tensor for tensor in tensors if tensor not in common]
    copies = [renamed(spec, names, number) for number in range(draw(st.integers(2, 3)))]
    merged = {
        "iteration_space_shape": {},
        "bits_per_value": {},
        "einsums": [einsum for copy in copies for einsum in copy["workload"]["einsums"]],
    }
    for copy in copies:
        for key in ("iteration_space_shape", "bits_per_value"):
            merged[key] |= copy["workload"][key]
    branches = [
        without({"type": "Nested", "nodes": copy["mapping"]["nodes"]}, "DRAM", common)
        for copy in copies
    ]
    above = [{"type": "Storage", "component": "DRAM", "tensors": common}] if common else []
    split = draw(st.sampled_from(("Sequential", "Sequential", "Pipeline")))
    nodes = [*above, {"type": split, "nodes": branches}]
    return {**spec, "workload": {**workload, **merged}, "mapping": {"nodes": nodes}}, options


def results(spec: Data, options: Data) -> object:
    """Return the results of an analysis, or the error."""
    forget_exchanges()
    try:
        return polylat.analyze(polylat.Spec.from_dict(spec), **options).to_dict()
    except PolylatError as error:
        return type(error), str(error)


@pytest.mark.slow
@modest
@given(repeated())
def test_results_do_not_depend_on_recognition(case: tuple[Data, Data]) -> None:
    found = results(*case)
    with no_equal_leaves():
        assert results(*case) == found


@pytest.mark.slow
@modest
@given(repeated())
def test_the_oracle_agrees(case: tuple[Data, Data]) -> None:
    spec, options = case
    try:
        answer = oracle.analyze(spec, **options)
    except (Illegal, NoOrder):
        return
    report = polylat.analyze(polylat.Spec.from_dict(spec), **options)
    assert report.latency_by_order == answer["latency_by_order"]
    assert report.latency == answer["latency"]


def test_equal_layers_are_counted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """From the second layer on, whose input is an output of another one, all layers are equal."""
    counted: list[str] = []
    count_blocks = leaf_blocks

    def counting(tiles: IterationTable, *others: Any) -> Any:
        counted.append(tiles.leaf.einsum.name)
        return count_blocks(tiles, *others)

    monkeypatch.setattr(shared_blocks, "leaf_blocks", counting)
    monkeypatch.setattr(folded_network, "_FEWEST_EINSUMS", inf)
    few, many = (counted_of_transformer(layers, counted) for layers in (2, 6))
    assert few == many
    # The keys and values of a layer are counted as its queries are.
    assert few[0] == [*(f"{name}0" for name in "QSAYZF"), "X1", "Q1"]


def counted_of_transformer(layers: int, counted: list[str]) -> tuple[list[str], int]:
    """Return the Einsums whose accesses are counted, and the number of exchanges checked."""
    counted.clear()
    forget_exchanges()
    polylat.analyze(polylat.Spec.from_dict(transformer(layers)))
    return list(counted), exchange._is_padded.cache_info().misses
