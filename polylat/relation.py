"""Schedules and occupancies as ISL relations: values that other tools can ask.

Their size does not depend on trip counts: what repeats is one piece, however often it does.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from fractions import Fraction

import islpy as isl
import numpy as np

from polylat.accesses.blocks import Access
from polylat.errors import OptionError
from polylat.lowering.paths import Leaf, PathHolder
from polylat.lowering.scan import Ints
from polylat.lowering.sharing import sharers
from polylat.model import Model
from polylat.occupancy import occupancies
from polylat.proof.families import Families, merged
from polylat.proof.schedule import Stream, copied, streams_of
from polylat.proof.waits import families_set
from polylat.schedule.graph import Times
from polylat.schedule.timing import Timing

__all__ = ["access_names", "occupancy_relation", "schedule_relation"]


def schedule_relation(model: Model, timing: Timing) -> isl.UnionMap:
    """Access of a tile iteration → when it starts, in steps of ``1 / model.costs.scale``.

    Accesses are named ``einsum_component_tensor_action``, with the port behind it where one
    access takes time on several, and are indexed by the Temporal loops of their tile iteration.
    What a leaf accesses several times alike (an operand, and the same in a write-back) is counted
    through: ``..._2``. A block's accesses on a port are served one after another; what takes no
    time on any port happens when its block may start.

    Examples
    --------
    >>> import polylat
    >>> files = ("examples/arch.yaml", "examples/workload.yaml", "examples/untapped.yaml")
    >>> report = polylat.analyze(polylat.load(*files), granularity="tile")
    >>> schedule = report.schedule()
    >>> starts = [m for m in schedule.get_map_list() if "e1_mac_compute" in str(m)]
    >>> report.time_scale, len(starts)
    (2, 1)
    """
    found: dict[str, list[str]] = {}
    for name, families in _accesses(model, timing):
        found.setdefault(name, []).extend(_pieces(name, families))
    return _union(found)


def access_names(model: Model) -> dict[tuple[int, int, int], str]:
    """(leaf, block, access) → what the access is called."""
    names: dict[tuple[int, int, int], str] = {}
    used: Counter[str] = Counter()
    for leaf, blocks in enumerate(model.layout.blocks):
        einsum = model.lowered.leaves[leaf].einsum.name
        for block, what in enumerate(blocks):
            for place, access in enumerate(what.accesses):
                parts = [einsum, access.component, access.tensor, access.action]
                name = _plain("_".join(p for p in parts if p is not None))
                used[name] += 1
                names[leaf, block, place] = name if used[name] == 1 else f"{name}_{used[name]}"
    return names


def _accesses(model: Model, timing: Timing) -> Iterator[tuple[str, Families]]:
    names = access_names(model)
    for stream in streams_of(model, timing, index=True):
        block = model.layout.blocks[stream.leaf][stream.block]
        tiles = model.layout.tiles[stream.leaf]
        served = _Served(model, timing, stream)
        before: dict[int, Times] = {
            port: np.full(tiles.size, 0, dtype=begin.dtype)
            for port, (begin, _) in served.tasks.items()
        }
        for place, access in enumerate(block.accesses):
            name = names[stream.leaf, stream.block, place]
            costs = model.costs.per_value[
                stream.leaf, access.component, access.tensor, access.action
            ]
            timed = {port: each for port, each in costs.items() if each}
            some = access.iterations
            for port, each in timed.items():
                begin, dtype = served.tasks[port][0], before[port].dtype
                lasts = access.counts.astype(dtype) * each
                families = copied(tiles, some, begin[some] + before[port][some], lasts)
                before[port][some] += lasts
                called = name if len(timed) == 1 else f"{name}_{served.port(port)}"
                yield called, merged(families)
            if not timed:
                ready = served.ready[some]
                yield name, merged(copied(tiles, some, ready, ready * 0))
        if block.kind == "foreground":
            yield from _overheads(model, stream, served, before)


def _overheads(
    model: Model, stream: Stream, served: _Served, before: dict[int, Times]
) -> Iterator[tuple[str, Families]]:
    """The constants of components, once per leaf."""
    einsum = model.lowered.leaves[stream.leaf].einsum.name
    tiles = model.layout.tiles[stream.leaf]
    first = np.zeros(1, dtype=np.int64)
    for (leaf, component), constants in model.costs.constant.items():
        if leaf == stream.leaf:
            for port, steps in constants.items():
                begin = served.tasks[port][0]
                start = begin[first] + before[port][first]
                name = _plain(f"{einsum}_{component}_overhead")
                called = name if len(constants) == 1 else f"{name}_{served.port(port)}"
                yield called, copied(tiles, first, start, start * 0 + steps)


class _Served:
    """When a block may start and its tasks begin, by tile iteration that is looked at."""

    def __init__(self, model: Model, timing: Timing, stream: Stream) -> None:
        self.model = model
        layout, graph = model.layout, model.graph
        tiles, base = layout.tiles[stream.leaf], layout.bases[stream.leaf]
        kind = layout.blocks[stream.leaf][stream.block].kind
        if kind == "foreground":
            first, iterations = base, np.arange(tiles.size)
        else:
            first, iterations = layout.streams[stream.leaf, stream.block]
        dtype = timing.task_begin.dtype
        self.ready: Times = np.full(tiles.size, 0, dtype=dtype)
        if kind == "fill":
            self.ready[iterations] = timing.fill_begin[first : first + len(iterations)]
        else:
            self.ready[iterations] = timing.begin[base + iterations]
        inside = (graph.task_block >= first) & (graph.task_block < first + len(iterations))
        self.tasks: dict[int, tuple[Times, Times]] = {}
        mine = np.flatnonzero(inside)
        for port in np.unique(graph.task_port[mine]).tolist():
            some = mine[graph.task_port[mine] == port]
            begin = np.full(tiles.size, 0, dtype=dtype)
            lasts = np.full(tiles.size, 0, dtype=dtype)
            at = iterations[graph.task_block[some] - first]
            begin[at], lasts[at] = timing.task_begin[some], graph.task_duration[some]
            self.tasks[port] = begin, lasts

    def port(self, port: int) -> str:
        """The name of a port within its component."""
        key = self.model.costs.ports[port]
        for path in self.model.lowered.spec.arch.paths.values():
            for component in path:
                if component.name == key.component:
                    return _plain(component.ports[key.index].name or str(key.index), start="")
        raise AssertionError("a port belongs to a component")
