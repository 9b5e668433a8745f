"""A few mutants, the same every time; `python -m tests.fuzz` runs many."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import polylat
from polylat import PolylatError, SpecError

from . import pool, stages
from .document import Pairs, Raw, copy, document, text_of
from .mutations import Mutant, mutant
from .sources import sources
from .stages import run

SEED = 7_000_000
MUTANTS = 70


@pytest.mark.parametrize("part", range(2))
def test_mutants(part: int, tmp_path: Path) -> None:
    """Each mutant gives a result, or a `PolylatError` that prints as one line."""
    found = [run(mutant(SEED + k), tmp_path) for k in range(part, MUTANTS, 2)]
    failing = {outcome.seed: outcome.failures for outcome in found if outcome.failures}
    assert failing == {}
    analyzed = sum(outcome.stage == "" for outcome in found)
    assert analyzed >= len(found) // 8, "most mutants are refused: they test the reader only"
    assert sum(outcome.stage == "load" for outcome in found) >= len(found) // 12


def test_mutants_are_determined_by_their_seeds() -> None:
    assert mutant(SEED) == mutant(SEED)
    assert len({mutant(SEED + k).text for k in range(20)}) == 20


def test_sources() -> None:
    """Every kind of input of the project is there, and a document writes an equal input."""
    names = [source.name for source in sources()]
    for kind in ("examples/", "tests/data/accelforge/", "tests/data/upstream/", "motivating.json"):
        assert any(name.startswith(kind) for name in names)
    assert len(names) > 200 and all(source.tree is not None for source in sources())


def test_documents(tmp_path: Path) -> None:
    source = next(s for s in sources() if s.name.endswith("t_mm_ports_max.yaml"))
    (tmp_path / "as_is.yaml").write_text(source.text, encoding="utf-8")
    (tmp_path / "written.yaml").write_text(text_of(document(source.tree)), encoding="utf-8")
    as_is, written = (polylat.load(tmp_path / f"{n}.yaml") for n in ("as_is", "written"))
    assert as_is == written
    twice = Pairs([["a", Raw("1")], ["a", ["x y", "=1"]]])
    assert text_of(copy(twice)) == '{a: 1,\n a: [x y, "=1"]}'


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (lambda _: 1 // 0, "ZeroDivisionError"),
        (lambda _: [*"b"].index("a"), "ValueError"),
        (lambda _: float(10**400), "OverflowError"),
    ],
)
def test_failures_are_found(
    fault: Callable[[object], object],
    expected: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whatever is no `PolylatError` counts, also the message of one that acts on a terminal."""
    monkeypatch.setattr(polylat, "load", fault)
    found = run(mutant(SEED), tmp_path)
    assert any(f.startswith(f"load: {expected}") for f in found.failures)

    class Loud(SpecError):
        def __str__(self) -> str:
            return "\x1b[2J"

    def loud(_: object) -> None:
        raise Loud("x")

    monkeypatch.setattr(polylat, "load", loud)
    (failure, *_) = run(mutant(SEED), tmp_path).failures
    assert failure.startswith("load: the message has characters that do not show")


def test_stages_of_a_legal_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An input without a mutation passes every stage, the rare ones included."""
    monkeypatch.setattr(stages, "_RARE", 1.0)
    monkeypatch.setattr(random.Random, "random", lambda _: 0.0)
    source = next(s for s in sources() if s.name.endswith("issue_o2_to_dram.yaml"))
    begun: list[str] = []
    legal = Mutant(1, source.name, source.text)
    outcome = run(legal, tmp_path, begun.append)
    assert (outcome.stage, outcome.failures) == ("", [])
    assert {"load", "command", "explore", "symbolic", "verify", "curve", "page"} <= set(begun)
    assert {"timeline", "frames", "mechanisms", "mapping tree", "notebook"} <= set(begun)
    assert issubclass(SpecError, PolylatError)


def busy() -> None:
    while True:
        pass


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (busy, "mutation: hang: more than 0.3 s of CPU"),
        (lambda: time.sleep(60), "mutation: hang: more than 0.6 s"),
        (lambda: os._exit(3), "mutation: died: exit status 3"),
    ],
)
def test_workers_that_do_not_answer(
    fault: Callable[[], object], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mutant that takes too much CPU, that waits for ever, or that ends its process."""
    mutant(1)  # reads all inputs
    monkeypatch.setattr(pool, "run", lambda *_: fault())
    limits = pool.Limits(seconds=0.3, idle=20 if fault is busy else 2)
    (found,) = pool.outcomes(range(1, 2), 1, limits)
    assert found.failures == [expected]
