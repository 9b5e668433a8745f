"""Schedules and occupancies as ISL relations, for other tools to query.

Their size does not depend on trip counts: iterations that repeat form one piece, however often
they repeat.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import cached_property, reduce

import islpy as isl
import numpy as np

from polylat.analysis.isl_pieces import first_within, pieces_to_set
from polylat.analysis.starts import piece_per_sample
from polylat.engine.model import Model
from polylat.engine.solution import Solution
from polylat.errors import OptionError
from polylat.lowering.accesses.blocks import Access
from polylat.lowering.holder_tiles import is_replaced
from polylat.lowering.paths import PathHolder
from polylat.lowering.sharing import leaves_sharing
from polylat.lowering.units import users_label
from polylat.schedule.arrays import Ints, Times
from polylat.schedule.pieces import Pieces, merge_pieces

__all__ = ["access_names", "occupancy_relation", "schedule_relation"]


_NOTHING = np.zeros(0, dtype=np.int64)


def schedule_relation(solution: Solution) -> isl.UnionMap:
    """Return the schedule as a relation from accesses of tile iterations to start times.

    Accesses are named ``einsum_component_tensor_action``, followed by the port where one access
    takes time on several ports, and are indexed by the Temporal loops of their tile iteration.
    Further accesses of the same name (an operand's reads, and those of a write-back) are numbered:
    ``..._2``. The accesses of a block on a port are served one after another; an access that takes
    no time on any port happens when its block may start.

    Parameters
    ----------
    solution
        The schedule, with its model.

    Returns
    -------
    islpy.UnionMap
        Access → start time, in steps of 1/scale.

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
    for name, pieces in _accesses(solution):
        found.setdefault(name, []).extend(_start_texts(name, pieces))
    return _union_of_texts(found)


def access_names(model: Model) -> dict[tuple[int, int, int], str]:
    """Name the accesses of all blocks.

    Parameters
    ----------
    model
        The mapping.

    Returns
    -------
    dict
        (leaf, block, position of the access in the block) → name in `schedule_relation`.
    """
    names: dict[tuple[int, int, int], str] = {}
    used: Counter[str] = Counter()
    for leaf, blocks in enumerate(model.layout.blocks):
        einsum = model.lowered.leaves[leaf].einsum.name
        for block, what in enumerate(blocks):
            for place, access in enumerate(what.accesses):
                parts = [einsum, access.component, access.tensor, access.action]
                name = _isl_name("_".join(p for p in parts if p is not None))
                used[name] += 1
                names[leaf, block, place] = name if used[name] == 1 else f"{name}_{used[name]}"
    return names


def _isl_name(name: str) -> str:
    """Return a name that ISL accepts: letters, digits and underscores."""
    plain = re.sub(r"\W", "_", name)
    return plain if plain[:1].isalpha() else f"x_{plain}"


def _accesses(solution: Solution) -> Iterator[tuple[str, Pieces]]:
    """Yield the name and the pieces of every access."""
    model = solution.model
    names = access_names(model)
    for leaf, blocks in enumerate(model.layout.blocks):
        tiles = model.layout.tiles[leaf]
        for number, block in enumerate(blocks):
            served = _BlockTimes(solution, leaf, number)
            before = {port: begin.copy() for port, (begin, _) in served.tasks.items()}
            for place, access in enumerate(block.accesses):
                name = names[leaf, number, place]
                timed = model.costs.durations(leaf, access)
                some = access.iterations
                for port, duration in timed.items():
                    pieces = piece_per_sample(tiles, some, before[port][some], duration)
                    before[port][some] += duration
                    yield _name_on_port(model, name, port, timed), merge_pieces(pieces)
                if not timed:
                    ready = served.ready[some]
                    yield name, merge_pieces(piece_per_sample(tiles, some, ready, ready * 0))
            if block.kind == "foreground":
                first = np.zeros(1, dtype=np.int64)
                for (owner, component), constants in model.costs.constant.items():
                    for port, steps in constants.items() if owner == leaf else ():
                        start = before[port][first]
                        name = _isl_name(f"{tiles.leaf.einsum.name}_{component}_overhead")
                        pieces = Pieces.of_points(tiles.digits[:, first], start, start * 0 + steps)
                        yield _name_on_port(model, name, port, constants), pieces


def _name_on_port(model: Model, name: str, port: int, ports: Iterable[int]) -> str:
    """Return the name of an access on one of the ports on which it takes time."""
    if len(list(ports)) == 1:
        return name
    key = model.costs.ports[port]
    component = next(
        c
        for path in model.lowered.spec.arch.paths.values()
        for c in path
        if c.name == key.component
    )
    words = [name]
    if len(component.ports) > 1:
        words.append(component.ports[key.index].name or str(key.index))
    if key.users:
        words.append(users_label(model.lowered.leaves, key.users))
    return _isl_name("_".join(words))


class _BlockTimes:
    """Start times and services of one block of a leaf, per sampled tile iteration.

    Parameters
    ----------
    solution
        The schedule, with its model.
    leaf, block
        The number of the leaf, and the index of the block among its blocks.
    """

    def __init__(self, solution: Solution, leaf: int, block: int) -> None:
        model, timing = solution.model, solution.schedule
        layout, graph = model.layout, model.graph
        self.tiles = layout.tiles[leaf]
        stream = layout.streams[leaf][block]
        first, iterations = stream.first, stream.iterations
        dtype = timing.task_begin.dtype
        self.ready: Times = np.full(self.tiles.size, 0, dtype=dtype)
        self.ready[iterations] = timing.ready[stream.span]
        self.latency: Times = np.full(self.tiles.size, 0, dtype=dtype)
        self.latency[iterations] = graph.latency[stream.span]
        self.tasks: dict[int, tuple[Times, Times]] = {}
        self.served: dict[int, Ints] = {}
        of_block = np.flatnonzero(
            (graph.task_block >= first) & (graph.task_block < first + len(iterations))
        )
        for port in np.unique(graph.task_port[of_block]).tolist():
            on_port = of_block[graph.task_port[of_block] == port]
            begin = np.full(self.tiles.size, 0, dtype=dtype)
            duration = np.full(self.tiles.size, 0, dtype=dtype)
            at = iterations[graph.task_block[on_port] - first]
            begin[at], duration[at] = timing.task_begin[on_port], graph.task_duration[on_port]
            self.tasks[port] = begin, duration
            self.served[port] = np.sort(at)

    def span(self, ports: Iterable[int]) -> tuple[Times, Times]:
        """Return when some ports start to serve the block, and when they have served it.

        Where they take no time: when the last port of the block starts, and when the block has
        passed.
        """
        begin, end = self.ready.copy(), self.ready.copy()
        for port, (first, duration) in self.tasks.items():
            some = self.served[port]
            begin[some] = np.maximum(begin[some], first[some])
            end[some] = np.maximum(end[some], (first + duration)[some])
        end += self.latency
        own = [port for port in ports if port in self.tasks]
        timed = np.unique(np.concatenate([self.served[port] for port in own] or [_NOTHING]))
        # Neutral elements of the minimum and the maximum below.
        begin[timed], end[timed] = end[timed], end[timed] * 0
        for port in own:
            first, duration = self.tasks[port]
            some = self.served[port]
            begin[some] = np.minimum(begin[some], first[some])
            end[some] = np.maximum(end[some], (first + duration)[some])
        return begin, end


def _start_texts(name: str, pieces: Pieces) -> Iterator[str]:
    """Yield ISL texts of the maps from tile iterations to start times."""
    dims = ", ".join(f"i{k}" for k in range(pieces.depth))
    for f in range(pieces.size):
        conditions, hidden, total = _piece_texts(pieces, f)
        exists = f"exists {', '.join(hidden)} : " if hidden else ""
        yield f"{name}[{dims}] -> [{total}] : {exists}{' and '.join(conditions) or '1 = 1'}"


def _piece_texts(pieces: Pieces, f: int) -> tuple[list[str], list[str], str]:
    """Return a piece's conditions on its indices, their auxiliary variables, and its time."""
    conditions, hidden, total = [], [], str(int(pieces.start[f]))
    for k in range(pieces.depth):
        low, count = int(pieces.low[k, f]), int(pieces.count[k, f])
        stride, rate = int(pieces.stride[k, f]), int(pieces.rate[k, f])
        if count == 1:
            conditions.append(f"i{k} = {low}")
        elif stride == 1:
            conditions.append(f"{low} <= i{k} < {low + count}")
            total += f" + {rate}*(i{k} - {low})" if rate else ""
        else:
            hidden.append(f"x{k}")
            conditions.append(f"i{k} = {low} + {stride}*x{k} and 0 <= x{k} < {count}")
            # The time is a function of the index itself, without the auxiliary x.
            total += f" + {rate}*((i{k} - {low})/{stride})" if rate else ""
    return conditions, hidden, total


def _union_of_texts(found: dict[str, list[str]]) -> isl.UnionMap:
    """Return the union of maps that are given as texts of their pieces."""
    text = "; ".join(piece for pieces in found.values() for piece in pieces)
    return isl.UnionMap(f"{{ {text} }}")


def occupancy_relation(solution: Solution, component: str) -> isl.UnionMap:
    """Return a memory's occupancy as a relation from times to resident tiles.

    Residency is defined as in `polylat.analysis.occupancy.occupancies`. Tiles are named
    ``tensor_tile`` and indexed by the Temporal loops above their holder.

    Parameters
    ----------
    solution
        The schedule, with its model.
    component
        The memory.

    Returns
    -------
    islpy.UnionMap
        Time, in steps of 1/scale → tiles.

    Raises
    ------
    OptionError
        No tensor is held in such a memory.
    """
    model = solution.model
    held = [(t, h) for t, _, h in _holders(model) if h.component == component]
    if not held:
        known = dict.fromkeys(h.component for _, _, h in _holders(model))
        raise OptionError(
            f"component {component!r} holds no tensor",
            fix=f"name one of: {', '.join(known)}",
        )
    parts = _resident_explicit if model.layout.whole else _resident_periodic
    used: Counter[str] = Counter()
    found = isl.UnionMap("{ }")
    for tensor, relation in parts(solution, component):
        name = _isl_name(f"{tensor}_tile")
        used[name] += 1
        name = name if used[name] == 1 else f"{name}_{used[name]}"
        named = relation.set_tuple_name(isl.dim_type.in_, name)
        found = found.union(isl.UnionMap.from_map(named.reverse()))
    return found


def _holders(model: Model) -> Iterator[tuple[str, int, PathHolder]]:
    """Yield every holder once: tensor, level on the first path, holder."""
    done: set[tuple[int, str]] = set()
    for leaf in model.lowered.leaves:
        for tensor in leaf.einsum.tensors:
            for level, holder in enumerate(leaf.storages(tensor)):
                if (holder.node, tensor) not in done:
                    done.add((holder.node, tensor))
                    yield tensor, level, holder


def _resident_holders(
    model: Model, component: str
) -> Iterator[tuple[str, PathHolder, list[tuple[int, int, Access]], tuple[bool, bool, bool]]]:
    """Yield per holder in a memory: tensor, holder, accesses, and how its tiles stay.

    An access comes with its leaf and block. Tiles may stay from 0, to the end, and until the next
    tile replaces them.
    """
    workload = model.lowered.spec.workload
    for tensor, level, holder in _holders(model):
        if holder.component != component:
            continue
        sharing = leaves_sharing(model.lowered.users[tensor], tensor, holder)
        accesses = [
            (leaf.number, number, access)
            for leaf in sharing
            for number, block in enumerate(model.layout.blocks[leaf.number])
            for access in block.accesses
            if (access.component, access.tensor) == (component, tensor)
        ]
        backing = level == 0 and holder.depth == 0
        first = backing and not workload.producers(tensor)
        last = backing and not workload.readers(tensor)
        replaced = is_replaced(model.layout, sharing, tensor, level, holder)
        yield tensor, holder, accesses, (first, last, replaced)


def _resident_explicit(solution: Solution, component: str) -> Iterator[tuple[str, isl.Map]]:
    """Yield tile → times at which it is resident, where all tile iterations are sampled."""
    model, timing = solution.model, solution.schedule
    own = [p for p, k in enumerate(model.costs.ports) if k.component == component]
    blocks: dict[tuple[int, int], _BlockTimes] = {}
    for tensor, holder, accesses, (whole, kept, replaced) in _resident_holders(model, component):
        keys, digits, starts, ends = [], [], [], []
        for leaf, number, access in accesses:
            if (leaf, number) not in blocks:
                blocks[leaf, number] = _BlockTimes(solution, leaf, number)
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
        if replaced:
            start[1:] = np.maximum(start[1:], end[:-1])
        there = np.asarray(end > start, dtype=np.bool_)
        index, start, end = index[:, there], start[there], end[there]
        whole_spans = merge_pieces(Pieces.of_points(index, start, end - start))
        first_times = merge_pieces(Pieces.of_points(index, start, start * 0))
        last_times = merge_pieces(Pieces.of_points(index, end, end * 0))
        if whole_spans.size <= first_times.size + last_times.size:
            yield tensor, _times_where(whole_spans, "{start} <= t < {start} + {duration}")
        else:
            since = _times_where(first_times, "t >= {start}")
            yield tensor, (since & _times_where(last_times, "t < {start}")).coalesce()


def _times_where(pieces: Pieces, condition: str) -> isl.Map:
    """Return tile → the times that meet a condition on the start and duration of its piece."""
    dims = ", ".join(f"i{k}" for k in range(pieces.depth))
    texts = [f"[{dims}] -> [t] : 1 = 0"]
    for f in range(pieces.size):
        conditions, hidden, total = _piece_texts(pieces, f)
        when = condition.format(start=total, duration=int(pieces.duration[f]))
        exists = f"exists {', '.join(hidden)} : " if hidden else ""
        texts.append(f"[{dims}] -> [t] : {exists}{' and '.join([*conditions, when])}")
    return isl.Map(f"{{ {'; '.join(texts)} }}")


def _resident_periodic(solution: Solution, component: str) -> Iterator[tuple[str, isl.Map]]:
    """Yield tile → times at which it is resident, where sampled tile iterations represent others.

    The earliest start of a piece within a tile is an affine function of the tile, and so is its
    latest end: residency reaches from the minimum of the former to the maximum of the latter.
    """
    model = solution.model
    blocks: dict[tuple[int, int], _BlockTimes] = {}
    for tensor, holder, accesses, (whole, kept, replaced) in _resident_holders(model, component):
        starts: list[isl.PwAff] = []
        ends: list[isl.PwAff] = []
        for leaf, number, access in accesses:
            if (leaf, number) not in blocks:
                blocks[leaf, number] = _BlockTimes(solution, leaf, number)
            span = _AccessTimes(model, blocks[leaf, number], access, holder.depth)
            starts += span.starts
            ends += span.ends
        if whole:
            starts.append(isl.PwAff("{ [] -> [(0)] }"))
        if kept:
            ends.append(isl.PwAff(f"{{ [] -> [({solution.schedule.makespan})] }}"))
        first = isl.Map.from_pw_aff(reduce(lambda a, b: a.union_min(b), starts).coalesce())
        last = isl.Map.from_pw_aff(reduce(lambda a, b: a.union_max(b), ends).coalesce())
        resident = first.apply_range(isl.Map("{ [s] -> [t] : t >= s }"))
        until_end = last.apply_range(isl.Map("{ [e] -> [t] : t < e }"))
        resident &= until_end
        if replaced:
            tiles = last.domain()
            previous = tiles.lex_gt_set(tiles).lexmax()
            resident -= previous.apply_range(until_end)
        yield tensor, resident.coalesce()


class _AccessTimes:
    """The times from which and until which an access keeps tiles resident.

    Parameters
    ----------
    model, served
        The mapping, and the times of the access's block.
    access, depth
        The access, and the number of loops that index the tiles.
    """

    def __init__(self, model: Model, served: _BlockTimes, access: Access, depth: int) -> None:
        self.served, self.access, self.depth = served, access, depth
        own = [p for p, k in enumerate(model.costs.ports) if k.component == access.component]
        self.own = [p for p in own if p in served.tasks]
        timed = np.zeros(served.tiles.size, dtype=np.bool_)
        for port in self.own:
            timed[served.served[port]] = True
        self.untimed = access.iterations[~timed[access.iterations]]

    def _pieces(self, iterations: Ints, times: Times) -> Pieces:
        start = times[iterations]
        return merge_pieces(piece_per_sample(self.served.tiles, iterations, start, start * 0))

    def _served_on(self, port: int) -> Ints:
        return np.intersect1d(self.access.iterations, self.served.served[port])

    @cached_property
    def starts(self) -> list[isl.PwAff]:
        """Functions of the tile whose minimum is the first access to it."""
        found = []
        for port in self.own:
            begin = self.served.tasks[port][0]
            found += _extreme_times(
                self._pieces(self._served_on(port), begin), self.depth, least=True
            )
        if len(self.untimed):
            # An untimed access happens when the last port of its block starts. The first one in a
            # tile is that of the first tile iteration, as tile iterations start in order.
            parts = [self._pieces(self.untimed, self.served.ready)]
            for port, (begin, _) in self.served.tasks.items():
                some = np.intersect1d(self.untimed, self.served.served[port])
                parts.append(self._pieces(some, begin))
            where = pieces_to_set(merge_pieces(parts[0]))
            latest = reduce(
                lambda a, b: a.union_max(b),
                [p for part in parts for p in _extreme_times(part, part.depth, least=True)],
            )
            found.append(latest.pullback_pw_multi_aff(first_within(where, self.depth)))
        return found

    @cached_property
    def ends(self) -> list[isl.PwAff]:
        """Functions of the tile whose maximum is the end of the last access to it."""
        found = []
        for port in self.own:
            begin, duration = self.served.tasks[port]
            found += _extreme_times(
                self._pieces(self._served_on(port), begin + duration), self.depth
            )
        if len(self.untimed):
            latency = self.served.latency
            ready = self._pieces(self.untimed, self.served.ready + latency)
            found += _extreme_times(ready, self.depth)
            for port, (begin, duration) in self.served.tasks.items():
                some = np.intersect1d(self.untimed, self.served.served[port])
                ends = self._pieces(some, begin + duration + latency)
                found += _extreme_times(ends, self.depth)
        return found


def _extreme_times(pieces: Pieces, depth: int, *, least: bool = False) -> list[isl.PwAff]:
    """Return per piece its latest (or earliest) time within a tile, as a function of the tile."""
    found = []
    dims = ", ".join(f"i{k}" for k in range(depth))
    for f in range(pieces.size):
        total = int(pieces.start[f])
        for k in range(depth, pieces.depth):
            wide = int(pieces.rate[k, f]) * (int(pieces.count[k, f]) - 1)
            total += min(wide, 0) if least else max(wide, 0)
        head = Pieces(
            pieces.low[:depth],
            pieces.stride[:depth],
            pieces.count[:depth],
            pieces.start,
            pieces.rate[:depth],
            pieces.duration,
        )
        conditions, hidden, terms = _piece_texts(head, f)
        terms = str(total) + terms[len(str(int(pieces.start[f]))) :]
        exists = f"exists {', '.join(hidden)} : " if hidden else ""
        where = " and ".join(conditions) or "1 = 1"
        found.append(isl.PwAff(f"{{ [{dims}] -> [({terms})] : {exists}{where} }}"))
    return found
