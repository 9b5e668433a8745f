"""A report and a roofline for people to read: rich renderables, and the same as plain text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from polylat.analysis.access import OVERHEAD, AccessKey
from polylat.analysis.attribution import Charge, LatencySteps, latency_steps, port_users
from polylat.analysis.bandwidth_curve import Curve
from polylat.analysis.occupancy import peak_or_none
from polylat.analysis.results import Results
from polylat.analysis.roofline import Roofline
from polylat.analysis.sensitivity import Change, Row
from polylat.numbers import Number, format_factor, format_large, format_number, percent
from polylat.proof.certificate import Certificate
from polylat.tables import plain_text

__all__ = [
    "bound_meaning",
    "curve_text",
    "explanation_text",
    "missing_write_backs",
    "percent",
    "render_curve",
    "render_explanation",
    "render_report",
    "render_roofline",
    "report_text",
    "roofline_text",
]

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


def report_text(results: Results, *, steps: int = 0) -> str:
    """The report as plain text, at most `WIDTH` columns wide.

    Parameters
    ----------
    results
        The results.
    steps
        How many steps of the critical path to list.
    """
    return plain_text(render_report(results, steps=steps))


def roofline_text(roofline: Roofline) -> str:
    """AccelForge's figures as plain text, at most `WIDTH` columns wide."""
    return plain_text(render_roofline(roofline))


def render_report(
    results: Results, *, steps: int = 0, certificate: Certificate | None = None
) -> RenderableType:
    """The report for a rich console; parameters as in `report_text`, and what was proven."""
    comparison = latency_steps(results)
    sections = [
        _headline(results),
        _section("From AccelForge's figure to the latency", _ladder(results, comparison)),
        _section("Latency by order of the ports", _orders(results)),
        _section("Ports", _ports(results), _pipelines(results)),
        _section("Critical path", _critical(results)),
    ]
    if steps:
        title = f"Critical path, step by step (first {steps})"
        sections.append(_section(title, _steps(results, steps)))
    sections.append(_section("Memories", _memories(results)))
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
            Text(format_number(busy[c]) if c in busy else "", style="bold" if c == slowest else "")
            for c in components
        ]
        table.add_row(Text(einsum), *cells, Text(slowest or ""))
    head = Text.assemble(
        ("AccelForge's latency  ", "bold"), (format_large(roofline.latency), "bold green")
    )
    words = Text("The sum over Einsums of the busy time of the slowest component, back to back.")
    return Group(head, Padding(words, (0, 0, 0, 2)), Text(), table)


def explanation_text(results: Results) -> str:
    """What binds a report's latency, as plain text, at most `WIDTH` columns wide."""
    return plain_text(render_explanation(results))


def curve_text(results: Results, curve: Curve) -> str:
    """The latency against a bandwidth, as plain text, at most `WIDTH` columns wide."""
    return plain_text(render_curve(results, curve))


def render_explanation(results: Results) -> RenderableType:
    """What binds a report's latency, what has slack and what would help, for a rich console."""
    found = results.sensitivity()
    sections = [
        _headline(results),
        _section("Steady state: the initiation interval of each loop", _paces(results)),
        _section(
            "What would help most, of single actions", _change(results.best_change(), results)
        ),
        _section(
            "What binds: time on the critical path",
            _sensitive(results, found.components),
            _waited(results),
        ),
        _section("The same, access by access", _sensitive(results, found.accesses)),
        _section(
            "What has slack: how much longer each alone could take, for free",
            _slacks(found.accesses),
        ),
        Text(_ORDER_STAYS, style="dim"),
    ]
    return Group(*(part for section in sections for part in (section, Text())))


def render_curve(results: Results, curve: Curve) -> RenderableType:
    """The latency of a report against the bandwidth of a component, for a rich console.

    Parameters
    ----------
    results
        The results.
    curve
        Its curve.
    """
    what = _scaled(results, curve)
    head = Text.assemble(
        ("Latency  ", "bold"), (format_large(curve.latency), "bold green"), f"  at the {what} now"
    )
    sections: list[RenderableType] = [
        Group(head, *(Padding(line, (0, 0, 0, 2)) for line in _turning_points(curve, what)))
    ]
    if any(curve.slopes):
        sections.append(_section(f"Latency by {what}", _samples(curve)))
        sections.append(_section("Exactly", _pieces(curve)))
    sections.append(Text(_ORDER_STAYS, style="dim"))
    return Group(*(part for section in sections for part in (section, Text())))


