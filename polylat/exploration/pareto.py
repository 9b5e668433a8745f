"""Objectives, and the Pareto front of the variants that no other variant dominates.

A point (the values of all objectives) dominates another one if it is no larger in any objective and
smaller in at least one: Pareto dominance, with all objectives minimized.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import cast

from polylat.errors import OptionError
from polylat.numbers import Number
from polylat.spec.reading.suggest import did_you_mean

__all__ = [
    "Incumbents",
    "Objective",
    "Outcome",
    "Vector",
    "front_of",
    "objective_names",
    "objectives_of",
    "vector",
]

Vector = tuple[Number | float, ...]
"""A point: the value of each objective; infinite where it is not determined or not limited."""


@dataclass(frozen=True)
class Objective:
    """A quantity to minimize.

    Parameters
    ----------
    name
        ``"latency"``, ``"energy"``, ``"peak@SRAM"`` (the most bits that the memory holds at a time)
        or ``"slots"`` (the sum of all explored slot counts).
    component
        The memory of a peak; otherwise empty.
    """

    name: str
    component: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The evaluation of one variant.

    Parameters
    ----------
    latency
        In the architecture's unit of time; None if the variant is illegal.
    order
        The order of the ports in the schedule.
    keeps_barriers
        Whether it is a schedule of the mapping with every Pipeline as Sequential.
    exact
        Whether the latency is exact; otherwise it is an upper bound.
    peaks
        (memory, the most bits that one unit of it holds at a time in the stage that holds most;
        None if that is not determined).
    error
        Why the variant is illegal; otherwise empty.
    energy
        In the architecture's unit of energy; None if energies are not evaluated.
    """

    latency: Number | None
    order: str = ""
    keeps_barriers: bool = False
    exact: bool = True
    peaks: tuple[tuple[str, Number | None], ...] = ()
    error: str = ""
    energy: Number | None = None


def objective_names(objectives: object) -> tuple[str, ...]:
    """Return the names of objectives.

    Parameters
    ----------
    objectives
        One or several names.

    Returns
    -------
    tuple of str
        The names.

    Raises
    ------
    OptionError
        An objective is not a text.
    """
    several = isinstance(objectives, Iterable) and not isinstance(objectives, str)
    names = tuple(cast("Iterable[object]", objectives)) if several else (objectives,)
    for name in names:
        if not isinstance(name, str):
            raise OptionError(
                f"{name!r} is not an objective", fix='write "latency", "energy", "peak" or "slots"'
            )
    return cast("tuple[str, ...]", names)


def objectives_of(names: Iterable[str], memories: Sequence[str]) -> tuple[Objective, ...]:
    """Return objectives by name.

    Parameters
    ----------
    names
        One or several of ``"latency"``, ``"energy"``, ``"peak@M"`` for a memory M, ``"peak"`` for
        the peaks of all memories, and ``"slots"``.
    memories
        The memories that hold tensors.

    Returns
    -------
    tuple of Objective
        The objectives, without repetitions.

    Raises
    ------
    OptionError
        An objective does not exist, or none is given.
    """
    found: dict[str, Objective] = {}
    for name in names:
        kind, mark, component = name.partition("@")
        if name in ("latency", "energy", "slots"):
            found[name] = Objective(name)
        elif name == "peak":
            for memory in memories:
                found[f"peak@{memory}"] = Objective(f"peak@{memory}", memory)
        elif kind == "peak" and mark and component in memories:
            found[name] = Objective(name, component)
        else:
            known = ["latency", "energy", "peak", *(f"peak@{m}" for m in memories), "slots"]
            raise OptionError(f"there is no objective {name!r}", fix=did_you_mean(name, known))
    if not found:
        raise OptionError("there is no objective", fix='give at least one, such as "latency"')
    return tuple(found.values())


def vector(
    objectives: Sequence[Objective],
    latency: Number,
    peaks: Mapping[str, Number | None],
    slots: Iterable[int | None],
    energy: Number | None,
) -> Vector:
    """Return the values of the objectives.

    Parameters
    ----------
    objectives
        The objectives.
    latency
        In the architecture's unit of time.
    peaks
        Memory → bits, None if not determined; a missing memory holds none.
    slots
        All explored slot counts, None: unlimited.
    energy
        In the architecture's unit of energy; None if it is no objective.

    Returns
    -------
    Vector
        One value per objective.
    """
    values: list[Number | float] = []
    for objective in objectives:
        if objective.component:
            peak = peaks.get(objective.component, 0)
            values.append(inf if peak is None else peak)
        elif objective.name == "latency":
            values.append(latency)
        elif objective.name == "energy":
            assert energy is not None, "energies are evaluated where they are an objective"
            values.append(energy)
        else:
            counts = list(slots)
            values.append(inf if None in counts else sum(n for n in counts if n is not None))
    return tuple(values)


@dataclass(frozen=True)
class Incumbents:
    """The variants of the front so far, with which lower bounds are compared.

    Parameters
    ----------
    objectives
        The objectives.
    members
        (values of the objectives, number of the variant)

    Notes
    -----
    Branch and bound with several objectives: a set of variants is excluded without evaluating it
    if an incumbent dominates the lower bounds of all of them (a bound set of one point per set;
    Ehrgott and Gandibleux, Bound sets for biobjective combinatorial optimization problems, 2007).
    """

    objectives: tuple[Objective, ...]
    members: tuple[tuple[Vector, int], ...]

    def with_members(self, more: Iterable[tuple[Vector, int]]) -> Incumbents:
        """Return the incumbents of these and further variants.

        Parameters
        ----------
        more
            (values of the objectives, number of the variant)

        Returns
        -------
        Incumbents
            The front of all of them.
        """
        return Incumbents(self.objectives, tuple(front_of([*self.members, *more])))

    def excludes(self, bounds: Vector, first: int) -> bool:
        """Return whether variants cannot be in the front, judging by their lower bounds.

        Parameters
        ----------
        bounds
            Lower bounds on the objectives of all these variants.
        first
            The smallest number of these variants.

        Returns
        -------
        bool
            Whether an incumbent is no larger than the bounds in any objective: it dominates each
            of the variants, or has the same values and a smaller number.
        """
        return any(
            all(value <= bound for value, bound in zip(values, bounds, strict=True))
            and (number < first or values != bounds)
            for values, number in self.members
        )


def front_of(members: Iterable[tuple[Vector, int]]) -> list[tuple[Vector, int]]:
    """Return the Pareto front: the points that no other point dominates.

    Parameters
    ----------
    members
        (values of the objectives, number of the variant)

    Returns
    -------
    list of (Vector, int)
        Each point of the front once, with the smallest number of its variants; in lexicographic
        order of the values.

    Examples
    --------
    >>> front_of([((3, 1), 0), ((1, 2), 1), ((3, 3), 2), ((1, 2), 3)])
    [((1, 2), 1), ((3, 1), 0)]
    """
    first: dict[Vector, int] = {}
    for values, number in members:
        known = first.get(values)
        if known is None or number < known:
            first[values] = number
    front: list[tuple[Vector, int]] = []
    for values in sorted(first):
        # A point that dominates this one is smaller in the first value that differs, so that it
        # came before.
        if not any(
            all(other <= value for other, value in zip(others, values, strict=True))
            for others, _ in front
        ):
            front.append((values, first[values]))
    return front
