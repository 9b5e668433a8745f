"""The commands that draw: `timeline`, `report`, `tree`; and terminals, pipes and progress."""

from __future__ import annotations

import json
import os
import pty
import re
import runpy
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from html import unescape
from importlib import import_module
from pathlib import Path

import pytest

from builders import EXAMPLE, ROOT
from command import run

OPTIONS = [*EXAMPLE, "--granularity", "tile", "--background", "o2"]


def test_timeline() -> None:
    done = run("timeline", *OPTIONS)
    assert done.exit_code == 0
    assert "DRAM │AA" in done.output and "\x1b" not in done.output
    assert max(map(len, done.output.splitlines())) <= 100
    part = run("timeline", *OPTIONS, "--window", "20000", "41000/2")
    assert part.exit_code == 0 and "DRAM │CCC" in part.output


@pytest.mark.parametrize(
    ("name", "start"), [("t.svg", "<?xml"), ("t.html", "<!DOCTYPE html>"), ("t.json", '{"traceEv')]
)
def test_timeline_to_a_file(name: str, start: str, tmp_path: Path) -> None:
    if name == "t.svg":
        pytest.importorskip("matplotlib", reason="the extra `plot` is not installed")
    path = tmp_path / name
    done = run("timeline", *OPTIONS, "-o", str(path))
    assert (done.exit_code, done.output) == (0, f"wrote {path}\n")
    text = path.read_text(encoding="utf-8")
    assert text.startswith(start)
    if name.endswith("json"):
        assert json.loads(text)["otherData"]["latency"] == 31808


def test_report(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    done = run("report", *OPTIONS, "--set", "top=Sequential", "--verify", "-o", str(path))
    assert (done.exit_code, done.output) == (0, f"wrote {path}\n")
    text = path.read_text(encoding="utf-8")
    assert "tap_resident.yaml" in text and "Proven" in text and "Sequential" in text


def test_hints_of_a_report_can_be_pasted(tmp_path: Path) -> None:
    """Hints name the user's own files and options, quoted where a shell needs it."""
    mapping = tmp_path / "my mapping.yaml"
    mapping.write_bytes(Path(EXAMPLE[-1]).read_bytes())
    path = tmp_path / "it's.html"
    asked = [*EXAMPLE[:-1], str(mapping), "--granularity", "tile", "--background", "o2", "--slots"]
    run("report", *asked, "o1=3", "--slots", "2", "--no-sensitivity", "-o", str(path))
    pasted = re.findall("<code>(.*?)</code>", path.read_text(encoding="utf-8"))
    assert [shlex.split(unescape(line))[-1] for line in pasted] == ["--sensitivity", "--verify"]
    for line in pasted:
        name, *arguments = shlex.split(unescape(line))
        assert name == "polylat" and str(mapping) in arguments and "o1=3" in arguments
        assert run(*arguments).output == f"wrote {path}\n"
        text = path.read_text(encoding="utf-8")
        assert "Omitted" not in text
        assert ("Not requested" in text) == ("--verify" not in line)


def test_tree(tmp_path: Path) -> None:
    done = run("tree", *EXAMPLE)
    assert done.exit_code == 0 and "├─ DRAM keeps w1, i1, w2" in done.output
    assert "critical" not in done.output
    assert "◀ critical" in run("tree", *OPTIONS, "--critical").output
    path = tmp_path / "tree.svg"
    assert run("tree", *EXAMPLE, "-o", str(path)).exit_code == 0
    assert path.read_text(encoding="utf-8").startswith("<svg")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["timeline", *EXAMPLE, "--window", "a", "5"], "'a' is not a time"),
        (["timeline", *EXAMPLE, "--window", "9", "5"], "window"),
        (["timeline", *EXAMPLE, "--window", "-5", "100"], "times begin at 0, not at -5"),
        (["timeline", *EXAMPLE, "--window", "0", "1e99999"], "'1e99999' is not a time"),
        (["timeline", *EXAMPLE, "--window", "0", "inf"], "'inf' is not a time"),
        (["timeline", *EXAMPLE, "-o", "/nowhere/at/all.html"], "there is no folder /nowhere/at"),
        (["timeline", *EXAMPLE, "--no-fold", "-o", "a.JSON"], "a.JSON is a trace"),
        (["timeline", *EXAMPLE, "-o", "a.gif"], ".svg, .pdf, .png, .html or .json. Fix: name"),
        (["report", *EXAMPLE, "-o", "/nowhere/at/all.html"], "there is no folder /nowhere/at"),
        (["report", *EXAMPLE, "-o", "a.txt"], "as .html or .htm. Fix: name it a.html."),
        (["report", "none.yaml", "-o", "a.txt"], "a.txt"),  # before the work
        (["tree", *EXAMPLE, "-o", "/nowhere/at/all.svg"], "there is no folder /nowhere/at"),
        (["tree", *EXAMPLE, "-o", "a.pdf"], "as .svg. Fix: name it a.svg."),
        (["explore", *EXAMPLE, "-o", "a.txt"], "as .parquet or .csv."),
        (["tree", *EXAMPLE, "--order", "bogus"], "order must be one of best, program"),
        (["tree", *EXAMPLE, "--background", "o9"], "'o9', which does not exist"),
        (["tree", *EXAMPLE, "--slots", "x=2"], "the tensor 'x', which does not exist"),
    ],
)
def test_bad_input(arguments: list[str], words: str) -> None:
    done = run(*arguments)
    assert done.exit_code == 2
    assert words in done.stderr and done.stderr.count("\n") == 1 and not done.stdout


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    folder = tmp_path / "a.svg"
    folder.mkdir()
    assert "this is a folder" in run("tree", *EXAMPLE, "-o", str(folder)).stderr


