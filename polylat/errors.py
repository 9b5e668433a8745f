"""The exceptions that polylat raises on purpose.

A message has three parts: what is wrong, where in the input (a path of keys and, where known, the
line), and how to fix it.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from polylat.characters import escape_hidden


class PolylatError(Exception):
    """Base class of all errors that a user can cause.

    Parameters
    ----------
    what
        What is wrong, as a sentence without a final period.
    where
        Location in the input: a path of keys, a node of the mapping, or a file and line.
    fix
        How to fix it, as an imperative or a question.

    Examples
    --------
    >>> from polylat.errors import MappingError
    >>> print(MappingError("no loop over 'k'", where="mapping.nodes[3]", fix="add a Temporal"))
    mapping.nodes[3]: no loop over 'k'. Fix: add a Temporal.
    """

    def __init__(self, what: str, *, where: str | None = None, fix: str | None = None) -> None:
        self.what = what
        self.where = where
        self.fix = fix
        super().__init__(what, where, fix)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the parts of the message, so that errors of worker processes arrive."""
        make = partial(type(self), where=self.where, fix=self.fix)
        return make, (self.what,), self.__dict__

    def __str__(self) -> str:
        # Parts may quote the input: what does not show is escaped, so that it cannot act.
        return escape_hidden(self._text())

    def _text(self) -> str:
        text = self.what.rstrip(".")
        if self.where:
            text = f"{self.where}: {text}"
        if self.fix:
            if self.fix.endswith("?"):  # such as "did you mean 'Storage'?"
                return f"{text}. {self.fix[0].upper()}{self.fix[1:]}"
            text = f"{text}. Fix: {self.fix.rstrip('.')}"
        return f"{text}."


class SpecError(PolylatError, ValueError):
    """The input does not conform to its format: a wrong key, type, value or name."""


class ExpressionError(SpecError):
    """An expression in the input cannot be evaluated."""


class UnsupportedError(PolylatError, NotImplementedError):
    """The input is valid in AccelForge, but polylat does not model it."""


class OptionError(PolylatError, ValueError):
    """An option of `analyze` (or of the file's ``schedule:`` key) cannot be used."""


class DomainError(OptionError):
    """A formula is asked for a value outside of its domain."""


class MappingError(PolylatError, ValueError):
    """The mapping is illegal: it does not compute its cascade."""


class ScheduleError(PolylatError):
    """No order of service agrees with the dependences; the message names the cycle."""


class CapacityError(PolylatError):
    """A memory holds more bits than its size (raised only with ``enforce_capacity``)."""


class TooLargeError(PolylatError):
    """The analysis would sample more tile iterations than ``max_tiles`` allows."""


class MissingExtraError(PolylatError, ImportError):
    """A library of an optional extra is not installed; the message names the extra."""


class ExplorationError(PolylatError):
    """An exploration ended early.

    Parameters
    ----------
    what, where, fix
        As for `PolylatError`.
    exploration
        The `Exploration` of the variants that were finished; None if there are none.
    """

    def __init__(
        self,
        what: str,
        *,
        where: str | None = None,
        fix: str | None = None,
        exploration: object = None,
    ) -> None:
        super().__init__(what, where=where, fix=fix)
        self.exploration = exploration


class StoreError(ExplorationError, OSError):
    """The result file cannot be read or written."""


class WorkerError(ExplorationError, RuntimeError):
    """A worker process or machine of an exploration has died or cannot be reached."""


class InterruptedExplorationError(ExplorationError, KeyboardInterrupt):
    """An exploration was interrupted (Ctrl-C)."""
