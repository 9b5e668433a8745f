"""Compare what AccelForge and polylat make of one of AccelForge's example inputs."""

from __future__ import annotations

import inspect
import json
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from fractions import Fraction
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

import accelforge
import islpy as isl
from accelforge.frontend._workload_isl._isl import get_einsum_operation_space
from accelforge.model.main import evaluate_mapping

from benchmarks.upstream_cases import IN_MEMORY, Case
from polylat.analysis.roofline import roofline
from polylat.errors import PolylatError
from polylat.spec import Spec
from polylat.spec.arch import Component
from polylat.spec.reading.load import load
from polylat.spec.workload import Einsum

TOO_LARGE = 100
"""With more Einsums than this, AccelForge's workload is compared as it was read: its evaluation,
whose time grows with the square of their number, would only add bits per value."""
TOLERANCE = 1e-6
"""Largest relative difference: AccelForge's figures pass through 32-bit floats."""

_RATES = "[{name: read, energy: 1, throughput: 1}, {name: write, energy: 1, throughput: 1}]"
_COMPUTE = "[{name: compute, energy: 1, throughput: 1}]"
_PLAIN_ARCH = f"""\
arch:
  nodes:
  - !Memory {{name: Memory, size: inf, area: 0, leak_power: 0, actions: {_RATES}}}
  - !Compute {{name: Compute, area: 0, leak_power: 0, actions: {_COMPUTE}}}
"""
_PLAIN_WORKLOAD = """\
workload:
  rank_sizes: {M: 4, N: 8, K: 2}
  bits_per_value: {All: 8}
  einsums:
  - name: Matmul
    tensor_accesses:
    - {name: input, projection: [m, k]}
    - {name: weight, projection: [k, n]}
    - {name: output, projection: [m, n], output: True}
"""


@dataclass(frozen=True)
class Row:
    """What the two tools say of a case.

    Parameters
    ----------
    kind, name
        Of the case.
    theirs, ours
        Latency of the mapping (of the workload or the architecture on its own: with everything in
        the outermost memory); None if it could not be determined.
    figures
        Number of compared figures.
    verdict
        ``"equal"``; ``"models"``: equal, with throughputs of 1 in place of those that AccelForge
        would query from component models; ``"different"``; ``"both refuse"``; ``"network"``;
        ``"polylat"`` or ``"AccelForge"`` (which alone refuses it).
    remark
        What differs, why an input is refused, or the components without throughputs.
    """

    kind: str
    name: str
    theirs: float | None
    ours: str | None
    figures: int
    verdict: str
    remark: str

    def to_json(self) -> str:
        """Return the row as a line of JSON."""
        return json.dumps(asdict(self))


class _Different(Exception):
    """The tools do not agree."""


class _Evaluated:
    """AccelForge's evaluation of a case.

    Parameters
    ----------
    spec
        AccelForge's input, with a mapping.
    largest
        Largest number of Einsums with which the mapping is evaluated, too.
    """

    def __init__(self, spec: Any, largest: int) -> None:
        self.spec = spec
        leaves = [
            (node.einsum, node.component)
            for node in spec.mapping.get_nodes_of_type(accelforge.mapping.Compute)
        ]
        self.is_large = len(leaves) > largest
        self.leaves = dict(leaves[:1] if self.is_large else leaves)
        self.specs: dict[str, Any] = {}
        self.paths: dict[str, Any] = {}
        for einsum, compute in self.leaves.items():
            if self.is_large:
                is_too_large = len(leaves) > TOO_LARGE
                self.specs[einsum] = (
                    spec if is_too_large else spec._spec_eval_expressions(einsum, eval_arch=False)
                )
                continue
            # Throughputs only: energies and areas, for which more models are needed, make no
            # difference here.
            evaluated = spec.calculate_component_costs(
                einsum_name=einsum, area=False, energy=False, leak=False
            )
            _without_energies(evaluated)
            self.specs[einsum] = evaluated
            self.paths[einsum] = evaluated._get_flattened_architecture(compute_node=compute)

    def answer(self) -> Any:
        """Return AccelForge's evaluation of the mapping; None for a large workload."""
        if self.is_large:
            return None
        paths = {(einsum, self.leaves[einsum]): path for einsum, path in self.paths.items()}
        metrics = accelforge.Metrics
        self.spec.model.metrics = metrics.LATENCY | metrics.ACTIONS
        return evaluate_mapping(self.spec, paths, self.specs)


