"""Compare formulas with `analyze` at every point of a box, each with an input of its own."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import product
from typing import Any

import polylat
from polylat import DomainError, PolylatError, Report, Spec
from polylat.closed_form.closed_form import ClosedForm
from polylat.closed_form.formula import Formula

Data = dict[str, Any]
ORDERS = ("program", "skew", "oldest")
BOUNDS = ("resource_bound", "dependence_bound", "barrier_bound", "roofline")


@dataclass
class Differences:
    """Points at which formulas were compared, and what differs."""

    points: int = 0
    inside: int = 0
    found: list[str] = field(default_factory=list)


def with_size(data: Data, variable: str, size: int) -> Data:
    """The same input with another size of a rank variable."""
    data = copy.deepcopy(data)
    shape = data["workload"]["iteration_space_shape"]
    shape[variable] = re.sub(r"< \d+$", f"< {size}", shape[variable])
    return data


def with_throughput(data: Data, component: str, value: Fraction | int) -> Data:
    """The same input with another throughput of all actions of a component."""
    data = copy.deepcopy(data)
    for node in data["arch"]["nodes"]:
        if node["name"] == component:
            for action in node["actions"]:
                action["throughput"] = str(value)
    return data


def point_of(data: Data, values: Mapping[str, Fraction | int]) -> Data:
    """The input with values in place of parameters: a rank variable, or a throughput."""
    for name, value in values.items():
        if name.endswith(".throughput"):
            data = with_throughput(data, name.removesuffix(".throughput"), value)
        else:
            data = with_size(data, name, int(value))
    return data


def compare(
    data: Data,
    options: Data,
    formula: Formula,
    box: Mapping[str, Sequence[Fraction | int]],
) -> Differences:
    """Compare the latency, every order and every bound at every point of a box."""
    result = Differences()
    symbols = {
        name: next(p.symbol for p in formula.parameters if name in (p.name, p.variable))
        for name in box
    }
    for values in product(*box.values()):
        point = dict(zip(box, values, strict=True))
        at = {symbols[name]: value for name, value in point.items()}
        try:
            report = polylat.analyze(Spec.from_dict(point_of(data, point)), **options)
        except PolylatError:
            report = None
        result.points += 1
        for name, form, wanted in figures(formula, report):
            try:
                value = form(**at)
            except DomainError:
                continue
            result.inside += 1
            if value != wanted:
                result.found.append(f"{name} at {point}: {value} instead of {wanted}")
            fast = float(form.lambdify()(**{k: float(v) for k, v in at.items()}))
            if abs(fast - float(value)) > 1e-9 * abs(float(value)):
                result.found.append(f"{name} at {point}: lambdify gives {fast}, not {value}")
    return result


def figures(
    formula: Formula, report: Report | None
) -> Iterator[tuple[str, ClosedForm, polylat.Number | None]]:
    """The closed forms of a formula, and what a report says instead; None: it must refuse."""
    yield "latency", formula.latency, None if report is None else report.latency
    for order in ORDERS:
        wanted = None if report is None else report.latency_by_order[order]
        yield order, formula.by_order[order], wanted
    for bound in BOUNDS:
        wanted = None if report is None else getattr(report, bound)
        yield bound, getattr(formula, bound), wanted
