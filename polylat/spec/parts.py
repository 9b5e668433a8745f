"""The three parts of an input, and the options that it gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from polylat.spec.arch import Arch
from polylat.spec.mapping import Branch
from polylat.spec.source import SpecSource
from polylat.spec.workload import Workload

__all__ = ["SpecParts"]


@dataclass(frozen=True)
class SpecParts:
    """A cascade, an architecture and the mapping of the one onto the other.

    Parameters
    ----------
    workload, arch, mapping
        The three parts. The mapping is a tree; its root is a `Branch`.
    schedule
        Options of `analyze` given in the input (top-level key ``schedule``), by name.
    source
        What workload and architecture were evaluated from; None for values made in Python.
    """

    workload: Workload
    arch: Arch
    mapping: Branch
    schedule: Mapping[str, Any] = field(default_factory=dict)
    source: SpecSource | None = field(default=None, repr=False, compare=False)

    @property
    def readings(self) -> tuple[str, ...]:
        """Which meaning was taken of what AccelForge's versions read in different ways."""
        return self.source.readings if self.source is not None else ()
