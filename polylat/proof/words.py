"""A schedule in the user's words."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from polylat.exact import number
from polylat.model import Model
from polylat.proof.families import Families
from polylat.tasks import PortKey

__all__ = ["Broken", "Words", "time_at"]


class Broken(Exception):
    """A rule is broken; says how in the user's words."""


def time_at(families: Families, index: tuple[int, ...]) -> int | None:
    """The time of an event in a tile iteration, None if it does not happen there."""
    x = np.array(index, dtype=np.int64)[:, None] - families.low
    there = ((x >= 0) & (x % families.stride == 0) & (x // families.stride < families.count)).all(
        axis=0
    )
    at = np.flatnonzero(there)
    if not len(at):
        return None
    f = int(at[0])
    steps = (x[:, f] // families.stride[:, f]).tolist()
    rates = families.rate[:, f].tolist()
    return int(families.start[f] + sum(a * b for a, b in zip(steps, rates, strict=True)))


class Words:
    """Names of what a schedule is about."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.leaves = model.lowered.leaves

    def einsum(self, leaf: int) -> str:
        """An Einsum's name."""
        return self.leaves[leaf].einsum.name

    def tile(self, leaf: int, index: tuple[int, ...]) -> str:
        """A tile iteration."""
        loops = self.leaves[leaf].temporal
        said = ", ".join(f"{loops[k].variable}: {x}" for k, x in enumerate(index))
        return f"tile iteration ({said}) of Einsum {self.einsum(leaf)!r}"

    def time(self, steps: int) -> str:
        """A time, in the architecture's unit."""
        return str(number(Fraction(steps, self.model.costs.scale)))

    def block(self, leaf: int, block: int) -> str:
        """A block of a leaf."""
        found = self.model.layout.blocks[leaf][block]
        if found.tensor is None:
            return "the accesses"
        component = self.leaves[leaf].storages(found.tensor)[found.level].component
        if found.kind == "fill":
            return f"the fill of {found.tensor!r} in {component!r}"
        return f"the write-back of {found.tensor!r} from {component!r}"

    def port(self, port: int) -> str:
        """A port."""
        key: PortKey = self.model.costs.ports[port]
        for path in self.model.lowered.spec.arch.paths.values():
            for component in path:
                if component.name == key.component and len(component.ports) > 1:
                    return f"port {component.ports[key.index].name!r} of {key.component!r}"
        return f"the port of {key.component!r}"
