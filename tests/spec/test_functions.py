"""Functions of the caller in expressions."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from builders import EXAMPLES
from polylat.errors import ExpressionError, OptionError
from polylat.report import analyze
from polylat.spec import Spec
from polylat.spec.reading.load import load

RATES = [{"name": "read", "throughput": "rate"}, {"name": "write", "throughput": 1}]


def data(rate: str, **variables: Any) -> dict[str, Any]:
    accesses = [
        {"name": "A", "projection": ["m"]},
        {"name": "B", "projection": ["m"], "output": True},
    ]
    compute = [{"name": "compute", "throughput": 1}]
    return {
        "variables": {"rate": rate, **variables},
        "workload": {
            "rank_sizes": {"M": 4},
            "bits_per_value": {"All": 8},
            "einsums": [{"name": "B", "tensor_accesses": accesses}],
        },
        "arch": {
            "nodes": [
                {"type": "Memory", "name": "DRAM", "size": "inf", "actions": RATES},
                {
                    "type": "Container",
                    "name": "PE",
                    "spatial": [{"name": "x", "fanout": 3}, {"name": "y", "fanout": "2 + 3"}],
                },
                {"type": "Compute", "name": "mac", "actions": compute},
            ]
        },
        "mapping": {
            "nodes": [
                {"type": "Storage", "component": "DRAM", "tensors": ["A", "B"]},
                {"type": "Temporal", "rank_variable": "m", "tile_shape": 1},
                {"type": "Compute", "einsum": "B", "component": "mac"},
            ]
        },
    }


def rate(text: str, functions: Mapping[str, Callable[..., Any]], **variables: Any) -> Any:
    """The value of an expression."""
    spec = Spec.from_dict(data(text, **variables), functions=functions)
    return 1 / spec.arch.component("B", "DRAM").ports[0].durations["read"]


@pytest.mark.parametrize(
    ("text", "functions", "expected"),
    [
        ("f(3)", {"f": lambda n: n + 0.1}, Fraction(31, 10)),
        ("f(1/3)", {"f": lambda n: n * 2}, Fraction(2, 3)),
        ("f(3, b=4)", {"f": lambda a, b: a * b}, 12),
        ("f(*[1, 2])", {"f": lambda a, b: a + b}, 3),
        ("f(3) + 1", {"f": lambda n: n > 2}, 2),
        ("sum(f(3))", {"f": lambda n: tuple(range(n))}, 3),
        ("g(f)", {"f": lambda: 7, "g": lambda function: function()}, 7),
        ("(f if 1 > 2 else g)(4)", {"f": lambda n: n, "g": lambda n: 2 * n}, 8),
        ("alias(4)", {"f": lambda n: 3 * n}, 12),
        ("f([1] * 4, [2, 3])", {"f": lambda a, b: len(a) * sum(b)}, 20),
        ("f('text')", {"f": len}, 4),
        ("f(spec)", {"f": lambda spec: len(spec["arch"]["nodes"])}, 3),
        ("f(1)", {"f": math.exp}, Fraction(repr(math.e))),
    ],
)
def test_values(text: str, functions: dict[str, Any], expected: Any) -> None:
    alias = {"alias": "f"} if "alias" in text else {}
    assert rate(text, functions, **alias) == expected


def test_sets_and_methods_of_components() -> None:
    changed = data("1")
    changed["arch"]["nodes"][0]["actions"] = [
        {"name": "read", "throughput": "f(Inputs)"},
        {"name": "write", "throughput": "PE.get_fanout()"},
    ]
    spec = Spec.from_dict(changed, functions={"f": lambda names: {"A": 5}[names[0]]})
    (port,) = spec.arch.component("B", "DRAM").ports
    assert port.durations == {"read": Fraction(1, 5), "write": Fraction(1, 15)}


def test_numbers_of_calls_are_not_known_yet() -> None:
    """`roofline` evaluates such a latency: it knows them."""
    changed = data("1")
    changed["arch"]["nodes"][0]["total_latency"] = "f(actions['read'].n_calls)"
    spec = Spec.from_dict(changed, functions={"f": lambda n: n + 100})
    assert spec.arch.component("B", "DRAM").busy_time({"read": 32}) == 132


def test_the_input_keeps_them() -> None:
    file = EXAMPLES / "two_convolutions.yaml"
    spec = load(file, P="f(20)", functions={"f": lambda n: n})
    assert spec.with_variables(P="f(16)") == load(file)
    assert analyze(spec).latency == 266


@pytest.mark.parametrize(
    ("text", "functions", "message"),
    [
        (
            "rows_in_all(3)",
            {"rate": abs},
            (
                "variables.rate: cannot evaluate 'rows_in_all(3)': there is no function "
                "'rows_in_all'. Fix: AccelForge takes functions of your own from Python files "
                "(config.expression_custom_functions), which polylat never runs: give them in "
                "Python, polylat.load(…, functions={'rows_in_all': …})."
            ),
        ),
        ("flor(3)", {}, "functions={'flor': …}) gives one of your own). Did you mean 'floor'?"),
        ("f(3)", {"f": lambda n: 1 / 0}, "f() raised ZeroDivisionError: division by zero. Fix: me"),
        ("f(3)", {"f": lambda: 1}, "f() raised TypeError: "),
        ("f(3)", {"f": str}, "f() returned '3', which is not a number: str. Fix: ret"),
        ("f(3)", {"f": lambda n: None}, "f() returned None, which is not a number: NoneType"),
        ("f(3)", {"f": lambda n: math.nan}, "f() returned nan, which is not a number (nan)"),
        ("f(3)", {"f": lambda n: [n, "x"]}, "f() returned 'x', which is not a number: str"),
        ("f(3)", {"f": lambda n: [0] * 20_000}, "f() returned more than 10000 values"),
        ("f", {"f": abs}, "must be a number"),
        ("f + 1", {"f": abs}, "cannot compute the function 'f' + a number"),
        ("spec(1)", {"f": abs}, "the input cannot be called"),
        ("spec.arch", {"f": abs}, "the input has no attributes"),
        ("f(**3)", {"f": abs}, "f() is called with **"),
        ("f(PE)", {"f": abs}, "'PE' is not defined"),
        ("(3)(4)", {"f": abs}, "a number cannot be called"),
    ],
)
def test_wrong_calls(text: str, functions: dict[str, Any], message: str) -> None:
    with pytest.raises(ExpressionError) as error:
        rate(text, functions)
    assert message in str(error.value)
    assert error.value.where is not None


@pytest.mark.parametrize(
    ("functions", "message"),
    [
        (3, "functions must be a mapping, not 3"),
        ({"ceil": abs}, "functions has 'ceil', which all expressions have already"),
        ({"pi": abs}, "functions has 'pi', which all expressions have already"),
        ({"a b": abs}, "functions has 'a b', which is not the name of a function"),
        ({"f": 3}, "functions['f'] is not a function, but 3"),
    ],
)
def test_wrong_functions(functions: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(OptionError) as error:
        Spec.from_dict(data("1"), functions=functions)
    assert str(error.value).startswith(message)
    with pytest.raises(OptionError) as error:
        load(tmp_path / "none.yaml", functions=functions)
    assert str(error.value).startswith(message)
