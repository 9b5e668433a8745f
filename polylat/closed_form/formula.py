"""`symbolic`: the latency of a mapping as a formula of sizes, times and slots."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING, Any

from polylat.closed_form.closed_form import ClosedForm
from polylat.closed_form.family import LOWER_BOUNDS, PEAK, MappingFamily
from polylat.closed_form.figures import FigureForms
from polylat.closed_form.parameters import Bound, Parameter, find_parameter
from polylat.closed_form.questions import (
    Breakpoints,
    enough,
    fewest_slots,
    first_faster,
    stretches,
)
from polylat.closed_form.sweep import Sweep, sweep_of
from polylat.closed_form.verification import FormulaCertificate
from polylat.engine.orders import transfer_options
from polylat.errors import DomainError, OptionError, UnsupportedError
from polylat.lowering.lowered import lower
from polylat.numbers import Number
from polylat.report import Report, analyze, analyze_options
from polylat.schedule.timing import ORDERS
from polylat.spec import Spec
from polylat.spec.names import known_names
from polylat.spec.pairs import pair_names
from polylat.spec.reading.live.convert import as_spec
from polylat.tables import Column, Table, Tabular

if TYPE_CHECKING:
    import islpy
    import numpy as np
    from numpy.typing import NDArray

    from polylat.analysis.access import AccessKey

__all__ = ["Formula", "symbolic"]

Given = tuple[int | None, int | None]
"""(least, largest) value of a parameter; None: not given."""

_LONGEST = 320
"""Number of characters of the longest formula that a table shows."""

_OTHERS = {**{name: name.replace("_", " ") for name in LOWER_BOUNDS}, "roofline": "AccelForge"}
"""Figures that are no schedule → their names in tables."""

_SLOTS = (1, 6)
"""Values of slots, unless others are given."""

_SLOWER, _FASTER = 64, 1024
"""How many times slower and faster than its own a time may be, unless values are given."""


@dataclass(frozen=True, eq=False)
class Formula(Tabular):
    """The latency of a mapping as a function of parameters, with its bounds.

    Calling it returns the exact latency at a point of its domain.

    Parameters
    ----------
    spec
        The input.
    options
        All options of `analyze`, in their normal forms; `granularity` is a definite one.
    parameters
        The parameters: sizes, then times, then slots.
    """

    spec: Spec
    options: Mapping[str, Any]
    parameters: tuple[Parameter, ...]
    _forms: FigureForms = field(repr=False)

    @cached_property
    def latency(self) -> ClosedForm:
        """The latency of `analyze`: in the requested order, or in the best one."""
        return self._forms.form("latency")

    @cached_property
    def by_order(self) -> Mapping[str, ClosedForm]:
        """Order → its latency. The domain is empty where the order is illegal or not proven."""
        return {order: self._forms.form(order) for order in ORDERS}

    @cached_property
    def resource_bound(self) -> ClosedForm:
        """The largest busy time of a port."""
        return self._forms.form("resource_bound")

    @cached_property
    def dependence_bound(self) -> ClosedForm:
        """The latency if ports served any number of accesses at once."""
        return self._forms.form("dependence_bound")

    @cached_property
    def barrier_bound(self) -> ClosedForm:
        """What the foregrounds take where turns of a Sequential do not overlap."""
        return self._forms.form("barrier_bound")

    @cached_property
    def roofline(self) -> ClosedForm:
        """AccelForge's latency."""
        return self._forms.form("roofline")

    @cached_property
    def accesses(self) -> Mapping[AccessKey, ClosedForm]:
        """(Einsum, component, tensor or None, action) → number of actions of the busiest unit."""
        return {key: self._forms.form(key) for key in self._forms.accesses()}

    @cached_property
    def peaks(self) -> Mapping[str, ClosedForm]:
        """Memory → the most bits that one of its units holds, in the schedule of the latency.

        Computed at each size up to 64, and at whole values of a time.
        """
        transfers = transfer_options(self.spec, self.options)
        memories = lower(self.spec, self.options["granularity"], transfers).memories
        return {memory: self._forms.form(PEAK + memory) for memory in memories}

    @property
    def expression(self) -> Any:
        """The latency as a SymPy expression."""
        return self.latency.expression

    @property
    def symbols(self) -> tuple[Any, ...]:
        """The SymPy symbols of the parameters."""
        return self.latency.symbols

    @property
    def domain(self) -> islpy.Set:
        """All integer points at which the latency is known, as an ISL set."""
        return self.latency.domain

    @property
    def conditions(self) -> Any:
        """The domain of the latency as SymPy conditions."""
        return self.latency.conditions

    def __call__(self, **values: Any) -> Number:
        """Return the exact latency at a point of the domain.

        Parameters
        ----------
        **values
            A number for every parameter.

        Returns
        -------
        Number
            int if integral, else Fraction.

        Raises
        ------
        DomainError
            The latency is not known there.
        OptionError
            A parameter is missing, unknown, or no number.
        """
        return self.latency(**values)

    def report(self, **values: Any) -> Report:
        """Analyze the mapping at a point, in the domain or not.

        Parameters
        ----------
        **values
            A number for every parameter.

        Returns
        -------
        Report
            The report, which explains the latency and can verify it.

        Raises
        ------
        PolylatError
            A value cannot be used, or the mapping is illegal there.
        """
        sizes, times, slots = self.latency.point(values)
        family = self._forms.families.get(slots)
        if family is None:
            raise DomainError(
                f"{slots[0]} slots are not among those of the formula",
                where="formula",
                fix="derive it with a range of slots that has them",
            )
        return analyze(family.spec_at((sizes, times)), **family.options)

    def verify(self) -> FormulaCertificate:
        """Prove with ISL that the schedules behind the formulas are the earliest, at all sizes.

        This covers all orders and the dependence bound, as far as they are proven for all sizes of
        one parameter; with a time as a parameter, the static orders and that bound, at the times
        that determine their cells. For one point, ``report(...).verify()`` derives every rule of
        the model again.

        Returns
        -------
        FormulaCertificate
            The proven schedules; it has none where sizes were analyzed one by one.

        Raises
        ------
        CertificateError
            A schedule is not the earliest one at some size.

        Examples
        --------
        >>> import polylat
        >>> files = ("examples/arch.yaml", "examples/workload.yaml", "examples/untapped.yaml")
        >>> formula = polylat.symbolic(polylat.load(*files), ["M"], granularity="tile")
        >>> [(proven.order, proven.low) for proven in formula.verify().ranges]
        [('program', (11,)), ('skew', (11,)), ('oldest', (11,)), ('dependence bound', (11,))]
        """
        return FormulaCertificate(tuple(self._forms.verified()))

    def lambdify(self) -> Callable[..., NDArray[np.float64]]:
        """Return the latency as a NumPy function, NaN outside of the domain.

        Returns
        -------
        Callable
            See `ClosedForm.lambdify`.
        """
        return self.latency.lambdify()

    def sweep(self, **values: Any) -> Sweep:
        """Return the latency at all combinations of some values.

        Parameters
        ----------
        **values
            Per parameter, a number or several.

        Returns
        -------
        Sweep
            A table that prints and plots itself.

        Raises
        ------
        OptionError
            A parameter is missing, unknown or no number, or there are too many points.

        Examples
        --------
        >>> import polylat
        >>> files = ("examples/arch.yaml", "examples/workload.yaml", "examples/untapped.yaml")
        >>> formula = polylat.symbolic(polylat.load(*files), ["M"])
        >>> formula.sweep(M=[1, 8, 64]).rows
        ((1, 3968), (8, 31744), (64, 253952))
        """
        return sweep_of(self.latency, values)

    def breakpoints(self, name: str, **others: Any) -> Breakpoints:
        """Return where the bottleneck moves: the latency as a function of one time.

        Parameters
        ----------
        name
            A throughput, duration or latency.
        **others
            Values of the other parameters.

        Returns
        -------
        Breakpoints
            A table that prints and plots itself.

        Raises
        ------
        OptionError
            It is no such parameter, or a value is missing.
        """
        return stretches(self.latency, name, others)

    def enough(self, name: str, **others: Any) -> Number | None:
        """Return the value of a time from which on an improvement does not lower the latency.

        Parameters
        ----------
        name
            A throughput, duration or latency.
        **others
            Values of the other parameters.

        Returns
        -------
        Number or None
            The least such throughput, or the largest such duration or fixed latency; None where
            every improvement in the domain lowers the latency.

        Raises
        ------
        OptionError
            It is no such parameter, or a value is missing.

        Examples
        --------
        >>> import polylat
        >>> files = ("examples/arch.yaml", "examples/workload.yaml", "examples/untapped.yaml")
        >>> formula = polylat.symbolic(polylat.load(*files), ["DRAM.throughput"])
        >>> formula.enough("DRAM.throughput"), formula.breakpoints("DRAM.throughput").values
        (Fraction(23, 8), (Fraction(16, 15), Fraction(23, 8)))
        """
        return enough(self.latency, name, others)

    def fewest_slots(self, **others: Any) -> int:
        """Return the number of slots beyond which more do not lower the latency.

        Parameters
        ----------
        **others
            Values of the other parameters.

        Returns
        -------
        int
            The fewest slots with the least latency of all numbers of slots in the domain.

        Raises
        ------
        OptionError
            The slots are no parameter, or a value is missing.
        """
        return fewest_slots(self.latency, others)

    def first_faster(self, other: Formula, name: str, **others: Any) -> int | None:
        """Return the least size at which this mapping is faster than another one.

        Parameters
        ----------
        other
            The formula of the other mapping, in the same parameters.
        name
            The size.
        **others
            Values of the other parameters.

        Returns
        -------
        int or None
            The least size in both domains; None if it is never faster.

        Raises
        ------
        OptionError
            It is no size of both formulas, or a value is missing.

        Examples
        --------
        >>> import polylat
        >>> files = ("examples/arch.yaml", "examples/workload.yaml", "examples/untapped.yaml")
        >>> spec = polylat.load(*files)
        >>> in_turn = polylat.symbolic(spec, ["M"], granularity="tile")
        >>> pipelined = polylat.symbolic(spec, ["M"], granularity="tile", pipelined=True)
        >>> pipelined.first_faster(in_turn, "M")
        2
        """
        return first_faster(self.latency, other.latency, name, others)

    def to_dict(self) -> dict[str, Any]:
        """Return the formulas as plain data for JSON.

        Returns
        -------
        dict
            As ``docs/json.md`` describes it.
        """
        forms = {name: self._forms.form(name) for name in ("latency", *ORDERS, *_OTHERS)}
        return {
            "schema": "polylat.formula/1",
            "parameters": {p.symbol: p.name for p in self.parameters},
            "granularity": self.options["granularity"],
            "formulas": {
                name: {
                    "expression": str(form.expression),
                    "latex": form.latex(),
                    "domain": str(form.domain),
                    "proven_for_all_sizes": form.proven,
                }
                if form.cells
                else None
                for name, form in forms.items()
            },
        }

    def latex(self) -> str:
        """Return the latency as LaTeX.

        Returns
        -------
        str
            Without dollar signs.
        """
        return self.latency.latex()

    def _repr_latex_(self) -> str:
        return self.latency._repr_latex_()

    def headline(self) -> tuple[str, ...]:
        """Return the latency and its domain.

        Returns
        -------
        tuple of str
            Two or three sentences.
        """
        names = ", ".join(p.symbol for p in self.parameters)
        if not self.latency.cells:
            return (f"No latency in {names} is proven.", "Fewer parameters, or ranges, may help.")
        lines = [f"latency({names}) = {self.latency.expression}", f"for {self.latency.domain}"]
        if not self.latency.proven:
            lines.append("Where a size is bounded, the latency was computed at each of its values.")
        return tuple(lines)

    def tables(self) -> tuple[Table, ...]:
        """Return the latency by order, and the bounds.

        Returns
        -------
        tuple of Table
            One table.
        """
        names: dict[str, str] = {order: f"order {order}" for order in ORDERS} | _OTHERS
        forms = [(name, self._forms.form(figure)) for figure, name in names.items()]
        rows = tuple((name, _shown(form), _starts(form)) for name, form in forms)
        columns = (
            Column("figure", "Figure"),
            Column("expression", "formula"),
            Column("from", "proven from"),
        )
        return (Table(columns, rows, "Orders and bounds"),)


