"""YAML text to a tree of plain values with the lines on which they stand.

Only ruamel's composer is used: no object is ever constructed by a tag. Numbers keep the exact
value of their text; aliases share their value, and are counted, so that they cannot explode.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from polylat.errors import SpecError
from polylat.spec.reading.models import TAGS
from polylat.spec.reading.numbers import BadNumber, bounded, decimal
from polylat.spec.reading.suggest import did_you_mean, shown
from polylat.spec.reading.tree import MAX_DEPTH, MAX_ITEMS, MAX_KEY, Map, Quoted, Seq, writable

MAX_CHARACTERS = 5_000_000
_STANDARD = "tag:yaml.org,2002:"
_PLAIN = frozenset(
    ("str", "int", "float", "bool", "null", "map", "seq", "set", "merge", "timestamp", "value")
)
_INTEGER = re.compile(r"([-+]?)(0x[0-9a-f]+|0o[0-7]+|0b[01]+|[0-9]+)\Z")

Include = Callable[[str, str, str], Any]
"""(tag, text, where) → the tree that an include tag stands for."""

_INCLUDES = ("include_loaded", "include", "includedir")


def parse(text: str, *, file: str | None = None, include: Include | None = None) -> Any:
    """The tree of a YAML text.

    Parameters
    ----------
    text
        The text of one document.
    file
        Its name, for messages.
    include
        What ``!include`` tags stand for; without it they are errors.

    Raises
    ------
    SpecError
        Where the text is no YAML, or YAML of a kind that has no place here.
    """
    if len(text) > MAX_CHARACTERS:
        raise SpecError(f"more than {MAX_CHARACTERS} characters", where=file)
    node = _compose(text, file)
    if node is None:
        return None
    return _Reader(file, include).value(node, 0)


def _compose(text: str, file: str | None) -> Any:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    yaml = YAML(typ="safe", pure=True)
    try:
        yaml.composer.warn_double_anchors = False
        return yaml.compose(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = None if mark is None else mark.line + 1
        what = " ".join(str(part) for part in (error.context, error.problem) if part)
        raise SpecError(
            f"not valid YAML: {what or 'it cannot be parsed'}", where=_where(file, line)
        ) from None
    except (RecursionError, MemoryError):
        raise SpecError("the YAML is nested too deeply", where=file) from None
    except YAMLError as error:
        first = str(error).strip().splitlines() or ["it cannot be parsed"]
        raise SpecError(f"not valid YAML: {first[0]}", where=file) from None
    except Exception as error:  # noqa: BLE001 - a fault of the parser on a text that it did not expect
        raise SpecError(
            f"not valid YAML: {type(error).__name__}: {shown(str(error))}", where=file
        ) from None


def _where(file: str | None, line: int | None) -> str | None:
    if line is None:
        return file
    return f"{file}, line {line}" if file else f"line {line}"


class _Reader:
    def __init__(self, file: str | None, include: Include | None) -> None:
        self.file = file
        self.include = include
        self.done: dict[int, tuple[Any, int]] = {}
        self.open: set[int] = set()
        self.items = 0

    def where(self, node: Any) -> str:
        """Where a node stands, for messages."""
        return str(_where(self.file, node.start_mark.line + 1))

    def value(self, node: Any, depth: int) -> Any:
        """The value of a node; an alias shares the value, and counts in full."""
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
        """Count values, so that aliases of aliases cannot blow up."""
        self.items += size
        if self.items > MAX_ITEMS:
            raise SpecError(
                f"more than {MAX_ITEMS} values, aliases included", where=self.where(node)
            )

    def tag(self, node: Any) -> str:
        """A node's own tag, empty if it has none; an unknown one is an error."""
        tag = str(node.tag or "")
        if tag.removeprefix(_STANDARD) in _PLAIN:
            return ""
        name = tag.removeprefix("!")
        if not name:
            return ""
        if name in TAGS or name in _INCLUDES or name == "nomerge":
            return name
        raise SpecError(
            f"unknown tag {shown(tag.replace(_STANDARD, '!!'))}",
            where=self.where(node),
            mend=did_you_mean(name, TAGS),
        )

    def mapping(self, node: Any, depth: int) -> Map:
        """A mapping; its tag becomes its type."""
        result = Map()
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
                    f"the key {shown(str(key))} stands here twice, first on line "
                    f"{result.lines[key][1]}",
                    where=self.where(key_node),
                    mend="keep one of them",
                )
            result[str(key)] = self.value(value_node, depth + 1)
            result.lines[str(key)] = (self.file, line)
        if len(merges) > 1:
            raise SpecError(
                "more than one merge key (<<) in a mapping",
                where=self.where(merges[1][2]),
                mend="merge a list: <<: [*a, *b]",
            )
        for key, value, key_node in merges:
            sources = value if isinstance(value, list) else [value]
            if not all(isinstance(source, dict) for source in sources):
                raise SpecError(
                    f"{key} merges mappings only", where=self.where(key_node), mend="give a mapping"
                )
            for source in _together(sources, key == "<<<"):
                merge(result, source, deep=key == "<<<")
            self.count(_size(result), node)
        tag = self.tag(node)
        if tag == "nomerge":
            result.nomerge = True
        elif tag in _INCLUDES:
            raise SpecError(f"!{tag} needs the name of a file", where=self.where(node))
        elif tag:
            result.setdefault("type", tag)
        return result

    def key(self, node: Any, depth: int) -> str:
        """A key of a mapping: a text."""
        value = self.value(node, depth + 1)
        if isinstance(value, str) and type(node).__name__ == "ScalarNode":
            if len(value) > MAX_KEY:
                raise SpecError(
                    f"a key of {len(value)} characters is too long", where=self.where(node)
                )
            return value
        text = shown(node.value) if type(node).__name__ == "ScalarNode" else "that is no text"
        raise SpecError(
            f"a key {text} is no text", where=self.where(node), mend="put the key in quotes"
        )

    def sequence(self, node: Any, depth: int) -> Seq:
        """A list."""
        tag = self.tag(node)
        if tag and tag != "nomerge":
            raise SpecError(
                f"the tag !{tag} stands before a list", where=self.where(node), mend="drop it"
            )
        result = Seq(self.value(item, depth + 1) for item in node.value)
        result.file, result.nomerge = self.file, tag == "nomerge"
        result.lines = [(self.file, item.start_mark.line + 1) for item in node.value]
        return result

    def scalar(self, node: Any) -> Any:
        """A scalar: a text, an exact number, a boolean or None."""
        tag, text = self.tag(node), str(node.value)
        if not writable(text):
            raise SpecError(f"{shown(text)} is no text that can be written", where=self.where(node))
        if tag in _INCLUDES:
            if self.include is None:
                raise SpecError(f"!{tag} is not available here", where=self.where(node))
            return self.include(tag, text, self.where(node))
        if tag:
            if text.strip() in ("", "~", "null") and tag != "nomerge":
                empty = Map([("type", tag)])  # "- !Nested" with nothing below it
                empty.line, empty.file = node.start_mark.line + 1, self.file
                return empty
            raise SpecError(
                f"the tag !{tag} stands before {shown(text)}",
                where=self.where(node),
                mend="it belongs before a mapping",
            )
        kind = str(node.tag).removeprefix(_STANDARD)
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
                return decimal(lowered.replace(".inf", "inf"))
        except BadNumber as error:
            if kind == "int" and str(error) == "not a number":
                return text  # an integer of an older YAML, such as 1:30
            raise SpecError(f"{shown(text)}: {error}", where=self.where(node)) from None
        return Quoted(text) if node.style in ("'", '"') else text


