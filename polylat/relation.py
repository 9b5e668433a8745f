"""Schedules and occupancies as ISL relations: values that other tools can ask.

Their size does not depend on trip counts: what repeats is one piece, however often it does.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import cached_property, reduce

import islpy as isl
import numpy as np

from polylat.accesses.blocks import Access
from polylat.errors import OptionError
from polylat.lowering.paths import PathHolder
from polylat.lowering.scan import Ints
from polylat.lowering.sharing import sharers
from polylat.model import Model
from polylat.proof.families import Families, merged
from polylat.proof.schedule import copied
from polylat.proof.waits import families_set, first_within
from polylat.schedule.graph import Times
from polylat.schedule.timing import Timing

__all__ = ["access_names", "occupancy_relation", "schedule_relation"]


_NOTHING = np.zeros(0, dtype=np.int64)


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
    >>> once = isl.Set("{ e1_mac_compute[i0] }")
    >>> report.time_scale, report.schedule().intersect_domain(isl.UnionSet.from_set(once))
    (1, UnionMap("{ e1_mac_compute[i0] -> [2496i0] : 0 <= i0 <= 7 }"))
    """
    found: dict[str, list[str]] = {}
    for name, families in _accesses(model, timing):
        found.setdefault(name, []).extend(_starts(name, families))
    return _union(found)


def access_names(model: Model) -> dict[tuple[int, int, int], str]:
    """(leaf, block, place in the block) → what an access is called."""
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


def _plain(name: str) -> str:
    """A name for ISL: letters, digits and underscores."""
    plain = re.sub(r"\W", "_", name)
    return plain if plain[:1].isalpha() else f"x_{plain}"


def _accesses(model: Model, timing: Timing) -> Iterator[tuple[str, Families]]:
    """Families of all accesses, and what these are called."""
    names = access_names(model)
    for leaf, blocks in enumerate(model.layout.blocks):
        tiles = model.layout.tiles[leaf]
        for number, block in enumerate(blocks):
            served = _Served(model, timing, leaf, number)
            before = {port: begin.copy() for port, (begin, _) in served.tasks.items()}
            for place, access in enumerate(block.accesses):
                name = names[leaf, number, place]
                key = leaf, access.component, access.tensor, access.action
                timed = {port: each for port, each in model.costs.per_value[key].items() if each}
                some = access.iterations
                for port, each in timed.items():
                    lasts = access.counts.astype(before[port].dtype) * each
                    families = copied(tiles, some, before[port][some], lasts)
                    before[port][some] += lasts
                    yield _called(model, name, port, timed), merged(families)
                if not timed:
                    ready = served.ready[some]
                    yield name, merged(copied(tiles, some, ready, ready * 0))
            if block.kind == "foreground":
                first = np.zeros(1, dtype=np.int64)
                for (owner, component), constants in model.costs.constant.items():
                    for port, steps in constants.items() if owner == leaf else ():
                        start = before[port][first]
                        name = _plain(f"{tiles.leaf.einsum.name}_{component}_overhead")
                        families = Families.of_points(
                            tiles.digits[:, first], start, start * 0 + steps
                        )
                        yield _called(model, name, port, constants), families


def _called(model: Model, name: str, port: int, ports: Iterable[int]) -> str:
    """The name of an access on one of the ports on which it takes time."""
    if len(list(ports)) == 1:
        return name
    key = model.costs.ports[port]
    component = next(
        c
        for path in model.lowered.spec.arch.paths.values()
        for c in path
        if c.name == key.component
    )
    return _plain(f"{name}_{component.ports[key.index].name or key.index}")


