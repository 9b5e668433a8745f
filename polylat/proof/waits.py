"""What must wait for what: the rules of the model as functions on tile iterations, by ISL.

Tile iterations of a leaf start in order and finish in order (which is proven, not taken for
granted). So of all that a tile iteration waits for in a leaf, the last one is enough: a rule is a
piecewise affine function from tile iterations that wait to those that they wait for. It comes
from the relations of the lowered mapping alone, and holds for all tile iterations at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import islpy as isl

from polylat.errors import MappingError
from polylat.lowering.paths import Leaf, PathHolder
from polylat.lowering.relations import GroupText, groups, set_text, tiling
from polylat.lowering.sharing import Source, sharers, sources
from polylat.model import Model
from polylat.proof.families import Families, merged
from polylat.proof.schedule import copied

__all__ = ["Kind", "Rules", "Wait", "families_set", "last_before", "tile_set"]

Kind = Literal["flow", "barrier", "capacity", "prefetch"]
Reason = Literal["flow", "barrier", "capacity"]

_IN, _OUT, _SET = isl.dim_type.in_, isl.dim_type.out, isl.dim_type.set


@dataclass(frozen=True, eq=False)
class Wait:
    """A rule between two leaves.

    Parameters
    ----------
    kind
        Which rule; *prefetch* for what holds a prefetched fill back.
    leaf, block
        What waits: a block of a leaf. The foreground block stands for the start of its tile
        iteration.
    awaited, stream
        The leaf that is waited for, and which block of it: None for the finish of a tile
        iteration.
    function
        Tile iteration that waits → the last one that it waits for.
    why
        The reason, in words.
    reason
        Which rule it is, of a prefetched fill, too.
    """

    kind: Kind
    leaf: int
    block: int
    awaited: int
    stream: int | None
    function: isl.PwMultiAff
    why: str
    reason: Reason


def tile_set(leaf: Leaf, depth: int) -> isl.Set:
    """The tile iterations of a leaf, as points without a name."""
    return _tile_set(leaf, depth)


def _tile_set(leaf: Leaf, depth: int) -> isl.Set:
    found = tiling(leaf, depth).domain()
    if found.has_tuple_id():
        found = found.reset_tuple_id()
    return found.remove_redundancies().coalesce()


def families_set(families: Families) -> isl.Set:
    """The tile iterations of families, as points without a name."""
    dims = ", ".join(f"i{k}" for k in range(families.depth))
    parts = []
    for f in range(families.size):
        parts.append(_box(families, f))
    if not parts:
        return isl.Set(f"{{ [{dims}] : 1 = 0 }}")
    return isl.Set(f"{{ [{dims}] : {' or '.join(f'({p})' for p in dict.fromkeys(parts))} }}")


def _box(families: Families, f: int) -> str:
    conditions = ["1 = 1"]
    for k in range(families.depth):
        low, high = int(families.low[k, f]), int(families.high[k, f])
        conditions.append(f"{low} <= i{k} <= {high}")
        if (stride := int(families.stride[k, f])) > 1 and high > low:
            conditions.append(f"(i{k} - {low}) mod {stride} = 0")
    return " and ".join(conditions)


def last_before(some: isl.Set, every: isl.Set) -> isl.PwMultiAff:
    """Per point of a set, the last one of another set that does not come after it."""
    order = isl.Map.lex_ge(every.get_space()).intersect_domain(every).intersect_range(some)
    return order.lexmax_pw_multi_aff().coalesce()


def last_within(some: isl.Set, depth: int) -> isl.PwMultiAff:
    """Per value of the first dimensions, the last point of a set."""
    heads = _head(some.dim(_SET), depth)
    return heads.intersect_domain(some).reverse().lexmax_pw_multi_aff().coalesce()


def earlier(tiles: isl.Set, by: int) -> isl.PwMultiAff:
    """Per point of a set, the one so many places before it."""
    if by == 0:
        return isl.PwMultiAff.from_map(isl.Map.identity(tiles.get_space().map_from_set()))
    linear = _linear(tiles, by) if by > 4 else None
    if linear is not None:
        return linear
    order = isl.Map.lex_gt(tiles.get_space()).intersect_domain(tiles).intersect_range(tiles)
    one = order.lexmax_pw_multi_aff().coalesce()
    found = one
    for _ in range(by - 1):
        found = one.pullback_pw_multi_aff(found).coalesce()
    return found


def _linear(tiles: isl.Set, by: int) -> isl.PwMultiAff | None:
    """The same at once, where all points of a box are there."""
    size = tiles.dim(_SET)
    lows = [int(tiles.dim_min_val(k).to_python()) for k in range(size)]
    highs = [int(tiles.dim_max_val(k).to_python()) for k in range(size)]
    inside = [f"{a} <= x{k} <= {b}" for k, (a, b) in enumerate(zip(lows, highs, strict=True))]
    dims = ", ".join(f"x{k}" for k in range(size))
    box = isl.Set(f"{{ [{dims}] : {' and '.join(inside)} }}")
    if not size or not box.is_equal(tiles):
        return None
    here, there = "0", "0"
    for k in range(size):
        trips = highs[k] - lows[k] + 1
        here, there = f"({here})*{trips} + x{k}", f"({there})*{trips} + y{k}"
    inside += [f"{a} <= y{k} <= {b}" for k, (a, b) in enumerate(zip(lows, highs, strict=True))]
    source, target = dims, dims.replace("x", "y")
    text = f"{{ [{source}] -> [{target}] : {' and '.join(inside)} and {there} = {here} - {by} }}"
    return isl.PwMultiAff.from_map(isl.Map(text))


@lru_cache(maxsize=256)
def _head_text(depth: int, first: int) -> str:
    dims = [f"i{k}" for k in range(depth)]
    return f"{{ [{', '.join(dims)}] -> [{', '.join(dims[:first])}] }}"


def _head(depth: int, first: int) -> isl.Map:
    """Points → their first dimensions."""
    return isl.Map(_head_text(depth, first))


def _heads(depth: int, first: int) -> isl.PwMultiAff:
    return isl.PwMultiAff(_head_text(depth, first))


class Rules:
    """The rules of a mapping.

    Parameters
    ----------
    model
        The mapping. Of it count the leaves with their depths, and which blocks there are.
    """

    def __init__(self, model: Model) -> None:
        self.model = model
        self.leaves = model.lowered.leaves
        self.depths = model.lowered.depths
        self.found: Mapping[tuple[int, str], Source] = sources(self.leaves)
        self.spaces = [tile_set(leaf, n) for leaf, n in zip(self.leaves, self.depths, strict=True)]
        self._touching: dict[tuple[int, str, str], isl.Set] = {}

    def waits(self) -> Iterator[Wait]:
        """All of them."""
        yield from self.flow()
        yield from self.barriers()
        yield from self.capacity()

    def foreground(self, leaf: int) -> int:
        """The index of a leaf's foreground block."""
        return self._block(leaf, lambda block: block.kind == "foreground") or 0

    def stream(self, leaf: int, kind: str, tensor: str, level: int) -> int | None:
        """The index of a leaf's block of fills or background write-backs, if there is one."""
        return self._block(leaf, lambda b: (b.kind, b.tensor, b.level) == (kind, tensor, level))

    def _block(self, leaf: int, wanted: Callable[..., bool]) -> int | None:
        blocks = self.model.layout.blocks[leaf]
        return next((i for i, block in enumerate(blocks) if wanted(block)), None)

    # Rule 1

    def flow(self) -> Iterator[Wait]:
        """What is read has arrived."""
        for (number, tensor), source in self.found.items():
            if source.leaf is None:
                continue
            reader, bringer = self.leaves[number], self.leaves[source.leaf]
            storages = reader.storages(tensor)
            block = self.stream(number, "fill", tensor, source.level + 1)
            waiting = self.foreground(number) if block is None else block
            kind: Kind = "flow" if block is None else "prefetch"
            where = f"{tensor} in {storages[source.level].component}"
            check_brought(reader, bringer, tensor, source.level)
            if source.produces:
                deeper = source.level + 1 < len(storages)
                read = storages[source.level + 1].depth if deeper else self.depths[number]
                last = last_bringer(
                    reader,
                    bringer,
                    tensor,
                    source.level,
                    (read, self.depths[number], self.depths[bringer.number]),
                )
                why = f"{bringer.einsum.name} produces {where}"
                yield Wait(kind, number, waiting, bringer.number, None, last, why, "flow")
                for level in range(source.level + 1, len(bringer.storages(tensor))):
                    back = self.stream(bringer.number, "background", tensor, level)
                    if back is not None:
                        yield Wait(
                            kind,
                            number,
                            waiting,
                            bringer.number,
                            back,
                            last,
                            f"{bringer.einsum.name} writes back {where} in the background",
                            "flow",
                        )
                continue
            first = self.found[bringer.number, tensor].level + 1
            for level in range(first, source.level + 1):
                fill = self.stream(bringer.number, "fill", tensor, level)
                if fill is None:
                    raise AssertionError("a storage that is shared stands above a split")
                depth = storages[level].depth
                owner = _first_within(self.spaces[bringer.number], depth)
                function = owner.pullback_pw_multi_aff(_heads(self.depths[number], depth))
                why = f"{bringer.einsum.name} fetches {tensor} into {storages[level].component}"
                yield Wait(kind, number, waiting, bringer.number, fill, function, why, "flow")

    # Rule 2

    def barriers(self) -> Iterator[Wait]:
        """Branches of a Sequential one after another."""
        below: dict[int, dict[int, list[Leaf]]] = {}
        depths: dict[int, int] = {}
        for leaf in self.leaves:
            for split in leaf.splits:
                if not split.pipeline:
                    below.setdefault(split.node, {}).setdefault(split.branch, []).append(leaf)
                    depths[split.node] = split.depth
        for node, branches in below.items():
            depth, last = depths[node], max(branches)
            turns = self._tiles([x for some in branches.values() for x in some], depth)
            before = earlier(turns, 1)
            for branch, waiting in branches.items():
                ahead = branches[branch - 1 if branch else last]
                for leaf in waiting:
                    turn = _heads(self.depths[leaf.number], depth)
                    if not branch:
                        turn = before.pullback_pw_multi_aff(turn)
                    for other in ahead:
                        ended = last_within(self.spaces[other.number], depth)
                        yield Wait(
                            "barrier",
                            leaf.number,
                            self.foreground(leaf.number),
                            other.number,
                            None,
                            ended.pullback_pw_multi_aff(turn).coalesce(),
                            f"the Sequential above {leaf.einsum.name}",
                            "barrier",
                        )

    # Rule 3

    def capacity(self) -> Iterator[Wait]:
        """A tile's place is free."""
        for leaf in self.leaves:
            number = leaf.number
            for tensor in leaf.einsum.outputs:
                exchanged = self._exchanged(leaf, tensor)
                for level, holder in enumerate(leaf.storages(tensor)):
                    place = self._place(leaf, tensor, holder)
                    if place is None:
                        continue
                    front = self.foreground(number)
                    if level in exchanged:
                        yield from self._touched("capacity", leaf, front, tensor, holder, place)
                    back = self.stream(number, "background", tensor, level)
                    if back is not None:
                        written = self._stream_set(number, back)
                        function = last_within(written, holder.depth).pullback_pw_multi_aff(place)
                        why = f"the place of a tile of {tensor} in {holder.component}"
                        yield Wait(
                            "capacity", number, front, number, back, function, why, "capacity"
                        )
            for index, block in enumerate(self.model.layout.blocks[number]):
                if block.kind != "fill" or block.tensor is None:
                    continue
                holder = leaf.storages(block.tensor)[block.level]
                place = self._place(leaf, block.tensor, holder)
                if place is not None:
                    yield from self._touched("prefetch", leaf, index, block.tensor, holder, place)

    def _place(self, leaf: Leaf, tensor: str, holder: PathHolder) -> isl.PwMultiAff | None:
        """Tile iteration → the tile whose place its own tile of the holder takes, if limited."""
        slots = self.model.slots
        limit = slots.get(tensor, 2) if isinstance(slots, Mapping) else slots
        if holder.depth == 0 or limit is None:
            return None
        tiles = self._tiles(sharers(self.leaves, tensor, holder), holder.depth)
        head = _heads(self.depths[leaf.number], holder.depth)
        return earlier(tiles, limit).pullback_pw_multi_aff(head).coalesce()

    def _touched(
        self,
        kind: Kind,
        leaf: Leaf,
        block: int,
        tensor: str,
        holder: PathHolder,
        place: isl.PwMultiAff,
    ) -> Iterator[Wait]:
        for other in sharers(self.leaves, tensor, holder):
            touching = self.touching(other.number, tensor, holder.component)
            if touching.is_empty():
                continue
            function = last_within(touching, holder.depth).pullback_pw_multi_aff(place)
            why = f"the place of a tile of {tensor} in {holder.component}"
            function = function.coalesce()
            yield Wait(kind, leaf.number, block, other.number, None, function, why, "capacity")

    def _exchanged(self, producer: Leaf, tensor: str) -> set[int]:
        """Levels of the producer's storages in which some reader meets it."""
        nodes = [h.node for h in producer.storages(tensor)]
        found = set()
        for reader in self.leaves:
            if reader is not producer and tensor in reader.einsum.inputs:
                shared = [h.node for h in reader.storages(tensor) if h.node in nodes]
                found.add(nodes.index(shared[-1]))
        return found

    def touching(self, leaf: int, tensor: str, component: str) -> isl.Set:
        """Tile iterations with an access to a component for a tensor."""
        key = (leaf, tensor, component)
        if key not in self._touching:
            found = isl.Set.empty(self.spaces[leaf].get_space())
            seen: set[bytes] = set()
            for block in self.model.layout.blocks[leaf]:
                for access in block.accesses:
                    if (access.component, access.tensor) == (component, tensor):
                        raw = access.iterations.tobytes()
                        if raw not in seen:
                            seen.add(raw)
                            found = found | self._set_of(leaf, access.iterations)
            self._touching[key] = found.coalesce()
        return self._touching[key]

    def _stream_set(self, leaf: int, block: int) -> isl.Set:
        return self._set_of(leaf, self.model.layout.streams[leaf, block][1])

    def _set_of(self, leaf: int, iterations: object) -> isl.Set:
        tiles = self.model.layout.tiles[leaf]
        if len(iterations) == tiles.size:  # type: ignore[arg-type]
            return self.spaces[leaf]
        nothing = iterations * 0  # type: ignore[operator]
        return families_set(merged(copied(tiles, iterations, nothing, nothing)))  # type: ignore[arg-type]

    def _tiles(self, some: Sequence[Leaf], depth: int) -> isl.Set:
        """The values of the first loops that exist for any of the leaves."""
        found = None
        for leaf in some:
            space = self.spaces[leaf.number]
            mine = space.project_out(_SET, depth, space.dim(_SET) - depth)
            found = mine if found is None else found | mine
        if found is None:
            raise AssertionError("a split has leaves")
        return found.coalesce()

    # Finish

    def read_backs(self, leaf: int) -> Iterator[tuple[int, isl.PwMultiAff]]:
        """Background write-backs that a leaf's tile iterations read back, or one before them.

        Returns
        -------
        iterator of (block, function)
            The function gives the last tile iteration whose write-back is waited for.
        """
        for index, block in enumerate(self.model.layout.blocks[leaf]):
            if block.kind == "background" and block.tensor is not None:
                found = last_read_back(
                    self.leaves[leaf], block.tensor, block.level, self.depths[leaf]
                )
                if found is not None:
                    yield index, found


