"""Whole networks of any size with mappings, as plain data for `polylat.Spec.from_dict`.

Both tools read them: AccelForge as the YAML that `polylat.Spec.to_yaml` writes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.nodes import Node, compute, leaf, loop, memory, nested, storage

__all__ = ["NETWORKS", "dataflow", "pipelines", "resnet50", "transformer"]

ROWS = 10**6
"""Number of rows that stream through the dataflow design."""
TOKENS, HEADS, WIDTH, HIDDEN = 1024, 16, 64, 4096
"""Sizes of the transformer: tokens, heads, width of a head, width of the hidden layer."""
TILE = 128
"""Number of tokens of a tile."""

_DEPTH = 6
"""Number of stages of each of several Pipelines."""
_STAGES = ((3, 64, 56), (4, 128, 28), (6, 256, 14), (3, 512, 7))
"""Of ResNet-50: number of blocks, channels inside a block, and rows of the images, per stage."""
_EXPANSION = 4
"""Of ResNet-50: channels of a block's output per channel inside."""


def dataflow(einsums: int) -> dict[str, Any]:
    """Return a dataflow design: one Pipeline stage per matrix multiplication, weights resident.

    Rows of four values stream through the stages, each of which has a compute unit of its own.

    Parameters
    ----------
    einsums
        Number of stages.
    """
    stages = [
        nested(
            storage("SRAM", f"w{i}"),
            loop(f"n{i}"),
            loop(f"n{i + 1}"),
            leaf(f"t{i + 1}", "mac"),
        )
        for i in range(einsums)
    ]
    units = [{"name": "stage", "fanout": einsums}]
    return {
        "arch": _arch(
            memory("DRAM", "inf", 64),
            memory("SRAM", "inf", 1024 * einsums),
            compute("mac", 1, spatial=units),
        ),
        "workload": {
            "rank_sizes": {"M": ROWS} | {f"N{i}": 4 for i in range(einsums + 1)},
            "bits_per_value": {"All": 8},
            "einsums": [
                f"t{i + 1}[m, n{i + 1}] = t{i}[m, n{i}] * w{i}[n{i}, n{i + 1}]"
                for i in range(einsums)
            ],
        },
        "mapping": {
            "nodes": [
                storage("DRAM", "t0", *(f"w{i}" for i in range(einsums)), f"t{einsums}"),
                loop("m"),
                storage("SRAM", *(f"t{i}" for i in range(1, einsums))),
                {"type": "Pipeline", "nodes": stages},
            ]
        },
        "schedule": {"granularity": "tile"},
    }


def pipelines(count: int, rows: int = ROWS) -> dict[str, Any]:
    """Return equal Pipelines, one after another, at granularity ``"flow"``.

    Each is a dataflow design of six stages. It reads what the one before has written to the DRAM.

    Parameters
    ----------
    count
        Number of Pipelines.
    rows
        Number of rows that stream through each of them.
    """
    data = dataflow(_DEPTH)
    einsums, branches, held = [], [], ["t0x0"]
    # The last stage returns to the width of the first one.
    ranks = [*(f"n{i}" for i in range(_DEPTH)), "n0"]
    for block in range(count):
        names = [f"t{block}x{i}" for i in range(_DEPTH)] + [f"t{block + 1}x0"]
        stages = []
        for i in range(_DEPTH):
            weight, here, there = f"w{block}x{i}", ranks[i], ranks[i + 1]
            einsums.append(
                f"{names[i + 1]}[m, {there}] = {names[i]}[m, {here}] * {weight}[{here}, {there}]"
            )
            inner = storage("SRAM", weight), loop(here), loop(there), leaf(names[i + 1], "mac")
            stages.append(nested(*inner))
            held.append(weight)
        held.append(names[-1])
        split: Node = {"type": "Pipeline", "nodes": stages}
        branches.append(nested(loop("m"), storage("SRAM", *names[1:-1]), split))
    sizes = {"M": rows} | {f"N{i}": 4 + i % 3 for i in range(_DEPTH)}
    data["workload"] |= {"rank_sizes": sizes, "einsums": einsums}
    in_turn: Node = {"type": "Sequential", "nodes": branches}
    data["mapping"] = {"nodes": [storage("DRAM", *held), in_turn]}
    data["schedule"] = {"granularity": "flow"}
    return data


