"""Every exception that polylat raises on purpose.

A message says three things: what is wrong, where in the input (a path of keys, the line where it
is known), and what would mend it.
"""

from __future__ import annotations


class PolylatError(Exception):
    """Base of all errors that a user can cause.

    Parameters
    ----------
    what
        What is wrong, as a sentence without a final full stop.
    where
        Where in the input: a path of keys, a node of the mapping, a file and line.
    mend
        What would put it right.

    Examples
    --------
    >>> from polylat.errors import MappingError
    >>> print(MappingError("no loop over 'k'", where="mapping.nodes[3]", mend="add a Temporal"))
    mapping.nodes[3]: no loop over 'k'. To mend it: add a Temporal.
    """

    def __init__(self, what: str, *, where: str | None = None, mend: str | None = None) -> None:
        self.what = what
        self.where = where
        self.mend = mend
        super().__init__(what, where, mend)

    def __str__(self) -> str:
        text = self.what.rstrip(".")
        if self.where:
            text = f"{self.where}: {text}"
        if self.mend:
            text = f"{text}. To mend it: {self.mend.rstrip('.')}"
        return text if text.endswith("?") else f"{text}."


class SpecError(PolylatError, ValueError):
    """The input is not what its format asks for: a wrong key, type, value or name."""


class ExpressionError(SpecError):
    """An expression in the input cannot be evaluated."""


class UnsupportedError(PolylatError, NotImplementedError):
    """The input is meaningful to AccelForge, but polylat does not model it."""


class OptionError(PolylatError, ValueError):
    """An option of `analyze` (or of the file's ``schedule:`` key) cannot be used."""


class MappingError(PolylatError, ValueError):
    """The mapping is illegal: it does not compute its cascade."""


class ScheduleError(PolylatError):
    """No order of the ports agrees with the dependences; names the cycle."""


class CapacityError(PolylatError):
    """A memory holds more bits than its size (raised only with ``enforce_capacity``)."""


class TooLargeError(PolylatError):
    """The analysis would visit more tile iterations than ``max_tiles`` allows."""


class MissingExtraError(PolylatError, ImportError):
    """A library of an optional extra is not installed; names the extra."""


class ExplorationError(PolylatError):
    """An exploration ended early; `exploration` has all that was finished (None: nothing).

    Parameters
    ----------
    exploration
        What was finished.
    """

    def __init__(
        self,
        what: str,
        *,
        where: str | None = None,
        mend: str | None = None,
        exploration: object = None,
    ) -> None:
        super().__init__(what, where=where, mend=mend)
        self.exploration = exploration


class StoreError(ExplorationError, OSError):
    """The file of results cannot be read or written."""


class WorkerError(ExplorationError, RuntimeError):
    """A process or machine that an exploration uses has died, or cannot be reached."""


class InterruptedExplorationError(ExplorationError, KeyboardInterrupt):
    """An exploration was interrupted (Ctrl-C)."""
