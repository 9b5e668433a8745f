"""Properties of a mapping that do not depend on times: actions, busy ports, shared arrays."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction

from polylat.analysis.access import AccessKey, Contention, PortUse, port_name, stage_name
from polylat.engine.model import Model
from polylat.engine.solution import Solution
from polylat.lowering.accesses.blocks import Block
from polylat.lowering.iterations import IterationTable
from polylat.lowering.lowered import LoweredMapping
from polylat.lowering.numbering import Numbering
from polylat.lowering.paths import Leaf
from polylat.lowering.ports import total_values
from polylat.lowering.task_graph import blocks_of_leaf
from polylat.lowering.transfers import TransferOptions
from polylat.lowering.units import Users, users_label
from polylat.numbers import Number, reduce_number
from polylat.spec import Spec

__all__ = [
    "access_counts",
    "background_write_backs",
    "contention",
    "inputs_from_start",
    "missing_write_backs",
    "port_labels",
    "port_uses",
    "total_actions",
]


def access_counts(model: Model) -> dict[AccessKey, Number]:
    """Count the actions of every access.

    Parameters
    ----------
    model
        The mapping.

    Returns
    -------
    dict
        (Einsum, component, tensor or None, action) → number of actions of the busiest unit.
    """
    counts: dict[AccessKey, Fraction] = {}
    for tiles, blocks in zip(model.layout.tiles, model.layout.blocks, strict=True):
        counts |= _actions(model.lowered.spec, tiles, blocks)
    return {key: reduce_number(count) for key, count in counts.items()}


def total_actions(
    lowered: LoweredMapping, layout: Numbering, options: TransferOptions
) -> dict[AccessKey, Number]:
    """Count the actions of every access in all units and all instances of its Einsum.

    Parameters
    ----------
    lowered, layout, options
        The mapping, its tile iterations and blocks, and which transfers are separate.

    Returns
    -------
    dict
        (Einsum, component, tensor or None, action) → number of actions.
    """
    spec = lowered.spec
    counts: dict[AccessKey, Number] = {}
    for tiles, blocks in zip(layout.tiles, layout.blocks, strict=True):
        leaf = tiles.leaf
        instances = spec.workload.n_instances * leaf.einsum.n_instances
        distributed = any(loop.unit is not None for loop in leaf.loops)
        counted = blocks_of_leaf(lowered, tiles, options, "all") if distributed else blocks
        found = _actions(spec, tiles, counted)
        counts |= {key: reduce_number(count * instances) for key, count in found.items()}
    return counts


def _actions(
    spec: Spec, tiles: IterationTable, blocks: Iterable[Block]
) -> dict[AccessKey, Fraction]:
    """Count the actions of a leaf in one instance of its Einsum."""
    counts: dict[AccessKey, Fraction] = {}
    einsum = tiles.leaf.einsum.name
    for block in blocks:
        for access in block.accesses:
            component = spec.arch.component(einsum, access.component)
            each = component.actions_per_value[access.action, access.tensor]
            key = (einsum, access.component, access.tensor, access.action)
            counts[key] = counts.get(key, Fraction(0)) + total_values(access, tiles) * each
    return counts


def port_uses(solution: Solution) -> tuple[PortUse, ...]:
    """Return the busy time of every port.

    Parameters
    ----------
    solution
        The schedule.

    Returns
    -------
    tuple of PortUse
        In the order of the model's ports; times in the architecture's unit of time.
    """
    model, latency = solution.model, solution.schedule.makespan
    return tuple(
        PortUse(*label, solution.time(load), Fraction(load, latency) if latency else Fraction(0))
        for label, load in zip(port_labels(model), model.graph.loads, strict=True)
    )


def port_labels(model: Model) -> list[tuple[str, str, str]]:
    """Return what names each port.

    Parameters
    ----------
    model
        The mapping.

    Returns
    -------
    list of (component, port, units)
        Per port of the model, the arguments of `port_name`.
    """
    paths, leaves = model.lowered.spec.arch.paths, model.lowered.leaves
    components = {c.name: c for path in paths.values() for c in path}
    return [
        (
            key.component,
            components[key.component].ports[key.index].name,
            users_label(leaves, key.users),
        )
        for key in model.costs.ports
    ]


def contention(model: Model) -> tuple[Contention, ...]:
    """Return, per Pipeline, whether its stages share an array or contend for it.

    Parameters
    ----------
    model
        The mapping.

    Returns
    -------
    tuple of Contention
        In the order of the tree.
    """
    spec, leaves = model.lowered.spec, model.lowered.leaves
    units = model.lowered.units
    stages: dict[int, dict[int, int]] = {}
    for leaf in leaves:
        for split in leaf.splits:
            if split.pipeline:
                stages.setdefault(split.node, {})[leaf.number] = split.branch
    found = []
    for stage_of in stages.values():
        components = dict.fromkeys(
            component.name
            for number in stage_of
            for component in spec.arch.paths[leaves[number].einsum.name]
            if component.ports
        )
        shared = {
            name: _contended(model, name, stage_of)
            for name in components
            if any(_of_several(users, stage_of) for users in units[name])
        }
        found.append(
            Contention(
                tuple(stage_name(stage) for stage in _stages(leaves, stage_of)),
                tuple(name for name in components if name not in shared),
                tuple(name for names in shared.values() for name in names),
            )
        )
    return tuple(found)


def _stages(leaves: Sequence[Leaf], stage_of: Mapping[int, int]) -> list[list[Leaf]]:
    """Return the leaves of each stage of a Pipeline."""
    stages: list[list[Leaf]] = [[] for _ in range(max(stage_of.values()) + 1)]
    for number, stage in stage_of.items():
        stages[stage].append(leaves[number])
    return stages


def _contended(model: Model, component: str, stage_of: Mapping[int, int]) -> tuple[str, ...]:
    """Return the names of the units of a component that several stages of a Pipeline use."""
    names = dict.fromkeys(
        port_name(component, "", users_label(model.lowered.leaves, key.users))
        for key in model.costs.ports
        if key.component == component and _of_several(key.users, stage_of)
    )
    return tuple(names) or (component,)


def _of_several(users: Users, stage_of: Mapping[int, int]) -> bool:
    """Return whether some of the leaves are in different stages; `stage_of` has a Pipeline's."""
    return len({stage_of[leaf] for leaf in users if leaf in stage_of}) > 1