def transformer(layers: int) -> dict[str, Any]:
    """Return a transformer: nine Einsums per layer, attention and feed-forward fused in Pipelines.

    The layers follow each other in one Sequential and exchange their activations through the DRAM.

    Parameters
    ----------
    layers
        Number of layers.
    """
    einsums: list[str] = []
    branches: list[Node] = []
    tensors: dict[str, None] = {}
    for n in range(layers):
        einsums += _layer_einsums(n)
        branches += _layer_branches(n)
        held = ["X{}", "WQ{}", "WK{}", "WV{}", "Q{}", "K{}", "V{}", "Y{}", "WZ{}", "Z{}"]
        held += ["WA{}", "WB{}"]
        tensors |= dict.fromkeys(name.format(n) for name in held)
    tensors[f"X{layers}"] = None
    return {
        "arch": _array(),
        "workload": {
            "rank_sizes": {
                "M": TOKENS,
                "P": TOKENS,
                "H": HEADS,
                "E": WIDTH,
                "F": WIDTH,
                "D": HEADS * WIDTH,
                "G": HEADS * WIDTH,
                "C": HIDDEN,
            },
            "bits_per_value": {"All": 8},
            "einsums": einsums,
        },
        "mapping": {
            "nodes": [storage("DRAM", *tensors), {"type": "Sequential", "nodes": branches}]
        },
    }


def _layer_einsums(n: int) -> list[str]:
    return [
        f"Q{n}[m, h, e] = X{n}[m, d] * WQ{n}[h, e, d]",
        f"K{n}[p, h, e] = X{n}[M: p, D: d] * WK{n}[h, e, d]",
        f"V{n}[p, h, f] = X{n}[M: p, D: d] * WV{n}[h, f, d]",
        f"S{n}[m, p, h] = Q{n}[m, h, e] * K{n}[p, h, e]",
        f"A{n}[m, p, h] = S{n}[m, p, h]",
        f"Y{n}[m, h, f] = A{n}[m, p, h] * V{n}[p, h, f]",
        f"Z{n}[m, g] = Y{n}[m, h, f] * WZ{n}[h, f, g]",
        f"F{n}[m, c] = Z{n}[m, g] * WA{n}[g, c]",
        f"X{n + 1}[m, d] = F{n}[m, c] * WB{n}[c, d]",
    ]


def _layer_branches(n: int) -> list[Node]:
    projections = [
        _tiled(f"{name}{n}", f"X{n}", f"W{name}{n}", token, ("h", inner, "d"))
        for name, token, inner in (("Q", "m", "e"), ("K", "p", "e"), ("V", "p", "f"))
    ]
    scores = nested(storage("SRAM", f"Q{n}"), *map(loop, "pem"), leaf(f"S{n}", "mac"))
    softmax = nested(loop("p"), loop("m"), leaf(f"A{n}", "vector"))
    values = nested(storage("SRAM", f"Y{n}"), *map(loop, "pfm"), leaf(f"Y{n}", "mac"))
    attention = nested(
        loop("h"),
        storage("SRAM", f"K{n}", f"V{n}"),
        loop("m", TILE),
        storage("SRAM", f"S{n}", f"A{n}"),
        {"type": "Pipeline", "nodes": [scores, softmax, values]},
    )
    output = _tiled(f"Z{n}", f"Y{n}", f"WZ{n}", "m", ("h", "f", "g"))
    inner = nested(storage("SRAM", f"Z{n}", f"WA{n}"), *map(loop, "gcm"), leaf(f"F{n}", "mac"))
    outer = nested(
        storage("SRAM", f"X{n + 1}", f"WB{n}"), *map(loop, "cdm"), leaf(f"X{n + 1}", "mac")
    )
    forward = nested(
        loop("m", TILE),
        storage("SRAM", f"F{n}"),
        {"type": "Pipeline", "nodes": [inner, outer]},
    )
    return [*projections, attention, output, forward]


def _tiled(
    name: str, source: str, weights: str, tiled: str, inner: Sequence[str], rows: int = TILE
) -> Node:
    """Return an Einsum on its own: tiles of a variable, for which all of its tensors are held."""
    tiles = [loop(tiled, rows), storage("SRAM", source, weights, name)]
    return nested(*tiles, *map(loop, inner), loop(tiled), leaf(name, "mac"))


def _array() -> dict[str, Any]:
    units = [{"name": "stage", "fanout": 2}]
    return _arch(
        memory("DRAM", "inf", 4096),
        memory("SRAM", "inf", 65536),
        compute("vector", 128, enabled="len(All) == 2"),
        compute("mac", 4096, enabled="len(All) == 3", spatial=units),
    )


def _arch(*nodes: Node) -> dict[str, Any]:
    """Return an architecture; AccelForge requires energies, which do not matter here."""
    for node in nodes:
        node |= {"area": 0, "leak_power": 0}
        for action in node["actions"]:
            action["energy"] = 0
    return {"nodes": list(nodes)}


