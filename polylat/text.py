"""A report and a roofline for people to read: rich renderables, and the same as plain text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from io import StringIO
from typing import TYPE_CHECKING

from rich.console import Console, Group, RenderableType
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from polylat.errors import UnsupportedError
from polylat.explain import Charge, Comparison, compare, port_users
from polylat.report import AccessKey, Number, Report
from polylat.retime import OVERHEAD
from polylat.sensitivity import Change, Curve, Row, best_change

if TYPE_CHECKING:
    from polylat import Roofline
    from polylat.certificate import Certificate

__all__ = [
    "WIDTH",
    "bound_meaning",
    "curve_text",
    "explanation_text",
    "idle_write_backs",
    "percent",
    "plain_text",
    "render_curve",
    "render_explanation",
    "render_report",
    "render_roofline",
    "report_text",
    "roofline_text",
    "show",
]

WIDTH = 100
"""Columns of plain text."""

_DIGITS = 7
_ROWS = 12
_NONE = "-"
_LIMIT = (
    "Accesses of one leaf stream: its reads, computation and writes overlap freely, as AccelForge"
    " assumes; what waits for data, barriers and space are tile iterations of different leaves."
)
_ORDER_STAYS = (
    "For the order in which the ports serve now. Analysed anew with other throughputs, another"
    " order may be faster still."
)


def report_text(report: Report, *, steps: int = 0) -> str:
    """The report as plain text, at most `WIDTH` columns wide.

    Parameters
    ----------
    report
        The report.
    steps
        How many steps of the critical path to list.
    """
    return plain_text(render_report(report, steps=steps))


def roofline_text(roofline: Roofline) -> str:
    """AccelForge's figures as plain text, at most `WIDTH` columns wide."""
    return plain_text(render_roofline(roofline))


def render_report(
    report: Report, *, steps: int = 0, certificate: Certificate | None = None
) -> RenderableType:
    """The report for a rich console; parameters as in `report_text`, and what was proven."""
    comparison = compare(report)
    sections = [
        _headline(report),
        _section("From AccelForge's figure to the latency", _ladder(report, comparison)),
        _section("Latency by order of the ports", _orders(report)),
        _section("Ports", _ports(report), _pipelines(report)),
        _section("Critical path", _critical(report)),
    ]
    if steps:
        title = f"Critical path, step by step (first {steps})"
        sections.append(_section(title, _steps(report, steps)))
    sections.append(_section("Memories", _memories(report)))
    if certificate is not None:
        sections.append(_section("Certificate", _certificate(certificate)))
    sections.append(Text(_LIMIT, style="dim"))
    return Group(*(part for section in sections for part in (section, Text())))


def render_roofline(roofline: Roofline) -> RenderableType:
    """AccelForge's figures for a rich console."""
    components = roofline.components
    table = _table("Einsum", *(f">{c}" for c in components), ">slowest")
    for einsum, busy in roofline.per_einsum.items():
        slowest = roofline.bottleneck.get(einsum) if busy else None
        cells = [
            Text(show(busy[c]) if c in busy else "", style="bold" if c == slowest else "")
            for c in components
        ]
        table.add_row(Text(einsum), *cells, Text(slowest or ""))
    head = Text.assemble(
        ("AccelForge's latency  ", "bold"), (show_large(roofline.latency), "bold green")
    )
    words = Text("The sum over Einsums of the busy time of the slowest component, back to back.")
    return Group(head, Padding(words, (0, 0, 0, 2)), Text(), table)


def explanation_text(report: Report) -> str:
    """What binds a report's latency, as plain text, at most `WIDTH` columns wide."""
    return plain_text(render_explanation(report))


def curve_text(report: Report, curve: Curve) -> str:
    """The latency against a bandwidth, as plain text, at most `WIDTH` columns wide."""
    return plain_text(render_curve(report, curve))


