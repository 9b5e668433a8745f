"""`analyze`: from a mapping to its latency."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property, partial
from typing import Any

from polylat.accounting import roofline
from polylat.errors import CapacityError, ScheduleError, TooLargeError
from polylat.exact import Number, number
from polylat.model import Granularity, Lowered, Model, coarsest, lower
from polylat.report import AccessKey, Contention, PortUse, Report
from polylat.schedule.timing import ORDERS, Timing
from polylat.spec import Spec
from polylat.spec.options import normalize_option
from polylat.spec.reading.live import as_spec
from polylat.tasks import own_stages, separations, total_count
from polylat.visits import Solved, in_turn, solve

__all__ = ["DEFAULT_MAX_TILES", "Timed", "analyze", "time_mapping"]

DEFAULT_MAX_TILES = 1_000_000

_REFINEMENTS = 6
"""How often one more loop is looked at where not all can be."""


class _Unset:
    """Not given: what the file's ``schedule:`` key says, or else the default that is shown."""

    def __init__(self, default: object) -> None:
        self.default = default

    def __repr__(self) -> str:
        return repr(self.default)


_DEFAULTS: dict[str, Any] = {
    "granularity": _Unset("auto"),
    "order": _Unset("best"),
    "background": _Unset(()),
    "slots": _Unset(2),
    "max_tiles": _Unset(DEFAULT_MAX_TILES),
    "enforce_capacity": _Unset(False),
}


def analyze(
    spec: Spec | Any,
    *,
    granularity: str = _DEFAULTS["granularity"],
    order: str = _DEFAULTS["order"],
    background: str | Iterable[str | tuple[str, str]] = _DEFAULTS["background"],
    slots: int | Mapping[str, int | None] | None = _DEFAULTS["slots"],
    max_tiles: int = _DEFAULTS["max_tiles"],
    enforce_capacity: bool = _DEFAULTS["enforce_capacity"],
) -> Report:
    """Latency of a mapping that respects its dependences.

    An option that is not given is what the input's ``schedule:`` key says, or else its default.

    Parameters
    ----------
    spec
        The input; or AccelForge's ``Spec`` with a mapping, or its ``Mappings`` of one mapping.
    granularity
        How finely tile iterations are told apart: ``"tile"`` (the loops above the innermost
        Storage, Toll or split), ``"flow"`` (also those that index exchanged tensors), ``"full"``
        (all Temporal loops), or ``"auto"``: flow where there are no more than `max_tiles`, else
        tile.
    order
        In which order a port serves: ``"program"`` (depth first), ``"skew"`` (by skewed date),
        ``"oldest"`` (work-conserving), or ``"best"``: whichever gives the least latency.
    background
        Write-backs that nobody waits for: tensors, or (tensor, component written back from).
    slots
        How many tiles an exchange holder or the holder of a prefetched fill keeps (None:
        unlimited), for all tensors or by tensor.
    max_tiles
        Largest number of tile iterations.
    enforce_capacity
        Whether it is an error if a memory holds more than its size.

    Returns
    -------
    Report
        Latency, bounds, and what they are made of.

    Raises
    ------
    MappingError
        The mapping is illegal.
    ScheduleError
        The order (or all of them) contradicts the dependences; names a cycle.
    OptionError
        An option cannot be used.
    CapacityError
        With `enforce_capacity`: a memory holds more than its size.
    TooLargeError
        There are more than `max_tiles` tile iterations.
    UnsupportedError
        The input is not modelled.

    Examples
    --------
    >>> import polylat
    >>> files = ("examples/arch.yaml", "examples/workload.yaml", "examples/tap_resident.yaml")
    >>> spec = polylat.load(*files)
    >>> report = polylat.analyze(spec, granularity="tile", background="o2")
    >>> report.latency, report.sequential, report.optimal
    (31744, 32256, True)
    """
    spec = as_spec(spec)
    given = {
        "granularity": granularity,
        "order": order,
        "background": background,
        "slots": slots,
        "max_tiles": max_tiles,
        "enforce_capacity": enforce_capacity,
    }
    options = {name: _option(spec, name, value) for name, value in given.items()}
    timed = time_mapping(spec, options)
    solved, lowered, chosen, of = timed.solved, timed.lowered, timed.chosen, timed.model
    model, timings = solved.model, solved.timings
    written = _written_back(model)
    own_roofline = roofline(spec)
    scale = model.costs.scale
    latency = _time(chosen.makespan, of.costs.scale)
    resource = _time(max(model.graph.loads, default=0), scale)
    # Coarser tile iterations only wait longer, so that theirs is no bound for finer ones.
    dependence = 0 if timed.coarse else _time(solved.unlimited.makespan, scale)
    exact = timed.exact
    report = Report(
        latency=latency,
        latency_by_order={
            order: _time(timings[order][0].makespan, timings[order][1].costs.scale)
            if order in timings and timings[order][0].legal
            else None
            for order in ORDERS
        },
        order=chosen.order or "",
        waits_for_background=of.background != model.background,
        granularity=lowered.granularity,
        tiles=lowered.size,
        resource_bound=resource,
        dependence_bound=dependence,
        roofline=own_roofline.latency,
        sequential=_sequential(solved, options),
        accesses=_accesses(model),
        ports=_ports(of, chosen),
        background=tuple(sorted(model.background & written)),
        idle_background=_idle(options["background"], written),
        slots=options["slots"],
        contention=_contention(model),
        engine=of.engine,
        exact=exact,
        lower_bound=latency if exact else max(resource, dependence),
        unsettled=tuple(o for o in ORDERS if o not in timings),
        _model=of,
        _timing=chosen,
        _roofline=own_roofline,
    )
    if options["enforce_capacity"]:
        _check_capacity(report)
    return report


