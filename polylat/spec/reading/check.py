"""Check the shape of the input with pydantic, and report its errors as polylat's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

from pydantic import BaseModel, ValidationError

from polylat.errors import SpecError
from polylat.spec.reading.location import Location
from polylat.spec.reading.models import arch, mapping
from polylat.spec.reading.models.base import node_type
from polylat.spec.reading.models.spec import TAGS, SpecModel
from polylat.spec.reading.suggest import describe_value, did_you_mean, format_value

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails


def validate(data: Any, at: Location) -> SpecModel:
    """Validate the input and convert it to models.

    Parameters
    ----------
    data
        The input as a tree of plain values.
    at
        The root of the input.

    Returns
    -------
    SpecModel
        The input as models.

    Raises
    ------
    SpecError
        If the shape is wrong; names the first problem and the number of further ones.
    """
    try:
        return SpecModel.model_validate(data)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_context=True)
    except RecursionError:
        raise SpecError("the input is nested too deeply", where=str(at)) from None
    first = _most_telling(problems)
    what, fix, path = _describe(first, data)
    unknown = first["type"] == "extra_forbidden"
    more = len(problems) - 1
    if more:
        what += f" ({more} more {'problem' if more == 1 else 'problems'} in the input)"
    place = at
    for key in path:
        place = place / key
    where = place.with_line_of(first["loc"][-1]) if unknown else str(place)
    raise SpecError(what, where=where or None, fix=fix)


def _most_telling(problems: list[ErrorDetails]) -> ErrorDetails:
    """Return the first problem, or the unknown (misspelt) key that explains a missing one."""
    first = problems[0]
    if first["type"] == "missing":
        for other in problems:
            if other["type"] == "extra_forbidden" and other["loc"][:-1] == first["loc"][:-1]:
                return other
    return first


def _describe(error: ErrorDetails, data: Any) -> tuple[str, str | None, list[str | int]]:
    """Return the problem, its fix and the path of keys to it."""
    kind = error["type"]
    path = _path(error["loc"], data)
    if kind == "extra_forbidden":
        key = path.pop() if path else ""
        fix = did_you_mean(key, _allowed_keys(error["loc"]))
        if isinstance(key, str) and set(key) & set("()[]"):
            fix = "put an expression that contains commas in quotes"
        return f"unknown key {format_value(key)}", fix, path
    if kind == "missing":
        key = str(error["loc"][-1])
        path = _path(error["loc"][:-1], data)
        return f"the key {key!r} is missing", f"add {key}", path
    if kind == "recursion_loop":
        return "the input contains itself, or is nested too deeply", None, path
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        what, fix = _describe_non_node(
            error, arch.ARCH_NODES if path[:1] == ["arch"] else mapping.MAPPING_NODES
        )
        return what, fix, path
    message = error["msg"]
    message = message[:1].lower() + message[1:]
    for pydantic_words, words in (
        ("input should be a valid dictionary or instance of ", "must be a mapping, not "),
        ("input should be a valid dictionary", "must be a mapping, not "),
        ("input should be a valid list", "must be a list, not "),
        ("input should be a valid string", "must be a string, not "),
    ):
        if message.startswith(pydantic_words):
            message = words + describe_value(error["input"])
    return message, None, path


def _describe_non_node(error: ErrorDetails, known: tuple[str, ...]) -> tuple[str, str | None]:
    value = error["input"]
    if not isinstance(value, dict):
        return f"must be a node, not {describe_value(value)}", None
    if value.get("type") is None:
        return (
            "the node has no type",
            f"add a tag such as !{known[0]}, or a key such as type: {known[0]}",
        )
    kind = node_type(value) or value["type"]
    return f"unknown node type {format_value(kind)}", did_you_mean(kind, known)


def _path(loc: tuple[str | int, ...], data: Any) -> list[str | int]:
    """Return the path of keys in the input: pydantic's, without the names of models it tried."""
    path: list[str | int] = []
    value = data
    for index, key in enumerate(loc):
        if _has(value, key):
            value = value[key]
        elif isinstance(value, dict) and isinstance(key, int) and key < len(value):
            path.append(list(value)[key])  # renames given as a mapping are validated as a list
            value = value[path[-1]]
            continue
        elif key in TAGS or (index and _names_a_type(key)):
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


def _names_a_type(key: str | int) -> bool:
    """Whether a part of pydantic's path is the name of a type that it tried, not a key."""
    return isinstance(key, str) and (key.startswith(("dict[", "list[", "function-")))


def _allowed_keys(loc: tuple[str | int, ...]) -> list[str]:
    """Return the keys that are allowed at the location of an unknown one."""
    model: Any = SpecModel
    for key in loc[:-1]:
        if isinstance(key, int) or _names_a_type(key):
            continue
        found = _model_at(model, key)
        if found is not None:
            model = found
    return [name for name in model.model_fields if name != "type"]


def _model_at(model: type[BaseModel], key: str) -> type[BaseModel] | None:
    if key in TAGS:
        in_mapping = issubclass(model, (mapping.NestedModel, mapping.SplitModel))
        names = [f"{key}LoopModel", f"{key}NodeModel"] if in_mapping else []
        for name in [*names, f"{key}Model"]:
            for module in (arch, mapping):
                found: type[BaseModel] | None = getattr(module, name, None)
                if found is not None:
                    return found
        return mapping.NestedModel
    field = model.model_fields.get(key)
    return None if field is None else _first_model(field.annotation)


def _first_model(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if "nodes" in str(annotation) or "Discriminator" in str(annotation):
        return None  # a list of nodes: the tag that follows selects the model
    for part in get_args(annotation):
        found = _first_model(part)
        if found is not None:
            return found
    return None
