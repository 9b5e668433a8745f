"""Rows of measured designs, and families of rows with the variants of the model for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

__all__ = ["Constants", "Data", "Family", "Row", "Variant", "number"]

Constants = Mapping[str, Fraction]
"""Name → value of a constant of the hardware that no source states."""
Data = dict[str, Any]
"""Plain data for `polylat.Spec.from_dict`."""


def number(value: Fraction) -> int | str:
    """Return a number as it is written in an input: exactly.

    Parameters
    ----------
    value
        The number.
    """
    return value.numerator if value.denominator == 1 else str(value)


@dataclass(frozen=True)
class Row:
    """A measured design.

    Parameters
    ----------
    family, name
        Which design it is.
    cycles
        Its cycles in RTL.
    facts
        The line of the file it comes from.
    groups
        The groups of rows whose errors are reported, to which it belongs.
    expected
        Name of a variant → cycles that this variant must give exactly.
    """

    family: str
    name: str
    cycles: int
    facts: Mapping[str, Any]
    groups: tuple[str, ...] = ()
    expected: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Variant:
    """A version of the model: which mechanisms it has.

    Parameters
    ----------
    name
        Name, unique in its family.
    constants
        The fitted constants that it uses, with their values.
    """

    name: str
    constants: Constants = field(default_factory=dict)


@dataclass(frozen=True)
class Family:
    """Measured designs of one accelerator, and how the model describes them.

    Parameters
    ----------
    name
        Name of the family.
    file
        Name of its file of measurements.
    read
        Reads the rows of such a file.
    build
        Row, variant, constants → the input of polylat.
    variants
        The versions of the model, from the coarsest on. The one named ``roofline`` is evaluated by
        `polylat.roofline`.
    fitted_on
        The rows whose even ones (0, 2, …) the constants are fitted on, by the name of the constant;
        by default every even row.
    """

    name: str
    file: str
    read: Callable[[Path], Sequence[Row]]
    build: Callable[[Row, str, Constants], Data]
    variants: Sequence[Variant]
    fitted_on: Mapping[str, str] = field(default_factory=dict)
