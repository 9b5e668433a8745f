"""Variables given by the caller: refuse one that the input does not use.

A variable that is not used is most likely misspelled.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from polylat.errors import SpecError
from polylat.spec.parts import SpecParts
from polylat.spec.reading.expressions.functions import FUNCTIONS
from polylat.spec.reading.expressions.lazy_value import LazyValue
from polylat.spec.reading.suggest import did_you_mean, format_value

_MAX_LISTED = 12
_IDENTIFIER = re.compile(r"[^\W\d]\w*")
_NAME_KEYS = frozenset(("component", "component_class", "direction", "einsum", "name", "type"))
"""Keys whose values are names, never expressions."""


@dataclass(frozen=True)
class GivenVariables:
    """The variables that a caller gave for an input.

    Parameters
    ----------
    unused
        Names of the given variables that the input does not use.
    known
        Names of all variables that the input is known to have, sorted.
    """

    unused: tuple[str, ...] = ()
    known: tuple[str, ...] = ()


def find_unused(
    given: Collection[str],
    declared: Iterable[str],
    rendered: Iterable[str],
    table: Mapping[str, Any],
    tree: Any,
    spec: SpecParts,
) -> GivenVariables:
    """Determine which of the given variables an input uses.

    A variable is used if it is declared, occurs in a template, was evaluated, or is mentioned by an
    expression. Not every expression is evaluated (one for an energy, for instance), so a mention
    counts unless it is the name of something else.

    Parameters
    ----------
    given
        Names of the variables that the caller gave.
    declared
        Names under ``variables``.
    rendered
        Names in templates.
    table
        Values of all variables, after all required expressions were evaluated.
    tree
        The input.
    spec
        The `Spec` that the input describes.

    Returns
    -------
    GivenVariables
        The unused and the known variables.
    """
    used = {name for name in given if isinstance(table[name], LazyValue) and table[name].done}
    known = {*declared, *rendered, *used}
    unused = [name for name in given if name not in known]
    if unused:
        mentioned = {name for text in _texts(tree) for name in _IDENTIFIER.findall(text)}
        mentioned -= _names(spec) | _sized_ranks(tree)
        unused = [name for name in unused if name not in mentioned]
    return GivenVariables(tuple(unused), tuple(sorted(known)))


def refuse_unused(inputs: Sequence[GivenVariables]) -> None:
    """Refuse a variable that none of the inputs uses.

    Parameters
    ----------
    inputs
        The variables given for each input (at least one input).

    Raises
    ------
    SpecError
        No input uses one of the variables; the message lists the variables that exist.
    """
    known = sorted({name for given in inputs for name in given.known})
    for name in inputs[0].unused:
        if all(name in given.unused for given in inputs):
            fix = did_you_mean(name, known) or "leave it out, or declare it under variables"
            listed = ", ".join(known[:_MAX_LISTED]) + (", …" if len(known) > _MAX_LISTED else "")
            only = f" (it has: {listed})" if fix.startswith("did you") else ""
            raise SpecError(f"the input has no variable {format_value(name)}{only}", fix=fix)


def _texts(tree: Any) -> Iterator[str]:
    """Yield every text of the input that may be an expression."""
    if isinstance(tree, str):
        yield tree
    elif isinstance(tree, dict):
        for key, value in tree.items():
            if key not in _NAME_KEYS:
                yield from _texts(value)
    elif isinstance(tree, list):
        for value in tree:
            yield from _texts(value)


def _sized_ranks(tree: Any) -> set[str]:
    """Ranks whose size the input gives: in other sizes, they hide variables of the same name."""
    workload = tree["workload"]
    return {
        name for part in (workload, *workload["einsums"]) for name in part.get("rank_sizes") or ()
    }


def _names(spec: SpecParts) -> set[str]:
    """Names in the input that are not variables."""
    workload = spec.workload
    rank_variables = {name for einsum in workload.einsums for name in einsum.rank_variables}
    tensors = {*workload.tensors, *(name for name, _ in workload.earlier)}
    return rank_variables | {*tensors, *spec.arch.order, *FUNCTIONS}
