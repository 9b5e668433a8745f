"""Fingerprints of large numbers, and the tables of the compiled backtracking."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from polylat.schedule import backtrack_steps
from polylat.schedule.backtrack import BacktrackTables, coprime_moduli, residues

WHOLE = st.integers(-(10**40), 10**40)


@given(st.lists(WHOLE, min_size=1), st.integers(0, 10**40))
def test_residues_distinguish_all_numbers(numbers: list[int], least: int) -> None:
    most = max(least, *map(abs, numbers))
    found = residues(np.array(numbers, dtype=object), coprime_moduli(most))
    columns = [tuple(column) for column in found.T.tolist()]
    for number, column in zip(numbers, columns, strict=True):
        for other, another in zip(numbers, columns, strict=True):
            assert (number == other) == (column == another)


@given(st.lists(st.integers(-(2**15), 2**15 - 1), min_size=1))
def test_residues_of_numbers_in_few_bits(numbers: list[int]) -> None:
    """Where a sample has all tile iterations, durations may have 16 bits."""
    moduli = coprime_moduli(2**15)
    few, every = np.array(numbers, dtype=np.int16), np.array(numbers, dtype=object)
    assert residues(few, moduli).tolist() == residues(every, moduli).tolist()


@given(st.integers(0, 10**60))
def test_moduli_are_coprime(most: int) -> None:
    moduli = coprime_moduli(most).tolist()
    assert np.lcm.reduce(np.array(moduli, dtype=object)) == np.prod(np.array(moduli, dtype=object))
    assert max(moduli) < 1 << 31


def test_tables_are_packed_in_order() -> None:
    """The compiled code finds each table by a constant of its name."""
    assert [getattr(backtrack_steps, name.upper()) for name in BacktrackTables._fields] == list(
        range(36)
    )
    sizes = (
        backtrack_steps.N_MODULI,
        backtrack_steps.LOOPS,
        backtrack_steps.EVENTS,
        backtrack_steps.BLOCKS,
        backtrack_steps.ITERATIONS,
        backtrack_steps.TASKS,
        backtrack_steps.WAITS,
    )
    assert list(map(int, sizes)) == list(range(36, 43))
