"""The space of an exploration: which choices there are, and what each of them means."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from fractions import Fraction
from functools import cached_property
from itertools import islice, product
from math import prod
from typing import Any

import numpy as np

from polylat.errors import OptionError, TooLargeError
from polylat.exploration.structure import capacity_tensors, write_backs
from polylat.model import lower
from polylat.spec import Spec
from polylat.spec.mapping import Branch, Pipeline, Sequential, Spatial, Temporal
from polylat.spec.options import (
    normalize_background,
    normalize_count,
    normalize_granularity,
    normalize_order,
    normalize_slots,
)

__all__ = ["Choice", "Loop", "Space", "SplitName", "fingerprint", "split_name", "with_tiles"]

MOST_VARIANTS = 2_000_000
_MOST_OPTIONS = 10_000

SplitName = str
"""The Einsums of a split's branches, such as ``e1|e2+e3``."""


@dataclass(frozen=True)
class Choice:
    """One variant of a mapping, as plain data.

    Parameters
    ----------
    splits
        Per split, (its name, ``"Sequential"`` or ``"Pipeline"``). A split is named by the Einsums
        of its branches: ``e1|e2+e3``.
    background
        The write-backs in the background, as (tensor, component written back from).
    slots
        (tensor, number of tiles that its holders keep, None: unlimited), for the tensors for which
        it may make a difference.
    granularity, order
        The options of `analyze`.
    tiles
        (loop, tile shape) for the loops whose tile shapes are explored.
    """

    splits: tuple[tuple[SplitName, str], ...]
    background: tuple[tuple[str, str], ...]
    slots: tuple[tuple[str, int | None], ...]
    granularity: str
    order: str
    tiles: tuple[tuple[str, int], ...] = ()

    def __str__(self) -> str:
        parts = {
            "tiles": [f"{loop}={shape}" for loop, shape in self.tiles],
            "Pipeline": [name for name, kind in self.splits if kind == "Pipeline"],
            "background": [f"{t}@{c}" for t, c in self.background],
            "slots": [f"{t}={'none' if n is None else n}" for t, n in self.slots],
        }
        said = [f"{what} {' '.join(some)}" for what, some in parts.items() if some]
        return "; ".join(said) or "Sequential"

    def to_dict(self) -> dict[str, Any]:
        """The choice as plain data for JSON."""
        return {
            "splits": dict(self.splits),
            "background": [f"{tensor}@{component}" for tensor, component in self.background],
            "slots": dict(self.slots),
            "granularity": self.granularity,
            "order": self.order,
            "tiles": dict(self.tiles),
        }


@dataclass(frozen=True)
class Loop:
    """A loop whose tile shapes are explored.

    Parameters
    ----------
    name
        Its rank variable, with ``#2`` for the second loop over it in tree order, and so on.
    number
        Its number among all loops of the mapping, in tree order.
    """

    name: str
    number: int


