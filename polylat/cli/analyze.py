"""The commands that analyze mappings: analyze, explain, curve, compare, roofline."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import polylat
from polylat.analysis.comparison import compare as compare_reports
from polylat.characters import escape_hidden
from polylat.cli.options import (
    accounting_option,
    analyze_files,
    analyze_spec,
    included_folders,
    input_options,
    load_files,
    parse_variables,
    progress,
    schedule_options,
    status,
    warn_of_missing,
)
from polylat.cli.output import examples
from polylat.errors import OptionError, UnsupportedError
from polylat.spec.reading.load import load_each
from polylat.views.as_json import curve_to_dict, roofline_to_dict
from polylat.views.text import render_curve, render_report, render_summary

if TYPE_CHECKING:
    from rich.console import RenderableType

__all__ = ["analyze", "compare", "curve", "explain", "roofline"]


@click.command(
    epilog=examples(
        "polylat analyze arch.yaml workload.yaml mapping.yaml",
        "polylat analyze mapping.yaml --background o2@SRAM --slots o1=3",
        "polylat analyze mapping.yaml --set top=Pipeline --critical-path 20",
        "polylat analyze mapping.yaml --full",
        "polylat analyze mapping.yaml --json | jq .latency",
    ),
)
@input_options
@schedule_options
@click.option(
    "--full",
    is_flag=True,
    help="Print the whole report: the difference to AccelForge, ports, critical path, memories.",
)
@click.option(
    "--critical-path",
    "steps",
    type=click.IntRange(min=1),
    metavar="N",
    help="List the first N steps of the critical path, in the whole report.",
)
@click.option(
    "--verify",
    is_flag=True,
    help="Prove that the schedule keeps every rule for all tile iterations, and list what was"
    " proven, in the whole report.",
)
def analyze(
    files: Sequence[str],
    variables: Sequence[str],
    full: bool,
    steps: int | None,
    verify: bool,
    as_json: bool,
    **options: Any,
) -> dict[str, Any] | RenderableType:
    """The exact overlapped latency of a mapping, what binds it, and what would help.

    An option that is not given takes its value from the top-level key schedule of the files, or
    else its default.
    """
    report = analyze_files(files, variables, **options)
    certificate = None
    if verify:
        with progress("proving"):
            certificate = report.verify()
    if as_json:
        data = report.to_dict(steps=steps or 0)
        return data | {"certificate": certificate.to_dict()} if certificate else data
    if not (full or steps or verify):
        with status("analyzing changes"):
            return render_summary(report)
    return render_report(report, steps=steps or 0, certificate=certificate)


@click.command(
    epilog=examples(
        "polylat explain arch.yaml workload.yaml mapping.yaml",
        "polylat explain mapping.yaml --background o2@SRAM --json",
    ),
)
@input_options
@schedule_options
def explain(
    files: Sequence[str], variables: Sequence[str], as_json: bool, **options: Any
) -> dict[str, Any] | RenderableType:
    """What binds the latency, which single changes would help, and what has slack.

    Each change is an analysis of its own. For slack, the order in which the ports serve is kept.
    The options are those of polylat analyze.
    """
    explanation = analyze_files(files, variables, **options).explain()
    with status("analyzing changes"):
        return explanation.to_dict() if as_json else explanation.to_rich()


@click.command(
    epilog=examples(
        "polylat curve arch.yaml workload.yaml mapping.yaml --component DRAM",
        "polylat curve mapping.yaml --component DRAM --action read --json",
    ),
)
@input_options
@click.option("--component", required=True, metavar="NAME", help="The component.")
@click.option("--action", metavar="NAME", help="One of its actions.  [default: all of them]")
@schedule_options
def curve(
    files: Sequence[str],
    variables: Sequence[str],
    component: str,
    action: str | None,
    as_json: bool,
    **options: Any,
) -> dict[str, Any] | RenderableType:
    """The latency against the bandwidth of a component, exactly, from none to infinite.

    The order in which the ports serve is kept; analyzing anew at another bandwidth may find a
    better one. The options are those of polylat analyze.
    """
    report = warn_of_missing(analyze_files(files, variables, **options))
    with status("computing the curve"):
        found = report.curve(component, action)
    if as_json:
        return curve_to_dict(found)
    return render_curve(report, found)


@click.command(
    epilog=examples(
        "polylat compare arch.yaml workload.yaml mapping_a.yaml mapping_b.yaml",
        "polylat compare a.yaml b.yaml c.yaml --background o2 --json",
    ),
)
@input_options
@schedule_options
def compare(
    files: Sequence[str], variables: Sequence[str], as_json: bool, **options: Any
) -> dict[str, Any] | RenderableType:
    """Several mappings side by side: their latencies and differences.

    Files that have a mapping are compared; files without one, such as an architecture, belong to
    all of them. The options are those of polylat analyze.
    """
    with status("reading"):
        specs = load_each(
            _files_by_mapping(list(files)), parse_variables(variables), included_folders()
        )
    reports = {name: analyze_spec(spec, **options) for name, spec in specs.items()}
    found = compare_reports(reports)
    return found.to_dict() if as_json else found.to_rich()


@click.command(
    epilog=examples(
        "polylat roofline arch.yaml workload.yaml mapping.yaml",
        "polylat roofline mapping.yaml --json",
    ),
)
@input_options
@accounting_option
def roofline(
    files: Sequence[str], variables: Sequence[str], accounting: str | None, as_json: bool
) -> dict[str, Any] | RenderableType:
    """AccelForge's own figures for a mapping: without overlap, and without waiting."""
    figures = polylat.roofline(load_files(files, variables), accounting=accounting)
    return roofline_to_dict(figures) if as_json else figures.to_rich()


def _files_by_mapping(files: Sequence[str]) -> dict[str, list[str]]:
    """Return the files of each mapping; files without a mapping belong to all of them.

    Parameters
    ----------
    files
        Files with a mapping, and files that have none: an architecture, a workload.

    Returns
    -------
    dict
        Name → files. A mapping is named by its file.

    Raises
    ------
    OptionError
        Fewer than two have a mapping.
    """
    having = [file for file in files if _has_mapping(file)]
    if len(having) < 2:
        raise OptionError(
            f"{len(having) or 'none'} of these files has a mapping",
            fix="name two files or more that have the top-level key 'mapping'; those without it"
            " are taken to belong to all of them",
        )
    found: dict[Path, str] = {}
    for file in having:
        same = found.setdefault(Path(file).resolve(), file)
        if same is not file:
            raise OptionError(
                f"{file} is named twice, and there is one mapping in it",
                fix="name it once; to compare options, there is polylat.compare",
            )
    shared = [file for file in files if file not in having]
    stems = [Path(file).stem for file in having]
    names = map(escape_hidden, stems if len(set(stems)) == len(stems) else having)
    return {name: [*shared, file] for name, file in zip(names, having, strict=True)}


def _has_mapping(file: str) -> bool:
    try:
        text = Path(file).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise OptionError(
            f"cannot read {file}: {error.strerror or error}", fix="check the path"
        ) from error
    except UnicodeDecodeError as error:
        raise UnsupportedError(f"{file} is not UTF-8 text", fix="save it as UTF-8") from error
    return re.search(r"(?m)^mapping\s*:", text) is not None
