"""Cascades with recurrences whose figures can be computed by hand, as plain data.

An Einsum reads what it itself, or a later one, computes in the step before. Memories take no time
unless said; every value is one bit wide.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from builders import compute, leaf, loop, memory, nested, spec, storage

Data = dict[str, Any]


def access(tensor: str, *indices: str | int, output: bool = False) -> Data:
    """A tensor access by one expression per rank, as in ``access("h", "t + 1", "b")``."""
    ranks = {f"{tensor.upper()}{rank}": index for rank, index in enumerate(indices)}
    found: Data = {"name": tensor, "projection": ranks}
    return {**found, "output": True} if output else found


def written(tensor: str, *indices: str | int) -> Data:
    """The output of an Einsum."""
    return access(tensor, *indices, output=True)


def einsum(name: str, *accesses: Data) -> Data:
    """An Einsum of these accesses, which may name a tensor several times."""
    return {"name": name, "tensor_accesses": list(accesses)}


def free(name: str) -> Data:
    """A Memory that takes no time."""
    return memory(name, "inf", "inf", size="inf")


def unit(name: str, time: Fraction | int, latency: int = 0) -> Data:
    """A Compute whose operations take this time, and pass a fixed latency later."""
    found = compute(name, str(1 / Fraction(time)))
    found["actions"][0]["latency"] = latency
    return found


def loops_over(variable: str, holder: str, nodes: Sequence[Data]) -> list[Data]:
    """A loop of single steps, with nodes above it, below it, or in tiles of two ("half")."""
    if holder == "above":
        return [*nodes, loop(variable)]
    if holder == "half":
        return [loop(variable, 2), *nodes, loop(variable)]
    return [loop(variable), *nodes]


# --------------------------------------------------------------------------------------------
# One Einsum that reads its own result
# --------------------------------------------------------------------------------------------


def scan(
    steps: int,
    time: int,
    latency: int,
    *,
    registers: str = "h0",
    batch: int = 1,
    outer: str = "t",
) -> Data:
    """``h[t+1, b] = f(h[t, b], x[t, b])`` on one unit.

    ``registers``: RF is the backing storage of h above all loops (``h0``), or stands inside SRAM,
    which takes 1 per read and per write, ``above`` the loop over t, in tiles of two (``half``) or
    ``below`` it; or SRAM is the only holder, and stands below the loop (``lost``). ``outer`` is
    the outer one of the loops over t and b.
    """
    if registers == "h0":
        loops = [loop("t"), loop("b")] if outer == "t" else [loop("b"), loop("t")]
        nodes = [storage("RF", "h"), *loops]
    elif registers == "lost":
        nodes = [loop("t"), storage("SRAM", "h"), loop("b")]
    else:
        nodes = [
            storage("SRAM", "h"),
            *loops_over("t", registers, [storage("RF", "h")]),
            loop("b"),
        ]
    return spec(
        {"t": steps, "b": batch},
        [einsum("e", access("h", "t", "b"), access("x", "t", "b"), written("h", "t + 1", "b"))],
        [
            free("DRAM"),
            memory("SRAM", 1, 1, size="inf"),
            free("RF"),
            unit("mac", time, latency),
        ],
        [storage("DRAM", "x"), *nodes, leaf("e")],
    )


def scan_with_loads(steps: int, time: int, latency: int, load: int) -> Data:
    """The scan with its state in registers; each step loads x out of SRAM into registers."""
    data = scan(steps, time, latency)
    data["arch"]["nodes"][1] = memory("SRAM", str(Fraction(1, load)), "inf", size="inf")
    data["mapping"]["nodes"] = [
        storage("SRAM", "x"),
        storage("RF", "h"),
        loop("t"),
        storage("RF", "x"),
        leaf("e"),
    ]
    data["workload"]["iteration_space_shape"].pop("b")
    data["workload"]["einsums"] = [
        einsum("e", access("h", "t"), access("x", "t"), written("h", "t + 1"))
    ]
    return data


# --------------------------------------------------------------------------------------------
# A ring of Einsums
# --------------------------------------------------------------------------------------------


def ring(
    steps: int, batch: int, stages: Sequence[str], units: Sequence[Data], kind: str = "Pipeline"
) -> Data:
    """Stages e1, e2, … on these units; the last one computes the state that the first one reads.

    ``h0`` and all other tensors are held in registers above the loops over t and b.
    """
    tensors = [*(f"g{number}" for number in range(1, len(stages))), "h"]
    einsums = []
    for number, tensor in enumerate(tensors):
        source = access("h", "t", "b") if number == 0 else access(tensors[number - 1], "t", "b")
        target = written(tensor, "t + 1" if tensor == "h" else "t", "b")
        einsums.append(einsum(f"e{number + 1}", source, target))
    branches = [nested(leaf(f"e{n}", name)) for n, name in enumerate(stages, 1)]
    return spec(
        {"t": steps, "b": batch},
        einsums,
        [free("RF"), *units],
        [storage("RF", *tensors), loop("t"), loop("b"), {"type": kind, "nodes": branches}],
    )


def two_stages(steps: int, batch: int, first: int, second: int, kind: str = "Pipeline") -> Data:
    """``g[t] = e1(h[t])``, ``h[t+1] = e2(g[t])``, on units of their own."""
    return ring(steps, batch, ["m1", "m2"], [unit("m1", first), unit("m2", second)], kind)


def three_stages(steps: int, batch: int) -> Data:
    """A ring of three: e1 and e2 take 2 on one unit, e3 3 on another."""
    return ring(steps, batch, ["m1", "m1", "m2"], [unit("m1", 2), unit("m2", 3)])


def two_stages_in_dram(steps: int, holder: str) -> Data:
    """Two stages of 2 and 3; the state is in SRAM over DRAM, which reads in 5 and writes in 7.

    SRAM stands ``above`` the loop over t, in tiles of two (``half``), or ``below`` it.
    """
    data = two_stages(steps, 1, 2, 3)
    data["arch"]["nodes"][:1] = [memory("DRAM", "1/5", "1/7", size="inf"), free("SRAM")]
    split = data["mapping"]["nodes"][-1]
    data["mapping"]["nodes"] = [
        storage("DRAM", "h"),
        storage("SRAM", "g1"),
        *loops_over("t", holder, [storage("SRAM", "h")]),
        loop("b"),
        split,
    ]
    return data


# --------------------------------------------------------------------------------------------
# Attention in blocks of keys
# --------------------------------------------------------------------------------------------


def branch(name: str, component: str, *variables: str) -> Data:
    """A stage with a loop over each of these variables."""
    return nested(*(loop(variable) for variable in variables), leaf(name, component))


def attention_units(latency: int) -> list[Data]:
    """Registers, a matrix unit, and a vector unit with a fixed latency."""
    return [free("RF"), unit("matrix", 1), unit("vector", 1, latency)]


def flash_attention(queries: int, latency: int, kind: str = "Pipeline", blocks: int = 4) -> Data:
    """FlashAttention's loop over blocks m of two keys z, with a running maximum, sum and result."""
    max_before, max_after = access("rm", "m", "p"), access("rm", "m + 1", "p")
    weights = access("P", "m", "z", "p")
    return spec(
        {"m": blocks, "z": 2, "p": queries, "e": 2, "f": 2},
        [
            einsum(
                "QK", access("Q", "p", "e"), access("K", "m", "z", "e"), written("S", "m", "z", "p")
            ),
            einsum("RM", max_before, access("S", "m", "z", "p"), written("rm", "m + 1", "p")),
            einsum("EXP", access("S", "m", "z", "p"), max_after, written("P", "m", "z", "p")),
            einsum(
                "RD",
                access("rd", "m", "p"),
                max_before,
                max_after,
                weights,
                written("rd", "m + 1", "p"),
            ),
            einsum(
                "AV",
                access("av", "m", "p", "f"),
                max_before,
                max_after,
                weights,
                access("V", "m", "z", "f"),
                written("av", "m + 1", "p", "f"),
            ),
        ],
        attention_units(latency),
        [
            storage("RF", "Q", "K", "S", "rm", "P", "rd", "V", "av"),
            loop("m"),
            {
                "type": kind,
                "nodes": [
                    branch("QK", "matrix", "p", "z", "e"),
                    branch("RM", "vector", "p", "z"),
                    branch("EXP", "vector", "p", "z"),
                    branch("RD", "vector", "p", "z"),
                    branch("AV", "matrix", "p", "f", "z"),
                ],
            },
        ],
    )