Solve = Callable[..., Solved]
"""`solve`, or what remembers its results."""


@dataclass(frozen=True, eq=False)
class Timed:
    """The schedule of a mapping under its options.

    Parameters
    ----------
    solved
        All timings.
    lowered
        The mapping at the granularity asked for: where its tile iterations are too many to look
        at, the timings are those of coarser ones.
    chosen, model
        The schedule asked for, and the model that it is one of.
    settled
        Whether all that it was chosen from is known.
    """

    solved: Solved
    lowered: Lowered
    chosen: Timing
    model: Model
    settled: bool

    @property
    def coarse(self) -> bool:
        """Whether tile iterations are coarser than asked for."""
        return self.solved.model.lowered.depths != self.lowered.depths

    @cached_property
    def exact(self) -> bool:
        """Whether the makespan is the latency."""
        if (self.settled and not self.coarse) or in_turn(self.solved.model):
            return True
        model = self.solved.model
        least = Fraction(max(model.graph.loads, default=0), model.costs.scale)
        if not self.coarse:
            unlimited = Fraction(self.solved.unlimited.makespan, model.costs.scale)
            least = max(least, unlimited)
        return Fraction(self.chosen.makespan, self.model.costs.scale) == least


def time_mapping(
    spec: Spec,
    options: Mapping[str, Any],
    *,
    lowering: Callable[[Granularity], Lowered] | None = None,
    solver: Solve = solve,
) -> Timed:
    """Time a mapping, as finely as can be.

    Parameters
    ----------
    spec
        The input.
    options
        All options of `analyze`, in their normal forms.
    lowering, solver
        What lowers the mapping and solves what is lowered: `lower` and `solve`, or what
        remembers their results.
    """
    lowering = lowering or partial(lower, spec)
    pairs = _background(spec, options["background"])
    solved, lowered = _solve(lowering, solver, pairs, options)
    return Timed(solved, lowered, *_choose(solver, solved, options))


def _solve(
    lowering: Callable[[Granularity], Lowered],
    solver: Solve,
    pairs: frozenset[tuple[str, str]],
    options: Mapping[str, Any],
) -> tuple[Solved, Lowered]:
    granularity, limit = options["granularity"], options["max_tiles"]
    auto = granularity == "auto"
    lowered = lowering("flow" if auto else granularity)
    slots = options["slots"]
    try:
        return solver(lowered, pairs, slots, limit, quick=auto), lowered
    except TooLargeError:
        coarse = lowering("tile")
        if coarse.depths == lowered.depths:
            raise
        solved = solver(coarse, pairs, slots, limit)
    if auto:
        return solved, coarse
    return _refined(solved, lowered, (pairs, slots, limit)), lowered


