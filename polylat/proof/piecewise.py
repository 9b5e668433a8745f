"""Piecewise affine functions between tile iterations, split into their affine parts."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import islpy as isl
import numpy as np

from polylat.lowering.points import PiecewiseAffine
from polylat.schedule.arrays import Ints

__all__ = ["FunctionPart", "PiecewiseFunction"]

_SET, _IN = isl.dim_type.set, isl.dim_type.in_


@dataclass(frozen=True, eq=False)
class FunctionPart:
    """A quasi-affine part of a function between tile iterations.

    Parameters
    ----------
    domain, value
        The tile iterations where the part holds, and the function there.
    low, high
        Shape (loops,): the bounding box of the domain.
    matrix, constant
        The function is ``matrix @ index + constant``, of shapes (awaited loops, loops) and
        (awaited loops,); None where it has floors.
    """

    domain: isl.Set
    value: isl.MultiAff
    low: Ints
    high: Ints
    matrix: Ints | None
    constant: Ints | None


@dataclass(frozen=True, eq=False)
class PiecewiseFunction:
    """A piecewise affine function between tile iterations.

    Parameters
    ----------
    source
        The function, on a bounded domain.
    """

    source: isl.PwMultiAff

    @cached_property
    def parts(self) -> tuple[FunctionPart, ...]:
        """The affine parts, each with the bounding box of its domain."""
        return _affine_parts(self.source)

    @cached_property
    def points(self) -> PiecewiseAffine:
        """The function, to be evaluated at many points."""
        return PiecewiseAffine(self.source)


def _affine_parts(source: isl.PwMultiAff) -> tuple[FunctionPart, ...]:
    parts: list[FunctionPart] = []

    def add(where: isl.Set, value: isl.MultiAff) -> None:
        where = where.coalesce()
        if where.is_empty():
            return
        size = where.dim(_SET)
        low = np.array([_integer(where.dim_min_val(k)) for k in range(size)], dtype=np.int64)
        high = np.array([_integer(where.dim_max_val(k)) for k in range(size)], dtype=np.int64)
        rows, constants, plain = [], [], True
        for j in range(value.dim(isl.dim_type.out)):
            aff = value.get_aff(j)
            plain = plain and aff.dim(isl.dim_type.div) == 0
            plain = plain and _integer(aff.get_denominator_val()) == 1
            if plain:
                row = [_integer(aff.get_coefficient_val(_IN, k)) for k in range(size)]
                rows.append(row)
                constants.append(_integer(aff.get_constant_val()))
        matrix = np.array(rows, dtype=np.int64).reshape(len(rows), size) if plain else None
        constant = np.array(constants, dtype=np.int64) if plain else None
        parts.append(FunctionPart(where, value, low, high, matrix, constant))

    source.foreach_piece(add)
    return tuple(parts)


def _integer(value: isl.Val) -> int:
    return int(value.to_python())
