"""Tables of the steps from AccelForge's latency to polylat's, with the reason for each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction

from polylat.analysis.attribution import CountDifference, LatencySteps, latency_steps
from polylat.analysis.results import Results
from polylat.numbers import Number
from polylat.spec.pairs import pair_names
from polylat.tables import Column, Table

__all__ = ["latency_steps_tables"]

_REASONS = 4
"""Largest number of listed differences of the access counts."""

_IN_SEQUENCE = "barriers and transfers"
"""The step to the latency with every Pipeline as a Sequential."""


def latency_steps_tables(results: Results) -> tuple[Table, ...]:
    """Return the steps from AccelForge's latency to polylat's.

    Parameters
    ----------
    results
        The results.

    Returns
    -------
    tuple of Table
        The steps with their latencies and reasons; then, if there are any, the accesses that the
        two models count differently.
    """
    steps = latency_steps(results)
    rows: list[tuple[str, Number | None, Number | None, str]] = []
    latency = steps.accelforge
    rows.append(
        (
            "AccelForge",
            None,
            latency,
            "sum over Einsums of the slowest component's busy time",
        )
    )
    change = steps.back_to_back - latency
    latency = steps.back_to_back
    arch = results.solution.model.lowered.spec.arch
    networks = any(c.network is not None for path in arch.paths.values() for c in path)
    rows.append(("residency and counts", change, latency, _counts_reason(steps, networks=networks)))
    if steps.sequential is None:
        rows.append((_IN_SEQUENCE, None, None, "sequential execution is illegal"))
    else:
        change = steps.sequential - latency
        latency = steps.sequential
        rows.append((_IN_SEQUENCE, change, latency, _barriers_reason(change, results)))
    change = steps.latency - latency
    rows.append(("overlap", change, steps.latency, _overlap_reason(change, results)))
    whole = Fraction(steps.accelforge or 1)
    ladder = Table(
        (
            Column("step", "Step"),
            Column("change", "Change", "change"),
            Column("latency", "Latency", "number", {None: "-"}),
            Column("share", "Of AccelForge's", "share"),
            Column("reason", "Reason", "prose"),
        ),
        tuple(
            (step, change, time, None if time is None else Fraction(time) / whole, reason)
            for step, change, time, reason in rows
        ),
        "Latencies, from AccelForge's model to polylat's",
        bold=frozenset({len(rows) - 1}),
    )
    return (ladder, _charges_table(steps.charges)) if steps.charges else (ladder,)


def _charges_table(charges: Sequence[CountDifference]) -> Table:
    return Table(
        (
            Column("einsum", "Einsum"),
            Column("component", "Component"),
            Column("tensor", "Tensor", words={None: "-"}),
            Column("action", "Action"),
            Column("accelforge", "AccelForge", "number"),
            Column("polylat", "polylat", "number"),
            Column("time", "Change of time", "change"),
            Column("reason", "Reason", "prose"),
        ),
        tuple(
            (
                *(c.einsum, c.component, c.tensor, c.action),
                *(c.accelforge, c.polylat, -c.time),
                _reason(c),
            )
            for c in charges
        ),
        "Actions that AccelForge and polylat count differently",
    )


def _reason(charge: CountDifference) -> str:
    if charge.found_in:
        return f"already in {charge.found_in}"
    return "all transfers and dimensions" if charge.network else "exact count"


def _counts_reason(steps: LatencySteps, *, networks: bool) -> str:
    lines = list(_count_differences(steps.charges))
    if not lines and steps.back_to_back != steps.accelforge:
        return (
            "setups and bursts of transfers, which AccelForge does not have; hops of Networks, which"
            " are fixed latencies here"
            if networks
            else "setups and bursts of transfers, which AccelForge does not have"
        )
    if not lines:
        return "both models count the same actions"
    shown = lines[:_REASONS]
    if len(lines) > len(shown):
        shown.append(f"and {len(lines) - len(shown)} more differences")
    if steps.back_to_back == steps.accelforge:
        shown.append("no Einsum's slowest component is affected")
    return "\n".join(shown)


def _count_differences(charges: Sequence[CountDifference]) -> Iterator[str]:
    """Write a line per Einsum and tensor; resident tensors come first."""
    first: dict[tuple[str, str | None, str | None], CountDifference] = {}
    for charge in charges:
        first.setdefault((charge.einsum, charge.tensor, charge.found_in), charge)
    for charge in sorted(first.values(), key=lambda charge: charge.found_in is None):
        if charge.found_in is not None:
            how = "left" if charge.produced else "fetched"
            yield (
                f"{charge.einsum} finds {charge.tensor} in {charge.found_in} ({how} by"
                f" {charge.brought_by}); AccelForge refetches it"
            )
        else:
            if charge.network:
                yield (
                    f"all transfers of {charge.tensor} in {charge.einsum} cross {charge.component},"
                    " in all dimensions"
                )
                continue
            what = f"elements of {charge.tensor} in" if charge.tensor else "operations of"
            yield f"{what} {charge.einsum} are counted exactly, not on average"


def _barriers_reason(change: Number, results: Results) -> str:
    if change < 0:
        return "sequential execution: tiles above a split are filled while another Einsum computes"
    if change == 0:
        return "sequential execution: no net effect"
    model = results.solution.model
    causes = []
    if len(model.lowered.leaves) > 1:
        causes.append(
            "a branch starts when the previous one has finished, in every iteration of the loops"
            " above, so no port runs ahead and the slowest component waits"
        )
    if any(block.kind != "foreground" for blocks in model.layout.blocks for block in blocks):
        causes.append("separate transfers arrive before, or leave after, the computation")
    if model.graph.latency.any():
        causes.append("fixed latencies pass")
    return f"sequential execution: {'; '.join(causes)}"


def _overlap_reason(change: Number, results: Results) -> str:
    causes = []
    if results.contention:
        stages = "; ".join(" | ".join(pipeline.stages) for pipeline in results.contention)
        causes.append(f"Pipeline stages run concurrently ({stages})")
    if results.background and not results.keeps_barriers:
        causes.append(
            f"write-backs in the background ({', '.join(pair_names(results.background))})"
        )
    if results.sequential is None:
        causes.append(f"{_IN_SEQUENCE} (there is no sequential schedule)")
    if not causes:
        return (
            "no Pipeline, no write-back in the background"
            if change == 0
            else "the requested order is slower"
        )
    if change == 0:
        return f"no gain: {' and '.join(causes)}"
    if change > 0:
        return f"slower in this order: {' and '.join(causes)}"
    return " and ".join(causes)