FUSEMAX_TENSORS = (
    *("Q", "K", "V", "S", "lm", "rm", "prm", "sln", "sld", "slnv"),
    *("spd", "rd", "spnv", "rnv", "av"),
)


def fusemax(latency: int, kind: str = "Pipeline", blocks: int = 4) -> Data:
    """FuseMax's one-pass attention: twelve Einsums, the last one behind the loop over blocks.

    SPD reads RD, and SPNV reads RNV, of the block before: recurrences across Einsums.
    """
    block, value = ("m", "p"), ("m", "p", "f")
    return spec(
        {"m": blocks, "z": 2, "p": 1, "e": 2, "f": 2},
        [
            einsum(
                "BQK",
                access("Q", "p", "e"),
                access("K", "m", "z", "e"),
                written("S", "m", "z", "p"),
            ),
            einsum("LM", access("S", "m", "z", "p"), written("lm", *block)),
            einsum("RM", access("rm", *block), access("lm", *block), written("rm", "m + 1", "p")),
            einsum(
                "SLN",
                access("S", "m", "z", "p"),
                access("rm", "m + 1", "p"),
                written("sln", "m", "z", "p"),
            ),
            einsum("SLD", access("sln", "m", "z", "p"), written("sld", *block)),
            einsum(
                "SLNV",
                access("sln", "m", "z", "p"),
                access("V", "m", "z", "f"),
                written("slnv", *value),
            ),
            einsum("PRM", access("rm", *block), access("rm", "m + 1", "p"), written("prm", *block)),
            einsum("SPD", access("rd", *block), access("prm", *block), written("spd", *block)),
            einsum("RD", access("sld", *block), access("spd", *block), written("rd", "m + 1", "p")),
            einsum("SPNV", access("rnv", *value), access("prm", *block), written("spnv", *value)),
            einsum(
                "RNV",
                access("slnv", *value),
                access("spnv", *value),
                written("rnv", "m + 1", "p", "f"),
            ),
            einsum(
                "AV",
                access("rnv", blocks, "p", "f"),
                access("rd", blocks, "p"),
                written("av", "p", "f"),
            ),
        ],
        attention_units(latency),
        [
            storage("RF", *FUSEMAX_TENSORS),
            {
                "type": "Sequential",
                "nodes": [
                    nested(
                        loop("m"),
                        {
                            "type": kind,
                            "nodes": [
                                branch("BQK", "matrix", "p", "z", "e"),
                                branch("LM", "vector", "p", "z"),
                                branch("RM", "vector", "p"),
                                branch("SLN", "vector", "p", "z"),
                                branch("SLD", "vector", "p", "z"),
                                branch("SLNV", "matrix", "p", "f", "z"),
                                branch("PRM", "vector", "p"),
                                branch("SPD", "vector", "p"),
                                branch("RD", "vector", "p"),
                                branch("SPNV", "vector", "p", "f"),
                                branch("RNV", "vector", "p", "f"),
                            ],
                        },
                    ),
                    branch("AV", "vector", "p", "f"),
                ],
            },
        ],
    )
