"""The architecture: from its models to the components that each Einsum sees."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, cast

from polylat.errors import ExpressionError, SpecError, UnsupportedError
from polylat.spec.arch import Arch, Component, Direction, Kind, Port, SpatialDim
from polylat.spec.reading import models as m
from polylat.spec.reading.expressions import (
    evaluate,
    name_set,
    number,
    positive,
    set_table,
    whole,
)
from polylat.spec.reading.latency import Form, Latency, NotLinear, maximum
from polylat.spec.reading.numbers import Number, exact
from polylat.spec.reading.scope import Fields, Lazy, Scope, Table
from polylat.spec.reading.sets import NameSet
from polylat.spec.reading.suggest import did_you_mean, shown
from polylat.spec.reading.tree import At, Quoted
from polylat.spec.reading.workload import WorkloadScopes

DEFAULT_LATENCY = "sum(a.n_calls / a.throughput for a in actions)"
_DIRECTIONS = ("up", "down", "up_and_down")
_DEFAULT_ACTIONS = {
    "Memory": ("read", "write"),
    "Toll": ("read",),
    "Compute": ("compute",),
}
# Fields that say how AccelForge costs a component, not what an expression can use.
_OPAQUE = {"component_model", "component_modeling_log", "tensors", "type", "spatial", "actions"}


@dataclass(frozen=True)
class _Placed:
    """A component of the architecture and the place where it stands."""

    model: m.SpatialableModel
    at: At
    forks: tuple[At, ...]

    @property
    def kind(self) -> str:
        """Memory, Toll, Compute, Container, Array or Network."""
        return type(self.model).__name__.removesuffix("Model")


def build_arch(
    model: m.ArchModel,
    computes: Mapping[str, str],
    workload: WorkloadScopes,
    variables: Scope,
    at: At,
) -> Arch:
    """The components that each Einsum sees, on the path to the Compute that runs it.

    Parameters
    ----------
    model
        The top-level key ``arch``.
    computes
        Einsum → name of the Compute that its mapping says.
    workload
        The evaluated workload and the names that expressions may use.
    variables
        The variables of the input alone.
    at
        The root of the input.
    """
    here = at / "arch"
    components = list(_walk(model.nodes, here / "nodes", ()))
    order = tuple(c.model.name for c in components)
    paths: dict[str, tuple[Component, ...]] = {}
    for einsum in workload.workload.einsums:
        if einsum.name not in computes:
            continue
        path = _path(components, computes[einsum.name])
        view = _View(
            model,
            components,
            variables,
            workload.scopes[einsum.name],
            workload.tensors[einsum.name],
            here.for_einsum(einsum.name),
        )
        bits = {a.tensor: a.bits_per_value for a in einsum.accesses}
        paths[einsum.name] = tuple(view.component(c, bits) for c in path)
    return Arch(order, paths)


def kinds(model: m.ArchModel, at: At) -> dict[str, str]:
    """Name → kind of every component, in order of the input."""
    nodes_at = at / "arch" / "nodes"
    _refuse_networks(model.nodes, nodes_at)
    components = list(_walk(model.nodes, nodes_at, ()))
    _check(components, at / "arch")
    return {c.model.name: c.kind for c in components}


def _refuse_networks(nodes: list[Any], at: At) -> None:
    for index, node in enumerate(nodes):
        if isinstance(node, m.NetworkModel):
            raise UnsupportedError(
                f"the component {node.name!r} is a Network",
                where=str(at / index),
                mend="leave it out, or model its bandwidth as a Toll",
            )
        _refuse_networks(getattr(node, "nodes", []), at / index / "nodes")


def _walk(nodes: list[Any], at: At, forks: tuple[At, ...]) -> Iterator[_Placed]:
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


def _array(node: m.ArrayModel, place: At, forks: tuple[At, ...]) -> Iterator[_Placed]:
    """An Array: what it contains stands side by side, above the units of the array itself."""
    for index, inner in enumerate(node.nodes):
        where = place / "nodes" / index
        if not isinstance(inner, m.SpatialableModel) or isinstance(inner, m.ArrayModel):
            raise SpecError(
                "an Array contains components only", where=str(where), mend="put it below the Array"
            )
        if isinstance(inner, m.ComputeModel):
            raise SpecError(
                f"the Compute {inner.name!r} stands in an Array",
                where=str(where),
                mend="put it below the Array",
            )
        if inner.spatial:
            raise UnsupportedError(
                f"{inner.name!r} is distributed over the Array {node.name!r}",
                where=str(where / "spatial"),
                mend="leave out its spatial: one unit serves the whole Array",
            )
        yield _Placed(inner, where, forks)
    yield _Placed(node, place, forks)


def _check(components: list[_Placed], here: At) -> None:
    if not components:
        raise SpecError(
            "the architecture has no components", where=str(here / "nodes"), mend="add some"
        )
    seen: set[str] = set()
    for component in components:
        name = component.model.name
        if name in seen:
            raise SpecError(
                f"two components are named {name!r}", where=str(component.at), mend="rename one"
            )
        seen.add(name)
        dims: set[str] = set()
        for index, dim in enumerate(component.model.spatial):
            if dim.name in dims:
                raise SpecError(
                    f"{name!r} has two spatial dimensions named {dim.name!r}",
                    where=str(component.at / "spatial" / index),
                    mend="rename one",
                )
            dims.add(dim.name)
        actions: set[str] = set()
        for index, action in enumerate(getattr(component.model, "actions", ())):
            if action.name in actions:
                raise SpecError(
                    f"{name!r} has two actions named {action.name!r}",
                    where=str(component.at / "actions" / index),
                    mend="rename one",
                )
            actions.add(action.name)


def _path(components: list[_Placed], compute: str) -> list[_Placed]:
    """The components from the outermost to a Compute; other branches are left out."""
    target = next(c for c in components if c.model.name == compute)
    path: list[_Placed] = []
    for component in components:
        if component is target:
            return [*path, component]
        on_the_way = component.forks == target.forks[: len(component.forks)]
        if on_the_way and component.kind != "Compute":
            path.append(component)
    raise AssertionError(compute)


class _View:
    """The architecture as one Einsum sees it: expressions are evaluated when they are used."""

    def __init__(
        self,
        model: m.ArchModel,
        components: list[_Placed],
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
        self.extras = {
            key: Lazy(
                lambda k=key, v=value: evaluate(  # type: ignore[misc]
                    _text(v), self.outer, here / "extra_attributes_for_all_component_models" / k
                )
            )
            for key, value in model.extra_attributes_for_all_component_models.items()
        }
        mine = variables_table(model.variables, self.outer, here / "variables")
        mine["variables"] = Fields("variables", {**variables.table, **mine})
        names.update(mine)
        self.tables: dict[str, Mapping[str, Any]] = {}
        self.scopes: dict[str, Scope] = {}
        for component in components:
            self.scopes[component.model.name] = self._scope(component)
        for component in components:
            name = component.model.name
            names.setdefault(name, self._fields(component))

    def _scope(self, component: _Placed) -> Scope:
        """The names that a component's expressions may use: its own fields first."""
        model, at = component.model, component.at.for_einsum(self.einsum)
        extra = dict(self.extras)
        extras: dict[str, Any] = getattr(model, "extra_attributes_for_component_model", {})
        table: dict[str, Any] = {}
        self.tables[model.name] = table
        scope = Scope(table, Scope(extra, self.outer))
        for key, value in extras.items():
            place = at / "extra_attributes_for_component_model" / key
            extra[key] = _lazy(_text(value), scope, key, place)
        for key in type(model).model_fields:
            if key in _OPAQUE:
                continue
            value = getattr(model, key)
            if key in ("latency_scale", "throughput_scale"):
                table[key] = Lazy(lambda mod=model, s=scope, a=at: _scale(mod, s, a))  # type: ignore[misc]
            elif isinstance(value, (dict, list)) or key in ("name", "component_class"):
                table[key] = value
            elif key == "total_latency":
                continue
            else:
                table[key] = _lazy(_text(value), scope, key, at / key)
        return scope

    def _fields(self, component: _Placed) -> Fields:
        scope = self.scopes[component.model.name]
        keys = [k for k in type(component.model).model_fields if k not in _OPAQUE]
        values = {
            k: Lazy(lambda k=k, s=scope: s.lookup(k))  # type: ignore[misc]
            for k in keys
            if k != "total_latency"
        }
        return Fields(f"the component {component.model.name!r}", values)

    def component(self, placed: _Placed, bits: Mapping[str, Fraction]) -> Component:
        """The component as the Einsum sees it."""
        model = placed.model
        at, scope = placed.at.for_einsum(self.einsum), self.scopes[model.name]
        spatial = tuple(
            self._spatial(dim, scope, at / "spatial" / i) for i, dim in enumerate(model.spatial)
        )
        if not isinstance(model, m.ComponentModel):
            return Component(model.name, "Container", spatial)
        actions = _Actions(model, placed.kind, self.everything, scope, at)
        scale = positive(
            model.actions_scale,
            scope.without("actions_scale"),
            at / "actions_scale",
            what="actions_scale",
        )
        per_value: dict[tuple[str, str | None], Fraction] = {}
        held: dict[str, Fraction] = {}
        if isinstance(model, m.HolderModel):
            held = _bits(model, self.everything, scope, at, bits)
            for action in actions.names:
                for tensor, count in actions.per_value(action, held).items():
                    per_value[action, tensor] = count * scale
        else:
            per_value["compute", None] = scale
        return Component(
            name=model.name,
            kind=cast(Kind, placed.kind),
            spatial=spatial,
            size=_size(model, scope, at) if isinstance(model, m.MemoryModel) else None,
            actions=actions.names,
            actions_per_value=per_value,
            ports=_ports(model, actions, self._latency_scope(model.name), at),
            skip_initial_output_write=getattr(model, "skip_initial_output_write", True),
            direction=self._direction(model, at),
            bits_per_value=held,
        )

    def _spatial(self, dim: m.SpatialModel, scope: Scope, at: At) -> SpatialDim:
        fanout = whole(dim.fanout, scope, at / "fanout", what=f"the fanout of {dim.name!r}")
        if dim.may_reuse is not None:
            reuse = name_set(dim.may_reuse, scope, at / "may_reuse")
        elif dim.reuse is not None:
            reuse = name_set(dim.reuse, scope, at / "reuse")
        else:
            reuse = self.everything
        return SpatialDim(dim.name, fanout, frozenset(reuse.names))

    def _direction(self, model: m.ComponentModel, at: At) -> dict[str, Direction]:
        if not isinstance(model, m.TollModel):
            return {}
        return _direction(model, self.everything, self.scopes[model.name], at)

    def _latency_scope(self, name: str) -> Scope:
        """The names in total_latency: here the input's variables hide those of the arch."""
        return Scope(self.tables[name], Scope(self.variables.table, self.scopes[name]))