def _without_energies(spec: Any) -> None:
    """Set energies to zero, as AccelForge computes with them."""
    for component in spec.arch.get_nodes_of_type(accelforge.arch.Component):
        component.leak_power = component.total_leak_power = 0
        for action in component.actions:
            action.energy = 0


def compare(checkout: Path, case: Case, largest: int) -> Row:
    """Read and evaluate a case with both tools, and compare what they say.

    Parameters
    ----------
    checkout
        AccelForge's checkout.
    case
        The case.
    largest
        Largest number of Einsums with which the mapping is evaluated, too.

    Returns
    -------
    Row
        The result.
    """
    with tempfile.TemporaryDirectory() as folder:
        return _compare(checkout, case, largest, Path(folder))


def _compare(checkout: Path, case: Case, largest: int, folder: Path) -> Row:
    try:
        source, files, functions = _their_input(checkout, case, folder)
    except Exception as error:  # noqa: BLE001 (AccelForge's errors are of all kinds)
        return Row(case.kind, case.name, None, None, 0, *_refused(checkout, case, error))
    models = _give_throughputs(source)
    theirs = their_error = latency = None
    try:
        theirs = _Evaluated(source, largest)
        answer = theirs.answer()
        latency = None if answer is None else float(answer.latency())
    except Exception as error:  # noqa: BLE001
        their_error = _first_line(error)
    try:
        spec = _our_input(files, case, functions, source, models, folder, checkout)
        ours = roofline(spec, accounting=_accounting(checkout))
    except PolylatError as error:
        verdict = "polylat" if their_error is None else "both refuse"
        verdict = "network" if "is a Network" in error.what else verdict
        return Row(case.kind, case.name, latency, None, 0, verdict, error.what)
    shown = str(ours.latency) if ours.latency.denominator == 1 else f"{float(ours.latency):.12g}"
    if theirs is None or their_error is not None:
        return Row(case.kind, case.name, None, shown, 0, "AccelForge", str(their_error))
    try:
        figures = _check_workload(spec, theirs) + _check_components(spec, theirs)
        if latency is not None:
            figures += _check_figures(ours, answer, latency)
    except _Different as error:
        return Row(case.kind, case.name, latency, shown, 0, "different", str(error))
    remark = ", ".join(models)
    return Row(
        case.kind, case.name, latency, shown, figures, "models" if models else "equal", remark
    )


def _accounting(checkout: Path) -> str:
    """Return whose counts of copy Einsums to expect: those of AccelForge 1.0 or of its main."""
    return "main" if Path(accelforge.__file__).is_relative_to(checkout) else "1.0"


def _refused(checkout: Path, case: Case, why: Exception) -> tuple[str, str]:
    """Return verdict and remark on a file that AccelForge cannot load."""
    try:
        files = [str(checkout / name) for name in case.files]
        load(*files, jinja_parse_data=case.variables, include_from=[checkout])
    except PolylatError as error:
        return "both refuse", error.what
    return "AccelForge", _first_line(why)


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = f"{type(error).__name__}: {lines[0] if lines else ''}"
    return text if len(text) <= 160 else f"{text[:159]}…"


# Inputs -------------------------------------------------------------------------------------------


