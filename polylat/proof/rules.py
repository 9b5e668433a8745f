"""Derive the precedence rules of the model as ISL functions on tile iterations.

Tile iterations of a leaf start in order, which is proven too, and one finishes when it and those
before it have ended. So among all tile iterations of a leaf that one must wait for, the last one
suffices: a rule is a piecewise quasi-affine function from waiting to awaited tile iterations,
computed as a lexicographic maximum (parametric integer programming, Feautrier 1988). It is derived
from the relations of the lowered mapping alone, and holds for all tile iterations at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import islpy as isl

from polylat.analysis.isl_pieces import (
    first_within,
    last_within,
    pieces_to_set,
    preceding,
    prefix_function,
)
from polylat.analysis.starts import piece_per_sample
from polylat.engine.model import Model
from polylat.lowering.paths import Leaf, PathHolder
from polylat.lowering.sharing import SourceHolder, leaves_sharing, source_holders
from polylat.proof.element_flow import check_brought, last_bringer, last_read_back, tile_set
from polylat.schedule.pieces import merge_pieces

__all__ = ["PrecedenceKind", "PrecedenceRule", "RequiredPrecedences"]

PrecedenceKind = Literal["flow", "barrier", "capacity", "prefetch"]
Reason = Literal["flow", "barrier", "capacity"]

_SET = isl.dim_type.set


@dataclass(frozen=True, eq=False)
class PrecedenceRule:
    """A precedence between the tile iterations of two leaves.

    Parameters
    ----------
    kind
        The rule of the model; *prefetch* for a rule that delays a separate fill.
    leaf, block
        The waiting block. The foreground block represents the start of its tile iteration.
    awaited, awaited_block
        The awaited leaf and its block; None for the finish of a tile iteration.
    function
        Waiting tile iteration → the last tile iteration that it waits for.
    why
        The reason, in words.
    reason
        The rule of the model, for separate fills too.
    """

    kind: PrecedenceKind
    leaf: int
    block: int
    awaited: int
    awaited_block: int | None
    function: isl.PwMultiAff
    why: str
    reason: Reason


class RequiredPrecedences:
    """The precedence rules of a mapping, derived from its relations.

    Parameters
    ----------
    model
        The mapping. Only its leaves, their depths, blocks and accesses are used.
    """

    def __init__(self, model: Model) -> None:
        self.model = model
        self.leaves = model.lowered.leaves
        self.depths = model.lowered.depths
        self.sources: Mapping[tuple[int, str], SourceHolder] = source_holders(self.leaves)
        self.spaces = [tile_set(leaf, n) for leaf, n in zip(self.leaves, self.depths, strict=True)]
        self._touching: dict[tuple[int, str, str], isl.Set] = {}

    def all_rules(self) -> Iterator[PrecedenceRule]:
        """Derive all rules.

        Yields
        ------
        PrecedenceRule
            The rules of `flow`, `barriers` and `capacity`.
        """
        yield from self.flow()
        yield from self.barriers()
        yield from self.capacity()

    def foreground(self, leaf: int) -> int:
        """Return the index of a leaf's foreground block.

        Parameters
        ----------
        leaf
            The number of the leaf.

        Returns
        -------
        int
            The index among the leaf's blocks.
        """
        return self._first_block(leaf, lambda block: block.kind == "foreground") or 0

    def separate_block(self, leaf: int, kind: str, tensor: str, level: int) -> int | None:
        """Return the index of a leaf's block of fills or background write-backs.

        Parameters
        ----------
        leaf
            The number of the leaf.
        kind
            ``"fill"`` or ``"background"``.
        tensor, level
            The tensor, and the index of its holder among the leaf's holders of it.

        Returns
        -------
        int or None
            The index among the leaf's blocks; None if those transfers stream.
        """
        return self._first_block(
            leaf, lambda b: (b.kind, b.tensor, b.level) == (kind, tensor, level)
        )

    def _first_block(self, leaf: int, wanted: Callable[..., bool]) -> int | None:
        blocks = self.model.layout.blocks[leaf]
        return next((i for i, block in enumerate(blocks) if wanted(block)), None)

    # Rule 1: flow

    def flow(self) -> Iterator[PrecedenceRule]:
        """Derive rule 1: an element has arrived before it is read.

        Yields
        ------
        PrecedenceRule
            A rule per reader and tensor, and per transfer through which elements arrive.

        Raises
        ------
        MappingError
            Elements are read that no leaf has brought in the same residency.
        """
        for (number, tensor), source in self.sources.items():
            if source.leaf is None:
                continue
            reader, bringer = self.leaves[number], self.leaves[source.leaf]
            storages = reader.storages(tensor)
            block = self.separate_block(number, "fill", tensor, source.level + 1)
            waiting = self.foreground(number) if block is None else block
            kind: PrecedenceKind = "flow" if block is None else "prefetch"
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
                yield PrecedenceRule(kind, number, waiting, bringer.number, None, last, why, "flow")
                for level in range(source.level + 1, len(bringer.storages(tensor))):
                    back = self.separate_block(bringer.number, "background", tensor, level)
                    if back is not None:
                        yield PrecedenceRule(
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
            first = self.sources[bringer.number, tensor].level + 1
            for level in range(first, source.level + 1):
                fill = self.separate_block(bringer.number, "fill", tensor, level)
                if fill is None:
                    raise AssertionError("a shared holder above a split has separate fills")
                depth = storages[level].depth
                owner = first_within(self.spaces[bringer.number], depth)
                function = owner.pullback_pw_multi_aff(prefix_function(self.depths[number], depth))
                why = f"{bringer.einsum.name} fetches {tensor} into {storages[level].component}"
                yield PrecedenceRule(
                    kind, number, waiting, bringer.number, fill, function, why, "flow"
                )

    # Rule 2: barriers

    def barriers(self) -> Iterator[PrecedenceRule]:
        """Derive rule 2: the branches of a Sequential run one after another.

        Yields
        ------
        PrecedenceRule
            A rule per pair of leaves of consecutive branches.
        """
        below: dict[int, dict[int, list[Leaf]]] = {}
        depths: dict[int, int] = {}
        for leaf in self.leaves:
            for split in leaf.splits:
                if not split.pipeline:
                    below.setdefault(split.node, {}).setdefault(split.branch, []).append(leaf)
                    depths[split.node] = split.depth
        for node, branches in below.items():
            depth, last = depths[node], max(branches)
            turns = self._prefixes([x for some in branches.values() for x in some], depth)
            before = preceding(turns, 1)
            for branch, waiting in branches.items():
                ahead = branches[branch - 1 if branch else last]
                for leaf in waiting:
                    turn = prefix_function(self.depths[leaf.number], depth)
                    if not branch:
                        turn = before.pullback_pw_multi_aff(turn)
                    for other in ahead:
                        ended = last_within(self.spaces[other.number], depth)
                        yield PrecedenceRule(
                            "barrier",
                            leaf.number,
                            self.foreground(leaf.number),
                            other.number,
                            None,
                            ended.pullback_pw_multi_aff(turn).coalesce(),
                            f"the Sequential above {leaf.einsum.name}",
                            "barrier",
                        )

    # Rule 3: capacity

    def capacity(self) -> Iterator[PrecedenceRule]:
        """Derive rule 3: a tile waits until a buffer slot is free.

        Yields
        ------
        PrecedenceRule
            A rule per holder with limited slots and leaf that accesses it.
        """
        for leaf in self.leaves:
            number = leaf.number
            for tensor in leaf.einsum.outputs:
                exchanged = self._exchanged(leaf, tensor)
                for level, holder in enumerate(leaf.storages(tensor)):
                    freed = self._freed_tile(leaf, tensor, holder)
                    if freed is None:
                        continue
                    front = self.foreground(number)
                    if level in exchanged:
                        yield from self._until_served(
                            "capacity", leaf, front, tensor, holder, freed
                        )
                    back = self.separate_block(number, "background", tensor, level)
                    if back is not None:
                        written = self._block_set(number, back)
                        function = last_within(written, holder.depth).pullback_pw_multi_aff(freed)
                        why = f"a buffer slot for {tensor} in {holder.component}"
                        yield PrecedenceRule(
                            "capacity", number, front, number, back, function, why, "capacity"
                        )
            for index, block in enumerate(self.model.layout.blocks[number]):
                if block.kind != "fill" or block.tensor is None:
                    continue
                holder = leaf.storages(block.tensor)[block.level]
                freed = self._freed_tile(leaf, block.tensor, holder)
                if freed is not None:
                    yield from self._until_served(
                        "prefetch", leaf, index, block.tensor, holder, freed
                    )

    def _freed_tile(self, leaf: Leaf, tensor: str, holder: PathHolder) -> isl.PwMultiAff | None:
        """Return tile iteration → the tile whose buffer slot is reused; None if unlimited."""
        slots = self.model.slots
        limit = slots.get(tensor, 2) if isinstance(slots, Mapping) else slots
        if holder.depth == 0 or limit is None:
            return None
        tiles = self._prefixes(leaves_sharing(self.leaves, tensor, holder), holder.depth)
        head = prefix_function(self.depths[leaf.number], holder.depth)
        return preceding(tiles, limit).pullback_pw_multi_aff(head).coalesce()

    def _until_served(
        self,
        kind: PrecedenceKind,
        leaf: Leaf,
        block: int,
        tensor: str,
        holder: PathHolder,
        freed: isl.PwMultiAff,
    ) -> Iterator[PrecedenceRule]:
        """Yield rules that wait until every access to the freed tile has been served."""
        for other in leaves_sharing(self.leaves, tensor, holder):
            touching = self.touching(other.number, tensor, holder.component)
            if touching.is_empty():
                continue
            function = last_within(touching, holder.depth).pullback_pw_multi_aff(freed)
            why = f"a buffer slot for {tensor} in {holder.component}"
            function = function.coalesce()
            yield PrecedenceRule(
                kind, leaf.number, block, other.number, None, function, why, "capacity"
            )

    def _exchanged(self, producer: Leaf, tensor: str) -> set[int]:
        """Return the levels of the producer's holders at which a reader shares the tensor."""
        nodes = [h.node for h in producer.storages(tensor)]
        found = set()
        for reader in self.leaves:
            if reader is not producer and tensor in reader.einsum.inputs:
                shared = [h.node for h in reader.storages(tensor) if h.node in nodes]
                found.add(nodes.index(shared[-1]))
        return found

    def touching(self, leaf: int, tensor: str, component: str) -> isl.Set:
        """Return the tile iterations that access a tensor in a component.

        Parameters
        ----------
        leaf
            The number of the leaf.
        tensor, component
            The tensor and the component.

        Returns
        -------
        islpy.Set
            The tile iterations of the leaf, as points without a name.
        """
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

    def _block_set(self, leaf: int, block: int) -> isl.Set:
        return self._set_of(leaf, self.model.layout.streams[leaf, block][1])

    def _set_of(self, leaf: int, iterations: object) -> isl.Set:
        tiles = self.model.layout.tiles[leaf]
        if len(iterations) == tiles.size:  # type: ignore[arg-type]
            return self.spaces[leaf]
        nothing = iterations * 0  # type: ignore[operator]
        return pieces_to_set(merge_pieces(piece_per_sample(tiles, iterations, nothing, nothing)))  # type: ignore[arg-type]

    def _prefixes(self, some: Sequence[Leaf], depth: int) -> isl.Set:
        """Return the values of the first loops for which any of the leaves has tile iterations."""
        found = None
        for leaf in some:
            space = self.spaces[leaf.number]
            prefixes = space.project_out(_SET, depth, space.dim(_SET) - depth)
            found = prefixes if found is None else found | prefixes
        if found is None:
            raise AssertionError("a split has leaves")
        return found.coalesce()

    # Finish of a tile iteration

    def read_backs(self, leaf: int) -> Iterator[tuple[int, isl.PwMultiAff]]:
        """Derive which background write-backs the finish of a leaf's tile iterations waits for.

        A tile iteration waits for the write-backs of the elements that it, or one before it,
        reads back.

        Parameters
        ----------
        leaf
            The number of the leaf.

        Yields
        ------
        (block, function)
            The block of write-backs, and tile iteration → the last tile iteration whose
            write-back it waits for.
        """
        for index, block in enumerate(self.model.layout.blocks[leaf]):
            if block.kind == "background" and block.tensor is not None:
                found = last_read_back(
                    self.leaves[leaf], block.tensor, block.level, self.depths[leaf]
                )
                if found is not None:
                    yield index, found
