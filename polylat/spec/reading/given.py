"""Variables given by the caller: one that the input does not use is a misspelt one."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from polylat.errors import SpecError
from polylat.spec import Spec
from polylat.spec.reading.functions import FUNCTIONS
from polylat.spec.reading.scope import Lazy
from polylat.spec.reading.suggest import did_you_mean, shown

MOST = 12
_NAME = re.compile(r"[^\W\d]\w*")
_NAMING = frozenset(("component", "component_class", "direction", "einsum", "name", "type"))
"""Keys below which there are names and no expressions."""


@dataclass(frozen=True)
class Given:
    """The variables that a caller gave for an input.

    Parameters
    ----------
    unused
        Those that the input does not use.
    known
        All that it is known to have.
    """

    unused: tuple[str, ...] = ()
    known: tuple[str, ...] = ()


def sort_out(
    given: Collection[str],
    declared: Iterable[str],
    rendered: Iterable[str],
    table: Mapping[str, Any],
    tree: Any,
    spec: Spec,
) -> Given:
    """Which variables are used: declared, in a template, evaluated, or named by an expression.

    Not every expression is evaluated, such as one for an energy; what it names counts, unless
    that is the name of something else.

    Parameters
    ----------
    given
        Names of the variables that the caller gave.
    declared
        Names under ``variables``.
    rendered
        Names in templates.
    table
        The values of all variables after everything that is needed was evaluated.
    tree
        The input.
    spec
        What it describes.
    """
    used = {name for name in given if isinstance(table[name], Lazy) and table[name].done}
    known = {*declared, *rendered, *used}
    unused = [name for name in given if name not in known]
    if unused:
        mentioned = {name for text in _texts(tree) for name in _NAME.findall(text)}
        mentioned -= _names(spec)
        unused = [name for name in unused if name not in mentioned]
    return Given(tuple(unused), tuple(sorted(known)))


def refuse_unused(inputs: Sequence[Given]) -> None:
    """Refuse a variable that none of some inputs uses.

    Raises
    ------
    SpecError
        There is one; names those that there are.
    """
    known = sorted({name for given in inputs for name in given.known})
    for name in inputs[0].unused:
        if all(name in given.unused for given in inputs):
            mend = did_you_mean(name, known) or "leave it out, or declare it under variables"
            told = ", ".join(known[:MOST]) + (", …" if len(known) > MOST else "")
            only = f" (it has: {told})" if mend.startswith("did you") else ""
            raise SpecError(f"the input has no variable {shown(name)}{only}", mend=mend)


def _texts(tree: Any) -> Iterator[str]:
    if isinstance(tree, str):
        yield tree
    elif isinstance(tree, dict):
        for key, value in tree.items():
            if key not in _NAMING:
                yield from _texts(value)
    elif isinstance(tree, list):
        for value in tree:
            yield from _texts(value)


def _names(spec: Spec) -> set[str]:
    workload = spec.workload
    variables = {name for einsum in workload.einsums for name in einsum.rank_variables}
    return variables | {*workload.tensors, *spec.arch.order, *FUNCTIONS}