@dataclass(frozen=True)
class Space:
    """All variants: the product of the axes.

    Variants are numbered in mixed radix, the axes from the outermost: tile shapes, granularity,
    order, splits, write-backs, slots. A *cell* is all variants that differ in the last two only.

    Parameters
    ----------
    spec
        The mapping as it was given.
    tiles
        Per loop explored, (loop, tile shapes).
    granularities, orders
        To choose from.
    splits
        Per split, (name, kinds to choose from).
    background
        Per write-back that is explored, (tensor, component).
    fixed_background
        Those that are in the background in every variant.
    slots
        Per tensor whose slots may make a difference, (tensor, numbers to choose from).
    other_slots
        The slots of all other tensors.
    max_tiles, enforce_capacity
        The options of `analyze`.
    """

    spec: Spec
    tiles: tuple[tuple[Loop, tuple[int, ...]], ...]
    granularities: tuple[str, ...]
    orders: tuple[str, ...]
    splits: tuple[tuple[SplitName, tuple[str, ...]], ...]
    background: tuple[tuple[str, str], ...]
    fixed_background: tuple[tuple[str, str], ...]
    slots: tuple[tuple[str, tuple[int | None, ...]], ...]
    other_slots: int | Mapping[str, int | None] | None
    max_tiles: int
    enforce_capacity: bool

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """Number of options of each axis."""
        return (
            *(len(shapes) for _, shapes in self.tiles),
            len(self.granularities),
            len(self.orders),
            *(len(kinds) for _, kinds in self.splits),
            *(2 for _ in self.background),
            *(len(numbers) for _, numbers in self.slots),
        )

    @cached_property
    def size(self) -> int:
        """Number of variants."""
        return prod(self.shape)

    @cached_property
    def inner(self) -> int:
        """Number of variants of a cell."""
        return self.widths[0] * self.widths[1]

    @cached_property
    def widths(self) -> tuple[int, int]:
        """Number of sets of write-backs, and of ways to give slots."""
        return 2 ** len(self.background), prod(len(numbers) for _, numbers in self.slots)

    @cached_property
    def cells(self) -> int:
        """Number of cells."""
        return self.size // self.inner

    @cached_property
    def cells_per_shape(self) -> int:
        """Number of cells that have the same tile shapes and granularity: these share most."""
        return len(self.orders) * prod(len(kinds) for _, kinds in self.splits)

    def outer(self, cell: int) -> tuple[tuple[int, ...], str, str, tuple[str, ...]]:
        """What the variants of a cell have in common: tile shapes, granularity, order, splits."""
        radices = self.shape[: len(self.tiles) + 2 + len(self.splits)]
        digits = _digits(cell, radices)
        count = len(self.tiles)
        shapes = tuple(
            some[digit] for (_, some), digit in zip(self.tiles, digits[:count], strict=True)
        )
        kinds = tuple(
            some[digit] for (_, some), digit in zip(self.splits, digits[count + 2 :], strict=True)
        )
        granularity, order = digits[count : count + 2]
        return shapes, self.granularities[granularity], self.orders[order], kinds

    def backgrounds(self, number: int) -> tuple[bool, ...]:
        """Which write-backs are in the background."""
        return tuple(bool(d) for d in _digits(number, [2] * len(self.background)))

    @cached_property
    def slot_table(self) -> tuple[tuple[int | None, ...], ...]:
        """All ways to give slots: how many each tensor has."""
        return tuple(product(*(numbers for _, numbers in self.slots)))

    @cached_property
    def slot_counts(self) -> np.ndarray:
        """The same as numbers, shape (ways, tensors); 0: unlimited."""
        table = [[count or 0 for count in counts] for counts in self.slot_table]
        return np.array(table, dtype=np.int64).reshape(self.widths[1], len(self.slots))

    def choice(self, index: int) -> Choice:
        """The variant of a number."""
        cell, rest = divmod(index, self.inner)
        back, slot = divmod(rest, self.widths[1])
        shapes, granularity, order, kinds = self.outer(cell)
        chosen = self.backgrounds(back)
        varied = [pair for pair, here in zip(self.background, chosen, strict=True) if here]
        counts = self.slot_table[slot]
        return Choice(
            tuple((name, kind) for (name, _), kind in zip(self.splits, kinds, strict=True)),
            tuple(sorted({*self.fixed_background, *varied})),
            tuple((t, n) for (t, _), n in zip(self.slots, counts, strict=True)),
            granularity,
            order,
            tuple((loop.name, s) for (loop, _), s in zip(self.tiles, shapes, strict=True)),
        )

    def options(self, choice: Choice) -> dict[str, Any]:
        """The options of `analyze` for a variant."""
        slots: Any = self.other_slots
        if choice.slots:
            default = {} if isinstance(slots, Mapping) else dict.fromkeys(self.tensors, slots)
            known = slots if isinstance(slots, Mapping) else {}
            slots = {**default, **known, **dict(choice.slots)}
        return {
            "granularity": choice.granularity,
            "order": choice.order,
            "background": choice.background,
            "slots": slots,
            "max_tiles": self.max_tiles,
            "enforce_capacity": self.enforce_capacity,
        }

    @property
    def tensors(self) -> tuple[str, ...]:
        """All tensors."""
        return self.spec.workload.tensors

    def applied(self, choice: Choice) -> Spec:
        """The input with a variant's tile shapes, splits and options."""
        shapes = dict(choice.tiles)
        numbers = {loop.number: shapes[loop.name] for loop, _ in self.tiles}
        spec = with_tiles(self.spec, numbers)
        mapping = with_splits(spec.mapping, dict(choice.splits))
        return replace(spec, mapping=mapping, schedule=self.options(choice))

    @cached_property
    def key(self) -> str:
        """A text that tells this space from others, the same in every process."""
        return fingerprint(self)

    def __getstate__(self) -> dict[str, Any]:
        """What is sent to other processes: not what they can work out for themselves."""
        return {f.name: getattr(self, f.name) for f in fields(self)} | {"key": self.key}

    @staticmethod
    def of(
        spec: Spec,
        *,
        splits: bool,
        background: bool | Iterable[Any],
        slots: Any,
        granularity: str | Sequence[str],
        order: str | Sequence[str],
        tiles: Mapping[str, Sequence[int]],
        max_tiles: int,
        enforce_capacity: bool,
    ) -> Space:
        """The space of what is asked for; see `polylat.exploration.explore`.

        Raises
        ------
        OptionError
            Something asked for does not exist, or makes no sense.
        TooLargeError
            There are too many variants.
        """
        if not isinstance(tiles, Mapping):
            raise OptionError(
                f"tiles is {tiles!r}, and no mapping", mend='give {"m": [1, 2, 4]}: loop and shapes'
            )
        if not isinstance(splits, bool):
            raise OptionError(f"splits is {splits!r}", mend="give True or False: all, or none")
        lowered = lower(spec, "tile")
        tensors, components = spec.workload.tensors, spec.arch.order
        pairs = write_backs(lowered)
        given = spec.schedule.get("background", ())
        fixed = {pair for pair in pairs if any(pair == (t, c or pair[1]) for t, c in given)}
        varied: tuple[tuple[str, str], ...] = ()
        if background is True:
            varied = pairs
        elif background is not False:
            asked = normalize_background(background, tensors, components)
            varied = tuple(
                pair for pair in pairs if any(pair == (t, c or pair[1]) for t, c in asked)
            )
            idle = [t for t, c in asked if not any(p == (t, c or p[1]) for p in pairs)]
            if idle:
                raise OptionError(
                    f"background names {idle[0]!r}, which the mapping does not write back",
                    mend=f"use one of: {', '.join(f'{t}@{c}' for t, c in pairs) or 'none'}",
                )
        counts, others = _slot_axes(spec, slots, capacity_tensors(lowered))
        space = Space(
            spec,
            _tile_axes(spec.mapping, tiles),
            tuple(
                dict.fromkeys(
                    normalize_granularity(g) for g in _several(granularity, "granularity")
                )
            ),
            tuple(dict.fromkeys(normalize_order(o) for o in _several(order, "order"))),
            tuple(
                (name, ("Sequential", "Pipeline") if splits else (kind,))
                for name, kind in split_kinds(spec.mapping).items()
            ),
            varied,
            tuple(sorted(fixed - set(varied))),
            counts,
            others,
            max_tiles,
            enforce_capacity,
        )
        if space.size > MOST_VARIANTS:
            raise TooLargeError(
                f"the choices make {space.size:,} variants, more than {MOST_VARIANTS:,}",
                mend="explore fewer of them at a time: fewer slots, tile shapes or write-backs",
            )
        return space