def _signed(value: Number) -> str:
    if value == 0:
        return "0"
    return format_number(value) if value < 0 else f"+{format_number(value)}"


# Sections ----------------------------------------------------------------------------------------


def _headline(results: Results) -> RenderableType:
    head = Text.assemble(("Latency  ", "bold"), (format_large(results.latency), "bold green"))
    how = [
        f"order {results.order}",
        f"granularity {results.granularity}",
        _count(results.tiles, "tile iteration"),
    ]
    if results.engine == "periodic":
        how.append("found from their period")
    if results.background:
        how.append(f"background: {', '.join(_write_backs(results))}")
    lines: list[Text] = [Text(" · ".join(how))]
    lines += map(Text, missing_write_backs(results))
    if results.waits_for_background:
        lines.append(Text("The fastest schedule waits for the write-backs, background or not."))
    if results.sequential is None:
        lines.append(Text("Run sequentially, the mapping is illegal."))
    elif results.speedup is not None:
        lines.append(_speedup(results.speedup, results.sequential))
    if not results.exact:
        lines.append(_bracket(results))
    lines += [_optimal(results), _bounds(results)]
    return Group(head, *(Padding(line, (0, 0, 0, 2)) for line in lines))


def _bracket(results: Results) -> Text:
    return Text.assemble(
        ("Not exact", "bold yellow"),
        f": a schedule takes {format_number(results.latency)}, none takes less than"
        f" {format_number(results.lower_bound)} (gap {float(results.gap):.2%}).",
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


def _paces(results: Results) -> RenderableType:
    if not results.initiation_intervals:
        return Text("No loop repeats along the critical path.")
    table = _table("Loop", "Einsums", ">Per iteration", ">Iterations", "Critical cycle")
    for found in results.initiation_intervals:
        turn = ", ".join(
            f"{' '.join(part for part in key if part)} {format_number(time)}" for key, time in found.cycle
        )
        loop = found.variable if found.tile == 1 else f"{found.variable} (tiles of {found.tile})"
        table.add_row(
            Text(loop),
            Text("+".join(found.einsums)),
            format_number(found.interval),
            f"{found.iterations:,}",
            Text(turn if found.period == 1 else f"{turn} (per {found.period} iterations)"),
        )
    return table


def _speedup(speedup: Fraction, sequential: Number) -> Text:
    if speedup == 1:
        return Text("As fast as sequential execution, without overlap between branches.")
    times = f"{float(speedup):.3f}x"
    return Text(f"{times} as fast as sequential execution ({format_number(sequential)}).")


def _optimal(results: Results) -> Text:
    if results.optimal:
        reason = bound_meaning(results)
        return Text.assemble(
            ("Proven optimal", "bold green"), f" by the {results.binding} bound: {reason}."
        )
    larger = max(results.resource_bound, results.dependence_bound)
    gap = results.latency - larger
    share = percent(gap, results.latency)
    return Text.assemble(
        ("Not proven optimal", "bold yellow"),
        f": {format_number(gap)} ({share}) above the {results.binding} bound.",
    )


def bound_meaning(results: Results) -> str:
    """Why no schedule of the mapping is faster than the bound that binds."""
    return {
        "resource": f"no schedule keeps {_busiest(results) or 'a port'} busy for less",
        "dependence": "no schedule has a shorter chain of dependences",
    }[results.binding]


def _bounds(results: Results) -> Text:
    busiest = _busiest(results)
    resource = format_number(results.resource_bound) + (f" (port {busiest})" if busiest else "")
    dependence = f"{format_number(results.dependence_bound)} (as if no port were ever busy)"
    return Text(f"Bounds: resource {resource}, dependence {dependence}.")


def _busiest(results: Results) -> str:
    """The ports whose load is the resource bound."""
    if not results.resource_bound:
        return ""
    return " or ".join(p.name for p in results.ports if p.busy == results.resource_bound)


def _ladder(results: Results, comparison: LatencySteps) -> RenderableType:
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column()
    table.add_row(
        "AccelForge",
        Text(format_number(comparison.accelforge), style="bold"),
        "the sum over Einsums of the busy time of the slowest component, back to back",
    )
    saved = comparison.back_to_back - comparison.accelforge
    table.add_row("residency and counts", _signed(saved), _residency(comparison, saved))
    sequential = comparison.sequential
    if sequential is not None:
        waits = sequential - comparison.back_to_back
        table.add_row("barriers and prefetch", _signed(waits), _barriers(waits, results))
        table.add_row("= sequential", format_number(sequential), "")
    else:
        sequential = comparison.back_to_back
    gained = comparison.latency - sequential
    table.add_row("overlap", _signed(gained), _overlap(results, gained))
    table.add_row(
        Text("= latency", style="bold"), Text(format_number(comparison.latency), style="bold green"), ""
    )
    return table


def _residency(comparison: LatencySteps, saved: Number) -> RenderableType:
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
    return f"{format_number(abs(change))} {word} (time {_signed(-charge.time)})"


def _barriers(waits: Number, results: Results) -> str:
    if len(results.solution.model.lowered.leaves) == 1:
        return "a single leaf waits for nothing but its ports"
    if waits > 0:
        return (
            "branches start when those before have finished, in every iteration of the loops"
            " above: no port runs ahead, so that the slowest component waits for the others"
        )
    if waits < 0:
        return "tiles held above a split are filled ahead, while another Einsum computes"
    return "no effect, on balance"


def _overlap(results: Results, gained: Number) -> str:
    causes = []
    if results.contention:
        stages = "; ".join(" | ".join(c.stages) for c in results.contention)
        causes.append(f"Pipeline stages run concurrently ({stages})")
    if results.background and not results.waits_for_background:
        causes.append(f"write-backs in the background ({', '.join(_write_backs(results))})")
    if results.sequential is None:
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


def missing_write_backs(results: Results) -> list[str]:
    """A sentence for each write-back asked for that the mapping does not have."""
    return [
        f"Nothing is written back{f' from {component}' if component else ''} for {tensor}."
        for tensor, component in results.idle_background
    ]


def _write_backs(results: Results) -> list[str]:
    """The write-backs in the background, as tensor@component."""
    return [f"{tensor}@{component}" for tensor, component in results.background]


def _orders(results: Results) -> RenderableType:
    parts: list[Text | str] = []
    for order, latency in results.latency_by_order.items():
        shown = format_number(latency) if latency is not None else "contradicts the dependences"
        if order in results.unsettled:
            shown = "not settled"
        used = order == results.order and not results.waits_for_background
        parts += [" · " if parts else "", Text(f"{order} {shown}", style="bold" if used else "")]
    return Text.assemble(*parts)


def _ports(results: Results) -> RenderableType:
    if not results.ports:
        return Text("Nothing takes time.")
    table = _table("Port", ">Busy", ">Utilisation", "Used by")
    for port, users in zip(results.ports, port_users(results), strict=True):
        parts = [f"{name} {percent(busy, port.busy)}" for name, busy in users.items()]
        shown = ", ".join(parts[:4])
        if len(parts) > 4:
            shown += f", {len(parts) - 4} more"
        style = "bold" if port.busy == results.resource_bound else ""
        table.add_row(
            Text(port.name, style=style),
            Text(format_number(port.busy), style=style),
            percent(port.busy, results.latency),
            Text(shown),
        )
    return table


def _pipelines(results: Results) -> RenderableType | None:
    lines = []
    for pipeline in results.contention:
        line = f"Pipeline {' | '.join(pipeline.stages)}:"
        if pipeline.shared:
            line += f" the stages contend for {', '.join(pipeline.shared)}"
        if pipeline.own:
            line += ";" if pipeline.shared else ""
            line += f" each has units of its own of {', '.join(pipeline.own)}"
        lines.append(f"{line}.")
    return Text("\n".join(lines)) if lines else None


def _critical(results: Results) -> RenderableType | None:
    totals = results.critical_totals
    if not totals:
        return Text("Empty: nothing takes time.")
    table = _table("Einsum", "Component", "Tensor", "Action", ">Time", ">Share")
    for key, time in list(totals.items())[:_ROWS]:
        table.add_row(*_access(key), format_number(time), percent(time, results.latency))
    if len(totals) > _ROWS:
        rest = sum((Fraction(t) for t in list(totals.values())[_ROWS:]), Fraction(0))
        more = f"{len(totals) - _ROWS} more"
        table.add_row(more, "", "", "", format_number(rest), percent(rest, results.latency))
    return Group(table, Text(f"Time by what the access had waited for: {_waits(results)}."))


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


def _waits(results: Results) -> str:
    return ", ".join(
        f"{_WAITS[why]} {format_number(time)} ({percent(time, results.latency)})"
        for why, time in results.critical_reasons.items()
    )


def _steps(results: Results, number: int) -> RenderableType:
    table = _table(">Start", ">Finish", "Einsum", "Tile", "Port", "Tensor", "Action", "After")
    path = results.critical_path
    for step in path[:number]:
        port = f"{step.component}.{step.port}" if step.port else step.component
        table.add_row(
            format_number(step.start),
            format_number(step.finish),
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


def _memories(results: Results) -> RenderableType:
    table = _table("Memory", ">Peak (bits)", ">Size (bits)", ">Share", "")
    exceeded = False
    for memory in results.occupancy:
        name = memory.component + "".join(f"[{stage}]" for stage in memory.stages)
        peak = peak_or_none(memory)
        note = Text()
        if peak is None:
            note = Text("not periodic: not known")
        elif memory.exceeded and memory.size is not None:
            exceeded = True
            note = Text(f"exceeded by {format_number(peak - memory.size)}", style="bold red")
        table.add_row(
            Text(name),
            _NONE if peak is None else format_number(peak),
            "unlimited" if memory.size is None else format_number(memory.size),
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


def _change(change: Change | None, results: Results) -> Text:
    if change is None:
        return Text("Nothing alone: no single action that becomes twice as fast helps.")
    gained = Fraction(results.latency) - Fraction(change.latency)
    return Text.assemble(
        (_subject(change.component, change.action), "bold"),
        f" twice as fast: {format_number(results.latency)} becomes ",
        (format_number(change.latency), "bold green"),
        f", {format_number(gained)} ({percent(gained, results.latency)}) less.",
    )


def _subject(component: str, action: str | None) -> str:
    if action == OVERHEAD:
        return f"overhead of {component}"
    return f"{component} {action}" if action else component


def _sensitive(results: Results, rows: Sequence[Row]) -> RenderableType:
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
            format_number(row.critical),
            percent(row.critical, results.latency),
            format_number(row.count),
            "varies" if row.duration is None else format_number(row.duration),
            "not settled" if row.latency_if_free is None else format_number(row.latency_if_free),
        )
    if len(critical) <= _ROWS:
        return table
    return Group(table, Text(f"{_count(len(critical) - _ROWS, 'more row')}; --json lists all."))


def _waited(results: Results) -> Text | None:
    if not results.critical_reasons:
        return None
    return Text(f"Time by what the access had waited for: {_waits(results)}.")


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
            format_factor(row.slack or 1),
        )
    if len(free) <= _ROWS:
        return table
    return Group(table, Text(f"{_count(len(free) - _ROWS, 'more row')}; --json lists all."))


def _scaled(results: Results, curve: Curve) -> str:
    """What a curve varies, in words."""
    if curve.action == OVERHEAD:
        return f"speed of the overhead of {curve.component}"
    paths = results.solution.model.lowered.spec.arch.paths.values()
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
        yield Text(f"{format_factor(beyond)} the {what} would do: the latency stays as it is.")
    else:
        yield Text(
            f"Beyond {format_factor(beyond)} the {what}, more gains nothing: the latency stays at"
            f" {format_number(curve.at(0))}."
        )
    if curve.alone:
        yield Text("Nothing else counts: half of it doubles the latency.")
    elif below is not None:
        yield Text(
            f"Below {format_factor(below)}, nothing else counts: half of it doubles the latency."
        )


def _samples(curve: Curve) -> RenderableType:
    table = _table(">Times now", ">Latency", ">Speed-up")
    for factor in ("1/8", "1/4", "1/2", "1", "2", "4", "8", "inf"):
        latency = curve.at_bandwidth(factor)
        style = "bold" if factor == "1" else ""
        name = "infinite" if factor == "inf" else format_factor(Fraction(factor))
        speedup = format_factor(Fraction(curve.latency) / Fraction(latency)) if latency else ""
        table.add_row(Text(name, style), Text(format_number(latency), style), Text(speedup, style))
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
        parts = [format_number(rest)] if rest or not slope else []
        parts += [f"{format_number(slope)}/x"] if slope else []
        table.add_row(
            format_factor(1 / Fraction(slow[0])) if slow else "0x",
            format_factor(1 / Fraction(fast)) if fast else "infinite",
            format_number(slow[1]) if slow else ("infinite" if slope else format_number(latency)),
            format_number(latency),
            Text(" + ".join(parts)),
        )
    if len(shown) == count:
        return table
    return Group(table, Text(f"{_count(count - len(shown), 'more piece')}; --json lists all."))


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