def _shown(form: ClosedForm) -> str:
    """The expression for the table, if it is not too long."""
    if not form.cells:
        return "not proven"
    text = str(form.expression)
    return text if len(text) <= _LONGEST else f"{len(text)} characters: see to_dict()"


def _starts(form: ClosedForm) -> str:
    """From which sizes on a formula holds, for the table."""
    sizes = [p.name for p in form.parameters if p.kind == "size"]
    found = form.transient
    return ", ".join(f"{name} = {found[name]}" if name in found else "bounded" for name in sizes)


def symbolic(
    spec: Spec | Any,
    parameters: Iterable[str] | Mapping[str, Given | None],
    **options: Any,
) -> Formula:
    """Derive the latency of a mapping as a formula of sizes, times and slots.

    Parameters
    ----------
    spec
        The input; or AccelForge's ``Spec`` with a mapping, or its ``Mappings`` of one mapping.
    parameters
        Names: ``"M"`` (the size of rank variable m), ``"m_tiles"`` (the number of its outermost
        tiles), a variable of the input, ``"DRAM.throughput"`` (actions per unit of time),
        ``"DRAM.duration"`` (its reciprocal), ``"DRAM.read.latency"`` (a fixed latency),
        ``"slots"``, ``"o1@SRAM.slots"``.
        Up to two sizes, one time and one number of slots. A mapping gives the (least, largest)
        value of each, None for no limit.
    **options
        As for `analyze`. The granularity ``"auto"`` is the one that `analyze` chooses for the
        input as it is.

    Returns
    -------
    Formula
        The latency, its bounds, and where they hold.

    Raises
    ------
    OptionError
        A parameter or an option cannot be used.
    UnsupportedError
        There are too many parameters.

    Notes
    -----
    How each formula is proven is described in ``docs/formulas.md``. Where no proof is found, the
    latency is computed at every size up to 64, and the domain says so.

    Examples
    --------
    >>> import polylat
    >>> files = ("examples/arch.yaml", "examples/workload.yaml", "examples/untapped.yaml")
    >>> formula = polylat.symbolic(polylat.load(*files), ["M", "DRAM.throughput"])
    >>> print(formula.expression)
    M*Max(2944, 1472 + 2496/DRAM_throughput, 2432 + 1472/DRAM_throughput)
    >>> formula(M=8, DRAM_throughput=1), formula(M=10**6, DRAM_throughput="3/2")
    (31744, Fraction(10240000000, 3))
    """
    spec = as_spec(spec)
    spec, normal = analyze_options(spec, options)
    given = (
        dict(parameters)
        if isinstance(parameters, Mapping)
        else dict.fromkeys([parameters] if isinstance(parameters, str) else parameters)
    )
    known = known_names(spec.workload, spec.arch.order, spec.mapping)
    holders = tuple(dict.fromkeys([*pair_names([*known.backing, *known.holders]), *known.tensors]))
    found = {name: find_parameter(spec, name, holders) for name in given}
    sizes = tuple(p for p in found.values() if p.kind == "size")
    times = tuple(p for p in found.values() if p.is_time)
    slots = tuple(p for p in found.values() if p.kind == "slots")
    if len(sizes) > 2 or len(times) > 1 or len(slots) > 1 or not found:
        raise UnsupportedError(
            f"a formula in {len(sizes)} sizes, {len(times)} times and {len(slots)} slots",
            where="parameters",
            fix="choose up to two sizes, one throughput, duration or latency, and one of slots",
        )
    if len({p.variable or p.name for p in sizes}) < len(sizes):
        raise OptionError(
            f"{' and '.join(p.name for p in sizes)} are sizes of one rank variable",
            where="parameters",
            fix="name one of them",
        )
    bounds = tuple(_bound(p.name, given[p.name], (1, None)) for p in sizes)
    base = MappingFamily(spec, normal, sizes, times)
    families: dict[tuple[int, ...], MappingFamily] = {(): base}
    for p in slots:
        low, high = _bound(p.name, given[p.name], _SLOTS)
        last = _SLOTS[1] if high is None else high
        families = {(n,): base.with_slots(p.holder, n) for n in range(low, last + 1)}
    values = tuple(_values(spec, p, given[p.name]) for p in times)
    forms = FigureForms(families, sizes, times, slots, bounds, values)
    return Formula(spec, normal, forms.parameters, forms)


