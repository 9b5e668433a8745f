"""AccelForge's own latency and action counts of a mapping, reproduced in exact arithmetic."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from polylat.analysis.access import AccessKey
from polylat.analysis.energy import (
    Energy,
    action_energies,
    components_without_leakage,
    leak_powers,
)
from polylat.analysis.roofline_copies import copy_counts
from polylat.analysis.roofline_counts import action_counts
from polylat.analysis.roofline_networks import NetworkUse, network_uses, spread_counts
from polylat.analysis.roofline_paths import mapping_paths
from polylat.errors import SpecError
from polylat.numbers import Number, format_number, reduce_number
from polylat.spec import Spec
from polylat.spec.arch import Arch, Component
from polylat.spec.network import HOP
from polylat.spec.option_values import ACCOUNTINGS, normalize_accounting
from polylat.spec.reading.live.convert import as_spec
from polylat.tables import Column, Table, Tabular

__all__ = ["Roofline", "roofline"]


@dataclass(frozen=True)
class Roofline(Tabular):
    """AccelForge's figures for a mapping.

    Parameters
    ----------
    latency
        The sum over Einsums of the largest busy time in `per_einsum`.
    per_einsum
        Einsum → component that it uses → busy time, for all instances of the Einsum.
    accesses
        (Einsum, component, tensor or None, action) → number of actions of the busiest unit in one
        instance of the Einsum, which determine its latency. Zeros are listed, as in AccelForge. Of
        a Network: actions that pass the busiest link. Of a tensor that the Einsum accesses several
        times: sums over these accesses.
    totals
        The same over all units and all instances: AccelForge's action counts.
    components
        Names of the components in `per_einsum`, in the order of the architecture.
    arch
        The architecture.
    accounting
        The release of AccelForge whose accounting this is.
    readings
        Which meaning was taken of what AccelForge's versions read in different ways: sentences.
    """

    latency: Number
    per_einsum: Mapping[str, Mapping[str, Number]]
    accesses: Mapping[AccessKey, Number]
    totals: Mapping[AccessKey, Number]
    components: tuple[str, ...]
    arch: Arch = field(repr=False, compare=False)
    accounting: str = ACCOUNTINGS[0]
    readings: tuple[str, ...] = field(default=(), compare=False)

    @cached_property
    def energy(self) -> Energy:
        """AccelForge's energy of the mapping: of `totals`, and of leakage during `latency`.

        Raises
        ------
        SpecError
            The architecture does not give the energy of an action. (AccelForge would query a model
            of the component.)
        """
        leakage: dict[str, Number] = {}
        for einsum, busy in self.per_einsum.items():
            for component, power in leak_powers(self.arch, einsum).items():
                energy = power * max((0, *busy.values()))
                leakage[component] = reduce_number(leakage.get(component, 0) + energy)
        actions = action_energies(self.arch, self.totals)
        return Energy(actions, leakage, components_without_leakage(self.arch))

    @property
    def known_energy(self) -> Energy | None:
        """`energy`; None where the architecture does not give it."""
        try:
            return self.energy
        except SpecError:
            return None

    @property
    def bottleneck(self) -> dict[str, str]:
        """Einsum → the component with the largest busy time; the outermost of equals."""
        return {einsum: max(busy, key=busy.__getitem__) for einsum, busy in self.per_einsum.items()}

    def headline(self) -> tuple[str, ...]:
        """Return the latency, what it is, and the energy if it is known.

        Returns
        -------
        tuple of str
            Two sentences, the readings, and one of the energy.
        """
        head = (
            f"AccelForge's latency  {format_number(self.latency)}"
            + ("" if self.accounting == ACCOUNTINGS[0] else f"  ({self.accounting})"),
            "The sum over Einsums of the busy time of the slowest component, back to back.",
            *self.readings,
        )
        if self.known_energy is None:
            return head
        return (*head, *self.known_energy.headline())

    def tables(self) -> tuple[Table, ...]:
        """Return the busy time per Einsum and component.

        Returns
        -------
        tuple of Table
            One table, in the architecture's unit of time.
        """
        columns = [Column(name, name, "number") for name in self.components]
        rows = tuple(
            (
                einsum,
                *(busy.get(name) for name in self.components),
                self.bottleneck[einsum] if busy else None,
            )
            for einsum, busy in self.per_einsum.items()
        )
        return (Table((Column("einsum", "Einsum"), *columns, Column("slowest", "slowest")), rows),)


def roofline(spec: Spec | Any, *, accounting: str | None = None) -> Roofline:
    """Compute AccelForge's latency and action counts of a mapping.

    Parameters
    ----------
    spec
        Workload, architecture and mapping; a Pipeline counts as a Sequential, as in AccelForge. Or
        AccelForge's ``Spec`` with a mapping, or its ``Mappings`` with one mapping.
    accounting
        The release of AccelForge whose accounting is reproduced: ``"1.0"`` (1.0.467) or ``"main"``
        (of 2026-08-12), which differ in copy Einsums. None: that of the input's ``schedule:`` key,
        else ``"1.0"``.

    Returns
    -------
    Roofline
        Exact numbers: int if integral, else Fraction.

    Raises
    ------
    MappingError
        AccelForge refuses the mapping. (Not raised if it refuses only because of the size of a
        memory, or because it cannot join the Einsums' mappings, on which the counts do not depend.)
    SpecError
        The iteration space of an Einsum is empty or unbounded.
    OptionError
        There is no such accounting.
    UnsupportedError
        AccelForge refuses the workload: a rank variable has different bounds in two Einsums, or a
        copy Einsum has several inputs.

    Notes
    -----
    AccelForge's latency of an Einsum is that of its slowest component; the latency of a component
    is its ``total_latency`` expression, evaluated on its numbers of actions. It is multiplied by
    the ``n_instances`` of the Einsum and of the workload, and summed over the Einsums.

    In AccelForge an Einsum has one access per tensor, so that there are no recurrences. What an
    Einsum reads and what it writes of a tensor that it accesses several times is priced as
    AccelForge prices tensors of their own. (A file for AccelForge has such tensors, and
    ``schedule: recurrences:`` says what they are: `polylat.load`.)

    Examples
    --------
    A sum of 6 values in two tiles of 3, from a memory that serves one action per unit of time.
    Every operation reads A and Z and writes Z, except that the first one does not read Z.

    >>> from fractions import Fraction
    >>> from polylat.analysis.roofline import roofline
    >>> from polylat.spec import Spec
    >>> from polylat.spec.affine import Affine
    >>> from polylat.spec.arch import Arch, Component, Port
    >>> from polylat.spec.mapping import Branch, Compute, Storage, Temporal
    >>> from polylat.spec.workload import Einsum, TensorAccess, Workload
    >>> k, one = Affine((("k", 1),)), Fraction(1)
    >>> total = Einsum(
    ...     "total",
    ...     ("k",),
    ...     (k, Affine((("k", -1),), 5)),
    ...     (TensorAccess("A", ("K",), ((k,),), None, one), TensorAccess("Z", (), (), (), one)),
    ... )
    >>> memory = Component(
    ...     "DRAM",
    ...     "Memory",
    ...     actions_per_value={(action, t): one for action in ("read", "write") for t in "AZ"},
    ...     ports=(Port("", {"read": one, "write": one}),),
    ... )
    >>> adder = Component(
    ...     "adder",
    ...     "Compute",
    ...     actions_per_value={("compute", None): one},
    ...     ports=(Port("", {"compute": one}),),
    ... )
    >>> nodes = (Storage("DRAM", ("A", "Z")), Temporal("k", 3), Temporal("k", 1))
    >>> figures = roofline(
    ...     Spec(
    ...         Workload((total,)),
    ...         Arch(("DRAM", "adder"), {"total": (memory, adder)}),
    ...         Branch(nodes, Compute("total", "adder")),
    ...     )
    ... )
    >>> figures.per_einsum, figures.bottleneck
    ({'total': {'DRAM': 17, 'adder': 6}}, {'total': 'DRAM'})
    >>> figures.accesses["total", "DRAM", "Z", "read"]
    5
    """
    spec = as_spec(spec)
    release = (
        spec.schedule.get("accounting", ACCOUNTINGS[0])
        if accounting is None
        else normalize_accounting(accounting)
    )
    earlier = dict(spec.workload.earlier)
    busy: dict[str, dict[str, Number]] = {}
    accesses: dict[AccessKey, Number] = {}
    totals: dict[AccessKey, Number] = {}
    for path in mapping_paths(spec):
        einsum = path.einsum
        instances = spec.workload.n_instances * einsum.n_instances
        sums: dict[str, dict[str, Number]] = {}
        counts = copy_counts(path, release) if einsum.is_copy else action_counts(path)
        for count in spread_counts(path, counts, release):
            tensor = earlier.get(count.tensor or "", count.tensor)
            key = (einsum.name, count.component, tensor, count.action)
            _add(accesses, key, count.one_unit)
            _add(totals, key, count.all_units * instances)
            actions = sums.setdefault(count.component, {})
            actions[count.action] = actions.get(count.action, 0) + count.one_unit
        uses: dict[str, list[NetworkUse]] = {}
        for use in network_uses(path, release):
            network = use.component
            key = (einsum.name, network.name, earlier.get(use.tensor, use.tensor), HOP)
            scale = network.network.actions_scale if network.network is not None else 1
            _add(accesses, key, max((0, *use.traffic.values())))
            _add(totals, key, use.total_hops * scale * instances)
            uses.setdefault(network.name, []).append(use)
        times = {c.name: c.busy_time(sums[c.name]) for c in path.components if c.name in sums}
        times |= {c.name: _network_time(c, uses[c.name]) for c in path.components if c.name in uses}
        busy[einsum.name] = {
            c.name: reduce_number(times[c.name] * instances)
            for c in path.components
            if c.name in times
        }
    per_einsum = {einsum.name: busy[einsum.name] for einsum in spec.workload.einsums}
    # Busy times are negative where AccelForge counts a bounding box of negative extent. Its Compute
    # is never busy for less than no time, and so its latency is not negative.
    latency: Number = sum((max((0, *times.values())) for times in per_einsum.values()), 0)
    used = {name for times in per_einsum.values() for name in times}
    components = tuple(name for name in spec.arch.order if name in used)
    return Roofline(
        reduce_number(latency),
        per_einsum,
        accesses,
        totals,
        components,
        spec.arch,
        release,
        spec.readings,
    )


def _add(counts: dict[AccessKey, Number], key: AccessKey, number: Number) -> None:
    """Add to a sum: of a tensor that an Einsum accesses several times, all accesses count."""
    counts[key] = reduce_number(counts.get(key, 0) + number)


def _network_time(component: Component, uses: Sequence[NetworkUse]) -> Number:
    """Latency of a Network: traffic is summed over tensors, and maximal over dimensions."""
    assert component.network is not None
    traffic: dict[str, Number] = {}
    for use in uses:
        for dim, actions in use.traffic.items():
            traffic[dim] = traffic.get(dim, 0) + actions
    hops = max(0, *(use.max_hops for use in uses))
    return component.network.latency(hops, max((0, *traffic.values())))
