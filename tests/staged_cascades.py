"""Random cascades with separate transfers, with the answers of an independent implementation."""

from __future__ import annotations

import json
from typing import Any

from builders import ROOT

Data = dict[str, Any]

CASCADES: list[Data] = json.loads(
    (ROOT / "tests" / "data" / "cascades-staged.json").read_text(encoding="utf-8")
)
LEGAL = [case for case in CASCADES if case["expected"] is not None]


def options_of(case: Data) -> dict[str, Any]:
    """The options of a cascade, as `analyze` takes them."""
    options = dict(case["options"])
    for name in ("background", "staged"):
        if isinstance(options.get(name), list):
            options[name] = [tuple(x) if isinstance(x, list) else x for x in options[name]]
    return options
