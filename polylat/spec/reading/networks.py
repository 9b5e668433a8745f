"""Evaluate Networks, and the memories that are distributed over an Array."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any, cast

from polylat.errors import SpecError, UnsupportedError
from polylat.spec.arch import Component, Port, SpatialDim
from polylat.spec.network import HOP, Network, NetworkTime, PhysicalDim, Topology
from polylat.spec.reading.actions import Actions
from polylat.spec.reading.expressions.max_plus import MaxPlusLatency
from polylat.spec.reading.expressions.scope import Scope
from polylat.spec.reading.location import Location
from polylat.spec.reading.models import arch as m
from polylat.spec.reading.ports import latency_forms
from polylat.spec.reading.suggest import did_you_mean, format_value

__all__ = ["build_network", "physical_dims", "with_links"]

_TOPOLOGIES = ("mesh", "all_to_all")
_MAX_HOPS, _TRAFFIC = "max_hops", "max_link_traffic"
_DEFAULT_LATENCY = (
    "max(max_hops * actions['hop'].latency, max_link_traffic / actions['hop'].throughput)"
)


def build_network(
    model: m.NetworkModel, actions: Actions, scope: Scope, actions_scale: Fraction, at: Location
) -> Network:
    """Evaluate the topology of a Network and its ``total_latency``.

    Parameters
    ----------
    model, actions
        The Network and its actions.
    scope
        The names that ``total_latency`` may use, other than ``actions``, ``max_hops`` and
        ``max_link_traffic``.
    actions_scale
        The evaluated ``actions_scale``.
    at
        Location of the Network in the input.

    Returns
    -------
    Network
        The Network.

    Raises
    ------
    SpecError
        The topology does not exist, or the Network has separate ports for reads and writes.
    ExpressionError
        ``total_latency`` is not a finite time.
    UnsupportedError
        ``total_latency`` is not a maximum of sums, subtracts, or has a constant.
    """
    if model.separate_read_write_ports:
        raise SpecError(
            f"the Network {model.name!r} has no reads and writes to separate",
            where=str(at / "separate_read_write_ports"),
            fix="remove the key",
        )
    topology = (
        "mesh" if model.topology is None else getattr(model.topology, "value", model.topology)
    )
    if topology not in _TOPOLOGIES:
        raise SpecError(
            f"{format_value(topology)} is not a topology",
            where=str(at / "topology"),
            fix=did_you_mean(topology, _TOPOLOGIES),
        )
    table: dict[str, Any] = {name: MaxPlusLatency.calls(name) for name in (_MAX_HOPS, _TRAFFIC)}
    table["actions"] = actions.table()
    text = _DEFAULT_LATENCY if model.total_latency is None else model.total_latency
    forms = latency_forms(
        model.name, text, Scope(table, scope), at, example=f"max({_MAX_HOPS}, {_TRAFFIC} / 2)"
    )
    if any(form.constant for form in forms):
        raise UnsupportedError(
            f"the total_latency of the Network {model.name!r} has a constant",
            where=str(at / "total_latency"),
            fix=f"write it with {_MAX_HOPS} and {_TRAFFIC} only",
        )
    zero = Fraction(0)
    times = (NetworkTime(f.terms.get(_MAX_HOPS, zero), f.terms.get(_TRAFFIC, zero)) for f in forms)
    return Network(cast("Topology", topology), tuple(times), actions_scale)


def physical_dims(
    name: str, spatial: Sequence[SpatialDim], array: Sequence[SpatialDim], at: Location
) -> tuple[PhysicalDim, ...]:
    """Return the dimensions of an Array over which a component in it is distributed.

    Parameters
    ----------
    name
        Name of the component.
    spatial
        Its own dimensions, and those of the Array.
    array
        The dimensions of the Array.
    at
        Location of the component in the input.

    Returns
    -------
    tuple of PhysicalDim
        One for each of its dimensions.

    Raises
    ------
    SpecError
        The Array has no such dimension, or fewer units along it.
    """
    fanouts = {dim.name: dim.fanout for dim in array}
    found: list[PhysicalDim] = []
    for index, dim in enumerate(spatial):
        if dim.name not in fanouts:
            raise SpecError(
                f"{name!r} is distributed along {dim.name!r}, which is no dimension of its Array",
                where=str(at / "spatial" / index),
                fix=did_you_mean(dim.name, tuple(fanouts)),
            )
        if dim.fanout > fanouts[dim.name]:
            raise SpecError(
                f"{name!r} has {dim.fanout} instances along {dim.name!r}, where its Array has"
                f" {fanouts[dim.name]} units",
                where=str(at / "spatial" / index / "fanout"),
                fix=f"use at most {fanouts[dim.name]}",
            )
        found.append(PhysicalDim(dim.name, dim.fanout, Fraction(fanouts[dim.name], dim.fanout)))
    return tuple(found)


def with_links(
    paths: Mapping[str, Sequence[Component]],
) -> dict[str, tuple[Component, ...]]:
    """Give each Network its links: a port per dimension of the components below it on any path.

    Parameters
    ----------
    paths
        Einsum → the components on the path to its Compute, outer to inner.

    Returns
    -------
    dict
        The same paths. A Network has the same ports on all of them.
    """
    dims: dict[str, dict[str, None]] = {}
    for path in paths.values():
        for index, component in enumerate(path):
            if component.network is not None:
                below = dict.fromkeys(dim.name for c in path[index:] for dim in c.spatial)
                dims.setdefault(component.name, {}).update(below)

    def linked(component: Component) -> Component:
        if component.network is None:
            return component
        times = {HOP: component.network.per_action}
        ports = tuple(Port(name, times) for name in dims[component.name])
        return replace(component, ports=ports)

    return {einsum: tuple(map(linked, path)) for einsum, path in paths.items()}
