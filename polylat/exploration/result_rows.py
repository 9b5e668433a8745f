"""The rows of a file of results: one line of text for each finished part, with a checksum.

Nothing in a row is executed, and whatever it contains, reading it takes a time that is linear in
its length: a row is JSON, of which every value is checked.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from polylat.exploration.evaluate import Batch
from polylat.exploration.pareto import Outcome
from polylat.numbers import Number, reduce_number

__all__ = ["FORMAT", "Row", "header", "read_rows", "row_text"]

FORMAT = 4
"""Version of the model and of the rows: those of other versions are refused."""

_ROW = re.compile(rb"#([0-9a-f]{16}) (.*)", re.DOTALL)
_JOINED = re.compile(rb".(?=#[0-9a-f]{16} \[)", re.DOTALL)
"""What stands where the end of a line was damaged."""
_NUMBER = re.compile(r"-?[0-9]+(/[0-9]*[1-9][0-9]*)?")


@dataclass(frozen=True)
class Row:
    """A sound row.

    Parameters
    ----------
    version, key
        The version of the format, and the fingerprint of the exploration.
    part
        Number of the part; None: a header.
    batch
        The results of the part; None: a header, or results that no exploration can have.
    """

    version: int
    key: str
    part: int | None
    batch: Batch | None


def header(key: str, parts: int) -> bytes:
    """Return the first row of a file.

    Parameters
    ----------
    key
        The fingerprint of the exploration.
    parts
        Number of parts.

    Returns
    -------
    bytes
        The row, a line.
    """
    return _line([FORMAT, key, None, parts])


def row_text(key: str, part: int, batch: Batch) -> bytes:
    """Return the row of a part.

    Parameters
    ----------
    key
        The fingerprint of the exploration.
    part, batch
        The number of the part, and its results.

    Returns
    -------
    bytes
        The row, a line.
    """
    outcomes = [
        [
            variant,
            _text(o.latency),
            o.order,
            int(o.keeps_barriers),
            int(o.exact),
            [[memory, _text(peak)] for memory, peak in o.peaks],
            o.error,
            _text(o.energy),
        ]
        for variant, o in batch.outcomes
    ]
    return _line([FORMAT, key, part, batch.excluded, outcomes])


def read_rows(content: bytes) -> Iterator[tuple[int, Row | None]]:
    """Yield the rows of a file.

    Parameters
    ----------
    content
        Lines.

    Yields
    ------
    (int, Row or None)
        Number of the line, from 1 on; the row, None where it is damaged.
    """
    for number, line in enumerate(content.split(b"\n"), 1):
        if not line:
            continue
        row = _row(line)
        if row is not None:
            yield number, row
            continue
        # Where the end of a line is damaged, both of its neighbors are sound.
        for piece in _JOINED.split(line):
            yield number, _row(piece)


def _line(values: list[Any]) -> bytes:
    text = json.dumps(values, separators=(",", ":")).encode("ascii")
    return b"#" + _checksum(text) + b" " + text + b"\n"


def _checksum(text: bytes) -> bytes:
    return hashlib.sha256(text).hexdigest()[:16].encode("ascii")


def _row(line: bytes) -> Row | None:
    found = _ROW.fullmatch(line)
    if found is None or _checksum(found[2]) != found[1]:
        return None
    try:
        match json.loads(found[2]):
            case [int() as version, str() as key, None, *_]:
                return Row(version, key, None, None)
            case [int() as version, str() as key, int() as part, *results]:
                batch = _batch(results) if version == FORMAT else None
                return Row(version, key, part, batch)
    except (ValueError, RecursionError):  # no JSON, too large integers, deep nesting
        pass
    return None


def _batch(results: list[Any]) -> Batch | None:
    """Return results; None if they are not in the form in which `row_text` writes them."""
    match results:
        case [int() as excluded, [*rows]] if excluded >= 0:
            outcomes = tuple(found for row in rows if (found := _outcome(row)) is not None)
            return Batch(outcomes, excluded) if len(outcomes) == len(rows) else None
    return None


def _outcome(row: Any) -> tuple[int, Outcome] | None:
    match row:
        case [
            int() as variant,
            str() | None as latency,
            str() as order,
            0 | 1 as barriers,
            0 | 1 as exact,
            [*pairs],
            str() as error,
            str() | None as energy,
        ]:
            pass
        case _:
            return None
    peaks = tuple(
        (pair[0], _number(pair[1]))
        for pair in pairs
        if isinstance(pair, list)
        and len(pair) == 2
        and isinstance(pair[0], str)
        and isinstance(pair[1], str | None)
    )
    # A variant is legal or has an error.
    if len(peaks) != len(pairs) or (latency is None) != bool(error):
        return None
    found = Outcome(
        _number(latency), order, bool(barriers), bool(exact), peaks, error, _number(energy)
    )
    return variant, found


def _text(number: Number | None) -> str | None:
    return None if number is None else str(number)


def _number(text: str | None) -> Number | None:
    if text is None:
        return None
    # `Fraction` also accepts exponents, and 1e999999999 takes all memory.
    if not _NUMBER.fullmatch(text):
        raise ValueError(f"{text!r} is no number")
    return reduce_number(Fraction(text))
