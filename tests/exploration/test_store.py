"""The file of results: damaged, truncated, written by others, used by several processes."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import polylat
from builders import EXAMPLE, ROOT
from polylat import Exploration
from polylat.errors import StoreError
from polylat.exploration import store as module
from polylat.exploration.evaluate import Batch
from polylat.exploration.locked_file import append, locked
from polylat.exploration.pareto import Outcome
from polylat.exploration.result_rows import read_rows
from polylat.exploration.store import Store

KEY = "5" * 64
PARTS = 6


@pytest.fixture(autouse=True, scope="module")
def _no_waiting_for_disks() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: None)
        yield


def batch(part: int) -> Batch:
    legal = Outcome(
        Fraction(10**30 + part, 3),
        "skew",
        keeps_barriers=True,
        exact=part % 2 == 0,
        peaks=(("S#1 [é", 7), ("DRAM", None)),
        energy=part,
    )
    return Batch(((2 * part, legal), (2 * part + 1, Outcome(None, error='"\n\x1b'))), part % 3)


def is_result(part: int, found: Batch) -> bool:
    return [number for number, _ in found.outcomes] == [2 * part, 2 * part + 1]


def opened(path: Path, key: str = KEY) -> Store:
    store = Store(path, key, PARTS, is_result)
    store.read()
    return store


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("store") / "results"
    store = opened(path)
    for part in range(PARTS):
        store.save(part, batch(part))
    assert opened(path).finished == {part: batch(part) for part in range(PARTS)}
    return path.read_bytes()


def check(path: Path, lost: int, *, fast: bool = False) -> None:
    """All parts but a few are kept, the damaged file, too, and nothing is wrong."""
    content = path.read_bytes()
    before = set(path.parent.glob("*.damaged*"))
    store = opened(path)
    assert all(store.finished[part] == batch(part) for part in store.finished)
    assert len(store.finished) >= PARTS - lost
    if not store.remark:  # rows are missing at the end, or it is made anew
        assert content.count(b"\n") < 2 or all(row for _, row in list(read_rows(content))[1:])
        return
    if fast:
        return
    (old,) = set(path.parent.glob("*.damaged*")) - before
    assert old.read_bytes() == content
    assert str(path) in store.remark and old.name in store.remark
    assert f" {2 * len(store.finished)} results are kept" in store.remark
    again = opened(path)
    assert (again.remark, again.finished) == ("", store.finished)
    for part in set(range(PARTS)) - store.finished.keys():
        again.save(part, batch(part))
    assert opened(path).finished == {part: batch(part) for part in range(PARTS)}


# Damage


@given(st.data())
def test_a_damaged_byte_costs_one_row(
    sound: bytes, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    place = data.draw(st.integers(0, len(sound) - 1))
    damaged = bytearray(sound)
    damaged[place] ^= data.draw(st.integers(1, 255))
    path = tmp_path_factory.mktemp("store") / "results"
    path.write_bytes(damaged)
    check(path, 1)
    assert list(path.parent.glob("*.damaged"))


def test_each_damaged_end_of_a_line(sound: bytes, tmp_path: Path) -> None:
    places = [place for place, byte in enumerate(sound) if byte == 10]
    assert len(places) == PARTS + 2
    for place in places:
        path = tmp_path / f"at{place}"
        path.write_bytes(sound[:place] + b"x" + sound[place + 1 :])
        check(path, 0 if place < places[-1] else 1)


@pytest.mark.long
def test_each_truncation(sound: bytes, tmp_path: Path) -> None:
    complete = [place for place, byte in enumerate(sound) if byte == 10][2:]
    for size in range(len(sound)):
        path = tmp_path / f"of{size}"
        path.write_bytes(sound[:size])
        if 0 < size < 8:
            with pytest.raises(StoreError, match="no file of results"):
                opened(path)
            assert path.read_bytes() == sound[:size]
        else:
            # A row needs no end of line.
            check(path, PARTS - sum(place <= size for place in complete), fast=size % 53 > 0)


@given(st.binary(max_size=200), st.integers(0, 100), st.booleans())
def test_anything_after_the_title(
    sound: bytes,
    tmp_path_factory: pytest.TempPathFactory,
    garbage: bytes,
    place: int,
    with_rows: bool,
) -> None:
    path = tmp_path_factory.mktemp("store") / "results"
    title = sound[: sound.index(b"\n") + 1]
    rows = sound[len(title) :] if with_rows else b""
    cut = place * len(rows) // 100
    path.write_bytes(title + rows[:cut] + garbage + rows[cut:])
    try:
        check(path, PARTS if not with_rows else 2)
    except StoreError as error:
        assert "damaged" in str(error) and not with_rows


@pytest.mark.parametrize("content", [b"a: {}\n", b"x" * 5000, b"p", b"polylat: 1\n", b"#" * 99])
def test_other_files_are_not_changed(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "results"
    path.write_bytes(content)
    with pytest.raises(StoreError, match="no file of results, and is not changed"):
        opened(path)
    assert path.read_bytes() == content


@pytest.mark.parametrize(("number", "message"), [(0x706C6174, "version"), (0, "something else")])
def test_databases_are_not_changed(number: int, message: str, tmp_path: Path) -> None:
    """Version 0.1.0 wrote databases."""
    path = tmp_path / "results"
    with closing(sqlite3.connect(path)) as file, file:
        file.execute(f"PRAGMA application_id = {number}")
        file.execute("CREATE TABLE parts (number INTEGER)")
    before = path.read_bytes()
    with pytest.raises(StoreError, match=message):
        opened(path)
    assert path.read_bytes() == before


def test_another_exploration_and_version(sound: bytes, tmp_path: Path) -> None:
    path = tmp_path / "results"
    for cut in (0, sound.index(b"\n") + 1):  # a damaged title, and none
        for content, message in (
            (sound, "another exploration"),
            (resigned(sound, '[4,"5', '[3,"5'), "another version"),
        ):
            path.write_bytes(content[cut:])
            with pytest.raises(StoreError, match=message):
                opened(path, "6" * 64)
            assert path.read_bytes() == content[cut:]


# Tampered rows, with checksums that fit


def resigned(content: bytes, old: str, new: str) -> bytes:
    lines = content.split(b"\n")
    for number, line in enumerate(lines):
        if line.startswith(b"#"):
            text = line[18:].decode().replace(old, new).encode()
            lines[number] = b"#" + hashlib.sha256(text).hexdigest()[:16].encode() + b" " + text
    return b"\n".join(lines)


LATENCY = '"1000000000000000000000000000001/3"'
TAMPERED = [
    ("[4,", "[4.0,"),
    ("[4,", "[null,"),
    ('"' + KEY + '"', "null"),
    (f'"{KEY}",', ""),
    (LATENCY, '"1e999999999"'),
    (LATENCY, '"1/0"'),
    (LATENCY, '"nan"'),
    (LATENCY, '"' + "9" * 5000 + '"'),
    (LATENCY, "3.5"),
    (LATENCY, "null"),
    (LATENCY, "NaN"),
    ('"skew"', "3"),
    ('"skew",1', '"skew",2'),
    ("[[2,", "[[1000000,"),
    ("[[2,", "[[3,"),
    ("[[2,", "[[" + "9" * 5000 + ","),
    ("[[2,", '[["2",'),
    ('",1,1,[[2', '",6,1,[[2'),
    ('",1,1,[[2', '",-1,1,[[2'),
    ('",1,1,[[2', '",1.5,1,[[2'),
    ('",1,1,[[2', '",1,-1,[[2'),
    ('",1,1,[[2', '",1,"1",[[2'),
    ('",1,1,[[2', '",1,1,' + "[" * 100_000 + "[[2"),
    ('",1,1,[[2', '",1,1,{},[[2'),
    ('["DRAM",null]', '["DRAM"]'),
    ('["DRAM",null]', "null"),
    ('["DRAM",null]', '["DRAM","x"]'),
    ('"\\"\\n\\u001b"', '""'),
    ('"\\"\\n\\u001b"', "null"),
]


@pytest.mark.parametrize(("old", "new"), TAMPERED)
def test_tampered_rows(sound: bytes, tmp_path: Path, old: str, new: str) -> None:
    tampered = resigned(sound, old, new)
    assert tampered != sound
    path = tmp_path / "results"
    path.write_bytes(tampered)
    try:
        check(path, PARTS)
    except StoreError as error:
        assert any(word in str(error) for word in ("damaged", "version"))
        assert path.read_bytes() == tampered


def test_results_that_the_exploration_cannot_have(tmp_path: Path) -> None:
    """Without the energies that are an objective, for example."""
    spec = polylat.load(*EXAMPLE)
    options: dict[str, Any] = {"granularity": "tile", "objectives": ["latency"]}
    whole = polylat.explore(spec, **options)
    path = tmp_path / "results"
    polylat.explore(spec, store=path, **options)
    sound = path.read_bytes()
    row = json.loads(sound.split(b"\n")[2][18:])
    excluded, outcomes = row[3:]
    for old, new in (
        (json.dumps(outcomes[0][7]) + "]", '"5"]'),
        (f",{excluded},[[{outcomes[0][0]},", f",{excluded + 1},[[{outcomes[0][0]},"),
        (f"[[{outcomes[0][0]},", f"[[{10**9},"),
    ):
        tampered = resigned(sound, old, new)
        assert tampered != sound
        path.write_bytes(tampered)
        again = polylat.explore(spec, store=path, **options)
        assert again.results == whole.results and again.front == whole.front
        assert "was damaged" in again.remarks[0] and "was damaged" in str(again)


# Names


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("x" * 300, "give a shorter name"),
        ("a\0b", "cannot open"),
        ("", "no regular file"),
        ("no/such/folder/results", "in a folder that exists"),
        ("loop", "cannot open"),
        ("pipe", "no regular file"),
        ("file/results", "cannot open"),
    ],
)
def test_names_that_cannot_be(name: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "file").touch()
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(StoreError, match=message):
        opened(tmp_path / name)


# Several processes

CREATE = """
import sys
from pathlib import Path
sys.path[:0] = sys.argv[2:]
from test_store import batch, opened
while not Path(sys.argv[1] + ".go").exists():
    pass
