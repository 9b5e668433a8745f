"""A chain of accesses without gap: each waits for the one before it, for the reason stated."""

from __future__ import annotations

from collections.abc import Sequence

import islpy as isl
import numpy as np

from polylat.lowering.scan import Ints, PieceWise
from polylat.lowering.tiles import IrregularError
from polylat.proof.checks import Checks
from polylat.proof.families import Families
from polylat.proof.pointwise import Points
from polylat.proof.waits import Wait, earlier
from polylat.proof.words import Broken, time_at
from polylat.report import Step
from polylat.schedule.graph import Times

__all__ = ["Witness"]

Index = tuple[int, ...]
Place = tuple[int, int, Index]
"""(leaf, block, tile iteration)"""

_MOST_STEPS_BACK = 100_000
_TABLE = 2_000_000


class Witness:
    """Checks chains of accesses against a schedule and the rules.

    Parameters
    ----------
    checks
        The schedule and the rules.
    """

    def __init__(self, checks: Checks) -> None:
        self.checks = checks
        self.model = checks.model
        self.waits: dict[tuple[int, int], list[Wait]] = {}
        for wait in checks.waits_of_rules:
            self.waits.setdefault((wait.leaf, wait.block), []).append(wait)
        self._values: dict[tuple[int, Index], Index | None] = {}
        self._before: dict[int, isl.PwMultiAff] = {}
        self._leaf = {leaf.einsum.name: leaf.number for leaf in checks.rules.leaves}

    def check(self, steps: Sequence[Step], latency: int | None = None) -> int:
        """Check consecutive steps; with a latency, also that they are all from 0 to there.

        Returns
        -------
        int
            The number of steps.

        Raises
        ------
        Broken
            A step is not where the schedule has it, or did not wait as it says.
        """
        some = list(steps)
        scale = self.checks.schedule.scale
        times = [(int(s.start * scale), int(s.finish * scale)) for s in some]
        if latency is not None:
            ends = (times[0][0], times[-1][1]) if times else (0, 0)
            if ends != (0, latency):
                raise Broken(f"the critical path goes from {some[0].start} to {some[-1].finish}")
        for k in range(1, len(some)):
            if times[k][0] != times[k - 1][1]:
                raise Broken(f"there is a gap in the critical path at {some[k].start}")
        found = self._found(some, times)
        self._evaluate([place for place, _ in found])
        for k, step in enumerate(some):
            if step.waited_for is None and times[k][0] != 0:
                raise Broken(f"{self._said(step)} waits for nothing, and starts at {step.start}")
            if k and not self._waited(step, times[k][0], found[k], found[k - 1]):
                raise Broken(
                    f"{self._said(step)} does not wait for {self._said(some[k - 1])}"
                    f" ({step.waited_for})"
                )
        return len(some)

    def _said(self, step: Step) -> str:
        index = tuple(x for _, x in step.tile)
        tile = self.checks.words.tile(self._leaf[step.einsum], index)
        return f"{step.component} {step.tensor or ''} {step.action} of {tile}".replace("  ", " ")

    # Where the steps are in the schedule

    def _found(
        self, steps: Sequence[Step], times: Sequence[tuple[int, int]]
    ) -> list[tuple[Place, int]]:
        """Per step its block and tile iteration, and its port."""
        found: list[tuple[Place, int] | None] = [None] * len(steps)
        groups: dict[tuple[int, str, str, str | None, str], list[int]] = {}
        for k, s in enumerate(steps):
            if not self._names(s):
                raise Broken(f"the mapping has nothing like {s}")
            key = self._leaf[s.einsum], s.component, s.port, s.tensor, s.action
            groups.setdefault(key, []).append(k)
        for (leaf, component, port_name, tensor, action), mine in groups.items():
            tiles = self.model.layout.tiles[leaf]
            rows = [[x for _, x in steps[k].tile] for k in mine]
            digits = np.array(rows, dtype=np.int64).reshape(len(mine), tiles.depth)
            try:
                looked_at, _ = tiles.locate(np.ascontiguousarray(digits.T))
            except IrregularError:
                continue  # one of them does not exist
            start = np.array([times[k][0] for k in mine], dtype=object)
            lasts = np.array([times[k][1] - times[k][0] for k in mine], dtype=object)
            for block, port, offset, duration in self._candidates(
                leaf, component, port_name, tensor, action
            ):
                stream = self.checks.stream(leaf, block)
                if port not in stream.tasks:
                    continue
                begin, there = _times_at(stream.tasks[port], digits)
                fits = there & np.asarray(
                    begin.astype(object) + offset[looked_at] == start, dtype=np.bool_
                )
                fits &= np.asarray(duration[looked_at] == lasts, dtype=np.bool_)
                for at in np.flatnonzero(fits).tolist():
                    index = tuple(int(x) for x in digits[at])
                    found[mine[at]] = found[mine[at]] or ((leaf, block, index), port)
        result = []
        for k, place in enumerate(found):
            if place is None:
                raise Broken(f"{self._said(steps[k])} is not at {steps[k].start} in the schedule")
            result.append(place)
        return result

    def _names(self, step: Step) -> bool:
        """Whether there are such an Einsum, component and loops."""
        if step.einsum not in self._leaf:
            return False
        leaf = self._leaf[step.einsum]
        tiles, path = self.model.layout.tiles[leaf], self.model.lowered.spec.arch.paths[step.einsum]
        return [v for v, _ in step.tile] == [
            loop.variable for loop in tiles.leaf.temporal[: tiles.depth]
        ] and any(c.name == step.component for c in path)

    def _candidates(
        self, leaf: int, component: str, port_name: str, tensor: str | None, action: str
    ) -> list[tuple[int, int, Times, Times]]:
        """Accesses of a name: block, port, how far into the block, and how long."""
        costs, tiles = self.model.costs, self.model.layout.tiles[leaf]
        einsum = self.model.lowered.leaves[leaf].einsum.name
        named = self.model.lowered.spec.arch.component(einsum, component).ports
        found = []
        for block, what in enumerate(self.model.layout.blocks[leaf]):
            into: dict[int, Times] = {}
            for access in what.accesses:
                key = leaf, access.component, access.tensor, access.action
                for port, each in costs.per_value[key].items():
                    offset = into.setdefault(port, np.full(tiles.size, 0, dtype=object))
                    lasts = np.full(tiles.size, 0, dtype=object)
                    lasts[access.iterations] = access.counts.astype(object) * each
                    same = (access.component, access.tensor, access.action) == (
                        component,
                        tensor,
                        action,
                    )
                    if same and named[costs.ports[port].index].name == port_name:
                        found.append((block, port, offset.copy(), lasts))
                    into[port] = offset + lasts
            if action == "overhead" and tensor is None and what.kind == "foreground":
                for port, once in costs.constant.get((leaf, component), {}).items():
                    lasts = np.full(tiles.size, 0, dtype=object)
                    lasts[0] = once
                    zero = np.full(tiles.size, 0, dtype=object)
                    found.append((block, port, into.get(port, zero), lasts))
        return found

    # Why they start no earlier

    def _evaluate(self, places: Sequence[Place]) -> None:
        """Look up at once what all of some blocks wait for."""
        by_block: dict[tuple[int, int], set[Index]] = {}
        for leaf, block, index in places:
            by_block.setdefault((leaf, block), set()).add(index)
        for key, indices in by_block.items():
            some = sorted(indices)
            for wait in self.waits.get(key, ()):
                values, there = _values(wait.function, some)
                for index, row, here in zip(some, values.tolist(), there.tolist(), strict=True):
                    self._values[id(wait), index] = tuple(row) if here else None

    def _value(self, wait: Wait, index: Index) -> Index | None:
        key = id(wait), index
        if key not in self._values:
            values, there = _values(wait.function, [index])
            self._values[key] = tuple(values[0].tolist()) if there[0] else None
        return self._values[key]

    def _waited(
        self,
        step: Step,
        time: int,
        mine: tuple[Place, int],
        before: tuple[Place, int],
    ) -> bool:
        """Whether a step waited for the one before it, for the reason that it states."""
        (leaf, block, index), port = mine
        if step.waited_for == "port":
            return port == before[1]
        if time_at(self.checks.stream(leaf, block).ready, index) != time:
            return False
        seen: set[tuple[Place, bool]] = set()
        stack: list[tuple[Place, bool]] = [((leaf, block, index), False)]
        while stack:
            event = stack.pop()
            if event in seen:
                continue
            seen.add(event)
            if len(seen) > _MOST_STEPS_BACK:
                return False
            (leaf, block, index), known = event
            if time_at(self.checks.stream(leaf, block).ready, index) != time:
                continue
            for wait in self.waits.get((leaf, block), ()):
                if not known and wait.reason != step.waited_for:
                    continue
                value = self._value(wait, index)
                if value is None:
                    continue
                if self._ends(wait.awaited, wait.stream, value, before[0]):
                    return True
                there = self._front(wait.awaited) if wait.stream is None else wait.stream
                stack.append(((wait.awaited, there, value), True))
            stack += [(place, known) for place in self._own(leaf, block, index)]
        return False

    def _front(self, leaf: int) -> int:
        return self.checks.rules.foreground(leaf)

    def _ends(self, leaf: int, stream: int | None, index: Index, place: Place) -> bool:
        """Whether a finish, or the end of a block, waits for a block in a tile iteration."""
        if leaf != place[0]:
            return False
        kind = self.model.layout.blocks[leaf][place[1]].kind
        if stream is not None:
            up_to = place[2] <= index if kind == "background" else place[2] == index
            return place[1] == stream and up_to
        if kind != "background":
            return place[2] <= index
        for part in self.checks.read_backs(leaf):
            if part[0] == place[1]:
                values, there = _values(part[1], [index])
                if there[0] and place[2] <= tuple(values[0].tolist()):
                    return True
        return False

    def _own(self, leaf: int, block: int, index: Index) -> list[Place]:
        """Events of the same leaf that an event waits for."""
        front = self._front(leaf)
        if block != front:
            kind = self.model.layout.blocks[leaf][block].kind
            return [(leaf, front, index)] if kind == "background" else []
        found = [
            (leaf, number, index)
            for number, what in enumerate(self.model.layout.blocks[leaf])
            if what.kind == "fill"
        ]
        if leaf not in self._before:
            self._before[leaf] = earlier(self.checks.rules.spaces[leaf], 1)
        values, there = _values(self._before[leaf], [index])
        if there[0]:
            found.append((leaf, front, tuple(values[0].tolist())))
        return found


def _values(function: isl.PwMultiAff, indices: Sequence[Index]) -> tuple[Ints, np.ndarray]:
    size = function.dim(isl.dim_type.in_)
    rows = np.array(indices, dtype=np.int64).reshape(len(indices), size)
    return PieceWise(function).at(rows)


def _times_at(families: Families, digits: Ints) -> tuple[Times, np.ndarray]:
    """Times of an event in tile iterations (a row each), and whether it happens there."""
    if families.points <= _TABLE and families.size > 50:
        points = Points(families)
        at, there = points.find(digits)
        return points.table[1][at], there
    times = np.full(len(digits), 0, dtype=families.start.dtype)
    found = np.zeros(len(digits), dtype=np.bool_)
    for f in range(families.size):
        apart = digits - families.low[:, f][None, :]
        steps = apart // families.stride[:, f][None, :]
        here = (apart == steps * families.stride[:, f][None, :]) & (steps >= 0)
        here = (here & (steps < families.count[:, f][None, :])).all(axis=1)
        rates = families.rate[:, f][None, :]
        moved = (steps[here].astype(times.dtype) * rates).sum(axis=1)
        times[here] = families.start[f] + moved
        found |= here
    return times, found