@pytest.mark.parametrize("command", ["timeline", "report", "tree"])
def test_help_has_examples(command: str) -> None:
    assert f"polylat {command} " in run(command, "--help").output.split("Examples:")[1]


def on_a_terminal(*arguments: str, **environment: str) -> str:
    """The output of a command on a terminal."""
    return shown("-m", "polylat", *arguments, **environment)


def shown(*arguments: str, **environment: str) -> str:
    """The output of Python on a terminal."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, *arguments],
        stdout=theirs,
        stderr=theirs,
        stdin=theirs,
        cwd=ROOT,
        env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "90", **environment},
    ) as started:
        os.close(theirs)
        found = b""
        while True:
            try:
                more = os.read(ours, 65536)
            except OSError:
                break
            if not more:
                break
            found += more
        assert started.wait() == 0
    os.close(ours)
    return found.decode()


def test_colours_on_a_terminal_and_off_by_no_color() -> None:
    colour = re.compile(r"\x1b\[[0-9;]*(?:3[0-9]|4[0-9])[0-9;]*m")
    assert colour.search(on_a_terminal("tree", *EXAMPLE))
    plain = on_a_terminal("tree", *EXAMPLE, NO_COLOR="1")
    assert "DRAM keeps w1, i1, w2" in plain and not colour.search(plain)


def test_progress_is_shown_after_a_second() -> None:
    code = (
        "import time\nfrom polylat.cli.options import status\n"
        "with status('thinking'): time.sleep({})"
    )
    assert "thinking ..." in shown("-c", code.format(1.6))
    assert "thinking" not in shown("-c", code.format(0))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "last"),
    [
        (["analyze"], "analyzing changes"),
        (["analyze", "--full"], "analyzing"),
        (["explain"], "analyzing changes"),
        (["explain", "--json"], "analyzing changes"),
        (["curve", "--component", "DRAM"], "computing the curve"),
        (["timeline"], "drawing"),
    ],
)
def test_what_takes_long_says_so(
    command: list[str], last: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []

    @contextmanager
    def waiting(what: str) -> Iterator[None]:
        said.append(what)
        yield

    for name in ("analyze", "draw", "options"):
        monkeypatch.setattr(import_module(f"polylat.cli.{name}"), "status", waiting)
    assert run(command[0], *EXAMPLE, *command[1:]).exit_code == 0
    assert said[:2] == ["reading", "analyzing"] and said[-1] == last


@pytest.mark.parametrize("installed", [True, False])
@pytest.mark.parametrize(
    ("command", "before", "what"),
    [
        (["explore"], ["reading"], "exploring"),
        (["analyze", "--verify"], ["reading", "analyzing"], "proving"),
    ],
)
def test_a_progress_bar_needs_tqdm(
    command: list[str],
    before: list[str],
    what: str,
    installed: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without it, a spinner says what takes long."""
    said: list[str] = []

    @contextmanager
    def waiting(what: str) -> Iterator[None]:
        said.append(what)
        yield

    options = import_module("polylat.cli.options")
    monkeypatch.setattr(options, "status", waiting)
    monkeypatch.setattr(options, "find_spec", lambda _: object() if installed else None)
    assert run(command[0], *EXAMPLE, *command[1:]).exit_code == 0
    assert [word.split(";")[0] for word in said] == before + ([] if installed else [what])


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["t"], {"plain,timeline", "plain,tree"}),
        (["analyze", "examples/ar"], {"file,examples/ar"}),
        (["report", "a.yaml", "-o", "re"], {"file,re"}),
        (["analyze", "a.yaml", "--order", "s"], {"plain,skew"}),
        (["explore", "a.yaml", "--granularity", "fl"], {"plain,flow"}),
        (
            ["explore", "a.yaml", "--objective", ""],
            {"plain,latency", "plain,energy", "plain,peak", "plain,slots"},
        ),
    ],
)
def test_completion(words: list[str], found: set[str]) -> None:
    """The shell completes commands, values and names of files, as in the README."""
    done = subprocess.run(
        [sys.executable, "-c", "from polylat.cli import main; main(prog_name='polylat')"],
        env={**os.environ, "_POLYLAT_COMPLETE": "bash_complete",
             "COMP_WORDS": " ".join(["polylat", *words]), "COMP_CWORD": str(len(words))},
        check=False, capture_output=True, text=True, cwd=ROOT,
    )  # fmt: skip
    assert found <= set(done.stdout.split())
    assert len(words) == 1 or found == set(done.stdout.split())


