"""Draw a small example of every rule of the model: ``python docs/rules.py [FOLDER]``.

The folder is docs/pictures by default. Each picture shows mappings of docs/drawn, analyzed by
polylat and drawn by `Report.timeline`; nothing is drawn by hand.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import polylat
from drawn import counts, precedences, results, transfers
from drawn.inputs import Panels

HERE = Path(__file__).resolve().parent
WIDTH = 720

RULES: Mapping[str, Callable[[], Panels]] = {
    rule.__name__: rule
    for rule in (
        counts.ports,
        counts.granularity,
        counts.fills,
        counts.readback,
        counts.tolls,
        counts.operations,
        counts.actions,
        counts.imperfect,
        counts.spatial,
        counts.copies,
        counts.residency,
        counts.footprint,
        precedences.streaming,
        transfers.staged,
        transfers.leaving,
        transfers.returning,
        transfers.weights,
        precedences.flow,
        precedences.barrier,
        transfers.background,
        precedences.capacity,
        transfers.room,
        transfers.ahead,
        transfers.freed,
        precedences.in_order,
        transfers.finish,
        transfers.latency,
        transfers.setup,
        transfers.burst,
        transfers.rigid,
        precedences.sharing,
        precedences.ranges,
        precedences.bindings,
        precedences.recurrence,
        results.blocks,
        transfers.early,
        results.orders,
        results.bounds,
        results.occupancy,
        results.repetition,
        results.bracket,
    )
}
"""Name of a picture → function that returns its panels, in the order of docs/model.md."""


def draw(panels: Panels) -> str:
    """Return a picture as SVG that follows the light or dark mode of the reader."""
    lines = [
        panel.timeline(title=title)
        if isinstance(panel, polylat.Report)
        else polylat.timelines({title: panel}).timelines[0]
        for title, panel in panels.items()
    ]
    return polylat.TimelineStack(tuple(lines)).to_svg(width=WIDTH)


def main() -> None:
    """Write all pictures to the folder."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "pictures"
    folder.mkdir(parents=True, exist_ok=True)
    for name, rule in RULES.items():
        (folder / f"{name}.svg").write_text(f"{draw(rule())}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