class _Served:
    """A block of a leaf, by tile iteration that is looked at: when it may start, and its tasks.

    Parameters
    ----------
    model, timing
        The schedule.
    leaf, block
        The leaf, and the index of the block among its blocks.
    """

    def __init__(self, model: Model, timing: Timing, leaf: int, block: int) -> None:
        layout, graph = model.layout, model.graph
        self.tiles, base = layout.tiles[leaf], layout.bases[leaf]
        kind = layout.blocks[leaf][block].kind
        if kind == "foreground":
            first, iterations = base, np.arange(self.tiles.size)
        else:
            first, iterations = layout.streams[leaf, block]
        dtype = timing.task_begin.dtype
        self.ready: Times = np.full(self.tiles.size, 0, dtype=dtype)
        if kind == "fill":
            self.ready[iterations] = timing.fill_begin[first : first + len(iterations)]
        else:
            self.ready[iterations] = timing.begin[base + iterations]
        self.tasks: dict[int, tuple[Times, Times]] = {}
        self.served: dict[int, Ints] = {}
        mine = np.flatnonzero(
            (graph.task_block >= first) & (graph.task_block < first + len(iterations))
        )
        for port in np.unique(graph.task_port[mine]).tolist():
            some = mine[graph.task_port[mine] == port]
            begin = np.full(self.tiles.size, 0, dtype=dtype)
            lasts = np.full(self.tiles.size, 0, dtype=dtype)
            at = iterations[graph.task_block[some] - first]
            begin[at], lasts[at] = timing.task_begin[some], graph.task_duration[some]
            self.tasks[port] = begin, lasts
            self.served[port] = np.sort(at)

    def span(self, ports: Iterable[int]) -> tuple[Times, Times]:
        """When some ports begin to serve the block, and when they have served it.

        Where they take no time over it: when the last port of the block begins, and when all have
        served it.
        """
        begin, end = self.ready.copy(), self.ready.copy()
        for port, (first, lasts) in self.tasks.items():
            some = self.served[port]
            begin[some] = np.maximum(begin[some], first[some])
            end[some] = np.maximum(end[some], (first + lasts)[some])
        own = [port for port in ports if port in self.tasks]
        timed = np.unique(np.concatenate([self.served[port] for port in own] or [_NOTHING]))
        # Later than any of them, and earlier.
        begin[timed], end[timed] = end[timed], end[timed] * 0
        for port in own:
            first, lasts = self.tasks[port]
            some = self.served[port]
            begin[some] = np.minimum(begin[some], first[some])
            end[some] = np.maximum(end[some], (first + lasts)[some])
        return begin, end


def _starts(name: str, families: Families) -> Iterator[str]:
    """Texts of the maps from tile iterations to times."""
    dims = ", ".join(f"i{k}" for k in range(families.depth))
    for f in range(families.size):
        conditions, hidden, total = _indices(families, f)
        exists = f"exists {', '.join(hidden)} : " if hidden else ""
        yield f"{name}[{dims}] -> [{total}] : {exists}{' and '.join(conditions) or '1 = 1'}"


def _indices(families: Families, f: int) -> tuple[list[str], list[str], str]:
    """Of a family: conditions on its indices, what these need besides, and its time."""
    conditions, hidden, total = [], [], str(int(families.start[f]))
    for k in range(families.depth):
        low, count = int(families.low[k, f]), int(families.count[k, f])
        stride, rate = int(families.stride[k, f]), int(families.rate[k, f])
        if count == 1:
            conditions.append(f"i{k} = {low}")
        elif stride == 1:
            conditions.append(f"{low} <= i{k} < {low + count}")
            total += f" + {rate}*(i{k} - {low})" if rate else ""
        else:
            hidden.append(f"x{k}")
            conditions.append(f"i{k} = {low} + {stride}*x{k} and 0 <= x{k} < {count}")
            # The time is a function of the index itself: it holds no x.
            total += f" + {rate}*((i{k} - {low})/{stride})" if rate else ""
    return conditions, hidden, total


def _union(found: dict[str, list[str]]) -> isl.UnionMap:
    """A union of maps, each given as texts of its pieces."""
    text = "; ".join(piece for pieces in found.values() for piece in pieces)
    return isl.UnionMap(f"{{ {text} }}")


def occupancy_relation(model: Model, timing: Timing, component: str) -> isl.UnionMap:
    """Time → tiles that are resident in a memory then, as `polylat.occupancy` has it.

    Times are steps of ``1 / model.costs.scale``; tiles are named ``tensor_tile`` and indexed by
    the Temporal loops above their holder.

    Raises
    ------
    OptionError
        No such memory holds anything.
    """
    held = [(t, h) for t, _, h in _holders(model) if h.component == component]
    if not held:
        known = dict.fromkeys(h.component for _, _, h in _holders(model))
        raise OptionError(
            f"component {component!r} holds nothing",
            mend=f"name one of: {', '.join(known)}",
        )
    parts = _of_arrays if model.layout.whole else _of_families
    used: Counter[str] = Counter()
    found = isl.UnionMap("{ }")
    for tensor, relation in parts(model, timing, component):
        name = _plain(f"{tensor}_tile")
        used[name] += 1
        name = name if used[name] == 1 else f"{name}_{used[name]}"
        named = relation.set_tuple_name(isl.dim_type.in_, name)
        found = found.union(isl.UnionMap.from_map(named.reverse()))
    return found