def _first_within(some: isl.Set, depth: int) -> isl.PwMultiAff:
    heads = _head(some.dim(_SET), depth)
    return heads.intersect_domain(some).reverse().lexmin_pw_multi_aff().coalesce()


def first_within(some: isl.Set, depth: int) -> isl.PwMultiAff:
    """Per value of the first dimensions, the first point of a set."""
    return _first_within(some, depth)


def _positions(leaf: Leaf) -> list[int]:
    return [p for p, loop in enumerate(leaf.loops) if loop.unit is None]


def _exchange_groups(
    reader: Leaf, bringer: Leaf, tensor: str, level: int
) -> list[tuple[list[str], list[str], tuple[int, ...], list[int]]]:
    """Variables of both leaves, ranks and shared loops that are tied together."""
    shared = range(reader.storages(tensor)[level].position)
    read = reader.einsum.access(tensor).projection
    brought = bringer.einsum.access(tensor).projection
    indices = [
        [*(f"r.{v}" for v in a.variables), *(f"b.{v}" for v in b.variables)]
        for a, b in zip(read, brought, strict=True)
    ]
    ties = [[f"r.{reader.loops[p].variable}", f"b.{bringer.loops[p].variable}"] for p in shared]
    ties += [[f"r.{v}" for v in c.variables] for c in reader.coupled]
    ties += [[f"b.{v}" for v in c.variables] for c in bringer.coupled]
    names = [f"r.{v}" for v in reader.einsum.rank_variables]
    names += [f"b.{v}" for v in bringer.einsum.rank_variables]
    found = []
    for members, ranks in groups(names, indices, ties):
        mine = [m[2:] for m in members if m.startswith("r.")]
        theirs = [m[2:] for m in members if m.startswith("b.")]
        loops = [p for p in shared if reader.loops[p].variable in mine]
        found.append((mine, theirs, ranks, loops))
    return found


