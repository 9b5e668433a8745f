"""A report and a roofline as plain data for JSON; every key is documented in ``docs/json.md``.

Exact numbers stay exact: whole ones are ints, others texts ``"p/q"``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from polylat.errors import UnsupportedError
from polylat.explain import compare, port_users
from polylat.report import AccessKey, Number, Report, Step
from polylat.sensitivity import Curve, Row, best_change

if TYPE_CHECKING:
    from polylat import Roofline
    from polylat.occupancy import Occupancy

__all__ = [
    "CURVE_SCHEMA",
    "EXPLANATION_SCHEMA",
    "REPORT_SCHEMA",
    "ROOFLINE_SCHEMA",
    "curve_to_dict",
    "exact",
    "explanation_to_dict",
    "optional",
    "report_to_dict",
    "roofline_to_dict",
]

CURVE_SCHEMA = "polylat.curve/1"
EXPLANATION_SCHEMA = "polylat.explanation/1"
REPORT_SCHEMA = "polylat.report/1"
ROOFLINE_SCHEMA = "polylat.roofline/1"

_MOST_BITS = 14_000
"""Python writes integers of up to 4300 digits."""


def report_to_dict(report: Report, *, steps: int | None = 0) -> dict[str, Any]:
    """The report as plain data.

    Parameters
    ----------
    report
        The report.
    steps
        How many steps of the critical path to list, from time 0 on; None for all.

    Examples
    --------
    >>> import polylat
    >>> from polylat.jsonform import report_to_dict
    >>> files = ("examples/arch.yaml", "examples/workload.yaml", "examples/tap_resident.yaml")
    >>> data = report_to_dict(polylat.analyze(polylat.load(*files), background="o2"))
    >>> data["schema"], data["latency"], data["speedup"]
    ('polylat.report/1', 31744, '63/62')
    """
    return {
        "schema": REPORT_SCHEMA,
        "latency": exact(report.latency),
        "latency_by_order": {
            order: optional(latency) for order, latency in report.latency_by_order.items()
        },
        "order": report.order,
        "granularity": report.granularity,
        "tiles": report.tiles,
        "background": [
            {"tensor": tensor, "component": component} for tensor, component in report.background
        ],
        "idle_background": [
            {"tensor": tensor, "component": component}
            for tensor, component in report.idle_background
        ],
        "waits_for_background": report.waits_for_background,
        "slots": dict(report.slots) if isinstance(report.slots, Mapping) else report.slots,
        "resource_bound": exact(report.resource_bound),
        "dependence_bound": exact(report.dependence_bound),
        "binding": report.binding,
        "optimal": report.optimal,
        "sequential": optional(report.sequential),
        "speedup": optional(report.speedup),
        "roofline": exact(report.roofline),
        "comparison": _comparison(report),
        "ports": _ports(report),
        "pipelines": [
            {"stages": list(p.stages), "own": list(p.own), "shared": list(p.shared)}
            for p in report.contention
        ],
        "critical_path": _critical(report, steps),
        "memories": [_memory(memory) for memory in report.occupancy],
        "accesses": _accesses(report.accesses.items(), "actions"),
        "engine": report.engine,
        "exact": report.exact,
        "lower_bound": exact(report.lower_bound),
        "gap": exact(report.gap),
        "unsettled": list(report.unsettled),
        "initiation_intervals": [
            {
                "variable": found.variable,
                "tile": found.tile,
                "einsums": list(found.einsums),
                "interval": exact(found.interval),
                "iterations": found.iterations,
                "period": found.period,
                "cycle": [
                    {
                        "einsum": einsum,
                        "component": component,
                        "tensor": tensor,
                        "action": action,
                        "time": exact(time),
                    }
                    for (einsum, component, tensor, action), time in found.cycle
                ],
            }
            for found in report.initiation_interval
        ],
    }


def explanation_to_dict(report: Report) -> dict[str, Any]:
    """What a report's latency is sensitive to, as plain data."""
    found = report.sensitivity()
    change = best_change(report)
    return {
        "schema": EXPLANATION_SCHEMA,
        "latency": exact(report.latency),
        "order": report.order,
        "resource_bound": exact(report.resource_bound),
        "dependence_bound": exact(report.dependence_bound),
        "binding": report.binding,
        "optimal": report.optimal,
        "waited_for": _waited_for(report),
        "components": [_row(row) for row in found.components],
        "accesses": [
            {"einsum": row.einsum, "tensor": row.tensor, **_row(row)} for row in found.accesses
        ],
        "best_change": None
        if change is None
        else {
            "component": change.component,
            "action": change.action,
            "factor": change.factor,
            "latency": exact(change.latency),
            "speedup": optional(change.speedup),
        },
    }


