"""Components as one Einsum sees them: expressions are evaluated when they are used."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction
from functools import partial
from typing import Any, cast

from polylat.errors import ExpressionError, SpecError
from polylat.spec.arch import Component, Direction, Kind, SpatialDim
from polylat.spec.reading import models as m
from polylat.spec.reading.actions import Actions, scale_of
from polylat.spec.reading.expressions import (
    name_set,
    number,
    positive,
    set_table,
    value_of,
    whole,
)
from polylat.spec.reading.ports import build_ports
from polylat.spec.reading.scope import Fields, Lazy, Scope
from polylat.spec.reading.sets import NameSet
from polylat.spec.reading.suggest import did_you_mean, shown
from polylat.spec.reading.tree import At

_DIRECTIONS = ("up", "down", "up_and_down")
# What expressions cannot use: it has a meaning of its own, or none here.
_OPAQUE = frozenset(
    ("actions", "component_model", "component_modeling_log", "spatial", "tensors", "total_latency")
    + ("type",)
)


class ArchView:
    """The architecture as one Einsum sees it.

    Parameters
    ----------
    model
        The top-level key ``arch``.
    components
        All components, and where they stand.
    variables
        The variables of the input alone.
    einsum_scope
        The names that every expression of the Einsum may use.
    everything
        All tensors of the Einsum.
    here
        Where the architecture stands, for this Einsum.
    """

    def __init__(
        self,
        model: m.ArchModel,
        components: list[tuple[m.SpatialableModel, At]],
        variables: Scope,
        einsum_scope: Scope,
        everything: NameSet,
        here: At,
    ) -> None:
        self.variables = variables
        self.everything = everything
        self.einsum = str(here.einsum)
        names: dict[str, Any] = {}
        self.outer = Scope(names, einsum_scope)
        extras_at = here / "extra_attributes_for_all_component_models"
        self.extras = {
            key: value_of(value, self.outer, extras_at / key)
            for key, value in model.extra_attributes_for_all_component_models.items()
        }
        mine = variables_table(model.variables, self.outer, here / "variables")
        mine["variables"] = Fields("variables", {**variables.table, **mine})
        names.update(mine)
        self.tables: dict[str, Mapping[str, Any]] = {}
        self.scopes: dict[str, Scope] = {}
        for component, at in components:
            self.scopes[component.name] = self._scope(component, at.for_einsum(self.einsum))
        for component, _ in components:
            names.setdefault(component.name, self._fields(component))

    def component(
        self, model: m.SpatialableModel, place: At, bits: Mapping[str, Fraction]
    ) -> Component:
        """A component as the Einsum sees it.

        Parameters
        ----------
        model, place
            The component and where it stands.
        bits
            Tensor → bits of one value in the workload.
        """
        at, scope = place.for_einsum(self.einsum), self.scopes[model.name]
        spatial = tuple(
            self._spatial(dim, scope, at / "spatial" / i) for i, dim in enumerate(model.spatial)
        )
        if not isinstance(model, m.ComponentModel):
            return Component(model.name, "Container", spatial)
        kind = type(model).__name__.removesuffix("Model")
        actions = Actions(model, kind, self.everything, scope, at)
        key = "actions_scale"
        scale = positive(model.actions_scale, scope.without(key), at / key, what=key)
        per_value: dict[tuple[str, str | None], Fraction] = {}
        held: dict[str, Fraction] = {}
        if isinstance(model, m.HolderModel):
            held = self._bits(model, scope, at / "bits_per_value", bits)
            for action in actions.names:
                for tensor, count in actions.per_value(action, held).items():
                    per_value[action, tensor] = count * scale
        else:
            per_value["compute", None] = scale
        return Component(
            name=model.name,
            kind=cast("Kind", kind),
            spatial=spatial,
            size=_size(model, scope, at) if isinstance(model, m.MemoryModel) else None,
            actions=actions.names,
            actions_per_value=per_value,
            ports=build_ports(model, actions, self._latency_scope(model.name), at),
            skip_initial_output_write=getattr(model, "skip_initial_output_write", True),
            direction=self._direction(model, scope, at / "direction"),
            bits_per_value=held,
        )

    def _scope(self, model: m.SpatialableModel, at: At) -> Scope:
        """The names that a component's expressions may use: its own fields first."""
        extra: dict[str, Any] = dict(self.extras)
        table: dict[str, Any] = {}
        self.tables[model.name] = table
        scope = Scope(table, Scope(extra, self.outer))
        key = "extra_attributes_for_component_model"
        for name, value in getattr(model, key, {}).items():
            extra[name] = Lazy(partial(_field, value, scope, name, at / key))
        for name in _usable_fields(model):
            value = getattr(model, name)
            if name in ("latency_scale", "throughput_scale"):
                assert isinstance(model, m.ComponentModel)
                table[name] = Lazy(partial(scale_of, model, scope, at))
            elif isinstance(value, (dict, list)) or name in ("name", "component_class"):
                table[name] = value
            else:
                table[name] = Lazy(partial(_field, value, scope, name, at))
        return scope

    def _fields(self, model: m.SpatialableModel) -> Fields:
        """The component as the expressions of others see it."""
        scope = self.scopes[model.name]
        values = {name: Lazy(partial(scope.lookup, name)) for name in _usable_fields(model)}
        return Fields(f"the component {model.name!r}", values)

    def _latency_scope(self, name: str) -> Scope:
        """The names in total_latency: here the input's variables hide those of the arch."""
        return Scope(self.tables[name], Scope(self.variables.table, self.scopes[name]))

    def _spatial(self, dim: m.SpatialModel, scope: Scope, at: At) -> SpatialDim:
        fanout = whole(dim.fanout, scope, at / "fanout", what=f"the fanout of {dim.name!r}")
        if dim.may_reuse is not None:
            reuse = name_set(dim.may_reuse, scope, at / "may_reuse")
        elif dim.reuse is not None:
            reuse = name_set(dim.reuse, scope, at / "reuse")
        else:
            reuse = self.everything
        return SpatialDim(dim.name, fanout, frozenset(reuse.names))

    def _bits(
        self, model: m.HolderModel, scope: Scope, at: At, bits: Mapping[str, Fraction]
    ) -> dict[str, Fraction]:
        """Tensor → bits of one value in the component."""
        given = set_table(model.bits_per_value, self.everything, scope, at)
        return {
            **bits,
            **{
                tensor: positive(value, scope, place, what=f"bits_per_value of {tensor!r}")
                for tensor, (value, place) in given.items()
            },
        }

    def _direction(self, model: m.ComponentModel, scope: Scope, at: At) -> dict[str, Direction]:
        if not isinstance(model, m.TollModel):
            return {}
        tensors = self.everything.ordered()
        if isinstance(model.direction, str):
            return dict.fromkeys(tensors, _one_direction(model.direction, at))
        given = set_table(model.direction, self.everything, scope, at, disjoint=False)
        found = {t: _one_direction(value, place) for t, (value, place) in given.items()}
        missing = [t for t in tensors if t not in found]
        if missing:
            raise SpecError(
                f"no direction is given for {', '.join(missing)}",
                where=str(at),
                mend="add it, or Other: up_and_down for all the rest",
            )
        return {t: found[t] for t in tensors}


