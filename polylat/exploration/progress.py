"""The progress bar of explorations and of proofs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Timer
from typing import Any

from polylat.errors import MissingExtraError

__all__ = ["progress_bar"]


@contextmanager
def progress_bar(
    total: int,
    shown: bool | None,
    unit: str = "variant",
    first: str = "preparing compiled code",
    *,
    delay: float = 0,
) -> Iterator[Any]:
    """Show a progress bar.

    Parameters
    ----------
    total
        Number of variants.
    shown
        Whether to show it; None: on a terminal, if tqdm is installed.
    unit
        What is counted.
    first
        The first description. (The first call in an installation compiles for many seconds.)
    delay
        Seconds until it appears. A bar that appears late has several parts, whose rates differ: it
        shows none.

    Yields
    ------
    tqdm or None
        The bar; None if there is none.

    Raises
    ------
    MissingExtraError
        The bar is wanted, and tqdm is not installed.
    """
    if shown is False:
        yield None
        return
    try:
        from tqdm.auto import tqdm
    except ImportError as error:
        if shown is None:
            yield None
            return
        raise MissingExtraError(
            "tqdm is not installed", fix="pip install 'polylat[explore]'"
        ) from error
    # disable=None: shown on a terminal only.
    silent = None if shown is None else False
    if not delay:
        with tqdm(total=total, unit=unit, disable=silent, desc=first) as bar:
            yield bar
        return
    shape = "{desc}{percentage:3.0f}%|{bar}| {n_fmt} of {total_fmt} [{elapsed}]"
    with tqdm(
        total=total, disable=silent, desc=f"{first}: ", delay=delay, miniters=0, bar_format=shape
    ) as bar:
        timer = Timer(delay, bar.refresh)  # also where nothing advances then
        timer.daemon = True
        if not bar.disable:
            timer.start()
        try:
            yield bar
        finally:
            timer.cancel()