def _refined(solved: Solved, lowered: Lowered, options: tuple[Any, Any, int]) -> Solved:
    """Timings of tile iterations as fine as can be looked at, where that makes them better.

    One more loop at a time, of that leaf (or of all leaves at once) with which the latency falls
    most, until it falls no further, or to the bound.
    """
    pairs, slots, limit = options
    if in_turn(solved.model):
        return solved
    for _ in range(_REFINEMENTS):
        model = solved.model
        if _least(solved) == Fraction(max(model.graph.loads, default=0), model.costs.scale):
            break
        best = solved
        for depths in _finer(model.lowered.depths, lowered.depths):
            try:
                found = solve(replace(lowered, depths=depths), pairs, slots, limit, quick=True)
            except TooLargeError:
                continue
            if _least(found) < _least(best):
                best = found
        if best is solved:
            break
        solved = best
    return solved


def _finer(depths: tuple[int, ...], finest: tuple[int, ...]) -> list[tuple[int, ...]]:
    """The depths with one more loop of one leaf, or of every leaf; not the finest themselves."""
    more = [tuple(n + (i == k) for i, n in enumerate(depths)) for k in range(len(depths))]
    more.append(tuple(n + 1 for n in depths))
    clipped = [tuple(map(min, some, finest)) for some in more]
    return [some for some in dict.fromkeys(clipped) if some not in (depths, finest)]


def _least(solved: Solved) -> Fraction:
    legal = [Fraction(t.makespan, m.costs.scale) for t, m in solved.timings.values() if t.legal]
    return min(legal, default=Fraction(0))


def _option(spec: Spec, name: str, value: Any) -> Any:
    if isinstance(value, _Unset):
        value = spec.schedule.get(name, value.default)
    return normalize_option(name, value, tensors=spec.workload.tensors, components=spec.arch.order)


def _background(spec: Spec, asked: Iterable[tuple[str, str | None]]) -> frozenset[tuple[str, str]]:
    return frozenset(
        (tensor, component)
        for tensor, named in asked
        for component in (spec.arch.order if named is None else (named,))
    )


def _written_back(model: Model) -> set[tuple[str, str]]:
    """(tensor, component) pairs of the write-backs in the background that there are."""
    return {
        (block.tensor, leaf.storages(block.tensor)[block.level].component)
        for leaf, blocks in zip(model.lowered.leaves, model.layout.blocks, strict=True)
        for block in blocks
        if block.kind == "background" and block.tensor is not None
    }


def _idle(
    asked: Iterable[tuple[str, str | None]], written: set[tuple[str, str]]
) -> tuple[tuple[str, str | None], ...]:
    """What was asked for and is not written back; None: from no component."""
    all_written = {*written, *((tensor, None) for tensor, _ in written)}
    return tuple(sorted(set(asked) - all_written, key=lambda pair: (pair[0], pair[1] or "")))


def _choose(
    solver: Solve, solved: Solved, options: Mapping[str, Any]
) -> tuple[Timing, Model, bool]:
    """The schedule asked for, the model that it is one of, and whether all were compared."""
    order, model, timings = options["order"], solved.model, solved.timings
    if order != "best":
        if order not in timings:
            raise TooLargeError(
                f"order {order!r} does not recur in few tile iterations, and the mapping has"
                f" {model.lowered.size} at granularity {model.lowered.granularity!r}",
                where="mapping",
                mend="raise max_tiles, or use order='skew' or granularity='tile'",
            )
        if not timings[order][0].legal:
            raise _no_order(model, timings[order][0], f"order {order!r}")
        return *timings[order], True
    choices = [(t, m) for t, m in timings.values() if t.legal]
    settled = solved.settled
    if model.background:
        waiting = solver(model.lowered, frozenset(), options["slots"], options["max_tiles"])
        choices += [(t, m) for t, m in waiting.timings.values() if t.legal]
        settled &= waiting.settled
    if not choices:
        last = list(timings.values())[-1][0]
        raise _no_order(model, last, "every order of the ports")
    return *min(choices, key=lambda c: Fraction(c[0].makespan, c[1].costs.scale)), settled


