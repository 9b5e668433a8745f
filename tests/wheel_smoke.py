"""Build the wheel and the sdist, check what is in them, and use them (make wheel-smoke).

For each Python that is given: an environment outside the checkout with the wheel and no extra, in
which every command and the functions of Python run. The sdist is installed once, and some of its
tests run.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from time import perf_counter

ROOT = Path(__file__).resolve().parents[1]
LOCK = ROOT / "requirements" / "lock.txt"
FOLDERS = ("benchmarks", "docs", "examples", "notebooks", "polylat", "requirements", "tests")
FILES = ("CHANGELOG.md", "LICENSE", "Makefile", "README.md", "pyproject.toml")
TESTS = ("tests/test_docs.py", "tests/test_readme.py", "tests/views/test_tree.py")
"""Tests of the sdist: they read examples, pages and data."""

EXAMPLE = ("arch.yaml", "workload.yaml", "tap_resident.yaml")
COMMANDS = {
    f"analyze {' '.join(EXAMPLE)} --background o2": "Latency  31,752\n",
    f"analyze {' '.join(EXAMPLE)} --background o2 --json": '{\n  "schema": "polylat.report/',
    f"compare {' '.join(EXAMPLE)} untapped.yaml": "",
    f"curve {' '.join(EXAMPLE)} --component DRAM": "",
    f"explain {' '.join(EXAMPLE)}": "Latency  32,256\n",
    f"explore {' '.join(EXAMPLE)} --slots 1:2 --granularity tile -o found.csv": "",
    f"formula {' '.join(EXAMPLE)} --in DRAM.throughput": "",
    f"report {' '.join(EXAMPLE)} -o page.html": "wrote page.html\n",
    f"roofline {' '.join(EXAMPLE)}": "AccelForge's latency  32,768\n",
    f"timeline {' '.join(EXAMPLE)}": "",
    f"timeline {' '.join(EXAMPLE)} -o lanes.html": "wrote lanes.html\n",
    f"timeline {' '.join(EXAMPLE)} -o trace.json": "wrote trace.json\n",
    f"tree {' '.join(EXAMPLE)}": "",
    f"tree {' '.join(EXAMPLE)} -o tree.svg": "wrote tree.svg\n",
    "warm-up": "Compiled code is ready",
}
"""Command → the beginning of what it prints."""

MISSING = {
    f"timeline {' '.join(EXAMPLE)} -o picture.svg": "plot",
    f"timeline {' '.join(EXAMPLE)} -o picture.pdf": "plot",
    f"timeline {' '.join(EXAMPLE)} -o picture.png": "plot",
    f"explore {' '.join(EXAMPLE)} --slots 1:2 --jobs 2": "explore",
    f"explore {' '.join(EXAMPLE)} --slots 1:2 --dask tcp://127.0.0.1:1": "dask",
    f"explore {' '.join(EXAMPLE)} --slots 1:2 -o found.parquet": "explore",
}
"""Command → the extra that it needs."""

API = """
import pathlib
import sys
from importlib.metadata import version
import polylat
import polylat.accelforge

assert polylat.__file__.startswith(sys.prefix), polylat.__file__
assert polylat.__version__ == version("polylat")
spec = polylat.load("arch.yaml", "workload.yaml", "tap_resident.yaml")
assert polylat.roofline(spec).latency == 32768
report = polylat.analyze(spec, background="o2@SRAM")
assert (report.latency, report.sequential, report.barrier_bound) == (31752, 32256, 31744)
report.verify()
pathlib.Path("again.yaml").write_text(spec.to_yaml(), encoding="utf-8")
assert polylat.analyze(polylat.load("again.yaml"), background="o2@SRAM").latency == 31752
found = polylat.explore(spec, granularity="tile", slots=[1, 2], progress=False)
assert min(result.latency for result in found.front) <= 32256

for extra, call in {
    "frames": report.ports_frame,
    "plot": lambda: polylat.plot_bandwidth(report, "DRAM"),
    "plot ": lambda: report.timeline().to_plotly(),
    "plot  ": lambda: report.timeline().to_matplotlib(),
    "explore": lambda: polylat.explore(spec, slots=[1, 2], n_jobs=2),
    "explore ": found.to_pandas,
    "explore  ": lambda: polylat.explore(spec, slots=[1, 2], progress=True),
    "accelforge": lambda: polylat.accelforge.from_spec(spec),
    "accelforge ": lambda: polylat.accelforge.search(object()),
}.items():
    try:
        call()
    except polylat.MissingExtraError as error:
        assert f"'polylat[{extra.strip()}]'" in str(error), (extra, error)
    else:
        raise AssertionError(f"nothing was missing for {extra}")
"""


def require(condition: object, what: str) -> None:
    """End with a message unless a condition holds."""
    if not condition:
        sys.exit(f"wheel smoke: {what}")


def call(*command: str | Path, cwd: Path, expect: int = 0) -> subprocess.CompletedProcess[str]:
    """Run a program that sees nothing of this checkout, and require its exit code."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "NUMBA", "FORCE"))}
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        check=False,
        capture_output=True,
        encoding="utf-8",
        env={**kept, "HYPOTHESIS_PROFILE": "quick", "NO_COLOR": "1"},
    )
    text = f"{' '.join(map(str, command))}: exit code {done.returncode}\n{done.stdout}{done.stderr}"
    require(done.returncode == expect, text)
    require("Traceback" not in done.stderr, text)
    return done


