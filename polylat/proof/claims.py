"""Check the figures and options of a report against what the proof derives."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from polylat.analysis.access import AccessKey, Contention, PortUse
from polylat.lowering.paths import Leaf
from polylat.numbers import Number, reduce_number
from polylat.proof.accesses import tile_counts
from polylat.proof.barrier_bound import barrier_bound
from polylat.proof.broken_rule import BrokenRule
from polylat.proof.durations import Expectation
from polylat.proof.element_flow import carrying_depth
from polylat.proof.problem import Problem
from polylat.schedule.timing import ORDERS

if TYPE_CHECKING:
    from polylat.analysis.results import Results

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
        The blocks and accesses of the requested mapping. Where the schedule keeps barriers, it is
        that of the mapping with every Pipeline as a Sequential.

    Returns
    -------
    int
        The number of fields that were compared.

    Raises
    ------
    BrokenRule
        A field is not that of the mapping or of the schedule.
    """
    count = 0
    for name, right in _derived(results, expected, requested):
        count += 1
        claimed = getattr(results, name)
        if claimed != right or isinstance(claimed, bool) != isinstance(right, bool):
            raise BrokenRule(
                f"the report's {name} is {_shown(claimed)}, and must be {_shown(right)}"
            )
    coarse = expected.problem.depths != _depths(requested.problem, results.granularity)
    # These two bounds do not depend on the granularity.
    attained = results.latency == max(results.resource_bound, results.barrier_bound)
    if coarse and results.exact and not attained:
        raise BrokenRule("the report's exact is True, but its tile iterations are coarser")
    _check_bounds(results, expected)
    _check_idle(results, requested)
    return count


def _derived(
    results: Results, expected: Expectation, requested: Expectation
) -> Iterator[tuple[str, Any]]:
    """Yield fields of a report, each with its right value."""
    solution, schedules = results.solution, results.schedules
    yield "latency", solution.makespan
    yield "order", solution.order
    yield "keeps_barriers", _keeps_barriers(expected, requested)
    by_order = {
        order: found.makespan if found.legal else None
        for order in ORDERS
        if (found := schedules.solutions.get(order)) is not None
    }
    yield "latency_by_order", {order: by_order.get(order) for order in ORDERS}
    yield "unsettled", tuple(order for order in ORDERS if order not in by_order)
    yield "granularity", _granularity(results, expected)
    depths = _depths(requested.problem, results.granularity)
    yield (
        "tiles",
        sum(
            tile_counts(leaf, depth).total
            for leaf, depth in zip(expected.problem.leaves, depths, strict=True)
        ),
    )
    busiest = max(requested.busy.values(), default=0)
    yield "resource_bound", reduce_number(Fraction(busiest, requested.scale))
    coarse = expected.problem.depths != depths
    unlimited = Fraction(schedules.unlimited_makespan, schedules.model.costs.scale)
    yield "dependence_bound", 0 if coarse else reduce_number(unlimited)
    yield "barrier_bound", reduce_number(Fraction(barrier_bound(requested), requested.scale))
    yield "accesses", _actions(expected)
    yield "ports", _port_uses(results, expected)
    yield "background", tuple(sorted(requested.problem.background & _written(requested)))
    yield "options", _options(results, requested.problem)
    yield "staged_holders", tuple(sorted(_staged(requested.problem)))
    yield "slots", requested.problem.slots
    yield "contention", _contention(requested)
    yield "engine", results.choice.chosen.model.engine
    yield "roofline", results.accelforge.latency
    if _runs_in_turn(requested) and not coarse:
        # Without a Pipeline, the mapping is the sequential one.
        yield (
            "sequential",
            min((latency for latency in by_order.values() if latency is not None), default=None),
        )


def _options(results: Results, problem: Problem) -> Mapping[str, Any]:
    """Return the options of a report, updated by those under which the mapping is scheduled."""
    options: dict[str, Any] = dict(results.options)
    order = problem.spec.arch.order
    named = options.get("background") or ()
    pairs = {(t, c) for t, one in named for c in (order if one is None else (one,))}
    if pairs != problem.background:
        options["background"] = tuple(sorted(problem.background))
    return {**options, "staged": problem.staged, "slots": problem.slots}


