"""The parameters of a formula: what a name means, and the input with a value of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from math import lcm
from typing import Literal

from polylat.errors import OptionError
from polylat.lowering.tree import mapping_leaves
from polylat.spec import Spec
from polylat.spec.affine import Affine
from polylat.spec.arch import Component
from polylat.spec.reading.suggest import did_you_mean

__all__ = ["Bound", "Parameter", "find_parameter"]

Kind = Literal["size", "throughput", "duration", "latency", "slots"]

Bound = tuple[int, int | None]
"""(least, largest) value of a parameter; None: unbounded."""


@dataclass(frozen=True)
class Parameter:
    """A parameter of a formula.

    Parameters
    ----------
    name
        Its name.
    kind
        ``"size"``: the number of values of a rank variable, or of its tiles, or a variable of the
        input on which sizes depend; ``"throughput"``:
        actions of a component per unit of time; ``"duration"``, ``"latency"``: time per action of a
        component, and fixed latency of an action; ``"slots"``: tiles that a holder keeps.
    variable
        Size: the rank variable; empty for a variable of the input.
    tile
        Size: values per unit of the parameter: 1, or the tile shape.
    step
        Size: after this number of values, the tiles repeat.
    component, action
        Time: the component, and its action (None: all).
    holder
        Slots: the name in the option `slots`; None: all holders.
    """

    name: str
    kind: Kind
    variable: str = ""
    tile: int = 1
    step: int = 1
    component: str = ""
    action: str | None = None
    holder: str | None = None

    @property
    def symbol(self) -> str:
        """A name that SymPy and keyword arguments take."""
        return "".join(c if c.isalnum() else "_" for c in self.name)

    @property
    def is_time(self) -> bool:
        """Whether durations or latencies are proportional to it, or to its reciprocal."""
        return self.kind in ("throughput", "duration", "latency")

    def coordinate(self, value: Fraction | int) -> Fraction:
        """Return the time that a value means.

        Parameters
        ----------
        value
            A value of the parameter.

        Returns
        -------
        Fraction
            The value itself; its reciprocal for a throughput.
        """
        return 1 / Fraction(value) if self.kind == "throughput" else Fraction(value)

    def interval(self, least: Fraction, largest: Fraction) -> tuple[Fraction, Fraction | None]:
        """Return the values with coordinates in an interval.

        Parameters
        ----------
        least, largest
            The interval.

        Returns
        -------
        (Fraction, Fraction or None)
            The least and the largest value; None: unbounded.
        """
        if self.kind != "throughput":
            return least, largest
        return 1 / largest, 1 / least if least else None

    def own_value(self, spec: Spec) -> Fraction:
        """Return the value that the input has for a time.

        Parameters
        ----------
        spec
            The input.

        Returns
        -------
        Fraction
            The value.
        """
        used = [c for path in spec.arch.paths.values() for c in path if c.name == self.component]
        if self.kind == "latency":
            times = [t for c in used for a, t in c.latency.items() if self.action in (None, a)]
        else:
            times = [
                t
                for c in used
                for port in c.ports
                for a, t in port.durations.items()
                if self.action in (None, a)
            ]
        time = max(times, default=Fraction(0))
        return 1 / time if self.kind == "throughput" and time else time

    def apply(self, spec: Spec, value: Fraction | int) -> Spec:
        """Return the input with a value in place of the parameter's own.

        Parameters
        ----------
        spec
            The input.
        value
            A size, or a `coordinate`.

        Returns
        -------
        Spec
            The changed input.
        """
        if self.kind == "size" and not self.variable:
            return spec.with_variables(**{self.name: int(value)})
        if self.kind == "size":
            return _with_size(spec, self.variable, int(value) * self.tile)
        changed = {
            einsum: tuple(
                self._changed(c, Fraction(value)) if c.name == self.component else c for c in path
            )
            for einsum, path in spec.arch.paths.items()
        }
        return replace(spec, arch=replace(spec.arch, paths=changed))

    def _changed(self, component: Component, time: Fraction) -> Component:
        names = component.actions if self.action is None else (self.action,)
        if self.kind == "latency":
            latency = {**component.latency, **dict.fromkeys(names, time)}
            return replace(component, latency={k: v for k, v in latency.items() if v})
        ports = tuple(
            replace(
                port, durations={a: time if a in names else t for a, t in port.durations.items()}
            )
            for port in component.ports
        )
        return replace(component, ports=ports)


def find_parameter(spec: Spec, name: str, holders: Sequence[str]) -> Parameter:
    """Find what the name of a parameter means in an input.

    Parameters
    ----------
    spec
        The input.
    name
        ``"M"`` or ``"m"``: the number of values of rank variable m; ``"m_tiles"``: of its outermost
        tiles; a variable of the input, on which sizes depend; ``"DRAM.throughput"``,
        ``"DRAM.duration"``: of all actions; ``"DRAM.read.latency"`` and so on: of one action;
        ``"slots"``, ``"o1.slots"``, ``"o1@SRAM.slots"``.
    holders
        The names that `slots` takes.

    Returns
    -------
    Parameter
        The parameter.

    Raises
    ------
    OptionError
        It means nothing in the input.
    """
    variables = dict.fromkeys(v for e in spec.workload.einsums for v in e.rank_variables)
    if name == "slots" or name.endswith(".slots"):
        holder = None if name == "slots" else name.removesuffix(".slots")
        if holder is not None:
            _known("slots", holder, holders)
        return Parameter(name, "slots", holder=holder)
    if "." in name:
        component, *action, kind = name.split(".")
        return _time(spec, name, component, action, kind)
    if spec.source is not None and name in (spec.source.tree.get("variables") or {}):
        return Parameter(name, "size", step=lcm(*_growing_tiles(spec, name), 1))
    tiled = name.endswith("_tiles") and name.removesuffix("_tiles") in variables
    wanted = name.removesuffix("_tiles") if tiled else name
    variable = next((v for v in variables if wanted in (v, v.upper())), None)
    if variable is None:
        sizes = [v.upper() for v in variables]
        _known("parameter", name, [*sizes, *(f"{c}.throughput" for c in spec.arch.order)])
        raise AssertionError
    _check_bound(spec, variable, name)
    tiles = _outermost_tiles(spec, variable)
    if not tiled:
        return Parameter(name, "size", variable=variable, step=lcm(*tiles, 1))
    if len(set(tiles)) != 1:
        raise OptionError(
            f"parameter {name!r}: the outermost loops over {variable!r} have"
            + (f" tiles of {', '.join(map(str, sorted(set(tiles))))}" if tiles else " no tiles"),
            where="parameters",
            fix=f"use {variable.upper()!r}, the number of its values",
        )
    return Parameter(name, "size", variable=variable, tile=tiles[0])


def _time(spec: Spec, name: str, component: str, action: list[str], kind: str) -> Parameter:
    _known("component", component, spec.arch.order)
    if kind not in ("throughput", "duration", "latency") or len(action) > 1:
        raise OptionError(
            f"parameter {name!r} is not understood",
            where="parameters",
            fix=f"write {component}.throughput, {component}.duration, or {component}.latency; or"
            f" {component}.ACTION.throughput and so on",
        )
    used = [c for path in spec.arch.paths.values() for c in path if c.name == component]
    if any(c.network is not None for c in used):
        raise OptionError(
            f"parameter {name!r}: the times of the Network {component!r} are no parameters",
            where="parameters",
            fix="name a Memory, a Toll or a Compute; or use what_if for the Network",
        )
    actions = list(dict.fromkeys(a for c in used for a in c.actions))
    if action:
        _known("action", action[0], actions)
    chosen = action or actions
    times = {p.durations[a] for c in used for p in c.ports for a in chosen if a in p.durations}
    if kind != "latency" and not times:
        raise OptionError(
            f"parameter {name!r}: {component} takes no time",
            where="parameters",
            fix="name a component whose actions take time",
        )
    if kind != "latency" and len(times) > 1:
        raise OptionError(
            f"parameter {name!r}: the actions of {component} take different times",
            where="parameters",
            fix=f"name one of its actions, as in {component}.{chosen[0]}.{kind}",
        )
    if kind == "throughput":
        return Parameter(name, "throughput", component=component, action=next(iter(action), None))
    what: Kind = "duration" if kind == "duration" else "latency"
    return Parameter(name, what, component=component, action=next(iter(action), None))


def _known(kind: str, name: str, known: Sequence[str]) -> None:
    if name not in known:
        raise OptionError(
            f"there is no {kind} {name!r}", where="parameters", fix=did_you_mean(name, known)
        )


def _upper_bounds(spec: Spec, variable: str) -> list[Affine]:
    return [
        c
        for einsum in spec.workload.einsums
        for c in einsum.constraints
        if c.terms == ((variable, -1),)
    ]


def _check_bound(spec: Spec, variable: str, name: str) -> None:
    for einsum in spec.workload.einsums:
        if variable not in einsum.rank_variables:
            continue
        own = [c for c in einsum.constraints if variable in c.variables]
        simple = {((variable, 1),), ((variable, -1),)}
        if {c.terms for c in own} != simple or any(
            c.constant for c in own if c.terms == ((variable, 1),)
        ):
            raise OptionError(
                f"parameter {name!r}: Einsum {einsum.name!r} does not range over"
                f" 0 <= {variable} < size",
                where="parameters",
                fix="use a rank variable with a size of its own",
            )


def _with_size(spec: Spec, variable: str, size: int) -> Spec:
    bounds = set(_upper_bounds(spec, variable))

    def changed(constraint: Affine) -> Affine:
        return replace(constraint, constant=size - 1) if constraint in bounds else constraint

    einsums = tuple(
        replace(e, constraints=tuple(map(changed, e.constraints))) for e in spec.workload.einsums
    )
    return replace(spec, workload=replace(spec.workload, einsums=einsums))


def _growing_tiles(spec: Spec, name: str) -> list[int]:
    """The outermost tile shapes of the rank variables whose sizes depend on a variable."""
    assert spec.source is not None
    own = spec.source.tree["variables"][name]
    if type(own) is not int:
        raise OptionError(
            f"parameter {name!r}: the variable is no whole number in the input",
            where="parameters",
            fix="use a variable, or a rank variable, with a size",
        )
    other = spec.with_variables(**{name: own + 1})
    changed = {
        constraint.variables[0]
        for one, two in zip(spec.workload.einsums, other.workload.einsums, strict=True)
        for constraint, new in zip(one.constraints, two.constraints, strict=True)
        if constraint != new and len(constraint.variables) == 1
    }
    return [tile for variable in changed for tile in _outermost_tiles(spec, variable)]


def _outermost_tiles(spec: Spec, variable: str) -> list[int]:
    """The tile shapes of the outermost loops over a rank variable, one per leaf that has any."""
    own = (
        next((loop.tile for loop in leaf.loops if loop.variable == variable), None)
        for leaf in mapping_leaves(spec)
    )
    return [tile for tile in own if tile is not None]
