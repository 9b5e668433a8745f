"""The fastest of the mapper's mappings, ready to be explained, drawn and evaluated."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import isnan
from typing import TYPE_CHECKING, Any

from polylat.accelforge.export import from_spec
from polylat.accelforge.rerank import rerank
from polylat.errors import SpecError
from polylat.report import Report, analyze
from polylat.spec import Spec

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Fastest", "best"]


@dataclass(frozen=True, eq=False)
class Fastest:
    """The fastest mapping of a Pareto set that fits its memories.

    Parameters
    ----------
    index
        Its index in AccelForge's ``Mappings``.
    spec
        The mapping as an input, with the options under ``schedule``.
    report
        Its report.
    table
        All mappings, as `rerank` returns them.
    fits
        Whether no memory exceeds its size: False only if that is so for no mapping; None where it
        is not known.
    """

    index: int
    spec: Spec
    report: Report = field(repr=False)
    table: pd.DataFrame = field(repr=False)
    fits: bool | None = None

    @property
    def mapping(self) -> Any:
        """AccelForge's ``Mapping``, to evaluate and to draw there; with the Pipelines."""
        return from_spec(self.spec)

    def __str__(self) -> str:
        return f"{self.table.attrs['message']}\n\n{self.report}"


def best(mappings: Any, **options: Any) -> Fastest:
    """Return the fastest of AccelForge's mappings.

    Parameters
    ----------
    mappings
        AccelForge's ``Mappings``, as returned by its mapper.
    **options
        Options of `polylat.analyze`, such as ``pipelined=True`` or ``background="o2"``; they hold
        for all mappings. ``recurrences`` as for `rerank`.

    Returns
    -------
    Fastest
        The mapping with the least latency among those that fit their memories, or among all if none
        fits (`Fastest.fits`, and its text says so); of several, AccelForge's first choice if it is
        among them, else the one with the least energy.

    Raises
    ------
    MissingExtraError
        pandas is not installed.
    SpecError
        `mappings` is not AccelForge's ``Mappings``, is empty, or none could be analyzed.
    OptionError
        An option has an invalid name or value.
    """
    table = rerank(mappings, quiet=True, **options)
    winner = table.attrs["winner"]
    if winner is None:
        raise SpecError(f"no mapping could be analyzed; the first one: {table['error'].iloc[0]}")
    spec: Spec = table.loc[winner, "spec"]
    fits = table.loc[winner, "fits"]
    return Fastest(int(winner), spec, analyze(spec), table, None if isnan(fits) else bool(fits))
