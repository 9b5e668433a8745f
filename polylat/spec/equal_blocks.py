"""Fold the equal blocks of a network into a loop over one block.

A network of 96 layers is one Sequential whose branches repeat. Where nothing of a block happens
while another one runs, a loop over the blocks, around the first of them, has the same schedules:
each tensor of the block has one more rank, the number of the block. What a block reads of earlier
ones then counts as an input, as the Sequential alone makes it wait for them. Whether blocks overlap
in time depends on options; `polylat.engine.folded_network` decides it.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

from polylat.spec import Spec
from polylat.spec.affine import Affine
from polylat.spec.arch import Arch, Component
from polylat.spec.mapping import (
    Branch,
    Compute,
    Holder,
    Loop,
    Pipeline,
    Sequential,
    Spatial,
    Storage,
    Temporal,
    Toll,
)
from polylat.spec.workload import Einsum, Projection, TensorAccess

__all__ = ["FoldedNetwork", "fold_equal_blocks"]

_FEWEST_BLOCKS = 3
"""Fewest equal blocks that are folded."""

_SMALLEST_BLOCK = 2
"""Fewest branches of a block. With a single one, no Sequential would separate the iterations of the
loop over the blocks."""

_LARGEST_BLOCK = 256
"""Most branches of a block: the search for them takes this many steps per branch."""


@dataclass(frozen=True)
class FoldedNetwork:
    """A network with loops over its equal blocks.

    Parameters
    ----------
    spec
        The folded network. Of each run of equal blocks, it has the Einsums of the first block.
    exchanged
        Its tensors that represent exchanged tensors of the network, which one Einsum produces and
        another one reads.
    cut
        Its tensors that the network produces, and that no Einsum of the folded one does.
    repeated
        Its Einsums that a loop over blocks repeats.
    """

    spec: Spec
    exchanged: frozenset[str]
    cut: frozenset[str]
    repeated: frozenset[str]


def fold_equal_blocks(spec: Spec, apart: Collection[str] = ()) -> FoldedNetwork | None:
    """Fold the equal blocks of a network.

    Parameters
    ----------
    spec
        The network.
    apart
        Tensors that options name: what accesses them is not folded.

    Returns
    -------
    FoldedNetwork or None
        The folded network; None if no blocks of at least two branches of the outermost split are
        equal, or if loops over them could change more than the names.
    """
    network = _Network(spec, frozenset(apart))
    if not network.foldable:
        return None
    runs = _runs(network)
    return _folded(network, runs) if runs else None


# ---- which blocks are equal ------------------------------------------------------------------


class _Network:
    """A network, with the producers, readers and holders of its tensors."""

    def __init__(self, spec: Spec, apart: frozenset[str]) -> None:
        self.spec, self.apart = spec, apart
        root = spec.mapping
        self.branches = root.end.branches if isinstance(root.end, Sequential) else ()
        self.einsums = [[leaf.einsum for leaf in b.leaves()] for b in self.branches]
        self.producer: dict[str, int] = {}
        self.exchanged: set[str] = set()
        self.ordered = self._find_exchanges()
        self.holders: dict[str, list[int]] = {}
        for place, node in enumerate(root.nodes):
            if not isinstance(node, Temporal | Spatial):
                for tensor in node.tensors:
                    self.holders.setdefault(tensor, []).append(place)

    def _find_exchanges(self) -> bool:
        """Find the branch that produces each tensor, and the tensors that are produced and read.

        Return whether each tensor has one producer, whose leaf is before those of its readers.
        """
        written: set[str] = set()
        read: set[str] = set()
        for number, names in enumerate(self.einsums):
            for einsum in map(self.spec.workload.einsum, names):
                read.update(einsum.reads)
                if not read.isdisjoint(einsum.outputs) or not written.isdisjoint(einsum.outputs):
                    return False
                written.update(einsum.outputs)
                self.producer |= dict.fromkeys(einsum.outputs, number)
        self.exchanged = written & read
        return True

    @property
    def foldable(self) -> bool:
        """Whether loops over blocks can change no more than names."""
        nodes = self.spec.mapping.nodes
        return (
            len(self.branches) >= _FEWEST_BLOCKS * _SMALLEST_BLOCK
            and self.ordered
            and not self.spec.workload.earlier
            and not any(isinstance(node, Temporal | Spatial) for node in nodes)
            and all(map(_has_plain_times, self.spec.arch.paths.values()))
        )

    def described(self) -> tuple[list[int], list[list[str]]]:
        """Return per branch the number of its kind, and its tensors in order of appearance.

        Branches are of one kind if they differ in names only.
        """
        kinds: dict[Hashable, int] = {}
        numbers, tensors = [], []
        for branch in self.branches:
            names = _Names()
            shape = self._branch(branch, names)
            properties = tuple(map(self._properties, names.tensors))
            numbers.append(kinds.setdefault((shape, properties), len(kinds)))
            tensors.append(list(names.tensors))
        return numbers, tensors

    def _properties(self, tensor: str) -> Hashable:
        """Describe how the network uses a tensor; one that stays apart equals no other."""
        own = tensor if tensor in self.apart else None
        return tensor in self.exchanged, tuple(self.holders.get(tensor, ())), own

    def held_once(self, tensors: Iterable[str]) -> bool:
        """Whether each tensor is held in at most one node above the split."""
        return all(len(self.holders.get(tensor, ())) <= 1 for tensor in tensors)

    def carried(self, first: int, size: int) -> int:
        """Return the number of tensors that a block reads, and that an earlier one produces."""
        block = range(first, first + size)
        names = [name for number in block for name in self.einsums[number]]
        read = {tensor for name in names for tensor in self.spec.workload.einsum(name).reads}
        return sum(self.producer.get(tensor, first) < first for tensor in read)

    def _branch(self, branch: Branch, names: _Names) -> Hashable:
        nodes = tuple(_node(node, names) for node in branch.nodes)
        end = branch.end
        if isinstance(end, Compute):
            return nodes, end.component, self._einsum(end.einsum, names)
        binding = end.binding if isinstance(end, Pipeline) else None
        return nodes, binding, tuple(self._branch(inner, names) for inner in end.branches)

    def _einsum(self, name: str, names: _Names) -> Hashable:
        einsum, arch = self.spec.workload.einsum(name), self.spec.arch
        accesses = tuple(
            (
                names.tensors[a.tensor],
                tuple(_projection(some, names) for some in a.reads),
                None if a.write is None else _projection(a.write, names),
                a.bits_per_value,
            )
            for a in einsum.accesses
        )
        mine = frozenset(einsum.tensors)
        components = tuple(_component(c, mine, names) for c in arch.paths[name])
        energies = tuple(
            (component, _items(e.per_action), e.leak_power, tuple(e.missing))
            for component, e in arch.energies.get(name, {}).items()
        )
        return (
            names.einsums[name],
            tuple(names.variables[v] for v in einsum.rank_variables),
            _projection(einsum.constraints, names),
            accesses,
            einsum.is_copy,
            einsum.n_instances,
            components,
            energies,
        )


class _Numbers(dict[str, int]):
    """Names → their numbers, in the order in which they are asked for."""

    def __missing__(self, name: str) -> int:
        return self.setdefault(name, len(self))


class _Names:
    """The names in some branches, each kind numbered in order of appearance."""

    def __init__(self) -> None:
        self.tensors, self.variables, self.einsums = _Numbers(), _Numbers(), _Numbers()


def _has_plain_times(path: Sequence[Component]) -> bool:
    """Return whether what a path charges an Einsum for is proportional to what the Einsum does."""
    return not any(
        c.total_latency is not None or c.rigid or any(port.constant for port in c.ports)
        for c in path
    )


def _node(node: Loop | Holder, names: _Names) -> Hashable:
    match node:
        case Storage() | Toll():
            tensors = tuple(names.tensors[t] for t in node.tensors)
            return type(node).__name__, node.component, tensors
        case Temporal():
            return "Temporal", _variables(node, names), node.tile_shape, node.initial_tile_shape
        case Spatial():
            return _variables(node, names), node.tile_shape, node.component, node.dimension


def _variables(loop: Loop, names: _Names) -> Hashable:
    if not loop.by_einsum:
        return names.variables[loop.rank_variable]
    return tuple((names.einsums[e], names.variables[v]) for e, v in loop.by_einsum)


def _projection(indices: Iterable[Affine], names: _Names) -> Hashable:
    return tuple(
        (tuple((names.variables[v], c) for v, c in index.terms), index.constant)
        for index in indices
    )


def _items(values: Mapping[str, Any]) -> Hashable:
    return tuple(values.items())


def _component(c: Component, mine: Collection[str], names: _Names) -> Hashable:
    def by_tensor(values: Mapping[str, Any]) -> Hashable:
        return tuple((names.tensors[t], value) for t, value in values.items() if t in mine)

    actions = tuple(
        (action, None if t is None else names.tensors[t], value)
        for (action, t), value in c.actions_per_value.items()
        if t is None or t in mine
    )
    dims = tuple(
        (d.name, d.fanout, frozenset(names.tensors[t] for t in d.may_reuse if t in mine))
        for d in c.spatial
    )
    ports = tuple((port.name, _items(port.durations)) for port in c.ports)
    times = _items(c.latency), _items(c.setup), _items(c.burst)
    kinds = c.name, c.kind, c.size, c.actions, c.skip_initial_output_write, c.divisible
    own = by_tensor(c.direction), by_tensor(c.bits_per_value)
    return kinds, dims, actions, ports, times, own, repr(c.network), c.physical


@dataclass(frozen=True)
class _Run:
    """Equal blocks, one after another.

    Parameters
    ----------
    first
        The number of the first branch of the first block.
    size
        Number of branches of a block.
    tensors
        Per block, its tensors: those at the same place have the same role.
    """

    first: int
    size: int
    tensors: Sequence[Sequence[str]]

    @property
    def end(self) -> int:
        """The number of the branch behind the last block."""
        return self.first + self.size * len(self.tensors)

    @property
    def saved(self) -> int:
        """Number of branches that a loop over the blocks saves."""
        return self.size * (len(self.tensors) - 1)


def _runs(network: _Network) -> list[_Run]:
    """Return runs of equal blocks that do not overlap, in order; the longest are chosen first."""
    kinds, tensors = network.described()
    chosen: list[_Run] = []
    for first, end, size in _repetitions(kinds):
        if any(first < run.end and run.first < end for run in chosen):
            continue
        run = _aligned(network, tensors, first, end, size)
        if run is not None:
            chosen.append(run)
    return sorted(chosen, key=lambda run: run.first)


def _repetitions(kinds: Sequence[int]) -> list[tuple[int, int, int]]:
    """Return (first, end, period) of the stretches that repeat, the longest first.

    Of stretches that are equally long, the one with the shortest period.
    """
    found = []
    largest = min(_LARGEST_BLOCK, len(kinds) // _FEWEST_BLOCKS)
    for period in range(_SMALLEST_BLOCK, largest + 1):
        equal = (a == b for a, b in zip(kinds, kinds[period:], strict=False))
        place = 0
        for same, several in groupby(equal):
            count = sum(1 for _ in several)
            if same and count >= period * (_FEWEST_BLOCKS - 1):
                found.append((place, place + count + period, period))
            place += count
    return sorted(found, key=lambda one: (one[0] - one[1] + one[2], one[2]))


def _aligned(
    network: _Network, tensors: Sequence[Sequence[str]], first: int, end: int, size: int
) -> _Run | None:
    """Return the longest run of equal blocks in a stretch.

    A block begins where it reads the fewest tensors of the blocks before it; of several such
    places, at the first one after which most blocks fit.
    """
    starts = range(first, min(first + size, end - size * _FEWEST_BLOCKS + 1))
    start = min(starts, key=lambda at: (network.carried(at + size, size), -((end - at) // size)))
    blocks = []
    for at in range(start, end - size + 1, size):
        places: dict[str, int] = {}
        parts = [[places.setdefault(t, len(places)) for t in b] for b in tensors[at : at + size]]
        blocks.append((parts, list(places)))
    runs, at = [], start
    for _, several in groupby(blocks, key=lambda block: block[0]):
        names = [each for _, each in several]
        if len(names) >= _FEWEST_BLOCKS and network.held_once(names[0]):
            runs.append(_Run(at, size, names))
        at += size * len(names)
    return max(runs, key=lambda run: run.saved, default=None)


# ---- the network with loops ------------------------------------------------------------------


class _BlockLoop:
    """The loop over a run of equal blocks, with its tensors renamed."""

    def __init__(self, network: _Network, run: _Run, taken: set[str]) -> None:
        self.run = run
        self.variable = _fresh("block", taken)
        self.rank = _fresh("BLOCK", taken)
        self.tensors = {name: _fresh(name, taken) for name in run.tensors[0]}
        parts = zip(*run.tensors, strict=True)
        self.originals = dict(zip(self.tensors.values(), parts, strict=True))
        self.network = network

    def branch(self, branch: Branch) -> Branch:
        """Rename the tensors in a branch."""
        nodes = tuple(
            node
            if isinstance(node, Temporal | Spatial)
            else replace(node, tensors=tuple(map(self.tensors.__getitem__, node.tensors)))
            for node in branch.nodes
        )
        end = branch.end
        if not isinstance(end, Compute):
            end = replace(end, branches=tuple(map(self.branch, end.branches)))
        return Branch(nodes, end)

    def loop(self) -> Branch:
        """Return the loop over the blocks, around the first of them."""
        run, branches = self.run, self.network.branches
        block = tuple(map(self.branch, branches[run.first : run.first + run.size]))
        return Branch((Temporal(self.variable, 1),), Sequential(block))

    def einsum(self, einsum: Einsum) -> Einsum:
        """Return an Einsum of the first block, repeated for every block."""
        last = len(self.run.tensors) - 1
        bounds = Affine(((self.variable, 1),)), Affine(((self.variable, -1),), last)
        return replace(
            einsum,
            rank_variables=(self.variable, *einsum.rank_variables),
            constraints=(*bounds, *einsum.constraints),
            accesses=tuple(map(self.access, einsum.accesses)),
        )

    def access(self, access: TensorAccess) -> TensorAccess:
        """Return an access to the same tensor of every block."""
        block = Affine(((self.variable, 1),))

        def indexed(projection: Projection) -> Projection:
            return (block, *projection)

        return replace(
            access,
            tensor=self.tensors[access.tensor],
            ranks=(self.rank, *access.ranks),
            reads=tuple(map(indexed, access.reads)),
            write=None if access.write is None else indexed(access.write),
        )

    def component(self, c: Component) -> Component:
        """Return a component as the Einsums of every block see it."""
        names = self.tensors

        def by_tensor(values: Mapping[str, Any]) -> dict[str, Any]:
            return {names[t]: value for t, value in values.items() if t in names}

        return replace(
            c,
            spatial=tuple(
                replace(d, may_reuse=frozenset(names[t] for t in d.may_reuse if t in names))
                for d in c.spatial
            ),
            actions_per_value={
                (action, None if t is None else names[t]): value
                for (action, t), value in c.actions_per_value.items()
                if t is None or t in names
            },
            direction=by_tensor(c.direction),
            bits_per_value=by_tensor(c.bits_per_value),
        )


def _fresh(name: str, taken: set[str]) -> str:
    """Return a name that is not taken, and take it."""
    found, number = name, 0
    while found in taken:
        number += 1
        found = f"{name}_{number}"
    taken.add(found)
    return found


def _folded(network: _Network, runs: Sequence[_Run]) -> FoldedNetwork:
    spec = network.spec
    workload = spec.workload
    taken = {*workload.tensors, *(v for e in workload.einsums for v in e.rank_variables)}
    taken |= {rank for e in workload.einsums for a in e.accesses for rank in a.ranks}
    loops = [_BlockLoop(network, run, taken) for run in runs]
    owner = {
        name: loop
        for loop in loops
        for number in range(loop.run.first, loop.run.first + loop.run.size)
        for name in network.einsums[number]
    }
    dropped = {
        name
        for run in runs
        for number in range(run.first + run.size, run.end)
        for name in network.einsums[number]
    }
    einsums = tuple(
        owner[e.name].einsum(e) if e.name in owner else e
        for e in workload.einsums
        if e.name not in dropped
    )
    accessed = {tensor for e in einsums for tensor in e.tensors}
    produced = {tensor for e in einsums for tensor in e.outputs}
    originals: dict[str, Iterable[str]] = {tensor: (tensor,) for tensor in accessed}
    for loop in loops:
        originals |= loop.originals
    exchanged = {t for t, old in originals.items() if not network.exchanged.isdisjoint(old)}
    cut = {
        t
        for t, old in originals.items()
        if t not in produced and not network.producer.keys().isdisjoint(old)
    }
    paths = {
        e.name: tuple(map(owner[e.name].component, spec.arch.paths[e.name]))
        if e.name in owner
        else spec.arch.paths[e.name]
        for e in einsums
    }
    energies = {e.name: spec.arch.energies[e.name] for e in einsums if e.name in spec.arch.energies}
    folded = replace(
        spec,
        workload=replace(workload, einsums=einsums),
        arch=Arch(spec.arch.order, paths, energies),
        mapping=_mapping(network, loops, accessed),
        source=None,
    )
    return FoldedNetwork(folded, frozenset(exchanged), frozenset(cut), frozenset(owner))


def _mapping(network: _Network, loops: Sequence[_BlockLoop], accessed: Collection[str]) -> Branch:
    """Return the mapping with the loops in place of the blocks."""
    root = network.spec.mapping
    nodes: list[Loop | Holder] = []
    for place, node in enumerate(root.nodes):
        assert not isinstance(node, Temporal | Spatial), "no loops are above the blocks"
        kept = [tensor for tensor in node.tensors if tensor in accessed]
        held = [
            new
            for loop in loops
            for old, new in loop.tensors.items()
            if place in network.holders.get(old, ())
        ]
        nodes.append(replace(node, tensors=(*kept, *held)))
    branches: list[Branch] = []
    at = 0
    for loop in loops:
        branches += [*network.branches[at : loop.run.first], loop.loop()]
        at = loop.run.end
    branches += network.branches[at:]
    if len(branches) == 1:
        (only,) = branches
        return Branch((*nodes, *only.nodes), only.end)
    return Branch(tuple(nodes), Sequential(tuple(branches)))