def integer(text: str) -> int:
    """The whole number that a YAML integer spells."""
    bare = text.strip().lower().replace("_", "")
    match = _INTEGER.match(bare)
    if match is None or len(bare) > 4_000:
        raise BadNumber("not a number" if match is None else "the number is too long")
    sign, digits = match.groups()
    base = {"0x": 16, "0o": 8, "0b": 2}.get(digits[:2], 10)
    value = int(bounded(int(digits[2:] if base != 10 else digits, base)))
    return -value if sign == "-" else value


def _together(sources: list[Any], deep: bool) -> list[Any]:
    """What is merged: for ``<<<``, the sources merged into one another first."""
    if not deep or len(sources) < 2:
        return sources
    combined = Map()
    for source in sources:
        merge(combined, source, deep=True)
    return [combined]


def merge(into: Map, source: dict[str, Any], *, deep: bool) -> None:
    """Merge a mapping into another whose own keys count more.

    Deep merging also merges mappings in mappings, and appends lists, except where one is marked
    ``!nomerge``.
    """
    for key, value in source.items():
        if key not in into:
            into[key] = value
            line = source.lines.get(key) if isinstance(source, Map) else None
            if line is not None:
                into.lines[key] = line
        elif deep:
            mine = into[key]
            if getattr(mine, "nomerge", False):
                continue
            if isinstance(mine, Map) and isinstance(value, dict):
                copy = Map(mine.items())
                copy.lines, copy.line, copy.file = dict(mine.lines), mine.line, mine.file
                merge(copy, value, deep=True)
                into[key] = copy
            elif isinstance(mine, Seq) and isinstance(value, list):
                joined = Seq([*mine, *value])
                joined.lines = [*mine.lines, *getattr(value, "lines", [])]
                joined.file = mine.file
                into[key] = joined


def _size(value: Any) -> int:
    """How many values a mapping directly holds: what a merge copies."""
    return len(value)
