"""The command line: what it prints, how it exits, and that bad input gives one line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click import NoSuchOption

import polylat
from builders import EXAMPLE, EXAMPLES
from command import run
from polylat.views.text import report_text


def spec(**variables: Any) -> polylat.Spec:
    return polylat.load(EXAMPLE, **variables)


def test_analyze_prints_the_report() -> None:
    result = run("analyze", *EXAMPLE, "--full")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == report_text(polylat.analyze(spec()))


def test_analyze_answers_on_one_screen() -> None:
    """The headline of the report, and the changes that would help most."""
    lines = run("analyze", *EXAMPLE).stdout.splitlines()
    assert len(lines) <= 24 and max(map(len, lines)) <= 100
    report = polylat.analyze(spec())
    head = report_text(report).split("\n\n", maxsplit=1)[0].splitlines()
    assert lines[: len(head)] == head
    best = [change.what for change in report.changes().changes[:3]]
    shown = lines[lines.index("What would help most") + 2 :][:3]
    assert all(what in line for what, line in zip(best, shown, strict=True))
    assert lines[-1].startswith("More: polylat analyze --full")


def test_where_changes_take_a_while_they_are_not_analyzed() -> None:
    text = run("analyze", str(EXAMPLES / "attention.yaml")).stdout
    assert "polylat explain analyzes every single change." in text


@pytest.mark.long
def test_where_no_change_helps(tmp_path: Path) -> None:
    """Nothing takes time."""
    text = run("analyze", *EXAMPLE, "--set", "top=Pipeline").stdout
    assert "No single change" not in text
    arch = tmp_path / "arch.yaml"
    given = (EXAMPLES / "arch.yaml").read_text(encoding="utf-8")
    arch.write_text(given.replace("throughput: 1", "throughput: inf"), encoding="utf-8")
    text = run("analyze", str(arch), *EXAMPLE[1:]).stdout
    assert "No single change lowers the latency." in text


def test_options_reach_the_analysis() -> None:
    result = run(
        "analyze",
        *EXAMPLE,
        *("--set", "top=Pipeline", "--set", "inner=Pipeline"),
        *("--background", "o2@SRAM", "--background", "o1"),
        *("--slots", "3", "--slots", "o2=none"),
        *("--granularity", "flow", "--order", "skew", "--critical-path", "3"),
    )
    slots = dict.fromkeys(("i1", "w1", "o1", "w2", "w3", "o3"), 3) | {"o2": None}
    report = polylat.analyze(
        spec(top="Pipeline", inner="Pipeline"),
        background=["o2@SRAM", "o1"],
        slots=slots,
        granularity="flow",
        order="skew",
    )
    assert result.stdout == report_text(report, steps=3)
    assert "Critical path, step by step (first 3)" in result.stdout


@pytest.mark.parametrize(
    ("texts", "slots"),
    [
        (["3"], 3),
        (["none"], None),
        (["None"], None),
        (["o1=1"], {"o1": 1, "o2": 2}),
        (["o1=none", "5"], {"o1": None, "o2": 5}),
    ],
)
def test_slots(texts: list[str], slots: object) -> None:
    arguments = [part for text in texts for part in ("--slots", text)]
    result = run("analyze", *EXAMPLE, "--json", *arguments)
    found = json.loads(result.stdout)["slots"]
    if isinstance(slots, dict):
        found = {tensor: found[tensor] for tensor in slots}
    assert found == slots


def test_json() -> None:
    result = run("analyze", *EXAMPLE, "--granularity", "tile", "--background", "o2", "--json")
    assert result.exit_code == 0
    report = polylat.analyze(spec(), granularity="tile", background="o2")
    assert json.loads(result.stdout) == report.to_dict()


def test_json_lists_steps_on_demand() -> None:
    result = run("analyze", *EXAMPLE, "--json", "--critical-path", "4")
    assert len(json.loads(result.stdout)["critical_path"]["steps"]) == 4


def test_roofline() -> None:
    result = run("roofline", *EXAMPLE)
    assert result.exit_code == 0
    assert result.stdout == str(polylat.roofline(spec()))
    data = json.loads(run("roofline", *EXAMPLE, "--json").stdout)
    assert (data["schema"], data["latency"]) == ("polylat.roofline/1", 32768)


def test_options_in_the_file_hold_unless_given(tmp_path: Path) -> None:
    options = tmp_path / "schedule.yaml"
    options.write_text("schedule: {granularity: tile, background: o2@SRAM}\n", encoding="utf-8")
    files = [*EXAMPLE, str(options)]
    assert json.loads(run("analyze", *files, "--json").stdout)["tiles"] == 17
    again = json.loads(run("analyze", *files, "--json", "--granularity", "flow").stdout)
    assert again["tiles"] == 1088
    assert {pair["tensor"] for pair in again["background"]} == {"o2"}


def test_variables_are_whole_numbers_where_they_look_like_it(tmp_path: Path) -> None:
    text = (EXAMPLES / "workload.yaml").read_text(encoding="utf-8")
    workload = tmp_path / "workload.yaml"
    workload.write_text(text.replace("M: 8", "M: {{ M * 2 }}"), encoding="utf-8")
    result = run("roofline", EXAMPLE[0], str(workload), EXAMPLE[2], "--set", "M=8", "--json")
    assert json.loads(result.stdout)["latency"] == 2 * 32768


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], ["analyze", "--help"]])
def test_help_has_examples(arguments: list[str]) -> None:
    result = run(*arguments)
    assert result.exit_code == 0
    assert "\n    polylat analyze arch.yaml workload.yaml mapping.yaml\n" in result.stdout


def test_version() -> None:
    result = run("--version")
    assert (result.exit_code, result.stdout) == (0, f"polylat {polylat.__version__}\n")


# Releases of click word it differently.
NO_SUCH_OPTION = NoSuchOption("--qqqq").format_message().removesuffix(".")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Missing command. See polylat --help."),
        (["fly"], "No such command 'fly'. See polylat --help."),
        (["analyze"], "Missing argument 'FILES...'. See polylat analyze --help."),
        (["roofline"], "Missing argument 'FILES...'. See polylat roofline --help."),
        (["analyze", "--qqqq"], f"{NO_SUCH_OPTION}. See polylat analyze --help."),
        (
            ["analyze", *EXAMPLE, "--max-tiles", "0"],
            (
                "Invalid value for '--max-tiles': 0 is not in the range x>=1."
                " See polylat analyze --help."
            ),
        ),
        (
            ["analyze", *EXAMPLE, "--order", "fast"],
            (
                "order must be one of best, program, skew, oldest, not 'fast'."
                " Fix: use one of: best, program, skew, oldest."
            ),
        ),
        (
            ["analyze", *EXAMPLE, "--background", "o4"],
            (
                "background names the tensor 'o4', which does not exist."
                " Fix: use one of: i1, w1, o1, w2, o2, w3, o3."
            ),
        ),
        (
            ["analyze", *EXAMPLE, "--background", "o2@DRAM"],
            (
                "background names 'o2@DRAM', but nothing is written back from DRAM for o2."
                " Fix: name the component that it is written back from: o2@SRAM."
            ),
        ),
        (
            ["timeline", *EXAMPLE, "--staged", "o2", "--staged", "SRAN"],
            (
                "staged names 'SRAN', which is neither a tensor nor a component."
                " Did you mean 'SRAM'?"
            ),
        ),
        (
            ["tree", *EXAMPLE, "--staged", "all", "--staged", "o2@DRAM"],
            (
                "staged names 'o2@DRAM', the backing storage of the tensor, which is filled from"
                " nowhere. Fix: use one of: o2@SRAM."
            ),
        ),
        (
            ["analyze", *EXAMPLE, "--slots", "o1=3", "--slots", "o1@DRAM=4"],
            (
                "slots names 'o1@DRAM', but the mapping has no such Storage."
                " Fix: use one of: o1@SRAM."
            ),
        ),
        (
            ["analyze", *EXAMPLE, "--slots", "o1=few"],
            (
                "--slots o1=few: 'few' is not a number of tiles."
                " Fix: write --slots 2, --slots o1=2 or --slots none."
            ),
        ),
        (["analyze", *EXAMPLE, "--slots", "0"], "slots must be a whole number above zero, not 0."),
        (
            ["analyze", *EXAMPLE, "--set", "top"],
            "--set top: not NAME=VALUE. Fix: write --set top=Pipeline.",
        ),
        (
            ["compare", *EXAMPLE, str(EXAMPLES / "untapped.yaml"), "--set", "tops=Pipeline"],
            ("the input has no variable 'tops' (it has: inner, top). Did you mean 'top'?"),
        ),
        (
            ["analyze", *EXAMPLE, "--max-tiles", "3"],
            (
                "mapping: the mapping has 17 tile iterations at granularity 'tile', and no sample"
                " of up to max_tiles=3 of them represents the others. Fix: use larger tiles in the"
                " loops above the splits and memories, or max_tiles=17 (about 0.1 GB of memory)."
            ),
        ),
    ],
)
def test_bad_input_gives_one_line(arguments: list[str], message: str) -> None:
    result = run(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == f"polylat: {message}\n"


@pytest.mark.parametrize("command", ["analyze", "roofline"])
@pytest.mark.parametrize(
    "content", [None, b"", b"\xff\xfe\x00", b"arch: [", b"{{ nothing }}", b"arch: !Foo {}"]
)
def test_unreadable_files_give_one_line(
    command: str, content: bytes | None, tmp_path: Path
) -> None:
    path = tmp_path / "input.yaml"
    if content is not None:
        path.write_bytes(content)
    result = run(command, str(path))
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("polylat: input.yaml")
    assert result.stderr.count("\n") == 1


def test_a_directory_gives_one_line(tmp_path: Path) -> None:
    result = run("analyze", str(tmp_path))
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)


def test_enforced_capacity_is_an_error(tmp_path: Path) -> None:
    arch = tmp_path / "arch.yaml"
    text = (EXAMPLES / "arch.yaml").read_text(encoding="utf-8")
    arch.write_text(text.replace("size: 1000000", "size: 100"), encoding="utf-8")
    files = [str(arch), *EXAMPLE[1:]]
    assert "Exceeded by" in run("analyze", *files, "--full").stdout
    assert "Does not fit" in run("analyze", *files).stdout
    result = run("analyze", *files, "--enforce-capacity")
    assert result.exit_code == 2
    assert result.stderr.startswith("polylat: arch, component 'SRAM': memory 'SRAM' holds up to")


COMMAND = [sys.executable, "-m", "polylat"]


def environment(**changes: str) -> dict[str, str]:
    """Those of the tests without FORCE_COLOR, which rich 13 obeys even if it is empty."""
    kept = {name: value for name, value in os.environ.items() if name != "FORCE_COLOR"}
    return {**kept, "PYTHONUNBUFFERED": "", "PYTHONIOENCODING": "utf-8", **changes}


def test_as_a_process() -> None:
    done = subprocess.run(
        [*COMMAND, "roofline", *EXAMPLE],
        capture_output=True,
        check=False,
        encoding="utf-8",
        env=environment(NO_COLOR="1"),
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == str(polylat.roofline(spec()))


def test_characters_that_the_output_does_not_have() -> None:
    done = subprocess.run(
        [*COMMAND, "analyze", *EXAMPLE],
        capture_output=True,
        check=False,
        env=environment(PYTHONIOENCODING="ascii"),
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.splitlines()[1].startswith(b"  order program ? granularity flow ? ")


@pytest.mark.skipif(sys.platform == "win32", reason="pipes of another kind")
def test_a_closed_pipe_is_no_error() -> None:
    process = subprocess.Popen(
        [*COMMAND, "analyze", *EXAMPLE, "--json", "--critical-path", "100000"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
    )
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait() == 141


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is none on this system")
@pytest.mark.parametrize(
    "arguments", [["analyze", *EXAMPLE], ["roofline", *EXAMPLE, "--json"], ["-h"]]
)
def test_a_full_disk_gives_one_line(arguments: list[str]) -> None:
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        done = subprocess.run(
            [*COMMAND, *arguments],
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
            encoding="utf-8",
            env=environment(),
        )
    assert done.returncode == 2
    assert done.stderr == "polylat: the output cannot be written: No space left on device\n"


@pytest.mark.skipif(sys.platform == "win32", reason="shells of another kind")
def test_a_closed_output_is_no_error() -> None:
    done = subprocess.run(
        ["/bin/sh", "-c", '"$@" >&-', "sh", *COMMAND, "roofline", *EXAMPLE],
        stderr=subprocess.PIPE,
        check=False,
        env=environment(),
    )
    assert (done.returncode, done.stderr) == (0, b"")


def test_an_interrupt_is_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(polylat, "load", interrupted)
    result = run("analyze", *EXAMPLE)
    assert (result.exit_code, result.output.strip()) == (130, "")


@pytest.mark.parametrize(
    "command", [["curve", "--component", "DRAM"], ["timeline"], ["tree", "--critical"]]
)
def test_what_is_not_written_back_is_told(command: list[str]) -> None:
    name, *more = command
    result = run(name, *EXAMPLE, *more, "--background", "o1")
    assert result.exit_code == 0
    assert result.stderr == "Nothing is written back for o1.\n"
    assert "Nothing is written back" not in result.stdout