def _holders(model: Model) -> Iterator[tuple[str, int, PathHolder]]:
    """Every holder once: tensor, level on the first path, holder."""
    done: set[tuple[int, str]] = set()
    for leaf in model.lowered.leaves:
        for tensor in leaf.einsum.tensors:
            for level, holder in enumerate(leaf.storages(tensor)):
                if (holder.node, tensor) not in done:
                    done.add((holder.node, tensor))
                    yield tensor, level, holder


def _resident(
    model: Model, component: str
) -> Iterator[tuple[str, PathHolder, list[tuple[int, int, Access]], tuple[bool, bool]]]:
    """Per holder in a memory: tensor, holder, accesses, whether it stays from 0, to the end.

    An access comes with its leaf and block.
    """
    workload = model.lowered.spec.workload
    for tensor, level, holder in _holders(model):
        if holder.component != component:
            continue
        accesses = [
            (leaf.number, number, access)
            for leaf in sharers(model.lowered.leaves, tensor, holder)
            for number, block in enumerate(model.layout.blocks[leaf.number])
            for access in block.accesses
            if (access.component, access.tensor) == (component, tensor)
        ]
        backing = level == 0 and holder.depth == 0
        first = backing and not workload.producers(tensor)
        last = backing and not workload.readers(tensor)
        yield tensor, holder, accesses, (first, last)


def _of_arrays(model: Model, timing: Timing, component: str) -> Iterator[tuple[str, isl.Map]]:
    """Tile → times at which it is resident, where all tile iterations are looked at."""
    own = [p for p, k in enumerate(model.costs.ports) if k.component == component]
    blocks: dict[tuple[int, int], _Served] = {}
    for tensor, holder, accesses, (whole, kept) in _resident(model, component):
        keys, digits, starts, ends = [], [], [], []
        for leaf, number, access in accesses:
            if (leaf, number) not in blocks:
                blocks[leaf, number] = _Served(model, timing, leaf, number)
            begin, end = blocks[leaf, number].span(own)
            some, tiles = access.iterations, model.layout.tiles[leaf]
            keys.append(tiles.prefix_keys(holder.depth)[some])
            digits.append(tiles.digits[: holder.depth, some])
            starts.append(begin[some])
            ends.append(end[some])
        _, first, tile = np.unique(np.concatenate(keys), return_index=True, return_inverse=True)
        index = np.concatenate(digits, axis=1)[:, first]
        start = np.concatenate(starts)[first] * 0 + (0 if whole else timing.makespan)
        end = np.concatenate(ends)[first] * 0 + (timing.makespan if kept else 0)
        np.minimum.at(start, tile.reshape(-1), np.concatenate(starts))
        np.maximum.at(end, tile.reshape(-1), np.concatenate(ends))
        there = np.asarray(end > start, dtype=np.bool_)
        index, start, end = index[:, there], start[there], end[there]
        whole_spans = merged(Families.of_points(index, start, end - start))
        first_times = merged(Families.of_points(index, start, start * 0))
        last_times = merged(Families.of_points(index, end, end * 0))
        if whole_spans.size <= first_times.size + last_times.size:
            yield tensor, _while(whole_spans, "{start} <= t < {start} + {duration}")
        else:
            since = _while(first_times, "t >= {start}")
            yield tensor, (since & _while(last_times, "t < {start}")).coalesce()


def _while(families: Families, condition: str) -> isl.Map:
    """Tiles → the times that meet a condition on those of their families."""
    dims = ", ".join(f"i{k}" for k in range(families.depth))
    texts = [f"[{dims}] -> [t] : 1 = 0"]
    for f in range(families.size):
        conditions, hidden, total = _indices(families, f)
        when = condition.format(start=total, duration=int(families.duration[f]))
        exists = f"exists {', '.join(hidden)} : " if hidden else ""
        texts.append(f"[{dims}] -> [t] : {exists}{' and '.join([*conditions, when])}")
    return isl.Map(f"{{ {'; '.join(texts)} }}")


