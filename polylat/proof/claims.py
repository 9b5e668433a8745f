"""Check the figures and options of a report against what the proof derives."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Any

from polylat.analysis.access import AccessKey, Contention, PortUse
from polylat.analysis.results import Results
from polylat.lowering.paths import Leaf
from polylat.numbers import Number, reduce_number
from polylat.proof.accesses import tile_counts
from polylat.proof.broken_rule import BrokenRule
from polylat.proof.durations import Expectation
from polylat.proof.units import Units
from polylat.schedule.timing import ORDERS

__all__ = ["check_claims"]


def check_claims(results: Results, expected: Expectation, requested: Expectation) -> int:
    """Check the figures and options of a report.

    Parameters
    ----------
    results
        The report.
    expected
        The blocks and accesses of the schedule that the latency belongs to.
    requested
        The same for the requested write-backs in the background.

    Returns
    -------
    int
        The number of fields that were compared.

    Raises
    ------
    BrokenRule
        A field differs from what the mapping or the schedule says.
    """
    count = 0
    for name, right in _derived(results, expected, requested):
        count += 1
        claimed = getattr(results, name)
        if claimed != right or isinstance(claimed, bool) != isinstance(right, bool):
            raise BrokenRule(
                f"the report's {name} is {_shown(claimed)}, and must be {_shown(right)}"
            )
    coarse = expected.problem.depths != _depths(expected.problem.leaves, results.granularity)
    attained = results.latency == results.resource_bound or _runs_in_turn(requested)
    if coarse and results.exact and not attained:
        raise BrokenRule("the report's exact is True, but its tile iterations are coarser")
    _check_bounds(results)
    _check_idle(results, requested)
    return count


def _derived(
    results: Results, expected: Expectation, requested: Expectation
) -> Iterator[tuple[str, Any]]:
    """Yield fields of a report, each with its right value."""
    solution, schedules = results.solution, results.schedules
    yield "latency", solution.makespan
    yield "order", solution.order
    yield "waits_for_background", requested.problem.background != expected.problem.background
    by_order = {
        order: found.makespan if found.legal else None
        for order in ORDERS
        if (found := schedules.solutions.get(order)) is not None
    }
    yield "latency_by_order", {order: by_order.get(order) for order in ORDERS}
    yield "unsettled", tuple(order for order in ORDERS if order not in by_order)
    yield "granularity", _granularity(results, expected)
    depths = _depths(expected.problem.leaves, results.granularity)
    yield (
        "tiles",
        sum(
            tile_counts(leaf, depth).total
            for leaf, depth in zip(expected.problem.leaves, depths, strict=True)
        ),
    )
    busiest = max(expected.busy.values(), default=0)
    yield "resource_bound", reduce_number(Fraction(busiest, expected.scale))
    coarse = expected.problem.depths != depths
    unlimited = Fraction(schedules.unlimited.makespan, schedules.model.costs.scale)
    yield "dependence_bound", 0 if coarse else reduce_number(unlimited)
    yield "accesses", _actions(expected)
    yield "ports", _port_uses(results, expected)
    yield "background", tuple(sorted(requested.problem.background & _written(requested)))
    yield "slots", expected.problem.slots
    yield "contention", _contention(expected.units)
    yield "engine", solution.model.engine
    yield "roofline", results.accelforge.latency
    if _runs_in_turn(requested) and not coarse:
        # Nothing to replace: the mapping is the sequential one.
        yield (
            "sequential",
            min((latency for latency in by_order.values() if latency is not None), default=None),
        )


def _check_bounds(results: Results) -> None:
    """Check that `exact`, `lower_bound` and the latencies agree with each other."""
    bound = max(results.resource_bound, results.dependence_bound)
    if results.latency < bound:
        raise BrokenRule(f"the latency is below a bound, {bound}")
    if not results.exact and results.latency == bound:
        raise BrokenRule("the report's exact is False, but the latency equals a bound")
    right = results.latency if results.exact else bound
    if results.lower_bound != right:
        raise BrokenRule(f"the report's lower_bound is {results.lower_bound}, and must be {right}")
    own = results.latency_by_order.get(results.order)
    if not results.waits_for_background and own != results.latency:
        raise BrokenRule(
            f"the latency is {results.latency}, but that of order {results.order!r} is {own}"
        )
    if results.sequential is not None and results.sequential < results.resource_bound:
        raise BrokenRule("the report's sequential is below the busy time of the busiest port")


def _check_idle(results: Results, requested: Expectation) -> None:
    """Check which requested write-backs the mapping lacks."""
    written = _written(requested)
    asked = requested.problem.background
    components = requested.problem.spec.arch.order
    for tensor, component in results.idle_background:
        named = {(tensor, c) for c in ([component] if component else components)}
        if named & written or not named <= asked:
            raise BrokenRule(
                f"the report's idle_background names {tensor!r}, which the mapping writes back, or"
                " which was not requested"
            )
    listed = set(results.idle_background)
    for tensor, component in sorted(asked - written):
        every = all((tensor, c) in asked for c in components)
        some = any(t == tensor for t, _ in written)
        if not ({(tensor, component), (tensor, None)} & listed or (every and some)):
            raise BrokenRule(
                f"the report's idle_background lacks {tensor!r} in {component!r}, which the mapping"
                " does not write back"
            )
    if list(results.idle_background) != sorted(listed, key=lambda pair: (pair[0], pair[1] or "")):
        raise BrokenRule("the report's idle_background is not in order")


def _granularity(results: Results, expected: Expectation) -> str:
    """Return the granularity of the schedule, where it is not coarser than the report's."""
    own = results.solution.model.lowered.granularity
    leaves, depths = expected.problem.leaves, expected.problem.depths
    wanted = _depths(leaves, results.granularity)
    finer = any(a < b for a, b in zip(depths, wanted, strict=True))
    if finer and all(a <= b for a, b in zip(depths, wanted, strict=True)):
        # The tile iterations are coarser than requested.
        return results.granularity
    return own


