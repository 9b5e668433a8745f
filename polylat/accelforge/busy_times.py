"""Busy times of ports as sums over Einsums: objectives of AccelForge's mapper, and lower bounds.

AccelForge's mapper makes partial mappings of single Einsums, joins them, and adds up their
objectives. The busy time of a port in polylat is such a sum, too: over the accesses of all Einsums.
So the largest busy time of a port is a lower bound on the latency of a joined mapping that is known
before the mapping exists, and the vector of all busy times is an objective by which partial
mappings may be compared.

A busy time counts only what polylat counts as well, in every joined mapping:

- A tile that is held above a split is filled once in polylat, and once per Einsum in AccelForge.
  Of an input that other Einsums access, too, only the operations' reads count, unless its backing
  storage is its only holder.
- AccelForge counts the bounding box of a tile, and polylat its elements. Of a tensor for which
  these may differ, only the operations' reads count.
- Copy Einsums, and those whose operations are not a box that begins at 0, in which the two count
  differently, do not count.
- In a Pipeline, Einsums may use different units of an array. An Einsum that uses n of its F units
  keeps n / F of it busy: no unit is busy for longer than the latency, so that the sum over Einsums
  is still a lower bound.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from polylat.errors import PolylatError
from polylat.spec.affine import Affine
from polylat.spec.arch import Component, Port
from polylat.spec.reading.live.convert import convert_machine
from polylat.spec.workload import Einsum, TensorAccess, Workload

__all__ = ["PREFIX", "SEPARATOR", "BusyTimes", "PortTime", "busy_times"]

SEPARATOR = "<SEP>"
"""AccelForge's separator in names of columns."""

PREFIX = f"Total{SEPARATOR}busy_latency"
"""AccelForge minimizes and adds up columns that begin with ``Total``, and knows that times, whose
names contain ``latency``, are not negative."""


@dataclass(frozen=True)
class PortTime:
    """What the actions of an Einsum in a component take on one of its ports.

    Parameters
    ----------
    column
        The column of the port.
    component
        The component.
    durations
        Action → time per action, all scales and instances included.
    shares
        (component, spatial dimension, fanout): the units of which the Einsum uses some.
    """

    column: str
    component: str
    durations: Mapping[str, float]
    shares: tuple[tuple[str, str, int], ...]


@dataclass(frozen=True)
class BusyTimes:
    """The busy times of a workload on an architecture, as columns of the mapper's tables.

    Parameters
    ----------
    columns
        Names of the columns, one per port that takes any time.
    ports
        (Einsum, its Compute) → the ports.
    whole
        Einsum → the tensors of which all accesses count, whatever their holders.
    single
        Einsum → the inputs of which all accesses count where they have a single holder.
    """

    columns: tuple[str, ...]
    ports: Mapping[tuple[str, str], tuple[PortTime, ...]]
    whole: Mapping[str, frozenset[str]]
    single: Mapping[str, frozenset[str]]

    def of(self, einsum: str, reuse: Any, nodes: Sequence[Any], zero: Any) -> dict[str, Any]:
        """Return the busy times of a partial mapping.

        Parameters
        ----------
        einsum
            Name of the Einsum.
        reuse
            AccelForge's analysis of the partial mapping (``SymbolicAnalysisOutput``).
        nodes
            The nodes of the partial mapping, the leaf last.
        zero
            The number zero, of the kind of the formulas.

        Returns
        -------
        dict
            Column → its formula.
        """
        compute = nodes[-1].component
        counts = self._counts(einsum, compute, reuse, nodes)
        found = dict.fromkeys(self.columns, zero)
        for port in self.ports.get((einsum, compute), ()):
            busy = zero
            for action, duration in port.durations.items():
                busy = busy + counts.get((port.component, action), zero) * duration
            for component, dim, fanout in port.shares:
                used = reuse.fanout.get((component, einsum), {}).get(dim, 1)
                busy = busy * used / fanout
            found[port.column] = found[port.column] + busy
        return found

    def _counts(
        self, einsum: str, compute: str, reuse: Any, nodes: Sequence[Any]
    ) -> dict[tuple[str, str], Any]:
        """Return the actions that count, per component and action."""
        holders: dict[str, list[str]] = {}
        for node in nodes:
            for tensor in getattr(node, "tensors", ()):
                holders.setdefault(str(tensor), []).append(node.component)
        counts: dict[tuple[str, str], Any] = {}

        def add(component: str, action: str, number: Any) -> None:
            counts[component, action] = counts.get((component, action), 0) + number

        for buffet, stats in reuse.buffet_stats.items():
            component, tensor = buffet.level, str(buffet.tensor)
            if component == compute:
                continue
            whole = tensor in self.whole.get(einsum, ())
            own = tensor in self.single.get(einsum, ())
            at = holders.get(tensor, [])
            if whole or (own and len(at) == 1):
                add(component, "read", stats.net_max_per_unit_read_actions())
                add(component, "write", stats.net_max_per_unit_write_actions())
            elif own and at[-1:] == [component] and at.count(component) == 1:
                add(component, "read", stats.net_max_per_unit_read_actions())
        if einsum in self.whole:
            for stats in reuse.compute_stats.values():
                add(compute, "compute", stats.max_latency)
        return counts