def variables_table(variables: Mapping[str, Any], scope: Scope, at: At) -> dict[str, Any]:
    """Variables by name, each evaluated when it is used."""
    table: dict[str, Any] = {
        key: _lazy(_text(value), scope, key, at / key) for key, value in variables.items()
    }
    table["variables"] = Fields("variables", dict(table))
    return table


def _text(value: Any) -> Any:
    """A value whose quoted texts are texts: they are not evaluated."""
    return _Literal(value) if isinstance(value, (Quoted, dict, list)) else value


class _Literal:
    def __init__(self, value: Any) -> None:
        self.value = str(value) if isinstance(value, str) else value


def _lazy(value: Any, scope: Scope, key: str, at: At) -> Lazy:
    if isinstance(value, _Literal):
        return Lazy(lambda: value.value)
    return Lazy(lambda: evaluate(value, scope.without(key), at))


def _scale(model: m.ComponentModel | m.ActionModel, scope: Scope, at: At) -> Number:
    """throughput_scale, or the reciprocal of the latency_scale that it replaced."""
    if isinstance(model, m.ComponentModel) and None not in (
        model.throughput_scale,
        model.latency_scale,
    ):
        raise SpecError(
            f"throughput_scale and latency_scale of {model.name!r} are both given",
            where=str(at),
            mend="leave out latency_scale, which is deprecated",
        )
    if model.throughput_scale is not None:
        key = "throughput_scale"
        value = number(model.throughput_scale, scope.without(key), at / key)
    elif model.latency_scale is not None:
        key = "latency_scale"
        value = _reciprocal(number(model.latency_scale, scope.without(key), at / key))
    else:
        return 1
    if value <= 0:
        raise ExpressionError(f"{key} must be above zero, not {value}", where=str(at / key))
    return value


