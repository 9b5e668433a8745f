"""Check a critical path: a gapless chain of accesses, each of which waits for the previous one.

Such a chain is the witness that the schedule attains the latency: with the same order on the
ports, no access of it could start earlier.
"""

from __future__ import annotations

from collections.abc import Sequence

import islpy as isl
import numpy as np

from polylat.analysis.access import Step
from polylat.analysis.isl_pieces import preceding
from polylat.lowering.iterations import IrregularError
from polylat.lowering.points import PiecewiseAffine
from polylat.proof.checks import ScheduleChecks
from polylat.proof.rules import PrecedenceRule
from polylat.proof.tabulated_times import TabulatedTimes
from polylat.proof.words import BrokenRule, time_at
from polylat.schedule.arrays import Ints, Times
from polylat.schedule.pieces import Pieces

__all__ = ["WitnessChecker"]

Index = tuple[int, ...]
Place = tuple[int, int, Index]
"""(leaf, block, tile iteration)"""

_MAX_EVENTS = 100_000
_MAX_TABLE = 2_000_000


class WitnessChecker:
    """Check chains of accesses against a schedule and the rules.

    Parameters
    ----------
    checks
        The schedule and the rules.
    """

    def __init__(self, checks: ScheduleChecks) -> None:
        self.checks = checks
        self.model = checks.model
        self.rules_of: dict[tuple[int, int], list[PrecedenceRule]] = {}
        for rule in checks.precedence_rules:
            self.rules_of.setdefault((rule.leaf, rule.block), []).append(rule)
        self._values: dict[tuple[int, Index], Index | None] = {}
        self._before: dict[int, isl.PwMultiAff] = {}
        self._leaf = {leaf.einsum.name: leaf.number for leaf in checks.rules.leaves}

    def check(self, steps: Sequence[Step], latency: int | None = None) -> int:
        """Check that consecutive steps follow each other without gaps, for the reasons they state.

        Parameters
        ----------
        steps
            Consecutive steps.
        latency
            If given, the steps must reach from 0 to this time, in steps of 1/scale.

        Returns
        -------
        int
            The number of steps.

        Raises
        ------
        BrokenRule
            A step is not where the schedule has it, or did not wait as stated.
        """
        chain = list(steps)
        scale = self.checks.schedule.scale
        times = [(int(s.start * scale), int(s.finish * scale)) for s in chain]
        if latency is not None:
            ends = (times[0][0], times[-1][1]) if times else (0, 0)
            if ends != (0, latency):
                raise BrokenRule(
                    f"the critical path goes from {chain[0].start} to {chain[-1].finish}"
                )
        for k in range(1, len(chain)):
            if times[k][0] != times[k - 1][1]:
                raise BrokenRule(f"there is a gap in the critical path at {chain[k].start}")
        found = self._locate(chain, times)
        self._evaluate_rules([place for place, _ in found])
        for k, step in enumerate(chain):
            if step.waited_for is None and times[k][0] != 0:
                raise BrokenRule(
                    f"{self._described(step)} waits for nothing, and starts at {step.start}"
                )
            if k and not self._waited(step, times[k][0], found[k], found[k - 1]):
                raise BrokenRule(
                    f"{self._described(step)} does not wait for {self._described(chain[k - 1])}"
                    f" ({step.waited_for})"
                )
        return len(chain)

    def _described(self, step: Step) -> str:
        index = tuple(x for _, x in step.tile)
        tile = self.checks.words.tile(self._leaf[step.einsum], index)
        return f"{step.component} {step.tensor or ''} {step.action} of {tile}".replace("  ", " ")

    # Locate the steps in the schedule

    def _locate(
        self, steps: Sequence[Step], times: Sequence[tuple[int, int]]
    ) -> list[tuple[Place, int]]:
        """Return each step's block and tile iteration, and its port."""
        found: list[tuple[Place, int] | None] = [None] * len(steps)
        groups: dict[tuple[int, str, str, str | None, str], list[int]] = {}
        for k, s in enumerate(steps):
            if not self._exists(s):
                raise BrokenRule(f"the mapping has no access like {s}")
            key = self._leaf[s.einsum], s.component, s.port, s.tensor, s.action
            groups.setdefault(key, []).append(k)
        for (leaf, component, port_name, tensor, action), members in groups.items():
            tiles = self.model.layout.tiles[leaf]
            rows = [[x for _, x in steps[k].tile] for k in members]
            digits = np.array(rows, dtype=np.int64).reshape(len(members), tiles.depth)
            try:
                samples, _ = tiles.locate(np.ascontiguousarray(digits.T))
            except IrregularError:
                continue  # a tile iteration does not exist
            start = np.array([times[k][0] for k in members], dtype=object)
            lasts = np.array([times[k][1] - times[k][0] for k in members], dtype=object)
            for block, port, offset, duration in self._candidates(
                leaf, component, port_name, tensor, action
            ):
                stream = self.checks.block_starts(leaf, block)
                if port not in stream.tasks:
                    continue
                begin, there = _times_at(stream.tasks[port], digits)
                fits = there & np.asarray(
                    begin.astype(object) + offset[samples] == start, dtype=np.bool_
                )
                fits &= np.asarray(duration[samples] == lasts, dtype=np.bool_)
                for at in np.flatnonzero(fits).tolist():
                    index = tuple(int(x) for x in digits[at])
                    found[members[at]] = found[members[at]] or ((leaf, block, index), port)
        result = []
        for k, place in enumerate(found):
            if place is None:
                raise BrokenRule(
                    f"{self._described(steps[k])} is not at {steps[k].start} in the schedule"
                )
            result.append(place)
        return result

    def _exists(self, step: Step) -> bool:
        """Return whether the mapping has the step's Einsum, component and loops."""
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
        """Return the accesses of a name: block, port, offset within the block, and duration."""
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

    # Reasons of the start times

    def _evaluate_rules(self, places: Sequence[Place]) -> None:
        """Evaluate the rules of all given blocks and tile iterations at once."""
        by_block: dict[tuple[int, int], set[Index]] = {}
        for leaf, block, index in places:
            by_block.setdefault((leaf, block), set()).add(index)
        for key, indices in by_block.items():
            some = sorted(indices)
            for rule in self.rules_of.get(key, ()):
                values, there = _evaluate_function(rule.function, some)
                for index, row, here in zip(some, values.tolist(), there.tolist(), strict=True):
                    self._values[id(rule), index] = tuple(row) if here else None

    def _awaited_iteration(self, rule: PrecedenceRule, index: Index) -> Index | None:
        key = id(rule), index
        if key not in self._values:
            values, there = _evaluate_function(rule.function, [index])
            self._values[key] = tuple(values[0].tolist()) if there[0] else None
        return self._values[key]

    def _waited(
        self,
        step: Step,
        time: int,
        step_place: tuple[Place, int],
        previous: tuple[Place, int],
    ) -> bool:
        """Return whether a step waited for the previous one, for the reason that it states.

        From the step's start, search backwards through the events that start at the same time.
        """
        (leaf, block, index), port = step_place
        if step.waited_for == "port":
            return port == previous[1]
        if time_at(self.checks.block_starts(leaf, block).ready, index) != time:
            return False
        seen: set[tuple[Place, bool]] = set()
        stack: list[tuple[Place, bool]] = [((leaf, block, index), False)]
        while stack:
            event = stack.pop()
            if event in seen:
                continue
            seen.add(event)
            if len(seen) > _MAX_EVENTS:
                return False
            (leaf, block, index), reached = event
            if time_at(self.checks.block_starts(leaf, block).ready, index) != time:
                continue
            for rule in self.rules_of.get((leaf, block), ()):
                if not reached and rule.reason != step.waited_for:
                    continue
                value = self._awaited_iteration(rule, index)
                if value is None:
                    continue
                if self._includes(rule.awaited, rule.awaited_block, value, previous[0]):
                    return True
                there = (
                    self._foreground(rule.awaited)
                    if rule.awaited_block is None
                    else rule.awaited_block
                )
                stack.append(((rule.awaited, there, value), True))
            stack += [(place, reached) for place in self._own_predecessors(leaf, block, index)]
        return False

    def _foreground(self, leaf: int) -> int:
        return self.checks.rules.foreground(leaf)

    def _includes(self, leaf: int, stream: int | None, index: Index, place: Place) -> bool:
        """Return whether a finish, or the end of a block, waits for a block in a tile iteration."""
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
                values, there = _evaluate_function(part[1], [index])
                if there[0] and place[2] <= tuple(values[0].tolist()):
                    return True
        return False

    def _own_predecessors(self, leaf: int, block: int, index: Index) -> list[Place]:
        """Return the events of the same leaf that an event waits for."""
        front = self._foreground(leaf)
        if block != front:
            kind = self.model.layout.blocks[leaf][block].kind
            return [(leaf, front, index)] if kind == "background" else []
        found = [
            (leaf, number, index)
            for number, what in enumerate(self.model.layout.blocks[leaf])
            if what.kind == "fill"
        ]
        if leaf not in self._before:
            self._before[leaf] = preceding(self.checks.rules.spaces[leaf], 1)
        values, there = _evaluate_function(self._before[leaf], [index])
        if there[0]:
            found.append((leaf, front, tuple(values[0].tolist())))
        return found


