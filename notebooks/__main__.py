"""Execute the notebooks and write them with their outputs, as ``.ipynb`` and as HTML.

::

    python -m notebooks                           # all, to build/notebooks
    python -m notebooks -o FOLDER FILE.py ...     # some, to FOLDER

Each notebook runs in its own kernel, in the folder of its source. An error in any notebook is a
failure, except for a missing optional library (`polylat.MissingExtraError`): the notebook then
ends with this error, which names the extra to install.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import perf_counter

import click
import jupytext
import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbconvert import HTMLExporter

HERE = Path(__file__).resolve().parent
SECONDS = 1800
"""Time limit per cell; AccelForge's mapper takes minutes."""


def sources() -> list[Path]:
    """Return the notebooks, sorted by name."""
    return sorted(path for path in HERE.glob("*.py") if not path.name.startswith("_"))


def execute(source: Path, folder: Path) -> str:
    """Execute a notebook and write it with its outputs, even if it fails.

    Parameters
    ----------
    source
        The notebook.
    folder
        Where to write it.

    Returns
    -------
    str
        The error message; empty if there was none.
    """
    notebook = jupytext.read(source)
    client = NotebookClient(
        notebook,
        kernel_name="python3",
        timeout=SECONDS,
        extra_arguments=["--log-level=40"],  # errors only
        resources={"metadata": {"path": str(source.parent)}},
    )
    began = perf_counter()
    wrong, remark = "", ""
    try:
        client.execute()
    except CellExecutionError as error:
        if error.ename == "MissingExtraError":
            remark = f"; it ended early: {error.evalue}"
        else:
            wrong = str(error)
    except (CellTimeoutError, DeadKernelError) as error:
        wrong = str(error)
    write(notebook, folder / source.stem)
    state = "failed" if wrong else "ok"
    print(f"{source.name:20} {state} in {perf_counter() - began:.1f} s{remark}", flush=True)
    return wrong


def write(notebook: nbformat.NotebookNode, path: Path) -> None:
    """Write a notebook as ``.ipynb`` and as HTML, with its first heading as the title."""
    headings = (line for cell in notebook.cells for line in cell.source.splitlines())
    title = next((line[2:] for line in headings if line.startswith("# ")), path.name)
    notebook.metadata["title"] = title
    nbformat.write(notebook, path.with_suffix(".ipynb"))
    page, _ = HTMLExporter().from_notebook_node(notebook)
    path.with_suffix(".html").write_text(page, encoding="utf-8")


@click.command()
@click.option(
    "-o",
    "folder",
    default="build/notebooks",
    show_default=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Output folder.",
)
@click.argument("files", nargs=-1, type=click.Path(exists=True, dir_okay=False, path_type=Path))
def main(folder: Path, files: Sequence[Path]) -> None:
    """Execute the notebooks (or FILES, some of them)."""
    folder.mkdir(parents=True, exist_ok=True)
    # The threads wait for kernels, each of which is a process.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        wrong = list(pool.map(lambda path: execute(path.resolve(), folder), files or sources()))
    for text in filter(None, wrong):
        print(f"\n{text}", file=sys.stderr)
    sys.exit(any(wrong))


if __name__ == "__main__":
    main()
