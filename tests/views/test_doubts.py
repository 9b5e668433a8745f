"""What makes a latency void or doubtful stands beside it."""

from __future__ import annotations

import polylat
from builders import compute, einsum, leaf, loop, memory, spec, storage
from polylat import Report
from polylat.views.sentences import latency_sentences


def product(size: int | str, *holders: tuple[str, ...]) -> Report:
    """A matrix-vector product, and a memory of some bits."""
    data = spec(
        {"m": 3, "k": 4},
        [einsum("e0", ("z", "m"), ("a", "m k"), ("b", "k"))],
        [memory("DRAM", size="inf"), memory("SRAM", size=size), compute("mac")],
        [*(storage(*holder) for holder in holders), loop("m"), loop("k"), leaf("e0")],
    )
    return polylat.analyze(polylat.Spec.from_dict(data))


def test_a_memory_that_is_too_small() -> None:
    everything = ("DRAM", "a", "b", "z"), ("SRAM", "a", "b", "z")
    bits = 12 + 4 + 3
    said = latency_sentences(product(bits - 1, *everything))
    assert said[1] == (
        f"Does not fit: SRAM holds up to {bits} of {bits - 1} bits (105.6%), where each tile counts"
        " with its full size."
    )
    assert not any("fit: " in line for line in latency_sentences(product(bits, *everything)))


def test_data_that_nothing_brings() -> None:
    said = latency_sentences(product("inf", ("DRAM", "z"), ("SRAM", "a", "b")))
    assert said[1] == (
        "SRAM holds a, b from the start: nothing is charged for bringing them from DRAM."
    )
    said = latency_sentences(product("inf", ("DRAM", "a", "z"), ("SRAM", "b")))
    assert said[1] == "SRAM holds b from the start: nothing is charged for bringing it from DRAM."