def busy_times(spec: Any, *, pipelined: bool) -> BusyTimes:
    """Return the busy times of the workload and the architecture of AccelForge's ``Spec``.

    Parameters
    ----------
    spec
        AccelForge's ``Spec``.
    pipelined
        Whether splits may be Pipelines, whose stages may use units of their own.

    Returns
    -------
    BusyTimes
        The columns.

    Raises
    ------
    PolylatError
        polylat cannot analyze the workload or the architecture.
    """
    einsums = [einsum.name for einsum in spec.workload.einsums]
    nodes = _nodes(spec.arch)
    computes = [node.name for node in nodes if type(node).__name__ == "Compute"]
    scales = {node.name: _scale(node) for node in nodes}
    ports: dict[tuple[str, str], tuple[PortTime, ...]] = {}
    workload: Workload | None = None
    failed: PolylatError | None = None
    for einsum in einsums:
        for compute in computes:
            try:
                workload, arch = convert_machine(spec, {einsum: compute})
            except PolylatError as error:
                failed = error
                continue
            count = float(workload.einsum(einsum).n_instances * workload.n_instances)
            path = arch.paths[einsum]
            ports[einsum, compute] = tuple(
                _port(component, port, path[: place + 1], pipelined, count * scales[component.name])
                for place, component in enumerate(path)
                for port in component.ports
                if any(port.durations.values())
            )
    if workload is None:
        raise failed or PolylatError("the workload has no Einsum, or the architecture no Compute")
    columns = dict.fromkeys(port.column for some in ports.values() for port in some)
    shared = {t for t in workload.tensors if sum(_accesses(e, t) for e in workload.einsums) > 1}
    counted = [e for e in workload.einsums if not e.is_copy and _is_dense(e)]
    whole = {
        e.name: frozenset(
            a.tensor for a in e.accesses if _is_box(a) and (a.output or a.tensor not in shared)
        )
        for e in counted
    }
    single = {e.name: frozenset(a.tensor for a in e.accesses if _is_one_read(a)) for e in counted}
    return BusyTimes(tuple(columns), ports, whole, single)


def _port(
    component: Component,
    port: Port,
    path: Sequence[Component],
    pipelined: bool,
    scale: float,
) -> PortTime:
    shares = tuple(
        (outer.name, dim.name, dim.fanout)
        for outer in path
        for dim in outer.spatial
        if pipelined and dim.fanout > 1
    )
    name = SEPARATOR.join((PREFIX, component.name, port.name or "all"))
    durations = {action: float(time) * scale for action, time in port.durations.items() if time}
    return PortTime(name, component.name, durations, shares)


def _accesses(einsum: Einsum, tensor: str) -> bool:
    return any(access.tensor == tensor for access in einsum.accesses)


def _is_dense(einsum: Einsum) -> bool:
    """Whether the operations of an Einsum are a box that begins at 0 in every rank variable."""
    begin = {c.terms[0][0] for c in einsum.constraints if c.constant == 0 and _is_one(c)}
    return begin.issuperset(einsum.rank_variables) and all(
        len(c.terms) == 1 for c in einsum.constraints
    )


def _is_one_read(access: TensorAccess) -> bool:
    return not access.output and len(access.reads) == 1


def _is_one(index: Affine) -> bool:
    return len(index.terms) == 1 and index.terms[0][1] == 1


def _is_box(access: TensorAccess) -> bool:
    """Whether the footprint of every tile is a box of as many elements as AccelForge counts.

    It does not count several accesses to a tensor.
    """
    if access.is_state or len(access.projections) > 1:
        return False
    variables = [v for index in access.projection for v, _ in index.terms]
    return len(set(variables)) == len(variables) and all(
        index.constant == 0 and all(factor == 1 for _, factor in index.terms)
        for index in access.projection
    )


def _nodes(node: Any) -> list[Any]:
    """Return all components of AccelForge's architecture."""
    inner = getattr(node, "nodes", None)
    if inner is None:
        return [node]
    return [found for one in inner for found in _nodes(one)]


def _scale(node: Any) -> float:
    """Return the factor on numbers of actions; 0, so that none counts, for an expression."""
    scale = getattr(node, "actions_scale", 1)
    return float(scale) if isinstance(scale, (int, float)) else 0.0
