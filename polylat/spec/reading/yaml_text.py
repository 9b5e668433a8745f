"""Convert the nodes of YAML text to a tree of plain values with line numbers.

Numbers keep the exact value of their text. Aliases share their value but count in full, which
bounds nested aliases.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import Any

from polylat.errors import SpecError
from polylat.spec.reading.models.spec import ADAPTER_TAGS, TAGS
from polylat.spec.reading.numbers import BadNumber, check_size, parse_decimal
from polylat.spec.reading.printable import refuse_hidden
from polylat.spec.reading.suggest import did_you_mean, format_value
from polylat.spec.reading.tree import (
    MAX_DEPTH,
    MAX_ITEMS,
    MAX_KEY,
    Quoted,
    TreeMapping,
    TreeSequence,
    tree_size,
)
from polylat.spec.reading.yaml_merge import merge_sources
from polylat.spec.reading.yaml_nodes import compose, line_text

_MAX_CHARACTERS = 5_000_000
_STANDARD_PREFIX = "tag:yaml.org,2002:"
_PLAIN_TAGS = frozenset(
    ("str", "int", "float", "bool", "null", "map", "seq", "set", "merge", "timestamp", "value")
)
_INTEGER = re.compile(r"([-+]?)(0x[0-9a-f]+|0o[0-7]+|0b[01]+|[0-9]+)\Z")

_Include = Callable[[str, str, str], Any]
"""(tag, text, location for messages) → the tree of the included file."""

_INCLUDE_TAGS = ("include_loaded", "include", "includedir")


def parse(text: str, *, file: str | None = None, include: _Include | None = None) -> Any:
    """Parse a YAML text.

    Parameters
    ----------
    text
        The text of one document.
    file
        The file name, for messages.
    include
        Function (tag, text, location) → tree for ``!include`` tags; without it they are errors.

    Returns
    -------
    TreeMapping, TreeSequence, str, int, Fraction, float, bool or None
        The tree.

    Raises
    ------
    SpecError
        The text is not valid YAML, has unknown tags, or is too large.
    """
    if len(text) > _MAX_CHARACTERS:
        raise SpecError(f"the text has more than {_MAX_CHARACTERS} characters", where=file)
    node = compose(text, file)
    if node is None:
        return None
    return _Reader(file, include).value(node, 0)


class _Reader:
    """Converts the nodes of a document to a tree; `items` counts the values."""

    def __init__(self, file: str | None, include: _Include | None) -> None:
        self.file = file
        self.include = include
        self.done: dict[int, tuple[Any, int]] = {}
        self.open: set[int] = set()
        self.items = 0

    def where(self, node: Any) -> str:
        """Location of a node, for messages."""
        return str(line_text(self.file, node.start_mark.line + 1))

    def value(self, node: Any, depth: int) -> Any:
        """Convert a node; an alias shares the value, but counts in full."""
        if id(node) in self.done:
            value, size = self.done[id(node)]
            self.count(size, node)
            return value
        if id(node) in self.open:
            raise SpecError("an alias contains itself", where=self.where(node))
        if depth > MAX_DEPTH:
            raise SpecError(f"nested more than {MAX_DEPTH} levels deep", where=self.where(node))
        before = self.items
        self.count(1, node)
        self.open.add(id(node))
        kind = type(node).__name__
        if kind == "MappingNode":
            value = self.mapping(node, depth)
        elif kind == "SequenceNode":
            value = self.sequence(node, depth)
        else:
            value = self.scalar(node)
        self.open.discard(id(node))
        self.done[id(node)] = (value, self.items - before)
        return value

    def count(self, size: int, node: Any) -> None:
        """Add to the number of values, and refuse too many."""
        self.items += size
        if self.items > MAX_ITEMS:
            raise SpecError(
                f"more than {MAX_ITEMS} values, including aliases and included files",
                where=self.where(node),
            )

    def tag(self, node: Any) -> str:
        """Return the explicit tag of a node, empty if it has none; refuse an unknown one."""
        tag = str(node.tag or "")
        if tag.removeprefix(_STANDARD_PREFIX) in _PLAIN_TAGS:
            return ""
        name = tag.removeprefix("!")
        if not name:
            return ""
        if name in TAGS | ADAPTER_TAGS or name in _INCLUDE_TAGS or name == "nomerge":
            return name
        raise SpecError(
            f"unknown tag {format_value(tag.replace(_STANDARD_PREFIX, '!!'))}",
            where=self.where(node),
            fix=did_you_mean(name, TAGS),
        )

    def mapping(self, node: Any, depth: int) -> TreeMapping:
        """Convert a mapping; its tag becomes its type."""
        result = TreeMapping()
        result.line, result.file = node.start_mark.line + 1, self.file
        merges: list[tuple[str, Any, Any]] = []
        for key_node, value_node in node.value:
            key = self.key(key_node, depth)
            if key in ("<<", "<<<") and not isinstance(key, Quoted):
                merges.append((key, self.value(value_node, depth + 1), key_node))
                continue
            line = key_node.start_mark.line + 1
            if key in result:
                raise SpecError(
                    f"duplicate key {format_value(str(key))}, first on line {result.lines[key][1]}",
                    where=self.where(key_node),
                    fix="keep one of the two",
                )
            result[str(key)] = self.value(value_node, depth + 1)
            result.lines[str(key)] = (self.file, line)
        if len(merges) > 1:
            raise SpecError(
                "more than one merge key (<<) in a mapping",
                where=self.where(merges[1][2]),
                fix="merge a list: <<: [*a, *b]",
            )
        for key, value, key_node in merges:
            sources = value if isinstance(value, list) else [value]
            if not all(isinstance(source, dict) for source in sources):
                raise SpecError(
                    f"{key} can merge only mappings",
                    where=self.where(key_node),
                    fix="give a mapping",
                )
            merge_sources(result, sources, deep=key == "<<<")
            self.count(len(result), node)
        tag = self.tag(node)
        if tag == "nomerge":
            result.nomerge = True
        elif tag in _INCLUDE_TAGS:
            raise SpecError(f"!{tag} needs a file name", where=self.where(node))
        elif tag:
            result.setdefault("type", tag)
        return result

    def key(self, node: Any, depth: int) -> str:
        """Convert a key of a mapping, which must be a string."""
        value = self.value(node, depth + 1)
        if isinstance(value, str) and type(node).__name__ == "ScalarNode":
            if len(value) > MAX_KEY:
                raise SpecError(
                    f"a key of {len(value)} characters is too long", where=self.where(node)
                )
            refuse_hidden(value, partial(self.where, node))
            return value
        text = f"{format_value(node.value)} " if type(node).__name__ == "ScalarNode" else ""
        raise SpecError(
            f"the key {text}is not a string", where=self.where(node), fix="put the key in quotes"
        )

    def sequence(self, node: Any, depth: int) -> TreeSequence:
        """Convert a list."""
        tag = self.tag(node)
        if tag and tag != "nomerge":
            raise SpecError(
                f"the tag !{tag} cannot precede a list",
                where=self.where(node),
                fix="remove the tag",
            )
        result = TreeSequence(self.value(item, depth + 1) for item in node.value)
        result.file, result.nomerge = self.file, tag == "nomerge"
        result.lines = [(self.file, item.start_mark.line + 1) for item in node.value]
        return result

    def scalar(self, node: Any) -> Any:
        """Convert a scalar to a string, an exact number, a boolean or None."""
        tag, text = self.tag(node), str(node.value)
        refuse_hidden(text, partial(self.where, node), multiline=True)
        if tag in _INCLUDE_TAGS:
            if self.include is None:
                raise SpecError(f"!{tag} is not available here", where=self.where(node))
            value = self.include(tag, text, self.where(node))
            self.count(tree_size(value, MAX_ITEMS + 1), node)
            return value
        if tag:
            if text.strip() in ("", "~", "null") and tag != "nomerge":
                empty = TreeMapping([("type", tag)])  # "- !Nested" with nothing below it
                empty.line, empty.file = node.start_mark.line + 1, self.file
                return empty
            raise SpecError(
                f"the tag !{tag} cannot precede {format_value(text)}",
                where=self.where(node),
                fix="write the tag before a mapping",
            )
        kind = str(node.tag).removeprefix(_STANDARD_PREFIX)
        try:
            if kind == "null":
                return None
            if kind == "bool":
                return text.strip().lower() in ("true", "yes", "on", "y")
            if kind == "int":
                return integer(text)
            if kind == "float":
                lowered = text.strip().lower()
                if lowered.endswith("nan"):
                    raise BadNumber("not a number (nan)")
                return parse_decimal(lowered.replace(".inf", "inf"))
        except BadNumber as error:
            if kind == "int" and str(error) == "not a number":
                return text  # a sexagesimal integer of YAML 1.1, such as 1:30
            raise SpecError(f"{format_value(text)}: {error}", where=self.where(node)) from None
        return Quoted(text) if node.style in ("'", '"') else text


def integer(text: str) -> int:
    """Parse a YAML integer.

    Parameters
    ----------
    text
        Decimal, or with a prefix ``0x``, ``0o`` or ``0b``; underscores are ignored.

    Returns
    -------
    int
        The number.

    Raises
    ------
    BadNumber
        The text is not an integer, or the number is too large.
    """
    bare = text.strip().lower().replace("_", "")
    match = _INTEGER.match(bare)
    if match is None or len(bare) > 4_000:
        raise BadNumber("not a number" if match is None else "the number is too long")
    sign, digits = match.groups()
    base = {"0x": 16, "0o": 8, "0b": 2}.get(digits[:2], 10)
    value = int(check_size(int(digits[2:] if base != 10 else digits, base)))
    return -value if sign == "-" else value
