"""``python -m polylat``: the command line."""

from __future__ import annotations

from polylat.cli import main

if __name__ == "__main__":
    main(prog_name="polylat")
