"""The command line: options to arguments, results to the terminal. The work is done elsewhere."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from fractions import Fraction
from shlex import join
from typing import TYPE_CHECKING, Any, NoReturn

import click

import polylat
from polylat.errors import (
    ExplorationError,
    InterruptedExplorationError,
    OptionError,
    PolylatError,
)
from polylat.files import target, write
from polylat.spec.options import GRANULARITIES, ORDERS, normalize_option

if TYPE_CHECKING:
    from rich.console import RenderableType

    from polylat.report import Report
    from polylat.spec import Spec

__all__ = ["main"]

BAD_INPUT = 2
INTERRUPTED = 130  # 128 + SIGINT
PIPE_CLOSED = 141  # 128 + SIGPIPE

_PAGES = (".html", ".htm")
_TREES = (".svg",)


class _Commands(click.Group):
    """The commands; they return what is to be printed.

    What a user can cause ends in one clear line, and never in a traceback.
    """

    def main(self, *args: Any, **options: Any) -> NoReturn:
        options["standalone_mode"] = False
        for stream in (sys.stdout, sys.stderr):
            # A terminal that cannot show a character shows "?" instead.
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="replace")
        try:
            result = super().main(*args, **options)
            if isinstance(result, int):  # of --help and --version
                sys.exit(result)
            _print(result)
            if sys.stdout is not None:  # it is if the shell has closed it
                sys.stdout.flush()
        except (click.Abort, KeyboardInterrupt) as error:
            if isinstance(error.__cause__, InterruptedExplorationError):
                print(f"polylat: {error.__cause__}", file=sys.stderr)
            sys.exit(INTERRUPTED)
        except click.UsageError as error:
            command = error.ctx.command_path if error.ctx else "polylat"
            _fail(f"{error.format_message()} See {command} --help.")
        except click.ClickException as error:
            _fail(error.format_message())
        except PolylatError as error:
            _fail(str(error))
        except BrokenPipeError:
            _forget_output()
            sys.exit(PIPE_CLOSED)
        except OSError as error:
            if error.filename is not None:
                raise
            _forget_output()
            _fail(f"the output cannot be written: {error.strerror or error}")
        except MemoryError:
            _fail("there is not enough memory; use --granularity tile, or a smaller input")
        sys.exit(0)


def _forget_output() -> None:
    """Whatever is left in the buffer has nowhere to go."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _examples(*commands: str) -> str:
    """The end of a help text; the backspace keeps click from joining the lines."""
    return "\b\nExamples:\n" + "\n".join(f"  {command}" for command in commands)


