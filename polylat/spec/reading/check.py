"""Check the shape of the input, and say what is wrong with it in its own words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

from pydantic import BaseModel, ValidationError

from polylat.errors import SpecError
from polylat.spec.reading.models import (
    ARCH_NODES,
    MAPPING_NODES,
    TAGS,
    SpecModel,
    node_type,
)
from polylat.spec.reading.suggest import did_you_mean, shown
from polylat.spec.reading.tree import At

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails


def check(data: Any, at: At) -> SpecModel:
    """The input as models.

    Raises
    ------
    SpecError
        Names the first thing that is wrong, and how many more there are.
    """
    try:
        return SpecModel.model_validate(data)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_context=True)
    except RecursionError:
        raise SpecError("the input is nested too deeply", where=str(at)) from None
    first = _first(problems)
    what, mend, path = _told(first, data)
    unknown = first["type"] == "extra_forbidden"
    more = len(problems) - 1
    if more:
        what += f" ({more} more {'problem' if more == 1 else 'problems'} in the input)"
    place = at
    for key in path:
        place = place / key
    where = place.with_line_of(first["loc"][-1]) if unknown else str(place)
    raise SpecError(what, where=where or None, mend=mend)


def _first(problems: list[ErrorDetails]) -> ErrorDetails:
    """The problem to tell: an unknown key explains why another one is missing next to it."""
    first = problems[0]
    if first["type"] == "missing":
        for other in problems:
            if other["type"] == "extra_forbidden" and other["loc"][:-1] == first["loc"][:-1]:
                return other
    return first


def _told(error: ErrorDetails, data: Any) -> tuple[str, str | None, list[str | int]]:
    kind = error["type"]
    path = _path(error["loc"], data)
    if kind == "extra_forbidden":
        key = path.pop() if path else ""
        mend = did_you_mean(key, _keys(error["loc"]))
        if isinstance(key, str) and set(key) & set("()[]"):
            mend = "put an expression that contains commas in quotes"
        return f"unknown key {shown(key)}", mend, path
    if kind == "missing":
        key = str(error["loc"][-1])
        path = _path(error["loc"][:-1], data)
        return f"the key {key!r} is missing", f"add {key}", path
    if kind == "recursion_loop":
        return "the input contains itself, or is nested too deeply", None, path
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        what, mend = _no_node(error, ARCH_NODES if path[:1] == ["arch"] else MAPPING_NODES)
        return what, mend, path
    message = error["msg"]
    message = message[:1].lower() + message[1:]
    for said, told in (
        ("input should be a valid dictionary or instance of ", "must be a mapping, not "),
        ("input should be a valid dictionary", "must be a mapping, not "),
        ("input should be a valid list", "must be a list, not "),
        ("input should be a valid string", "must be a text, not "),
    ):
        if message.startswith(said):
            message = told + _kind(error["input"])
    return message, None, path


def _no_node(error: ErrorDetails, known: tuple[str, ...]) -> tuple[str, str | None]:
    value = error["input"]
    if not isinstance(value, dict):
        return f"must be a node, not {_kind(value)}", None
    if value.get("type") is None:
        return (
            "the node does not say its type",
            f"give it a tag such as !{known[0]}, or a key type: {known[0]}",
        )
    kind = node_type(value) or value["type"]
    return f"unknown type of node: {shown(kind)}", did_you_mean(kind, known)


def _kind(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        return "a mapping"
    return "a list" if isinstance(value, list) else shown(value)


def _path(loc: tuple[str | int, ...], data: Any) -> list[str | int]:
    """The path of keys in the input: pydantic's, without the names of the models it tried."""
    path: list[str | int] = []
    value = data
    for index, key in enumerate(loc):
        if _has(value, key):
            value = value[key]
        elif isinstance(value, dict) and isinstance(key, int) and key < len(value):
            path.append(list(value)[key])  # renames given as a mapping are checked as a list
            value = value[path[-1]]
            continue
        elif key in TAGS or (index and _is_choice(key)):
            continue
        else:
            value = None
            if key in ("source", "name") and index == len(loc) - 1:
                continue
        path.append(key)
    return path


def _has(value: Any, key: str | int) -> bool:
    if isinstance(value, list):
        return isinstance(key, int) and 0 <= key < len(value)
    return isinstance(value, dict) and key in value


def _is_choice(key: str | int) -> bool:
    """Whether a key of pydantic's path is the name of a type that it tried."""
    return isinstance(key, str) and (key.startswith(("dict[", "list[", "function-")))


def _keys(loc: tuple[str | int, ...]) -> list[str]:
    """The keys that are known where an unknown one stands."""
    model: Any = SpecModel
    for key in loc[:-1]:
        if isinstance(key, int) or _is_choice(key):
            continue
        found = _model_at(model, key)
        if found is not None:
            model = found
    return [name for name in model.model_fields if name != "type"]


def _model_at(model: type[BaseModel], key: str) -> type[BaseModel] | None:
    from polylat.spec.reading import models

    if key in TAGS:
        in_mapping = issubclass(model, (models.NestedModel, models.SplitModel))
        names = [f"{key}LoopModel", f"{key}NodeModel"] if in_mapping else []
        for name in [*names, f"{key}Model"]:
            if hasattr(models, name):
                found: type[BaseModel] = getattr(models, name)
                return found
        return models.NestedModel
    field = model.model_fields.get(key)
    return None if field is None else _first_model(field.annotation)


def _first_model(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if "nodes" in str(annotation) or "Discriminator" in str(annotation):
        return None  # the tag that follows says which model it is
    for part in get_args(annotation):
        found = _first_model(part)
        if found is not None:
            return found
    return None