def background_write_backs(model: Model) -> set[tuple[str, str]]:
    """Return the write-backs in the background that the mapping has.

    Parameters
    ----------
    model
        The mapping with its options.

    Returns
    -------
    set
        (tensor, component written back from) pairs.
    """
    return {
        (block.tensor, leaf.storages(block.tensor)[block.level].component)
        for leaf, blocks in zip(model.lowered.leaves, model.layout.blocks, strict=True)
        for block in blocks
        if block.background and block.tensor is not None
    }


def inputs_from_start(model: Model) -> tuple[str | None, dict[str, tuple[str, ...]]]:
    """Return the inputs that nothing brings from the outermost memory.

    Parameters
    ----------
    model
        The mapping.

    Returns
    -------
    (str or None, dict)
        The outermost memory that holds anything; and component → the tensors that no Einsum
        produces, and that it holds without a holder further out.
    """
    leaves = model.lowered.leaves
    outermost = next(iter(model.lowered.memories), None)
    produced = {tensor for leaf in leaves for tensor in leaf.einsum.outputs}
    found: dict[str, dict[str, None]] = {}
    for leaf in leaves:
        for tensor in leaf.einsum.inputs:
            storages = leaf.storages(tensor)
            if tensor not in produced and storages and storages[0].component != outermost:
                found.setdefault(storages[0].component, {})[tensor] = None
    return outermost, {component: tuple(tensors) for component, tensors in found.items()}


def missing_write_backs(
    requested: Iterable[tuple[str, str | None]], written: set[tuple[str, str]]
) -> tuple[tuple[str, str | None], ...]:
    """Return the requested write-backs that the mapping does not have.

    Parameters
    ----------
    requested
        The requested (tensor, component) pairs; a component of None means any.
    written
        The write-backs of the mapping, as (tensor, component) pairs.

    Returns
    -------
    tuple
        The requested pairs that are missing, sorted.
    """
    there = {*written, *((tensor, None) for tensor, _ in written)}
    return tuple(sorted(set(requested) - there, key=lambda pair: (pair[0], pair[1] or "")))
