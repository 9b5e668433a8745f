"""Check the names in a mapping, and match rank variables of shared loops to Einsums."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from polylat.errors import MappingError, UnsupportedError
from polylat.spec.reading.location import Location
from polylat.spec.reading.suggest import did_you_mean
from polylat.spec.workload import Workload


class MappingNames:
    """The names that a mapping may use: Einsums, rank variables, tensors and components.

    Parameters
    ----------
    workload
        The evaluated workload.
    kinds
        Name → kind of every component of the architecture.
    """

    def __init__(self, workload: Workload, kinds: Mapping[str, str]) -> None:
        self.kinds = kinds
        self.tensors = workload.tensors
        self.einsums = {e.name: e for e in workload.einsums}
        self.rank_variables = list(
            dict.fromkeys(v for e in workload.einsums for v in e.rank_variables)
        )

    def check_rank_variable(self, name: str, at: Location) -> None:
        """Check that some Einsum has a rank variable.

        Parameters
        ----------
        name
            Name of the rank variable.
        at
            Location of the name in the input.

        Raises
        ------
        MappingError
            If no Einsum has it.
        """
        if name not in self.rank_variables:
            raise MappingError(
                f"no Einsum has the rank variable {name!r}",
                where=str(at),
                fix=did_you_mean(name, self.rank_variables),
            )

    def check_component(self, name: str, at: Location, allowed: tuple[str, ...], node: str) -> None:
        """Check that a component exists and is of the right kind.

        Parameters
        ----------
        name
            Name of the component.
        at
            Location of the name in the input.
        allowed
            The kinds that are right.
        node
            Type of the node that names the component, for messages.

        Raises
        ------
        MappingError
            If there is no such component, or it is of another kind.
        """
        if name not in self.kinds:
            raise MappingError(
                f"the architecture has no component {name!r}",
                where=str(at),
                fix=did_you_mean(name, self.kinds),
            )
        kind = self.kinds[name]
        if kind not in allowed:
            suitable = {"Memory": "Storage", "Toll": "Toll", "Compute": "Compute"}.get(kind)
            raise MappingError(
                f"a {node} node names {name!r}, which is a {kind}",
                where=str(at),
                fix=f"write a {suitable} node"
                if suitable and suitable != "Compute" and node != "Compute"
                else f"name a {allowed[0]}",
            )

    def match_rank_variables(
        self, given: Any, below: list[str], at: Location
    ) -> tuple[tuple[str, str], ...]:
        """Match the rank variables of a loop to the Einsums below it.

        In AccelForge a set of rank variables means that Einsums share a loop under different
        names. The name in an Einsum is determined if the Einsum has only one of them.

        Parameters
        ----------
        given
            A list of rank variables, or Einsum → rank variable.
        below
            The Einsums below the loop.
        at
            Location of the rank variables in the input.

        Returns
        -------
        tuple of (str, str)
            (Einsum, its rank variable) for every Einsum below.

        Raises
        ------
        MappingError
            A name does not exist, or an Einsum has none of the rank variables.
        UnsupportedError
            An Einsum has several of the rank variables.
        """
        if isinstance(given, dict):
            for name in given:
                if name not in below:
                    raise MappingError(
                        f"there is no Einsum {name!r} below the loop",
                        where=str(at / name),
                        fix=did_you_mean(name, below),
                    )
                self.check_rank_variable(given[name], at / name)
        else:
            for index, name in enumerate(given):
                self.check_rank_variable(name, at / index)
        found = []
        for einsum in below:
            has = self.einsums[einsum].rank_variables
            if isinstance(given, dict):
                candidates = [given[einsum]] if given.get(einsum) in has else []
            else:
                candidates = [v for v in given if v in has]
            if not candidates:
                raise MappingError(
                    f"the loop over {', '.join(map(repr, _distinct(given)))} is above {einsum!r},"
                    " which has none of these rank variables"
                    if not isinstance(given, dict)
                    else f"the loop does not say which rank variable of {einsum!r} it runs over",
                    where=str(at),
                    fix=f"name one of {', '.join(has)}",
                )
            if len(candidates) > 1:
                raise UnsupportedError(
                    f"the loop is ambiguous: {einsum!r} has several of its rank variables,"
                    f" {', '.join(map(repr, candidates))}, and the set does not say which is meant",
                    where=str(at),
                    fix=f"name one per Einsum: {{{einsum}: {candidates[0]}, …}}; or, if"
                    " AccelForge's mapper made it, give polylat the Mappings rather than the"
                    " Mapping",
                )
            found.append((einsum, candidates[0]))
        return tuple(found)


def _distinct(given: Any) -> list[str]:
    """Distinct rank variables of a loop over several."""
    return list(dict.fromkeys(given.values() if isinstance(given, dict) else given))
