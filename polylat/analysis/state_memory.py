"""What it takes to hold the states of a recurrence: all of them, or those of one step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from polylat.engine.model import Model
from polylat.lowering.accesses.counting import tile_elements
from polylat.lowering.holder_tiles import holder_tiles
from polylat.lowering.paths import Leaf, PathHolder, PathLoop, producer_of
from polylat.numbers import Number, format_number, reduce_number
from polylat.spec.workload import Einsum

__all__ = ["StateMemory", "StateTile", "state_memory"]


@dataclass(frozen=True)
class StateTile:
    """The tile of a state that a Storage holds.

    Parameters
    ----------
    component
        The memory.
    elements, bits
        The size of its largest tile, in one unit.
    written_back
        Whether every state is written back from it to the Storage outside of it.
    """

    component: str
    elements: int
    bits: Number
    written_back: bool


@dataclass(frozen=True)
class StateMemory:
    """What it takes to hold a state of a recurrence.

    Parameters
    ----------
    tensor
        The state.
    tiles
        Per Storage on the path of its producer, outermost first, the tile that it holds.
    step_elements, step_bits
        The size of the tile that a Storage directly below the loop that carries the recurrence
        would hold, in the innermost of these memories: what one step reads and writes.
    last_read_by
        The Einsums outside of that loop that read the state, if they read states of fixed steps
        only, such as the last one.
    all_read_by
        Those that read the states of all steps.
    inner
        The innermost memory that holds the state, or the next one inside of it: a memory for the
        rolling form. None where the state's only memory is the innermost one.
    """

    tensor: str
    tiles: tuple[StateTile, ...]
    step_elements: int
    step_bits: Number
    last_read_by: tuple[str, ...]
    all_read_by: tuple[str, ...]
    inner: str | None

    @property
    def rolling(self) -> bool:
        """Whether no Storage holds more than one step needs."""
        return all(tile.elements <= self.step_elements for tile in self.tiles)

    def __str__(self) -> str:
        held = ", ".join(
            f"{tile.component} holds {_size(tile.elements, tile.bits)}" for tile in self.tiles
        )
        step = _size(self.step_elements, self.step_bits)
        sentence = f"State {self.tensor}: {held}; a step needs {step}."
        return f"{sentence} {self.advice}" if self.advice else sentence

    @property
    def advice(self) -> str:
        """What holding the last state only would need, in a sentence; empty if it is so."""
        if self.rolling:
            return ""
        if self.all_read_by:
            return f"{', '.join(self.all_read_by)}, outside of the loop, reads those of all steps."
        if len(self.tiles) == 1 and self.inner is None:
            return (
                "The whole tile is reserved, as in AccelForge; hardware may overwrite states that"
                " no later step reads."
            )
        reader = ", ".join(self.last_read_by)
        return f"To keep the last one only: {self.tensor} in {self.inner} alone" + (
            f", out of which {reader} reads it."
            if reader
            else ", and a copy Einsum that takes it out if it is wanted."
        )


def _size(elements: int, bits: Number) -> str:
    """Return a size in words."""
    one, bit = "" if elements == 1 else "s", "" if bits == 1 else "s"
    return f"{format_number(elements)} element{one} ({format_number(bits)} bit{bit})"


def state_memory(
    model: Model, tensor: str, below: Sequence[Leaf], carrying: PathLoop
) -> StateMemory:
    """Return what it takes to hold a state.

    Parameters
    ----------
    model
        The mapping.
    tensor
        The state.
    below
        The leaves below the loop that carries the recurrence.
    carrying
        That loop.

    Returns
    -------
    StateMemory
        The tiles, and what one step needs.
    """
    spec, layout = model.lowered.spec, model.layout
    users = model.lowered.users[tensor]
    producer = producer_of(users, tensor)
    tiles = []
    for level, holder in enumerate(producer.storages(tensor)):
        found = holder_tiles(spec, users, layout, tensor, level, holder)
        elements = int(found.elements.max())
        bits = reduce_number(elements * found.bits_per_value)
        tiles.append(StateTile(holder.component, elements, bits, level > 0))
    numbers = {leaf.number for leaf in below}
    inside = [leaf for leaf in users if leaf.number in numbers]
    outside = [leaf.einsum for leaf in users if leaf.number not in numbers]
    steps = _variable(producer, carrying)
    reads_last = {e.name: _reads_fixed_steps(e, tensor, producer.einsum, steps) for e in outside}
    step = max(_elements_of_a_step(model, leaf, tensor, carrying) for leaf in inside)
    per_value = Fraction(tiles[-1].bits) / tiles[-1].elements
    return StateMemory(
        tensor,
        tuple(tiles),
        step,
        reduce_number(step * per_value),
        tuple(name for name, last in reads_last.items() if last),
        tuple(name for name, last in reads_last.items() if not last),
        _inner(model, producer, tensor),
    )


def _elements_of_a_step(model: Model, leaf: Leaf, tensor: str, carrying: PathLoop) -> int:
    """Return the elements that a leaf touches in one iteration of the loops over the steps.

    These are those of a tile of a Storage directly below the innermost of the leaf's shared loops
    over the variable of the steps.
    """
    tiles = model.layout.tiles[leaf.number]
    variable = _variable(leaf, carrying)
    depth = 1 + max(
        k for k, loop in enumerate(leaf.temporal[: tiles.depth]) if loop.variable == variable
    )
    outer = leaf.storages(tensor)[0]
    storage = PathHolder(
        node=outer.node,
        component=leaf.storages(tensor)[-1].component,
        toll=False,
        position=leaf.temporal_positions[depth - 1] + 1,
        depth=depth,
        above_split=False,
    )
    changed = replace(leaf, holders={**leaf.holders, tensor: (storage,)})
    components = {c.name: c for c in model.lowered.spec.arch.paths[leaf.einsum.name]}
    return int(tile_elements(replace(tiles, leaf=changed), components, tensor, 0).max())


def _variable(leaf: Leaf, carrying: PathLoop) -> str:
    """Return the leaf's own rank variable of the loop that carries the recurrence."""
    return next(loop.variable for loop in leaf.temporal if loop.node == carrying.node)


def _reads_fixed_steps(reader: Einsum, tensor: str, producer: Einsum, steps: str) -> bool:
    """Return whether an Einsum reads a state at fixed indices of the ranks of the steps.

    `steps`: the rank variable of the steps where the state is computed.
    """
    written = producer.written(tensor)
    ranks = [r for r, index in enumerate(written) if steps in index.variables]
    return all(not read[r].variables for read in reader.access(tensor).reads for r in ranks)


def _inner(model: Model, producer: Leaf, tensor: str) -> str | None:
    """Return the memory for the rolling form: the inner one of several, or the next one inside."""
    storages = producer.storages(tensor)
    if len(storages) > 1:
        return storages[-1].component
    arch, name = model.lowered.spec.arch, producer.einsum.name
    return next(iter(arch.memories_inside(name, storages[0].component)), None)
