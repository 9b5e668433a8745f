"""Sums of outputs: which mappings read a partial sum, or lose one."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import oracle
import polylat
from builders import compute, einsum, leaf, loop, memory, nested, spec, storage
from polylat import MappingError, Spec
from polylat.lowering.dependences import sums
from polylat.lowering.dependences.exchange import Exchange
from polylat.lowering.lowered import LoweredMapping, lower
from polylat.lowering.paths import Leaf
from polylat.proof import sums as proof_sums

Data = dict[str, Any]


def reduction(size: int = 4, tile: int = 2, held: str = "", read_at: str = "q") -> Data:
    """Two Einsums: b[m] sums a[m, k], and c[m, q] reads it; they share a loop over k and q.

    b is in SRAM above the loop. If ``held`` is ``"lost"``, it is below the loop instead; if
    ``"partial"``, b is also in RF, below the loop. Another name of q is ``read_at``.
    """
    shared = loop("k", tile)
    if read_at != "k":
        shared["rank_variable"] = {"e1": "k", "e2": read_at}
    return spec(
        {"m": 3, "k": size, read_at: size},
        [
            einsum("e1", ("b", "m"), ("a", "m k")),
            einsum("e2", ("c", f"m {read_at}"), ("b", "m"), ("d", read_at)),
        ],
        [
            memory("DRAM", size="inf"),
            memory("SRAM", size="inf"),
            memory("RF", size="inf"),
            compute("mac"),
        ],
        [
            storage("DRAM", "a", "c", "d"),
            *([] if held == "lost" else [storage("SRAM", "b")]),
            shared,
            *([storage("SRAM", "b")] if held == "lost" else []),
            *([storage("RF", "b")] if held == "partial" else []),
            {
                "type": "Pipeline",
                "nodes": [
                    nested(loop("m"), loop("k"), leaf("e1")),
                    nested(loop("m"), loop(read_at), leaf("e2")),
                ],
            },
        ],
    )


def in_units() -> Data:
    """One Einsum: two units sum over k into registers that nothing backs."""
    unit = memory("RF", size="inf", spatial=[{"name": "X", "fanout": 2}])
    spatial = {"type": "Spatial", "rank_variable": "k", "tile_shape": 2, "component": "RF"}
    return spec(
        {"m": 2, "k": 4},
        [einsum("e1", ("b", "m"), ("a", "m k"))],
        [memory("DRAM", size="inf"), unit, compute("mac")],
        [
            storage("DRAM", "a"),
            {**spatial, "name": "X"},
            storage("RF", "b"),
            *(loop("m"), loop("k"), leaf("e1")),
        ],
    )


def test_a_final_sum_is_read() -> None:
    """Above the loop, SRAM keeps b: e2 reads it once the last tile of k has updated it."""
    report = polylat.analyze(Spec.from_dict(reduction()))
    assert report.latency == oracle.analyze(reduction())["latency"]
    report.verify()


def test_a_partial_sum_is_read() -> None:
    data = reduction(held="partial")
    with pytest.raises(oracle.Illegal, match=r"reads the partial sum b\(0,\)"):
        oracle.analyze(data)
    with pytest.raises(MappingError) as error:
        polylat.analyze(Spec.from_dict(data))
    text = str(error.value)
    assert "'e2' reads a partial sum of tensor 'b' in 'RF': M=0 (tile q: 0)" in text
    assert "which 'e1' updates again (tile k: 1)" in text
    assert text.startswith("mapping.nodes[4].nodes[1].nodes[2]: ")
    assert "Fix: put the loop over 'k' into the branch of 'e1'" in text


def test_a_sum_is_lost() -> None:
    data = reduction(held="lost")
    with pytest.raises(oracle.Illegal, match=r"the sum b\(0,\) is lost"):
        oracle.analyze(data)
    with pytest.raises(MappingError) as error:
        polylat.analyze(Spec.from_dict(data))
    text = str(error.value)
    assert "'e1' updates an element of its output 'b' in two tiles of 'SRAM'" in text
    assert "M=0 (tiles k: 0, and k: 1)" in text
    assert text.startswith("mapping.nodes[2]: ")
    assert "Fix: put the Storage of 'b' in 'SRAM' above the loop over 'k'" in text


def test_a_sum_over_units_is_lost() -> None:
    with pytest.raises(oracle.Illegal, match="lost"):
        oracle.analyze(in_units())
    with pytest.raises(MappingError) as error:
        polylat.analyze(Spec.from_dict(in_units()))
    text = str(error.value)
    assert "M=0 (tiles k: 0, and k: 1)" in text
    assert "Fix: put a Storage of 'b' in an outer component above the Spatial loop over 'k'" in text


@pytest.mark.parametrize("held", ["partial", "lost"])
def test_the_roofline_does_not_ask(held: str) -> None:
    """AccelForge evaluates such mappings."""
    assert polylat.roofline(Spec.from_dict(reduction(held=held))).latency > 0


@pytest.mark.parametrize("held", ["partial", "lost"])
def test_large_sizes(held: str) -> None:
    """The check does not enumerate tiles."""
    with pytest.raises(MappingError, match=r"k: 1\)"):
        polylat.analyze(Spec.from_dict(reduction(10**9, 10, held)))


@pytest.mark.parametrize("held", ["partial", "lost"])
def test_exploration_skips_such_variants(held: str) -> None:
    """With all of k in one tile the mapping is legal; with two it is not."""
    data = reduction(held=held, read_at="k")
    found = polylat.explore(Spec.from_dict(data), tiles={"k#1": [2, 4]}, background=False)
    sums_wrong = "partial sum" if held == "partial" else "is lost"
    for result in found.results:
        if dict(result.choice.tiles)["k#1"] == 2:
            assert result.latency is None and sums_wrong in result.error
    assert found.illegal == 2
    assert found.best is not None and dict(found.best.choice.tiles) == {"k#1": 4}


# --------------------------------------------------------------------------------------------
# Random mappings
# --------------------------------------------------------------------------------------------

SIZE = 4
ONE_RANK = (["{0}"], ["{0} + {1}"], ["2*{0} + {1}"], ["{0} - {1}"])
TWO_RANKS = (["{0}", "{1}"], ["{0} + {1}", "{1}"])


def exchanges(count: int) -> Iterator[Data]:
    """Two Einsums that exchange t; its holders and the shared loops are drawn at random."""
    draw = random.Random(7)
    for _ in range(count):
        variables = [draw.sample("xy", 2), draw.sample("uv", 2)]
        forms = draw.choice((ONE_RANK, ONE_RANK, TWO_RANKS))
        written, read = ([f.format(*names) for f in draw.choice(forms)] for names in variables)
        extents = dict.fromkeys("xyuv", SIZE)
        nodes: list[Data] = []
        for _ in range(draw.choice((1, 2, 2, 3))):
            one, two = draw.choice("xy"), draw.choice("uv")
            most = min(extents[one], extents[two])
            shape = draw.randint(1, max(1, most - 1))
            extents[one] = extents[two] = shape
            nodes.append({**loop(one, shape), "rank_variable": {"e1": one, "e2": two}})
        places = sorted(draw.randint(0, len(nodes)) for _ in range(draw.choice((1, 2))))
        for component, place in reversed(list(zip(("SRAM", "RF"), places, strict=False))):
            nodes.insert(place, storage(component, "t"))
        branches = []
        for name, mine in zip(("e1", "e2"), variables, strict=True):
            inner = [loop(v) for v in draw.sample(mine, 2)]
            branches.append(nested(*inner, leaf(name)))
        data = spec(
            extents | dict.fromkeys("xyuv", SIZE),
            [
                einsum("e1", ("t", ""), ("a", "x y")),
                einsum("e2", ("z", "u v"), ("t", ""), ("b", "u v")),
            ],
            [
                memory("DRAM", size="inf"),
                memory("SRAM", size="inf"),
                memory("RF", size="inf"),
                compute("mac"),
            ],
            [
                storage("DRAM", "a", "b", "z"),
                *nodes,
                {"type": "Pipeline", "nodes": branches},
            ],
        )
        for access, indices in (
            (data["workload"]["einsums"][0]["tensor_accesses"][1], written),
            (data["workload"]["einsums"][1]["tensor_accesses"][0], read),
        ):
            access["projection"] = {f"T{r}": index for r, index in enumerate(indices)}
        yield data


def by_oracle(data: Data) -> str:
    """What the oracle says about sums, whatever else is wrong."""
    try:
        lowered = oracle.lower(oracle.read_problem(data), oracle.read_options("tile"))
    except oracle.Illegal as error:
        return "lost" if "is lost" in str(error) else ""
    arrivals = oracle.Arrivals(lowered)
    try:
        for run in lowered.runs:
            for (tensor, level), transfer in run.transfers.items():
                shared = run.arrival[tensor]
                if shared is None or level != shared + 1 or tensor not in lowered.producers:
                    continue
                node = run.leaf.storages(tensor)[shared]
                for iteration in transfer.down:
                    tile = iteration[: run.leaf.depth(node)], ()
                    for element in transfer.down[iteration]:
                        arrivals.check_final(run.leaf, tensor, node, tile, element)
    except oracle.Illegal:
        return "partial"
    return ""


def refused(
    low: LoweredMapping,
    kept: Callable[..., None],
    final: Callable[..., None],
    pair: Callable[..., tuple[Any, ...]],
) -> str:
    """What two checks say about sums."""
    try:
        for some in low.leaves:
            for tensor in some.einsum.outputs:
                kept(some, tensor)
    except MappingError:
        return "lost"
    try:
        for (number, tensor), source in low.found.items():
            if source.leaf is not None and source.produces:
                final(*pair(low.leaves[number], low.leaves[source.leaf], tensor, source.level))
    except MappingError:
        return "partial"
    return ""


def exchange(reader: Leaf, producer: Leaf, tensor: str, level: int) -> tuple[Exchange]:
    """The engine's exchange of a reader with its producer."""
    read, written = reader.einsum.access(tensor), producer.einsum.written(tensor)
    pair = reader, producer, tensor, level, producer
    return (Exchange(*pair, read.projection, written),)


@pytest.mark.slow
def test_random_mappings() -> None:
    """Lowering, proof and oracle agree."""
    outcomes: Counter[str] = Counter()
    for data in exchanges(120):
        low = lower(Spec.from_dict(data), "tile")
        expected = by_oracle(data)
        found = refused(low, sums.check_kept, sums.check_final, exchange)
        proven = refused(low, proof_sums.check_kept, proof_sums.check_final, lambda *of: of)
        assert found == expected == proven, data
        outcomes[expected] += 1
    assert min(outcomes[what] for what in ("lost", "partial", "")) >= 12
