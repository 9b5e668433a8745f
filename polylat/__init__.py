"""polylat: the latency of a fused tensor-accelerator mapping, from its dependences.

>>> import polylat
>>> sorted(polylat.__all__)[:3]
['CapacityError', 'Comparison', 'Exploration']
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from polylat.errors import (
    CapacityError,
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

if TYPE_CHECKING:
    from polylat.accounting import Roofline, roofline
    from polylat.analysis import analyze
    from polylat.comparison import Comparison, differences
    from polylat.exploration import Exploration, explore
    from polylat.report import Report
    from polylat.spec import Spec
    from polylat.spec.reading.load import load
    from polylat.timeline import compare

__version__ = "0.1.0"

__all__ = [
    "CapacityError",
    "Comparison",
    "Exploration",
    "ExplorationError",
    "ExpressionError",
    "InterruptedExplorationError",
    "MappingError",
    "MissingExtraError",
    "OptionError",
    "PolylatError",
    "Report",
    "Roofline",
    "ScheduleError",
    "Spec",
    "SpecError",
    "StoreError",
    "TooLargeError",
    "UnsupportedError",
    "WorkerError",
    "analyze",
    "compare",
    "differences",
    "explore",
    "load",
    "roofline",
]

# Imported when first used: numpy, islpy, numba and the readers take their time.
_LAZY = {
    "Comparison": "polylat.comparison",
    "Exploration": "polylat.exploration",
    "Report": "polylat.report",
    "Roofline": "polylat.accounting",
    "Spec": "polylat.spec",
    "analyze": "polylat.analysis",
    "compare": "polylat.timeline",
    "differences": "polylat.comparison",
    "explore": "polylat.exploration",
    "load": "polylat.spec.reading.load",
    "roofline": "polylat.accounting",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'polylat' has no attribute {name!r}")
    value = getattr(import_module(_LAZY[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_LAZY])
