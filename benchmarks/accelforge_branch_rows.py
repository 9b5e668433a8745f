"""Figures of one of AccelForge's branches, and polylat's, on the branch's own inputs.

``python -m benchmarks.accelforge_branch_rows NAME`` prints them as JSON. The branch must be first
in PYTHONPATH: `benchmarks.accelforge_branches` starts it so, once per branch.
"""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import accelforge
from accelforge.model.main import evaluate_mapping

from benchmarks.accelforge_branches import OWN, Row
from polylat.errors import PolylatError
from polylat.report import Report, analyze
from polylat.spec import Spec
from polylat.spec.reading.load import load

CHECKOUT = Path(accelforge.__file__).resolve().parent.parent
TESTS = CHECKOUT / "tests" / "input_files"
EXAMPLES = CHECKOUT / "examples"


@dataclass(frozen=True)
class Input:
    """An input of a branch.

    Parameters
    ----------
    name
        What the table calls it.
    spec
        Makes AccelForge's Spec.
    why
        Why the figures differ.
    threads
        Number of threads that the branch evaluates it with; polylat has no such number.
    """

    name: str
    spec: Callable[[], Any]
    why: str
    threads: int = 1


def _files(*files: Path, **variables: Any) -> Callable[[], Any]:
    return lambda: accelforge.Spec.from_yaml(*map(str, files), jinja_parse_data=variables)


def _chain(
    einsums: int,
    variables: Mapping[str, Any],
    arch: str = "latency.arch.yaml",
    mapping: Path = EXAMPLES / "mappings" / "fused_matmuls_to_simple.yaml",
) -> Callable[[], Any]:
    """A chain of products of 4 × 4 matrices, as the tests of the branch ``latency`` have it."""
    workload = EXAMPLES / "workloads" / "basic" / "matmuls.yaml"
    return _files(TESTS / arch, workload, mapping, N_EINSUMS=einsums, M=4, KN=4, **variables)


def _mapped() -> Any:
    """What the branch's mapper finds for two products of 16 × 16 matrices."""
    spec = accelforge.Spec.from_yaml(
        str(EXAMPLES / "arches" / "simple.yaml"),
        str(EXAMPLES / "workloads" / "basic" / "matmuls.yaml"),
        jinja_parse_data={"N_EINSUMS": 2, "M": 16, "KN": 16},
    )
    spec.mapper.metrics = accelforge.mapper.Metrics.LATENCY
    return spec.map_workload_to_arch(print_progress=False)


DELAYS = {
    "MM_READ_LATENCY": 100,
    "MM_WRITE_LATENCY": 200,
    "GB_READ_LATENCY": 10,
    "GB_WRITE_LATENCY": 20,
    "COMPUTE_LATENCY": 3,
}
RATES = {"MM_READ_THROUGHPUT": 1, "MM_WRITE_THROUGHPUT": 0.1, "COMPUTE_THROUGHPUT": 0.2}
NETWORK = TESTS / "fused_matmuls_to_networked.mapping.yaml"


def _network(latency: int, why: str) -> Input:
    variables = {"MAC_TILE": 1, "HOP_LATENCY": latency}
    return Input(
        f"test_fused_through_slow_interconnect, HOP_LATENCY {latency}",
        _chain(2, variables, "networked_latency.arch.yaml", NETWORK),
        why,
    )