number = 0
while Path(sys.argv[1] + ".go").exists() and number < 20:
    store = opened(Path(f"{sys.argv[1]}.{number}"))
    for part in range(2):
        store.save(part, batch(part))
    number += 1
"""


def test_twenty_files_that_two_processes_create_at_once(tmp_path: Path) -> None:
    base = tmp_path / "results"
    folders = [str(ROOT), str(ROOT / "tests"), str(ROOT / "tests" / "exploration")]
    command = [sys.executable, "-c", CREATE, str(base), *folders]
    processes = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    (tmp_path / "results.go").touch()
    for process in processes:
        _, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
    for number in range(20):
        store = opened(tmp_path / f"results.{number}")
        assert (store.remark, len(store.finished)) == ("", 2)
    assert not list(tmp_path.glob("*.damaged"))


def test_threads_that_repair_at_once(sound: bytes, tmp_path: Path) -> None:
    path = tmp_path / "results"
    path.write_bytes(sound[:-40])
    found: list[Store] = []
    threads = [threading.Thread(target=lambda: found.append(opened(path))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [len(store.finished) for store in found] == [PARTS - 1] * 8
    assert sum(bool(store.remark) for store in found) == 1
    assert [old.name for old in tmp_path.glob("*.damaged*")] == ["results.damaged"]


def test_a_lock_that_is_not_released(
    sound: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "results"
    path.write_bytes(sound)
    monkeypatch.setattr(module, "PATIENCE", 0.1)
    with locked(path, 0), pytest.raises(StoreError, match=r"another process has locked it.*wait"):
        opened(path)
    assert len(opened(path).finished) == PARTS


LOCKING = """
import os, signal, sys
from pathlib import Path
from polylat.exploration.locked_file import locked
with locked(Path(sys.argv[1]), 1) as file:
    file.write(b"incomplete")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_the_lock_of_a_killed_process_ends_with_it(tmp_path: Path) -> None:
    path = tmp_path / "results"
    done = subprocess.run([sys.executable, "-c", LOCKING, str(path)], cwd=ROOT, check=False)
    assert done.returncode < 0
    with locked(path, 0) as file:
        append(file, b"line\n")
    assert path.read_bytes() == b"incomplete\nline\n"


