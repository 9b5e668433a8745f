"""The file of results: finished parts, from which an interrupted exploration continues."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from fractions import Fraction
from pathlib import Path

from polylat.errors import StoreError
from polylat.exploration.evaluate import Batch
from polylat.exploration.pareto import Outcome
from polylat.numbers import Number, reduce_number

__all__ = ["Store"]

_APPLICATION = 0x706C6174  # "plat"
_FORMAT = "3"
"""Version of the model and of the stored results: those of other versions are refused."""
_DAMAGED = (sqlite3.DatabaseError, ValueError, TypeError)
"""The errors of lost pages, and of incomplete rows."""
_MAGIC = b"SQLite format 3\0"
_SCHEMA = """
CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE parts (number INTEGER PRIMARY KEY, excluded INTEGER NOT NULL, results TEXT NOT NULL);
"""


class Store:
    """A file of results: a SQLite database to which every finished part is written.

    Parameters
    ----------
    path
        The file; it is created if it does not exist.
    key
        Fingerprint of the exploration: its input, choices and objectives.
    parts
        Number of parts of the exploration.

    Raises
    ------
    StoreError
        The file is not a file of results, belongs to another exploration or version, or cannot
        be written.

    Notes
    -----
    The readable parts of a damaged file are copied to a new file, and the damaged file is kept
    next to it; `remark` says so.
    """

    def __init__(self, path: Path, key: str, parts: int) -> None:
        self.path = path
        self.parts = parts
        self.remark = ""
        """What was done about a damaged file; otherwise empty."""
        self.finished: dict[int, Batch] = {}
        """Number of a part → its stored results."""
        with self._explained("open"):
            new = not path.exists() or path.stat().st_size == 0
            if not new:
                with path.open("rb") as file:
                    if file.read(len(_MAGIC)) != _MAGIC:
                        raise StoreError(
                            f"{path} is no file of results, and is not changed",
                            fix="give another name",
                        )
            self._file = sqlite3.connect(path, timeout=10, isolation_level=None)
        try:
            if new:
                self._create(self._file, key)
            else:
                self._open(key)
        except BaseException:
            self._file.close()
            raise

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def save(self, part: int, batch: Batch) -> None:
        """Write a part.

        Parameters
        ----------
        part
            The number of the part.
        batch
            Its results.

        Raises
        ------
        StoreError
            The part cannot be written; the parts that were written before are kept.
        """
        with self._explained("write"):
            _insert(self._file, part, batch)

    def _create(self, file: sqlite3.Connection, key: str) -> None:
        with self._explained("write"):
            file.execute(f"PRAGMA application_id = {_APPLICATION}")
            file.executescript(f"BEGIN; {_SCHEMA} COMMIT;")
            file.execute("INSERT INTO about VALUES ('key', ?)", (key,))
            file.execute("INSERT INTO about VALUES ('format', ?)", (_FORMAT,))
            file.execute("INSERT INTO about VALUES ('parts', ?)", (str(self.parts),))

    def _open(self, key: str) -> None:
        try:
            sound = self._read(key)
        except sqlite3.OperationalError as error:
            raise self._error("read", error) from error
        except _DAMAGED:
            sound = False
        if not sound:
            self._recover(key)
            return
        with self._explained("write"):
            # A file that cannot be written is better reported before the work than after it.
            self._file.execute("BEGIN IMMEDIATE")
            self._file.execute("UPDATE about SET value = value WHERE name = 'key'")
            self._file.execute("COMMIT")

    def _read(self, key: str) -> bool:
        """Read all parts, and return whether the file is undamaged."""
        self._check(self._file, key)
        (sound,) = self._file.execute("PRAGMA quick_check(1)").fetchone()
        rows = list(self._file.execute("SELECT number, excluded, results FROM parts"))
        self.finished = {part: _batch(excluded, text) for part, excluded, text in rows}
        return bool(sound == "ok")

    def _check(self, file: sqlite3.Connection, key: str) -> None:
        """Check that the file belongs to this exploration."""
        (application,) = file.execute("PRAGMA application_id").fetchone()
        if application != _APPLICATION:
            raise StoreError(
                f"{self.path} is a database of something else, and is not changed",
                fix="give another name",
            )
        about = dict(file.execute("SELECT name, value FROM about"))
        if "key" not in about:
            raise sqlite3.DatabaseError("the key is lost")
        if about.get("format") != _FORMAT:
            raise StoreError(
                f"{self.path} has the results of another version of polylat, whose model differs",
                fix="give another name",
            )
        if about["key"] != key:
            raise StoreError(
                f"{self.path} has the results of another exploration: another input, other"
                " choices or other objectives",
                fix="give another name, or the input and options of that exploration",
            )

    def _recover(self, key: str) -> None:
        """Copy the readable parts to a new file."""
        self._file.close()
        self.finished = {}
        try:
            with closing(sqlite3.connect(self.path, isolation_level=None)) as file:
                # Otherwise SQLite reads nothing of a truncated file.
                file.execute("PRAGMA writable_schema = ON")
                self._check(file, key)
                for part in range(self.parts):
                    batch = _salvaged(file, part)
                    if batch is not None:
                        self.finished[part] = batch
        except sqlite3.DatabaseError as error:
            raise StoreError(
                f"{self.path} is damaged: nothing can be read from it ({error})",
                fix="remove it, or give another name",
            ) from error
        new, old = (self.path.with_name(self.path.name + ending) for ending in (".new", ".damaged"))
        with self._explained("write"):
            new.unlink(missing_ok=True)
            with closing(sqlite3.connect(new, isolation_level=None)) as file:
                self._create(file, key)
                for part, batch in self.finished.items():
                    _insert(file, part, batch)
            self.path.replace(old)
            new.replace(self.path)
            self._file = sqlite3.connect(self.path, timeout=10, isolation_level=None)
        count = sum(len(batch.outcomes) for batch in self.finished.values())
        self.remark = (
            f"{self.path} was damaged: {count:,} results could still be read and are kept; the"
            f" damaged file is now {old.name}"
        )

    @contextmanager
    def _explained(self, what: str) -> Iterator[None]:
        """Turn errors of SQLite and of the file system into `StoreError`."""
        try:
            yield
        except StoreError:
            raise
        except (sqlite3.Error, OSError) as error:
            raise self._error(what, error) from error

    def _error(self, what: str, error: Exception) -> StoreError:
        text = str(error)
        fix = "give a file in a folder that can be written to"
        if self.path.exists() and not self.path.is_file():
            fix = "give a regular file, no device or folder"
        elif "full" in text or "disk I/O" in text or "space" in text:
            fix = "make room on the disk and run it again: it continues from there"
        elif "readonly" in text or "read-only" in text.lower():
            fix = "make the file and its folder writable, or give another name"
        elif "locked" in text:
            fix = "wait for the other exploration that writes to it, or give another name"
        return StoreError(f"cannot {what} {self.path}: {text}", fix=fix)


def _salvaged(file: sqlite3.Connection, part: int) -> Batch | None:
    """Return a part of a damaged file, None if it cannot be read."""
    try:
        row = file.execute(
            "SELECT excluded, results FROM parts WHERE number = ?", (part,)
        ).fetchone()
        return None if row is None else _batch(*row)
    except _DAMAGED:
        return None


def _insert(file: sqlite3.Connection, part: int, batch: Batch) -> None:
    rows = [
        [
            variant,
            None if o.latency is None else str(o.latency),
            o.order,
            int(o.keeps_barriers),
            int(o.exact),
            [[c, None if p is None else str(p)] for c, p in o.peaks],
            o.error,
            None if o.energy is None else str(o.energy),
        ]
        for variant, o in batch.outcomes
    ]
    text = json.dumps(rows, separators=(",", ":"))
    file.execute("INSERT OR REPLACE INTO parts VALUES (?, ?, ?)", (part, batch.excluded, text))


def _batch(excluded: int, text: str) -> Batch:
    return Batch(
        tuple(
            (
                variant,
                Outcome(
                    _number(latency),
                    order,
                    bool(barriers),
                    bool(exact),
                    tuple((c, _number(p)) for c, p in peaks),
                    error,
                    _number(energy),
                ),
            )
            for variant, latency, order, barriers, exact, peaks, error, energy in json.loads(text)
        ),
        excluded,
    )


def _number(text: str | None) -> Number | None:
    return None if text is None else reduce_number(Fraction(text))