def check_brought(reader: Leaf, bringer: Leaf, tensor: str, level: int) -> None:
    """Raise unless all that a leaf reads in a storage was brought there in the same residency."""
    read = reader.einsum.access(tensor).projection
    brought = bringer.einsum.access(tensor).projection
    fine = all(
        a.constant == b.constant
        for a, b in zip(read, brought, strict=True)
        if not a.variables and not b.variables
    )
    for mine, theirs, ranks, shared in _exchange_groups(reader, bringer, tensor, level):
        sets = []
        for leaf, variables, projection in ((reader, mine, read), (bringer, theirs, brought)):
            text = GroupText(leaf, variables, "x", shared)
            names = [f"z{r}" for r in ranks]
            equal = [f"z{r} = {text.index(projection[r])}" for r in ranks]
            dims = [*(text.shown[p] for p in shared), *names]
            sets.append(isl.Set(set_text(dims, text.hidden, [*text.conditions, *equal])))
        fine = fine and sets[0].is_subset(sets[1])
    if not fine:
        raise MappingError(
            f"Einsum {reader.einsum.name!r} reads elements of tensor {tensor!r} that nobody brought"
        )


def last_bringer(
    reader: Leaf, bringer: Leaf, tensor: str, level: int, depths: tuple[int, int, int]
) -> isl.PwMultiAff:
    """Tile iteration of a reader → the last one of the bringer whose elements it reads.

    Parameters
    ----------
    reader, bringer
        The leaves.
    tensor, level
        The tensor, and the index of the shared storage among its storages.
    depths
        Number of loops that say what is read at a time; number of loops of the reader's tile
        iterations, and of the bringer's.
    """
    read_depth, waiting, awaited = depths
    mine, theirs = _positions(reader), _positions(bringer)
    read = reader.einsum.access(tensor).projection
    brought = bringer.einsum.access(tensor).projection
    parts: list[isl.PwMultiAff] = []
    order: list[int] = []
    for reads, brings, ranks, shared in _exchange_groups(reader, bringer, tensor, level):
        source = [k for k in range(read_depth) if reader.loops[mine[k]].variable in reads]
        target = [k for k in range(awaited) if bringer.loops[theirs[k]].variable in brings]
        r = GroupText(reader, reads, "r", [*(mine[k] for k in source), *shared])
        b = GroupText(bringer, brings, "b", [*(theirs[k] for k in target), *shared])
        conditions = [*r.conditions, *b.conditions]
        conditions += [f"{r.index(read[x])} = {b.index(brought[x])}" for x in ranks]
        conditions += [f"{r.shown[p]} = {b.shown[p]}" for p in shared]
        hidden = [*r.hidden, *b.hidden]
        hidden += [r.shown[p] for p in shared if p not in [mine[k] for k in source]]
        hidden += [b.shown[p] for p in shared if p not in [theirs[k] for k in target]]
        given = [r.shown[mine[k]] if k in source else f"f{k}" for k in range(waiting)]
        text = set_text([*given, *(b.shown[theirs[k]] for k in target)], hidden, conditions)
        relation = _as_map(isl.Set(text), waiting)
        parts.append(relation.lexmax_pw_multi_aff())
        order += target
    return _together(parts, order, waiting, awaited)