def _reciprocal(value: Number) -> Number:
    if isinstance(value, float):
        return 0
    return float("inf") if value == 0 else exact(1 / Fraction(value))


def _times(a: Number, b: Number) -> Number:
    if isinstance(a, float) or isinstance(b, float):
        return float("inf")  # both are above zero
    return exact(Fraction(a) * Fraction(b))


def _size(model: m.MemoryModel, scope: Scope, at: At) -> Fraction | None:
    size = number(model.size, scope.without("size"), at / "size")
    if size < 0:
        raise ExpressionError(f"the size is negative: {size}", where=str(at / "size"))
    return None if isinstance(size, float) else Fraction(size)


def _bits(
    model: m.HolderModel, everything: NameSet, scope: Scope, at: At, bits: Mapping[str, Fraction]
) -> dict[str, Fraction]:
    """Tensor → bits per value in this component."""
    found = dict(bits)
    given = set_table(model.bits_per_value, everything, scope, at / "bits_per_value")
    for tensor, (value, place) in given.items():
        found[tensor] = positive(value, scope, place, what=f"bits_per_value of {tensor!r}")
    return found


def _direction(
    model: m.TollModel, everything: NameSet, scope: Scope, at: At
) -> dict[str, Direction]:
    here = at / "direction"
    tensors = everything.ordered()
    if isinstance(model.direction, str):
        return dict.fromkeys(tensors, _one_direction(model.direction, here))
    given = set_table(model.direction, everything, scope, here, disjoint=False)
    found = {t: _one_direction(value, place) for t, (value, place) in given.items()}
    missing = [t for t in tensors if t not in found]
    if missing:
        raise SpecError(
            f"no direction is given for {', '.join(missing)}",
            where=str(here),
            mend="add it, or Other: up_and_down for all the rest",
        )
    return {t: found[t] for t in tensors}