def _latency() -> list[Input]:
    return [
        Input(
            "test_communication_latency_in_total, latencies of 0",
            _chain(1, {}),
            "They agree: 64 operations.",
        ),
        Input(
            "test_communication_latency_in_total; test_timeline_totals",
            _chain(1, DELAYS),
            "The branch takes the larger of 64 operations and a chain of fixed latencies, 363."
            " polylat adds them: the first operand is there after 130, 64 operations follow, and"
            " the last result is in MainMemory 3 + 30 + 200 later.",
        ),
        Input(
            "test_fused_repays_communication_latency_each_switch; test_timeline_totals",
            _chain(2, DELAYS),
            "The branch pays MainMemory's latencies, 100 and 200, once, 63 in each of the 8 turns,"
            " and hides the operations behind them. In polylat, the next turn of a Sequential waits"
            " until all of the turn before has passed, T2's write to MainMemory included; in a"
            " Pipeline only what needs its data waits.",
        ),
        _network(0, "They agree: nothing takes time."),
        _network(
            1,
            "The branch counts 5 hops in and 5 out for each Einsum in each of 4 turns. polylat"
            " counts 4: a loop with a single iteration crosses no link of MacArray. In a Pipeline,"
            " the third tile of T1 waits until the first one has been read, after 8: 3 times 8.",
        ),
        _network(100, "100 times as long."),
        Input(
            "test_fused_memory_bound_overlaps_compute; test_timeline_overlap_layout;"
            " test_plot_latency",
            _chain(2, RATES),
            "The branch takes MainMemory's busy time as if nothing had to wait. In a Sequential,"
            " the first turn of Matmul1 waits for W1, which arrives at 288, and the two Einsums"
            " take turns of 80 and 320. In a Pipeline it is the busy time: proven optimal.",
        ),
        Input(
            "test_separate_read_write_ports",
            _chain(2, RATES | {"MM_SEPARATE_PORTS": True}),
            "The branch adds 320 operations and 1,280 for the writes. Reads of W0, T0's first tile"
            " and W1 take 288 before Matmul1 can start: in a Pipeline only the writes follow, in a"
            " Sequential also the other turns of Matmul0.",
        ),
        Input(
            "test_transfer_needs_deeper_reservation",
            _chain(
                2,
                RATES | {"MM_READ_THROUGHPUT": 4},
                mapping=TESTS / "fused_matmuls_weights_inside.mapping.yaml",
            ),
            "They agree for a Sequential. In a Pipeline it is MainMemory's busy time: proven"
            " optimal.",
        ),
        Input(
            "test_timeline_matches_mapper_output, the mapper's mapping",
            _mapped,
            "They agree: MAC is never idle.",
        ),
        Input(
            OWN,
            _files(Path("tests/data/upstream") / OWN),
            "The branch lets SRAM serve both Einsums at once: its figure is the busy time of DRAM."
            " In a Pipeline it is SRAM's busy time: proven optimal.",
        ),
    ]


def _pipeline() -> list[Input]:
    mapping = EXAMPLES / "mappings" / "with_binding" / "fused_matmuls_to_simple_heterogeneous.yaml"
    example = _files(
        EXAMPLES / "arches" / "simple_heterogeneous.yaml",
        EXAMPLES / "workloads" / "matmuls.yaml",
        mapping,
        N_EINSUMS=3,
        M=4,
        KN=4,
    )
    name = "fused_matmuls_to_simple_heterogeneous, n_concurrent_threads"
    return [
        Input(
            f"{name} 1",
            example,
            "One thread runs all three Einsums in turn: the branch does not read the bindings.",
        ),
        Input(
            f"{name} 2",
            example,
            "The branch lets Matmul0 and Matmul2 run at the same time, although both compute on"
            " MacA; polylat's Pipelines share it.",
            threads=2,
        ),
    ]


INPUTS: Mapping[str, Callable[[], list[Input]]] = {"latency": _latency, "pipeline": _pipeline}


def row(given: Input) -> Row:
    """Evaluate one input with both."""
    made = given.spec()
    if accelforge.Spec not in type(made).__mro__:  # the mapper's Mappings
        return _row(given, float(made.data["Total<SEP>latency"].iloc[0]), made)
    spec = given.spec()
    if given.threads > 1:
        spec.mapper.n_concurrent_threads = given.threads
    answer = evaluate_mapping(spec).data["Total<SEP>latency"].iloc[0]
    return _row(given, float(answer), made)


def _row(given: Input, theirs: float, made: Any) -> Row:
    try:
        spec = load(made)
        sequential, pipeline = _analyzed(_sequential(spec)), _analyzed(spec.with_pipelines())
    except PolylatError as error:
        return Row(given.name, theirs, why=f"{given.why} polylat refuses it: {error.what}.")
    busiest = max(pipeline.ports, key=lambda port: port.busy, default=None)
    return Row(
        given.name,
        theirs,
        float(sequential.latency),
        float(pipeline.latency),
        None if busiest is None else float(busiest.busy),
        "" if busiest is None else busiest.name,
        given.why,
    )


def _sequential(spec: Spec) -> Spec:
    return replace(spec, mapping=spec.mapping.with_sequentials())


def _analyzed(spec: Spec) -> Report:
    """Analyze and prove."""
    report = analyze(spec)
    report.verify()
    return report


def rows(inputs: Sequence[Input]) -> list[Row]:
    """Evaluate all inputs of a branch with both."""
    return [row(given) for given in inputs]


def main() -> None:
    """Print the rows of a branch as JSON."""
    warnings.filterwarnings("ignore")
    found = rows(INPUTS[sys.argv[1]]())
    print(json.dumps([asdict(each) for each in found]))


if __name__ == "__main__":
    main()
