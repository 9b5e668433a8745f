"""Rule 3 of *What waits for what*: capacity."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from .lowered import Lowered
from .paths import Leaf
from .problem import Index, Node
from .steps import Wait
from .transfers import Run


class Capacity:
    """Rule 3 for all holders of a mapping."""

    def __init__(self, lowered: Lowered) -> None:
        self.lowered = lowered
        self.touches_cache: dict[tuple[Node, str], Mapping[Index, set[Wait]]] = {}
        self.tiles_cache: dict[Node, list[Index]] = {}

    def waits(self, run: Run, iteration: Index) -> set[Wait]:
        """Capacity: a producer waits for room where it exchanges and where it writes back from."""
        leaf = run.leaf
        waits: set[Wait] = set()
        for tensor in leaf.einsum.tensors:
            if not leaf.einsum.writes(tensor):
                continue
            exchanges = self.lowered.exchange_holders(tensor)
            for level, node in enumerate(leaf.storages(tensor)):
                tile = self.tile_before(leaf, tensor, node, iteration)
                if tile is None:
                    continue
                if node in exchanges:
                    waits |= self.touches(node, tensor).get(tile, set())
                elif level > 0 and run.transfers[tensor, level].separate:
                    waits |= backs_out_of(run, tensor, level, tile)
        return waits

    def waits_of_fill(self, run: Run, tensor: str, level: int, iteration: Index) -> set[Wait]:
        """Capacity: the fill of tile κ waits for everything that touches tile κ − slots."""
        node = run.leaf.storages(tensor)[level]
        tile = self.tile_before(run.leaf, tensor, node, iteration)
        return set() if tile is None else self.touches(node, tensor).get(tile, set())

    def tile_before(self, leaf: Leaf, tensor: str, node: Node, iteration: Index) -> Index | None:
        """Capacity: tile κ − slots of a holder, where κ is the tile of a tile iteration."""
        slots = self.lowered.options.slots_of(tensor, node.data["component"])
        depth = leaf.depth(node)
        if slots is None or depth == 0:
            return None
        tiles = self.tiles(node, depth)
        place = tiles.index(iteration[:depth]) - slots
        return tiles[place] if place >= 0 else None

    def tiles(self, node: Node, depth: int) -> list[Index]:
        """Capacity: the tiles that contain an operation of some leaf below, in order."""
        if node not in self.tiles_cache:
            below = [run for run in self.lowered.runs if run.leaf.below(node)]
            tiles = {iteration[:depth] for run in below for iteration in run.iterations}
            self.tiles_cache[node] = sorted(tiles)
        return self.tiles_cache[node]

    def touches(self, node: Node, tensor: str) -> Mapping[Index, set[Wait]]:
        """Touches: per tile of a holder, when everything that touches it has been served.

        A tile iteration with an access that reads or writes that holder for that tensor, its
        separate transfers included; a separate write-back is served by itself.
        """
        if (node, tensor) not in self.touches_cache:
            touches: dict[Index, set[Wait]] = defaultdict(set)
            for run in self.lowered.runs:
                if run.leaf.below(node) and run.leaf.einsum.reads_or_writes(tensor):
                    self.add_touches(touches, run, node, tensor)
            self.touches_cache[node, tensor] = touches
        return self.touches_cache[node, tensor]

    def add_touches(
        self, touches: dict[Index, set[Wait]], run: Run, node: Node, tensor: str
    ) -> None:
        """Touches: those of one leaf, through the transfers into the holder and out of it."""
        leaf = run.leaf
        depth, level = leaf.depth(node), leaf.storages(tensor).index(node)
        for inner in (level, level + 1):
            transfer = run.transfers.get((tensor, inner))
            if transfer is None:
                continue
            for iteration in {*transfer.down, *transfer.up}:
                touches[iteration[:depth]].add(Wait(("served", leaf.order, iteration), "served"))
            if transfer.separate:
                for iteration in transfer.up:
                    key = ("back", leaf.order, iteration, inner, tensor)
                    touches[iteration[:depth]].add(Wait(key, "served"))


def backs_out_of(run: Run, tensor: str, level: int, tile: Index) -> set[Wait]:
    """Capacity: until the separate write-backs out of a tile of a holder have been served."""
    return {
        Wait(("back", run.leaf.order, iteration, level, tensor), "served")
        for iteration in run.transfers[tensor, level].up
        if iteration[: len(tile)] == tile
    }
