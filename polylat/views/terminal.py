"""Render timelines in characters, for terminals: a column is a time interval, a row is a port."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from rich.console import Group, RenderableType
from rich.text import Text

from polylat.analysis.timeline import TimelineData, TimelineSegment
from polylat.numbers import Number, format_number
from polylat.tables import plain_text
from polylat.views.captions import bounds_words
from polylat.views.style import einsum_color

__all__ = ["render_timeline", "timeline_text"]

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_EIGHTHS = " ▁▂▃▄▅▆▇█"


def timeline_text(line: TimelineData, *, width: int = 100) -> str:
    """Render a timeline as plain text.

    Parameters
    ----------
    line
        The timeline.
    width
        Largest number of columns.

    Returns
    -------
    str
        The lines.

    Examples
    --------
    >>> import polylat
    >>> files = ("examples/arch.yaml", "examples/workload.yaml", "examples/tap_resident.yaml")
    >>> report = polylat.analyze(polylat.load(*files), granularity="tile", background="o2")
    >>> text = report.timeline(window=(0, 5000)).to_text(width=60)
    >>> for line in text.splitlines()[3:6]:
    ...     print(line)
    DRAM │AAAAAAAAAAABBBBBB         ·AAAAAAAAAAABBBBBB·        ·
    SRAM │AAAAAAAAAAABBBBBBBBBBBBBBBBAAAAAAAAAAbBBBBBBBBBBBBBBBB
    mac  │A          B              ·A          B              ·
    """
    return plain_text(render_timeline(line, width), width=width)


def render_timeline(line: TimelineData, width: int = 100) -> RenderableType:
    """Render a timeline for a rich console.

    Each Einsum has a letter, in lowercase for write-backs in the background. A column shows the
    Einsum that uses the port most, or a middle dot if that is less than a quarter of the time. The
    critical path is underlined.

    Parameters
    ----------
    line
        The timeline.
    width
        Largest number of columns.

    Returns
    -------
    rich.console.RenderableType
        The title, latency and bounds, the lanes, the memories and a legend.
    """
    names = [lane.name for lane in line.lanes]
    levels = line.segments[0].levels if line.segments else ()
    names += [level.name for level in levels]
    left = min(max(map(len, names), default=0), width // 3)
    room = max(width - left - 2, 8)
    columns = _columns(line, room)
    rows: list[RenderableType] = [Text(line.title, style="bold"), Text(bounds_words(line))]
    rows += _repeats(line, left, columns)
    for number, lane in enumerate(line.lanes):
        row = Text(f"{lane.name[:left]:<{left}} │")
        for k, (segment, count) in enumerate(zip(line.segments, columns, strict=True)):
            if k:
                row.append("┊")
            row.append_text(_lane(line, segment, number, count))
        rows.append(row)
    rows.append(_axis(line, left, columns))
    for number, level in enumerate(levels):
        row = Text(f"{level.name[:left]:<{left}} │", style="dim")
        for k, (segment, count) in enumerate(zip(line.segments, columns, strict=True)):
            row.append(("┊" if k else "") + _level(segment, number, count))
        rows.append(row)
    determined = [x for x in levels if x.peak is not None]
    if determined:
        peaks = ", ".join(
            f"{x.name} {format_number(x.peak or 0)}"
            + (f" of {format_number(x.size)}" if x.size is not None else "")
            for x in determined
        )
        rows.append(Text(f"Peak bits: {peaks}.", style="dim"))
    rows.append(_legend(line))
    return Group(*rows)


def _columns(line: TimelineData, room: int) -> list[int]:
    """Number of columns of each segment."""
    count = len(line.segments)
    if count <= 1:
        return [room] * count
    whole = sum((Fraction(s.duration) for s in line.segments), Fraction(0)) or Fraction(1)
    weights = [float(s.duration / whole) ** 0.5 + 0.15 for s in line.segments]
    free = max(room - count + 1, count)
    return [max(1, int(free * w / sum(weights))) for w in weights]


def _letter(einsum: int) -> str:
    return _LETTERS[einsum % len(_LETTERS)]


def _lane(line: TimelineData, segment: TimelineSegment, lane: int, columns: int) -> Text:
    """Letters for the use of a port."""
    shares: list[dict[tuple[str, str], float]] = [{} for _ in range(columns)]
    path = [False] * columns
    first = segment.start
    each = Fraction(segment.duration) / columns or Fraction(1)

    def add(start: Number, finish: Number, what: tuple[str, str], rate: float = 1.0) -> None:
        low, high = Fraction(start - first) / each, Fraction(finish - first) / each
        for k in range(max(int(low), 0), min(-int(-high // 1), columns)):
            part = float(min(high, Fraction(k + 1)) - max(low, Fraction(k))) * rate
            if part > 0:
                shares[k][what] = shares[k].get(what, 0.0) + part

    for bar in segment.bars:
        if bar.lane == lane:
            add(bar.start, bar.finish, (bar.einsum, bar.kind))
            if bar.critical:
                low = int(Fraction(bar.start - first) / each)
                high = int(Fraction(bar.finish - first) / each)
                for k in range(max(low, 0), min(high, columns)):
                    path[k] = True
    for shade in segment.shades:
        if shade.lane == lane:
            total = Fraction(shade.finish - shade.start)
            for einsum, kind, time in shade.busy:
                add(shade.start, shade.finish, (einsum, kind), float(time / total))
    place = {name: k for k, name in enumerate(line.einsums)}
    text = Text()
    for share, critical in zip(shares, path, strict=True):
        (einsum, what), most = max(share.items(), key=lambda item: item[1], default=(("", ""), 0.0))
        if most == 0:
            text.append(" ")
        elif most < 0.25:
            text.append("·", style=einsum_color(place[einsum]))
        else:
            letter = _letter(place[einsum])
            style = einsum_color(place[einsum]) + (" underline" if critical else "")
            text.append(letter.lower() if what == "background" else letter, style=style)
    return text


def _level(segment: TimelineSegment, number: int, columns: int) -> str:
    """Blocks for the occupancy of a memory, relative to its size, or to its peak without one."""
    level = segment.levels[number]
    top = level.size or level.peak
    if level.steps is None:
        return "?" * columns
    if not top or not segment.duration:
        return " " * columns
    each = Fraction(segment.duration) / columns
    highest = [Fraction(0)] * columns
    now = Fraction(0)
    at = 0
    for k in range(columns):
        most = now
        while at < len(level.steps) and level.steps[at][0] < segment.start + (k + 1) * each:
            now = Fraction(level.steps[at][1])
            most = max(most, now) if level.steps[at][0] > segment.start + k * each else now
            at += 1
        highest[k] = most
    return "".join(_EIGHTHS[min(8, -int(-h * 8 // Fraction(top)))] for h in highest)


def _repeats(line: TimelineData, left: int, columns: Sequence[int]) -> list[Text]:
    """Brackets above the segments that repeat, with the numbers of repetitions."""
    starts = [left + 2 + sum(columns[:k]) + k for k in range(len(columns))]
    rows: list[list[str]] = []
    for repeat in line.repeats:
        low = starts[repeat.first]
        high = starts[repeat.last] + columns[repeat.last]
        mark = f"×{repeat.count:,}"
        length = max(high - low, len(mark))
        text = mark if length < len(mark) + 2 else mark.center(length - 2, "─").join("┌┐")
        for row in rows:
            if all(c == " " for c in row[low : low + length + 1]):
                break
        else:
            row = [" "] * (starts[-1] + columns[-1] + 12)
            rows.append(row)
        row[low : low + len(text)] = text
    return [Text("".join(row).rstrip(), style="dim") for row in rows]


def _axis(line: TimelineData, left: int, columns: Sequence[int]) -> Text:
    row = " " * (left + 2)
    at = left + 2
    for k, (segment, count) in enumerate(zip(line.segments, columns, strict=True)):
        at = left + 2 + sum(columns[:k]) + k
        name = format_number(segment.start)
        if len(row.rstrip()) < at and (len(name) < count or k == 0):
            row = row.rstrip().ljust(at) + name
    end = left + 2 + sum(columns) + len(columns) - 1
    last = format_number(line.finish)
    if len(row.rstrip()) + 1 < end - len(last):
        row = row.ljust(end - len(last)) + last
    return Text(row, style="dim")


def _legend(line: TimelineData) -> Text:
    text = Text()
    for k, name in enumerate(line.einsums):
        text.append(f"{'' if k == 0 else '  '}{_letter(k)}", style=einsum_color(k))
        text.append(f" {name}")
    kinds = {bar.kind for bar in line.bars} | {
        kind for s in line.segments for h in s.shades for _, kind, _ in h.busy
    }
    if "background" in kinds:
        text.append("  lowercase: in the background")
    text.append("  · busy for less than a quarter of the time")
    return text