def _check_bounds(results: Results, expected: Expectation) -> None:
    """Check that `exact`, `lower_bound` and the latencies agree with each other."""
    bound = max(results.bounds.values())
    if results.latency < bound:
        raise BrokenRule(f"the latency is below a bound, {bound}")
    if not results.exact and results.latency == bound:
        raise BrokenRule("the report's exact is False, but the latency equals a bound")
    if results.lower_bound != bound:
        raise BrokenRule(f"the report's lower_bound is {results.lower_bound}, and must be {bound}")
    own = results.latency_by_order.get(results.order)
    if not results.keeps_barriers and own != results.latency:
        raise BrokenRule(
            f"the latency is {results.latency}, but that of order {results.order!r} is {own}"
        )
    # With Sequentials only, tiles may be larger: there are fewer setups and bursts.
    paths = expected.problem.spec.arch.paths.values()
    by_transfer = any(component.setup or component.burst for path in paths for component in path)
    if results.sequential is not None and not by_transfer:
        for name in ("resource", "barrier"):
            if results.sequential < results.bounds[name]:
                raise BrokenRule(f"the report's sequential is below the {name} bound")


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
    """Return the granularity of the schedule; that of the report if the schedule is coarser."""
    own = results.solution.model.lowered.granularity
    depths = expected.problem.depths
    wanted = _depths(expected.problem, results.granularity)
    finer = any(a < b for a, b in zip(depths, wanted, strict=True))
    if finer and all(a <= b for a, b in zip(depths, wanted, strict=True)):
        # The tile iterations are coarser than requested.
        return results.granularity
    return own


def _runs_in_turn(expected: Expectation) -> bool:
    """Return whether the leaves run one after another, without separate transfers."""
    pipelines = any(s.pipeline for leaf in expected.problem.leaves for s in leaf.splits)
    return not pipelines and all(len(blocks) == 1 for blocks in expected.blocks)


def _keeps_barriers(expected: Expectation, requested: Expectation) -> bool:
    """Return whether the schedule is that of the mapping with every Pipeline as a Sequential."""
    if expected.problem.leaves == requested.problem.leaves:
        return False
    if not expected.problem.has_options_of(requested.problem):
        raise BrokenRule("the schedule is that of other options")
    in_turn = tuple(
        replace(leaf, splits=tuple(replace(split, pipeline=False) for split in leaf.splits))
        for leaf in requested.problem.leaves
    )
    if expected.problem.leaves != in_turn:
        raise BrokenRule("the schedule is that of another mapping")
    return True


def _staged(problem: Problem) -> set[tuple[str, str]]:
    """Return the (tensor, component) pairs of the holders that hand over whole tiles."""
    return {
        (tensor, holder.component)
        for leaf in problem.leaves
        for tensor in leaf.einsum.tensors
        for holder in leaf.storages(tensor)[1:]
        if problem.is_staged(tensor, holder.component)
    }


def _depths(problem: Problem, granularity: str) -> tuple[int, ...]:
    """Return per leaf the number of loops that index its tile iterations at a granularity."""
    leaves = problem.leaves
    exchanged = problem.produced & {
        access.tensor for leaf in leaves for access in leaf.einsum.accesses if access.reads
    }
    found = []
    for leaf in leaves:
        depth = len(leaf.temporal) if granularity == "full" else leaf.fixed_depth
        if granularity == "flow":
            single = {
                tensor
                for tensor in leaf.einsum.outputs
                for holder in leaf.storages(tensor)[1:]
                if (tensor, holder.component) in problem.background
                and not problem.is_staged(tensor, holder.component)
            }
            indexing = {
                v
                for access in leaf.einsum.accesses
                if access.tensor in exchanged | single
                for v in access.variables
            }
            for number, loop in enumerate(leaf.temporal):
                if loop.variable in indexing:
                    depth = max(depth, number + 1)
        found.append(max(depth, *(carrying_depth(leaf, t) for t in leaf.einsum.states), 0))
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
        busy = Fraction(expected.busy.get((key.component, key.index, key.users), 0), expected.scale)
        component = next(
            c for path in spec.arch.paths.values() for c in path if c.name == key.component
        )
        found.append(
            PortUse(
                key.component,
                component.ports[key.index].name,
                expected.units.label(key.users),
                reduce_number(busy),
                busy / latency if latency else Fraction(0),
            )
        )
    return tuple(found)


def _contention(expected: Expectation) -> tuple[Contention, ...]:
    """Return, per Pipeline, which components its stages divide, and for which they contend."""
    units = expected.units
    found = []
    for node in units.pipelines:
        stages = units.stages[node]
        members = [{leaf.number for leaf in stage} for stage in stages]
        own: list[str] = []
        shared: list[str] = []
        for component in dict.fromkeys(
            component.name
            for stage in stages
            for leaf in stage
            for component in units.spec.arch.paths[leaf.einsum.name]
            if component.ports
        ):
            if all(sum(bool(m & some) for m in members) < 2 for some in units.groups(component)):
                own.append(component)
                continue
            contended = sorted(
                (index, users)
                for name, index, users in expected.busy
                if name == component and sum(not m.isdisjoint(users) for m in members) > 1
            )
            labels = dict.fromkeys(f"{component}[{units.label(users)}]" for _, users in contended)
            shared += labels or [component]
        found.append(
            Contention(tuple(_stage_name(stage) for stage in stages), tuple(own), tuple(shared))
        )
    return tuple(found)


def _stage_name(stage: tuple[Leaf, ...]) -> str:
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
        if block.background and block.tensor is not None
    }
