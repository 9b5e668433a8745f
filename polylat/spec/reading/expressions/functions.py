"""All functions and constants of expressions."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

from polylat.spec.reading.expressions.list_functions import LIST_FUNCTIONS
from polylat.spec.reading.expressions.number_functions import NUMBER_FUNCTIONS
from polylat.spec.reading.numbers import Number

CONSTANTS: dict[str, Number] = {
    "inf": math.inf,
    "pi": Fraction(repr(math.pi)),
    "e": Fraction(repr(math.e)),
    "tau": Fraction(repr(math.tau)),
}
FUNCTIONS: dict[str, Callable[..., Any]] = {**NUMBER_FUNCTIONS, **LIST_FUNCTIONS}
