"""Options and arguments that several commands share, and the steps from them to a report."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from importlib.util import find_spec
from threading import Timer
from typing import Any

import click
from rich.console import Console

import polylat
from polylat.errors import OptionError
from polylat.report import Report
from polylat.spec import Spec
from polylat.spec.names import known_names
from polylat.spec.option_values import ACCOUNTINGS, GRANULARITIES, ORDERS
from polylat.spec.options import normalize_option
from polylat.spec.slots import DEFAULT_SLOTS
from polylat.views.sentences import missing_write_backs

FILE = click.Path(readable=False)
"""A file name, which shells complete; the code that opens the file reports problems with it."""

_FOLDERS = "polylat.include_from"
_OWN_OPTIONS = ("functions", "include_from", "jinja_parse_data")
"""Parameters of `load` that cannot be variables."""


def choice_option(
    *names: str, words: Iterable[str], metavar: str = "", **more: Any
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return an option whose values shells complete; polylat checks the value itself.

    Parameters
    ----------
    *names
        Names of the option.
    words
        The values to complete.
    metavar
        The value in the help text; empty: all words.
    **more
        As for `click.option`.

    Returns
    -------
    Callable
        A decorator of commands.
    """

    def found(_: click.Context, __: click.Parameter, begun: str) -> list[str]:
        return [word for word in words if word.startswith(begun)]

    return click.option(*names, metavar=metavar or "|".join(words), shell_complete=found, **more)


def input_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the files, their variables and ``--json`` to a command.

    Parameters
    ----------
    command
        The command.

    Returns
    -------
    Callable
        The command with these parameters.
    """
    as_json = click.option(
        "--json", "as_json", is_flag=True, help="Print JSON, as docs/json.md describes it."
    )
    return as_json(file_options(command))


def file_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the files and their variables to a command.

    Parameters
    ----------
    command
        The command.

    Returns
    -------
    Callable
        The command with these parameters.
    """
    variables = click.option(
        "--set",
        "variables",
        multiple=True,
        metavar="NAME=VALUE",
        help="A variable for the files' templates and expressions. Repeatable.",
    )
    folders = click.option(
        "--include-from",
        multiple=True,
        metavar="FOLDER",
        type=FILE,
        expose_value=False,
        callback=_keep_folders,
        help="A folder from which files may include others, besides their own. Repeatable.",
    )
    files = click.argument("files", nargs=-1, required=True, metavar="FILES...", type=FILE)
    return files(variables(folders(command)))


def _keep_folders(context: click.Context, _: click.Parameter, folders: Sequence[str]) -> None:
    """Keep the folders of ``--include-from``, which commands only hand on to `load_files`."""
    context.meta[_FOLDERS] = list(folders)


def included_folders() -> list[str]:
    """Return the folders of ``--include-from``.

    Returns
    -------
    list of str
        The folders that the running command was given.
    """
    context = click.get_current_context(silent=True)
    found: list[str] = [] if context is None else context.meta.get(_FOLDERS, [])
    return found


