"""Draw the pictures of the documentation: ``python examples/pictures.py [FOLDER]``.

The folder is docs/ by default. The pictures are SVG and follow the reader's light or dark mode.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import polylat

HERE = Path(__file__).resolve().parent


def tapped_cascade() -> str:
    """Draw four schedules of the motivating problem, with the write of o2 to DRAM."""
    files = [HERE / name for name in ("arch.yaml", "workload.yaml", "tap_resident.yaml")]
    spec = polylat.load(*files)
    pipelined = polylat.load(*files, top="Pipeline", inner="Pipeline")
    stack = polylat.timelines(
        {
            "AccelForge's accounting": polylat.roofline(spec),
            "o2 kept in SRAM, its write to DRAM streams": polylat.analyze(spec, granularity="tile"),
            "the same, each row written in the background": polylat.analyze(
                spec, granularity="tile", background="o2"
            ),
            "stages overlap": polylat.analyze(pipelined, granularity="flow", background="o2"),
        }
    )
    return stack.to_svg(width=960)


PICTURES: Mapping[str, Callable[[], str]] = {"timeline.svg": tapped_cascade}


def main() -> None:
    """Write all pictures to the folder."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE.parent / "docs"
    folder.mkdir(parents=True, exist_ok=True)
    for name, draw in PICTURES.items():
        (folder / name).write_text(f"{draw()}\n", encoding="utf-8")
        print(f"wrote {folder / name}")


if __name__ == "__main__":
    main()