def _fail(message: str) -> NoReturn:
    print(f"polylat: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(BAD_INPUT)


def _print(result: dict[str, Any] | RenderableType) -> None:
    """Print data as JSON, and anything else as text, with colour on a terminal only."""
    if isinstance(result, dict):
        print(json.dumps(result, indent=2))
        return
    from rich.console import Console

    from polylat.text import WIDTH, plain_text

    console = Console(highlight=False, emoji=False)
    if console.is_terminal:
        console.print(result, width=min(console.width, WIDTH))
    else:
        print(plain_text(result), end="")


@click.group(
    name="polylat",
    cls=_Commands,
    no_args_is_help=False,
    epilog=_examples(
        "polylat analyze arch.yaml workload.yaml mapping.yaml",
        "polylat analyze mapping.yaml --background o2@SRAM --json",
        "polylat explain mapping.yaml",
        "polylat curve mapping.yaml --component DRAM",
        "polylat explore mapping.yaml --splits --background --slots 1:3",
        "polylat compare arch.yaml workload.yaml mapping_a.yaml mapping_b.yaml",
        "polylat roofline mapping.yaml",
        "polylat timeline mapping.yaml",
        "polylat report mapping.yaml -o report.html",
    ),
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(polylat.__version__, message="polylat %(version)s")
def main() -> None:
    """The latency of a fused tensor-accelerator mapping, from its dependences.

    Reads AccelForge's YAML files: an architecture, a workload and a mapping, in one file or in
    several.
    """


_FILE = click.Path(readable=False)
"""A name of a file, which shells complete; what is wrong with it is said where it is opened."""


def _option(
    *names: str, words: Iterable[str], metavar: str = "", **more: Any
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """An option that shells complete with words; what else is given is refused with our own."""

    def found(_: click.Context, __: click.Parameter, begun: str) -> list[str]:
        return [word for word in words if word.startswith(begun)]

    return click.option(*names, metavar=metavar or "|".join(words), shell_complete=found, **more)


def _input(command: Callable[..., Any]) -> Callable[..., Any]:
    """What the commands have in common: files, variables, the form of the output."""
    as_json = click.option(
        "--json", "as_json", is_flag=True, help="Print JSON, as docs/json.md describes it."
    )
    return as_json(_files(command))


def _files(command: Callable[..., Any]) -> Callable[..., Any]:
    """The files, and variables for them."""
    variables = click.option(
        "--set",
        "variables",
        multiple=True,
        metavar="NAME=VALUE",
        help="A variable for the files' templates and expressions. Repeatable.",
    )
    files = click.argument("files", nargs=-1, required=True, metavar="FILES...", type=_FILE)
    return files(variables(command))


def _schedule(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of `analyze`, for every command that analyses."""
    background = click.option(
        "--background",
        multiple=True,
        metavar="TENSOR[@COMPONENT]",
        help="Write-backs that nobody waits for: a tensor's, all or from one component."
        " Repeatable.",
    )
    slots = click.option(
        "--slots",
        multiple=True,
        metavar="[TENSOR=]N|none",
        help="Tiles that an exchange holder keeps, for all tensors or for one; none: unlimited."
        " Repeatable.  [default: 2]",
    )
    granularity = _option(
        "--granularity",
        words=GRANULARITIES,
        help="How finely tile iterations are told apart.  [default: auto]",
    )
    order = _option(
        "--order", words=ORDERS, help="The order in which ports serve.  [default: best]"
    )
    max_tiles = click.option(
        "--max-tiles",
        type=click.IntRange(min=1),
        metavar="N",
        help="Largest number of tile iterations.  [default: 1000000]",
    )
    capacity = click.option(
        "--enforce-capacity",
        is_flag=True,
        default=None,
        help="Fail if a memory holds more than its size.",
    )
    return background(slots(granularity(order(max_tiles(capacity(command))))))


@main.command(
    short_help="The latency of a mapping, its bounds, and what binds it.",
    epilog=_examples(
        "polylat analyze arch.yaml workload.yaml mapping.yaml",
        "polylat analyze mapping.yaml --background o2@SRAM --slots o1=3",
        "polylat analyze mapping.yaml --set top=Pipeline --critical-path 20",
        "polylat analyze mapping.yaml --json | jq .latency",
    ),
)
@_input
@_schedule
@click.option(
    "--critical-path",
    "steps",
    type=click.IntRange(min=1),
    metavar="N",
    help="List the first N steps of the critical path.",
)
@click.option(
    "--verify",
    is_flag=True,
    help="Prove that the schedule keeps every rule for all tile iterations, and print what was"
    " proven.",
)
def analyze(
    files: Sequence[str],
    variables: Sequence[str],
    steps: int | None,
    verify: bool,
    as_json: bool,
    **options: Any,
) -> dict[str, Any] | RenderableType:
    """The exact overlapped latency of a mapping, its bounds, and what binds it.

    An option that is not given is what the files say under their top-level key schedule, or else
    its default.
    """
    report = _report(files, variables, **options)
    certificate = None
    if verify:
        with _waiting("proving"):
            certificate = report.verify()
    if as_json:
        data = report.to_dict(steps=steps or 0)
        return data | {"certificate": certificate.to_dict()} if certificate else data
    from polylat.text import render_report

    return render_report(report, steps=steps or 0, certificate=certificate)


@main.command(
    short_help="What binds the latency, what has slack, and what would help most.",
    epilog=_examples(
        "polylat explain arch.yaml workload.yaml mapping.yaml",
        "polylat explain mapping.yaml --background o2@SRAM --json",
    ),
)
@_input
@_schedule
def explain(
    files: Sequence[str], variables: Sequence[str], as_json: bool, **options: Any
) -> dict[str, Any] | RenderableType:
    """What binds the latency, what has slack, and which single change would help most.

    All of it for the order in which the ports serve now; analysing anew with other throughputs may
    find a better one. The options are those of polylat analyze.
    """
    report = _report(files, variables, **options)
    with _waiting("finding what would change it"):
        if as_json:
            from polylat.jsonform import explanation_to_dict

            return explanation_to_dict(report)
        from polylat.text import render_explanation

        return render_explanation(report)


@main.command(
    short_help="The latency against the bandwidth of a component.",
    epilog=_examples(
        "polylat curve arch.yaml workload.yaml mapping.yaml --component DRAM",
        "polylat curve mapping.yaml --component DRAM --action read --json",
    ),
)
@_input
@click.option("--component", required=True, metavar="NAME", help="The component.")
@click.option("--action", metavar="NAME", help="One of its actions.  [default: all of them]")
@_schedule
def curve(
    files: Sequence[str],
    variables: Sequence[str],
    component: str,
    action: str | None,
    as_json: bool,
    **options: Any,
) -> dict[str, Any] | RenderableType:
    """The latency against the bandwidth of a component, exactly, from none to infinite.

    All of it for the order in which the ports serve now; analysing anew at another bandwidth may
    find a better one. The options are those of polylat analyze.
    """
    report = _told(_report(files, variables, **options))
    with _waiting("finding the curve"):
        found = report.curve(component, action)
    if as_json:
        from polylat.jsonform import curve_to_dict

        return curve_to_dict(found)
    from polylat.text import render_curve

    return render_curve(report, found)


@main.command(
    short_help="The best schedules of a mapping, over the choices that it leaves open.",
    epilog=_examples(
        "polylat explore arch.yaml workload.yaml mapping.yaml",
        "polylat explore mapping.yaml --splits --background --slots 1:3 -o results.csv",
        "polylat explore mapping.yaml --tiles m=1,2,4,8 --objective latency --jobs 2",
        "polylat explore mapping.yaml --slots o1=1:8 --store results.db --dask tcp://host:8786",
    ),
)
@_input
@click.option("--splits", is_flag=True, help="Explore each split as Sequential and Pipeline.")
@click.option(
    "--background", is_flag=True, help="Explore each write-back in the foreground and background."
)
@click.option(
    "--slots",
    multiple=True,
    metavar="[TENSOR=]N:M|N,M,none",
    help="Explore numbers of slots, for each tensor for which they matter or for one. Repeatable.",
)
@click.option(
    "--tiles",
    multiple=True,
    metavar="LOOP=N,M",
    help="Explore tile shapes of a loop: a rank variable, or m#2 for the second loop over m."
    " Repeatable.",
)
@_option("--granularity", words=GRANULARITIES, multiple=True, help="One or several.")
@_option("--order", words=ORDERS, multiple=True, help="One or several.")
@_option(
    "--objective",
    "objectives",
    words=("latency", "peak", "slots"),
    metavar="latency|peak[@MEMORY]|slots",
    multiple=True,
    help="What to make small. Repeatable.  [default: latency and peak]",
)
@click.option("--exhaustive", is_flag=True, help="Evaluate what the bounds exclude, too.")
@click.option(
    "--enforce-capacity",
    is_flag=True,
    default=None,
    help="Leave out what does not fit a memory's size.",
)
@click.option("--max-tiles", type=click.IntRange(min=1), metavar="N", help="As for analyze.")
@click.option("--jobs", "n_jobs", type=int, metavar="N", help="Processes; -1: one for each core.")
@click.option("--dask", metavar="ADDRESS", help="Work on the Dask cluster of this scheduler.")
@click.option(
    "--store",
    type=_FILE,
    metavar="FILE",
    help="Write finished results here, and go on from them if there are some.",
)
@click.option(
    "-o",
    "--output",
    type=_FILE,
    metavar="FILE",
    help="Write all results to a .parquet or .csv file.",
)
def explore(
    files: Sequence[str],
    variables: Sequence[str],
    as_json: bool,
    output: str | None,
    **options: Any,
) -> dict[str, Any] | RenderableType:
    """The best schedules of a mapping, over the choices that it leaves open.

    Prints the exact Pareto front of latency and peak bits per memory. With none of --splits,
    --background, --slots and --tiles, the first two are explored. What is not explored is as
    the files say.
    """
    from polylat.exploration.command import explored, results

    try:
        found = explored(_load(files, variables), output=output, **options)
    except ExplorationError as error:
        if error.exploration is not None:
            _print(results(error.exploration, as_json=as_json))
        raise
    if found.best is None and found.complete:
        # As `analyze` of any of them ends.
        _print(results(found, as_json=as_json))
        sys.exit(BAD_INPUT)
    return results(found, as_json=as_json)


@main.command(
    short_help="Mappings side by side, and what differs.",
    epilog=_examples(
        "polylat compare arch.yaml workload.yaml mapping_a.yaml mapping_b.yaml",
        "polylat compare a.yaml b.yaml c.yaml --background o2 --json",
    ),
)
@_input
@_schedule
def compare(
    files: Sequence[str], variables: Sequence[str], as_json: bool, **options: Any
) -> dict[str, Any] | RenderableType:
    """Mappings side by side: their latencies, and what differs between them.

    Files that have a mapping are compared; those that have none, such as an architecture, belong to
    all of them. The options are those of polylat analyze.
    """
    from polylat.comparison import differences, inputs, render_comparison
    from polylat.spec.reading.load import load_each

    with _waiting("reading"):
        specs = load_each(inputs(list(files)), _variables(variables))
    reports = {name: _analyzed(spec, **options) for name, spec in specs.items()}
    found = differences(reports)
    return found.to_dict() if as_json else render_comparison(found)


@main.command(
    short_help="AccelForge's own figures for a mapping.",
    epilog=_examples(
        "polylat roofline arch.yaml workload.yaml mapping.yaml",
        "polylat roofline mapping.yaml --json",
    ),
)
@_input
def roofline(
    files: Sequence[str], variables: Sequence[str], as_json: bool
) -> dict[str, Any] | RenderableType:
    """AccelForge's own figures for a mapping: no overlap, and no waiting either."""
    figures = polylat.roofline(_load(files, variables))
    if as_json:
        from polylat.jsonform import roofline_to_dict

        return roofline_to_dict(figures)
    from polylat.text import render_roofline

    return render_roofline(figures)


@main.command(
    short_help="What every port serves when: in letters, as a picture or a trace.",
    epilog=_examples(
        "polylat timeline arch.yaml workload.yaml mapping.yaml",
        "polylat timeline mapping.yaml --window 0 5000",
        "polylat timeline mapping.yaml --background o2@SRAM -o timeline.svg",
        "polylat timeline mapping.yaml -o trace.json  # for Perfetto",
    ),
)
@_files
@_schedule
@click.option(
    "-o",
    "--output",
    type=_FILE,
    metavar="FILE",
    help="Write a picture (.svg, .pdf, .png), a page (.html) or a trace for Perfetto (.json).",
)
@click.option(
    "--window",
    nargs=2,
    metavar="FROM TO",
    help="Only what is served between these times.",
)
@click.option(
    "--fold/--no-fold",
    default=None,
    help="Whether what repeats is shown once.  [default: if there is much of it]",
)
def timeline(
    files: Sequence[str],
    variables: Sequence[str],
    output: str | None,
    window: tuple[str, str] | None,
    fold: bool | None,
    **options: Any,
) -> RenderableType:
    """What every port serves when, and how full the memories are.

    In letters on the terminal: one per Einsum, small for what is in the background. A long schedule
    shows what repeats once, with the number of its repetitions.
    """
    from polylat.timeline import PICTURES

    kind = None if output is None else target(output, (*PICTURES, ".json"), "timelines")
    if kind == ".json" and fold is not None:
        raise OptionError(f"--fold is for pictures, and {output} is a trace", mend="leave it out")
    between = None if window is None else (_time(window[0]), _time(window[1]))
    report = _told(_report(files, variables, **options))
    with _waiting("drawing"):
        if output is not None:
            if kind == ".json":
                return f"wrote {report.to_perfetto(output, window=between)}"
            return f"wrote {report.timeline(window=between, fold=fold).save(output)}"
        line = report.timeline(window=between, fold=fold)
        from polylat.draw.terminal import render_timeline
        from polylat.text import WIDTH

        return render_timeline(line, _columns(WIDTH))


@main.command(
    short_help="Everything about a mapping as one page of HTML.",
    epilog=_examples(
        "polylat report arch.yaml workload.yaml mapping.yaml -o report.html",
        "polylat report mapping.yaml --background o2@SRAM --verify -o report.html",
    ),
)
@_files
@_schedule
@click.option(
    "-o",
    "--output",
    type=_FILE,
    metavar="FILE",
    default="report.html",
    show_default=True,
    help="The page.",
)
@click.option("--verify", is_flag=True, help="Prove the schedule, and say what was proven.")
@click.option(
    "--sensitivity/--no-sensitivity",
    default=None,
    help="Whether what would change the latency is on the page.  [default: unless it takes long]",
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

    Latency, comparison with AccelForge, timeline, ports, critical path, what would change it,
    memories, the mapping as a tree, the certificate, and the inputs.
    """
    from pathlib import Path

    target(output, _PAGES, "reports")
    found = _report(files, variables, **options)
    certificate = None
    if verify:
        with _waiting("proving"):
            certificate = found.verify()
    with _waiting("drawing"):
        page = found.to_html(
            inputs=list(files),
            variables=_variables(variables),
            certificate=certificate,
            sensitivity=sensitivity,
            arguments=_arguments(files, variables, options | {"verify": verify, "output": output}),
            title=f"polylat report: {', '.join(Path(name).stem for name in files)}",
        )
    write(output, page)
    return f"wrote {output}"


@main.command(
    short_help="The mapping as a tree.",
    epilog=_examples(
        "polylat tree arch.yaml workload.yaml mapping.yaml",
        "polylat tree mapping.yaml --critical",
        "polylat tree mapping.yaml -o mapping.svg",
    ),
)
@_files
@_schedule
@click.option("--critical", is_flag=True, help="Analyse it, and mark what is on the critical path.")
@click.option("-o", "--output", type=_FILE, metavar="FILE", help="Write it as SVG.")
def tree(
    files: Sequence[str],
    variables: Sequence[str],
    critical: bool,
    output: str | None,
    **options: Any,
) -> RenderableType:
    """The mapping as a tree: loops with their trip counts, what is kept where, what flows."""
    if output is not None:
        target(output, _TREES, "trees")
    spec = _load(files, variables)
    if critical:
        found = _told(_analyzed(spec, **options)).mapping_tree()
    else:
        _check(spec, **options)
        found = spec.tree()
    if output is not None:
        write(output, found.to_svg())
        return f"wrote {output}"
    from polylat.draw.tree import render_tree

    return render_tree(found)


def _arguments(files: Sequence[str], variables: Sequence[str], options: Mapping[str, Any]) -> str:
    """Files and options as a shell reads them, to name a command for the same schedule."""
    given: dict[str, Any] = {"set": variables, **options}
    words = [*files]
    for name, value in given.items():
        flag = f"--{name.replace('_', '-')}"
        if value is True:
            words.append(flag)
        elif value:
            many = value if isinstance(value, list | tuple) else [value]
            words += [word for each in many for word in (flag, str(each))]
    return join(words)


def _time(text: str) -> Fraction:
    from polylat.spec.reading.numbers import BadNumber, ratio

    try:
        time = Fraction(ratio(text))
    except (BadNumber, ArithmeticError):
        raise OptionError(f"--window: {text!r} is no time", mend="write --window 0 5000") from None
    if time < 0:
        raise OptionError(
            f"--window: times begin at 0, not at {text}", mend="write --window 0 5000"
        )
    return time


def _columns(most: int) -> int:
    """Columns of the terminal, or of plain text."""
    from rich.console import Console

    console = Console()
    return min(console.width, most) if console.is_terminal else most


@contextmanager
def _waiting(what: str) -> Iterator[None]:
    """Say on the terminal what takes more than a second, while it does."""
    if not sys.stderr.isatty():
        yield
        return
    from threading import Timer

    from rich.console import Console

    status = Console(stderr=True).status(f"{what} ...")
    timer = Timer(1.0, status.start)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        status.stop()


def _report(files: Sequence[str], variables: Sequence[str], **options: Any) -> Report:
    return _analyzed(_load(files, variables), **options)


def _analyzed(spec: Spec, **options: Any) -> Report:
    given = _given(spec, **options)
    with _waiting("analysing"):
        return polylat.analyze(spec, **given)


def _told(report: Report) -> Report:
    """The report, of which is told what it does not show: what was asked for, and is not there."""
    from polylat.text import idle_write_backs

    for sentence in idle_write_backs(report):
        click.echo(sentence, err=True)
    return report


def _check(spec: Spec, **options: Any) -> None:
    """Refuse options that cannot be used, where nothing is analysed."""
    tensors, components = spec.workload.tensors, spec.arch.order
    for name, value in _given(spec, **options).items():
        normalize_option(name, value, tensors=tensors, components=components)


def _given(
    spec: Spec, background: Sequence[str], slots: Sequence[str], **options: Any
) -> dict[str, Any]:
    """The options of `analyze` that are given."""
    options = {name: value for name, value in options.items() if value is not None}
    if background:
        options["background"] = list(background)
    if slots:
        options["slots"] = _slots(slots, spec.workload.tensors)
    return options


def _load(files: Sequence[str], variables: Iterable[str]) -> Spec:
    given = _variables(variables)
    with _waiting("reading"):
        return polylat.load(list(files), **given)


def _variables(variables: Iterable[str]) -> dict[str, Any]:
    given: dict[str, Any] = {}
    for variable in variables:
        name, equals, value = variable.partition("=")
        if not equals or not name.isidentifier() or name == "jinja_parse_data":
            raise OptionError(f"--set {variable}: not NAME=VALUE", mend="write --set top=Pipeline")
        given[name] = _whole(value)
    return given


def _whole(value: str) -> int | str:
    """A whole number where the text is one."""
    digits = value.removeprefix("-")
    short = digits.isascii() and digits.isdigit() and len(digits) < 100
    return int(value) if short else value


def _slots(texts: Iterable[str], tensors: Iterable[str]) -> int | dict[str, int | None] | None:
    """``2``, ``none`` and ``o1=2``; several of them together."""
    default: int | None = 2
    by_tensor: dict[str, int | None] = {}
    for text in texts:
        tensor, equals, number = text.rpartition("=")
        count = _slot(number, text)
        if equals:
            by_tensor[tensor] = count
        else:
            default = count
    if not by_tensor:
        return default
    return {**dict.fromkeys(tensors, default), **by_tensor}


def _slot(number: str, text: str) -> int | None:
    if number.lower() in ("none", "unlimited"):
        return None
    count = _whole(number)
    if isinstance(count, str):
        raise OptionError(
            f"--slots {text}: {number!r} is no number of tiles",
            mend="write --slots 2, --slots o1=2 or --slots none",
        )
    return count