def _one_direction(value: Any, at: At) -> Direction:
    text = value.strip().strip("'\"") if isinstance(value, str) else value
    if text not in _DIRECTIONS:
        raise SpecError(
            f"{shown(value)} is no direction", where=str(at), mend=did_you_mean(value, _DIRECTIONS)
        )
    return cast(Direction, text)


# Actions -----------------------------------------------------------------------------------------


class _Actions:
    """The actions of a component: those given, then those that its kind always has."""

    def __init__(
        self, model: m.ComponentModel, kind: str, everything: NameSet, scope: Scope, at: At
    ) -> None:
        self.model, self.everything, self.scope, self.at = model, everything, scope, at
        given = {a.name: (a, at / "actions" / i) for i, a in enumerate(_given(model))}
        for name in _DEFAULT_ACTIONS[kind]:
            if name not in given:
                given[name] = (m.HolderActionModel(name=name), at / "actions")
        self.given = given
        self.names = tuple(given)
        self.tables = {name: self._scope(name) for name in given}

    def _scope(self, name: str) -> Scope:
        action, at = self.given[name]
        table: dict[str, Any] = {"name": name}
        scope = Scope(table, self.scope)
        for key in ("energy", "energy_scale"):
            table[key] = _lazy(_text(getattr(action, key)), scope, key, at / key)
        table["throughput"] = Lazy(lambda: self.base(name))
        for key in ("throughput_scale", "latency_scale"):
            table[key] = Lazy(lambda: _scale(action, scope, at))
        for key in ("bits_per_action",):
            value = getattr(action, key, None)
            if value is not None:
                table[key] = _lazy(value, scope, key, at / key)
        return scope

    def base(self, name: str) -> Number:
        """The throughput as given."""
        action, at = self.given[name]
        scope = self.tables[name]
        if action.throughput is not None:
            key = "throughput"
            value = number(action.throughput, scope.without(key), at / key)
        elif action.latency is not None:
            key = "latency"
            value = number(action.latency, scope.without("throughput"), at / key)
            if value < 0:
                raise ExpressionError(f"the latency is negative: {value}", where=str(at / key))
            value = _reciprocal(value)
        elif str(self.model.component_class).lower() == "dummy":
            return float("inf")  # AccelForge's stand-in for a component without costs
        else:
            told = self.model.component_class
            asks = f" (AccelForge would ask its component model {told!r})" if told else ""
            raise SpecError(
                f"the action {name!r} of {self.model.name!r} has no throughput{asks}",
                where=str(at),
                mend=f"add {{name: {name}, throughput: …}} to its actions; inf if it costs no time",
            )
        if value <= 0:
            raise ExpressionError(
                f"the throughput of {name!r} must be above zero, not {value}", where=str(at / key)
            )
        return value

    def throughput(self, name: str) -> Number:
        """Actions per unit of time, with all scales and the parallel instances."""
        action, at = self.given[name]
        instances = number(
            self.model.n_parallel_instances,
            self.scope.without("n_parallel_instances"),
            self.at / "n_parallel_instances",
        )
        if instances <= 0:
            raise ExpressionError(
                f"n_parallel_instances must be above zero, not {instances}",
                where=str(self.at / "n_parallel_instances"),
            )
        value = _times(self.base(name), _scale(self.model, self.scope, self.at))
        return _times(_times(value, _scale(action, self.tables[name], at)), instances)

    def per_value(self, name: str, held: Mapping[str, Fraction]) -> dict[str, Fraction]:
        """Tensor → actions that one of its values costs."""
        action, at = self.given[name]
        model = self.model
        assert isinstance(model, m.HolderModel) and isinstance(action, m.HolderActionModel)
        scope = self.tables[name]
        key = "values_per_action"
        mine = set_table(action.values_per_action, self.everything, scope, at / key)
        theirs = set_table(model.values_per_action, self.everything, self.scope, self.at / key)
        found: dict[str, Fraction] = {}
        for tensor, bits in held.items():
            if tensor in mine or tensor in theirs:
                value, place = mine[tensor] if tensor in mine else theirs[tensor]
                used = scope if tensor in mine else self.scope
                count = _above_zero(number(value, used, place), key, place)
                found[tensor] = Fraction(0) if count is None else 1 / count
            else:
                per_action = self._bits_per_action(name)
                found[tensor] = Fraction(0) if per_action is None else bits / per_action
        return found

    def _bits_per_action(self, name: str) -> Fraction | None:
        action, at = self.given[name]
        model = self.model
        assert isinstance(model, m.HolderModel) and isinstance(action, m.HolderActionModel)
        key = "bits_per_action"
        if action.bits_per_action is not None:
            value = number(action.bits_per_action, self.tables[name].without(key), at / key)
            return _above_zero(value, key, at / key)
        if model.bits_per_action is not None:
            value = number(model.bits_per_action, self.scope.without(key), self.at / key)
            return _above_zero(value, key, self.at / key)
        return Fraction(1)

    def table(self) -> Table:
        """The actions as expressions of total_latency see them."""
        return Table(
            "the actions",
            {
                name: Fields(
                    f"the action {name!r}",
                    {
                        "name": name,
                        "n_calls": Latency.calls(name),
                        "throughput": Lazy(lambda n=name: self.throughput(n)),  # type: ignore[misc]
                        **{
                            key: Lazy(lambda n=name, k=key: self.tables[n].lookup(k))  # type: ignore[misc]
                            for key in (
                                "throughput_scale",
                                "latency_scale",
                                "bits_per_action",
                                "energy",
                                "energy_scale",
                            )
                        },
                    },
                )
                for name in self.names
            },
        )


