"""What is fetched back, and the mapping that keeps it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given

import polylat
from builders import EXAMPLES
from polylat import MappingError, OptionError, ScheduleError, Spec, UnsupportedError
from polylat.spec.mapping import Storage
from reports import analyzed
from strategies import Data, cascades


def example(name: str) -> Spec:
    return polylat.load(*(EXAMPLES / f"{part}.yaml" for part in ("arch", "workload", name)))


def test_e3_fetches_o2_back() -> None:
    (found,) = polylat.analyze(example("tap_refetched")).refetches
    assert (found.einsum, found.producer, found.tensor) == ("e3", "e2", "o2")
    assert (found.source, found.into, found.values, found.split) == ("DRAM", "SRAM", 64, "e1+e2|e3")
    assert found.hoisted == example("tap_resident")
    assert found.found is not None and found.found.latency == 32256
    assert str(found) == (
        "e3 fetches o2 back from DRAM: 64 values. If SRAM kept it above the split e1+e2|e3"
        " (spec.hoist('o2', 'SRAM')), the latency would be 32,256, and the energy 50,176"
        " instead of 51,200."
    )
    assert polylat.analyze(example("tap_resident")).refetches == ()


@pytest.mark.parametrize(
    ("tensor", "component", "message"),
    [
        ("w1", "SRAM", "no split between the Einsums that access 'w1'"),
        ("o4", "SRAM", "no split between the Einsums that access 'o4'"),
        ("o2", "DRAM", "no branch of the split .* keeps 'o2' in 'DRAM'"),
        ("o2", "mac", "no branch of the split .* keeps 'o2' in 'mac'"),
    ],
)
def test_what_cannot_be_hoisted(tensor: str, component: str, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        example("tap_refetched").hoist(tensor, component)


@given(cascades())
def test_random_cascades(case: tuple[Data, Data]) -> None:
    plain, options = case
    report = analyzed(plain, **options)
    spec = Spec.from_dict(plain)
    for fetch in report.refetches:
        key = fetch.einsum, fetch.source, fetch.tensor, "read"
        component = spec.arch.component(fetch.einsum, fetch.source)
        each = component.actions_per_value["read", fetch.tensor]
        assert fetch.values * each == report.accesses.get(key, 0)
        if fetch.hoisted is None:
            continue
        kept = [
            node
            for node in nodes(fetch.hoisted.mapping)
            if isinstance(node, Storage)
            and node.component == fetch.into
            and fetch.tensor in node.tensors
        ]
        assert len(kept) == 1
        try:
            again = polylat.analyze(fetch.hoisted, **options)
        except (MappingError, ScheduleError, UnsupportedError, OptionError):
            assert fetch.found is not None and fetch.found.latency is None
            continue
        assert fetch.found is not None and fetch.found.latency == again.latency
        left = {(f.einsum, f.tensor, f.into) for f in again.refetches}
        assert (fetch.einsum, fetch.tensor, fetch.into) not in left


def nodes(branch: Any) -> list[Any]:
    """All nodes of a mapping."""
    below = getattr(branch.end, "branches", ())
    return [*branch.nodes, *(node for inner in below for node in nodes(inner))]