def _bound(name: str, given: Given | None, default: Bound) -> Bound:
    low, high = given or (None, None)
    least = default[0] if low is None else low
    largest = default[1] if high is None and given is None else high
    whole = all(type(n) is int for n in (least, largest) if n is not None)
    if not whole or least < 1 or (largest is not None and largest < least):
        raise OptionError(
            f"parameter {name!r} from {least} to {largest} is no range",
            where="parameters",
            fix="give (least, largest) as whole numbers from 1 on; None for no limit",
        )
    return least, largest


def _values(spec: Spec, parameter: Parameter, given: Given | None) -> tuple[Fraction, Fraction]:
    """The values of a time that are considered."""
    own = parameter.own_value(spec) or Fraction(1)
    low, high = given or (None, None)
    if low is not None:
        least = Fraction(low)
    elif parameter.kind == "latency":
        least = Fraction(0)
    else:
        least = min(Fraction(1), own) if own <= _SLOWER else own / _SLOWER
    largest = _FASTER * max(Fraction(1), own) if high is None else Fraction(high)
    if least < 0 or largest <= least or (least == 0 and parameter.kind != "latency"):
        raise OptionError(
            f"parameter {parameter.name!r} from {least} to {largest} is no range",
            where="parameters",
            fix="give (least, largest) with a least value above zero; None for no limit",
        )
    return least, largest