def packaged(folder: str) -> set[str]:
    """The files of a folder of the checkout that belong into a package."""
    paths = [path for path in (ROOT / folder).rglob("*") if path.is_file()]
    names = {path.relative_to(ROOT).as_posix() for path in paths}
    # A notebook and the mapper draw this picture, which .gitignore lists.
    return {name for name in names if "__pycache__/" not in name and "mapping.svg" not in name}


def check_wheel(wheel: Path, version: str) -> None:
    """The wheel has all files of the package and nothing else, and metadata that stand alone."""
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        information = f"polylat-{version}.dist-info/"
        metadata = archive.read(f"{information}METADATA").decode()
    inside = {name for name in names if not name.startswith(information)}
    require(inside == packaged("polylat"), f"{inside ^ packaged('polylat')}: not as in polylat/")
    require("polylat/py.typed" in inside, "py.typed is missing")
    links = re.findall(r"\]\((?![a-z]+:)[^)]*\)", metadata)
    require(not links, f"links that lead nowhere on a package index: {links}")
    for field in ("License-Expression: MIT", "Keywords: ", "Classifier: Typing :: Typed"):
        require(f"\n{field}" in metadata, f"the metadata have no {field}")


def check_sdist(sdist: Path, version: str) -> None:
    """The sdist has the tests and what they read, and no product of a build."""
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
        require(f"polylat-{version}/PKG-INFO" in archive.getnames(), "PKG-INFO is missing")
    wanted = set(FILES).union(*map(packaged, FOLDERS))
    require(wanted <= names, f"missing in the sdist: {wanted - names}")
    odd = {
        name
        for name in names
        if re.search(r"\.(pyc|so|nb[ci]|whl|gz)$|(^|/)(build|dist|\.\w*venv\S*|__pycache__)/", name)
    }
    require(not odd, f"in the sdist: {odd}")


def environment(python: str, folder: Path, package: Path) -> Path:
    """Make an environment with a package and no extra; return its folder of programs."""
    call(shutil.which(python) or python, "-m", "venv", folder, cwd=folder.parent)
    programs = folder / "bin"
    install = (programs / "python", "-m", "pip", "install", "--quiet")
    call(*install, "--constraint", LOCK, package, cwd=folder.parent)
    return programs


def use(programs: Path, folder: Path, version: str) -> None:
    """Run every command, and the functions, in a folder with the examples."""
    for path in (ROOT / "examples").glob("*.yaml"):
        shutil.copy(path, folder)
    polylat = programs / "polylat"
    shown = call(polylat, "--version", cwd=folder).stdout
    require(shown == f"polylat {version}\n", f"--version prints {shown}")
    shown = call(polylat, "--help", cwd=folder).stdout
    listed = re.findall(r"^  ([a-z][a-z-]*)  ", shown, re.MULTILINE)
    require({text.split()[0] for text in COMMANDS} == set(listed), f"commands: {listed}")
    for name in listed:
        call(polylat, name, "--help", cwd=folder)
    for text, start in COMMANDS.items():
        done = call(polylat, *text.split(), cwd=folder)
        require(done.stdout.startswith(start) and done.stdout, f"{text} prints {done.stdout}")
    for text, extra in MISSING.items():
        error = call(polylat, *text.split(), cwd=folder, expect=2).stderr
        wanted = f"Fix: pip install 'polylat[{extra}]'"
        require(wanted in error and error.count("\n") == 1, f"{text} says {error}")
    call(programs / "python", "-c", API, cwd=folder)


def main(pythons: Sequence[str]) -> None:
    """Build, check and use both."""
    start = perf_counter()

    def step(what: str) -> None:
        sys.stdout.write(f"{perf_counter() - start:5.0f} s  {what}\n")
        sys.stdout.flush()

    own = Path(sys.executable)
    with tempfile.TemporaryDirectory(prefix="polylat-") as name:
        folder = Path(name)
        step("build")
        call(own, "-m", "build", "--outdir", folder / "dist", ROOT, cwd=folder)
        (wheel,) = (folder / "dist").glob("*.whl")
        (sdist,) = (folder / "dist").glob("*.tar.gz")
        version = wheel.name.split("-")[1]
        call(own, "-m", "twine", "check", "--strict", wheel, sdist, cwd=folder)
        call(own, "-m", "check_wheel_contents", wheel, cwd=folder)
        check_wheel(wheel, version)
        check_sdist(sdist, version)

        def try_wheel(python: str, place: Path) -> None:
            programs = environment(python, place, wheel)
            (place / "work").mkdir()
            use(programs, place / "work", version)
            step(f"the wheel works with {python}")

        def try_sdist() -> None:
            programs = environment(pythons[0], folder / "sdist", sdist)
            shown = call(programs / "polylat", "--version", cwd=folder).stdout
            require(shown == f"polylat {version}\n", f"--version prints {shown}")
            step(f"the sdist works with {pythons[0]}")

        # The threads wait for other processes, each of which uses one processor.
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            tries = [
                pool.submit(try_wheel, python, folder / f"wheel-{k}")
                for k, python in enumerate(pythons)
            ]
            tries.append(pool.submit(try_sdist))
            for tried in as_completed(tries):
                if tried.exception() is not None:
                    pool.shutdown(wait=False, cancel_futures=True)
                tried.result()
        step("tests of the sdist")
        with tarfile.open(sdist) as archive:
            archive.extractall(folder, filter="data")
        unpacked = folder / f"polylat-{version}"
        call(own, "-m", "pytest", "--quiet", "-m", "not slow", *TESTS, cwd=unpacked)
        step("wheel and sdist work")


if __name__ == "__main__":
    main(sys.argv[1:] or [sys.executable])