def variables_table(variables: Mapping[str, Any], scope: Scope, at: At) -> dict[str, Any]:
    """Variables by name, each evaluated when it is used."""
    table: dict[str, Any] = {
        name: Lazy(partial(_field, value, scope, name, at)) for name, value in variables.items()
    }
    table["variables"] = Fields("variables", dict(table))
    return table


def _field(value: Any, scope: Scope, name: str, at: At) -> Any:
    """The value of a field of a scope: if it mentions its own name, it means an outer one."""
    return value_of(value, scope.without(name), at / name).get()


def _usable_fields(model: m.SpatialableModel) -> Iterator[str]:
    return (name for name in type(model).model_fields if name not in _OPAQUE)


def _size(model: m.MemoryModel, scope: Scope, at: At) -> Fraction | None:
    size = number(model.size, scope.without("size"), at / "size")
    if size < 0:
        raise ExpressionError(f"the size is negative: {shown(size)}", where=str(at / "size"))
    return None if isinstance(size, float) else Fraction(size)


def _one_direction(value: Any, at: At) -> Direction:
    text = value.strip().strip("'\"") if isinstance(value, str) else value
    if text not in _DIRECTIONS:
        raise SpecError(
            f"{shown(value)} is no direction", where=str(at), mend=did_you_mean(value, _DIRECTIONS)
        )
    return cast("Direction", text)
