"""Documents that mutations work on: trees with duplicate keys, written as YAML in flow style."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any


@dataclass
class Pairs:
    """A mapping as a list of pairs [key, value], so that a key may occur twice."""

    items: list[list[Any]] = field(default_factory=list)


@dataclass(frozen=True)
class Raw:
    """A scalar that is written as it is, without quotes."""

    text: str


Node = Pairs | list[Any] | Raw | str
Place = tuple[Any, int]
"""(container, index): the list that holds a value, or the pairs of a mapping."""


def document(tree: Any) -> Node:
    """Convert a tree of plain values."""
    if isinstance(tree, dict):
        return Pairs([[str(key), document(value)] for key, value in tree.items()])
    if isinstance(tree, list):
        return [document(value) for value in tree]
    if isinstance(tree, str):
        return str(tree)
    if tree is None:
        return Raw("null")
    if isinstance(tree, bool):
        return Raw(str(tree).lower())
    if isinstance(tree, Fraction):
        return Raw(f"{tree.numerator}/{tree.denominator}")
    return Raw(str(tree))


def copy(node: Node) -> Node:
    """Copy a document."""
    if isinstance(node, Pairs):
        return Pairs([[key, copy(value)] for key, value in node.items])
    return [copy(value) for value in node] if isinstance(node, list) else node


def places(node: Node) -> Iterator[Place]:
    """Yield the place of every value below a node."""
    if isinstance(node, Pairs):
        for pair in node.items:
            yield pair, 1
            yield from places(pair[1])
    elif isinstance(node, list):
        for k, value in enumerate(node):
            yield node, k
            yield from places(value)


def containers(node: Node) -> Iterator[Pairs | list[Any]]:
    """Yield every mapping and list."""
    if isinstance(node, Pairs):
        yield node
        for _, value in node.items:
            yield from containers(value)
    elif isinstance(node, list):
        yield node
        for value in node:
            yield from containers(value)


def text_of(node: Node) -> str:
    """Write a document as YAML."""
    if isinstance(node, Pairs):
        pairs = ",\n ".join(f"{_quoted(key)}: {text_of(value)}" for key, value in node.items)
        return f"{{{pairs}}}"
    if isinstance(node, list):
        return f"[{', '.join(map(text_of, node))}]"
    return node.text if isinstance(node, Raw) else _quoted(node)


def _quoted(text: str) -> str:
    """Write a string; an expression stays plain, since quotes would make it a text."""
    plain = text.strip() == text and text and not set(text) & set("{}[],:#&*!|>'\"%@`-?=\\\n\t\r")
    return text if plain and text.isprintable() else json.dumps(text)