def _digits(number: int, radices: Sequence[int]) -> list[int]:
    digits = []
    for radix in reversed(radices):
        number, digit = divmod(number, radix)
        digits.append(digit)
    return digits[::-1]


def _several(value: Any, what: str) -> Sequence[Any]:
    """One or several: at least one."""
    several = (
        (value,) if isinstance(value, str) or not isinstance(value, Iterable) else tuple(value)
    )
    if not several:
        raise OptionError(f"{what} names none", mend="leave it out, or give one")
    return several


def _slot_axes(
    spec: Spec, asked: Any, tensors: Sequence[str]
) -> tuple[tuple[tuple[str, tuple[int | None, ...]], ...], Any]:
    """Per tensor whose slots may make a difference the numbers; and the slots of the others."""
    known = spec.workload.tensors
    if asked is None:
        return (), normalize_slots(spec.schedule.get("slots", 2), known)
    if isinstance(asked, Mapping):
        normalize_slots(dict.fromkeys(asked, 1), known)
        idle = [tensor for tensor in asked if tensor not in tensors]
        if idle:
            raise OptionError(
                f"slots names {idle[0]!r}, whose number of slots makes no difference",
                mend=f"use one of: {', '.join(tensors) or 'none'}",
            )
        by_tensor = {tensor: _counts(some) for tensor, some in asked.items()}
    else:
        by_tensor = dict.fromkeys(tensors, _counts(asked))
    return (
        tuple((tensor, by_tensor[tensor]) for tensor in tensors if tensor in by_tensor),
        normalize_slots(spec.schedule.get("slots", 2), known),
    )


def _counts(some: Any) -> tuple[int | None, ...]:
    """Numbers of slots, increasing, unlimited last."""
    values = some if isinstance(some, Iterable) and not isinstance(some, str) else [some]
    values = list(islice(values, _MOST_OPTIONS + 1))
    if len(values) > _MOST_OPTIONS:
        raise TooLargeError(
            f"slots has more than {_MOST_OPTIONS:,} numbers to choose from: too many variants",
            mend="explore fewer of them",
        )
    counts = {normalize_slots(value, ()) for value in values}
    if not counts:
        raise OptionError("slots has no number to choose from", mend="write 1:3, or a list")
    whole = sorted(n for n in counts if isinstance(n, int))
    return (*whole, *([None] if None in counts else []))


# Splits and loops of a mapping


