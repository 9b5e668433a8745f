"""Identify tensors that are earlier states with their states, in all parts of an input.

The input keeps its names beside those of the states, as AccelForge prices the tensors by them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from polylat.errors import MappingError, SpecError
from polylat.spec.arch import Arch, Component
from polylat.spec.mapping import Branch, Compute, Holder, Loop, Storage, Toll
from polylat.spec.reading.recurrences import EarlierState
from polylat.spec.workload import Einsum, TensorAccess, Workload


def identified_workload(workload: Workload, states: Sequence[EarlierState]) -> Workload:
    """Return a workload that accesses states instead of earlier states.

    Parameters
    ----------
    workload
        The workload.
    states
        The earlier states.

    Returns
    -------
    Workload
        The same Einsums; those that change keep their accesses by the names of the input.
    """
    known = {found.name: found for found in states}
    return replace(
        workload,
        einsums=tuple(_identified(einsum, known) for einsum in workload.einsums),
        earlier=tuple((found.name, found.state) for found in states),
    )


def _identified(einsum: Einsum, known: Mapping[str, EarlierState]) -> Einsum:
    if known.keys().isdisjoint(einsum.tensors):
        return einsum
    joined: dict[str, TensorAccess] = {}
    for access in einsum.accesses:
        found = known.get(access.tensor)
        own = access if found is None else found.of_state(access)
        before = joined.get(own.tensor)
        if before is not None:
            write = own.write if before.write is None else before.write
            own = replace(before, reads=(*before.reads, *own.reads), write=write)
        joined[own.tensor] = own
    return replace(einsum, accesses=tuple(joined.values()), original=einsum.accesses)


def identified_mapping(mapping: Branch, states: Sequence[EarlierState]) -> Branch:
    """Return a mapping whose nodes hold states instead of earlier states.

    Parameters
    ----------
    mapping
        The mapping.
    states
        The earlier states.

    Returns
    -------
    Branch
        The same tree. Of two nodes on a path that hold a state in one component, the outer one
        does; the inner one may be left without tensors.

    Raises
    ------
    MappingError
        There is a loop between two such nodes.
    """
    return _branch(mapping, {found.name: found for found in states}, {}, 0)


@dataclass(frozen=True)
class _Held:
    """A node that holds a state.

    Parameters
    ----------
    name, where
        The name that it gives the state, and its location in the input.
    loops
        The number of loops above it.
    """

    name: str
    where: str
    loops: int


def _branch(
    branch: Branch,
    known: Mapping[str, EarlierState],
    above: Mapping[tuple[str, str], _Held],
    loops: int,
) -> Branch:
    states = {found.state for found in known.values()}
    held = dict(above)
    nodes: list[Loop | Holder] = []
    for node in branch.nodes:
        if not isinstance(node, Storage | Toll):
            loops += 1
            nodes.append(node)
            continue
        tensors: list[str] = []
        for name in node.tensors:
            tensor = known[name].state if name in known else name
            if tensor in states:
                here = _Held(name, node.where, loops)
                outer = held.setdefault((tensor, node.component), here)
                if outer is not here:
                    _check_between(outer, here, tensor, node.component)
                    continue
            tensors.append(tensor)
        changes = not states.union(known).isdisjoint(node.tensors)
        original = node.tensors if changes else None
        nodes.append(replace(node, tensors=tuple(tensors), original=original))
    end = branch.end
    if not isinstance(end, Compute):
        inner = tuple(_branch(below, known, held, loops) for below in end.branches)
        end = replace(end, branches=inner)
    return Branch(tuple(nodes), end)


def _check_between(outer: _Held, inner: _Held, state: str, component: str) -> None:
    """Refuse two nodes that would hold tiles of a state of different sizes, or at other times."""
    if outer.loops != inner.loops:
        names = f"{outer.name!r} outside of a loop and {inner.name!r} inside"
        raise MappingError(
            f"{component!r} holds {names}, which are both {state!r} (schedule.recurrences)",
            where=inner.where or None,
            fix=f"hold both on the same side of the loop; the other node is at {outer.where}",
        )


def identified_arch(
    arch: Arch, workload: Workload, mapping: Branch, states: Sequence[EarlierState]
) -> Arch:
    """Return an architecture that knows states by their own names, too.

    Parameters
    ----------
    arch
        The architecture.
    workload, mapping
        The workload and the mapping by the names of the input.
    states
        The earlier states.

    Returns
    -------
    Arch
        The architecture. What an array shares of a state that an Einsum writes is what it shares
        of the output.

    Raises
    ------
    SpecError
        A component that holds them treats a state and an earlier one differently.
    """
    holders = _holders(mapping)
    paths = dict(arch.paths)
    for einsum in workload.einsums:
        own = [found for found in states if found.name in einsum.tensors]
        if own:
            components = paths[einsum.name]
            paths[einsum.name] = tuple(_component(c, einsum, own, holders) for c in components)
    return replace(arch, paths=paths)


def _holders(branch: Branch) -> set[tuple[str, str]]:
    """Return (component, tensor) of every node."""
    found = {
        (node.component, tensor)
        for node in branch.nodes
        if isinstance(node, Storage | Toll)
        for tensor in node.tensors
    }
    if not isinstance(branch.end, Compute):
        found = found.union(*map(_holders, branch.end.branches))
    return found


def _component(
    component: Component,
    einsum: Einsum,
    states: Sequence[EarlierState],
    holders: set[tuple[str, str]],
) -> Component:
    actions = dict(component.actions_per_value)
    bits = dict(component.bits_per_value)
    direction = dict(component.direction)
    for found in states:
        at = _Place(component, einsum.name, found, component.network is not None)
        if not holders.isdisjoint({(component.name, found.name), (component.name, found.state)}):
            at = replace(at, used=True)
        for action, tensor in component.actions_per_value:
            if tensor == found.name:
                what = f"number of actions {action!r} per value"
                at.give(actions, (action, found.state), actions[action, tensor], what)
        for table, what in ((bits, "bits_per_value"), (direction, "direction")):
            if found.name in table:
                at.give(table, found.state, table[found.name], what)
    spatial = tuple(
        replace(dim, may_reuse=_reused(dim.may_reuse, einsum, states)) for dim in component.spatial
    )
    return replace(
        component,
        actions_per_value=actions,
        bits_per_value=bits,
        direction=direction,
        spatial=spatial,
    )


@dataclass(frozen=True)
class _Place:
    """A component as an Einsum that reads an earlier state sees it.

    Parameters
    ----------
    component, einsum
        The component and the Einsum.
    state
        The earlier state.
    used
        Whether values of the state are accessed there.
    """

    component: Component
    einsum: str
    state: EarlierState
    used: bool

    def give(self, table: dict[Any, Any], key: object, value: object, what: str) -> None:
        """Give the state what the earlier one has."""
        other = table.setdefault(key, value)
        if other != value and self.used:
            name, state = self.state.name, self.state.state
            raise SpecError(
                f"{self.component.name!r} has another {what} for {name!r} than for {state!r},"
                f" in Einsum {self.einsum!r}: {value} and {other}",
                where=self.state.at,
                fix="let the architecture treat the two alike",
            )


def _reused(
    names: frozenset[str], einsum: Einsum, states: Sequence[EarlierState]
) -> frozenset[str]:
    """Return what units may share, with states that the Einsum only reads."""
    found = set(names)
    for state in {s.state for s in states if s.state not in einsum.tensors}:
        if all(s.name in names for s in states if s.state == state):
            found.add(state)
    return frozenset(found)
