"""Docstrings of public functions, methods and classes: parameters and results are documented."""

from __future__ import annotations

import dataclasses
import inspect
import pkgutil
from collections.abc import Iterator
from functools import cached_property
from importlib import import_module
from types import FunctionType, ModuleType
from typing import Any

import pytest

import polylat

validation = pytest.importorskip("numpydoc.validate", reason="the extra `lint` is not installed")

CODES = {
    "GL08",  # there is no docstring
    "PR01",  # parameters are not documented
    "PR02",  # documented parameters do not exist
    "PR03",  # parameters are in another order
    "RT01",  # there is no section Returns
    "YD01",  # there is no section Yields
}
MODULES = ["polylat"] + [
    module.name
    for module in pkgutil.walk_packages(polylat.__path__, "polylat.")
    if not module.name.endswith("__main__")
]


class _Validator(validation.Validator):  # type: ignore[name-defined,misc]
    """Validates an object instead of a name."""

    def __init__(self, obj_name: Any) -> None:
        super().__init__(validation.get_doc_object(obj_name))


class _ClassValidator(_Validator):
    """Parameters of a class are its public fields, inherited ones optionally among them."""

    @cached_property
    def signature_parameters(self) -> tuple[str, ...]:
        cls: type = self.obj
        if not ({"__init__", "__dataclass_fields__", "_field_defaults"} & {*vars(cls)}):
            return ()  # as the base class
        if getattr(cls, "_is_protocol", False):
            return ()  # typing gives protocols an __init__(*args, **kwargs)
        names = [name for name in super().signature_parameters if not name.startswith("_")]
        if dataclasses.is_dataclass(cls):
            own = {*inspect.get_annotations(cls)}
            documented = {*self.doc_all_parameters}
            names = [name for name in names if name in own or name in documented]
        return tuple(names)


def function_of(value: Any) -> FunctionType | None:
    """The function that a value wraps: a method, a compiled or a decorated function."""
    if isinstance(value, (staticmethod, classmethod)):
        value = value.__func__
    value = inspect.unwrap(getattr(value, "py_func", value))
    return value if isinstance(value, FunctionType) else None


def public_objects(module: ModuleType) -> Iterator[tuple[str, Any]]:
    """The public functions, classes and methods that a module defines."""
    for name, value in vars(module).items():
        if name.startswith("_") or getattr(value, "__module__", None) != module.__name__:
            continue
        if not inspect.isclass(value):
            function = function_of(value)
            if function is not None:
                yield name, function
            continue
        yield name, value
        for attribute, member in vars(value).items():
            function = None if attribute.startswith("_") else function_of(member)
            if function is not None and function.__module__ == module.__name__:
                yield f"{name}.{attribute}", function


def findings(module: ModuleType) -> list[str]:
    """What is wrong with the docstrings of a module, a line for each problem."""
    found = []
    for name, value in public_objects(module):
        validator = _ClassValidator if inspect.isclass(value) else _Validator
        errors = validation.validate(value, validator)["errors"]
        found += [f"{name}: {code} {text}" for code, text in errors if code in CODES]
    return found


@pytest.mark.parametrize("module", MODULES)
def test_docstrings(module: str) -> None:
    found = findings(import_module(module))
    assert not found, "\n" + "\n".join(found)


def test_findings() -> None:
    """The check finds what it is for."""

    def undocumented(first: int, second: int) -> int:
        """Add."""
        return first + second

    def generator() -> Iterator[int]:
        """Count."""
        yield 1

    @dataclasses.dataclass
    class Fields:
        """A pair.

        Parameters
        ----------
        second, first, third
            Numbers.
        """

        first: int
        second: int
        _hidden: int = 0

    module = ModuleType(__name__)
    for value in (undocumented, generator, Fields):
        setattr(module, value.__name__, value)
    codes = [line.split()[:2] for line in findings(module)]
    assert codes == [
        ["undocumented:", "PR01"],
        ["undocumented:", "RT01"],
        ["generator:", "YD01"],
        ["Fields:", "PR02"],
    ]