def test_when_no_variant_is_legal() -> None:
    done = run("explore", *EXAMPLE, "--tiles", "m#1=4")
    assert done.exit_code == 2
    assert "No variant is legal: MappingError" in done.stdout


def test_nothing_is_said_of_what_was_not_evaluated() -> None:
    pytest.importorskip("distributed", reason="the extra `dask` is not installed")
    done = run("explore", *EXAMPLE, "--dask", "nowhere")
    assert done.exit_code == 2
    assert not done.stdout
    assert "no Dask scheduler answers at nowhere" in done.stderr


@pytest.mark.slow
def test_pictures_of_the_documentation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pictures in docs/ are those that the script draws; Matplotlib's layout is its own."""
    matplotlib = pytest.importorskip("matplotlib", reason="the extra `plot` is not installed")
    lock = (ROOT / "requirements" / "lock.txt").read_text(encoding="utf-8")
    locked = f"\nmatplotlib=={matplotlib.__version__}\n" in lock
    monkeypatch.setattr(sys, "argv", ["pictures.py", str(tmp_path)])
    runpy.run_path(str(ROOT / "examples" / "pictures.py"), run_name="__main__")
    for path in tmp_path.iterdir():
        committed = (ROOT / "docs" / path.name).read_text(encoding="utf-8")
        drawn = path.read_text(encoding="utf-8")
        if path.name == "formula.svg" and not locked:
            texts = re.compile(r"<text[^>]*>([^<]*)<")
            assert texts.findall(drawn) == texts.findall(committed) != []
        else:
            assert drawn == committed
    assert "docs/timeline.svg" in (ROOT / "README.md").read_text(encoding="utf-8")