def _as_map(some: isl.Set, source: int) -> isl.Map:
    found = isl.Map.from_range(some)
    return found.move_dims(_IN, 0, _OUT, 0, source)


def _together(
    parts: Sequence[isl.PwMultiAff], order: Sequence[int], waiting: int, awaited: int
) -> isl.PwMultiAff:
    """Functions of the same source side by side, their results in order."""
    found = isl.PwMultiAff(f"{{ [{', '.join(f'i{k}' for k in range(waiting))}] -> [] }}")
    for part in parts:
        found = found.flat_range_product(part)
    given = ", ".join(f"t{k}" for k in order)
    wanted = ", ".join(f"t{k}" for k in range(awaited))
    sort = isl.PwMultiAff(f"{{ [{given}] -> [{wanted}] }}")
    return sort.pullback_pw_multi_aff(found).coalesce()


def last_read_back(leaf: Leaf, tensor: str, level: int, depth: int) -> isl.PwMultiAff | None:
    """Tile iteration → the last one that wrote back what it, or one before it, reads back.

    Of all that updated an element before the tile in which it is read back, the last one updated
    it last in its own tile, too: there it was written back.
    """
    holder = leaf.storages(tensor)[level]
    positions = _positions(leaf)
    units = [p for p in range(holder.position) if leaf.loops[p].unit is not None]
    outer = positions[: holder.depth]
    projection = leaf.einsum.access(tensor).projection
    ties = [c.variables for c in leaf.coupled]
    conditions: list[str] = []
    hidden: list[str] = []
    several = False
    for variables, ranks in groups(
        leaf.einsum.rank_variables, [i.variables for i in projection], ties
    ):
        here = [p for p in units if leaf.loops[p].variable in variables]
        now, then = (
            GroupText(leaf, variables, "r", [*outer, *here]),
            GroupText(leaf, variables, "w", [*positions[:depth], *here]),
        )
        mine = [*now.conditions, *then.conditions]
        mine += [f"{now.index(projection[x])} = {then.index(projection[x])}" for x in ranks]
        mine += [f"{now.shown[p]} = {then.shown[p]}" for p in here]
        under = [*now.hidden, *then.hidden]
        under += [text.shown[p] for text in (now, then) for p in here]
        conditions += mine
        hidden += under
        loops = [p for p in outer if leaf.loops[p].variable in variables]
        inner = [p for p in positions[:depth] if p in then.shown and p not in loops]
        dims = [*(now.shown[p] for p in loops), *(then.shown[p] for p in loops)]
        pairs = isl.Set(set_text(dims, [*under, *(then.shown[p] for p in inner)], mine))
        same = " and ".join(f"d{k} = e{k}" for k in range(len(loops))) or "1 = 1"
        names = [f"d{k}" for k in range(len(loops))] + [f"e{k}" for k in range(len(loops))]
        several = several or not pairs.is_subset(isl.Set(f"{{ [{', '.join(names)}] : {same} }}"))
    if not several:
        return None
    reading = [f"ri{p}" for p in outer]
    writing = [f"wi{p}" for p in positions[:depth]]
    later = " or ".join(
        "("
        + " and ".join([f"ri{p} = wi{p}" for p in outer[:k]] + [f"ri{outer[k]} > wi{outer[k]}"])
        + ")"
        for k in range(len(outer))
    )
    text = set_text([*reading, *writing], hidden, [*conditions, f"({later})"])
    pairs_of_tiles = _as_map(isl.Set(text), len(outer))
    every = tile_set(leaf, depth)
    reads = _head(depth, holder.depth).intersect_domain(every).apply_range(pairs_of_tiles)
    before = isl.Map.lex_ge(every.get_space()).intersect_domain(every).intersect_range(every)
    found = before.apply_range(reads)
    return None if found.is_empty() else found.lexmax_pw_multi_aff().coalesce()
