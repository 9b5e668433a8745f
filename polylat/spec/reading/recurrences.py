"""Read ``schedule: recurrences:``, which says which tensor is an earlier state of which."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from polylat.errors import OptionError
from polylat.spec.affine import Affine, add_multiple
from polylat.spec.arguments import check_exists
from polylat.spec.reading.location import Location
from polylat.spec.reading.plain_data import to_tree
from polylat.spec.reading.suggest import describe_value, did_you_mean, format_value
from polylat.spec.reading.tree import TreeMapping
from polylat.spec.workload import TensorAccess, Workload

WORKLOAD_KEYS = ("recurrences",)
"""The keys under ``schedule:`` that say something about the workload."""

_ENTRY = re.compile(r"\s*([A-Za-z_]\w*)\s*(?:\[([^\[\]]*)\]\s*)?\Z", re.ASCII)
_INDEX = re.compile(
    r"\s*(?:([A-Za-z_]\w*)\s*:\s*)?([A-Za-z_]\w*)\s*(?:([+-])\s*(\d{1,18})\s*)?\Z", re.ASCII
)
_FORM = 'write the tensor with the ranks that are shifted, such as "H[t-1]"'


@dataclass(frozen=True)
class EarlierState:
    """A tensor that is the state of an earlier step.

    Parameters
    ----------
    name, state
        The tensor, and the one that is the state of every step.
    ranks
        The ranks of the state.
    order
        Per rank of the state: the number of the tensor's rank.
    shifts
        Per rank of the state: what is added to the tensor's index.
    at
        Location in the input.
    """

    name: str
    state: str
    ranks: tuple[str, ...]
    order: tuple[int, ...]
    shifts: tuple[int, ...]
    at: str

    def of_state(self, access: TensorAccess) -> TensorAccess:
        """Return the access of the state that reads the same elements.

        Parameters
        ----------
        access
            An access of the tensor.

        Returns
        -------
        TensorAccess
            An access of the state.
        """
        reads = tuple(
            tuple(
                add_multiple(read[place], Affine((), shift))
                for place, shift in zip(self.order, self.shifts, strict=True)
            )
            for read in access.reads
        )
        return TensorAccess(self.state, self.ranks, reads, None, access.bits_per_value)

    def followed_by(self, later: EarlierState) -> EarlierState:
        """Return what the tensor is if its state is itself an earlier one.

        Parameters
        ----------
        later
            What the state is an earlier state of.

        Returns
        -------
        EarlierState
            The tensor as an earlier state of the same tensor.
        """
        order = tuple(self.order[place] for place in later.order)
        shifts = tuple(
            self.shifts[place] + shift
            for place, shift in zip(later.order, later.shifts, strict=True)
        )
        return EarlierState(self.name, later.state, later.ranks, order, shifts, self.at)


def with_recurrences(tree: Any, given: object) -> Any:
    """Add the recurrences of a caller to those of an input.

    Parameters
    ----------
    tree
        The input as a tree.
    given
        Tensor → what it is, as under ``schedule: recurrences:``; None: nothing.

    Returns
    -------
    Any
        The input with the recurrences; those of the caller override its own.

    Raises
    ------
    OptionError
        `given` is not a mapping.
    """
    if given is None or not isinstance(tree, dict):
        return tree
    if not isinstance(given, Mapping):
        raise OptionError(
            f"recurrences must be a mapping, not {format_value(given)}",
            fix='give each tensor by name: recurrences={"H_prev": "H[t-1]"}',
        )
    schedule = tree.get("schedule") or TreeMapping()
    own = schedule.get("recurrences") or TreeMapping() if isinstance(schedule, dict) else None
    if not isinstance(own, dict):
        return tree  # refused where the input is checked
    return _replaced(
        tree,
        "schedule",
        _replaced(schedule, "recurrences", TreeMapping({**own, **to_tree(dict(given))}.items())),
    )


def _replaced(table: Mapping[str, Any], key: str, value: Any) -> TreeMapping:
    found = TreeMapping(table.items())
    found[key] = value
    if isinstance(table, TreeMapping):
        found.lines, found.line = table.lines, table.line
    return found


def read_recurrences(given: Any, workload: Workload, at: Location) -> tuple[EarlierState, ...]:
    """Read which tensors are earlier states.

    Parameters
    ----------
    given
        The value of ``schedule: recurrences:``.
    workload
        The workload, with all Einsums and with these tensors.
    at
        Location of the value in the input.

    Returns
    -------
    tuple of EarlierState
        What each tensor is; no state is itself an earlier one.

    Raises
    ------
    OptionError
        A text cannot be read, or contradicts the workload.

    Notes
    -----
    A text is a tensor, and in brackets the ranks whose index is shifted (others may be listed):
    each as the rank's name or as the rank variable that indexes it, and a whole number that is
    added. ``{H_prev: "H[t-1]"}`` says that ``H_prev[b, t]`` is ``H[b, t-1]``. Ranks correspond by
    name, or by position where the two tensors have different ones.
    """
    if given is None:
        return ()
    if not isinstance(given, dict):
        raise OptionError(
            f"recurrences must be a mapping, not {describe_value(given)}",
            where=str(at),
            fix='write {H_prev: "H[t-1]"}',
        )
    accesses = _accesses(workload)
    direct = {
        name: _read(name, text, workload, accesses, at / name) for name, text in given.items()
    }
    return tuple(_resolved(found, direct, workload) for found in direct.values())


def _accesses(workload: Workload) -> dict[str, list[TensorAccess]]:
    found: dict[str, list[TensorAccess]] = {}
    for einsum in workload.einsums:
        for access in einsum.accesses:
            found.setdefault(access.tensor, []).append(access)
    return found


def _read(
    name: str,
    text: Any,
    workload: Workload,
    accesses: Mapping[str, Sequence[TensorAccess]],
    at: Location,
) -> EarlierState:
    where = str(at)
    check_exists("tensor", name, accesses, "recurrences", where)
    if producers := workload.producers(name):
        raise OptionError(
            f"recurrences names {name!r}, which Einsum {producers[0]!r} computes",
            where=where,
            fix="name a tensor that no Einsum computes: the state of an earlier step",
        )
    match = _ENTRY.match(text) if isinstance(text, str) else None
    if match is None:
        raise OptionError(
            f"must be the text of a tensor, not {describe_value(text)}", where=where, fix=_FORM
        )
    state = str(match[1])
    check_exists("tensor", state, accesses, "recurrences", where)
    own, other = accesses[name][0], accesses[state][0]
    if len(own.ranks) != len(other.ranks):
        raise OptionError(
            f"{name!r} has the ranks {_listed(own.ranks)}, and {state!r} has"
            f" {_listed(other.ranks)}",
            where=where,
            fix="give the two the same ranks",
        )
    if own.bits_per_value != other.bits_per_value:
        raise OptionError(
            f"{name!r} has {own.bits_per_value} bits per value, and {state!r} has"
            f" {other.bits_per_value}",
            where=where,
            fix="give the two the same bits_per_value",
        )
    same = sorted(own.ranks) == sorted(other.ranks)
    order = tuple(map(own.ranks.index, other.ranks) if same else range(len(own.ranks)))
    ranks = _Ranks(name, state, other.ranks, _indexed_by(accesses, name, state, order), where)
    return EarlierState(name, state, other.ranks, order, ranks.shifts(match[2]), where)


def _indexed_by(
    accesses: Mapping[str, Sequence[TensorAccess]], name: str, state: str, order: Sequence[int]
) -> dict[str, set[int]]:
    """Return rank variable → the numbers of the state's ranks that it indexes alone."""
    found: dict[str, set[int]] = {}
    for tensor, places in ((name, order), (state, range(len(order)))):
        for access in accesses[tensor]:
            for projection in access.projections:
                for number, place in enumerate(places):
                    variables = projection[place].variables
                    if len(variables) == 1:
                        found.setdefault(variables[0], set()).add(number)
    return found


