"""`polylat explore`: from what is typed to an exploration."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from polylat.errors import ExplorationError, OptionError
from polylat.exploration.search import Exploration, explore
from polylat.files import target

if TYPE_CHECKING:
    from rich.console import RenderableType

    from polylat.spec import Spec

__all__ = ["explored", "results"]

_MOST = 10_000


def explored(
    spec: Spec,
    *,
    splits: bool,
    background: bool,
    slots: Sequence[str],
    tiles: Sequence[str],
    granularity: Sequence[str],
    order: Sequence[str],
    objectives: Sequence[str],
    output: str | None,
    **options: Any,
) -> Exploration:
    """Explore what is asked for, and write the results to a file if there is one.

    With no choice asked for, splits and write-backs are explored.
    """
    if not (splits or background or slots or tiles):
        splits = background = True
    if output is not None:
        from polylat.exploration.tables import TABLES

        target(output, TABLES, "results")
    try:
        found = explore(
            spec,
            splits=splits,
            background=background,
            slots=_slots(slots),
            tiles=_tiles(tiles),
            granularity=granularity or None,
            order=order or None,
            objectives=objectives or ("latency", "peak"),
            **options,
        )
    except ExplorationError as error:
        if output is not None and isinstance(error.exploration, Exploration):
            error.exploration.save(output)
        raise
    if output is not None:
        found.save(output)
    return found


def results(found: object, *, as_json: bool) -> dict[str, Any] | RenderableType:
    """An exploration as it is printed."""
    assert isinstance(found, Exploration)
    if as_json:
        return found.to_dict()
    from polylat.exploration.tables import render_exploration

    return render_exploration(found)


def _slots(texts: Sequence[str]) -> Any:
    """``1:3``, ``1,2,none`` and ``o1=1:3``; None if nothing is said."""
    everywhere: list[int | None] | None = None
    by_tensor: dict[str, list[int | None]] = {}
    for text in texts:
        tensor, equals, numbers = text.rpartition("=")
        counts = _numbers(numbers, f"--slots {text}", unlimited=True)
        if equals:
            by_tensor[tensor] = [*by_tensor.get(tensor, ()), *counts]
        else:
            everywhere = [*(everywhere or ()), *counts]
    if by_tensor and everywhere is not None:
        raise OptionError(
            "--slots is given for all tensors and for some",
            mend="give it for all of them once, or for each tensor that is to be explored",
        )
    return by_tensor or everywhere


def _tiles(texts: Sequence[str]) -> dict[str, list[int]]:
    """``m=1,2,4,8`` and ``m=1:8``."""
    found: dict[str, list[int]] = {}
    for text in texts:
        loop, equals, numbers = text.partition("=")
        if not equals or not loop:
            raise OptionError(f"--tiles {text}: not LOOP=N,M", mend="write --tiles m=1,2,4,8")
        shapes = _numbers(numbers, f"--tiles {text}", unlimited=False)
        found.setdefault(loop, []).extend(shape for shape in shapes if shape is not None)
    return found


def _numbers(text: str, option: str, *, unlimited: bool) -> list[int | None]:
    """``1:3`` (both ends included) and ``1,2,4``."""
    found: list[int | None] = []
    for part in text.split(","):
        if unlimited and part.lower() in ("none", "unlimited"):
            found.append(None)
            continue
        low, colon, high = part.partition(":")
        ends = [end.strip() for end in ((low, high) if colon else (low, low))]
        if not all(end.isascii() and end.isdigit() and len(end) < 10 for end in ends):
            raise OptionError(f"{option}: {part!r} is no number and no range", mend="write 1:3")
        first, last = map(int, ends)
        if not 1 <= first <= last or last - first > _MOST:
            raise OptionError(f"{option}: {part!r} is no range of numbers above zero")
        found += range(first, last + 1)
    return found
