"""The names that options of `analyze` may use: tensors, components, holders and splits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from polylat.spec.mapping import Branch, Compute, Storage
from polylat.spec.workload import Workload

Pair = tuple[str, str]
"""(tensor, component) of a Storage."""

_LONGEST_NAME = 40
"""Largest number of characters of the name of a split that is shown as a whole."""


@dataclass(frozen=True)
class KnownNames:
    """The names that options may use.

    Parameters
    ----------
    tensors, components
        All tensors and components.
    backing
        (tensor, component) of the outermost Storage of each tensor on some path.
    holders
        (tensor, component) of every other Storage: it has transfers to and from the one above.
    write_backs
        Those of `holders` that an Einsum writes its output back from.
    splits
        Names of the splits with several branches.
    """

    tensors: tuple[str, ...]
    components: tuple[str, ...]
    backing: tuple[Pair, ...] = ()
    holders: tuple[Pair, ...] = ()
    write_backs: tuple[Pair, ...] = ()
    splits: tuple[str, ...] = ()


def known_names(workload: Workload, components: tuple[str, ...], mapping: Branch) -> KnownNames:
    """Collect the names that options may use.

    Parameters
    ----------
    workload, components, mapping
        The cascade, the names of all components, and the root of the mapping.

    Returns
    -------
    KnownNames
        The names; holders and splits in the order of the tree.
    """
    backing: dict[Pair, None] = {}
    holders: dict[Pair, None] = {}
    write_backs: dict[Pair, None] = {}
    for storages, leaf in _paths(mapping, ()):
        einsum = workload.einsum(leaf.einsum)
        held = [(s.component, s.among(einsum.tensors)) for s in storages]
        for tensor in einsum.tensors:
            pairs = [(tensor, component) for component, some in held if tensor in some]
            backing |= dict.fromkeys(pairs[:1])  # none, where the tensor passes Tolls only
            holders |= dict.fromkeys(pairs[1:])
            if tensor in einsum.outputs:
                write_backs |= dict.fromkeys(pairs[1:])
    return KnownNames(
        workload.tensors,
        components,
        tuple(backing),
        tuple(holders),
        tuple(write_backs),
        tuple(split.name for split in mapping.splits()),
    )


def _paths(
    branch: Branch, above: tuple[Storage, ...]
) -> Iterator[tuple[tuple[Storage, ...], Compute]]:
    """Yield the Storages above each leaf, outermost first, and the leaf."""
    path = (*above, *(node for node in branch.nodes if isinstance(node, Storage)))
    if isinstance(branch.end, Compute):
        yield path, branch.end
    else:
        for inner in branch.end.branches:
            yield from _paths(inner, path)


def short_split(name: str) -> str:
    """Shorten the name of a split that has many Einsums.

    Parameters
    ----------
    name
        The name.

    Returns
    -------
    str
        The name; of a long one, its ends. No other split of the mapping has the same.

    Examples
    --------
    >>> short_split("e1|e2+e3"), short_split("|".join(f"e{n}" for n in range(64)))
    ('e1|e2+e3', 'e0|…|e63')
    >>> short_split("+".join(f"e{n}" for n in range(64)) + "|e64")
    'e0+…+e63|e64'
    """
    if len(name) <= _LONGEST_NAME:
        return name
    stages = [_ends(stage.split("+"), "+") for stage in name.split("|")]
    return _ends(stages, "|")


def _ends(parts: Sequence[str], mark: str) -> str:
    """Join names; of three or more, only the ends."""
    return mark.join(parts if len(parts) < 3 else (parts[0], "…", parts[-1]))