@dataclass(frozen=True)
class _Ranks:
    """Finds the ranks that a text shifts.

    Parameters
    ----------
    name, state
        The tensor, and its state.
    ranks
        The ranks of the state.
    indexed_by
        Rank variable → the numbers of the ranks that it indexes.
    where
        Location of the text in the input.
    """

    name: str
    state: str
    ranks: tuple[str, ...]
    indexed_by: Mapping[str, set[int]]
    where: str

    def shifts(self, text: str | None) -> tuple[int, ...]:
        """Return the shift of every rank."""
        found: dict[int, int] = {}
        for part in (text or "").split(","):
            if not (text or "").strip():
                break
            match = _INDEX.match(part)
            if match is None:
                raise OptionError(
                    f"{format_value(part.strip())} is not a rank and a whole number that is added"
                    " to its index",
                    where=self.where,
                    fix=_FORM,
                )
            number = self._number(match[2], match[1])
            if number in found:
                raise OptionError(
                    f"{format_value(text)} names the rank {self.ranks[number]!r} twice",
                    where=self.where,
                    fix="name each rank once",
                )
            found[number] = int(f"{match[3] or '+'}{match[4] or 0}")
        return tuple(found.get(number, 0) for number in range(len(self.ranks)))

    def _number(self, index: str, rank: str | None) -> int:
        """Return the number of the rank with this name, or indexed by this rank variable."""
        candidates = self._named(index)
        if rank is not None:
            candidates = {n for n in candidates if self.ranks[n] == rank}
        if len(candidates) == 1:
            return min(candidates)
        if candidates:
            several = _listed([self.ranks[n] for n in sorted(candidates)])
            raise OptionError(
                f"{index!r} indexes several ranks of {self.state!r}: {several}",
                where=self.where,
                fix="name the rank instead of the rank variable",
            )
        known = (*self.ranks, *self.indexed_by)
        what = index if rank is None else f"{rank}: {index}"
        raise OptionError(
            f"{self.state!r} has no rank {what!r}, nor one that a rank variable of this name"
            f" indexes; it has {_listed(self.ranks)}",
            where=self.where,
            fix=f"{did_you_mean(index, known)}; if the file has a single step, give the tensors"
            f" that change from step to step a rank for it, {self._example(index)}, and the"
            " mapping a loop over it",
        )

    def _named(self, index: str) -> set[int]:
        if index in self.ranks:
            return {self.ranks.index(index)}
        if index in self.indexed_by:
            return self.indexed_by[index]
        return {n for n, name in enumerate(self.ranks) if name == index.upper()}

    def _example(self, index: str) -> str:
        indices = ", ".join([index.lower(), *(name.lower() for name in self.ranks)])
        return f"as in {self.state}[{indices}] and {self.name}[{indices}]"


def _resolved(
    found: EarlierState, direct: Mapping[str, EarlierState], workload: Workload
) -> EarlierState:
    """Follow a tensor to a state that is not an earlier one itself."""
    passed = [found.name]
    while found.state in direct:
        passed.append(found.state)
        if found.state in passed[:-1]:
            raise OptionError(
                f"recurrences has a cycle: {' → '.join(passed)}",
                where=found.at,
                fix="name the tensor that an Einsum computes",
            )
        found = found.followed_by(direct[found.state])
    if not workload.producers(found.state):
        raise OptionError(
            f"recurrences names {found.state!r} as the state, which no Einsum computes",
            where=found.at,
            fix="name the tensor that an Einsum computes",
        )
    return found


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) or "none"
