"""The rank variables of Einsums in the loops that they share in an AccelForge mapping."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

from polylat.spec.reading.live.paths import leaves_below, loop_key, single_einsum_leaves


class SharedLoops:
    """The rank variable of each Einsum in the loops that Einsums of a mapping share.

    Such a loop has a set of rank variables. If an Einsum has several of them, the set alone is
    ambiguous. There are two other sources: some versions of AccelForge have a method that splits
    such loops; and the mapper's table has the mapping of each Einsum by itself, whose loops have
    one variable each, so that the loop that matches no other loop of the path is the shared one.

    Parameters
    ----------
    spec
        AccelForge's ``Spec``.
    mapping
        The mapping.
    table, index
        The table of AccelForge's ``Mappings`` (None for a single mapping), and the row of the
        mapping.
    """

    def __init__(self, spec: Any, mapping: Any, table: Any = None, index: int = 0) -> None:
        self._found: dict[int, dict[str, str]] = {}
        for einsum, loops in _paths(mapping):
            shared = [loop for loop in loops if isinstance(loop.rank_variable, AbstractSet)]
            if not shared or self._split(einsum, mapping, loops):
                continue
            unmatched = _single_einsum_loops(table, index, einsum)
            for loop in loops:
                if not isinstance(loop.rank_variable, AbstractSet) and loop_key(loop) in unmatched:
                    unmatched.remove(loop_key(loop))
            einsums = (e for e in spec.workload.einsums if e.name == einsum)
            variables = {str(variable) for e in einsums for variable in e.rank_variables}
            self._match(einsum, shared, variables, unmatched)

    def of(self, loop: Any) -> dict[str, str]:
        """Return the rank variables of a loop.

        Parameters
        ----------
        loop
            A loop of the mapping.

        Returns
        -------
        dict
            Einsum → its rank variable; empty if undetermined.
        """
        return self._found.get(id(loop), {})

    def _split(self, einsum: str, mapping: Any, loops: Sequence[Any]) -> bool:
        """Let AccelForge split the loops of a path; return whether it succeeded."""
        path = type(mapping)(nodes=list(loops))
        split = getattr(path, "split_loop_with_multiple_rank_variables", None)
        if split is None:
            return False
        try:
            split(einsum)
        except (KeyError, ValueError):  # undetermined in AccelForge, too
            return False
        for loop, split_loop in zip(loops, path.nodes, strict=True):
            self._found.setdefault(id(loop), {})[einsum] = split_loop.rank_variable
        return True

    def _match(
        self,
        einsum: str,
        shared: list[Any],
        variables: set[str],
        unmatched: list[tuple[str, Any, Any]],
    ) -> None:
        """Assign, loop by loop, the variable of each shared loop that has one candidate left."""
        undetermined = {id(loop): loop for loop in shared}
        while undetermined:
            for loop in undetermined.values():
                kind, names, tile = loop_key(loop)
                candidates = variables & set(names)
                if len(candidates) > 1:
                    candidates = {v for v in candidates if (kind, v, tile) in unmatched}
                if len(candidates) == 1:
                    break
            else:
                return
            del undetermined[id(loop)]
            (variable,) = candidates
            if (kind, variable, tile) in unmatched:
                unmatched.remove((kind, variable, tile))
            self._found.setdefault(id(loop), {})[einsum] = variable


def _single_einsum_loops(table: Any, index: int, einsum: str) -> list[tuple[str, Any, Any]]:
    """The loops of an Einsum's own mapping in the mapper's table."""
    leaves = single_einsum_leaves(table, index, einsum)
    nodes = [node for _, above in leaves for node in above]
    return [loop_key(node) for node in nodes if hasattr(node, "rank_variable")]


def _paths(node: Any) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """Yield (Einsum, the loops above it) for every leaf of a mapping."""
    for einsum, nodes in leaves_below(node, ()):
        yield einsum, tuple(inner for inner in nodes if hasattr(inner, "rank_variable"))
