"""What would help: single changes of the schedule and of the machine, each with its latency."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any, Literal

from polylat.analysis.access import OVERHEAD
from polylat.analysis.refetches import Refetch
from polylat.analysis.variation import Rescheduled, reschedule
from polylat.errors import OptionError
from polylat.numbers import Number, format_number, percent
from polylat.spec import Spec
from polylat.spec.mapping import Sequential
from polylat.spec.names import KnownNames, known_names
from polylat.spec.options import without_missing
from polylat.spec.staged import staged_holders
from polylat.tables import Column, Table, Tabular

__all__ = ["Change", "ChangeKind", "Changes", "single_changes"]

ChangeKind = Literal[
    "pipelined",
    "background",
    "staged",
    "slots",
    "hoist",
    "loop",
    "storage",
    "throughput",
    "latency",
]
"""The option of `analyze` that changes; or a loop or a Storage of the mapping, or a component."""

_WRITTEN = 6
"""Number of changes of which the text says what to write."""

_COLUMNS = (
    Column("change", "Change"),
    Column("latency", "Latency", "number", {None: "none"}),
    Column("saved", "Saves", "number", {None: "-"}),
    Column("share", "Share", "share", {None: "-"}),
    Column("energy", "Energy", "number", {None: "-"}),
    Column("note", "", "prose"),
)


@dataclass(frozen=True)
class Change:
    """A change of one option, of one Storage, or of the throughput of one component.

    Parameters
    ----------
    kind
        What changes.
    what
        The change in words.
    spec
        The input with the change, and with all options under ``schedule``: `analyze` of it gives
        `found`.
    component, action
        The component that becomes faster, or has smaller fixed latencies, and its only action that
        does; None: all of them. Both None for another kind of change.
    found
        The latency with the change, by an analysis of its own.
    write
        What to write in the file; empty for changes that are no recurrence's.
    ring
        The Einsums of the recurrence that the change concerns; empty for other changes.
    hides
        Whether this recurrence, and the others that the same loop carries, then take no longer than
        the busiest port; None for other changes, and where it takes no longer as it is.
    overflow
        Which memories would hold more than their size, in words; empty if none does, or for other
        changes.
    """

    kind: ChangeKind
    what: str
    spec: Spec = field(repr=False)
    component: str | None
    action: str | None
    found: Rescheduled
    write: str = ""
    ring: tuple[str, ...] = ()
    hides: bool | None = None
    overflow: str = ""

    @property
    def latency(self) -> Number | None:
        """The latency with the change; None where there is no schedule."""
        return self.found.latency

    @property
    def note(self) -> str:
        """Why there is no latency, what it is at least, what it hides, what does not fit."""
        hides = "hides the recurrence" if self.hides else ""
        return "; ".join(part for part in (self.found.note, hides, self.overflow) if part)


@dataclass(frozen=True)
class Changes(Tabular):
    """Single changes, those with the least latency first.

    Parameters
    ----------
    latency
        The latency without any change.
    factor
        The factor on throughputs.
    changes
        The changes; those without a latency last.
    remarks
        What recurrences need to be hidden, in sentences.
    """

    latency: Number
    factor: int
    changes: tuple[Change, ...]
    remarks: tuple[str, ...] = ()

    @property
    def helpful(self) -> tuple[Change, ...]:
        """The changes that lower the latency: the first ones."""
        return tuple(change for change in self.changes if (self.saved(change) or 0) > 0)

    @property
    def best(self) -> Change | None:
        """The first change, if it lowers the latency."""
        return next(iter(self.helpful), None)

    def saved(self, change: Change) -> Number | None:
        """Return by how much a change lowers the latency.

        Parameters
        ----------
        change
            One of the changes.

        Returns
        -------
        Number or None
            Negative where the latency rises; None where there is none.
        """
        return None if change.latency is None else self.latency - change.latency

    def headline(self) -> tuple[str, ...]:
        """Return the best change in words.

        Returns
        -------
        tuple of str
            One sentence.
        """
        best = self.best
        if best is None or best.latency is None:
            return ("No single change lowers the latency.",)
        saved = self.latency - best.latency
        now, less = format_number(self.latency), format_number(saved)
        share = percent(saved, self.latency)
        return (f"{best.what}: {now} becomes {best.found}, {less} ({share}) less.",)

    def tables(self) -> tuple[Table, ...]:
        """Return the changes as a table, and what to write for those of recurrences.

        Returns
        -------
        tuple of Table
            One table; with recurrences that a change helps, a second one.
        """
        rows = []
        for change in self.changes:
            saved = self.saved(change)
            share = Fraction(saved) / Fraction(self.latency) if saved and self.latency else None
            found = change.found
            rows.append((change.what, change.latency, saved, share, found.energy, change.note))
        title = "Single changes"
        every = Table(_COLUMNS, tuple(rows), title, self.remarks).without_empty("energy")
        texts = [(change.what, change.write) for change in self.helpful if change.write]
        columns = (_COLUMNS[0], Column("write", "Write", "prose"))
        written = Table(columns, tuple(texts[:_WRITTEN]), "What to write in the file")
        return (every, written) if texts else (every,)


_OF_MACHINE = ("throughput", "latency")
"""The kinds of changes that take another machine: behind others that have the same latency."""


def single_changes(
    spec: Spec,
    options: Mapping[str, Any],
    known: KnownNames,
    fetches: Sequence[Refetch],
    latency: Number,
    own: Sequence[Change] = (),
    remarks: Sequence[str] = (),
    factor: int = 2,
) -> Changes:
    """Analyze every single change of the schedule and of the machine.

    Parameters
    ----------
    spec
        The input.
    options
        All options of `analyze`, in their normal forms.
    known
        The names that exist.
    fetches
        What is fetched back, and may be kept instead.
    latency
        The latency without any change.
    own, remarks
        The changes that concern recurrences, and what these need.
    factor
        Factor on the throughput of a component, or of one of its actions, and what its fixed
        latencies are divided by: a whole number ≥ 1.

    Returns
    -------
    Changes
        All of them.

    Raises
    ------
    OptionError
        The factor is 1.
    """
    if factor == 1:
        raise OptionError("factor is 1, which changes nothing", fix="give 2 for twice as fast")
    found: list[Change] = []

    def add(
        kind: ChangeKind,
        what: str,
        other: Spec,
        chosen: Mapping[str, Any],
        faster: tuple[str | None, str | None] = (None, None),
    ) -> None:
        changed = replace(other, schedule=dict(chosen))
        found.append(Change(kind, what, changed, *faster, reschedule(other, chosen)))

    for kind, what, changed in _option_changes(spec, options, known):
        add(kind, what, spec, {**options, **changed})
    for fetch in fetches:
        if fetch.hoisted is not None:
            what = f"{fetch.tensor} kept in {fetch.into} above {fetch.split}"
            mapping = fetch.hoisted.mapping
            hoisted_names = known_names(spec.workload, spec.arch.order, mapping)
            add("hoist", what, fetch.hoisted, without_missing(options, hoisted_names))
    times = "twice" if factor == 2 else f"{factor} times"
    for component, action in _throughputs(spec):
        what = {OVERHEAD: f"overhead of {component}", None: component}.get(
            action, f"{component} {action}"
        )
        faster = replace(spec, arch=spec.arch.faster(component, action, Fraction(factor)))
        add("throughput", f"{what} {times} as fast", faster, options, (component, action))
    part = "half" if factor == 2 else f"1/{factor} of"
    for component in _latencies(spec):
        sooner = replace(spec, arch=spec.arch.quicker(component, Fraction(factor)))
        what = f"{part} the fixed latency of {component}"
        add("latency", what, sooner, options, (component, None))

    found = [*found, *own]
    ranked = sorted(found, key=lambda c: (c.latency is None, c.latency or 0, c.kind in _OF_MACHINE))
    return Changes(latency, factor, tuple(ranked), tuple(remarks))


def _option_changes(
    spec: Spec, options: Mapping[str, Any], known: KnownNames
) -> Iterator[tuple[ChangeKind, str, dict[str, Any]]]:
    """Yield (option, words, changed options) of each change of an option."""
    pipelined = options["pipelined"]
    inner = [
        split.name
        for split in spec.mapping.splits()
        if isinstance(split, Sequential) and split.name not in pipelined
    ]
    if len(inner) > 1:
        yield "pipelined", "all splits as Pipelines", {"pipelined": known.splits}
    for name in inner:
        yield "pipelined", f"split {name} as a Pipeline", {"pipelined": (*pipelined, name)}
    background = options["background"]
    waited = [
        pair
        for pair in known.write_backs
        if pair not in background and (pair[0], None) not in background
    ]
    if len(waited) > 1:
        everything = {"background": (*background, *waited)}
        yield "background", "all write-backs in the background", everything
    for tensor, component in waited:
        changed = {"background": (*background, (tensor, component))}
        yield "background", f"{tensor}@{component} in the background", changed
    staged = options["staged"]
    known_staged = staged_holders(staged, known)
    for component in dict.fromkeys(c for _, c in known.holders):
        own = [pair for pair in known.holders if pair[1] == component]
        if any(pair not in known_staged for pair in own):
            changed = {"staged": (*staged, (None, component))}
            yield "staged", f"tiles in {component} staged", changed
    slots = options["slots"]
    if isinstance(slots, int):
        yield "slots", f"{slots + 1} slots instead of {slots}", {"slots": slots + 1}
        yield "slots", "unlimited slots", {"slots": None}
    elif slots is not None:
        more = {name: None if count is None else count + 1 for name, count in slots.items()}
        yield "slots", "one more slot everywhere", {"slots": more}
        yield "slots", "unlimited slots", {"slots": None}


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
