"""Kinds of values that the keys of the input take, as pydantic types."""

from __future__ import annotations

from fractions import Fraction
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator
from pydantic_core import PydanticCustomError

from polylat.characters import describe_character, find_hidden
from polylat.spec.reading.suggest import describe_value

_MAX_NAME_LENGTH = 200


def _scalar(value: Any) -> Any:
    if isinstance(value, (str, int, float, Fraction)):
        return value
    raise PydanticCustomError(
        "scalar", "must be a number or an expression, not {got}", {"got": describe_value(value)}
    )


def _optional_scalar(value: Any) -> Any:
    return None if value is None else _scalar(value)


def _index(value: Any) -> Any:
    """Check an index of a projection: a string or an integer."""
    if isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool)):
        return str(value)
    raise PydanticCustomError(
        "index",
        "must be an expression of rank variables, not {got}",
        {"got": describe_value(value)},
    )


def _projection(value: Any) -> Any:
    """Check a projection: a list of rank variables, or a mapping from ranks to indices."""
    if isinstance(value, dict):
        return {rank: _index(index) for rank, index in value.items()}
    if isinstance(value, list):
        return [_index(index) for index in value]
    raise PydanticCustomError(
        "projection",
        "must be a list of rank variables or a mapping from ranks to expressions, not {got}",
        {"got": describe_value(value)},
    )


def _text(value: Any) -> Any:
    if isinstance(value, str):
        if value.strip():
            return str(value)
        raise PydanticCustomError("text", "must not be empty", {})
    raise PydanticCustomError("text", "must be a string, not {got}", {"got": describe_value(value)})


def _name(value: Any) -> Any:
    if not isinstance(value, str):
        raise PydanticCustomError(
            "name", "must be a name, not {got}", {"got": describe_value(value)}
        )
    if len(value) > _MAX_NAME_LENGTH:
        raise PydanticCustomError(
            "name", "a name of {size} characters is too long", {"size": len(value)}
        )
    hidden = find_hidden(value)
    if hidden is not None:
        raise PydanticCustomError(
            "name",
            "the name {name} contains the character {hidden}, which does not show",
            {"name": describe_value(value), "hidden": describe_character(hidden)},
        )
    return _text(value)


def _flag(value: Any) -> Any:
    if isinstance(value, bool):
        return value
    text = str(value).strip().lower() if isinstance(value, (str, int)) else ""
    if text in ("true", "yes", "on", "1"):
        return True
    if text in ("false", "no", "off", "0"):
        return False
    raise PydanticCustomError(
        "flag", "must be true or false, not {got}", {"got": describe_value(value)}
    )


def _optional_flag(value: Any) -> Any:
    return None if value is None else _flag(value)


def _list(value: Any) -> Any:
    if value is None:
        return []
    if isinstance(value, list):
        return value
    raise PydanticCustomError("list", "must be a list, not {got}", {"got": describe_value(value)})


def _table(value: Any) -> Any:
    if value is None:
        return {}
    if isinstance(value, dict):
        return value
    raise PydanticCustomError(
        "table", "must be a mapping, not {got}", {"got": describe_value(value)}
    )


def _direction(value: Any) -> Any:
    if isinstance(value, (str, dict)):
        return value
    raise PydanticCustomError(
        "direction",
        "must be up, down, up_and_down or a mapping, not {got}",
        {"got": describe_value(value)},
    )


def _loop_variable(value: Any) -> Any:
    """Check a loop's rank variable: a name, a list of names, or Einsum → name."""
    if isinstance(value, list) and value:
        return [_name(each) for each in value]
    if isinstance(value, dict) and value:
        return {einsum: _name(each) for einsum, each in value.items()}
    return _name(value)


Scalar = Annotated[Any, AfterValidator(_scalar)]
OptionalScalar = Annotated[Any, AfterValidator(_optional_scalar)]
Name = Annotated[Any, AfterValidator(_name)]
Text = Annotated[Any, AfterValidator(_text)]
Projection = Annotated[Any, AfterValidator(_projection)]
Flag = Annotated[Any, AfterValidator(_flag)]
OptionalFlag = Annotated[Any, AfterValidator(_optional_flag)]
TollDirection = Annotated[Any, AfterValidator(_direction)]
LoopVariable = Annotated[Any, AfterValidator(_loop_variable)]
Listed = BeforeValidator(_list)
Tabled = BeforeValidator(_table)
ScalarTable = Annotated[dict[str, Scalar], Tabled]
AnyTable = Annotated[dict[str, Any], Tabled]
Names = Annotated[list[Name], Listed]
