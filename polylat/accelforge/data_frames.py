"""What the tables of `rerank` and of `search` have in common."""

from __future__ import annotations

from math import isfinite
from typing import Any

from polylat.errors import MissingExtraError
from polylat.numbers import Number

__all__ = ["import_pandas", "plain_number"]


def import_pandas() -> Any:
    """Import pandas.

    Returns
    -------
    module
        The module ``pandas``.

    Raises
    ------
    MissingExtraError
        pandas is not installed.
    """
    try:
        import pandas as pd
    except ImportError as error:
        raise MissingExtraError(
            "pandas is not installed", fix="pip install 'polylat[accelforge]'"
        ) from error
    return pd


def plain_number(value: Number | float) -> int | float:
    """Convert a number for a table.

    Parameters
    ----------
    value
        The number, which may be NaN or infinite.

    Returns
    -------
    int or float
        An int if the number is integral, else a float.
    """
    return int(value) if isfinite(value) and value == int(value) else float(value)
