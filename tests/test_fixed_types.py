"""The types of numbers in arrays, in the whole package: where they are fixed, and why.

`lowering/test_integer_types.py` has the list of `polylat.lowering`.
"""

from __future__ import annotations

import ast

from builders import ROOT
from fixed_types import functions_with_fixed_types

INDICES = "loop indices, trip counts, distances and periods: at most the number of tile iterations"
NUMBERS = "positions in tables; numbers of events, tasks, blocks, kinds, reasons"
FLAGS = "zeros and ones"
SERVED = "busy times up to a time, and numbers of repetitions: object where times are"
TIMES = "times: object where 64 bits do not suffice"
KERNEL = (
    "`VariantGraph` refuses times, and `held_tiles` bits, that do not fit; the engine takes over"
)
FACTORS = "hops, at most the number of units"
COUNTS = "zeros and ones, whose sums `LoopCounts` widens"
DOUBLES = "floating-point figures, as documented"

FITTING = {
    "accelforge/joined.py": {
        "KeepBelow.__call__": "AccelForge's own floating-point figures",
    },
    "analysis/critical_walk.py": {
        "CriticalWalk._last": NUMBERS,
        "CriticalWalk._tables": INDICES,
        "CriticalWalk._tables.counterparts": INDICES,
        "CriticalWalk._loop_indices": NUMBERS,
        "CriticalWalk._skipped_ranges": INDICES,
        "CriticalWalk._latency_kinds": NUMBERS,
        "CriticalWalk._task_kinds": NUMBERS,
        "_equal_rows": NUMBERS,
        "_plain": INDICES,
    },
    "analysis/explicit_path.py": {
        "explicit_path": NUMBERS,
    },
    "analysis/explicit_retiming.py": {
        "ExplicitRetimer._durations": "the choice",
    },
    "analysis/levels.py": {
        "ChangeSeries.inner": "numbers of changes, at most that of tile iterations",
        "ChangeSeries.total": "numbers of changes, at most that of tile iterations",
        "ChangeSeries.between": "numbers of changes, at most that of tile iterations",
        "merge_series": "numbers of changes; Python integers make the choice for weights",
        "peak_level": NUMBERS,
        "_candidate_windows": NUMBERS,
    },
    "analysis/networkx_graph.py": {
        "_tasks_at": NUMBERS,
    },
    "analysis/periodic_retiming.py": {
        "PeriodicRetimer._dtype": "the choice",
    },
    "analysis/relation.py": {
        "": NUMBERS,
        "_accesses": NUMBERS,
    },
    "analysis/residency.py": {
        "HolderResidency.bases": INDICES,
        "HolderResidency.strides": INDICES,
    },
    "analysis/residency_pieces.py": {
        "_affine_bounds": NUMBERS,
        "_split_pieces": NUMBERS,
        "_digits": INDICES,
    },
    "analysis/services.py": {
        "ServiceRuns._add_served": SERVED,
        "ServiceRuns.number": SERVED,
        "ServiceRuns.opened": "numbers of services, at most that of tile iterations",
        "ServiceRuns.busy": "times: object where the services are",
        "services": NUMBERS,
        "_runs": NUMBERS,
    },
    "analysis/slack.py": {
        "_Gaps.__init__": INDICES,
        "_Gaps.lost": INDICES,
        "_ReversiblePrecedences.__init__": INDICES,
        "_ReversiblePrecedences.pairs": INDICES,
        "_ReversiblePrecedences._located": INDICES,
    },
    "analysis/timeline_builder.py": {
        "TimelineBuilder._shades": NUMBERS,
        "TimelineBuilder._bars": NUMBERS,
        "TimelineBuilder._tasks_of_all": NUMBERS,
    },
    "analysis/turn_retiming.py": {
        "TurnRetimer._turns": NUMBERS,
    },
    "closed_form/closed_form.py": {
        "ClosedForm.lambdify": DOUBLES,
        "ClosedForm._evaluate": DOUBLES,
        "ClosedForm._mask": DOUBLES,
        "_values": DOUBLES,
    },
    "closed_form/formula.py": {
        "Formula.lambdify": DOUBLES,
    },
    "engine/ages.py": {
        "are_older": FLAGS,
        "_per_block": NUMBERS,
        "_dates": NUMBERS,
    },
    "engine/barrier_bound.py": {
        "_Bound._loads": NUMBERS,
        "_joined": "times: object where those of a turn are",
    },
    "engine/capacity_rows.py": {
        "_tile_exists": INDICES,
    },
    "engine/finishing.py": {
        "_users_of": INDICES,
        "_Collected.__init__": INDICES,
        "_Collected.add": INDICES,
    },
    "engine/port_turns.py": {"latest_first": INDICES},
    "engine/row_builder.py": {
        "RowBuilder.source": INDICES,
        "RowBuilder.rows": NUMBERS,
        "RowBuilder._later": INDICES,
        "_grid": INDICES,
    },
    "engine/service_order.py": {
        "ServiceOrder.moves": INDICES,
        "order_of_services": INDICES,
        "_padded": INDICES,
        "_moving": INDICES,
        "_followers": NUMBERS,
        "transferred_order": INDICES,
    },
    "engine/service_rules.py": {
        "service_rules.followers": NUMBERS,
        "_in_order": NUMBERS,
        "_older": INDICES,
        "_sources": NUMBERS,
        "_wide": INDICES,
        "_wide_matrix": INDICES,
    },
    "engine/service_simulation.py": {
        "_Run._rank_of": INDICES,
        "_Run._date": INDICES,
    },
    "engine/service_table.py": {
        "ServiceTable.locate": INDICES,
        "ServiceTable.at_sampled_distance": INDICES,
        "joined_precedences": INDICES,
    },
    "engine/skewed_order.py": {"_awaited": INDICES, "_last_tasks": INDICES},
    "engine/work_conserving.py": {
        "_resequenced": NUMBERS,
        "with_order_of": NUMBERS,
    },
    "exploration/cell.py": {
        "Cell.__init__": NUMBERS,
        "Cell._on_ports": NUMBERS,
        "Cell.peak_bounds": "bits: `held_tiles` refuses sums of 2^61 and more",
        "Cell.dependence_bound": NUMBERS,
        "Cell.time": NUMBERS,
        "Cell._timed": NUMBERS,
        "Cell._simulate": NUMBERS,
        "_distinct_rows": NUMBERS,
    },
    "exploration/graph_evaluation.py": {
        "evaluate_together": "times of the kernel",
    },
    "exploration/held_tiles.py": {
        "held_tiles": "bits: refused from 2^61 on, before the array is made",
    },
    "exploration/kernels.py": {
        "time_variants": KERNEL,
        "_peaks": KERNEL,
    },
    "exploration/tiled_mapping.py": {
        "TransferMapping._slot_counts": NUMBERS,
    },
    "exploration/variants.py": {
        "VariantGraph._name_conditions": NUMBERS,
        "VariantGraph.arrays": NUMBERS,
    },
    "proof/affine_times.py": {
        "AffineTimes.linear": "times: refused by NumPy where they do not fit",
    },
    "proof/bounds.py": {
        "lateness_bounds": TIMES,
    },
    "proof/contents.py": {
        "_check_numbers": INDICES,
        "expected_points": FLAGS,
        "_first_wrong": FLAGS,
    },
    "proof/footprints.py": {
        "Part._sum": FACTORS,
        "_by_points": NUMBERS,
        "_by_translation": COUNTS,
    },
    "proof/loop_counts.py": {
        "at_extreme": COUNTS,
        "as_boxes": INDICES,
    },
    "proof/passing.py": {
        "delayed": TIMES,
        "stalls_of": INDICES,
    },
    "proof/piecewise.py": {
        "_affine_parts.add": INDICES,
    },
    "proof/service_order.py": {
        "check_service_order": FLAGS,
        "_dates": INDICES,
        "_tiles_before": NUMBERS,
        "_ranks": NUMBERS,
    },
    "proof/step_location.py": {
        "locate_steps": INDICES,
    },
    "proof/tabulated_times.py": {
        "TabulatedTimes.key_of": INDICES,
        "TabulatedTimes.find": INDICES,
    },
    "proof/tile_sets.py": {
        "TileSets.set_of": FLAGS,
    },
    "proof/waits.py": {
        "Waits._evaluated": INDICES,
    },
    "proof/words.py": {
        "time_at": INDICES,
    },
    "schedule/arrays.py": {
        "": NUMBERS,
        "date_ranks": "the choice: keys below 2^62",
        "group_offsets": NUMBERS,
        "group_by_key": NUMBERS,
        "mark_reachable": NUMBERS,
        "narrow_type": "the choice",
        "widened": "the choice",
    },
    "schedule/backtrack.py": {
        "BacktrackRecord.empty": NUMBERS,
        "coprime_moduli": "residues below 2^31",
        "residues": "residues below 2^31",
        "trace_critical_path": NUMBERS,
        "_packed": NUMBERS,
        "_room": NUMBERS,
    },
    "schedule/backtrack_shapes.py": {
        "": NUMBERS,
    },
    "schedule/backtrack_steps.py": {
        "_first_rule": NUMBERS,
        "compiled_reasons": NUMBERS,
    },
    "schedule/box_kernels.py": {
        "split": INDICES,
    },
    "schedule/boxes.py": {
        "Sources.joined": INDICES,
        "Rows.joined": NUMBERS,
        "decide_rows": NUMBERS,
    },
    "schedule/critical_path.py": {
        "critical_chain": NUMBERS,
        "_walk_back": NUMBERS,
    },
    "schedule/event_families.py": {
        "EventFamilies.of": NUMBERS,
        "_events_of": NUMBERS,
    },
    "schedule/events.py": {
        "EventNumbering.at": NUMBERS,
        "_look_up": NUMBERS,
    },
    "schedule/extension.py": {
        "ExtensionRules.extended": TIMES,
    },
    "schedule/extrapolation.py": {
        "PeriodicTaskGraph.circular": NUMBERS,
        "_boundaries_of": INDICES,
    },
    "schedule/graph.py": {
        "TaskGraph.rivals": NUMBERS,
        "_ports_of_two_kinds": NUMBERS,
        "TaskGraph.port_order": FLAGS,
        "_stably_sorted": NUMBERS,
    },
    "schedule/grid.py": {
        "Grid.place_rows": INDICES,
        "Grid.prefix": INDICES,
        "Grid.columns": INDICES,
    },
    "schedule/links.py": {
        "event_links": "numbers of events and precedences: 32 bits where they fit, else 64",
    },
    "schedule/list_scheduling.py": {
        "list_schedule": NUMBERS,
        "_Simulator._run": "the choice is `_time_type`",
        "_Simulator._time_type": "the choice",
    },
    "schedule/longest_path.py": {
        "PrecedenceSystem.__init__": NUMBERS,
        "_topological_order": NUMBERS,
    },
    "schedule/pieces.py": {
        "Pieces.expanded": INDICES,
        "_merge": NUMBERS,
        "_groups": NUMBERS,
    },
    "schedule/precedences.py": {
        "consecutive": INDICES,
        "_Listing.edge_rule": NUMBERS,
        "_Listing.collect": NUMBERS,
        "_Listing.precedences": INDICES,
        "_all_sampled": INDICES,
    },
    "schedule/stalls.py": {
        "stall_precedences": NUMBERS,
    },
}
"""Functions that make arrays of 64-bit numbers ("": at the level of the module), and why they fit.

There are fewer than 2^62 tile iterations, which `lowering.enumeration.iteration_table` checks with
Python integers before any array is made.
"""


def test_every_fixed_type_has_a_reason() -> None:
    folder = ROOT / "polylat"
    found = {
        (path.relative_to(folder).as_posix(), name)
        for path in folder.rglob("*.py")
        if "lowering" not in path.parts
        for name in functions_with_fixed_types(ast.parse(path.read_text(encoding="utf-8")))
    }
    assert found == {(path, name) for path, names in FITTING.items() for name in names}
