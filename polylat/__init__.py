"""polylat: the latency of a fused tensor-accelerator mapping, from its dependences.

>>> import polylat
>>> polylat.analyze.__module__
'polylat.report'
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from polylat.errors import (
    CapacityError,
    DomainError,
    ExplorationError,
    ExpressionError,
    InterruptedExplorationError,
    MappingError,
    MissingExtraError,
    OptionError,
    PolylatError,
    ScheduleError,
    SpecError,
    StoreError,
    TooLargeError,
    UnsupportedError,
    WorkerError,
)
from polylat.version import __version__ as __version__

if TYPE_CHECKING:
    from polylat.analysis.access import AccessKey, Contention, PortUse, Step
    from polylat.analysis.bandwidth_curve import Curve
    from polylat.analysis.changes import Change, Changes
    from polylat.analysis.comparison import Comparison, Difference, compare
    from polylat.analysis.energy import Energy
    from polylat.analysis.mechanisms import Mechanism, Mechanisms
    from polylat.analysis.occupancy import Occupancy, ResidentTile
    from polylat.analysis.roofline import Roofline, roofline
    from polylat.analysis.sensitivity import Sensitivity, SensitivityRow, WhatIf
    from polylat.analysis.steady_state import InitiationInterval
    from polylat.analysis.timeline import (
        Bar,
        BarPart,
        Lane,
        OccupancyLevel,
        RepeatedPart,
        TimelineSegment,
        UtilizationSpan,
    )
    from polylat.analysis.transfer_cost import TransferCost
    from polylat.analysis.variation import Rescheduled
    from polylat.closed_form.closed_form import ClosedForm
    from polylat.closed_form.formula import Formula, symbolic
    from polylat.closed_form.parameters import Parameter
    from polylat.closed_form.questions import Breakpoints, Stretch
    from polylat.closed_form.sweep import Sweep
    from polylat.closed_form.verification import FormulaCertificate, ProvenRange
    from polylat.exploration.choice import Choice
    from polylat.explorer import Exploration, Result, explore
    from polylat.lowering.padding import Padding
    from polylat.numbers import Number
    from polylat.proof.certificate import Certificate, CertificateError, ProvenRules
    from polylat.report import Report, analyze
    from polylat.schedule.reasons import WaitedFor
    from polylat.spec import Spec
    from polylat.spec.arch import Arch, Component
    from polylat.spec.mapping import (
        Branch,
        Compute,
        Pipeline,
        Sequential,
        Spatial,
        Storage,
        Temporal,
        Toll,
    )
    from polylat.spec.reading.load import load
    from polylat.spec.workload import Einsum, Workload
    from polylat.tables import Column, Table
    from polylat.views.mapping_tree import tree
    from polylat.views.paper_plots import plot_bandwidth, plot_mechanisms
    from polylat.views.timeline import Timeline, TimelineStack, timelines
    from polylat.views.tree import Tree

__all__ = [
    "AccessKey",
    "Arch",
    "Bar",
    "BarPart",
    "Branch",
    "Breakpoints",
    "CapacityError",
    "Certificate",
    "CertificateError",
    "Change",
    "Changes",
    "Choice",
    "ClosedForm",
    "Column",
    "Comparison",
    "Component",
    "Compute",
    "Contention",
    "Curve",
    "Difference",
    "DomainError",
    "Einsum",
    "Energy",
    "Exploration",
    "ExplorationError",
    "ExpressionError",
    "Formula",
    "FormulaCertificate",
    "InitiationInterval",
    "InterruptedExplorationError",
    "Lane",
    "MappingError",
    "Mechanism",
    "Mechanisms",
    "MissingExtraError",
    "Number",
    "Occupancy",
    "OccupancyLevel",
    "OptionError",
    "Padding",
    "Parameter",
    "Pipeline",
    "PolylatError",
    "PortUse",
    "ProvenRange",
    "ProvenRules",
    "RepeatedPart",
    "Report",
    "Rescheduled",
    "ResidentTile",
    "Result",
    "Roofline",
    "ScheduleError",
    "Sensitivity",
    "SensitivityRow",
    "Sequential",
    "Spatial",
    "Spec",
    "SpecError",
    "Step",
    "Storage",
    "StoreError",
    "Stretch",
    "Sweep",
    "Table",
    "Temporal",
    "Timeline",
    "TimelineSegment",
    "TimelineStack",
    "Toll",
    "TooLargeError",
    "TransferCost",
    "Tree",
    "UnsupportedError",
    "UtilizationSpan",
    "WaitedFor",
    "WhatIf",
    "WorkerError",
    "Workload",
    "analyze",
    "compare",
    "explore",
    "load",
    "plot_bandwidth",
    "plot_mechanisms",
    "roofline",
    "symbolic",
    "timelines",
    "tree",
]

# Imported when first used: NumPy, islpy, numba and the readers are slow to import.
_LAZY = {
    "AccessKey": "polylat.analysis.access",
    "Arch": "polylat.spec.arch",
    "Bar": "polylat.analysis.timeline",
    "Branch": "polylat.spec.mapping",
    "Certificate": "polylat.proof.certificate",
    "CertificateError": "polylat.proof.certificate",
    "Change": "polylat.analysis.changes",
    "Changes": "polylat.analysis.changes",
    "Choice": "polylat.exploration.choice",
    "Column": "polylat.tables",
    "Comparison": "polylat.analysis.comparison",
    "Component": "polylat.spec.arch",
    "Compute": "polylat.spec.mapping",
    "Contention": "polylat.analysis.access",
    "Curve": "polylat.analysis.bandwidth_curve",
    "Difference": "polylat.analysis.comparison",
    "Einsum": "polylat.spec.workload",
    "ClosedForm": "polylat.closed_form.closed_form",
    "Energy": "polylat.analysis.energy",
    "Breakpoints": "polylat.closed_form.questions",
    "Formula": "polylat.closed_form.formula",
    "FormulaCertificate": "polylat.closed_form.verification",
    "ProvenRange": "polylat.closed_form.verification",
    "Parameter": "polylat.closed_form.parameters",
    "Stretch": "polylat.closed_form.questions",
    "Sweep": "polylat.closed_form.sweep",
    "Exploration": "polylat.explorer",
    "InitiationInterval": "polylat.analysis.steady_state",
    "Lane": "polylat.analysis.timeline",
    "OccupancyLevel": "polylat.analysis.timeline",
    "Mechanism": "polylat.analysis.mechanisms",
    "Mechanisms": "polylat.analysis.mechanisms",
    "Number": "polylat.numbers",
    "Occupancy": "polylat.analysis.occupancy",
    "BarPart": "polylat.analysis.timeline",
    "Padding": "polylat.lowering.padding",
    "Pipeline": "polylat.spec.mapping",
    "PortUse": "polylat.analysis.access",
    "ProvenRules": "polylat.proof.certificate",
    "RepeatedPart": "polylat.analysis.timeline",
    "Report": "polylat.report",
    "ResidentTile": "polylat.analysis.occupancy",
    "Result": "polylat.explorer",
    "Roofline": "polylat.analysis.roofline",
    "TimelineSegment": "polylat.analysis.timeline",
    "Sensitivity": "polylat.analysis.sensitivity",
    "SensitivityRow": "polylat.analysis.sensitivity",
    "Rescheduled": "polylat.analysis.variation",
    "Sequential": "polylat.spec.mapping",
    "UtilizationSpan": "polylat.analysis.timeline",
    "Spatial": "polylat.spec.mapping",
    "Spec": "polylat.spec",
    "TimelineStack": "polylat.views.timeline",
    "Step": "polylat.analysis.access",
    "Storage": "polylat.spec.mapping",
    "Table": "polylat.tables",
    "Temporal": "polylat.spec.mapping",
    "Timeline": "polylat.views.timeline",
    "Toll": "polylat.spec.mapping",
    "TransferCost": "polylat.analysis.transfer_cost",
    "Tree": "polylat.views.tree",
    "WaitedFor": "polylat.schedule.reasons",
    "WhatIf": "polylat.analysis.sensitivity",
    "Workload": "polylat.spec.workload",
    "analyze": "polylat.report",
    "compare": "polylat.analysis.comparison",
    "explore": "polylat.explorer",
    "load": "polylat.spec.reading.load",
    "plot_bandwidth": "polylat.views.paper_plots",
    "plot_mechanisms": "polylat.views.paper_plots",
    "roofline": "polylat.analysis.roofline",
    "symbolic": "polylat.closed_form.formula",
    "timelines": "polylat.views.timeline",
    "tree": "polylat.views.mapping_tree",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'polylat' has no attribute {name!r}")
    value = getattr(import_module(_LAZY[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_LAZY])