def _their_input(
    checkout: Path, case: Case, folder: Path
) -> tuple[Any, list[str], dict[str, Any] | None]:
    """Return AccelForge's input, the files for polylat, and functions for expressions."""
    files = [str(checkout / name) for name in case.files]
    if case.files[0].startswith(IN_MEMORY):
        return _in_memory(checkout, case, folder)
    if case.kind == "workload":
        files.append(_written(folder / "arch.yaml", _PLAIN_ARCH))
    if case.kind == "arch":
        files.append(_written(folder / "workload.yaml", _PLAIN_WORKLOAD))
    if case.kind != "mapping":
        bare = accelforge.Spec.from_yaml(*files, jinja_parse_data=case.variables)
        files.append(_written(folder / "mapping.yaml", _plain_mapping(bare)))
    spec = accelforge.Spec.from_yaml(*files, jinja_parse_data=case.variables)
    return spec, files, None


def _in_memory(
    checkout: Path, case: Case, folder: Path
) -> tuple[Any, list[str], dict[str, Any] | None]:
    """Return an architecture for computation in memory, made by the script that comes with it."""
    here = checkout / IN_MEMORY
    name = Path(case.files[0]).stem
    script = _module(here / "_load_spec.py")
    spec = script.get_spec(name, add_dummy_main_memory=True)
    spec.renames = accelforge.Renames.from_yaml(str(here / f"{name}.yaml"), top_key="renames")
    mapping = _written(folder / "mapping.yaml", _plain_mapping(spec))
    spec.mapping = accelforge.Mapping.from_yaml(mapping, top_key="mapping")
    functions: dict[str, Any] = {}
    for file in (here / "_include_functions.py", here / f"{name}_helper_functions.py"):
        if file.exists():
            functions.update(inspect.getmembers(_module(file), inspect.isfunction))
    return spec, [mapping], functions


def _module(path: Path) -> ModuleType:
    name = f"upstream_{path.stem}"
    if name not in sys.modules:
        sys.modules[name] = SourceFileLoader(name, str(path)).load_module()
    return sys.modules[name]


def _written(path: Path, text: str) -> str:
    path.write_text(text, encoding="utf-8")
    return str(path)


def _plain_mapping(spec: Any) -> str:
    """Return a mapping with every tensor in the outermost memory and all loops below it."""
    memory = next(iter(spec.arch.get_nodes_of_type(accelforge.arch.Memory))).name
    tensors = ", ".join(dict.fromkeys(map(str, spec.workload.tensor_names)))
    branches = []
    for einsum in spec.workload.einsums:
        nodes = [
            f"!Temporal {{rank_variable: {variable}, tile_shape: 1}}"
            for variable in einsum.rank_variables
        ]
        nodes.append(
            f"!Compute {{einsum: {einsum.name}, component: {_compute(spec, einsum.name)}}}"
        )
        branches.append(nodes)
    lines = ["mapping:", "  nodes:", f"  - !Storage {{component: {memory}, tensors: [{tensors}]}}"]
    if len(branches) == 1:
        lines += [f"  - {node}" for node in branches[0]]
    else:
        lines += ["  - !Sequential", "    nodes:"]
        lines += [f"    - !Nested {{nodes: [{', '.join(nodes)}]}}" for nodes in branches]
    return "\n".join(lines) + "\n"


def _compute(spec: Any, einsum: str) -> str:
    """Return the first Compute that is enabled for an Einsum."""
    computes = list(spec.arch.get_nodes_of_type(accelforge.arch.Compute))
    if len(computes) > 1:
        arch = spec._spec_eval_expressions(einsum_name=einsum).arch
        computes = [c for c in arch.get_nodes_of_type(accelforge.arch.Compute) if c.enabled]
    return str(computes[0].name)


