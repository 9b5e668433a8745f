"""What threads, processes and interpreters are compared by: everything that polylat computes.

Run as a program, it prints the figures of all cases as JSON, one line for each.
"""

from __future__ import annotations

import json
import sys
import zlib
from collections.abc import Callable
from typing import Any

import polylat
from builders import EXAMPLE, EXAMPLES
from polylat import Spec

_SOURCES: dict[str, tuple[str, ...]] = {
    "tapped": tuple(map(str, EXAMPLE)),
    "attention": (
        str(EXAMPLES / "attention.yaml"),
        str(EXAMPLES / "attention_schedule.yaml"),
    ),
}


def _analyzed(spec: Spec, **options: Any) -> Any:
    report = polylat.analyze(spec, **options)
    return [report.to_dict(), str(report), report.explain().to_dict()]


def _verified(spec: Spec) -> Any:
    return polylat.analyze(spec, granularity="tile", background="all").verify().to_dict()


def _explored(spec: Spec) -> Any:
    found = polylat.explore(spec, granularity="tile", slots=[1, 2, 3], background=False)
    return [found.to_dict(), [result.to_dict() for result in found.results]]


def _symbolic(spec: Spec) -> Any:
    formula = polylat.symbolic(spec, ["DRAM.throughput"])
    return [str(formula.latency), str(formula)]


_CALLS: dict[str, tuple[str, Callable[[Spec], Any]]] = {
    "analyze": ("tapped", lambda spec: _analyzed(spec, background="o2")),
    "analyze by tile": ("tapped", lambda spec: _analyzed(spec, granularity="tile", order="oldest")),
    "analyze attention": ("attention", lambda spec: polylat.analyze(spec).to_dict(steps=None)),
    "roofline": ("attention", lambda spec: str(polylat.roofline(spec))),
    "verify": ("tapped", _verified),
    "explore": ("tapped", _explored),
    "symbolic": ("tapped", _symbolic),
    "page": ("tapped", lambda spec: polylat.analyze(spec, granularity="tile").to_html()),
    "yaml": ("attention", Spec.to_yaml),
}

NAMES = tuple(_CALLS)
"""All cases."""


def load(name: str) -> Spec:
    """Return the input of a case."""
    return polylat.load(*_SOURCES[_CALLS[name][0]])


def answer(name: str, spec: Spec | None = None) -> str:
    """Return the figures of a case, as a text."""
    found = _CALLS[name][1](load(name) if spec is None else spec)
    text = json.dumps(found, sort_keys=True, ensure_ascii=True, default=str)
    # Long texts are as good as their checksums, and readable ones better where they are short.
    return text if len(text) < 2000 else f"{len(text)}:{zlib.crc32(text.encode()):08x}"


def answers(names: tuple[str, ...] = NAMES) -> dict[str, str]:
    """Return the figures of cases."""
    return {name: answer(name) for name in names}


if __name__ == "__main__":
    print(json.dumps(answers(tuple(sys.argv[1:]) or NAMES)))
