"""The model by brute force: the oracle of the tests.

Everything here is explicit. Operations are enumerated one by one, footprints are sets of element
tuples, a schedule is simulated with exact fractions. Nothing is imported from polylat. Speed and
generality are given up for one aim: that a reader can hold each function against the paragraph of
the model (docs/model.md) that its docstring names.

The parts, in the order of the model: input (`problem`, `recurrences`, `costs`, `options`), paths,
operations and tile iterations (`paths`), transfers and what is counted (`moves`, `transfers`),
ports and units (`ports`), what waits for what (`lowered`, `flow`, `barriers`, `capacity`,
`latency`, `model`), orders (`dates`, `sequence`, `schedule`), results (`results`), energy
(`energy`); and checks of schedules (`causality`) and of what moves (`values`).
"""

from .causality import check_causality, check_ports
from .energy import energies
from .flow import Arrivals
from .lowered import lower
from .model import Model
from .options import Options, read_options
from .paths import read_leaves
from .problem import (
    Einsum,
    Element,
    Illegal,
    Index,
    NoOrder,
    points,
    read_bounds,
    read_einsum,
    read_problem,
)
from .results import analyze, barrier_bound, dependence_bound, resource_bound
from .schedule import ORDERS, Schedule, latencies, schedule_of, without_ports
from .sequence import shifts_of
from .transfers import Run
from .values import Values

__all__ = [
    "ORDERS",
    "Arrivals",
    "Einsum",
    "Element",
    "Illegal",
    "Index",
    "Model",
    "NoOrder",
    "Options",
    "Run",
    "Schedule",
    "Values",
    "analyze",
    "barrier_bound",
    "check_causality",
    "check_ports",
    "dependence_bound",
    "energies",
    "latencies",
    "lower",
    "points",
    "read_bounds",
    "read_einsum",
    "read_leaves",
    "read_options",
    "read_problem",
    "resource_bound",
    "schedule_of",
    "shifts_of",
    "without_ports",
]