def _evaluate_function(
    function: isl.PwMultiAff, indices: Sequence[Index]
) -> tuple[Ints, np.ndarray]:
    size = function.dim(isl.dim_type.in_)
    rows = np.array(indices, dtype=np.int64).reshape(len(indices), size)
    return PiecewiseAffine(function).at(rows)


def _times_at(pieces: Pieces, digits: Ints) -> tuple[Times, np.ndarray]:
    """Return start times in tile iterations (one per row), and where the event occurs."""
    if pieces.points <= _MAX_TABLE and pieces.size > 50:
        points = TabulatedTimes(pieces)
        at, there = points.find(digits)
        return points.table[1][at], there
    times = np.full(len(digits), 0, dtype=pieces.start.dtype)
    found = np.zeros(len(digits), dtype=np.bool_)
    for f in range(pieces.size):
        apart = digits - pieces.low[:, f][None, :]
        steps = apart // pieces.stride[:, f][None, :]
        here = (apart == steps * pieces.stride[:, f][None, :]) & (steps >= 0)
        here = (here & (steps < pieces.count[:, f][None, :])).all(axis=1)
        rates = pieces.rate[:, f][None, :]
        moved = (steps[here].astype(times.dtype) * rates).sum(axis=1)
        times[here] = pieces.start[f] + moved
        found |= here
    return times, found
