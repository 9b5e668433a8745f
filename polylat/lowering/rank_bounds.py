"""Compute the bounds of every rank variable in an Einsum's iteration space."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import prod

from polylat.errors import SpecError
from polylat.spec.affine import Affine
from polylat.spec.workload import Einsum

__all__ = ["rank_bounds"]

_MAX_BITS = 4_000
"""Bits of the number of operations of an Einsum; a figure of it still has few enough digits."""

_Interval = tuple[int, int]


def rank_bounds(einsum: Einsum) -> dict[str, _Interval]:
    """Compute the least and the largest value of each rank variable; both are attained.

    Parameters
    ----------
    einsum
        The Einsum. Its iteration space is where each expression in `constraints` is ≥ 0.

    Returns
    -------
    dict
        Rank variable → (least, largest), in the order of ``einsum.rank_variables``. These are the
        bounds of the integer points of the space, equal to `dim_min_val` and `dim_max_val` of ISL.

    Raises
    ------
    SpecError
        The space is empty, a rank variable is not bounded, or the space has more than about 10^1200
        operations.

    Notes
    -----
    Constraints on one variable define a box. A constraint on several variables that holds
    everywhere in the box is redundant; this is the usual case, and needs no ISL. Otherwise the box
    is narrowed by interval propagation, which may leave it too wide but never too narrow; it is
    exact if a point of the space attains each bound. ISL computes the remaining cases.

    Examples
    --------
    A convolution, and a triangle.

    >>> from polylat.lowering.rank_bounds import rank_bounds
    >>> from polylat.spec.affine import Affine
    >>> from polylat.spec.workload import Einsum
    >>> p, r = Affine((("p", 1),)), Affine((("r", 1),))
    >>> box = (p, Affine((("p", -1),), 5), r, Affine((("r", -1),), 2))
    >>> rank_bounds(Einsum("conv", ("p", "r"), box, ()))
    {'p': (0, 5), 'r': (0, 2)}
    >>> below = Affine((("r", 1), ("p", -1)))
    >>> rank_bounds(Einsum("triangle", ("p", "r"), (*box, below), ()))
    {'p': (0, 2), 'r': (0, 2)}
    """
    low: dict[str, int] = {}
    high: dict[str, int] = {}
    coupled: list[Affine] = []
    for constraint in einsum.constraints:
        if len(constraint.terms) == 1:
            ((variable, coefficient),) = constraint.terms
            _tighten(variable, coefficient, constraint.constant, low, high)
        elif constraint.terms:
            coupled.append(constraint)
        elif constraint.constant < 0:
            raise _empty(einsum)
    if coupled:
        coupled = [c for c in coupled if not _is_redundant(c, low, high)]
    if coupled:
        _propagate(coupled, low, high)
        if not _attained(einsum.rank_variables, coupled, low, high):
            return _isl_bounds(einsum)
    for variable in einsum.rank_variables:
        if variable not in low or variable not in high:
            raise _unbounded(einsum, variable, "lower" if variable not in low else "upper")
        if low[variable] > high[variable]:
            raise _empty(einsum)
    return _checked(einsum, {v: (low[v], high[v]) for v in einsum.rank_variables})


def _checked(einsum: Einsum, bounds: dict[str, _Interval]) -> dict[str, _Interval]:
    """Refuse numbers that are too large to compute with in reasonable time, and to print."""
    volume = prod(high - low + 1 for low, high in bounds.values())
    ends = (abs(end) for interval in bounds.values() for end in interval)
    if max(volume, *ends, 0).bit_length() > _MAX_BITS:
        raise SpecError(
            f"the iteration space of Einsum {einsum.name!r} has bounds or a number of operations of"
            f" more than {_MAX_BITS:,} bits",
            where=einsum.where or None,
            fix="check its iteration_space_shape and rank_sizes",
        )
    return bounds


def _tighten(
    v: str, coefficient: int, rest: int, low: dict[str, int], high: dict[str, int]
) -> bool:
    """Narrow the box by ``coefficient * v + rest ≥ 0``; return whether it changes."""
    if coefficient > 0:
        bound = -(rest // coefficient)
        if v not in low or low[v] < bound:
            low[v] = bound
            return True
    else:
        bound = rest // -coefficient
        if v not in high or high[v] > bound:
            high[v] = bound
            return True
    return False


def _largest_in_box(
    terms: Sequence[tuple[str, int]], low: Mapping[str, int], high: Mapping[str, int]
) -> int | None:
    """Largest value of a sum of terms in the box; None if it is unbounded."""
    total = 0
    for variable, coefficient in terms:
        end = (high if coefficient > 0 else low).get(variable)
        if end is None:
            return None
        total += coefficient * end
    return total


def _is_redundant(constraint: Affine, low: Mapping[str, int], high: Mapping[str, int]) -> bool:
    """Whether the constraint holds everywhere in the box."""
    least = _largest_in_box([(v, -c) for v, c in constraint.terms], low, high)
    return least is not None and constraint.constant - least >= 0


def _propagate(coupled: Sequence[Affine], low: dict[str, int], high: dict[str, int]) -> None:
    """Propagate the constraints, one at a time, until the box no longer changes.

    The number of rounds is limited, since propagation may narrow a bound by one per round. A box
    that is still too wide only costs a call of ISL.
    """
    for _ in range(8):
        changed = False
        for constraint in coupled:
            for i, (variable, coefficient) in enumerate(constraint.terms):
                others = _largest_in_box(
                    constraint.terms[:i] + constraint.terms[i + 1 :], low, high
                )
                if others is not None:
                    rest = constraint.constant + others
                    changed |= _tighten(variable, coefficient, rest, low, high)
        if not changed:
            return


def _attained(
    variables: Sequence[str],
    coupled: Sequence[Affine],
    low: Mapping[str, int],
    high: Mapping[str, int],
) -> bool:
    """Whether every bound of the box is attained at a corner that belongs to the space."""
    if any(v not in low or v not in high or low[v] > high[v] for v in variables):
        return False

    def corners(variable: str, value: int) -> Iterator[dict[str, int]]:
        yield {**low, variable: value}
        yield {**high, variable: value}

    return all(
        any(all(c.at(point) >= 0 for c in coupled) for point in corners(v, value))
        for v in variables
        for value in (low[v], high[v])
    )


def _isl_bounds(einsum: Einsum) -> dict[str, _Interval]:
    """Compute the bounds with ISL, which is exact for any set of integer points."""
    import islpy as isl  # slow to import, and rarely needed

    names = {v: f"x{i}" for i, v in enumerate(einsum.rank_variables)}  # ISL has reserved words
    text = " and ".join(
        " + ".join([*(f"{c}*{names[v]}" for v, c in constraint.terms), str(constraint.constant)])
        + " >= 0"
        for constraint in einsum.constraints
    )
    points = isl.Set(f"{{ [{', '.join(names.values())}] : {text} }}")
    if points.is_empty():
        raise _empty(einsum)
    bounds: dict[str, _Interval] = {}
    for i, variable in enumerate(einsum.rank_variables):
        for bounded, side in (
            (points.dim_has_lower_bound(isl.dim_type.set, i), "lower"),
            (points.dim_has_upper_bound(isl.dim_type.set, i), "upper"),
        ):
            if not bounded:
                raise _unbounded(einsum, variable, side)
        least, largest = points.dim_min_val(i), points.dim_max_val(i)
        for end, side in ((least, "lower"), (largest, "upper")):
            # The tests above are of the constraints, the optimum is of the integer points.
            if not end.is_int():
                raise _unbounded(einsum, variable, side)
        bounds[variable] = (int(least.to_python()), int(largest.to_python()))
    return _checked(einsum, bounds)


def _empty(einsum: Einsum) -> SpecError:
    return SpecError(
        f"the iteration space of Einsum {einsum.name!r} is empty",
        where=einsum.where or None,
        fix="check its iteration_space_shape and rank_sizes",
    )


def _unbounded(einsum: Einsum, variable: str, side: str) -> SpecError:
    return SpecError(
        f"rank variable {variable!r} of Einsum {einsum.name!r} has no {side} bound",
        where=einsum.where or None,
        fix=f"add one to iteration_space_shape, such as '0 <= {variable} < 16'",
    )
