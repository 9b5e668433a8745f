"""Compiling in advance."""

from __future__ import annotations

import subprocess
import sys

import pytest

from builders import EXAMPLE, ROOT

CODE = """
import sys
from numba.core.dispatcher import Dispatcher
import polylat
from polylat.warm_up import warm_up

def compiled():
    modules = [m for n, m in sys.modules.items() if n.startswith("polylat.")]
    found = {v for m in modules for v in vars(m).values() if isinstance(v, Dispatcher)}
    return {(f.py_func.__qualname__, str(s)) for f in found for s in f.signatures}

warm_up()
before = compiled()
spec = polylat.load(*sys.argv[1:4])
polylat.explore(spec, slots=[1, 2, 3], staged=True, n_jobs=1)
for order in ("program", "skew", "oldest"):
    for given in (spec, polylat.load(sys.argv[4])):
        report = polylat.analyze(given, order=order, background="all")
        report.to_html(sensitivity=False)
assert before, "nothing is compiled"
print(sorted(compiled() - before))
"""


@pytest.mark.long
def test_what_is_compiled_in_advance_is_all() -> None:
    """No analysis and no exploration compiles another function, or for other types."""
    arguments = [*EXAMPLE, str(ROOT / "examples" / "attention.yaml")]
    done = subprocess.run(
        [sys.executable, "-c", CODE, *arguments], capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    assert done.stdout == "[]\n"


@pytest.mark.slow
def test_the_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "polylat", "warm-up"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Compiled code is ready (")
