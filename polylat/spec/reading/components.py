"""Evaluate components as one Einsum sees them; expressions are evaluated on first use."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from functools import partial
from math import prod
from typing import Any, cast

from polylat.errors import ExpressionError, SpecError
from polylat.spec.arch import Component, Direction, Kind, Port, SpatialDim
from polylat.spec.energy import ComponentEnergy
from polylat.spec.network import HOP, Network, PhysicalDim
from polylat.spec.reading.actions import Actions
from polylat.spec.reading.energies import component_energy
from polylat.spec.reading.expressions.evaluation import (
    evaluate_number,
    evaluate_positive,
    evaluate_whole,
)
from polylat.spec.reading.expressions.fields import lazy_field, lazy_value, variables_table
from polylat.spec.reading.expressions.kinds import describe_result
from polylat.spec.reading.expressions.lazy_value import LazyValue
from polylat.spec.reading.expressions.objects import Fields
from polylat.spec.reading.expressions.scope import Scope
from polylat.spec.reading.expressions.sets import NameSet
from polylat.spec.reading.expressions.tensor_sets import evaluate_set, values_by_tensor
from polylat.spec.reading.location import Location
from polylat.spec.reading.machine import Machine
from polylat.spec.reading.models import arch as m
from polylat.spec.reading.networks import build_network, physical_dims
from polylat.spec.reading.ports import build_ports
from polylat.spec.reading.rates import throughput_scale
from polylat.spec.reading.suggest import did_you_mean, format_value
from polylat.spec.total_latency import TotalLatency

_DIRECTIONS = ("up", "down", "up_and_down")
# Fields that expressions cannot use: they have another meaning there, or none.
_OPAQUE = frozenset(
    ("actions", "component_model", "component_modeling_log", "spatial", "tensors", "total_latency")
    + ("support_concurrent_binding", "type")
)


class ArchView:
    """The architecture as one Einsum sees it.

    Parameters
    ----------
    model
        The top-level key ``arch``.
    components
        All components, and their locations in the input.
    variables
        The input's variables, without those of the architecture.
    einsum_scope
        The names that every expression of the Einsum may use.
    everything
        All tensors of the Einsum.
    machine
        What ``schedule:`` says about the components.
    here
        Location of the architecture in the input, in the context of the Einsum.
    """

    def __init__(
        self,
        model: m.ArchModel,
        components: list[tuple[m.SpatialableModel, Location]],
        variables: Scope,
        einsum_scope: Scope,
        everything: NameSet,
        machine: Machine,
        here: Location,
    ) -> None:
        self.variables = variables
        self.machine = machine
        self.everything = everything
        self.einsum = str(here.einsum)
        names: dict[str, Any] = {}
        self.outer = Scope(names, einsum_scope)
        extras_at = here / "extra_attributes_for_all_component_models"
        self.extras = {
            key: lazy_value(value, self.outer, extras_at / key)
            for key, value in model.extra_attributes_for_all_component_models.items()
        }
        own = variables_table(model.variables, self.outer, here / "variables")
        own["variables"] = Fields("variables", {**variables.table, **own})
        names.update(own)
        self._actions: dict[str, Actions] = {}
        self.tables: dict[str, Mapping[str, Any]] = {}
        self.scopes: dict[str, Scope] = {}
        self.places = {c.name: at.for_einsum(self.einsum) for c, at in components}
        for component, _ in components:
            self.scopes[component.name] = self._scope(component, self.places[component.name])
        for component, _ in components:
            names.setdefault(component.name, self._attributes(component))

    def component(
        self,
        model: m.SpatialableModel,
        place: Location,
        bits: Mapping[str, Fraction],
        array: tuple[m.SpatialableModel, Location] | None = None,
    ) -> Component:
        """Evaluate a component as the Einsum sees it.

        Parameters
        ----------
        model, place
            The component and its location in the input.
        bits
            Tensor → bits of one value in the workload.
        array
            Of a component in an Array: the Array and its location.

        Returns
        -------
        Component
            The component.

        Raises
        ------
        PolylatError
            If an expression cannot be evaluated, or a value is missing or out of range.
        """
        at, scope = place.for_einsum(self.einsum), self.scopes[model.name]
        spatial = self._spatial(model, place)
        physical: tuple[PhysicalDim, ...] = ()
        if array is not None and spatial:
            if not isinstance(model, m.HolderModel):
                raise SpecError(
                    f"{model.name!r} cannot be distributed over an Array",
                    where=str(at / "spatial"),
                    fix="remove the key spatial: only memories and Tolls can",
                )
            physical = physical_dims(model.name, spatial, self._spatial(*array), at)
            spatial = ()
        if not isinstance(model, m.ComponentModel):
            return Component(model.name, "Container", spatial)
        kind = type(model).__name__.removesuffix("Model")
        actions = self._actions_of(model, at)
        key = "actions_scale"
        scale = evaluate_positive(model.actions_scale, scope.without(key), at / key, what=key)
        per_value: dict[tuple[str, str | None], Fraction] = {}
        held: dict[str, Fraction] = {}
        if isinstance(model, m.HolderModel | m.NetworkModel):
            held = self._bits_per_value(model, scope, at / "bits_per_value", bits)
            for action in actions.names:
                for tensor, count in actions.per_value(action, held).items():
                    per_value[action, tensor] = count * scale
        else:
            per_value["compute", None] = scale
        latency_scope = self._latency_scope(model.name)
        network: Network | None = None
        ports: tuple[Port, ...] | TotalLatency = ()
        own: dict[str, Fraction] | None = None
        if isinstance(model, m.NetworkModel):
            network = build_network(model, actions, latency_scope, scale, at)
            own = {HOP: network.per_hop}
        else:
            ports = build_ports(model, actions, latency_scope, at)
        return Component(
            name=model.name,
            kind=cast("Kind", kind),
            spatial=spatial,
            size=_evaluate_size(model, scope, at) if isinstance(model, m.MemoryModel) else None,
            actions=actions.names,
            actions_per_value=per_value,
            ports=() if isinstance(ports, TotalLatency) else ports,
            total_latency=ports if isinstance(ports, TotalLatency) else None,
            skip_initial_output_write=getattr(model, "skip_initial_output_write", True),
            direction=self._direction(model, scope, at / "direction"),
            bits_per_value=held,
            latency=self.machine.latency(actions, own),
            setup=self.machine.setup(actions),
            burst=self.machine.burst(actions),
            rigid=model.name in self.machine.rigid,
            network=network,
            physical=physical,
        )

    def energy(
        self,
        model: m.ComponentModel,
        place: Location,
        above: Sequence[tuple[m.SpatialableModel, Location]],
        gated: Location | None,
    ) -> ComponentEnergy:
        """Evaluate the energies of a component as the Einsum sees it.

        Parameters
        ----------
        model, place
            The component and its location in the input.
        above
            The components above it, with their locations.
        gated
            As for `polylat.spec.reading.energies.component_energy`.

        Returns
        -------
        ComponentEnergy
            The energies.
        """

        def fanout() -> int:
            return prod(dim.fanout for c, at in above for dim in self._spatial(c, at))

        return component_energy(self._actions_of(model, place), fanout, gated)

    def _actions_of(self, model: m.ComponentModel, place: Location) -> Actions:
        """Return the actions of a component, as the Einsum sees them."""
        if model.name not in self._actions:
            at = place.for_einsum(self.einsum)
            throughputs = self.machine.throughputs(model.name, self.einsum)
            found = Actions(model, self.everything, self.scopes[model.name], at, throughputs)
            self._actions[model.name] = found
        return self._actions[model.name]

    def _scope(self, model: m.SpatialableModel, at: Location) -> Scope:
        """Return the names that a component's expressions may use: its own fields first."""
        extra: dict[str, Any] = dict(self.extras)
        table: dict[str, Any] = {}
        self.tables[model.name] = table
        scope = Scope(table, Scope(extra, self.outer))
        key = "extra_attributes_for_component_model"
        for name, value in getattr(model, key, {}).items():
            extra[name] = lazy_field(value, scope, name, at / key)
        for name in _usable_fields(model):
            value = getattr(model, name)
            if name in ("latency_scale", "throughput_scale"):
                assert isinstance(model, m.ComponentModel)
                table[name] = LazyValue(partial(throughput_scale, model, scope, at))
            elif isinstance(value, (dict, list)) or name in ("name", "component_class"):
                table[name] = value
            else:
                table[name] = lazy_field(value, scope, name, at)
        return scope

    def _attributes(self, model: m.SpatialableModel) -> Fields:
        """Return the component as the expressions of other components see it."""
        scope = self.scopes[model.name]
        values = {name: LazyValue(partial(scope.lookup, name)) for name in _usable_fields(model)}
        methods = {"get_fanout": partial(self._fanout, model)}
        return Fields(f"the component {model.name!r}", values, methods)

    def _fanout(self, model: m.SpatialableModel) -> int:
        """Return the number of units of a component, for ``get_fanout()`` in expressions."""
        scope, at = self.scopes[model.name], self.places[model.name]
        dims = (
            self._spatial_dim(d, scope, at / "spatial" / i) for i, d in enumerate(model.spatial)
        )
        return prod(dim.fanout for dim in dims)

    def _latency_scope(self, name: str) -> Scope:
        """Return the names in total_latency: the input's variables hide those of the arch."""
        return Scope(self.tables[name], Scope(self.variables.table, self.scopes[name]))

    def _spatial(self, model: m.SpatialableModel, place: Location) -> tuple[SpatialDim, ...]:
        scope, at = self.scopes[model.name], place.for_einsum(self.einsum) / "spatial"
        return tuple(self._spatial_dim(dim, scope, at / i) for i, dim in enumerate(model.spatial))

    def _spatial_dim(self, dim: m.SpatialModel, scope: Scope, at: Location) -> SpatialDim:
        fanout = evaluate_whole(
            dim.fanout, scope, at / "fanout", what=f"the fanout of {dim.name!r}"
        )
        if dim.may_reuse is not None:
            reuse = evaluate_set(dim.may_reuse, scope, at / "may_reuse")
        elif dim.reuse is not None:
            reuse = evaluate_set(dim.reuse, scope, at / "reuse")
        else:
            reuse = self.everything
        return SpatialDim(dim.name, fanout, frozenset(reuse.names))

    def _bits_per_value(
        self,
        model: m.HolderModel | m.NetworkModel,
        scope: Scope,
        at: Location,
        bits: Mapping[str, Fraction],
    ) -> dict[str, Fraction]:
        """Return tensor → bits of one value in the component; zero: its accesses are free."""
        given = values_by_tensor(model.bits_per_value, self.everything, scope, at)
        own = {
            tensor: _evaluate_bits(tensor, value, scope, place)
            for tensor, (value, place) in given.items()
        }
        return {**bits, **own}

    def _direction(
        self, model: m.ComponentModel, scope: Scope, at: Location
    ) -> dict[str, Direction]:
        if not isinstance(model, m.TollModel):
            return {}
        tensors = self.everything.ordered()
        if isinstance(model.direction, str):
            return dict.fromkeys(tensors, _parse_direction(model.direction, at))
        given = values_by_tensor(model.direction, self.everything, scope, at, disjoint=False)
        found = {t: _parse_direction(value, place) for t, (value, place) in given.items()}
        missing = [t for t in tensors if t not in found]
        if missing:
            raise SpecError(
                f"no direction is given for {', '.join(missing)}",
                where=str(at),
                fix="add one for each, or Other: up_and_down for all remaining tensors",
            )
        return {t: found[t] for t in tensors}


def _usable_fields(model: m.SpatialableModel) -> Iterator[str]:
    return (name for name in type(model).model_fields if name not in _OPAQUE)


def _evaluate_size(model: m.MemoryModel, scope: Scope, at: Location) -> Fraction | None:
    size = evaluate_number(model.size, scope.without("size"), at / "size")
    if size < 0:
        raise ExpressionError(f"the size is negative: {format_value(size)}", where=str(at / "size"))
    return None if isinstance(size, float) else Fraction(size)


def _evaluate_bits(tensor: str, value: Any, scope: Scope, at: Location) -> Fraction:
    bits = evaluate_number(value, scope, at)
    if isinstance(bits, float) or bits < 0:
        raise ExpressionError(
            f"bits_per_value of {tensor!r} must be a finite number of at least zero, not "
            f"{describe_result(value, bits)}",
            where=str(at),
        )
    return Fraction(bits)


def _parse_direction(value: Any, at: Location) -> Direction:
    text = value.strip().strip("'\"") if isinstance(value, str) else value
    if text not in _DIRECTIONS:
        raise SpecError(
            f"{format_value(value)} is not a direction",
            where=str(at),
            fix=did_you_mean(value, _DIRECTIONS),
        )
    return cast("Direction", text)
