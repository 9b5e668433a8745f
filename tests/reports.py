"""Reports of random inputs, which may be illegal, and by a given engine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from hypothesis import assume

import polylat
from polylat import MappingError, OptionError, Report, ScheduleError, Spec, TooLargeError
from polylat.engine import solve
from polylat.engine.orders import transfer_options
from polylat.lowering.transfers import TransferOptions
from polylat.spec.names import known_names
from polylat.spec.options import normalize_option

Data = dict[str, Any]


@contextmanager
def explicit_up_to(tiles: int) -> Iterator[None]:
    """Visit all tile iterations of mappings that have at most this number of them.

    Above it they are sampled, also where visiting all would be faster.
    """
    before = solve.EXPLICIT, solve.VISITED_PER_SAMPLED
    solve.EXPLICIT, solve.VISITED_PER_SAMPLED = tiles, None
    try:
        yield
    finally:
        solve.EXPLICIT, solve.VISITED_PER_SAMPLED = before


@contextmanager
def shared_up_to(tiles: int) -> Iterator[None]:
    """Sample more tile iterations than these, if no port is limited, for that schedule only."""
    before = solve.MOST_SHARED
    solve.MOST_SHARED = tiles
    try:
        yield
    finally:
        solve.MOST_SHARED = before


def analyzed(data: Data, **options: Any) -> Report:
    """The report; draws that are illegal do not count."""
    try:
        return polylat.analyze(Spec.from_dict(data), **options)
    except (MappingError, ScheduleError):
        assume(False)
        raise


def report_or_none(case: tuple[Data, Data], order: str = "best", **more: Any) -> Report | None:
    """The report, None where there is none."""
    try:
        return polylat.analyze(Spec.from_dict(case[0]), **{**case[1], "order": order, **more})
    except (MappingError, OptionError, ScheduleError, TooLargeError):
        return None


def transfers(spec: Spec, **options: Any) -> TransferOptions:
    """The options of transfers, from arguments of `analyze`."""
    known = known_names(spec.workload, spec.arch.order, spec.mapping)
    given = {"background": (), "staged": (), "slots": 2, **options}
    names = ("background", "staged", "slots")
    return transfer_options(spec, {n: normalize_option(n, given[n], known) for n in names})
