"""The inputs that are mutated: the project's examples, and the inputs of its tests."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from polylat import PolylatError, SpecError
from polylat.spec.reading.files import Includes, has_template
from polylat.spec.reading.templates.render import render
from polylat.spec.reading.yaml_text import parse

ROOT = Path(__file__).resolve().parents[2]
_LARGEST = 30_000
"""Longer texts are left out: their mutants would take most of the time."""


@dataclass(frozen=True)
class Source:
    """An input: the text of all its files together, and its tree unless it has templates."""

    name: str
    text: str
    tree: Any

    @property
    def large(self) -> bool:
        """Whether its analyses take seconds: of such inputs there are fewer mutants."""
        return "attention" in self.name or "gemmini" in self.name


_PARTS = (
    ("examples", "arch.yaml", "workload.yaml", "tap_resident.yaml"),
    ("examples", "arch.yaml", "workload.yaml", "tap_refetched.yaml"),
    ("examples", "arch.yaml", "workload.yaml", "untapped.yaml"),
    ("examples", "attention.yaml", "attention_schedule.yaml"),
    ("examples", "state_space.yaml", "state_space_schedule.yaml"),
    ("examples/gemmini", "arch.yaml", "mapping.yaml", "schedule.yaml"),
    ("tests/data/upstream", "base.arch.yaml", "base.wl.yaml", "good.map.yaml"),
    ("tests/data/upstream", "base.arch.yaml", "base.wl.yaml", "pipeline_binding.map.yaml"),
    ("tests/data/upstream", "base.arch.yaml", "base.wl.yaml", "shared_in_branches.map.yaml"),
    ("tests/data/upstream", "concurrent.arch.yaml", "base.wl.yaml", "good.map.yaml"),
    ("tests/data/upstream", "latency_only.arch.yaml", "op.wl.yaml", "good.map.yaml"),
    ("tests/data/upstream", "latency_and_throughput.arch.yaml", "op_identity.wl.yaml")
    + ("good.map.yaml",),
)
"""Folder, and files that make up an input together."""


@cache
def sources() -> tuple[Source, ...]:
    """Read all inputs."""
    data = ROOT / "tests" / "data"
    found: list[Source] = []
    parts: set[Path] = set()
    for folder, *names in _PARTS:
        paths = [ROOT / folder / name for name in names]
        parts.update(paths)
        text = "\n".join(path.read_text(encoding="utf-8") for path in paths)
        found.append(_source(f"{folder}/{'+'.join(names)}", text, paths[0]))
    folders = (ROOT / "examples", data)
    for path in [path for folder in folders for path in sorted(folder.rglob("*.yaml"))]:
        text = path.read_text(encoding="utf-8")
        if path not in parts and re.search(r"(?m)^mapping\s*:", text):
            found.append(_source(str(path.relative_to(ROOT)), text, path))
    for name, spec in _specs(data):
        found.append(Source(name, json.dumps(spec), spec))
    return tuple(source for source in found if len(source.text) <= _LARGEST)


def _source(name: str, text: str, path: Path) -> Source:
    """Read an input; a template is rendered with the values that it gives itself."""
    try:
        return Source(name, text, parse(_rendered(text, path)))
    except PolylatError:
        return Source(name, text, None)


def _rendered(text: str, path: Path) -> str:
    def refuse(*_: object) -> None:
        raise SpecError("an include")

    return (
        render(str(path), text, {}, [], refuse, set(), Includes([])).text
        if has_template(text)
        else text
    )


def _specs(data: Path) -> list[tuple[str, Any]]:
    """Inputs in JSON files with many cases."""
    found: list[tuple[str, Any]] = []
    for name in ("motivating.json", "cascades-staged.json"):
        cases = json.loads((data / name).read_text(encoding="utf-8"))
        found += [(f"{name}:{case['name']}", _with_bits(case["spec"])) for case in cases]
    return found


def _with_bits(spec: Any) -> Any:
    workload = spec["workload"]
    return spec | {
        "workload": workload | {"bits_per_value": workload["bits_per_value"] or {"All": 1}}
    }
