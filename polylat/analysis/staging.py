"""The same mapping with staged tiles: what double-buffered hardware would take, and hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from polylat.analysis.occupancy import occupancies
from polylat.engine.orders import ScheduleChoice, schedule_mapping
from polylat.errors import MappingError, ScheduleError
from polylat.numbers import Number
from polylat.spec import Spec

__all__ = ["ALL_HOLDERS", "DoubleBuffering", "buffers_of", "staged_schedules"]

ALL_HOLDERS = ((None, None),)
"""Every holder, in the normal form of the option `staged`."""


@dataclass(frozen=True)
class DoubleBuffering:
    """Whether two tiles of every tensor fit into a memory.

    Parameters
    ----------
    memory
        The memory, with the users of its units where these are divided.
    peak
        The largest number of bits that it holds (of one unit), in any order of service, where every
        tile is staged and every holder keeps two of them.
    size
        Bits that it can hold; None if unlimited.
    """

    memory: str
    peak: Number
    size: Number | None

    @property
    def fits(self) -> bool:
        """Whether the memory is large enough."""
        return self.size is None or self.peak <= self.size


def staged_schedules(spec: Spec, options: Mapping[str, Any]) -> ScheduleChoice | None:
    """Schedule a mapping with every holder staged.

    Parameters
    ----------
    spec
        The input.
    options
        All options of `analyze`, in their normal forms; `staged` and `order` are replaced.

    Returns
    -------
    ScheduleChoice or None
        The schedules, of which the best is chosen; None if there is none.
    """
    try:
        return schedule_mapping(spec, {**options, "staged": ALL_HOLDERS, "order": "best"})
    except (MappingError, ScheduleError):
        return None


def buffers_of(staged: ScheduleChoice) -> tuple[DoubleBuffering, ...]:
    """Return what each memory holds where every holder is staged and keeps two tiles.

    Parameters
    ----------
    staged
        The schedules with two slots. The order "program" may never fill a second slot, and be the
        fastest nevertheless: each memory has its largest peak over all orders.

    Returns
    -------
    tuple of DoubleBuffering
        One per memory, in the order of the architecture.

    Raises
    ------
    UnsupportedError
        An occupancy cannot be determined.
    """
    solutions = [*staged.solved.solutions.values(), staged.chosen]
    found: dict[str, DoubleBuffering] = {}
    for solution in solutions:
        for m in occupancies(solution) if solution.legal else ():
            known = found.get(m.name)
            if known is None or known.peak < m.peak:
                found[m.name] = DoubleBuffering(m.name, m.peak, m.size)
    return tuple(found.values())
