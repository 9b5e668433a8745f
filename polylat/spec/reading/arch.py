"""Evaluate the architecture: from its models to the components that each Einsum sees."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from polylat.errors import SpecError
from polylat.spec.arch import Arch, Component
from polylat.spec.energy import ComponentEnergy
from polylat.spec.reading.components import ArchView
from polylat.spec.reading.expressions.scope import Scope
from polylat.spec.reading.location import Location
from polylat.spec.reading.machine import read_machine
from polylat.spec.reading.models import arch as m
from polylat.spec.reading.networks import with_links
from polylat.spec.reading.workload import EvaluatedWorkload


@dataclass(frozen=True)
class _Placed:
    """A component of the architecture, its location in the input, and what is around it."""

    model: m.SpatialableModel
    at: Location
    forks: tuple[Location, ...]
    array: tuple[m.ArrayModel, Location] | None = None
    """Of a component inside an Array: that Array and its location."""

    @property
    def kind(self) -> str:
        """The kind: Memory, Toll, Compute, Container, Array or Network."""
        return type(self.model).__name__.removesuffix("Model")


def build_arch(
    model: m.ArchModel,
    computes: Mapping[str, str],
    workload: EvaluatedWorkload,
    variables: Scope,
    schedule: Mapping[str, Any],
    at: Location,
) -> Arch:
    """Evaluate the components that each Einsum sees on the path to the Compute that runs it.

    Parameters
    ----------
    model
        The top-level key ``arch``.
    computes
        Einsum → name of the Compute that runs it, from the mapping.
    workload
        The evaluated workload and the names that expressions may use.
    variables
        The input's variables, without those of the architecture.
    schedule
        The top-level key ``schedule``, which has some properties of components.
    at
        The root of the input.

    Returns
    -------
    Arch
        The architecture, with a path for every Einsum in `computes`.
    """
    here = at / "arch"
    components = list(_walk(model.nodes, here / "nodes", ()))
    order = tuple(c.model.name for c in components)
    machine = read_machine(schedule, {c.model.name: c.model for c in components}, at)
    divisible = _divisible(components)
    gated = _power_gating(model.nodes, here / "nodes")
    paths: dict[str, tuple[Component, ...]] = {}
    energies: dict[str, dict[str, ComponentEnergy]] = {}
    for einsum in workload.workload.einsums:
        if einsum.name not in computes:
            continue
        path = _path(components, computes[einsum.name])
        view = ArchView(
            model,
            [(c.model, c.at) for c in components],
            variables,
            workload.scopes[einsum.name],
            workload.tensors[einsum.name],
            machine,
            here.for_einsum(einsum.name),
        )
        bits = {a.tensor: a.bits_per_value for a in einsum.accesses}
        paths[einsum.name] = tuple(
            replace(
                view.component(c.model, c.at, bits, c.array), divisible=c.model.name in divisible
            )
            for c in path
        )
        energies[einsum.name] = {
            c.model.name: view.energy(c.model, c.at, _above(components, c), gated)
            for c in components
            if isinstance(c.model, m.ComponentModel)
        }
    return Arch(order, with_links(paths), energies)


def component_kinds(model: m.ArchModel, at: Location) -> dict[str, str]:
    """Return the kinds of all components; check that names are unique.

    Parameters
    ----------
    model
        The top-level key ``arch``.
    at
        The root of the input.

    Returns
    -------
    dict
        Name → kind, in order of the input.

    Raises
    ------
    SpecError
        If there is no component, a name occurs twice, or an Array contains something else.
    """
    components = list(_walk(model.nodes, at / "arch" / "nodes", ()))
    _check_names(components, at / "arch")
    return {c.model.name: c.kind for c in components}


def _walk(nodes: list[Any], at: Location, forks: tuple[Location, ...]) -> Iterator[_Placed]:
    for index, node in enumerate(nodes):
        place = at / index
        if isinstance(node, m.ForkModel):
            yield from _walk(node.nodes, place / "nodes", (*forks, place))
        elif isinstance(node, m.HierarchicalModel):
            yield from _walk(node.nodes, place / "nodes", forks)
        elif isinstance(node, m.ArrayModel):
            yield from _array(node, place, forks)
        else:
            yield _Placed(node, place, forks)


def _array(node: m.ArrayModel, place: Location, forks: tuple[Location, ...]) -> Iterator[_Placed]:
    """Iterate over the components in an Array, then the Array; they lie above its units."""
    for index, inner in enumerate(node.nodes):
        where = place / "nodes" / index
        if not isinstance(inner, m.SpatialableModel) or isinstance(inner, m.ArrayModel):
            raise SpecError(
                "an Array may contain components only",
                where=str(where),
                fix="put it below the Array",
            )
        if isinstance(inner, m.ComputeModel):
            raise SpecError(
                f"the Compute {inner.name!r} is inside an Array",
                where=str(where),
                fix="put it below the Array",
            )
        yield _Placed(inner, where, forks, (node, place))
    yield _Placed(node, place, forks)


def _check_names(components: list[_Placed], here: Location) -> None:
    if not components:
        raise SpecError(
            "the architecture has no components", where=str(here / "nodes"), fix="add one"
        )
    seen: set[str] = set()
    for component in components:
        name = component.model.name
        if name in seen:
            raise SpecError(
                f"two components are named {name!r}", where=str(component.at), fix="rename one"
            )
        seen.add(name)
        dims: set[str] = set()
        for index, dim in enumerate(component.model.spatial):
            if dim.name in dims:
                raise SpecError(
                    f"{name!r} has two spatial dimensions named {dim.name!r}",
                    where=str(component.at / "spatial" / index),
                    fix="rename one",
                )
            dims.add(dim.name)
        actions: set[str] = set()
        for index, action in enumerate(getattr(component.model, "actions", ())):
            if action.name in actions:
                raise SpecError(
                    f"{name!r} has two actions named {action.name!r}",
                    where=str(component.at / "actions" / index),
                    fix="rename one",
                )
            actions.add(action.name)


def _above(
    components: list[_Placed], component: _Placed
) -> list[tuple[m.SpatialableModel, Location]]:
    """Return the components above another one, and the Array that it is in."""
    at = components.index(component)
    return [
        (c.model, c.at)
        for n, c in enumerate(components)
        if (n < at and c.array is None and c.forks == component.forks[: len(c.forks)])
        or (component.array is not None and c.at is component.array[1])
    ]


def _divisible(components: list[_Placed]) -> set[str]:
    """Return the components whose units the stages of a Pipeline may divide among themselves.

    Without the key ``support_concurrent_binding`` of AccelForge's branch ``pipeline`` these are
    all. A component that gives it implies those above it; if one does, others do not support it.
    """
    given = {c.model.name: getattr(c.model, "support_concurrent_binding", None) for c in components}
    if not any(given.values()):
        return {name for name, flag in given.items() if flag is None}
    found = {name for name, flag in given.items() if flag}
    for component in components:
        if given[component.model.name]:
            found |= {
                model.name
                for model, _ in _above(components, component)
                if not isinstance(model, m.ComputeModel)
            }
    return found


def _power_gating(nodes: list[Any], at: Location) -> Location | None:
    """Return the location of the first key that switches off unused components."""
    for index, node in enumerate(nodes):
        place = at / index
        for key in ("forked_power_gateable", "non_forked_power_gateable"):
            if _is_set(getattr(node, key, False)):
                return place / key
        for i, dim in enumerate(getattr(node, "spatial", ())):
            if _is_set(dim.power_gateable):
                return place / "spatial" / i / "power_gateable"
        if (found := _power_gating(getattr(node, "nodes", []), place / "nodes")) is not None:
            return found
    return None


def _is_set(flag: object) -> bool:
    """Return whether a flag may be true: anything but a literal ``False``."""
    return str(flag).strip().lower() not in ("false", "none", "0")


def _path(components: list[_Placed], compute: str) -> list[_Placed]:
    """Return the components from the outermost to a Compute, without those in other branches."""
    target = next(c for c in components if c.model.name == compute)
    path: list[_Placed] = []
    for component in components:
        if component is target:
            return [*path, component]
        on_path = component.forks == target.forks[: len(component.forks)]
        if on_path and component.kind != "Compute":
            path.append(component)
    raise AssertionError(compute)
