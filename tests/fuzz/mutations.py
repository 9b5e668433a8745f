"""Mutants of inputs, each determined by its seed."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from .document import Node, Pairs, Raw, containers, copy, document, places, text_of
from .hostile import DEPTHS, EXPRESSIONS, NAMES, NUMBERS, SCHEDULES, TEXTS
from .sources import Source, sources


@dataclass(frozen=True)
class Mutant:
    """An input, and the options of `analyze` for it."""

    seed: int
    source: str
    text: str
    options: dict[str, Any] = field(default_factory=dict)


def mutant(seed: int) -> Mutant:
    """Make the mutant of a seed."""
    draw = random.Random(seed)
    source = draw.choice(sources())
    if source.large and draw.random() < 0.9:
        source = draw.choice(sources())
    if source.tree is None or draw.random() < 0.1:
        text = _mutated_text(draw, source.text)
    else:
        text = _mutated_tree(draw, source)
        if draw.random() < 0.05:
            text = _mutated_text(draw, text)
    return Mutant(seed, source.name, text, _options(draw))


def _count(draw: random.Random) -> int:
    """How many mutations: mostly one, so that most mutants remain legal up to it."""
    return draw.choice((1, 1, 1, 2, 2, 3, 5))


# Trees

_Mutation = Callable[[random.Random, Node], None]


def _mutated_tree(draw: random.Random, source: Source) -> str:
    root = document(source.tree)
    mutations = _GENTLE if draw.random() < 0.5 else _MUTATIONS
    for _ in range(_count(draw)):
        draw.choice(mutations)(draw, root)
    return text_of(root)


def _place(draw: random.Random, root: Node, wanted: Callable[[Any], bool]) -> tuple[Any, int]:
    found = [place for place in places(root) if wanted(place[0][place[1]])]
    return draw.choice(found) if found else ([Raw("0")], 0)


def _anything(value: Any) -> bool:
    return value is not None


def _is_number(value: Any) -> bool:
    text = value.text if isinstance(value, Raw) else value
    return isinstance(text, str) and text[:1].isdigit()


def _is_string(value: Any) -> bool:
    return isinstance(value, str)


def _is_expression(value: Any) -> bool:
    return isinstance(value, str) and not value.isidentifier()


def _number(draw: random.Random, root: Node) -> None:
    where, k = _place(draw, root, _is_number)
    where[k] = Raw(draw.choice(NUMBERS))


def _scaled(draw: random.Random, root: Node) -> None:
    """Change a number a little, or by orders of magnitude."""
    where, k = _place(draw, root, _is_number)
    text = where[k].text if isinstance(where[k], Raw) else where[k]
    where[k] = Raw(f"({text}){draw.choice(('+1', '-1', '*2', '/3', '*1000', '*10**17', '*2**64'))}")


def _ordinary(draw: random.Random, root: Node) -> None:
    """Put an ordinary number in the place of one, so that the input often stays legal."""
    where, k = _place(draw, root, _is_number)
    where[k] = Raw(str(draw.randrange(1, 65)))


def _expressions_scaled(draw: random.Random, root: Node) -> None:
    """Change the numbers in the bounds and projections of an Einsum."""
    where, k = _place(draw, root, _is_expression)
    new = draw.choice(("1", "2", "3", "7", "100", "2147483648", "9223372036854775808"))
    where[k] = re.sub(r"[0-9]+", new, str(where[k]), count=draw.choice((0, 1)))


def _all_numbers(draw: random.Random, root: Node) -> None:
    """Put hostile numbers in the place of several numbers."""
    for where, k in [place for place in places(root) if _is_number(place[0][place[1]])]:
        if draw.random() < 0.3:
            where[k] = Raw(draw.choice(NUMBERS))


def _name(draw: random.Random, root: Node) -> None:
    """Replace a name by another one, at this place or everywhere."""
    where, k = _place(draw, root, _is_string)
    old = where[k]
    names = [place[0][place[1]] for place in places(root)]
    new = draw.choice(NAMES) if draw.random() < 0.6 else draw.choice(names)
    if draw.random() < 0.5 or not isinstance(new, str):
        where[k] = copy(new)
        return
    for other, index in list(places(root)):
        if other[index] == old:
            other[index] = new
        if isinstance(old, str) and other[0] == old:  # a key, or the first of a list of names
            other[0] = new


def _expression(draw: random.Random, root: Node) -> None:
    where, k = _place(draw, root, _is_expression if draw.random() < 0.5 else _anything)
    where[k] = draw.choice(EXPRESSIONS)


def _kind(draw: random.Random, root: Node) -> None:
    """Replace a value by one of another type."""
    where, k = _place(draw, root, _anything)
    kinds: tuple[Node, ...] = (Raw("null"), Raw("true"), [], Pairs(), "", [[]], Pairs([["a", "b"]]))
    where[k] = draw.choice((*kinds, [where[k]], Pairs([["a", where[k]]])))


def _delete(draw: random.Random, root: Node) -> None:
    found = [c for c in containers(root) if (c.items if isinstance(c, Pairs) else c)]
    if found:
        chosen = draw.choice(found)
        items = chosen.items if isinstance(chosen, Pairs) else chosen
        del items[draw.randrange(len(items))]


def _duplicate(draw: random.Random, root: Node) -> None:
    """Duplicate an item of a list, or a key."""
    found = [c for c in containers(root) if (c.items if isinstance(c, Pairs) else c)]
    if found:
        chosen = draw.choice(found)
        items = chosen.items if isinstance(chosen, Pairs) else chosen
        if isinstance(chosen, Pairs) and draw.random() < 0.7:
            return  # most duplicate keys are refused in the same way
        item = draw.choice(items)
        again: Any = [item[0], copy(item[1])] if isinstance(chosen, Pairs) else copy(item)
        items.insert(draw.randrange(len(items) + 1), again)


def _exchange(draw: random.Random, root: Node) -> None:
    """Exchange two values; the one may be inside the other."""
    (one, k), (other, n) = (_place(draw, root, _anything) for _ in range(2))
    one[k], other[n] = copy(other[n]), copy(one[k])


def _move(draw: random.Random, root: Node) -> None:
    """Copy a value into a list."""
    where, k = _place(draw, root, _anything)
    lists = [c for c in containers(root) if isinstance(c, list)]
    if lists:
        into = draw.choice(lists)
        into.insert(draw.randrange(len(into) + 1), copy(where[k]))


def _order(draw: random.Random, root: Node) -> None:
    """Change the order of a list, such as the nodes of a mapping."""
    lists = [c for c in containers(root) if isinstance(c, list) and len(c) > 1]
    if lists:
        draw.shuffle(draw.choice(lists))


def _key(draw: random.Random, root: Node) -> None:
    """Rename a key, or add one."""
    mappings = [c for c in containers(root) if isinstance(c, Pairs) and c.items]
    if mappings:
        chosen = draw.choice(mappings)
        keys = [key for mapping in mappings for key, _ in mapping.items]
        new = draw.choice(keys if draw.random() < 0.7 else NAMES)
        pair = draw.choice(chosen.items)
        if draw.random() < 0.5:
            pair[0] = new
        else:
            chosen.items.append([new, copy(pair[1])])


def _nest(draw: random.Random, root: Node) -> None:
    """Nest a value deeply."""
    where, k = _place(draw, root, _anything)
    depth, inner = draw.choice(DEPTHS), text_of(where[k])
    opened, closed = draw.choice((("[", "]"), ("{type: Nested, nodes: [", "]}"), ("{a: ", "}")))
    where[k] = Raw(opened * depth + inner + closed * depth)


def _schedule(draw: random.Random, root: Node) -> None:
    """Give options of the schedule."""
    if isinstance(root, Pairs):
        root.items.append(["schedule", Raw(draw.choice(SCHEDULES))])


_MUTATIONS: tuple[_Mutation, ...] = (
    *(_number, _number, _number, _number, _scaled, _scaled, _scaled, _ordinary, _ordinary),
    *(_ordinary, _ordinary, _ordinary, _expressions_scaled, _expressions_scaled, _all_numbers),
    *(_name, _name, _expression, _kind, _delete, _delete, _duplicate, _exchange, _move, _order),
    *(_order, _order, _key, _nest, _schedule, _schedule, _schedule),
)
_GENTLE: tuple[_Mutation, ...] = (
    *(_number, _scaled, _ordinary, _ordinary, _ordinary, _expressions_scaled, _order, _schedule),
)
"""After these, an input is often legal: their mutants test what follows the reader."""


# Texts


def _mutated_text(draw: random.Random, text: str) -> str:
    lines = text.split("\n")
    for _ in range(_count(draw)):
        k = draw.randrange(len(lines))
        line = lines[k]
        indent = line[: len(line) - len(line.lstrip())]
        match draw.randrange(8):
            case 0:
                lines.insert(k, line)
            case 1:
                del lines[k]
            case 2:
                lines[k] = " " * draw.randrange(12) + line.lstrip()
            case 3:
                lines.insert(k, indent + draw.choice(TEXTS))
            case 4:
                words = line.split(" ")
                words[draw.randrange(len(words))] = draw.choice(NUMBERS + NAMES + EXPRESSIONS)
                lines[k] = " ".join(words)
            case 5:
                at = draw.randrange(len(line) + 1)
                lines[k] = line[:at] + chr(draw.randrange(1, 0x2100)) + line[at:]
            case 6:
                n = draw.randrange(len(lines))
                lines[k], lines[n] = lines[n], lines[k]
            case _:
                at = draw.randrange(len(text) + 1)
                lines = "\n".join(lines)[:at].split("\n")
        lines = lines or [""]
    return "\n".join(lines)


# Options of `analyze`


def _options(draw: random.Random) -> dict[str, Any]:
    options: dict[str, Any] = {}
    choices: tuple[tuple[str, tuple[Any, ...]], ...] = (
        ("granularity", ("tile", "flow", "full")),
        ("order", ("program", "skew", "oldest")),
        ("pipelined", (True,)),
        ("background", ("all",)),
        ("staged", ("all",)),
        ("slots", (1, 3, None, 2**70)),
        ("enforce_capacity", (True,)),
        ("accounting", ("main",)),
    )
    for name, values in choices:
        if draw.random() < 0.2:
            options[name] = draw.choice(values)
    return options
