"""Options and arguments that several commands share, and what they have in common."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from threading import Timer
from typing import Any

import click
from rich.console import Console

import polylat
from polylat.errors import OptionError
from polylat.report import Report
from polylat.spec import Spec
from polylat.spec.options import GRANULARITIES, ORDERS, normalize_option
from polylat.views.sentences import missing_write_backs

FILE = click.Path(readable=False)
"""A name of a file, which shells complete; what is wrong with it is said where it is opened."""


def choice_option(
    *names: str, words: Iterable[str], metavar: str = "", **more: Any
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """An option that shells complete with words; what else is given is refused with our own."""

    def found(_: click.Context, __: click.Parameter, begun: str) -> list[str]:
        return [word for word in words if word.startswith(begun)]

    return click.option(*names, metavar=metavar or "|".join(words), shell_complete=found, **more)


def input_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """What the commands have in common: files, variables, the form of the output."""
    as_json = click.option(
        "--json", "as_json", is_flag=True, help="Print JSON, as docs/json.md describes it."
    )
    return as_json(file_options(command))


def file_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The files, and variables for them."""
    variables = click.option(
        "--set",
        "variables",
        multiple=True,
        metavar="NAME=VALUE",
        help="A variable for the files' templates and expressions. Repeatable.",
    )
    files = click.argument("files", nargs=-1, required=True, metavar="FILES...", type=FILE)
    return files(variables(command))


def schedule_options(command: Callable[..., Any]) -> Callable[..., Any]:
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
    granularity = choice_option(
        "--granularity",
        words=GRANULARITIES,
        help="How finely tile iterations are told apart.  [default: auto]",
    )
    order = choice_option(
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


@contextmanager
def status(what: str) -> Iterator[None]:
    """Say on the terminal what takes more than a second, while it does."""
    if not sys.stderr.isatty():
        yield
        return
    status = Console(stderr=True).status(f"{what} ...")
    timer = Timer(1.0, status.start)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        status.stop()


def analyze_files(files: Sequence[str], variables: Sequence[str], **options: Any) -> Report:
    return analyze_spec(load_files(files, variables), **options)


def analyze_spec(spec: Spec, **options: Any) -> Report:
    given = _given(spec, **options)
    with status("analysing"):
        return polylat.analyze(spec, **given)


def warn_of_missing(report: Report) -> Report:
    """The report, of which is told what it does not show: what was asked for, and is not there."""
    for sentence in missing_write_backs(report):
        click.echo(sentence, err=True)
    return report


def check_options(spec: Spec, **options: Any) -> None:
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
        options["slots"] = parse_slots(slots, spec.workload.tensors)
    return options


def load_files(files: Sequence[str], variables: Iterable[str]) -> Spec:
    given = parse_variables(variables)
    with status("reading"):
        return polylat.load(list(files), **given)


def parse_variables(variables: Iterable[str]) -> dict[str, Any]:
    given: dict[str, Any] = {}
    for variable in variables:
        name, equals, value = variable.partition("=")
        if not equals or not name.isidentifier() or name == "jinja_parse_data":
            raise OptionError(f"--set {variable}: not NAME=VALUE", fix="write --set top=Pipeline")
        given[name] = parse_whole(value)
    return given


def parse_whole(value: str) -> int | str:
    """A whole number where the text is one."""
    digits = value.removeprefix("-")
    short = digits.isascii() and digits.isdigit() and len(digits) < 100
    return int(value) if short else value


def parse_slots(texts: Iterable[str], tensors: Iterable[str]) -> int | dict[str, int | None] | None:
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
    count = parse_whole(number)
    if isinstance(count, str):
        raise OptionError(
            f"--slots {text}: {number!r} is no number of tiles",
            fix="write --slots 2, --slots o1=2 or --slots none",
        )
    return count