def _no_order(model: Model, timing: Timing, which: str) -> ScheduleError:
    from polylat.cycle import describe_cycle

    return ScheduleError(
        f"{which} contradicts the dependences: {describe_cycle(model, timing)}",
        where="mapping",
        mend="use another order, hold the exchanged tensor above the loops that part its producer"
        " and its reader, or give it more slots",
    )


def _sequential(solved: Solved, options: Mapping[str, Any]) -> Number | None:
    model, lowered = solved.model, solved.model.lowered
    pipelines = any(s.pipeline for leaf in lowered.leaves for s in leaf.splits)
    if pipelines or model.background:
        if not any(block.kind == "fill" for blocks in model.layout.blocks for block in blocks):
            lowered = coarsest(lowered)  # all is `in_turn` then, however fine
        limit = options["max_tiles"]
        solved = solve(lowered, frozenset(), model.slots, limit, sequential=True)
    legal = [t.makespan for t, _ in solved.timings.values() if t.legal]
    return _time(min(legal), solved.model.costs.scale) if legal else None


def _accesses(model: Model) -> dict[AccessKey, Number]:
    spec = model.lowered.spec
    counts: dict[AccessKey, Fraction] = {}
    for leaf, blocks in zip(model.lowered.leaves, model.layout.blocks, strict=True):
        tiles = model.layout.tiles[leaf.number]
        for block in blocks:
            for access in block.accesses:
                component = spec.arch.component(leaf.einsum.name, access.component)
                each = component.actions_per_value[access.action, access.tensor]
                key = (leaf.einsum.name, access.component, access.tensor, access.action)
                counts[key] = counts.get(key, Fraction(0)) + total_count(access, tiles) * each
    return {key: number(count) for key, count in counts.items()}


def _ports(model: Model, timing: Timing) -> tuple[PortUse, ...]:
    from polylat.occupancy import stage_name

    spec, leaves = model.lowered.spec, model.lowered.leaves
    latency = timing.makespan
    found = []
    for key, load in zip(model.costs.ports, model.graph.loads, strict=True):
        component = next(
            c for path in spec.arch.paths.values() for c in path if c.name == key.component
        )
        found.append(
            PortUse(
                key.component,
                component.ports[key.index].name,
                tuple(dict.fromkeys(stage_name(leaves, *s) for s in key.stages)),
                _time(load, model.costs.scale),
                Fraction(load, latency) if latency else Fraction(0),
            )
        )
    return tuple(found)


def _contention(model: Model) -> tuple[Contention, ...]:
    from polylat.occupancy import stage_name

    spec, leaves = model.lowered.spec, model.lowered.leaves
    separate = separations(spec, leaves)
    stages: dict[int, int] = {}
    for leaf in leaves:
        for split in leaf.splits:
            if split.pipeline:
                stages[split.node] = max(stages.get(split.node, 0), split.branch + 1)
    found = []
    for node, count in stages.items():
        inside = [leaf for leaf in leaves if any(s.node == node for s in leaf.splits)]
        own: dict[str, bool] = {}
        for leaf in inside:
            path = spec.arch.paths[leaf.einsum.name]
            stages_of = own_stages(leaf, [c.name for c in path], separate)
            for component in path:
                if component.ports:
                    own[component.name] = any(n == node for n, _ in stages_of[component.name])
        found.append(
            Contention(
                tuple(stage_name(leaves, node, s) for s in range(count)),
                tuple(name for name, apart in own.items() if apart),
                tuple(name for name, apart in own.items() if not apart),
            )
        )
    return tuple(found)


def _check_capacity(report: Report) -> None:
    for memory in report.occupancy:
        if memory.exceeded:
            raise CapacityError(
                f"memory {memory.component!r} holds up to {memory.peak} bits, and its size is"
                f" {memory.size}",
                where=f"arch, component {memory.component!r}",
                mend="use smaller tiles, fewer slots or a larger memory; or do not enforce"
                " capacity",
            )


def _time(steps: int, scale: int) -> Number:
    return number(Fraction(steps, scale))
