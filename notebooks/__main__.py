"""Execute the notebooks and write them with their outputs, as ``.ipynb`` and as HTML.

::

    python -m notebooks                           # all, to build/notebooks
    python -m notebooks -o FOLDER FILE.py ...     # some, to elsewhere

Each runs in a kernel of its own, in the folder of its source. The first error in any of them is a
failure. One is not: where an optional library is missing (`polylat.MissingExtraError`), the
notebook ends there, and shows the error, which names the extra.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
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
"""How long a cell may take: AccelForge's mapper takes minutes."""


def sources() -> list[Path]:
    """The notebooks, by name."""
    return sorted(path for path in HERE.glob("*.py") if not path.name.startswith("_"))


def execute(source: Path, folder: Path) -> str:
    """Execute a notebook, and write it as it is then, complete or not.

    Returns
    -------
    str
        What went wrong; empty if nothing did.
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
    """Write a notebook as ``.ipynb`` and as HTML; titled by its first heading."""
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
    help="Where to write.",
)
@click.argument("files", nargs=-1, type=click.Path(exists=True, dir_okay=False, path_type=Path))
def main(folder: Path, files: Sequence[Path]) -> None:
    """Execute the notebooks (or FILES, some of them)."""
    folder.mkdir(parents=True, exist_ok=True)
    wrong = [execute(source.resolve(), folder) for source in files or sources()]
    for text in filter(None, wrong):
        print(f"\n{text}", file=sys.stderr)
    sys.exit(any(wrong))


if __name__ == "__main__":
    main()
