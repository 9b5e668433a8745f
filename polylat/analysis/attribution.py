"""Attribute figures of a report: the way from AccelForge's figure, and the users of each port."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from polylat.analysis.access import AccessKey
from polylat.analysis.results import Results
from polylat.engine.model import Model
from polylat.lowering.accesses.blocks import Access
from polylat.lowering.iterations import IterationTable
from polylat.lowering.paths import Leaf
from polylat.numbers import Number, reduce_number
from polylat.schedule.arrays import Times

__all__ = ["CountDifference", "LatencySteps", "latency_steps", "port_users"]


@dataclass(frozen=True)
class CountDifference:
    """An access for which AccelForge counts a different number of actions.

    Parameters
    ----------
    einsum, component, tensor, action
        The access.
    accelforge, polylat
        The numbers of actions (of the busiest unit, in one instance of the Einsum).
    time
        The busy time of the difference on its port, of all instances; positive where AccelForge
        charges more.
    found_in
        The component in which the tensor is resident, so that the Einsum need not fetch it; None
        where only the way of counting differs (imperfect tiles, strided windows, Networks).
    brought_by
        The Einsum that wrote or fetched the tensor there.
    produced
        Whether that Einsum produces the tensor.
    network
        Whether the component is a Network.
    """

    einsum: str
    component: str
    tensor: str | None
    action: str
    accelforge: Number
    polylat: Number
    time: Number
    found_in: str | None
    brought_by: str | None
    produced: bool
    network: bool = False


@dataclass(frozen=True)
class LatencySteps:
    """The steps from AccelForge's figure to the latency.

    Parameters
    ----------
    accelforge
        AccelForge's figure: the sum over Einsums of the busy time of their slowest component.
    back_to_back
        The same sum over polylat's accesses. The difference to `accelforge` is the effect of
        residency and exact counts.
    sequential
        The latency with every Pipeline as a Sequential and no background, None where that is
        illegal. The difference to `back_to_back` is the cost of barriers, staged transfers and
        fixed latencies, and the gain of fills that run ahead.
    latency
        The latency. The difference to `sequential` is the gain of Pipelines and background
        write-backs.
    charges
        The accesses with different numbers of actions, the largest time first.
    """

    accelforge: Number
    back_to_back: Number
    sequential: Number | None
    latency: Number
    charges: tuple[CountDifference, ...]


def latency_steps(results: Results) -> LatencySteps:
    """Compare a report with AccelForge's accounting of the same mapping.

    Parameters
    ----------
    results
        The report.

    Returns
    -------
    LatencySteps
        The steps; times in the architecture's unit of time.

    Examples
    --------
    >>> import polylat
    >>> from polylat.analysis.attribution import latency_steps
    >>> files = ("examples/arch.yaml", "examples/workload.yaml", "examples/tap_resident.yaml")
    >>> found = latency_steps(polylat.analyze(polylat.load(*files), background="o2"))
    >>> found.accelforge, found.back_to_back, found.sequential, found.latency
    (32768, 32256, 32256, 31752)
    >>> for charge in found.charges:
    ...     print(charge.einsum, charge.component, charge.tensor, charge.action, charge.time)
    e3 DRAM o2 read 512
    e3 SRAM o2 write 512
    """
    model = results.solution.model
    total = sum(
        (max(loads.values(), default=Fraction(0)) for loads in _port_loads(model)), Fraction(0)
    )
    return LatencySteps(
        accelforge=results.roofline,
        back_to_back=reduce_number(total),
        sequential=results.sequential,
        latency=results.latency,
        charges=_charges(model, results.accesses, results.accelforge.accesses),
    )


def port_users(results: Results) -> tuple[dict[str, Number], ...]:
    """Return the Einsums that use each port.

    Parameters
    ----------
    results
        The report.

    Returns
    -------
    tuple of dict
        Per port of the report: Einsum → busy time in the architecture's unit of time, the longest
        first.

    Examples
    --------
    >>> import polylat
    >>> from polylat.analysis.attribution import port_users
    >>> files = ("examples/arch.yaml", "examples/workload.yaml", "examples/untapped.yaml")
    >>> report = polylat.analyze(polylat.load(*files))
    >>> report.ports[0].name, port_users(report)[0]
    ('DRAM', {'e3': 11776, 'e1': 8192, 'e2': 4096})
    """
    model = results.solution.model
    names = [leaf.einsum.name for leaf in model.lowered.leaves]
    users: list[dict[str, Number]] = [{} for _ in results.ports]
    for name, loads in zip(names, _port_loads(model), strict=True):
        for port, load in loads.items():
            if load:
                users[port][name] = reduce_number(load)
    return tuple(dict(sorted(u.items(), key=lambda item: item[1], reverse=True)) for u in users)


def _port_loads(model: Model) -> tuple[dict[int, Fraction], ...]:
    """Per leaf, its busy time on each port."""
    costs = model.costs
    found = []
    for number, blocks in enumerate(model.layout.blocks):
        steps: dict[int, int] = {}
        tiles = model.layout.tiles[number]
        for access in (a for block in blocks for a in block.accesses):
            for port, busy in costs.durations(number, access).items():
                steps[port] = steps.get(port, 0) + _total(tiles, access, busy)
        for (leaf, _), constants in costs.constant.items():
            if leaf == number:
                for port, once in constants.items():
                    steps[port] = steps.get(port, 0) + once
        found.append({port: Fraction(n, costs.scale) for port, n in sorted(steps.items())})
    return tuple(found)


def _total(tiles: IterationTable, access: Access, busy: Times) -> int:
    """Sum up what an access takes in each tile iteration, skipped ones included."""
    if tiles.whole:
        return int(busy.astype(object).sum())
    return int((busy * tiles.multiplicity[access.iterations].astype(object)).sum())


def _charges(
    model: Model, ours: Mapping[AccessKey, Number], theirs: Mapping[AccessKey, Number]
) -> tuple[CountDifference, ...]:
    leaves = {leaf.einsum.name: leaf for leaf in model.lowered.leaves}
    found = []
    for key in dict.fromkeys((*theirs, *ours)):
        polylat, accelforge = ours.get(key, 0), theirs.get(key, 0)
        if polylat != accelforge:
            found.append(_charge(model, leaves[key[0]], key, polylat, accelforge))
    order = {name: i for i, name in enumerate(model.lowered.spec.arch.order)}
    return tuple(sorted(found, key=lambda c: (-abs(Fraction(c.time)), order[c.component])))


def _charge(
    model: Model, leaf: Leaf, key: AccessKey, polylat: Number, accelforge: Number
) -> CountDifference:
    einsum, name, tensor, action = key
    spec = model.lowered.spec
    component = spec.arch.component(einsum, name)
    zero = Fraction(0)
    each = max((p.durations.get(action, zero) for p in component.ports), default=zero)
    repeat = leaf.einsum.n_instances * spec.workload.n_instances
    found_in = brought_by = None
    produced = False
    if tensor in leaf.einsum.inputs and tensor is not None:
        source = model.lowered.found[leaf.number, tensor]
        storages = leaf.storages(tensor)
        passed = {
            h.component
            for h in leaf.holders[tensor][: _holders_down_to(leaf, tensor, source.level)]
        }
        if source.level > 0 and source.leaf is not None and name in passed:
            found_in = storages[source.level].component
            brought_by = model.lowered.leaves[source.leaf].einsum.name
            produced = source.produces
    return CountDifference(
        einsum,
        name,
        tensor,
        action,
        accelforge=accelforge,
        polylat=polylat,
        time=reduce_number((Fraction(accelforge) - Fraction(polylat)) * each * repeat),
        found_in=found_in,
        brought_by=brought_by,
        produced=produced,
        network=component.network is not None,
    )


def _holders_down_to(leaf: Leaf, tensor: str, level: int) -> int:
    """Return the number of holders down to the storage at a level, inclusive."""
    return leaf.holders[tensor].index(leaf.storages(tensor)[level]) + 1