def _runs_in_turn(expected: Expectation) -> bool:
    """Return whether the leaves run one after another, without separate transfers."""
    pipelines = any(s.pipeline for leaf in expected.problem.leaves for s in leaf.splits)
    return not pipelines and all(len(blocks) == 1 for blocks in expected.blocks)


def _depths(leaves: tuple[Leaf, ...], granularity: str) -> tuple[int, ...]:
    """Return per leaf the number of loops that index its tile iterations at a granularity."""
    produced = {t: leaf.number for leaf in leaves for t in leaf.einsum.outputs}
    exchanged = {
        t
        for leaf in leaves
        for t in leaf.einsum.inputs
        if produced.get(t, leaf.number) != leaf.number
    }
    found = []
    for leaf in leaves:
        depth = len(leaf.temporal) if granularity == "full" else leaf.fixed_depth
        if granularity == "flow":
            indexing = {
                v for a in leaf.einsum.accesses if a.tensor in exchanged for v in a.variables
            }
            for number, loop in enumerate(leaf.temporal):
                if loop.variable in indexing:
                    depth = max(depth, number + 1)
        found.append(depth)
    return tuple(found)


def _actions(expected: Expectation) -> Mapping[AccessKey, Number]:
    """Count the actions of every access."""
    found: dict[AccessKey, Fraction] = {}
    for leaf, blocks in zip(expected.problem.leaves, expected.blocks, strict=True):
        einsum = leaf.einsum.name
        for block in blocks:
            for access in block.accesses:
                component = expected.problem.spec.arch.component(einsum, access.component)
                each = component.actions_per_value[access.action, access.tensor]
                key = einsum, access.component, access.tensor, access.action
                found[key] = found.get(key, Fraction(0)) + each * access.counts.total
    return {key: reduce_number(count) for key, count in found.items()}


def _port_uses(results: Results, expected: Expectation) -> tuple[PortUse, ...]:
    """Return the busy time of every port of the schedule, in its order of the ports."""
    spec = expected.problem.spec
    latency = Fraction(results.latency)
    found = []
    for key in results.solution.model.costs.ports:
        busy = Fraction(
            expected.busy.get((key.component, key.index, key.stages), 0), expected.scale
        )
        component = next(
            c for path in spec.arch.paths.values() for c in path if c.name == key.component
        )
        stages = [_stage_name(expected.units.stages(node)[s]) for node, s in key.stages]
        found.append(
            PortUse(
                key.component,
                component.ports[key.index].name,
                tuple(dict.fromkeys(stages)),
                reduce_number(busy),
                busy / latency if latency else Fraction(0),
            )
        )
    return tuple(found)


def _contention(units: Units) -> tuple[Contention, ...]:
    """Return, per Pipeline, which components its stages divide, and for which they contend."""
    found = []
    for node in units.pipelines:
        stages = units.stages(node)
        divided: dict[str, bool] = {}
        for leaf in (leaf for stage in stages for leaf in stage):
            own = units.own_units(leaf)
            for component in units.spec.arch.paths[leaf.einsum.name]:
                if component.ports:
                    apart = any(pipeline == node for pipeline, _ in own[component.name])
                    divided[component.name] = apart
        found.append(
            Contention(
                tuple(_stage_name(stage) for stage in stages),
                tuple(name for name, apart in divided.items() if apart),
                tuple(name for name, apart in divided.items() if not apart),
            )
        )
    return tuple(found)


def _stage_name(stage: list[Leaf]) -> str:
    return "+".join(leaf.einsum.name for leaf in stage)


def _shown(value: object) -> str:
    """Return a value as text that is not too long."""
    text = str(value) if isinstance(value, (int, Fraction, str)) else repr(value)
    return text if len(text) <= 200 else f"{text[:200]}…"


def _written(requested: Expectation) -> set[tuple[str, str]]:
    """Return the write-backs in the background, as (tensor, component written back from)."""
    return {
        (block.tensor, leaf.storages(block.tensor)[block.level].component)
        for leaf, blocks in zip(requested.problem.leaves, requested.blocks, strict=True)
        for block in blocks
        if block.kind == "background" and block.tensor is not None
    }