def _given(model: m.ComponentModel) -> list[Any]:
    return list(getattr(model, "actions", ()))


def _above_zero(value: Number, what: str, at: At) -> Fraction | None:
    """The value; None where it is infinite."""
    if value <= 0:
        raise ExpressionError(f"{what} must be above zero, not {value}", where=str(at))
    return None if isinstance(value, float) else Fraction(value)


# Ports -------------------------------------------------------------------------------------------


def _ports(model: m.ComponentModel, actions: _Actions, scope: Scope, at: At) -> tuple[Port, ...]:
    """One port per argument of the outermost max of the component's total_latency."""
    here = at / "total_latency"
    table = Scope({"actions": actions.table()}, scope)
    if model.separate_read_write_ports:
        if model.total_latency is not None:
            raise SpecError(
                "total_latency and separate_read_write_ports are both given",
                where=str(here),
                mend="leave one of them out",
            )
        groups = [[n for n in actions.names if n == "read"]]
        groups.append([n for n in actions.names if n != "read"])
        forms = [_sum_of(group, actions) for group in groups if group]
        return _named(forms)
    text = DEFAULT_LATENCY if model.total_latency is None else model.total_latency
    try:
        value = maximum([_latency(text, table, here)])
    except NotLinear as error:
        raise UnsupportedError(
            f"the total_latency of {model.name!r} is no maximum of sums: {error}",
            where=str(here),
            mend="write it with +, max() and n_calls times or over constants, such as "
            "max(a.n_calls / a.throughput for a in actions)",
        ) from None
    for form in value.forms:
        if form.constant < 0 or any(c < 0 for c in form.terms.values()):
            raise UnsupportedError(
                f"the total_latency of {model.name!r} subtracts",
                where=str(here),
                mend="write it as a max() of sums of n_calls over throughput",
            )
    forms = [f for f in value.forms if f.terms or f.constant]
    return _named(forms or [Form({})])


def _latency(text: Any, table: Scope, at: At) -> Latency | Number:
    value = evaluate(text, table, at)
    if isinstance(value, Latency):
        return value
    if isinstance(value, (int, Fraction)):
        return value
    raise ExpressionError(
        f"{shown(text)} must give a finite time, not {shown(value)}", where=str(at)
    )


def _sum_of(names: list[str], actions: _Actions) -> Form:
    terms = {}
    for name in names:
        throughput = actions.throughput(name)
        terms[name] = Fraction(0) if isinstance(throughput, float) else 1 / Fraction(throughput)
    return Form(terms)


def _named(forms: list[Form]) -> tuple[Port, ...]:
    """Ports, named after their actions where there are several."""
    if len(forms) == 1:
        return (Port("", dict(forms[0].terms), forms[0].constant),)
    ports: list[Port] = []
    for form in forms:
        name = "+".join(form.terms) or "constant"
        taken = {port.name for port in ports}
        suffix = next(i for i in range(1, len(forms) + 1) if _numbered(name, i) not in taken)
        ports.append(Port(_numbered(name, suffix), dict(form.terms), form.constant))
    return tuple(ports)


def _numbered(name: str, index: int) -> str:
    return name if index == 1 else f"{name} #{index}"