def render_explanation(report: Report) -> RenderableType:
    """What binds a report's latency, what has slack and what would help, for a rich console."""
    found = report.sensitivity()
    sections = [
        _headline(report),
        _section("Steady state: the initiation interval of each loop", _paces(report)),
        _section("What would help most, of single actions", _change(best_change(report), report)),
        _section(
            "What binds: time on the critical path",
            _sensitive(report, found.components),
            _waited(report),
        ),
        _section("The same, access by access", _sensitive(report, found.accesses)),
        _section(
            "What has slack: how much longer each alone could take, for free",
            _slacks(found.accesses),
        ),
        Text(_ORDER_STAYS, style="dim"),
    ]
    return Group(*(part for section in sections for part in (section, Text())))


def render_curve(report: Report, curve: Curve) -> RenderableType:
    """The latency of a report against the bandwidth of a component, for a rich console.

    Parameters
    ----------
    report
        The report.
    curve
        Its curve.
    """
    what = _scaled(report, curve)
    head = Text.assemble(
        ("Latency  ", "bold"), (show_large(curve.latency), "bold green"), f"  at the {what} now"
    )
    sections: list[RenderableType] = [
        Group(head, *(Padding(line, (0, 0, 0, 2)) for line in _turning_points(curve, what)))
    ]
    if any(curve.slopes):
        sections.append(_section(f"Latency by {what}", _samples(curve)))
        sections.append(_section("Exactly", _pieces(curve)))
    sections.append(Text(_ORDER_STAYS, style="dim"))
    return Group(*(part for section in sections for part in (section, Text())))


