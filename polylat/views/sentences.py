"""Sentences about results, which text, pages and notebooks share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from polylat.analysis.energy import Energy
from polylat.analysis.results import Results
from polylat.analysis.staging import ALL_HOLDERS
from polylat.analysis.work import work_of
from polylat.errors import UnsupportedError
from polylat.numbers import format_gap, format_number, format_speedup, percent
from polylat.spec.names import short_split
from polylat.spec.pairs import pair_names
from polylat.views.style import WAIT_REASONS

__all__ = [
    "LEAVES_STREAM",
    "ORDER_IS_KEPT",
    "STATES_ARE_WAITED_FOR",
    "contention_sentences",
    "count_words",
    "has_many_accesses",
    "is_small",
    "latency_sentences",
    "listed",
    "missing_write_backs",
    "waits_sentence",
]

LEAVES_STREAM = (
    "Within a leaf of the mapping, reads, computation and writes that stream overlap freely, as"
    " AccelForge assumes. Separate transfers, of staged holders for example, do not."
)
"""The limit of the model."""

STATES_ARE_WAITED_FOR = (
    "In a recurrence, all that streams into a step waits for the state; staged tiles are fetched"
    " ahead."
)
"""What streaming does to a recurrence."""

ORDER_IS_KEPT = (
    "The order of service on each port is kept. A new analysis with other throughputs may find a"
    " faster order."
)
"""The condition under which sensitivities hold."""

_MOST_STAGED = 20_000
"""Largest number of tile iterations that a headline schedules again, with other options."""

_CHANGES = 20
_CHANGES_PER_EINSUM = 2
"""About how many single changes a mapping has."""

_MOST_AT_ONCE = 1_000_000
"""What all single changes together may take without a noticeable wait, in tile iterations."""

_MOST_TIMED = 40_000_000
"""Largest number of tile iterations that are timed again for the slack of all accesses."""

_MOST_COSTS = 3
"""Largest number of write-backs whose costs are given."""

_MOST_NAMES = 12
"""Largest number of other write-backs that are named."""

_MOST_RINGS = 3
"""Number of recurrences that the text names."""

_MOST_COMPONENTS = 4
"""Largest number of components whose shares of the energy are given."""


def latency_sentences(results: Results) -> tuple[str, ...]:
    """Say how a latency was computed, how it compares, and whether it is proven optimal.

    Parameters
    ----------
    results
        The results.

    Returns
    -------
    tuple of str
        Lines below the latency.
    """
    return tuple(_latency_sentences(results))


def _latency_sentences(results: Results) -> Iterator[str]:
    how = [
        f"order {results.order}",
        _granularity(results),
        count_words(results.tiles, "tile iteration"),
    ]
    if results.engine == "periodic":
        how.append("extrapolated from their period")
    if results.options["pipelined"]:
        how.append(f"pipelined: {', '.join(map(short_split, results.options['pipelined']))}")
    if results.background:
        how.append(f"background: {', '.join(pair_names(results.background))}")
    if results.staged_holders:
        how.append(f"staged: {', '.join(pair_names(results.staged_holders))}")
    yield " · ".join(how)
    yield from results.spec.readings
    yield from missing_write_backs(results)
    yield from _doubts(results)
    small = is_small(results)
    if small:
        yield from _transfers(results)
    if results.keeps_barriers:
        yield "The fastest schedule keeps the barriers: it runs every Pipeline as a Sequential."
    if results.sequential is None:
        yield "Sequential execution of the mapping is illegal."
    elif results.speedup == 1:
        yield "As fast as sequential execution, without overlap between branches."
    elif results.speedup is not None and results.speedup < 1:
        yield f"Slower than sequential execution ({format_number(results.sequential)})."
    elif results.speedup is not None:
        times = format_speedup(results.speedup)
        yield f"{times} as fast as sequential execution ({format_number(results.sequential)})."
    if not results.exact:
        yield (
            f"Not exact: a schedule takes {format_number(results.latency)}, none takes less than"
            f" {format_number(results.lower_bound)} (gap {format_gap(results.gap)})."
        )
    yield _optimality(results)
    yield from _recurrences(results)
    busiest = _busiest_ports(results)
    resource = format_number(results.resource_bound) + (f" (port {busiest})" if busiest else "")
    dependence = f"{format_number(results.dependence_bound)} (ports always free)"
    barrier = format_number(results.barrier_bound)
    yield f"Bounds: resource {resource}, dependence {dependence}, barrier {barrier}."
    energy = results.known_energy
    if energy is not None and energy.total:
        yield _energy(energy)
    if small and results.options["staged"] != ALL_HOLDERS:
        yield _staged(results)
        yield from _double_buffering(results)


def _recurrences(results: Results) -> Iterator[str]:
    """Say what the slowest recurrences take per step, and whether one of them is the limit."""
    rings = results.recurrences
    binding = [ring for ring in rings if ring.binding]
    for ring in (binding or rings[:1])[:_MOST_RINGS]:
        yield str(ring)
    states = {state.tensor: state for ring in rings[:_MOST_RINGS] for state in ring.states}
    yield from map(str, states.values())


def _granularity(results: Results) -> str:
    """Say which granularity was used, and why it is not the finer one."""
    if results.options["granularity"] == "auto" and results.granularity == "tile":
        return (
            f"granularity tile (flow: more than {results.options['max_tiles']:,} tile iterations)"
        )
    return f"granularity {results.granularity}"


def _doubts(results: Results) -> Iterator[str]:
    """Say what makes a latency void or doubtful.

    What is left out, memories that overflow, data that nothing brings or nothing computes.
    """
    if results.unmapped:
        yield f"Not mapped, thus left out: {', '.join(results.unmapped)}."
    if results.merged_holders:
        names = ", ".join(pair_names(results.merged_holders))
        yield f"One buffer for all branches, as they begin with it: {names}."
    try:
        full = [
            f"{m.name} holds up to {format_number(m.peak)} of {format_number(m.size)} bits"
            f" ({percent(m.peak, m.size)})"
            for m in results.occupancy
            if m.exceeded and m.size is not None
        ]
    except UnsupportedError:
        full = []
    if full:
        yield f"Does not fit: {', '.join(full)}, where each tile counts with its full size."
    outermost, inputs = results.inputs_from_start
    for component, tensors in inputs.items():
        yield (
            f"{component} holds {', '.join(tensors)} from the start: nothing is charged for bringing"
            f" {'them' if len(tensors) > 1 else 'it'} from {outermost}."
        )
    yield from map(str, results.padding)


def is_small(results: Results) -> bool:
    """Return whether a mapping can be analyzed a few times more without a noticeable wait.

    Parameters
    ----------
    results
        Its results.

    Returns
    -------
    bool
        Whether it has few tile iterations and Einsums.
    """
    most: int = results.options["max_tiles"]
    leaves = len(results.solution.model.lowered.leaves)
    changes = _CHANGES + _CHANGES_PER_EINSUM * leaves
    together = changes * work_of(results.choice.solved.model)
    return results.tiles <= min(_MOST_STAGED, most) and together <= _MOST_AT_ONCE


def has_many_accesses(results: Results) -> bool:
    """Return whether it takes long to compute the slack of every access of a mapping.

    Parameters
    ----------
    results
        Its results.

    Returns
    -------
    bool
        Whether it takes more than about half a minute.
    """
    return len(results.accesses) * work_of(results.solution.model) > _MOST_TIMED


def _transfers(results: Results) -> Iterator[str]:
    """Say what write-backs cost, and what is fetched back."""
    written = results.write_backs
    for pair in written[:_MOST_COSTS]:
        yield str(results.cost_of(pair, "out"))
    for fetch in results.refetches[:_MOST_COSTS]:
        yield str(fetch)
    if len(written) > _MOST_COSTS:
        names = listed(pair_names(written[_MOST_COSTS:]), _MOST_NAMES)
        yield f"What the write-backs of {names} cost: report.cost_of(...)."


def _energy(energy: Energy) -> str:
    """Say how much energy a mapping takes, and which components take it."""
    ranked = sorted(energy.per_component.items(), key=lambda item: -item[1])
    parts = [f"{name} {percent(part, energy.total)}" for name, part in ranked if part]
    without = f", without the leakage of {', '.join(energy.without)}" if energy.without else ""
    shares = listed(parts, _MOST_COMPONENTS)
    return f"Energy {format_number(energy.total)}: {shares}{without}."


def _double_buffering(results: Results) -> Iterator[str]:
    """Say whether two tiles of every tensor fit, if a memory that holds any is limited."""
    try:
        limited = [m for m in results.double_buffering if m.size is not None]
    except UnsupportedError:
        return
    full = [
        f"{m.memory} ({format_number(m.peak)} of {format_number(m.size)} bits)"
        for m in limited
        if m.size is not None and not m.fits
    ]
    if full:
        yield f"Two tiles of every tensor do not fit into {' and '.join(full)}."
    elif limited:
        yield f"Two tiles of every tensor fit into {' and '.join(m.memory for m in limited)}."


def _staged(results: Results) -> str:
    if results.staged is None:
        return "With every tile staged, in the same slots, there is no schedule."
    sentence = f"With every tile staged, in the same slots: {format_number(results.staged)}"
    if results.recurrences and results.staged < results.latency:
        return (
            f"{sentence}: what streams waits for the state of a recurrence, staged tiles need not."
        )
    return f"{sentence}."


def _optimality(results: Results) -> str:
    if not results.optimal:
        gap = results.latency - results.lower_bound
        share = percent(gap, results.latency)
        above = f"{format_number(gap)} ({share}) above the {results.binding} bound"
        return f"Not proven optimal: {above}."
    reason = {
        "resource": f"no schedule keeps {_busiest_ports(results) or 'a port'} busy for less",
        "dependence": "no schedule has a shorter chain of dependences",
        "barrier": "one after another, the branches of Sequentials take no less",
    }[results.binding]
    return f"Proven optimal by the {results.binding} bound: {reason}."


def _busiest_ports(results: Results) -> str:
    """Return the names of the ports whose load is the resource bound."""
    if not results.resource_bound:
        return ""
    return " or ".join(p.name for p in results.ports if p.busy == results.resource_bound)


def missing_write_backs(results: Results) -> list[str]:
    """Say which requested background write-backs the mapping does not have.

    Parameters
    ----------
    results
        The results.

    Returns
    -------
    list of str
        A sentence for each.
    """
    return [f"Nothing is written back for {tensor}." for tensor, _ in results.idle_background]


def waits_sentence(results: Results) -> str:
    """Say what kept the accesses on the critical path from starting earlier.

    Parameters
    ----------
    results
        The results.

    Returns
    -------
    str
        A sentence with the time of the accesses, grouped by what they waited for.
    """
    parts = (
        f"{WAIT_REASONS[why]} {format_number(time)} ({percent(time, results.latency)})"
        for why, time in results.critical_reasons.items()
    )
    return f"Time on the critical path by what each access waited for: {', '.join(parts)}."


def undetermined_sentence(error: UnsupportedError) -> str:
    """Say that an analysis cannot be completed, and why.

    Parameters
    ----------
    error
        What it raised.

    Returns
    -------
    str
        A sentence with the reason and what to do.
    """
    return f"Not determined: {UnsupportedError(error.what, fix=error.fix)}"


def contention_sentences(results: Results) -> tuple[str, ...]:
    """Say which components the stages of each Pipeline contend for, and which they own.

    Parameters
    ----------
    results
        The results.

    Returns
    -------
    tuple of str
        A sentence per Pipeline.
    """
    found = []
    for pipeline in results.contention:
        parts = []
        if pipeline.shared:
            parts.append(f"the stages contend for {', '.join(pipeline.shared)}")
        if pipeline.own:
            parts.append(f"each stage has its own units of {', '.join(pipeline.own)}")
        found.append(f"Pipeline {' | '.join(pipeline.stages)}: {'; '.join(parts)}.")
    return tuple(found)


def listed(names: Sequence[str], most: int) -> str:
    """Join names with commas; of too many, the first ones and the number of others.

    Parameters
    ----------
    names
        The names.
    most
        Largest number of names in the text.

    Returns
    -------
    str
        The text.

    Examples
    --------
    >>> listed(["a", "b"], 2), listed(["a", "b", "c"], 1)
    ('a, b', 'a and 2 more')
    """
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def count_words(number: int, noun: str) -> str:
    """Write a count with its noun.

    Parameters
    ----------
    number
        The count.
    noun
        The singular of the noun.

    Returns
    -------
    str
        Such as ``"1,088 tile iterations"``.
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
