"""The commands that draw: timeline, report, tree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from shlex import join
from typing import Any

import click
from rich.console import Console, RenderableType
from rich.text import Text

from polylat.characters import escape_hidden
from polylat.cli.options import (
    FILE,
    analyze_files,
    analyze_spec,
    file_options,
    included_folders,
    load_files,
    normal_options,
    parse_variables,
    progress,
    schedule_options,
    status,
    warn_of_missing,
)
from polylat.cli.output import examples
from polylat.errors import OptionError
from polylat.files import check_target, write_text
from polylat.spec.reading.numbers import BadNumber, parse_ratio
from polylat.tables import WIDTH
from polylat.views.mapping_tree import tree as draw_tree
from polylat.views.terminal import render_timeline
from polylat.views.timeline import PICTURES
from polylat.views.tree import render_tree

__all__ = ["report", "timeline", "tree"]

_PAGES = (".html", ".htm")
_TREES = (".svg",)


@click.command(
    epilog=examples(
        "polylat timeline arch.yaml workload.yaml mapping.yaml",
        "polylat timeline mapping.yaml --window 0 5000",
        "polylat timeline mapping.yaml --background o2@SRAM -o timeline.svg",
        "polylat timeline mapping.yaml -o trace.json  # for Perfetto",
    ),
)
@file_options
@schedule_options
@click.option(
    "-o",
    "--output",
    type=FILE,
    metavar="FILE",
    help="Write a picture (.svg, .pdf, .png), a page (.html) or a trace for Perfetto (.json).",
)
@click.option(
    "--window",
    nargs=2,
    metavar="FROM TO",
    help="Only accesses served between these times.",
)
@click.option(
    "--fold/--no-fold",
    default=None,
    help="Whether repetitions are shown once.  [default: where there are many]",
)
def timeline(
    files: Sequence[str],
    variables: Sequence[str],
    output: str | None,
    window: tuple[str, str] | None,
    fold: bool | None,
    **options: Any,
) -> RenderableType:
    """When every port serves which access, and how full the memories are.

    On the terminal a letter per Einsum, in lower case for transfers in the background. Of a long
    schedule, repetitions are shown once, with their number.
    """
    kind = None if output is None else check_target(output, (*PICTURES, ".json"), "timelines")
    if kind == ".json" and fold is not None:
        raise OptionError(f"--fold is for pictures, and {output} is a trace", fix="leave it out")
    between = None if window is None else (_parse_time(window[0]), _parse_time(window[1]))
    report = warn_of_missing(analyze_files(files, variables, **options))
    with status("drawing"):
        if output is not None:
            if kind == ".json":
                return _wrote(report.to_perfetto(output, window=between))
            return _wrote(report.timeline(window=between, fold=fold).save(output))
        line = report.timeline(window=between, fold=fold)
        return render_timeline(line, _columns(WIDTH))


@click.command(
    epilog=examples(
        "polylat report arch.yaml workload.yaml mapping.yaml -o report.html",
        "polylat report mapping.yaml --background o2@SRAM --verify -o report.html",
    ),
)
@file_options
@schedule_options
@click.option(
    "-o",
    "--output",
    type=FILE,
    metavar="FILE",
    default="report.html",
    show_default=True,
    help="The page.",
)
@click.option("--verify", is_flag=True, help="Prove the schedule, and list what was proven.")
@click.option(
    "--sensitivity/--no-sensitivity",
    default=None,
    help="Whether sensitivities are on the page.  [default: unless it takes long]",
)
def report(
    files: Sequence[str],
    variables: Sequence[str],
    output: str,
    verify: bool,
    sensitivity: bool | None,
    **options: Any,
) -> RenderableType:
    """Everything about a mapping as one self-contained page of HTML, which works offline.

    Latency, comparison with AccelForge, timeline, ports, critical path, sensitivities, memories,
    the mapping as a tree, the certificate, and the inputs.
    """
    check_target(output, _PAGES, "reports")
    found = analyze_files(files, variables, **options)
    certificate = None
    if verify:
        with progress("proving"):
            certificate = found.verify()
    with status("drawing"):
        page = found.to_html(
            inputs=list(files),
            variables=parse_variables(variables),
            certificate=certificate,
            sensitivity=sensitivity,
            arguments=_arguments(files, variables, options | {"verify": verify, "output": output}),
            title=f"polylat report: {escape_hidden(', '.join(Path(name).stem for name in files))}",
        )
    write_text(output, page)
    return _wrote(output)


@click.command(
    epilog=examples(
        "polylat tree arch.yaml workload.yaml mapping.yaml",
        "polylat tree mapping.yaml --critical",
        "polylat tree mapping.yaml -o mapping.svg",
    ),
)
@file_options
@schedule_options
@click.option("--critical", is_flag=True, help="Analyze it, and mark the critical path.")
@click.option("-o", "--output", type=FILE, metavar="FILE", help="Write it as SVG.")
def tree(
    files: Sequence[str],
    variables: Sequence[str],
    critical: bool,
    output: str | None,
    **options: Any,
) -> RenderableType:
    """The mapping as a tree: loops with trip counts, holders, and flows of tensors."""
    if output is not None:
        check_target(output, _TREES, "trees")
    spec = load_files(files, variables)
    if critical:
        found = warn_of_missing(analyze_spec(spec, **options)).mapping_tree()
    else:
        given = normal_options(spec, **options)
        found = draw_tree(spec.with_pipelines(given.get("pipelined", ())))
    if output is not None:
        write_text(output, found.to_svg())
        return _wrote(output)
    return render_tree(found)


def _wrote(path: object) -> Text:
    """Say where an output is; a file name may have characters that act on the terminal."""
    return Text(f"wrote {escape_hidden(str(path))}")


def _arguments(files: Sequence[str], variables: Sequence[str], options: Mapping[str, Any]) -> str:
    """Return files and options as shell words, for a command with the same schedule."""
    given = {"set": variables, "include_from": included_folders(), **options}
    words = [*files]
    for name, value in given.items():
        flag = f"--{name.replace('_', '-')}"
        if value is True:
            words.append(flag)
        elif value:
            many = value if isinstance(value, list | tuple) else [value]
            words += [word for each in many for word in (flag, str(each))]
    return join(words)


def _parse_time(text: str) -> Fraction:
    try:
        time = Fraction(parse_ratio(text))
    except (BadNumber, ArithmeticError):
        raise OptionError(
            f"--window: {text!r} is not a time", fix="write --window 0 5000"
        ) from None
    if time < 0:
        raise OptionError(f"--window: times begin at 0, not at {text}", fix="write --window 0 5000")
    return time


def _columns(most: int) -> int:
    """Return the width of the terminal, or of plain text."""
    console = Console()
    return min(console.width, most) if console.is_terminal else most
