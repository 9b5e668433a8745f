"""What the workload and the architecture of an input were evaluated from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from polylat.spec.arch import Arch
from polylat.spec.functions import CustomFunctions
from polylat.spec.workload import Workload

__all__ = ["SpecSource"]


@dataclass(frozen=True, eq=False)
class SpecSource:
    """What the workload and the architecture of an input were evaluated from.

    Parameters
    ----------
    tree
        The top-level keys but ``mapping`` and ``schedule``, as plain values; expressions are not
        evaluated.
    machine
        What is no option under the key ``schedule``: properties of the machine, and recurrences.
    workload, arch
        What they were evaluated to.
    readings
        Which meaning was taken of what AccelForge's versions read in different ways: sentences.
    functions
        The functions of the caller that expressions may call.
    """

    tree: Mapping[str, Any]
    machine: Mapping[str, Any]
    workload: Workload
    arch: Arch
    readings: tuple[str, ...] = ()
    functions: CustomFunctions = field(default_factory=CustomFunctions)
