"""Name the parts of a schedule in the user's words."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from polylat.numbers import reduce_number
from polylat.proof.durations import Expectation
from polylat.proof.units import PortName
from polylat.schedule.pieces import Pieces

__all__ = ["Wording", "time_at"]


def time_at(pieces: Pieces, index: tuple[int, ...]) -> int | None:
    """Return the start time of an event in one tile iteration.

    Parameters
    ----------
    pieces
        The starts of the event.
    index
        The indices of the tile iteration.

    Returns
    -------
    int or None
        The start time in steps of 1/scale; None if the event does not occur there.
    """
    x = np.array(index, dtype=np.int64)[:, None] - pieces.low
    there = ((x >= 0) & (x % pieces.stride == 0) & (x // pieces.stride < pieces.count)).all(axis=0)
    at = np.flatnonzero(there)
    if not len(at):
        return None
    f = int(at[0])
    steps = (x[:, f] // pieces.stride[:, f]).tolist()
    rates = pieces.rate[:, f].tolist()
    return int(pieces.start[f] + sum(a * b for a, b in zip(steps, rates, strict=True)))


class Wording:
    """Names of Einsums, tile iterations, times, blocks and ports, for messages.

    Parameters
    ----------
    expected
        The mapping and its blocks.
    ports
        The ports of the schedule, by number.
    """

    def __init__(self, expected: Expectation, ports: Sequence[PortName]) -> None:
        self.expected = expected
        self.ports = ports
        self.leaves = expected.problem.leaves

    def einsum(self, leaf: int) -> str:
        """Return an Einsum's name.

        Parameters
        ----------
        leaf
            The number of its leaf.

        Returns
        -------
        str
            The name.
        """
        return self.leaves[leaf].einsum.name

    def tile(self, leaf: int, index: tuple[int, ...]) -> str:
        """Describe a tile iteration.

        Parameters
        ----------
        leaf
            The number of its leaf.
        index
            Its indices.

        Returns
        -------
        str
            Such as ``tile iteration (m: 7) of Einsum 'e2'``.
        """
        loops = self.leaves[leaf].temporal
        indices = ", ".join(f"{loops[k].variable}: {x}" for k, x in enumerate(index))
        return f"tile iteration ({indices}) of Einsum {self.einsum(leaf)!r}"

    def time(self, steps: int) -> str:
        """Return a time in the architecture's unit of time.

        Parameters
        ----------
        steps
            The time in steps of 1/scale.

        Returns
        -------
        str
            An integer, or a fraction such as ``7/2``.
        """
        return str(reduce_number(Fraction(steps, self.expected.scale)))

    def block(self, leaf: int, block: int) -> str:
        """Describe a block of a leaf.

        Parameters
        ----------
        leaf, block
            The number of the leaf, and the index of the block among its blocks.

        Returns
        -------
        str
            Such as ``the fill of 'W' in 'SRAM'``; ``the accesses`` for the foreground.
        """
        found = self.expected.blocks[leaf][block]
        if found.tensor is None:
            return "the accesses"
        component = self.leaves[leaf].storages(found.tensor)[found.level].component
        if found.kind == "fill":
            output = found.tensor in self.leaves[leaf].einsum.outputs
            return f"the {'read-back' if output else 'fill'} of {found.tensor!r} in {component!r}"
        return f"the write-back of {found.tensor!r} from {component!r}"

    def port(self, port: int) -> str:
        """Describe a port.

        Parameters
        ----------
        port
            The number of the port.

        Returns
        -------
        str
            Such as ``port 'read' of 'SRAM'``; ``the port of 'SRAM'`` where there is only one. Where
            leaves divide its units, ``'SRAM[e1+e2]'``.
        """
        name, index, users = self.ports[port]
        shown = f"{name}[{self.expected.units.label(users)}]" if users else name
        for path in self.expected.problem.spec.arch.paths.values():
            for component in path:
                if component.name == name and len(component.ports) > 1:
                    return f"port {component.ports[index].name!r} of {shown!r}"
        return f"the port of {shown!r}"
