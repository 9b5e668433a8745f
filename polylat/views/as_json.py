"""Convert results to plain data for JSON; every key is documented in ``docs/json.md``.

Exact numbers stay exact: whole numbers are ints, others strings ``"p/q"``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from polylat.analysis.access import AccessKey, Step
from polylat.analysis.attribution import latency_steps, port_users
from polylat.analysis.bandwidth_curve import Curve
from polylat.analysis.energy import Energy
from polylat.analysis.occupancy import Occupancy, peak_or_none
from polylat.analysis.recurrences import Recurrence
from polylat.analysis.results import Results
from polylat.analysis.roofline import Roofline
from polylat.analysis.sensitivity import SensitivityRow
from polylat.analysis.state_memory import StateMemory
from polylat.analysis.steady_state import InitiationInterval
from polylat.errors import OptionError
from polylat.numbers import Number, json_number
from polylat.views.report_tables import totals_or_none
from polylat.views.sentences import has_many_accesses

__all__ = [
    "CURVE_SCHEMA",
    "EXPLANATION_SCHEMA",
    "REPORT_SCHEMA",
    "ROOFLINE_SCHEMA",
    "curve_to_dict",
    "explanation_to_dict",
    "optional_number",
    "report_to_dict",
    "roofline_to_dict",
]

MOST_STEPS = 1_000_000
"""Largest number of steps of a critical path that are listed."""

CURVE_SCHEMA = "polylat.curve/1"
EXPLANATION_SCHEMA = "polylat.explanation/2"
REPORT_SCHEMA = "polylat.report/1"
ROOFLINE_SCHEMA = "polylat.roofline/1"


def report_to_dict(results: Results, *, steps: int | None = 0) -> dict[str, Any]:
    """Convert a report to plain data.

    Parameters
    ----------
    results
        The results.
    steps
        The number of listed steps of the critical path, from time 0 on; None for all, which are at
        most a million.

    Returns
    -------
    dict[str, Any]
        Data of the schema `REPORT_SCHEMA`.

    Examples
    --------
    >>> import polylat
    >>> from polylat.views.as_json import report_to_dict
    >>> files = ("examples/arch.yaml", "examples/workload.yaml", "examples/tap_resident.yaml")
    >>> data = report_to_dict(polylat.analyze(polylat.load(*files), background="o2"))
    >>> data["schema"], data["latency"], data["speedup"]
    ('polylat.report/1', 31752, '64/63')
    """
    undetermined = results.undetermined
    return {
        "schema": REPORT_SCHEMA,
        "latency": json_number(results.latency),
        "latency_by_order": {
            order: optional_number(latency) for order, latency in results.latency_by_order.items()
        },
        "order": results.order,
        "granularity": results.granularity,
        "tiles": results.tiles,
        "readings": list(results.spec.readings),
        "pipelined": list(results.options["pipelined"]),
        "background": [
            {"tensor": tensor, "component": component} for tensor, component in results.background
        ],
        "idle_background": [
            {"tensor": tensor, "component": component}
            for tensor, component in results.idle_background
        ],
        "keeps_barriers": results.keeps_barriers,
        "staged_holders": [
            {"tensor": tensor, "component": component}
            for tensor, component in results.staged_holders
        ],
        "slots": dict(results.slots) if isinstance(results.slots, Mapping) else results.slots,
        "resource_bound": json_number(results.resource_bound),
        "dependence_bound": json_number(results.dependence_bound),
        "barrier_bound": json_number(results.barrier_bound),
        "binding": results.binding,
        "optimal": results.optimal,
        "sequential": optional_number(results.sequential),
        "speedup": optional_number(results.speedup),
        "roofline": json_number(results.roofline),
        "comparison": _comparison(results),
        "ports": _ports(results),
        "pipelines": [
            {"stages": list(p.stages), "own": list(p.own), "shared": list(p.shared)}
            for p in results.contention
        ],
        "critical_path": None if "critical_path" in undetermined else _critical(results, steps),
        "memories": [_memory(memory) for memory in results.occupancy],
        "accesses": _accesses(results.accesses.items(), "actions"),
        "padding": [
            {
                "einsum": p.einsum,
                "tensor": p.tensor,
                "elements": p.elements,
                "coordinates": list(p.coordinates),
                "initial": p.initial,
            }
            for p in results.padding
        ],
        "recurrences": [_recurrence(ring) for ring in results.recurrences],
        "energy": None if results.known_energy is None else _energy(results.known_energy),
        "unmapped": list(results.unmapped),
        "merged_holders": [
            {"tensor": tensor, "component": component}
            for tensor, component in results.merged_holders
        ],
        "engine": results.engine,
        "exact": results.exact,
        "lower_bound": json_number(results.lower_bound),
        "gap": json_number(results.gap),
        "unsettled": list(results.unsettled),
        "initiation_intervals": None
        if "initiation_intervals" in undetermined
        else [_interval(found) for found in results.initiation_intervals],
        "undetermined": dict(undetermined),
    }


def explanation_to_dict(results: Results) -> dict[str, Any]:
    """Convert the sensitivities of a latency to plain data.

    Parameters
    ----------
    results
        The results.

    Returns
    -------
    dict[str, Any]
        Data of the schema `EXPLANATION_SCHEMA`.
    """
    listed = not has_many_accesses(results)
    found = results.sensitivity(by_access=listed)
    changes = results.changes()
    return {
        "schema": EXPLANATION_SCHEMA,
        "latency": json_number(results.latency),
        "order": results.order,
        "resource_bound": json_number(results.resource_bound),
        "dependence_bound": json_number(results.dependence_bound),
        "barrier_bound": json_number(results.barrier_bound),
        "binding": results.binding,
        "optimal": results.optimal,
        "waited_for": None if totals_or_none(results) is None else _waited_for(results),
        "components": [_row(row) for row in found.components],
        "accesses": [
            {"einsum": row.einsum, "tensor": row.tensor, **_row(row)} for row in found.accesses
        ]
        if listed
        else None,
        "factor": changes.factor,
        "changes": [
            {
                "kind": change.kind,
                "what": change.what,
                "component": change.component,
                "action": change.action,
                "latency": optional_number(change.latency),
                "lower_bound": optional_number(change.found.lower_bound),
                "exact": change.found.exact,
                "reason": change.found.reason or None,
                "energy": optional_number(change.found.energy),
                "write": change.write or None,
                "ring": list(change.ring) or None,
                "hides": change.hides,
                "overflow": change.overflow or None,
            }
            for change in changes.changes
        ],
        "remarks": list(changes.remarks),
        "undetermined": dict(results.undetermined),
    }


def curve_to_dict(curve: Curve) -> dict[str, Any]:
    """Convert the latency against the bandwidth of a component to plain data.

    Parameters
    ----------
    curve
        The curve.

    Returns
    -------
    dict[str, Any]
        Data of the schema `CURVE_SCHEMA`.
    """
    return {
        "schema": CURVE_SCHEMA,
        "component": curve.component,
        "action": curve.action,
        "latency": json_number(curve.latency),
        "beyond": optional_number(curve.beyond),
        "below": optional_number(curve.below),
        "alone": curve.alone,
        "pieces": [
            {
                "scale": json_number(scale),
                "latency": json_number(latency),
                "slope": json_number(slope),
            }
            for (scale, latency), slope in zip(curve.breakpoints, curve.slopes, strict=True)
        ],
    }


def roofline_to_dict(roofline: Roofline) -> dict[str, Any]:
    """Convert AccelForge's accounting to plain data.

    Parameters
    ----------
    roofline
        The accounting.

    Returns
    -------
    dict[str, Any]
        Data of the schema `ROOFLINE_SCHEMA`.
    """
    return {
        "schema": ROOFLINE_SCHEMA,
        "latency": json_number(roofline.latency),
        "readings": list(roofline.readings),
        "einsums": [
            {
                "einsum": einsum,
                "slowest": roofline.bottleneck[einsum] if busy else None,
                "busy": {component: json_number(time) for component, time in busy.items()},
            }
            for einsum, busy in roofline.per_einsum.items()
        ],
        "accesses": [
            {**access, "total": json_number(total)}
            for access, total in zip(
                _accesses(roofline.accesses.items(), "actions"),
                (roofline.totals[key] for key in roofline.accesses),
                strict=True,
            )
        ],
        "energy": None if roofline.known_energy is None else _energy(roofline.known_energy),
    }


def _energy(energy: Energy) -> dict[str, Any]:
    return {
        "total": json_number(energy.total),
        "actions": _accesses(energy.actions.items(), "energy"),
        "leakage": {name: json_number(leaked) for name, leaked in energy.leakage.items()},
        "without": list(energy.without),
    }


def _comparison(results: Results) -> dict[str, Any]:
    comparison = latency_steps(results)
    return {
        "accelforge": json_number(comparison.accelforge),
        "back_to_back": json_number(comparison.back_to_back),
        "sequential": optional_number(comparison.sequential),
        "latency": json_number(comparison.latency),
        "charges": [
            {
                "einsum": charge.einsum,
                "component": charge.component,
                "tensor": charge.tensor,
                "action": charge.action,
                "accelforge": json_number(charge.accelforge),
                "polylat": json_number(charge.polylat),
                "time": json_number(charge.time),
                "found_in": charge.found_in,
                "brought_by": charge.brought_by,
                "produced": charge.produced,
            }
            for charge in comparison.charges
        ],
    }


def _ports(results: Results) -> list[dict[str, Any]]:
    return [
        {
            "name": port.name,
            "component": port.component,
            "port": port.port,
            "units": port.units,
            "busy": json_number(port.busy),
            "utilization": json_number(port.utilization),
            "users": {einsum: json_number(busy) for einsum, busy in users.items()},
        }
        for port, users in zip(results.ports, port_users(results), strict=True)
    ]


def _interval(found: InitiationInterval) -> dict[str, Any]:
    return {
        "variable": found.variable,
        "tile": found.tile,
        "einsums": list(found.einsums),
        "interval": json_number(found.interval),
        "iterations": found.iterations,
        "period": found.period,
        "cycle": _accesses(found.cycle, "time"),
    }


def _recurrence(ring: Recurrence) -> dict[str, Any]:
    return {
        "einsums": list(ring.einsums),
        "tensors": list(ring.tensors),
        "variable": ring.variable,
        "tile": ring.tile,
        "depth": ring.depth,
        "distance": ring.distance,
        "interval": json_number(ring.interval),
        "delay": json_number(ring.delay),
        "ports": {name: json_number(busy) for name, busy in ring.ports},
        "states": [_state(state) for state in ring.states],
    }


def _state(state: StateMemory) -> dict[str, Any]:
    return {
        "tensor": state.tensor,
        "holders": [
            {
                "component": tile.component,
                "elements": tile.elements,
                "bits": json_number(tile.bits),
                "written_back": tile.written_back,
            }
            for tile in state.tiles
        ],
        "step_elements": state.step_elements,
        "step_bits": json_number(state.step_bits),
        "last_read_by": list(state.last_read_by),
        "all_read_by": list(state.all_read_by),
        "inner": state.inner,
        "rolling": state.rolling,
    }


def _critical(results: Results, steps: int | None) -> dict[str, Any]:
    path = results.critical_path
    listed = path.length if steps is None else min(steps, path.length)
    if listed > MOST_STEPS:
        raise OptionError(
            f"the critical path has {path.length:,} steps, of which at most {MOST_STEPS:,} are listed",
            fix="give steps, the number of steps to list",
        )
    return {
        "totals": _accesses(results.critical_totals.items(), "time"),
        "waited_for": _waited_for(results),
        "length": path.length,
        "steps": [_step(step) for step in path[:steps]],
    }


def _waited_for(results: Results) -> dict[str, Any]:
    return {why or "start": json_number(time) for why, time in results.critical_reasons.items()}


def _row(row: SensitivityRow) -> dict[str, Any]:
    return {
        "component": row.component,
        "action": row.action,
        "critical": optional_number(row.critical),
        "count": optional_number(row.count),
        "duration": optional_number(row.duration),
        "slack": optional_number(row.slack),
        "slack_reason": row.slack_reason,
        "latency_if_free": optional_number(row.latency_if_free),
    }


def _step(step: Step) -> dict[str, Any]:
    return {
        "einsum": step.einsum,
        "tile": [{"variable": variable, "index": index} for variable, index in step.tile],
        "component": step.component,
        "port": step.port,
        "units": step.units,
        "tensor": step.tensor,
        "action": step.action,
        "start": json_number(step.start),
        "finish": json_number(step.finish),
        "waited_for": step.waited_for,
    }


def _accesses(items: Iterable[tuple[AccessKey, Number]], what: str) -> list[dict[str, Any]]:
    return [
        {
            "einsum": einsum,
            "component": component,
            "tensor": tensor,
            "action": action,
            what: json_number(value),
        }
        for (einsum, component, tensor, action), value in items
    ]


def optional_number(value: Number | None) -> int | str | None:
    """Convert a number that may be missing to JSON.

    Parameters
    ----------
    value
        The number, or None.

    Returns
    -------
    int | str | None
        As `polylat.numbers.json_number`; None for None.
    """
    return None if value is None else json_number(value)


def _memory(memory: Occupancy) -> dict[str, Any]:
    peak = peak_or_none(memory)
    return {
        "component": memory.component,
        "units": memory.units,
        "peak": optional_number(peak),
        "size": optional_number(memory.size),
        "exceeded": None if peak is None else memory.exceeded,
    }
