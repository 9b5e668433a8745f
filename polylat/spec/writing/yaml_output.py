"""Write an input as AccelForge's YAML."""

from __future__ import annotations

import re
from collections.abc import Mapping
from fractions import Fraction
from io import StringIO
from typing import Any

from polylat.errors import UnsupportedError
from polylat.spec.parts import SpecParts
from polylat.spec.reading.models.spec import TAGS
from polylat.spec.reading.tree import Quoted
from polylat.spec.reading.yaml_text import parse
from polylat.spec.writing.mapping_data import mapping_data
from polylat.spec.writing.schedule_data import schedule_data

__all__ = ["dump", "input_keys", "to_yaml"]

_PLAIN = re.compile(r"[\w(~.][\w ()+*/<>=.|&~^%-]*\Z")
"""Texts that need no quotes, unless they are another value without them."""

_NAME = re.compile(r"[A-Za-z_]\w*\Z", re.ASCII)
_NO_NAMES = frozenset(("null", "true", "false", "yes", "no", "on", "off", "y", "n"))
"""Words that some version of YAML reads as another value, in lower case."""

_WIDTH = 4_000
"""Columns of the text: an expression stays on one line."""


def to_yaml(spec: SpecParts, *, schedule: bool) -> str:
    """Write an input as AccelForge's YAML.

    Parameters
    ----------
    spec
        The input.
    schedule
        Whether to write the key ``schedule``, which AccelForge does not have.

    Returns
    -------
    str
        The text of one file.

    Raises
    ------
    UnsupportedError
        Workload and architecture are not those of the input that was read.
    """
    return dump(input_keys(spec, schedule=schedule))


def input_keys(spec: SpecParts, *, schedule: bool) -> dict[str, Any]:
    """Return the top-level keys of an input as plain data.

    Parameters
    ----------
    spec, schedule
        As for `to_yaml`.

    Returns
    -------
    dict
        Key → value; expressions are not evaluated.

    Raises
    ------
    UnsupportedError
        Workload and architecture are not those of the input that was read.
    """
    source = spec.source
    if source is None or (source.workload, source.arch) != (spec.workload, spec.arch):
        raise UnsupportedError(
            "the workload or the architecture of this Spec was made or changed in Python, so that"
            " there is no input to write",
            fix="change the file or the AccelForge object instead, and read it",
        )
    keys = dict(source.tree)
    keys["mapping"] = {"nodes": mapping_data(spec.mapping, spec.workload)}
    if schedule:
        tensors = {tensor for e in spec.workload.einsums for tensor in e.tensors}
        keys["schedule"] = {**source.machine, **schedule_data(spec.schedule, tensors)}
    return keys


def dump(keys: Mapping[str, Any]) -> str:
    """Write the top-level keys of an input as YAML.

    Parameters
    ----------
    keys
        Key → value, as plain data.

    Returns
    -------
    str
        The text; keys without a value are left out.
    """
    from ruamel.yaml import YAML

    document = _mapping({})
    for key, value in keys.items():
        if key in ("arch", "mapping"):
            document[key] = _node(value)
        elif value is not None and value != {}:
            document[key] = _value(value)

    yaml = YAML()
    yaml.width = _WIDTH
    yaml.indent(mapping=2, sequence=4, offset=2)
    text = StringIO()
    yaml.dump(document, text)
    return text.getvalue()


def _node(node: Any) -> Any:
    """Convert a node of the architecture or of the mapping, without its type."""
    if not isinstance(node, Mapping):
        return _value(node)
    made = _mapping({})
    for key, value in node.items():
        if key == "nodes" and isinstance(value, list):
            made[key] = _list([_tagged(inner) for inner in value])
        elif key != "type":
            made[key] = _value(value)
    return made


def _tagged(node: Any) -> Any:
    """Convert a node; its type becomes its tag."""
    made = _node(node)
    if isinstance(node, Mapping):
        from ruamel.yaml.tag import Tag

        kind = str(node.get("type", "")).removeprefix("!")
        if kind in TAGS:
            made.yaml_set_ctag(Tag(suffix=f"!{kind}"))
    return made


def _value(value: Any) -> Any:
    """Convert plain data to what ruamel writes in the same way."""
    if isinstance(value, Mapping):
        return _mapping({key: _value(item) for key, item in value.items()})
    if isinstance(value, list | tuple):
        return _list([_value(item) for item in value])
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, Fraction):
        return _number(value)
    return value


def _number(value: Fraction) -> int | float | str:
    """Return a number as a whole one, a decimal, or a quotient, whichever is exact."""
    if value.denominator == 1:
        return int(value)
    try:
        decimal = float(value)
    except OverflowError:
        return str(value)
    return decimal if Fraction(repr(decimal)) == value else str(value)


def _text(text: str) -> Any:
    """Convert a text: quoted if it was; else in a style that is read as an expression again."""
    from ruamel.yaml.scalarstring import DoubleQuotedScalarString, LiteralScalarString

    if isinstance(text, Quoted) or text != text.strip() or not text.isprintable():
        return DoubleQuotedScalarString(text)
    if _NAME.match(text) and text.lower() not in _NO_NAMES:
        return text
    if _PLAIN.match(text) and isinstance(parse(f"key: {text}")["key"], str):
        return text
    return LiteralScalarString(text)


def _mapping(items: Mapping[str, Any]) -> Any:
    from ruamel.yaml.comments import CommentedMap

    return CommentedMap(items)


def _list(items: list[Any]) -> Any:
    """Convert a list; one of scalars is written on one line."""
    from ruamel.yaml.comments import CommentedSeq

    made = CommentedSeq(items)
    from ruamel.yaml.scalarstring import LiteralScalarString

    if not any(isinstance(item, Mapping | list | LiteralScalarString) for item in items):
        made.fa.set_flow_style()
    return made