def accounting_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the choice of AccelForge's release to a command.

    Parameters
    ----------
    command
        The command.

    Returns
    -------
    Callable
        The command with this parameter.
    """
    return choice_option(
        "--accounting",
        words=ACCOUNTINGS,
        help="The release of AccelForge whose figure is reproduced.  [default: 1.0]",
    )(command)


def schedule_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of `analyze` to a command.

    Parameters
    ----------
    command
        The command.

    Returns
    -------
    Callable
        The command with these parameters.
    """
    pipelined = click.option(
        "--pipelined",
        multiple=True,
        metavar="SPLIT|all",
        help="Splits whose branches overlap, in addition to the Pipelines of the mapping: all, or"
        " by name, such as 'e1|e2+e3' (polylat tree shows the names). Repeatable.",
    )
    background = click.option(
        "--background",
        multiple=True,
        metavar="TENSOR[@COMPONENT]|all",
        help="Write-backs that no Sequential waits for: all of a tensor, or from one component; or"
        " all. Repeatable.",
    )
    staged = click.option(
        "--staged",
        multiple=True,
        metavar="TENSOR@COMPONENT|TENSOR|COMPONENT|all",
        help="Holders whose tiles are handed over as a whole, each by a transfer of its own."
        " Repeatable.",
    )
    slots = click.option(
        "--slots",
        multiple=True,
        metavar="[TENSOR[@COMPONENT]=]N|none",
        help="Tiles that a holder keeps through which Einsums exchange a tensor, or whose transfers"
        " are separate: for all tensors, for one, or for one in one component; none: unlimited."
        " Repeatable.  [default: 2]",
    )
    granularity = choice_option(
        "--granularity",
        words=GRANULARITIES,
        help="Which loops distinguish tile iterations.  [default: auto]",
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
    timed = granularity(order(max_tiles(capacity(accounting_option(command)))))
    moves = background(staged(slots(timed)))
    return pipelined(moves)


@contextmanager
def status(what: str) -> Iterator[None]:
    """Show on the terminal what takes more than a second, while it does.

    Parameters
    ----------
    what
        The activity, such as "analyzing".

    Yields
    ------
    None
        While the activity runs.
    """
    if not sys.stderr.isatty():
        yield
        return
    spinner = Console(stderr=True).status(f"{what} ...")
    timer = Timer(1.0, spinner.start)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        spinner.stop()


def progress(what: str) -> AbstractContextManager[None]:
    """Show an activity on the terminal, unless tqdm is installed, which shows a progress bar.

    Parameters
    ----------
    what
        The activity.

    Returns
    -------
    context manager
        To be active while the activity runs.
    """
    return nullcontext() if find_spec("tqdm") is not None else status(what)


def analyze_files(files: Sequence[str], variables: Sequence[str], **options: Any) -> Report:
    """Analyze the mapping in files.

    Parameters
    ----------
    files, variables
        The files, and variables as NAME=VALUE.
    **options
        Options of `analyze` as given on the command line.

    Returns
    -------
    Report
        The report.
    """
    return analyze_spec(load_files(files, variables), **options)


def analyze_spec(spec: Spec, **options: Any) -> Report:
    """Analyze an input.

    Parameters
    ----------
    spec
        The input.
    **options
        Options of `analyze` as given on the command line.

    Returns
    -------
    Report
        The report.
    """
    given = given_options(spec, **options)
    with status("analyzing"):
        return polylat.analyze(spec, **given)


def warn_of_missing(report: Report) -> Report:
    """Print the requested write-backs that the mapping does not have.

    Parameters
    ----------
    report
        The report.

    Returns
    -------
    Report
        The same report.
    """
    for sentence in missing_write_backs(report):
        click.echo(sentence, err=True)
    return report


def normal_options(spec: Spec, **options: Any) -> dict[str, Any]:
    """Return the normal forms of options, in a command that analyzes nothing.

    Parameters
    ----------
    spec
        The input.
    **options
        Options of `analyze` as given on the command line.

    Returns
    -------
    dict
        Name → normal form, of the options that are given.

    Raises
    ------
    OptionError
        An option cannot be used.
    """
    known = known_names(spec.workload, spec.arch.order, spec.mapping)
    given = given_options(spec, **options)
    return {name: normalize_option(name, value, known) for name, value in given.items()}


def given_options(
    spec: Spec,
    pipelined: Sequence[str],
    background: Sequence[str],
    staged: Sequence[str],
    slots: Sequence[str],
    **options: Any,
) -> dict[str, Any]:
    """Return the options of `analyze` that are given.

    Parameters
    ----------
    spec
        The input.
    pipelined, background, staged, slots, **options
        Options as given on the command line.

    Returns
    -------
    dict
        Name → value.
    """
    options = {name: value for name, value in options.items() if value is not None}
    if pipelined:
        options["pipelined"] = list(pipelined)
    if background:
        options["background"] = list(background)
    if staged:
        options["staged"] = list(staged)
    if slots:
        options["slots"] = parse_slots(slots, spec.workload.tensors)
    return options


def load_files(files: Sequence[str], variables: Iterable[str]) -> Spec:
    """Read an input.

    Parameters
    ----------
    files, variables
        The files, and variables as NAME=VALUE.

    Returns
    -------
    Spec
        The input.
    """
    given = parse_variables(variables)
    with status("reading"):
        return polylat.load(list(files), include_from=included_folders(), **given)


def parse_variables(variables: Iterable[str]) -> dict[str, Any]:
    """Parse the values of ``--set``.

    Parameters
    ----------
    variables
        NAME=VALUE texts.

    Returns
    -------
    dict
        Name → integer or text.

    Raises
    ------
    OptionError
        A text is not of that form.
    """
    given: dict[str, Any] = {}
    for variable in variables:
        name, equals, value = variable.partition("=")
        if not equals or not name.isidentifier() or name in _OWN_OPTIONS:
            raise OptionError(f"--set {variable}: not NAME=VALUE", fix="write --set top=Pipeline")
        given[name] = parse_whole(value)
    return given


def parse_whole(value: str) -> int | str:
    """Convert a text to an integer if it is one.

    Parameters
    ----------
    value
        The text.

    Returns
    -------
    int or str
        The integer, else the text.
    """
    digits = value.removeprefix("-")
    short = digits.isascii() and digits.isdigit() and len(digits) < 100
    return int(value) if short else value


def parse_slots(texts: Iterable[str], tensors: Iterable[str]) -> int | dict[str, int | None] | None:
    """Parse the values of ``--slots``: ``2``, ``none``, ``o1=2`` and ``o1@RF=2``, also together.

    Parameters
    ----------
    texts
        The values.
    tensors
        Names of all tensors.

    Returns
    -------
    int, dict or None
        The option `slots` of `analyze`.

    Raises
    ------
    OptionError
        A text is not of that form.
    """
    default: int | None = DEFAULT_SLOTS
    by_name: dict[str, int | None] = {}
    for text in texts:
        name, equals, number = text.rpartition("=")
        count = _slot(number, text)
        if equals:
            by_name[name] = count
        else:
            default = count
    if not by_name:
        return default
    return {**dict.fromkeys(tensors, default), **by_name}


def _slot(number: str, text: str) -> int | None:
    if number.lower() in ("none", "unlimited"):
        return None
    count = parse_whole(number)
    if isinstance(count, str):
        raise OptionError(
            f"--slots {text}: {number!r} is not a number of tiles",
            fix="write --slots 2, --slots o1=2 or --slots none",
        )
    return count
