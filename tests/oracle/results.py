"""*Results*: results."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

from .model import Model
from .options import Names, Slots, read_options
from .paths import read_leaves, tile_depth
from .ports import Port
from .problem import Illegal, Index, Node, NoOrder, read_problem
from .schedule import latencies, without_ports
from .steps import Key

Load = Mapping[Port, Fraction]


def resource_bound(model: Model) -> Fraction:
    """The largest total busy time of a port."""
    return largest_load(step.work for step in model.steps.values())


def largest_load(works: Any) -> Fraction:
    """The largest sum of durations on a port."""
    load: dict[Port, Fraction] = defaultdict(Fraction)
    for work in works:
        for port, duration in work.items():
            load[port] += duration
    return max(load.values(), default=Fraction(0))


def dependence_bound(model: Model) -> Fraction | None:
    """The last finish when no block waits for a port (each still takes its duration)."""
    schedule = without_ports(model.steps)
    return None if schedule is None else schedule.latency


def barrier_bound(model: Model) -> Fraction:
    """Over the tree, foregrounds only.

    A leaf needs its largest port load; a Sequential the sum over its branches and, with loops
    above it, over their iterations; a Pipeline the larger of the largest port load over its
    stages and the largest of its stages' own bounds.
    """
    works = {key: step.work for key, step in model.steps.items() if key[0] == "fore"}
    return bound_of(model, model.lowered.problem.nodes, (), works)


def bound_of(
    model: Model, nodes: Sequence[Node], index: Index, works: Mapping[Key, Load]
) -> Fraction:
    """Barrier bound of a subtree, with the outermost loops fixed at ``index``."""
    split = nodes[-1]
    runs = [run for run in model.runs if split in run.leaf.path]
    keys = [key for key in works if any(key[1] == run.leaf.order for run in runs)]
    keys = [key for key in keys if key[2][: len(index)] == index]
    if split.kind == "Sequential":
        depth = runs[0].leaf.depth(split)
        return sum(
            (
                bound_of(model, branch, inner, works)
                for inner in sorted({key[2][:depth] for key in keys})
                for branch in split.branches
            ),
            Fraction(0),
        )
    stages = [bound_of(model, branch, index, works) for branch in split.branches]
    return max([largest_load(works[key] for key in keys), *stages])


def least(*tables: Mapping[str, Fraction | None]) -> Fraction | None:
    """The least latency that is available."""
    available = [value for table in tables for value in table.values() if value is not None]
    return min(available, default=None)


def sequential_latencies(data: Mapping[str, Any], **options: Any) -> dict[str, Fraction | None]:
    """The latencies of the same mapping with every Pipeline as Sequential; none where illegal."""
    try:
        return latencies(Model(read_problem(data, pipelines=False), **options))
    except Illegal:
        return {}


def has_pipelines(nodes: Sequence[Node]) -> bool:
    """Whether there is a Pipeline in a tree."""
    return any(
        node.kind == "Pipeline" or any(has_pipelines(branch) for branch in node.branches)
        for node in nodes
    )


def chosen_granularity(
    data: Mapping[str, Any], granularity: str, max_tiles: int | None, **names: Any
) -> str:
    """Granularity "auto": flow where the tile iterations stay within ``max_tiles``, else tile."""
    if granularity != "auto":
        return granularity
    leaves = read_leaves(read_problem(data))
    options = read_options("flow", **names)
    tiles = 0
    for leaf in leaves:
        depth = tile_depth(leaf, leaves, options)
        tiles += len({operation.time[:depth] for operation in leaf.operations})
    return "flow" if max_tiles is None or tiles <= max_tiles else "tile"


class Absent:
    """The default of arguments that the file may give."""


def analyze(
    data: Mapping[str, Any],
    granularity: str | None = None,
    background: Names | None = None,
    slots: Slots | type[Absent] = Absent,
    max_tiles: int | None = None,
    staged: Names | None = None,
) -> dict[str, Any]:
    """Results of a mapping with the order ``"best"``, by brute force.

    Options that are not given are those of the file, under ``schedule:``.

    Raises
    ------
    Illegal
        The mapping is illegal, or no order is available.
    """
    file = data.get("schedule") or {}
    names = {
        "background": file.get("background", ()) if background is None else background,
        "staged": file.get("staged", ()) if staged is None else staged,
    }
    granularity = granularity or file.get("granularity", "auto")
    options: dict[str, Any] = {
        **{name: tuple(v) if not isinstance(v, str) else v for name, v in names.items()},
        "slots": file.get("slots", 2) if slots is Absent else slots,
    }
    options["granularity"] = chosen_granularity(data, granularity, max_tiles, **names)
    problem = read_problem(data)
    model = Model(problem, **options)
    by_order = latencies(model)
    sequential = sequential_latencies(data, **{**options, "background": ()})
    barriers: dict[str, Fraction | None] = {}
    if has_pipelines(problem.nodes):
        barriers = sequential
        if options["background"]:
            barriers = sequential_latencies(data, **options)
    latency = least(by_order, barriers)
    if latency is None:
        raise NoOrder("the dependences contradict every order")
    return {
        "latency": latency,
        "latency_by_order": by_order,
        "resource_bound": resource_bound(model),
        "dependence_bound": dependence_bound(model),
        "barrier_bound": barrier_bound(model),
        "tiles": sum(len(run.iterations) for run in model.runs),
        "accesses": {key: actions for key, actions in model.accesses.items() if actions},
        "sequential": least(sequential),
        "granularity": options["granularity"],
    }
