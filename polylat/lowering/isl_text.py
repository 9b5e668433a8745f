"""Constraints of a leaf in the syntax of ISL.

References
----------
Verdoolaege, "isl: An Integer Set Library for the Polyhedral Model", ICMS 2010.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from polylat.lowering.paths import Leaf
from polylat.spec.affine import Affine

__all__ = ["affine_text", "conjunction", "digits_within", "quote", "set_text", "tile_condition"]


def set_text(dims: Sequence[str], hidden: Sequence[str], conditions: Sequence[str]) -> str:
    """Return the text of an ISL set with existentially quantified variables.

    Parameters
    ----------
    dims
        Names of the set's dimensions.
    hidden
        Names of the existentially quantified variables.
    conditions
        Constraints, of which all hold.

    Returns
    -------
    str
        The set.
    """
    exists = f"exists {', '.join(hidden)} : " if hidden else ""
    return f"{{ [{', '.join(dims)}] : {exists}{conjunction(conditions)} }}"


def quote(name: str) -> str:
    """Return a name that ISL's parser accepts, which has reserved words.

    Parameters
    ----------
    name
        Any name.

    Returns
    -------
    str
        The name, with characters replaced or added where necessary.
    """
    reserved = {"and", "or", "not", "exists", "mod", "floor", "ceil", "floord", "ceild", "min"}
    reserved |= {"max", "infty", "infinity", "true", "false", "implies", "int", "rat", "NaN"}
    plain = re.sub(r"\W", "_", name)
    if plain.lower() in {r.lower() for r in reserved} or not plain[:1].isalpha():
        return f"{plain}_" if plain[:1].isalpha() else f"x_{plain}"
    return plain


def digits_within(leaf: Leaf, variables: Sequence[str], known: Mapping[int, str]) -> list[int]:
    """Return the loops over variables, down to the innermost loop with a known index.

    Parameters
    ----------
    leaf
        The leaf.
    variables
        Rank variables.
    known
        Position of a loop → the name of its index.

    Returns
    -------
    list of int
        Positions of loops on the path, increasing. Per variable, the loops inside the innermost
        known one are omitted: they do not restrict the tile.
    """
    inner: list[int] = []
    for v in variables:
        over_variable = [p for p, loop in enumerate(leaf.loops) if loop.variable == v]
        last = max((p for p in over_variable if p in known), default=-1)
        inner += [p for p in over_variable if p <= last]
    return sorted(inner)


def tile_condition(leaf: Leaf, variable: str, name: str, digits: Mapping[int, str]) -> str:
    """Return the condition that a value of a variable lies in a tile.

    Parameters
    ----------
    leaf
        The leaf.
    variable, name
        The rank variable, and its name in the text.
    digits
        Position of a loop → the name of its index, or ``"0"``. Loops over other variables have
        no effect.

    Returns
    -------
    str
        The condition.
    """
    low, high = leaf.ranges[variable]
    conditions = [f"{low} <= {name} <= {high}"]
    start = str(low)
    for p, loop in enumerate(leaf.loops):
        if loop.variable == variable and p in digits:
            digit = digits[p]
            if loop.initial is None or digit == "0":
                start += f" + {loop.tile}*{digit}" if digit != "0" else ""
                conditions.append(f"{start} <= {name} < {start} + {loop.first}")
                if digit != "0":
                    conditions.append(f"{digit} >= 0")
                continue
            later = f"{start} + {loop.first - loop.tile} + {loop.tile}*{digit}"
            conditions.append(
                f"(({digit} = 0 and {start} <= {name} < {start} + {loop.first})"
                f" or ({digit} >= 1 and {later} <= {name} < {later} + {loop.tile}))"
            )
            # The part of the first iteration, 0 or its size, is what the first tile adds.
            start += f" + {loop.tile}*{digit} + {loop.first - loop.tile}*min({digit}, 1)"
    return " and ".join(conditions)


def affine_text(expression: Affine, names: Mapping[str, str]) -> str:
    """Return the text of an affine expression.

    Parameters
    ----------
    expression
        The expression.
    names
        Rank variable → its name in the text.

    Returns
    -------
    str
        The text.
    """
    terms = [f"{k}*{names[v]}" for v, k in expression.terms]
    return " + ".join([*terms, str(expression.constant)])


def conjunction(conditions: Iterable[str]) -> str:
    """Join conditions with ``and``.

    Parameters
    ----------
    conditions
        The conditions; empty ones are ignored.

    Returns
    -------
    str
        The conjunction; a tautology if there is no condition.
    """
    return " and ".join(c for c in conditions if c) or "1 = 1"
