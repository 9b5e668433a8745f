"""Functions of the caller, for expressions that use functions of their own."""

from __future__ import annotations

import keyword
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from polylat.errors import OptionError
from polylat.spec.reading.expressions.functions import CONSTANTS, FUNCTIONS
from polylat.spec.reading.expressions.objects import Opaque
from polylat.spec.reading.suggest import format_value

__all__ = ["CustomFunctions", "check_functions"]


@dataclass(frozen=True, eq=False)
class CustomFunctions:
    """Functions for the expressions of an input.

    Parameters
    ----------
    by_name
        Name → function.
    spec
        What expressions pass to functions as ``spec``: AccelForge's ``Spec`` if the input is one;
        None: the input as plain data.
    """

    by_name: Mapping[str, Callable[..., Any]] = field(default_factory=dict)
    spec: Any = None

    def names(self, tree: Any) -> dict[str, Any]:
        """Return the names that they add to all expressions.

        Parameters
        ----------
        tree
            The input as plain data.

        Returns
        -------
        dict
            Name → value; empty if there are no functions.
        """
        if not self.by_name:
            return {}
        found = {name: Opaque(f"the function {name!r}", f) for name, f in self.by_name.items()}
        return {"spec": Opaque("the input", tree if self.spec is None else self.spec), **found}


def check_functions(given: object) -> dict[str, Callable[..., Any]]:
    """Check functions given by the caller.

    Parameters
    ----------
    given
        Name → function; None: no functions.

    Returns
    -------
    dict
        The functions by name.

    Raises
    ------
    OptionError
        If it is not such a mapping, or names a function that expressions already have.
    """
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise OptionError(
            f"functions must be a mapping, not {format_value(given)}",
            fix="give functions by name: functions={'f': f}",
        )
    for name, function in given.items():
        if not isinstance(name, str) or not name.isidentifier() or keyword.iskeyword(name):
            raise OptionError(
                f"functions has {format_value(name)}, which is not the name of a function",
                fix="use the name by which expressions call it",
            )
        if name in FUNCTIONS or name in CONSTANTS:
            raise OptionError(
                f"functions has {name!r}, which all expressions have already",
                fix="leave it out, or rename it",
            )
        if not callable(function):
            raise OptionError(
                f"functions[{name!r}] is not a function, but {format_value(function)}",
                fix="give something that can be called",
            )
    return dict(given)