def curve_to_dict(curve: Curve) -> dict[str, Any]:
    """The latency against the bandwidth of a component, as plain data."""
    return {
        "schema": CURVE_SCHEMA,
        "component": curve.component,
        "action": curve.action,
        "latency": exact(curve.latency),
        "beyond": optional(curve.beyond),
        "below": optional(curve.below),
        "alone": curve.alone,
        "pieces": [
            {"scale": exact(scale), "latency": exact(latency), "slope": exact(slope)}
            for (scale, latency), slope in zip(curve.breakpoints, curve.slopes, strict=True)
        ],
    }


def roofline_to_dict(roofline: Roofline) -> dict[str, Any]:
    """AccelForge's figures as plain data."""
    return {
        "schema": ROOFLINE_SCHEMA,
        "latency": exact(roofline.latency),
        "einsums": [
            {
                "einsum": einsum,
                "slowest": roofline.bottleneck[einsum] if busy else None,
                "busy": {component: exact(time) for component, time in busy.items()},
            }
            for einsum, busy in roofline.per_einsum.items()
        ],
        "accesses": [
            {**access, "total": exact(total)}
            for access, total in zip(
                _accesses(roofline.accesses.items(), "actions"),
                (roofline.totals[key] for key in roofline.accesses),
                strict=True,
            )
        ],
    }


def _comparison(report: Report) -> dict[str, Any]:
    comparison = compare(report)
    return {
        "accelforge": exact(comparison.accelforge),
        "back_to_back": exact(comparison.back_to_back),
        "sequential": optional(comparison.sequential),
        "latency": exact(comparison.latency),
        "charges": [
            {
                "einsum": charge.einsum,
                "component": charge.component,
                "tensor": charge.tensor,
                "action": charge.action,
                "accelforge": exact(charge.accelforge),
                "polylat": exact(charge.polylat),
                "time": exact(charge.time),
                "found_in": charge.found_in,
                "brought_by": charge.brought_by,
                "produced": charge.produced,
            }
            for charge in comparison.charges
        ],
    }


def _ports(report: Report) -> list[dict[str, Any]]:
    return [
        {
            "name": port.name,
            "component": port.component,
            "port": port.port,
            "stages": list(port.stages),
            "busy": exact(port.busy),
            "utilization": exact(port.utilization),
            "users": {einsum: exact(busy) for einsum, busy in users.items()},
        }
        for port, users in zip(report.ports, port_users(report), strict=True)
    ]


def _critical(report: Report, steps: int | None) -> dict[str, Any]:
    path = report.critical_path
    return {
        "totals": _accesses(report.critical_totals.items(), "time"),
        "waited_for": _waited_for(report),
        "length": len(path),
        "steps": [_step(step) for step in path[:steps]],
    }


def _waited_for(report: Report) -> dict[str, Any]:
    return {why or "start": exact(time) for why, time in report.critical_waits.items()}


def _row(row: Row) -> dict[str, Any]:
    return {
        "component": row.component,
        "action": row.action,
        "critical": exact(row.critical),
        "count": exact(row.count),
        "duration": optional(row.duration),
        "slack": optional(row.slack),
        "latency_if_free": optional(row.latency_if_free),
    }


def _step(step: Step) -> dict[str, Any]:
    return {
        "einsum": step.einsum,
        "tile": [{"variable": variable, "index": index} for variable, index in step.tile],
        "component": step.component,
        "port": step.port,
        "tensor": step.tensor,
        "action": step.action,
        "start": exact(step.start),
        "finish": exact(step.finish),
        "waited_for": step.waited_for,
    }


def _accesses(items: Iterable[tuple[AccessKey, Number]], what: str) -> list[dict[str, Any]]:
    return [
        {
            "einsum": einsum,
            "component": component,
            "tensor": tensor,
            "action": action,
            what: exact(value),
        }
        for (einsum, component, tensor, action), value in items
    ]


def optional(value: Number | None) -> int | str | None:
    """`exact`, of what there may be."""
    return None if value is None else exact(value)


def _memory(memory: Occupancy) -> dict[str, Any]:
    from polylat.occupancy import known_peak

    peak = known_peak(memory)
    return {
        "component": memory.component,
        "stages": list(memory.stages),
        "peak": optional(peak),
        "size": optional(memory.size),
        "exceeded": None if peak is None else memory.exceeded,
    }


def exact(value: Number) -> int | str:
    """A number for JSON: an int where it is whole, else ``"p/q"``.

    Raises
    ------
    UnsupportedError
        Python would not write so many digits.
    """
    fraction = Fraction(value)
    bits = max(fraction.numerator.bit_length(), fraction.denominator.bit_length())
    if bits > _MOST_BITS:
        raise UnsupportedError(
            f"a number of {bits:,} bits is too long to be written",
            mend="use figures with fewer digits in the architecture",
        )
    return fraction.numerator if fraction.denominator == 1 else str(fraction)
