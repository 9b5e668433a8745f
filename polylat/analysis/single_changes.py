"""Single changes of the schedule and of the machine, each with its latency."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from math import inf
from operator import itemgetter
from typing import Any

from polylat.analysis.access import OVERHEAD
from polylat.analysis.changes import Change, ChangeKind, Changes
from polylat.analysis.refetches import Refetch
from polylat.analysis.transfer_cost import written_values
from polylat.analysis.variation import Rescheduled, reschedule
from polylat.analysis.work import MOST_WORK
from polylat.engine.model import Model
from polylat.errors import OptionError
from polylat.numbers import Number
from polylat.spec import Spec
from polylat.spec.arch import Arch
from polylat.spec.mapping import Sequential
from polylat.spec.names import KnownNames, Pair, known_names, short_split
from polylat.spec.options import without_missing
from polylat.spec.staged import staged_holders

__all__ = ["single_changes"]

_OF_MACHINE = ("throughput", "latency")
"""The kinds of changes that take another machine: behind others that have the same latency."""

_FEWEST = 12
"""Number of changes of single splits and tensors that are analyzed in any case."""


@dataclass(frozen=True)
class _Candidate:
    """A change that is not analyzed yet.

    Parameters
    ----------
    what
        The change in words.
    analyze
        Analyzes it; None where it is illegal.
    values
        Number of values whose transfers change, in the busiest unit; infinite for a split; None for
        a change of the whole mapping.
    """

    what: str
    analyze: Callable[[], Change | None]
    values: float | None = None


def single_changes(
    model: Model,
    options: Mapping[str, Any],
    known: KnownNames,
    fetches: Sequence[Refetch],
    latency: Number,
    work: int,
    own: Sequence[Change] = (),
    remarks: Sequence[str] = (),
    factor: int = 2,
) -> Changes:
    """Analyze every single change of the schedule and of the machine.

    Parameters
    ----------
    model
        The mapping.
    options
        All options of `analyze`, in their normal forms.
    known
        The names that exist.
    fetches
        What is fetched back, and may be kept instead.
    latency
        The latency without any change.
    work
        What an analysis of a changed mapping takes, see `polylat.analysis.work.work_of`.
    own, remarks
        The changes that concern recurrences, and what these need.
    factor
        Factor on the throughput of a component, or of one of its actions, and what its fixed
        latencies are divided by: a whole number ≥ 1.

    Returns
    -------
    Changes
        All of them. In a large network, of those that concern a single split or tensor, only some:
        splits first, then those that move the most values.

    Raises
    ------
    OptionError
        The factor is 1.
    """
    if factor == 1:
        raise OptionError("factor is 1, which changes nothing", fix="give 2 for twice as fast")
    spec = model.lowered.spec
    every = [
        *_option_changes(spec, options, known, written_values(model)),
        *_hoists(fetches, options),
        *_of_machine(spec, options, factor),
    ]
    parts = [(-c.values, c.what) for c in every if c.values is not None]
    left = MOST_WORK // work - (len(every) - len(parts))
    by_values = sorted(parts, key=itemgetter(0))
    skipped = {what for _, what in by_values[max(left, _FEWEST) :]}
    tried = (candidate.analyze() for candidate in every if candidate.what not in skipped)
    found = [change for change in tried if change is not None]
    ranked = sorted(
        [*found, *own], key=lambda c: (c.latency is None, c.latency or 0, c.kind in _OF_MACHINE)
    )
    if skipped:
        remarks = (*remarks, _not_analyzed(len(skipped)))
    return Changes(latency, factor, tuple(ranked), tuple(remarks))


def _not_analyzed(count: int) -> str:
    return (
        f"Of the changes of single splits, write-backs and fetches, {count:,} were not analyzed, as"
        " it takes long for this mapping: those that move the fewest values."
    )


def _option_changes(
    spec: Spec, options: Mapping[str, Any], known: KnownNames, written: Mapping[Pair, int]
) -> Iterator[_Candidate]:
    """Yield the changes of an option."""

    def change(
        kind: ChangeKind, what: str, changed: Mapping[str, Any], values: float | None = None
    ) -> _Candidate:
        return _Candidate(what, partial(_change, kind, what, spec, {**options, **changed}), values)

    pipelined = options["pipelined"]
    inner = [
        split.name
        for split in spec.mapping.splits()
        if isinstance(split, Sequential) and split.name not in pipelined
    ]
    if len(inner) > 1:
        yield change("pipelined", "all splits as Pipelines", {"pipelined": known.splits})
    for name in inner:
        what = f"split {short_split(name)} as a Pipeline"
        yield change("pipelined", what, {"pipelined": (*pipelined, name)}, inf)
    background = options["background"]
    waited = [
        pair
        for pair in known.write_backs
        if pair not in background and (pair[0], None) not in background
    ]
    if len(waited) > 1:
        everything = {"background": (*background, *waited)}
        yield change("background", "all write-backs in the background", everything)
    for pair in waited:
        yield change(
            "background",
            f"{pair[0]}@{pair[1]} in the background",
            {"background": (*background, pair)},
            written.get(pair, 0),
        )
    staged = options["staged"]
    known_staged = staged_holders(staged, known)
    for component in dict.fromkeys(c for _, c in known.holders):
        own = [pair for pair in known.holders if pair[1] == component]
        if any(pair not in known_staged for pair in own):
            changed = {"staged": (*staged, (None, component))}
            yield change("staged", f"tiles in {component} staged", changed)
    slots = options["slots"]
    if isinstance(slots, int):
        yield change("slots", f"{slots + 1} slots instead of {slots}", {"slots": slots + 1})
        yield change("slots", "unlimited slots", {"slots": None})
    elif slots is not None:
        more = {name: None if count is None else count + 1 for name, count in slots.items()}
        yield change("slots", "one more slot everywhere", {"slots": more})
        yield change("slots", "unlimited slots", {"slots": None})


def _hoists(fetches: Sequence[Refetch], options: Mapping[str, Any]) -> Iterator[_Candidate]:
    """Yield the changes that keep what is fetched back, once for all Einsums that fetch it."""
    by_words: dict[str, list[Refetch]] = {}
    for fetch in fetches:
        what = f"{fetch.tensor} kept in {fetch.into} above {short_split(fetch.split)}"
        by_words.setdefault(what, []).append(fetch)
    for what, same in by_words.items():
        values = sum(fetch.values for fetch in same)
        yield _Candidate(what, partial(_hoist, what, same[0], options), values)


def _hoist(what: str, fetch: Refetch, options: Mapping[str, Any]) -> Change | None:
    kept = fetch.hoisted
    if kept is None:
        return None
    names = known_names(kept.workload, kept.arch.order, kept.mapping)
    return _change("hoist", what, kept, without_missing(options, names), found=fetch.found)


def _change(
    kind: ChangeKind,
    what: str,
    spec: Spec,
    options: Mapping[str, Any],
    component: str | None = None,
    action: str | None = None,
    found: Rescheduled | None = None,
) -> Change:
    """Analyze a change, unless its latency is known."""
    found = reschedule(spec, options) if found is None else found
    return Change(kind, what, replace(spec, schedule=dict(options)), component, action, found)


def _of_machine(spec: Spec, options: Mapping[str, Any], factor: int) -> Iterator[_Candidate]:
    """Yield the changes of the machine: throughputs and fixed latencies."""

    def change(
        kind: ChangeKind, what: str, arch: Arch, name: str, action: str | None
    ) -> _Candidate:
        other = replace(spec, arch=arch)
        return _Candidate(what, partial(_change, kind, what, other, options, name, action))

    times = "twice" if factor == 2 else f"{factor} times"
    for component, action in _throughputs(spec):
        what = {OVERHEAD: f"overhead of {component}", None: component}.get(
            action, f"{component} {action}"
        )
        faster = spec.arch.faster(component, action, Fraction(factor))
        yield change("throughput", f"{what} {times} as fast", faster, component, action)
    part = "half" if factor == 2 else f"1/{factor} of"
    for component in _latencies(spec):
        sooner = spec.arch.quicker(component, Fraction(factor))
        what = f"{part} the fixed latency of {component}"
        yield change("latency", what, sooner, component, None)


def _latencies(spec: Spec) -> list[str]:
    """Return the components with fixed latencies."""
    late = {c.name for path in spec.arch.paths.values() for c in path if any(c.latency.values())}
    return [name for name in spec.arch.order if name in late]


def _throughputs(spec: Spec) -> list[tuple[str, str | None]]:
    """Return what can become faster: components, and actions of those that have several."""
    timed: dict[str, dict[str, None]] = {}
    for path in spec.arch.paths.values():
        for component in path:
            actions = timed.setdefault(component.name, {})
            for port in component.ports:
                actions |= dict.fromkeys(a for a, time in port.durations.items() if time)
                if port.constant:
                    actions[OVERHEAD] = None
    found: list[tuple[str, str | None]] = []
    for name in spec.arch.order:
        actions = timed.get(name, {})
        several = [action for action in actions if action != OVERHEAD]
        if several:
            found.append((name, None))
        if len(several) > 1:
            found += [(name, action) for action in several]
        if OVERHEAD in actions:
            found.append((name, OVERHEAD))
    return found
