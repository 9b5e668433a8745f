"""The largest fixed latency with which a recurrence is hidden."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from math import lcm

from polylat.analysis.recurrences import Recurrence
from polylat.analysis.recurrent_analysis import RecurrentAnalysis, RingChange, RingOutcome, least
from polylat.numbers import format_number, reduce_number
from polylat.spec.arch import Arch, Component

__all__ = ["add_latencies"]


def add_latencies(analysis: RecurrentAnalysis, rings: Sequence[Recurrence]) -> None:
    """Add the largest fixed latencies with which some recurrences are hidden.

    Of each component that they pass, and of all of them together.

    Parameters
    ----------
    analysis
        The changes.
    rings
        The recurrences, all of which one loop carries.
    """
    late = _late_components(analysis, rings)
    for names in [*([name] for name in late), *([late] if len(late) > 1 else [])]:
        _add_latency(analysis, names, rings)


def _late_components(analysis: RecurrentAnalysis, rings: Sequence[Recurrence]) -> list[str]:
    """Return the components with fixed latencies that the Einsums of some recurrences use."""
    used = set()
    for einsum in {name for ring in rings for name in ring.einsums}:
        leaf = analysis.leaves[einsum]
        holders = {h.component for some in leaf.holders.values() for h in some}
        for component in analysis.spec.arch.paths[einsum]:
            if component.name in {leaf.component, *holders} and any(component.latency.values()):
                used.add(component.name)
    return [name for name in analysis.spec.arch.order if name in used]


def _add_latency(
    analysis: RecurrentAnalysis, names: Sequence[str], rings: Sequence[Recurrence]
) -> None:
    """Add the largest fixed latency of some components that hides some recurrences.

    Smaller latencies never make a recurrence slower.
    """
    arch = analysis.spec.arch
    times = [time for c in _views(arch, names) for time in c.latency.values() if time]
    unit, now = Fraction(1, lcm(*(time.denominator for time in times))), max(times)
    tried: dict[int, RingOutcome | None] = {}

    def changed(less: int) -> RingChange:
        found = arch
        for name in names:
            found = found.with_latency_at_most(name, now - less * unit)
        most = format_number(reduce_number(now - less * unit))
        each = "the fixed latency of" if len(names) == 1 else "the fixed latencies of"
        what = f"{each} {', '.join(names)} at most {most} instead of {format_number(now)}"
        write = f"schedule: {{latency: {_latency_text(found, names)}}}"
        spec = replace(analysis.spec, arch=found)
        component = names[0] if len(names) == 1 else None
        return RingChange("latency", what, write, spec, analysis.options, component)

    def hides(less: int) -> bool:
        tried[less] = outcome = analysis.analyzed(changed(less), rings)
        return outcome is not None and outcome.hides

    most = int(now / unit)
    if not hides(most):
        return
    less = least(hides, most)
    assert less is not None, "none at all hides them"
    outcome = tried[less]
    assert outcome is not None, "it hides them"
    if less == most:
        without = f"hidden only without the fixed latency of {' and '.join(names)}"
        analysis.tell(rings, f"{without} (latency {outcome.found}).")
    else:
        analysis.keep(changed(less), rings, outcome)


def _views(arch: Arch, names: Sequence[str]) -> Iterator[Component]:
    """Yield some components as each Einsum sees them."""
    for path in arch.paths.values():
        for component in path:
            if component.name in names:
                yield component


def _latency_text(arch: Arch, names: Sequence[str]) -> str:
    """Return fixed latencies as the key ``latency`` under ``schedule`` has them, on one line."""
    parts = []
    for name in names:
        found: dict[str, Fraction] = {}
        for component in _views(arch, [name]):
            for action, time in component.latency.items():
                found[action] = max(time, found.get(action, time))
        times = ", ".join(f"{action}: {time}" for action, time in found.items())
        parts.append(f"{name}: {{{times}}}")
    return f"{{{', '.join(parts)}}}"