def resnet50(blocks: int) -> dict[str, Any]:
    """Return the first blocks of ResNet-50; with all sixteen, 68 convolutions and additions.

    Every Einsum is a branch of one Sequential, which tiles its rows. The borders of images are
    padding. The first convolution, pooling and the classifier are left out.

    Parameters
    ----------
    blocks
        Number of blocks, at most 16.
    """
    network = _Convolutions()
    shape = ("x", _STAGES[0][1], 56)
    made = 0
    for count, channels, rows in _STAGES:
        for block in range(count):
            if made < blocks:
                stride = 2 if block == 0 and rows != 56 else 1
                shape = network.block(f"b{made}", shape, channels, stride, shortcut=block == 0)
                made += 1
    return network.data()


class _Convolutions:
    """Collects the Einsums of a convolutional network; every tensor has ranks of its own."""

    def __init__(self) -> None:
        self.sizes: dict[str, int] = {"CX": _STAGES[0][1], "PX": 56, "QX": 56}
        self.einsums: list[str] = []
        self.branches: list[Node] = []
        self.tensors: dict[str, None] = {"x": None}

    def block(
        self, name: str, source: tuple[str, int, int], channels: int, stride: int, *, shortcut: bool
    ) -> tuple[str, int, int]:
        """Add a block of three convolutions, its shortcut, and their sum."""
        wide = channels * _EXPANSION
        inside = self.convolution(f"{name}a", source, channels, 1, 1)
        inside = self.convolution(f"{name}b", inside, channels, 3, stride)
        out = self.convolution(f"{name}c", inside, wide, 1, 1)
        other = source
        if shortcut:
            other = self.convolution(f"{name}d", source, wide, 1, stride)
        return self.addition(f"{name}e", out, other)

    def convolution(
        self, name: str, source: tuple[str, int, int], channels: int, kernel: int, stride: int
    ) -> tuple[str, int, int]:
        """Add a convolution whose output has the rows of its input divided by the stride."""
        tensor, _, rows = source
        rows //= stride
        old = tensor.upper()
        c, p, q = self._ranks(name, channels, rows)
        inputs = [f"C{old}: c{tensor}"]
        inner = [f"c{tensor}"]
        for rank, variable, window in (("P", p, f"r{name}"), ("Q", q, f"s{name}")):
            index = variable if stride == 1 else f"{stride}*{variable}"
            if kernel > 1:
                index += f" + {window}"
                self.sizes[window.upper()] = kernel
                inner.append(window)
            inputs.append(f"{rank}{old}: {index}")
        filters = ", ".join([c, *inner])
        self.einsums.append(
            f"{name}[{c}, {p}, {q}] = {tensor}[{', '.join(inputs)}] * w{name}[{filters}]"
        )
        self.tensors |= dict.fromkeys([f"w{name}", name])
        self.branches.append(_tiled(name, tensor, f"w{name}", p, (*inner, c, q), 7))
        return name, channels, rows

    def addition(
        self, name: str, one: tuple[str, int, int], other: tuple[str, int, int]
    ) -> tuple[str, int, int]:
        """Add the sum of two tensors."""
        c, p, q = self._ranks(name, *one[1:])
        sources = [
            f"{tensor}[C{old}: {c}, P{old}: {p}, Q{old}: {q}]"
            for tensor, old in ((one[0], one[0].upper()), (other[0], other[0].upper()))
        ]
        self.einsums.append(f"{name}[{c}, {p}, {q}] = {' * '.join(sources)}")
        self.tensors[name] = None
        self.branches.append(_tiled(name, one[0], other[0], p, (c, q), 7))
        return name, *one[1:]

    def _ranks(self, name: str, channels: int, rows: int) -> tuple[str, str, str]:
        variables = f"c{name}", f"p{name}", f"q{name}"
        sizes = zip(variables, (channels, rows, rows), strict=True)
        self.sizes |= {variable.upper(): size for variable, size in sizes}
        return variables

    def data(self) -> dict[str, Any]:
        """Return the input."""
        return {
            "arch": _array(),
            "workload": {
                "rank_sizes": self.sizes,
                "bits_per_value": {"All": 8},
                "einsums": self.einsums,
            },
            "mapping": {
                "nodes": [
                    storage("DRAM", *self.tensors),
                    {"type": "Sequential", "nodes": self.branches},
                ]
            },
        }


NETWORKS: dict[str, Callable[[int], dict[str, Any]]] = {
    "transformer": transformer,
    "resnet50": resnet50,
    "dataflow": dataflow,
    "pipelines": pipelines,
}
"""Network → what makes it, from the number of its layers, blocks or stages."""
