"""The command line: arguments to options, results to the terminal."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any, NoReturn

import click

import polylat
from polylat.characters import escape_hidden
from polylat.cli.output import BAD_INPUT, examples, print_result
from polylat.errors import InterruptedExplorationError, PolylatError

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

__all__ = ["main"]

_INTERRUPTED = 130  # 128 + SIGINT
_PIPE_CLOSED = 141  # 128 + SIGPIPE

_COMMANDS = {
    "analyze": ("analyze", "The latency of a mapping, its bounds, and what binds it."),
    "compare": ("analyze", "Several mappings side by side: their latencies and differences."),
    "curve": ("analyze", "The latency against the bandwidth of a component."),
    "explain": ("analyze", "What binds the latency, what has slack, and what would help most."),
    "explore": (
        "explore",
        "The best schedules of a mapping, over the choices that it leaves open.",
    ),
    "formula": ("formula", "The latency as a formula of sizes, throughputs and slots."),
    "report": ("draw", "Everything about a mapping as one page of HTML."),
    "roofline": ("analyze", "AccelForge's own figures for a mapping."),
    "timeline": ("draw", "When every port serves which access, as text, a picture or a trace."),
    "tree": ("draw", "The mapping as a tree."),
    "warm-up": ("warm_up", "Compile what explorations need, once per installation."),
}
"""Command → (module of this package, short help)."""


class _Commands(click.Group):
    """The commands, each imported on first use; a command returns the value to print.

    Every error that a user can cause ends in one clear line, never in a traceback.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in _COMMANDS:
            return None
        module = import_module(f"polylat.cli.{_COMMANDS[cmd_name][0]}")
        command: click.Command = getattr(module, cmd_name.replace("-", "_"))
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        # Without importing the commands.
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in _COMMANDS.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        # Without importing the commands, which `click.Group` does to find hidden ones.
        from click.shell_completion import CompletionItem

        found = [
            CompletionItem(name, help=text)
            for name, (_, text) in _COMMANDS.items()
            if name.startswith(incomplete)
        ]
        return found + click.Command.shell_complete(self, ctx, incomplete)

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
            print_result(result)
            if sys.stdout is not None:  # None if the shell has closed it
                sys.stdout.flush()
        except (click.Abort, KeyboardInterrupt) as error:
            if isinstance(error.__cause__, InterruptedExplorationError):
                _print_error(str(error.__cause__))
            sys.exit(_INTERRUPTED)
        except click.UsageError as error:
            command = error.ctx.command_path if error.ctx else "polylat"
            message = error.format_message()
            stop = "" if message.endswith((".", "?")) else "."  # some releases of click end without
            _fail(f"{message}{stop} See {command} --help.")
        except click.ClickException as error:
            _fail(error.format_message())
        except PolylatError as error:
            _fail(str(error))
        except BrokenPipeError:
            _discard_output()
            sys.exit(_PIPE_CLOSED)
        except OSError as error:
            if error.filename is not None:
                raise
            _discard_output()
            _fail(f"the output cannot be written: {error.strerror or error}")
        except MemoryError:
            _fail("there is not enough memory; use --granularity tile, or a smaller input")
        sys.exit(0)


def _discard_output() -> None:
    """Discard the rest of the buffer, which has no reader any more."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _fail(message: str) -> NoReturn:
    _print_error(escape_hidden(" ".join(message.split())))
    sys.exit(BAD_INPUT)


def _print_error(message: str) -> None:
    print(f"polylat: {message}", file=sys.stderr, flush=True)


@click.group(
    name="polylat",
    cls=_Commands,
    no_args_is_help=False,
    epilog=examples(
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
