"""What a mutant goes through, and what counts as a failure."""

from __future__ import annotations

import json
import random
import resource
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from click.testing import CliRunner

import polylat
from polylat import PolylatError, Report, Spec
from polylat.analysis.roofline import Roofline
from polylat.characters import find_hidden
from polylat.cli import main
from polylat.views.as_json import roofline_to_dict
from polylat.views.sentences import is_small

from .mutations import Mutant

MAX_TILES = 2_000
"""The limit on tile iterations, which bounds the work."""
_LONGEST_MESSAGE = 3_000
_RARE = 0.06
"""Share of the mutants that go through each of the slower stages."""


@dataclass
class Outcome:
    """What happened to a mutant."""

    seed: int
    stage: str = ""
    """The stage that raised a `PolylatError` first; empty if none did."""
    error: str = ""
    failures: list[str] = field(default_factory=list)
    """Stage, kind and place of everything that is no `PolylatError`."""
    seconds: float = 0.0
    """CPU time."""
    megabytes: float = 0.0
    """By how much the largest resident size of the process has grown."""
    slowest: str = ""
    """The slowest stage."""


def run(mutant: Mutant, folder: Path, begins: Callable[[str], None] | None = None) -> Outcome:
    """Send a mutant through the stages; `begins` is called with the name of each."""
    outcome = Outcome(mutant.seed)
    path = folder / "mutant.yaml"
    path.write_text(mutant.text, encoding="utf-8", errors="surrogatepass")
    before, peak = time.process_time(), _peak()
    slowest = 0.0
    for name, stage in _stages(mutant, path, folder, outcome):
        start = time.process_time()
        if begins is not None:
            begins(name)
        stage()
        spent = time.process_time() - start
        if spent > slowest:
            slowest, outcome.slowest = spent, name
    outcome.seconds = time.process_time() - before
    outcome.megabytes = _peak() - peak
    return outcome


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def run_alone(mutant: Mutant) -> Outcome:
    """Send a mutant through the stages, with a temporary folder."""
    with tempfile.TemporaryDirectory() as folder:
        return run(mutant, Path(folder))


def _stages(
    mutant: Mutant, path: Path, folder: Path, outcome: Outcome
) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Yield the stages; each one puts its result into `found`."""
    draw = random.Random(mutant.seed + 1)
    found: dict[str, Any] = {}

    def stage(name: str, do: Callable[[], Any]) -> tuple[str, Callable[[], Any]]:
        def attempt() -> None:
            value, error = _attempt(name, do, outcome)
            found[name] = value
            if error and not outcome.stage:
                outcome.stage, outcome.error = name, error

        return name, attempt

    def rarely(share: float = _RARE) -> bool:
        return draw.random() < share

    options = {**mutant.options, "max_tiles": MAX_TILES}
    yield stage("load", lambda: polylat.load(path))
    if rarely(0.02):
        yield stage("command", lambda: _command(draw, path))
    spec: Spec | None = found["load"]
    if spec is None:
        return
    yield stage("roofline", lambda: polylat.roofline(spec))
    roofline: Roofline | None = found["roofline"]
    if roofline is not None:
        yield stage("roofline text", lambda: str(roofline))
        yield stage("roofline json", lambda: _as_json(roofline_to_dict(roofline)))
    if rarely():
        yield stage("yaml", spec.to_yaml)
        yield stage("tree", lambda: str(polylat.tree(spec)))
    yield stage("analyze", lambda: polylat.analyze(spec, **options))
    report: Report | None = found["analyze"]
    if rarely(0.03):
        yield stage("explore", lambda: str(polylat.explore(spec, splits=True, max_tiles=500)))
    if rarely(0.03):
        yield stage("symbolic", lambda: _formula(spec))
    if report is None:
        return
    yield stage("text", lambda: str(report))
    yield stage("json", lambda: _as_json(report.to_dict(steps=20)))
    if is_small(report):  # it makes some dozens of analyses
        yield stage("explain", lambda: str(report.explain()))
        if rarely(0.5):
            yield stage("explain json", lambda: _as_json(report.explain().to_dict()))
    for name, do in _rare_stages(report, spec, folder, draw):
        if rarely():
            yield stage(name, do)


def _rare_stages(
    report: Report, spec: Spec, folder: Path, draw: random.Random
) -> Iterator[tuple[str, Callable[[], Any]]]:
    component = draw.choice(spec.arch.order)
    yield "verify", report.verify
    yield "curve", lambda: str(report.curve(component))
    yield "timeline", lambda: _timeline(report, folder)
    yield "page", report.to_html
    yield "notebook", report._repr_html_
    yield "frames", lambda: (report.accesses_frame(), report.occupancy_frame())
    yield "mechanisms", lambda: str(report.mechanisms())
    yield "mapping tree", lambda: report.mapping_tree().to_svg()


def _attempt(name: str, do: Callable[[], Any], outcome: Outcome) -> tuple[Any, str]:
    """Run a stage; return its value and the message of its error."""
    try:
        return do(), ""
    except PolylatError as error:
        message = str(error)
        if find_hidden(message):
            outcome.failures.append(
                f"{name}: the message has characters that do not show: {message!r}"
            )
        if len(message) > _LONGEST_MESSAGE:
            outcome.failures.append(f"{name}: a message of {len(message)} characters")
        return None, f"{type(error).__name__}: {message}"
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        outcome.failures.append(f"{name}: {_located(error)}")
        return None, f"{type(error).__name__}"


def _located(error: BaseException) -> str:
    """The kind of an error, and the innermost frame of polylat that it passed."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if "/polylat/" in f.filename]
    where = (
        f"{frames[-1].filename.rpartition('/polylat/')[2]}:{frames[-1].lineno}" if frames else ""
    )
    return f"{type(error).__name__} in {where}: {str(error)[:200]}"


def _as_json(data: Any) -> str:
    return json.dumps(data, allow_nan=False)


def _formula(spec: Spec) -> str:
    variable = spec.workload.einsums[0].rank_variables[0]
    found = polylat.symbolic(spec, {variable: (1, 6)}, granularity="tile", max_tiles=200)
    return str(found)


def _timeline(report: Report, folder: Path) -> str:
    line = report.timeline()
    report.to_perfetto(folder / "trace.json")
    return line.to_svg() + str(line)


def _command(draw: random.Random, path: Path) -> None:
    """Run a command: it must end in a result, or in one line and status 2."""
    name = draw.choice(("analyze", "explain", "roofline", "tree", "timeline"))
    limit = () if name in ("roofline", "tree") else ("--max-tiles", str(MAX_TILES))
    result = CliRunner().invoke(main, [name, str(path), *limit], catch_exceptions=False)
    if result.exit_code not in (0, 2):
        raise AssertionError(f"exit status {result.exit_code}")
    printed = result.output.replace("\n", "").replace("\t", "")
    if find_hidden(printed):
        raise AssertionError(f"control characters in the output of {name}")