def split_kinds(mapping: Branch) -> dict[SplitName, str]:
    """The splits of several branches, in tree order, and their kinds."""
    found: dict[SplitName, str] = {}

    def walk(branch: Branch) -> None:
        if isinstance(branch.end, Sequential | Pipeline):
            if len(branch.end.branches) > 1:
                found[_name(branch.end)] = type(branch.end).__name__
            for below in branch.end.branches:
                walk(below)

    walk(mapping)
    return found


def _name(split: Sequential | Pipeline) -> SplitName:
    return split_name([c.einsum for c in branch.leaves()] for branch in split.branches)


def split_name(branches: Iterable[Iterable[str]]) -> SplitName:
    """A split's name, from the Einsums of its branches."""
    return "|".join("+".join(branch) for branch in branches)


def with_splits(mapping: Branch, kinds: Mapping[SplitName, str]) -> Branch:
    """The mapping with splits of these kinds."""
    end = mapping.end
    if not isinstance(end, Sequential | Pipeline):
        return mapping
    kind = kinds.get(_name(end), type(end).__name__)
    branches = tuple(with_splits(branch, kinds) for branch in end.branches)
    made = Pipeline if kind == "Pipeline" else Sequential
    return replace(mapping, end=made(branches, end.where))


def with_tiles(spec: Spec, shapes: Mapping[int, int]) -> Spec:
    """The input with other tile shapes of some loops, by their numbers."""
    if not shapes:
        return spec
    number = 0

    def walk(branch: Branch) -> Branch:
        nonlocal number
        nodes = []
        for node in branch.nodes:
            here = node
            if isinstance(node, Temporal | Spatial):
                here = replace(node, tile_shape=shapes.get(number, node.tile_shape))
                number += 1
            nodes.append(here)
        end = branch.end
        if isinstance(end, Sequential | Pipeline):
            end = replace(end, branches=tuple(walk(below) for below in end.branches))
        return Branch(tuple(nodes), end)

    return replace(spec, mapping=walk(spec.mapping))


def _tile_axes(
    mapping: Branch, asked: Mapping[str, Sequence[int]]
) -> tuple[tuple[Loop, tuple[int, ...]], ...]:
    loops: dict[str, int] = {}
    paths: dict[str, list[tuple[int, ...]]] = {}

    def walk(branch: Branch, path: tuple[int, ...]) -> None:
        for node in branch.nodes:
            if isinstance(node, Temporal | Spatial):
                some = paths.setdefault(node.rank_variable, [])
                some.append(path)
                loops[f"{node.rank_variable}#{len(some)}"] = len(loops)
        if isinstance(branch.end, Sequential | Pipeline):
            for at, below in enumerate(branch.end.branches):
                walk(below, (*path, at))

    walk(mapping, ())
    axes = []
    for name, shapes in asked.items():
        variable, mark, _ = str(name).partition("#")
        if variable not in paths or (mark and name not in loops):
            raise OptionError(
                f"tiles names the loop {name!r}, which the mapping does not have",
                mend=f"use one of: {', '.join(_shown(paths))}",
            )
        first = paths[variable][0]
        if not mark and any(path[: len(first)] != first for path in paths[variable]):
            several = ", ".join(f"{variable}#{n + 1}" for n in range(len(paths[variable])))
            raise OptionError(
                f"tiles names {name!r}, over which several branches have loops of their own",
                mend=f"say which: {several}, in tree order",
            )
        some = [
            normalize_count(f"a tile shape of {name!r}", shape)
            for shape in _several(shapes, f"tiles of {name!r}")
        ]
        loop = Loop(name, loops[name if mark else f"{variable}#1"])
        axes.append((loop, tuple(dict.fromkeys(some))))
    if len({loop.number for loop, _ in axes}) < len(axes):
        raise OptionError("tiles names a loop twice")
    return tuple(axes)


def _shown(paths: Mapping[str, Sequence[object]]) -> list[str]:
    return [
        name if len(some) == 1 else f"{name}#1 to {name}#{len(some)}"
        for name, some in paths.items()
    ]


# A text of values


def fingerprint(value: object) -> str:
    """A text that is the same for equal values, in every process."""
    text = json.dumps(_plain(value), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _plain(value: object) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return {
            f.name: _plain(getattr(value, f.name)) for f in fields(value) if f.name != "where"
        } | {"": type(value).__name__}
    if isinstance(value, Mapping):
        pairs = [[_plain(k), _plain(v)] for k, v in value.items()]
        return sorted(pairs, key=lambda pair: json.dumps(pair[0], sort_keys=True))
    if isinstance(value, frozenset | set):
        return sorted((_plain(v) for v in value), key=lambda v: json.dumps(v, sort_keys=True))
    if isinstance(value, tuple | list):
        return [_plain(v) for v in value]
    if isinstance(value, Fraction):
        return str(value)
    return value