def test_a_file_system_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(file: object) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr("polylat.exploration.locked_file._try_lock", none)
    store = opened(tmp_path / "results")
    store.save(0, batch(0))
    assert opened(tmp_path / "results").finished == {0: batch(0)}


def test_an_interrupted_row_is_removed(tmp_path: Path) -> None:
    """Ctrl-C in the middle of writing leaves no incomplete line."""

    class Interrupted:
        def __init__(self, file: Any) -> None:
            self.file = file

        def __getattr__(self, name: str) -> Any:
            return getattr(self.file, name)

        def write(self, content: bytes) -> int:
            self.file.write(bytes(content[:3]))
            raise KeyboardInterrupt

    path = tmp_path / "results"
    with locked(path, 0) as file:
        append(file, b"first\n")
        with pytest.raises(KeyboardInterrupt):
            append(Interrupted(file), b"second\n")  # type: ignore[arg-type]
    assert path.read_bytes() == b"first\n"


@pytest.mark.parametrize(
    ("error", "kept"), [(KeyboardInterrupt(), b"first\nsecond\n"), (OSError(28, ""), b"first\n")]
)
def test_a_row_whose_flush_ends_early(
    error: BaseException, kept: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C while the disk is slow keeps a complete row; what a full disk refuses is removed."""

    def flush(_: int) -> None:
        raise error

    path = tmp_path / "results"
    with locked(path, 0) as file:
        append(file, b"first\n")
        monkeypatch.setattr(os, "fsync", flush)
        with pytest.raises(type(error)):
            append(file, b"second\n")
    assert path.read_bytes() == kept


def test_two_explorations_share_a_file(tmp_path: Path) -> None:
    spec = polylat.load(*EXAMPLE)
    path = tmp_path / "results"
    options: dict[str, Any] = {"granularity": "tile", "slots": range(1, 9)}
    whole = polylat.explore(spec, **options)
    found: list[Exploration] = []

    def explore() -> None:
        found.append(polylat.explore(spec, store=path, **options))

    threads = [threading.Thread(target=explore) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    for one in found:
        assert (one.results, one.front, one.remarks) == (whole.results, whole.front, ())
    assert polylat.explore(spec, store=path, **options).results == whole.results