def _of_families(model: Model, timing: Timing, component: str) -> Iterator[tuple[str, isl.Map]]:
    """The same where tile iterations stand for others: the least start, and the largest end.

    A family's least start in a tile is an affine function of the tile, and so is its largest end.
    """
    blocks: dict[tuple[int, int], _Served] = {}
    for tensor, holder, accesses, (whole, kept) in _resident(model, component):
        starts: list[isl.PwAff] = []
        ends: list[isl.PwAff] = []
        for leaf, number, access in accesses:
            if (leaf, number) not in blocks:
                blocks[leaf, number] = _Served(model, timing, leaf, number)
            span = _Span(model, blocks[leaf, number], access, holder.depth)
            starts += span.starts
            ends += span.ends
        if whole:
            starts.append(isl.PwAff("{ [] -> [(0)] }"))
        if kept:
            ends.append(isl.PwAff(f"{{ [] -> [({timing.makespan})] }}"))
        first = isl.Map.from_pw_aff(reduce(lambda a, b: a.union_min(b), starts).coalesce())
        last = isl.Map.from_pw_aff(reduce(lambda a, b: a.union_max(b), ends).coalesce())
        resident = first.apply_range(isl.Map("{ [s] -> [t] : t >= s }"))
        resident &= last.apply_range(isl.Map("{ [e] -> [t] : t < e }"))
        yield tensor, resident.coalesce()


class _Span:
    """From when to when an access keeps tiles resident.

    Parameters
    ----------
    model, served
        The mapping, and the block of which the access is one.
    access, depth
        The access, and the number of loops that index the tiles.
    """

    def __init__(self, model: Model, served: _Served, access: Access, depth: int) -> None:
        self.served, self.access, self.depth = served, access, depth
        own = [p for p, k in enumerate(model.costs.ports) if k.component == access.component]
        self.own = [p for p in own if p in served.tasks]
        timed = np.zeros(served.tiles.size, dtype=np.bool_)
        for port in self.own:
            timed[served.served[port]] = True
        self.untimed = access.iterations[~timed[access.iterations]]

    def _families(self, iterations: Ints, times: Times) -> Families:
        start = times[iterations]
        return merged(copied(self.served.tiles, iterations, start, start * 0))

    def _on(self, port: int) -> Ints:
        return np.intersect1d(self.access.iterations, self.served.served[port])

    @cached_property
    def starts(self) -> list[isl.PwAff]:
        """Times of which the least one is the first access to a tile."""
        found = []
        for port in self.own:
            begin = self.served.tasks[port][0]
            found += _extremes(self._families(self._on(port), begin), self.depth, least=True)
        if len(self.untimed):
            # Something without time happens when the last port of its block begins: the first in
            # a tile is that of the first tile iteration, as these begin in order.
            parts = [self._families(self.untimed, self.served.ready)]
            for port, (begin, _) in self.served.tasks.items():
                some = np.intersect1d(self.untimed, self.served.served[port])
                parts.append(self._families(some, begin))
            where = families_set(merged(parts[0]))
            latest = reduce(
                lambda a, b: a.union_max(b),
                [p for part in parts for p in _extremes(part, part.depth, least=True)],
            )
            found.append(latest.pullback_pw_multi_aff(first_within(where, self.depth)))
        return found

    @cached_property
    def ends(self) -> list[isl.PwAff]:
        """Times of which the largest one is the end of the last access to a tile."""
        found = []
        for port in self.own:
            begin, lasts = self.served.tasks[port]
            found += _extremes(self._families(self._on(port), begin + lasts), self.depth)
        if len(self.untimed):
            found += _extremes(self._families(self.untimed, self.served.ready), self.depth)
            for port, (begin, lasts) in self.served.tasks.items():
                some = np.intersect1d(self.untimed, self.served.served[port])
                found += _extremes(self._families(some, begin + lasts), self.depth)
        return found


def _extremes(families: Families, depth: int, *, least: bool = False) -> list[isl.PwAff]:
    """Per family, its largest (or least) time in a tile, as a function of the tile."""
    found = []
    dims = ", ".join(f"i{k}" for k in range(depth))
    for f in range(families.size):
        total = int(families.start[f])
        for k in range(depth, families.depth):
            wide = int(families.rate[k, f]) * (int(families.count[k, f]) - 1)
            total += min(wide, 0) if least else max(wide, 0)
        head = Families(
            families.low[:depth],
            families.stride[:depth],
            families.count[:depth],
            families.start,
            families.rate[:depth],
            families.duration,
        )
        conditions, hidden, terms = _indices(head, f)
        terms = str(total) + terms[len(str(int(families.start[f]))) :]
        exists = f"exists {', '.join(hidden)} : " if hidden else ""
        where = " and ".join(conditions) or "1 = 1"
        found.append(isl.PwAff(f"{{ [{dims}] -> [({terms})] : {exists}{where} }}"))
    return found
