"""Loop indices as numbers in mixed radix: the previous one, later ones, the last one of a turn."""

from __future__ import annotations

from math import prod

import numpy as np

from polylat.schedule.arrays import Ints, Mask

__all__ = ["last_turn", "linear_index", "predecessor", "successor"]


def linear_index(digits: Ints, radix: Ints) -> Ints:
    """Return the value of numbers in mixed radix.

    Parameters
    ----------
    digits, radix
        The numbers, shape (digits, n), most significant digit first, and the radix of each digit.

    Returns
    -------
    numpy.ndarray
        The values, shape (n,).
    """
    value = np.zeros(digits.shape[1], dtype=np.int64)
    for digit, base in zip(digits, radix, strict=True):
        value = value * base + digit
    return value


def predecessor(digits: Ints, radix: Ints) -> tuple[Ints, Ints]:
    """Return numbers in mixed radix less one.

    Parameters
    ----------
    digits, radix
        The numbers, shape (digits, n), most significant digit first, and the radix of each digit.

    Returns
    -------
    (digits, same)
        The results, shape (digits, n), and in how many digits, the decreased one included, they
        move as the numbers do while there is no further borrow, shape (n,): 0 below zero.
    """
    found = digits.copy()
    same = np.zeros(digits.shape[1], dtype=np.int64)
    for k in range(len(digits) - 1, -1, -1):
        down = (same == 0) & (digits[k] > 0)
        found[k] = np.where(down, digits[k] - 1, np.where(same == 0, radix[k] - 1, digits[k]))
        same[down] = k + 1
    return found, same


def successor(digits: Ints, radix: Ints, by: Ints | int) -> tuple[Ints, Mask]:
    """Return numbers in mixed radix plus a number.

    Parameters
    ----------
    digits, radix
        The numbers, shape (digits, n), most significant digit first, and the radix of each digit.
    by
        What is added to each, at least 0: shape (n,), or the same for all.

    Returns
    -------
    (digits, exists)
        The results, shape (digits, n), and whether they have no further digit, shape (n,).
    """
    found = digits.copy()
    carry = np.broadcast_to(np.asarray(by, dtype=np.int64), digits.shape[1:])
    for k in range(len(digits) - 1, -1, -1):
        carry, found[k] = np.divmod(digits[k] + carry, radix[k])
    return found, np.asarray(carry == 0, dtype=np.bool_)


def last_turn(radix: Ints, digits: Ints, above: int, delay: Ints | int) -> tuple[Ints, Mask]:
    """Return the last turns up to given ones, and `delay` further.

    A turn is the linearized index of the inner loops. It goes no further than the last one for the
    index of the outer loops; where it is before the first one, it is the last one of the previous
    index.

    Parameters
    ----------
    radix
        The trip count of each loop, shape (loops,).
    digits
        Loop indices, shape (loops or more, n).
    above
        Number of outer loops.
    delay
        How many turns later: shape (n,), or the same for all.

    Returns
    -------
    (digits, exists)
        Loop indices, of the shape given, 0 beyond the loops; and whether there is such a turn,
        shape (n,).
    """
    depth = len(radix)
    found = digits.copy()
    count = prod(radix[above:].tolist())
    turn = linear_index(digits[above:depth], radix[above:]) + delay
    early = turn < 0
    rest = np.clip(turn, 0, count - 1)
    for k in range(depth - 1, above - 1, -1):
        found[k] = np.where(early, radix[k] - 1, rest % radix[k])
        rest = rest // radix[k]
    outer, same = predecessor(digits[:above], radix[:above])
    found[:above] = np.where(early, outer, digits[:above])
    found[depth:] = 0
    return found, ~early | (same > 0)