def show(value: Number) -> str:
    """A number: exact where that is short, else to seven digits after ``≈``.

    Examples
    --------
    >>> from fractions import Fraction
    >>> show(31744), show(Fraction(547, 2)), show(Fraction(1, 3)), show(Fraction(7, 781250))
    ('31,744', '273.5', '1/3', '8.96e-6')
    >>> show(Fraction(10**9, 12345)), show(Fraction(1, 3 * 10**9))
    ('≈81,004.46', '≈333.3333e-12')
    """
    value = Fraction(value)
    if value.denominator == 1 and abs(value) < 10**18:
        return f"{value.numerator:,}"
    # A long denominator takes long to take apart, and has too many decimals.
    decimals = _decimals(value.denominator) if value.denominator <= 10**40 else None
    small = 0 < abs(value) < Fraction(1, 1000)
    if decimals is not None and abs(value.numerator) * 10**decimals < 10**40:
        digits = len(str(abs(value.numerator) * (10**decimals // value.denominator)).rstrip("0"))
        if digits <= 12 and (small or abs(value) >= 10**18):
            return _engineering(value, digits)
        if digits <= 12 and decimals <= 9:
            return f"{_rounded(value, decimals)}"
    short = abs(value.numerator) * value.denominator < 10**8  # the others may be endless
    if short and decimals is None and len(f"{value.numerator}{value.denominator}") <= 8:
        return f"{value.numerator:,}/{value.denominator:,}"
    if small or abs(value) >= 10**15:
        return f"≈{_engineering(value, _DIGITS)}"
    whole = len(str(int(abs(value)))) if abs(value) >= 1 else 0
    return f"≈{_rounded(value, max(_DIGITS - whole, 0))}"


def show_large(value: Number) -> str:
    """A number, from a million on in engineering form as well.

    Examples
    --------
    >>> show_large(934180749312), show_large(31744)
    ('934,180,749,312 (934.2e9)', '31,744')
    """
    if not 10**6 <= abs(Fraction(value)) < 10**18:
        return show(value)
    return f"{show(value)} ({_engineering(Fraction(value), 4)})"


def four_digits(value: Number) -> str:
    """How many times, to four digits.

    Examples
    --------
    >>> four_digits(Fraction(4, 3)), four_digits(10**400)
    ('1.333', '10e399')
    """
    try:
        return f"{float(value):.4g}"
    except OverflowError:
        return _engineering(Fraction(value), 4)


def double(value: Number) -> float:
    """The nearest floating-point number, for libraries that know no others.

    Raises
    ------
    UnsupportedError
        It is too large for one, or so small that it would be nothing.
    """
    try:
        found = float(value)
    except OverflowError:
        found = 0.0
    if value and not found:
        raise UnsupportedError(
            f"{show(value)} is beyond the range of floating-point numbers (1e-323 to 1e308)",
            mend="use another unit of time or of bits, or what shows exact numbers, such as SVG",
        )
    return found


def _decimals(denominator: int) -> int | None:
    """Number of decimals of a fraction with this denominator, None if they do not end."""
    twos = fives = 0
    while denominator % 2 == 0:
        denominator, twos = denominator // 2, twos + 1
    while denominator % 5 == 0:
        denominator, fives = denominator // 5, fives + 1
    return max(twos, fives) if denominator == 1 else None


def _rounded(value: Fraction, decimals: int) -> str:
    scaled = round(value * 10**decimals)
    whole, rest = divmod(abs(scaled), 10**decimals)
    tail = f".{rest:0{decimals}d}" if decimals else ""
    return f"{'-' if scaled < 0 else ''}{whole:,}{tail}"


def _engineering(value: Fraction, digits: int) -> str:
    """To so many significant digits, with an exponent that is a multiple of three."""
    if value == 0:
        return "0"
    bits = value.numerator.bit_length() - value.denominator.bit_length()
    exponent = 3 * int(bits / 10)  # about; what is left are a few steps
    size = abs(value) / Fraction(1000) ** (exponent // 3)
    while size >= 1000:
        size, exponent = size / 1000, exponent + 3
    while size < 1:
        size, exponent = size * 1000, exponent - 3
    decimals = max(digits - len(str(int(size))), 0)
    size = Fraction(round(size * 10**decimals), 10**decimals)
    if size == 1000:
        size, exponent = Fraction(1), exponent + 3
    text = _rounded(size, decimals)
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return f"{'-' if value < 0 else ''}{text}{f'e{exponent}' if exponent else ''}"


def _signed(value: Number) -> str:
    if value == 0:
        return "0"
    return show(value) if value < 0 else f"+{show(value)}"


def percent(part: Number, whole: Number) -> str:
    """A share; what is not nothing is not shown as nothing, nor what is not all as all."""
    if not whole:
        return ""
    share = 100 * Fraction(part) / Fraction(whole)
    if 0 < share < Fraction(1, 20):
        return "<0.1%"
    if Fraction(1999, 20) <= share < 100:
        return ">99.9%"
    return f"{float(share):.1f}%"


# Sections ----------------------------------------------------------------------------------------


def _headline(report: Report) -> RenderableType:
    head = Text.assemble(("Latency  ", "bold"), (show_large(report.latency), "bold green"))
    how = [
        f"order {report.order}",
        f"granularity {report.granularity}",
        _count(report.tiles, "tile iteration"),
    ]
    if report.engine == "periodic":
        how.append("found from their period")
    if report.background:
        how.append(f"background: {', '.join(_write_backs(report))}")
    lines: list[Text] = [Text(" · ".join(how))]
    lines += map(Text, idle_write_backs(report))
    if report.waits_for_background:
        lines.append(Text("The fastest schedule waits for the write-backs, background or not."))
    if report.sequential is None:
        lines.append(Text("Run sequentially, the mapping is illegal."))
    elif report.speedup is not None:
        lines.append(_speedup(report.speedup, report.sequential))
    if not report.exact:
        lines.append(_bracket(report))
    lines += [_optimal(report), _bounds(report)]
    return Group(head, *(Padding(line, (0, 0, 0, 2)) for line in lines))


def _bracket(report: Report) -> Text:
    return Text.assemble(
        ("Not exact", "bold yellow"),
        f": a schedule takes {show(report.latency)}, none takes less than"
        f" {show(report.lower_bound)} (gap {float(report.gap):.2%}).",
    )


def _certificate(found: Certificate) -> RenderableType:
    table = _table("Proven", ">Relations", ">Decisions", "What it says")
    for proven in found.proven:
        table.add_row(
            Text(proven.kind), f"{proven.relations:,}", f"{proven.decisions:,}", proven.meaning
        )
    head = Text.assemble(
        ("Proven", "bold green"),
        f" for all {found.tiles:,} tile iterations: {found.how}.",
    )
    notes = [Text(f"Not checked: {note}.") for note in found.notes]
    return Group(head, table, *notes)


def _paces(report: Report) -> RenderableType:
    if not report.initiation_interval:
        return Text("No loop repeats along the critical path.")
    table = _table("Loop", "Einsums", ">Per iteration", ">Iterations", "Critical cycle")
    for found in report.initiation_interval:
        turn = ", ".join(
            f"{' '.join(part for part in key if part)} {show(time)}" for key, time in found.cycle
        )
        loop = found.variable if found.tile == 1 else f"{found.variable} (tiles of {found.tile})"
        table.add_row(
            Text(loop),
            Text("+".join(found.einsums)),
            show(found.interval),
            f"{found.iterations:,}",
            Text(turn if found.period == 1 else f"{turn} (per {found.period} iterations)"),
        )
    return table


def _speedup(speedup: Fraction, sequential: Number) -> Text:
    if speedup == 1:
        return Text("As fast as sequential execution, without overlap between branches.")
    times = f"{float(speedup):.3f}x"
    return Text(f"{times} as fast as sequential execution ({show(sequential)}).")


def _optimal(report: Report) -> Text:
    if report.optimal:
        reason = bound_meaning(report)
        return Text.assemble(
            ("Proven optimal", "bold green"), f" by the {report.binding} bound: {reason}."
        )
    larger = max(report.resource_bound, report.dependence_bound)
    gap = report.latency - larger
    share = percent(gap, report.latency)
    return Text.assemble(
        ("Not proven optimal", "bold yellow"),
        f": {show(gap)} ({share}) above the {report.binding} bound.",
    )


def bound_meaning(report: Report) -> str:
    """Why no schedule of the mapping is faster than the bound that binds."""
    return {
        "resource": f"no schedule keeps {_busiest(report) or 'a port'} busy for less",
        "dependence": "no schedule has a shorter chain of dependences",
    }[report.binding]


def _bounds(report: Report) -> Text:
    busiest = _busiest(report)
    resource = show(report.resource_bound) + (f" (port {busiest})" if busiest else "")
    dependence = f"{show(report.dependence_bound)} (as if no port were ever busy)"
    return Text(f"Bounds: resource {resource}, dependence {dependence}.")


def _busiest(report: Report) -> str:
    """The ports whose load is the resource bound."""
    if not report.resource_bound:
        return ""
    return " or ".join(p.name for p in report.ports if p.busy == report.resource_bound)


def _ladder(report: Report, comparison: Comparison) -> RenderableType:
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column()
    table.add_row(
        "AccelForge",
        Text(show(comparison.accelforge), style="bold"),
        "the sum over Einsums of the busy time of the slowest component, back to back",
    )
    saved = comparison.back_to_back - comparison.accelforge
    table.add_row("residency and counts", _signed(saved), _residency(comparison, saved))
    sequential = comparison.sequential
    if sequential is not None:
        waits = sequential - comparison.back_to_back
        table.add_row("barriers and prefetch", _signed(waits), _barriers(waits, report))
        table.add_row("= sequential", show(sequential), "")
    else:
        sequential = comparison.back_to_back
    gained = comparison.latency - sequential
    table.add_row("overlap", _signed(gained), _overlap(report, gained))
    table.add_row(
        Text("= latency", style="bold"), Text(show(comparison.latency), style="bold green"), ""
    )
    return table


def _residency(comparison: Comparison, saved: Number) -> RenderableType:
    if not comparison.charges:
        return Text("both count the same accesses")
    lines = list(_charges(comparison.charges))
    shown = lines[:4]
    if len(lines) > len(shown):
        shown.append(f"and {len(lines) - len(shown)} more such differences")
    if saved == 0:
        shown.append("none of it where an Einsum's slowest component is")
    return Text("\n".join(shown))


def _charges(charges: Sequence[Charge]) -> Iterator[str]:
    """A line per Einsum and tensor, what is resident first."""
    found: dict[tuple[str, str | None, str | None], list[Charge]] = {}
    for charge in charges:
        found.setdefault((charge.einsum, charge.tensor, charge.found_in), []).append(charge)
    resident_first = sorted(found.items(), key=lambda item: item[0][2] is None)
    for (einsum, tensor, where), some in resident_first:
        parts = [f"{c.component} {c.action} {_charge(c)}" for c in some]
        listed = "; ".join(parts)
        if where is not None:
            how = "left" if some[0].produced else "fetched"
            yield (
                f"{einsum} finds {tensor} in {where}, where {some[0].brought_by} {how} it;"
                f" AccelForge fetches it again: {listed}"
            )
        else:
            what = f"elements of {tensor} in {einsum}" if tensor else f"operations of {einsum}"
            yield f"{what} counted one by one, not on average: {listed}"


def _charge(charge: Charge) -> str:
    change = Fraction(charge.polylat) - Fraction(charge.accelforge)
    word = "more" if change > 0 else "fewer"
    return f"{show(abs(change))} {word} (time {_signed(-charge.time)})"


def _barriers(waits: Number, report: Report) -> str:
    if len(report._model.lowered.leaves) == 1:
        return "a single leaf waits for nothing but its ports"
    if waits > 0:
        return (
            "branches start when those before have finished, in every iteration of the loops"
            " above: no port runs ahead, so that the slowest component waits for the others"
        )
    if waits < 0:
        return "tiles held above a split are filled ahead, while another Einsum computes"
    return "no effect, on balance"


def _overlap(report: Report, gained: Number) -> str:
    causes = []
    if report.contention:
        stages = "; ".join(" | ".join(c.stages) for c in report.contention)
        causes.append(f"Pipeline stages run concurrently ({stages})")
    if report.background and not report.waits_for_background:
        causes.append(f"write-backs in the background ({', '.join(_write_backs(report))})")
    if report.sequential is None:
        causes.append("barriers and prefetch (the mapping has no sequential schedule)")
    if not causes:
        if gained == 0:
            return "no Pipeline, and no write-back in the background"
        return "the order asked for is not the fastest one"
    if gained == 0:
        return f"nothing gained: {' and '.join(causes)}"
    if gained > 0:
        return f"slower in this order: {' and '.join(causes)}"
    return " and ".join(causes)


def idle_write_backs(report: Report) -> list[str]:
    """A sentence for each write-back asked for that the mapping does not have."""
    return [
        f"Nothing is written back{f' from {component}' if component else ''} for {tensor}."
        for tensor, component in report.idle_background
    ]


def _write_backs(report: Report) -> list[str]:
    """The write-backs in the background, as tensor@component."""
    return [f"{tensor}@{component}" for tensor, component in report.background]


def _orders(report: Report) -> RenderableType:
    parts: list[Text | str] = []
    for order, latency in report.latency_by_order.items():
        shown = show(latency) if latency is not None else "contradicts the dependences"
        if order in report.unsettled:
            shown = "not settled"
        used = order == report.order and not report.waits_for_background
        parts += [" · " if parts else "", Text(f"{order} {shown}", style="bold" if used else "")]
    return Text.assemble(*parts)


def _ports(report: Report) -> RenderableType:
    if not report.ports:
        return Text("Nothing takes time.")
    table = _table("Port", ">Busy", ">Utilisation", "Used by")
    for port, users in zip(report.ports, port_users(report), strict=True):
        parts = [f"{name} {percent(busy, port.busy)}" for name, busy in users.items()]
        shown = ", ".join(parts[:4])
        if len(parts) > 4:
            shown += f", {len(parts) - 4} more"
        style = "bold" if port.busy == report.resource_bound else ""
        table.add_row(
            Text(port.name, style=style),
            Text(show(port.busy), style=style),
            percent(port.busy, report.latency),
            Text(shown),
        )
    return table


def _pipelines(report: Report) -> RenderableType | None:
    lines = []
    for pipeline in report.contention:
        line = f"Pipeline {' | '.join(pipeline.stages)}:"
        if pipeline.shared:
            line += f" the stages contend for {', '.join(pipeline.shared)}"
        if pipeline.own:
            line += ";" if pipeline.shared else ""
            line += f" each has units of its own of {', '.join(pipeline.own)}"
        lines.append(f"{line}.")
    return Text("\n".join(lines)) if lines else None


def _critical(report: Report) -> RenderableType | None:
    totals = report.critical_totals
    if not totals:
        return Text("Empty: nothing takes time.")
    table = _table("Einsum", "Component", "Tensor", "Action", ">Time", ">Share")
    for key, time in list(totals.items())[:_ROWS]:
        table.add_row(*_access(key), show(time), percent(time, report.latency))
    if len(totals) > _ROWS:
        rest = sum((Fraction(t) for t in list(totals.values())[_ROWS:]), Fraction(0))
        more = f"{len(totals) - _ROWS} more"
        table.add_row(more, "", "", "", show(rest), percent(rest, report.latency))
    return Group(table, Text(f"Time by what the access had waited for: {_waits(report)}."))


def _access(key: AccessKey) -> tuple[Text, Text, Text, Text]:
    einsum, component, tensor, action = key
    return Text(einsum), Text(component), Text(tensor or _NONE), Text(action)


_WAITS = {
    "port": "its port",
    "flow": "data",
    "barrier": "a barrier",
    "capacity": "space",
    None: "nothing",
}


def _waits(report: Report) -> str:
    return ", ".join(
        f"{_WAITS[why]} {show(time)} ({percent(time, report.latency)})"
        for why, time in report.critical_waits.items()
    )


def _steps(report: Report, number: int) -> RenderableType:
    table = _table(">Start", ">Finish", "Einsum", "Tile", "Port", "Tensor", "Action", "After")
    path = report.critical_path
    for step in path[:number]:
        port = f"{step.component}.{step.port}" if step.port else step.component
        table.add_row(
            show(step.start),
            show(step.finish),
            Text(step.einsum),
            Text(" ".join(f"{variable}={index}" for variable, index in step.tile)),
            Text(port),
            Text(step.tensor or _NONE),
            Text(step.action),
            _WAITS[step.waited_for],
        )
    if len(path) > number:
        return Group(table, Text(f"{len(path) - number:,} more steps follow."))
    return table


def _memories(report: Report) -> RenderableType:
    from polylat.occupancy import known_peak

    table = _table("Memory", ">Peak (bits)", ">Size (bits)", ">Share", "")
    exceeded = False
    for memory in report.occupancy:
        name = memory.component + "".join(f"[{stage}]" for stage in memory.stages)
        peak = known_peak(memory)
        note = Text()
        if peak is None:
            note = Text("not periodic: not known")
        elif memory.exceeded and memory.size is not None:
            exceeded = True
            note = Text(f"exceeded by {show(peak - memory.size)}", style="bold red")
        table.add_row(
            Text(name),
            _NONE if peak is None else show(peak),
            "unlimited" if memory.size is None else show(memory.size),
            "" if memory.size is None or peak is None else percent(peak, memory.size),
            note,
        )
    if not exceeded:
        return table
    return Group(
        table,
        Text(
            "Tiles count as filled whole; AccelForge reserves less where a tile can come in piece"
            " by piece. The latency takes the room for granted."
        ),
    )


# Sensitivity -------------------------------------------------------------------------------------


def _change(change: Change | None, report: Report) -> Text:
    if change is None:
        return Text("Nothing alone: no single action that becomes twice as fast helps.")
    gained = Fraction(report.latency) - Fraction(change.latency)
    return Text.assemble(
        (_subject(change.component, change.action), "bold"),
        f" twice as fast: {show(report.latency)} becomes ",
        (show(change.latency), "bold green"),
        f", {show(gained)} ({percent(gained, report.latency)}) less.",
    )


def _subject(component: str, action: str | None) -> str:
    if action == OVERHEAD:
        return f"overhead of {component}"
    return f"{component} {action}" if action else component


def _sensitive(report: Report, rows: Sequence[Row]) -> RenderableType:
    """Rows with time on the critical path; by access where they tell of an Einsum."""
    critical = [row for row in rows if row.critical]
    if not critical:
        return Text("Nothing takes time.")
    whose = ("Einsum", "Tensor") if critical[0].einsum is not None else ()
    table = _table(
        *whose, "Component", "Action", ">Time", ">Share", ">Actions", ">Each", ">Latency if free"
    )
    for row in critical[:_ROWS]:
        names = (Text(row.einsum or ""), Text(row.tensor or _NONE)) if whose else ()
        table.add_row(
            *names,
            Text(row.component),
            Text(row.action),
            show(row.critical),
            percent(row.critical, report.latency),
            show(row.count),
            "varies" if row.duration is None else show(row.duration),
            "not settled" if row.latency_if_free is None else show(row.latency_if_free),
        )
    if len(critical) <= _ROWS:
        return table
    return Group(table, Text(f"{_count(len(critical) - _ROWS, 'more row')}; --json lists all."))


def _waited(report: Report) -> Text | None:
    if not report.critical_waits:
        return None
    return Text(f"Time by what the access had waited for: {_waits(report)}.")


def _slacks(rows: Sequence[Row]) -> RenderableType:
    free = [row for row in rows if row.slack is not None and row.slack > 1]
    if not free:
        return Text("Nothing: whatever takes longer makes the latency longer.")
    table = _table("Einsum", "Tensor", "Component", "Action", ">Times as long")
    for row in free[:_ROWS]:
        table.add_row(
            Text(row.einsum or ""),
            Text(row.tensor or _NONE),
            Text(row.component),
            Text(row.action),
            _times(row.slack or 1),
        )
    if len(free) <= _ROWS:
        return table
    return Group(table, Text(f"{_count(len(free) - _ROWS, 'more row')}; --json lists all."))


def _scaled(report: Report, curve: Curve) -> str:
    """What a curve varies, in words."""
    if curve.action == OVERHEAD:
        return f"speed of the overhead of {curve.component}"
    paths = report._model.lowered.spec.arch.paths.values()
    kinds = {c.kind for path in paths for c in path if c.name == curve.component}
    word = "throughput" if "Compute" in kinds else "bandwidth"
    if curve.action and word == "bandwidth":
        return f"{curve.action} {word} of {curve.component}"
    return f"{word} of {curve.component}"


def _turning_points(curve: Curve, what: str) -> Iterator[Text]:
    beyond, below = curve.beyond, curve.below
    if beyond == 0:
        yield Text(f"The {what} does not matter: it serves nothing that takes time.")
    elif beyond is None:
        yield Text(f"More {what} always gains something.")
    elif beyond == 1:
        yield Text(f"More {what} gains nothing; less of it costs.")
    elif beyond < 1:
        yield Text(f"{_times(beyond)} the {what} would do: the latency stays as it is.")
    else:
        yield Text(
            f"Beyond {_times(beyond)} the {what}, more gains nothing: the latency stays at"
            f" {show(curve.at(0))}."
        )
    if curve.alone:
        yield Text("Nothing else counts: half of it doubles the latency.")
    elif below is not None:
        yield Text(f"Below {_times(below)}, nothing else counts: half of it doubles the latency.")


def _samples(curve: Curve) -> RenderableType:
    table = _table(">Times now", ">Latency", ">Speed-up")
    for factor in ("1/8", "1/4", "1/2", "1", "2", "4", "8", "inf"):
        latency = curve.at_bandwidth(factor)
        style = "bold" if factor == "1" else ""
        name = "infinite" if factor == "inf" else _times(Fraction(factor))
        speedup = _times(Fraction(curve.latency) / Fraction(latency)) if latency else ""
        table.add_row(Text(name, style), Text(show(latency), style), Text(speedup, style))
    return table


def _pieces(curve: Curve) -> RenderableType:
    """The pieces of a curve, from the least bandwidth on: those next to what it is now."""
    table = _table(">From", ">to", ">Latency from", ">to", "Latency at x times now")
    count = len(curve.slopes)
    now = max(i for i, (scale, _) in enumerate(curve.breakpoints) if scale <= 1)
    first = max(0, min(now - _ROWS // 2, count - _ROWS))
    shown = range(first, min(count, first + _ROWS))
    for i in reversed(shown):
        (fast, latency), slope = curve.breakpoints[i], curve.slopes[i]
        slow = curve.breakpoints[i + 1] if i + 1 < count else None
        rest = Fraction(latency) - slope * Fraction(fast)
        parts = [show(rest)] if rest or not slope else []
        parts += [f"{show(slope)}/x"] if slope else []
        table.add_row(
            _times(1 / Fraction(slow[0])) if slow else "0x",
            _times(1 / Fraction(fast)) if fast else "infinite",
            show(slow[1]) if slow else ("infinite" if slope else show(latency)),
            show(latency),
            Text(" + ".join(parts)),
        )
    if len(shown) == count:
        return table
    return Group(table, Text(f"{_count(count - len(shown), 'more piece')}; --json lists all."))


def _times(factor: Number) -> str:
    """A factor, exact where that is short, else to four digits.

    Examples
    --------
    >>> from fractions import Fraction
    >>> _times(2), _times(Fraction(1, 8)), _times(Fraction(184, 65)), _times(Fraction(1, 10**9))
    ('2x', '0.125x', '2.831x', '1e-9x')
    """
    factor = Fraction(factor)
    decimals = _decimals(factor.denominator)
    if decimals is not None and decimals <= 4 and factor < 10**9:
        return f"{_rounded(factor, decimals)}x"
    if not Fraction(1, 1000) <= factor < 10**9:
        return f"{_engineering(factor, 4)}x"
    size = factor
    decimals = 3
    while size < 1:
        size, decimals = size * 10, decimals + 1
    return f"{_rounded(factor, max(decimals - len(str(int(size))) + 1, 0))}x"


# Pieces ------------------------------------------------------------------------------------------


def _section(title: str, *parts: RenderableType | None) -> RenderableType:
    shown = [Padding(part, (0, 0, 0, 2)) for part in parts if part is not None]
    return Group(Text(title, style="bold"), *shown)


def _table(*columns: str) -> Table:
    """A plain table; columns whose name starts with ``>`` are aligned to the right."""
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    for name in columns:
        table.add_column(
            escape(name.removeprefix(">")), justify="right" if name.startswith(">") else "left"
        )
    return table


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def plain_text(renderable: RenderableType, *, width: int = WIDTH) -> str:
    """What a rich console without colour prints, without blanks at the ends of lines."""
    out = StringIO()
    console = Console(
        file=out, width=width, color_system=None, force_terminal=False, highlight=False, emoji=False
    )
    console.print(renderable)
    return "\n".join(line.rstrip() for line in out.getvalue().rstrip().splitlines()) + "\n"