def _give_throughputs(source: Any) -> dict[str, dict[str, int]]:
    """Set those throughputs to 1 that AccelForge would query from component models.

    Parameters
    ----------
    source
        AccelForge's input, which is changed.

    Returns
    -------
    dict
        Component → action → throughput, as for polylat's ``schedule: throughput:``.
    """
    found: dict[str, dict[str, int]] = {}
    for node in source.arch.get_nodes_of_type(accelforge.arch.Component):
        for action in node.actions:
            if action.throughput is None and str(node.component_class).lower() != "dummy":
                found.setdefault(node.name, {})[action.name] = action.throughput = 1
    return found


def _our_input(
    files: list[str],
    case: Case,
    functions: dict[str, Any] | None,
    source: Any,
    throughputs: dict[str, dict[str, int]],
    folder: Path,
    checkout: Path,
) -> Spec:
    """Return polylat's input: from the same files, or AccelForge's object if a script made it."""
    if functions is not None:
        return load(source, functions=functions)
    if throughputs:
        given = json.dumps({"schedule": {"throughput": throughputs}})
        files = [*files, _written(folder / "schedule.yaml", given)]
    return load(*files, jinja_parse_data=case.variables, include_from=[checkout])


# Comparisons --------------------------------------------------------------------------------------


def _check_workload(spec: Spec, theirs: _Evaluated) -> int:
    """Compare the Einsums: shapes, bounds, projections and bits per value."""
    workload = next(iter(theirs.specs.values())).workload
    _same("Einsums", [e.name for e in spec.workload.einsums], [e.name for e in workload.einsums])
    _same("instances", spec.workload.n_instances, workload.n_instances)
    count = 2
    for einsum, its in zip(spec.workload.einsums, workload.einsums, strict=True):
        name = einsum.name
        _same(f"copy operation {name}", einsum.is_copy, bool(its.is_copy_operation))
        _same(f"instances of {name}", einsum.n_instances, its.n_instances)
        own = sorted(map(str, its.rank_variables))
        _same(f"rank variables of {name}", sorted(einsum.rank_variables), own)
        space = get_einsum_operation_space(workload, name)
        names = [space.get_dim_name(isl.dim_type.set, i) for i in range(space.n_dim())]
        if not _space(einsum, names).is_equal(isl.Set(str(space.reset_tuple_id()))):
            raise _Different(f"iteration space of {name}: {_space(einsum, names)} and {space}")
        accesses = list(its.tensor_accesses)
        _same(f"tensors of {name}", list(einsum.tensors), [str(a.name) for a in accesses])
        for access, theirs_ in zip(einsum.accesses, accesses, strict=True):
            where = f"{access.tensor} in {name}"
            _same(f"output {where}", access.output, bool(theirs_.output))
            _same(f"ranks of {where}", list(access.ranks), list(map(str, theirs_.projection)))
            if isinstance(theirs_.bits_per_value, int | float):  # else it is not evaluated
                _close(f"bits of {where}", access.bits_per_value, theirs_.bits_per_value)
                count += 1
            variables = ",".join(einsum.rank_variables)
            ours = ",".join(map(str, access.projection))
            other = ",".join(map(str, theirs_.projection.values()))
            maps = [isl.Map(f"{{ [{variables}] -> [{text}] }}") for text in (ours, other)]
            if not maps[0].is_equal(maps[1]):
                raise _Different(f"projection of {where}: {ours} and {other}")
            count += 3
        count += 5
    return count


def _space(einsum: Einsum, variables: list[str]) -> Any:
    conditions = " and ".join(f"{c} >= 0" for c in einsum.constraints) or "true"
    return isl.Set(f"{{ [{','.join(variables)}] : {conditions} }}")


def _check_components(spec: Spec, theirs: _Evaluated) -> int:
    """Compare the components on the path of every Einsum."""
    count = 0
    for einsum, path in theirs.paths.items():
        ours = spec.arch.paths[einsum]
        _same(f"components of {einsum}", [c.name for c in ours], [c.name for c in path])
        tensors = {
            str(a.name): a.bits_per_value
            for a in theirs.specs[einsum].workload.einsums[einsum].tensor_accesses
        }
        for component, its in zip(ours, path, strict=True):
            count += _check_component(component, its, tensors, f"{component.name} for {einsum}")
    return count


