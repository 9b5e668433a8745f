"""AccelForge's example inputs: which files belong together, and with which Jinja variables."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

WORKLOADS, ARCHES, MAPPINGS = "examples/workloads", "examples/arches", "examples/mappings"
IN_MEMORY = f"{ARCHES}/compute_in_memory"
NETWORKS = "tests/network/input_files/networked"
TESTS = "tests/input_files"

_PREFILL = {"BATCH_SIZE": 1, "DECODE": False, "N_NEW_TOKENS": 256}
_DECODE = {"BATCH_SIZE": 1, "DECODE": True, "N_NEW_TOKENS": 1, "N_CACHED_TOKENS": 2047}
_MATMULS = {"N_EINSUMS": 2, "M": 64, "KN": 64}


@dataclass(frozen=True)
class Case:
    """Files that belong together.

    Parameters
    ----------
    kind
        ``"workload"``, ``"arch"``, ``"pair"`` or ``"mapping"``: a workload or an architecture
        alone, both of them, or the files of a whole input.
    files
        The files, relative to the checkout.
    variables
        Variables of their Jinja templates.
    """

    kind: str
    files: tuple[str, ...]
    variables: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The names of the files, and the variables."""
        short = [Path(name).with_suffix("").name for name in self.files]
        given = ", ".join(f"{key}={value}" for key, value in self.variables.items())
        return " × ".join(short) + (f" ({given})" if given else "")


def cases(checkout: Path) -> Iterator[Case]:
    """Iterate over the cases of a checkout of AccelForge.

    Parameters
    ----------
    checkout
        Its folder.

    Yields
    ------
    Case
        Workloads, then architectures, then both together, then whole inputs.
    """
    for file in _listed(checkout, f"{WORKLOADS}/**/*.yaml", "examples/misc/gpt*.yaml"):
        for variables in _workload_variables(file):
            yield Case("workload", (file,), variables)
    for file in _listed(checkout, "tests/**/*.workload.yaml"):
        yield Case("workload", (file,))
    for file in _listed(
        checkout, f"{ARCHES}/**/*.yaml", f"{TESTS}/*.arch.yaml", f"{NETWORKS}/*.yaml"
    ):
        if "memory_cells" not in file and "one_matmul_to" not in file:
            yield Case("arch", (file,))
    yield from _pairs(checkout)
    yield from _inputs()


def _listed(checkout: Path, *patterns: str) -> Iterator[str]:
    """Iterate over files, without those that others include and those that no longer work."""
    for pattern in patterns:
        for path in sorted(checkout.glob(pattern)):
            parts = path.relative_to(checkout).parts
            if not any(part.startswith("_") or part == "not_working" for part in parts):
                yield "/".join(parts)


def _workload_variables(file: str) -> list[dict[str, Any]]:
    """Return the variables with which AccelForge's tests and notebooks read a workload."""
    if "llama4" in file:
        local = {"ATTENTION_TYPE": "chunked_local", "CHUNK_SIZE": 64}
        return [{**_PREFILL, "ATTENTION_TYPE": "grouped_query"}, {**_PREFILL, **local}]
    if "mamba" in file:
        return [_PREFILL]
    if "transformers" in file:
        return [_PREFILL, _DECODE]
    if file.endswith("matmuls.yaml"):
        return [_MATMULS, {"N_EINSUMS": 1, "M": 64, "KN": 64}]
    if "compute_in_memory" in file:
        return [{"BATCH_SIZE": 1}]
    return [{}]


def _pairs(checkout: Path) -> Iterator[Case]:
    """Iterate over architectures and workloads for which AccelForge's tests run the mapper."""
    gpt = f"{WORKLOADS}/transformers/gpt"
    basic = (f"{WORKLOADS}/basic/matmuls.yaml", f"{WORKLOADS}/basic/three_matmuls_annotated.yaml")
    mobilenet = f"{WORKLOADS}/cnns/mobilenet/mobilenet_28.yaml"
    for arch, workloads in {
        "simple": (*basic, f"{gpt}/gpt3_175B.yaml"),
        "eyeriss": (*basic, f"{gpt}/gpt3_6.7B.yaml"),
        "simba": (*basic, f"{gpt}/gpt3_6.7B.yaml"),
        "tpu_v4i": (*basic, f"{gpt}/gpt3_6.7B.yaml", f"{gpt}/gpt3_175B.yaml"),
        "snowcat": (
            *basic,
            f"{WORKLOADS}/basic/matvecs.yaml",
            mobilenet,
            f"{gpt}/gpt3_6.7B.yaml",
        ),
    }.items():
        for workload in workloads:
            variables = _workload_variables(workload)[0]
            yield Case("pair", (f"{ARCHES}/{arch}.yaml", workload), variables)
    yield Case("pair", (f"{TESTS}/toll.arch.yaml", f"{TESTS}/matmul_toll.workload.yaml"))
    two = f"{TESTS}/two_matmul_toll.workload.yaml"
    yield Case("pair", (f"{TESTS}/toll_no_outer.arch.yaml", two))
    for arch in _listed(checkout, "tests/**/vpa_precedence*.arch.yaml"):
        yield Case("pair", (arch, f"{arch.rpartition('/')[0]}/vpa_precedence.workload.yaml"))


def _inputs() -> Iterator[Case]:
    """Iterate over whole inputs: those of the tests and notebooks."""
    simple, matmuls = f"{ARCHES}/simple.yaml", f"{WORKLOADS}/basic/matmuls.yaml"
    matvecs = f"{WORKLOADS}/basic/matvecs.yaml"
    for number, size in ((1, 32), (1, 64), (2, 32), (2, 64)):
        variables = {"N_EINSUMS": number, "M": 64, "KN": size}
        for name in ("unfused_matmuls_to_simple", "fused_matmuls_to_simple"):
            mapping = f"{MAPPINGS}/{name}.yaml"
            yield Case("mapping", (simple, matmuls, mapping), variables)
    invalid = f"{TESTS}/mapping/invalid_matmul_to_simple.yaml"
    yield Case("mapping", (simple, matmuls, invalid), {"N_EINSUMS": 1, "M": 64, "KN": 64})
    for name in (
        "unfused_matvecs_to_simple",
        "fused_matvecs_to_simple_untiled",
        "fused_matvecs_to_simple_tiled",
        "fused_matvecs_to_simple_tiled_reuse_A",
    ):
        yield Case("mapping", (simple, matvecs, f"{MAPPINGS}/{name}.yaml"))
    for arch, mapping, size, mac in (
        ("hierarchical_1d", "one_matmul_to_networked_hierarchical_1d", 8, 2),
        ("hierarchical", "one_matmul_to_networked_hierarchical", 4, 2),
        ("flat", "one_matmul_to_flat", 8, 2),
        ("hierarchical_1d_all_to_all", "one_matmul_to_networked_hierarchical_1d", 8, 4),
    ):
        files = (f"{NETWORKS}/{arch}.yaml", matmuls, f"{NETWORKS}/{mapping}.yaml")
        sizes = {"N_EINSUMS": 1, "M": 8, "KN": size, "MAC_TILE": mac, "M_TILE": 4}
        yield Case("mapping", files, sizes)