def _check_component(
    component: Component, its: Any, tensors: Mapping[str, float], where: str
) -> int:
    kind = type(its).__name__
    _same(f"kind of {where}", component.kind, "Container" if kind == "Array" else kind)
    _same(
        f"spatial dimensions of {where}",
        [(d.name, d.fanout, sorted(d.may_reuse)) for d in component.spatial],
        [(s.name, s.fanout, sorted(map(str, s.may_reuse))) for s in its.spatial],
    )
    count = 2
    if component.kind == "Memory":
        size = float("inf") if component.size is None else component.size
        _close(f"size of {where}", size, its.size)
        count += 1
    if component.kind == "Container" or component.total_latency is not None:
        return count
    durations: dict[str, Fraction] = {}
    for port in component.ports:
        durations.update(port.durations)
    _same(f"actions of {where}", list(component.actions), [a.name for a in its.actions])
    for action in its.actions:
        if "throughput" in str(its.total_latency):  # it may ignore the throughputs
            time = durations.get(action.name, Fraction(0))
            _close(f"time of {action.name} of {where}", time, 1 / action.throughput)
            count += 1
        for tensor, bits in tensors.items() if component.kind in ("Memory", "Toll") else ():
            try:
                values = its._get_values_per_action(action.name, tensor, bits)
            except ZeroDivisionError:  # a value of zero bits: AccelForge divides by it if used
                values = float("inf")
            own = component.actions_per_value[action.name, tensor]
            _close(f"{action.name} per value of {tensor}, {where}", own, its.actions_scale / values)
            count += 1
    return count


def _check_figures(ours: Any, answer: Any, latency: float) -> int:
    """Compare latencies and numbers of actions."""
    _close("latency", ours.latency, latency)
    busy = answer.latency(per_einsum=True, per_component=True)
    for (einsum, component), time in busy.items():
        _close(
            f"latency of {component} for {einsum}", ours.per_einsum[einsum].get(component, 0), time
        )
    actions = _actions(answer)
    for (einsum, component, tensor, action), number in actions.items():
        found = ours.totals.get((einsum, component, tensor, action), 0)
        what = tensor or "computation"
        _close(f"{action} of {what} in {component} for {einsum}", found, number)
    for (einsum, component), time in _busy(ours).items():
        if time and (einsum, component) not in busy:
            raise _Different(f"latency of {component} for {einsum}: only polylat has it, {time}")
    for key, number in ours.totals.items():
        if number and key not in actions:
            raise _Different(f"number of actions {key}: only polylat has it, {number}")
    return 1 + len(busy) + len(actions)


def _busy(ours: Any) -> dict[tuple[str, str], Any]:
    return {
        (e, component): t for e, busy in ours.per_einsum.items() for component, t in busy.items()
    }


def _actions(answer: Any) -> dict[tuple[str, str, str | None, str], float]:
    told = answer.actions(per_component=True, per_einsum=True, per_tensor=True)
    found = {}
    for (einsum, component, tensor, action), number in _flat(told):
        found[einsum, component, None if tensor in ("None", None) else tensor, action] = number
    return found


def _flat(told: Any) -> Iterator[tuple[tuple[Any, ...], float]]:
    for key, value in told.items():
        yield tuple(key), float(value)


def _same(what: str, ours: Any, theirs: Any) -> None:
    if ours != theirs:
        raise _Different(f"{what}: polylat {ours}, AccelForge {theirs}")


def _close(what: str, ours: Any, theirs: Any) -> None:
    a, b = float(ours), float(theirs)
    if a != b and not abs(a - b) <= TOLERANCE * max(abs(a), abs(b)):
        raise _Different(f"{what}: polylat {a:.12g}, AccelForge {b:.12g}")
