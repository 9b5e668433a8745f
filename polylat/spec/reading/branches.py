"""Words of AccelForge's branches: which are refused, and which of two meanings others have.

Branches of AccelForge's repository add keys and tags to its language. What they mean here, or what
to write instead, stands in ``docs/branches.md``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from polylat.errors import PolylatError, UnsupportedError
from polylat.spec.arch import Arch
from polylat.spec.reading.einsum_text import einsum_entries, identity_copies, tensor_in_text
from polylat.spec.reading.expressions.evaluation import evaluate_number
from polylat.spec.reading.expressions.scope import Scope
from polylat.spec.reading.location import Location
from polylat.spec.reading.models import arch as m
from polylat.spec.reading.models.base import node_type
from polylat.spec.reading.suggest import format_value

_OPERATIONS = ("map", "reduce")


def refuse_branch_words(tree: Mapping[str, Any], at: Location) -> None:
    """Refuse what only AccelForge's branches read, and say what to write instead.

    Parameters
    ----------
    tree
        The input as a tree of plain values.
    at
        The root of the input.

    Raises
    ------
    UnsupportedError
        There are adapters, or kinds of operations.
    """
    workload = tree.get("workload")
    if not isinstance(workload, dict):
        return
    key = "einsums_and_adapters"
    listed = [name for name in (key, "einsums") if isinstance(workload.get(name), list)]
    entries = [
        entry for name in listed for entry in einsum_entries(workload[name], at / "workload" / name)
    ]
    for entry, place in entries:
        if isinstance(entry, dict):
            _refuse_entry(entry, [other for other, _ in entries], place)
    if key in workload:
        raise UnsupportedError(
            f"{key!r} is a key of AccelForge's branch adapter",
            where=str((at / "workload").with_line_of(key)),
            fix="call it 'einsums'; write each adapter as an Einsum with is_copy_operation: true",
        )


def _refuse_entry(entry: Mapping[str, Any], entries: list[Any], at: Location) -> None:
    if node_type(entry) == "Copy":
        raise UnsupportedError(
            "!Copy is an adapter of AccelForge's branch adapter",
            where=str(at),
            fix=_copy_einsum(entry, entries),
        )
    if node_type(entry) == "Einsum":
        raise UnsupportedError(
            "!Einsum is a tag of AccelForge's branch adapter", where=str(at), fix="remove the tag"
        )
    for key in _OPERATIONS:
        if key in entry:
            raise UnsupportedError(
                f"{key!r} is a key of AccelForge's branch operations",
                where=str(at.with_line_of(key)),
                fix="leave it out: an operation is one action of the Compute, whatever it"
                " computes; an Einsum that only copies has is_copy_operation: true",
            )


def _copy_einsum(entry: Mapping[str, Any], entries: list[Any]) -> str:
    """Return the Einsum that does what a copy adapter does, in words."""
    name, tensor = str(entry.get("name", "copy")), str(entry.get("tensor", "A"))
    found = next(filter(None, (tensor_in_text(other, tensor) for other in entries)), "m")
    copied = f"{name}__{tensor}"
    return (
        f'write {{einsum: "{copied}[{found}] = {tensor}[{found}]", is_copy_operation: true}}'
        f" instead, and read {copied} in the Einsums after it"
    )


def refuse_threads(mapper: Any, variables: Scope, at: Location) -> None:
    """Refuse a number of threads: AccelForge's branch ``pipeline`` assigns Einsums to them itself.

    Parameters
    ----------
    mapper
        The top-level key ``mapper``, or AccelForge's object.
    variables
        The names that its expressions may use.
    at
        The root of the input.

    Raises
    ------
    UnsupportedError
        There are several threads.
    """
    key = "n_concurrent_threads"
    given = mapper.get(key) if isinstance(mapper, Mapping) else getattr(mapper, key, None)
    if given is None:
        return
    place = at / "mapper" / key
    try:
        one = evaluate_number(given, variables, place) == 1
    except PolylatError:
        one = False
    if not one:
        raise UnsupportedError(
            f"{key} is {format_value(given)}: AccelForge's branch pipeline chooses a thread for"
            " each Einsum, and its mapping does not say which",
            where=str(place),
            fix="leave it out; make splits whose branches run at the same time Pipelines, and say"
            " with their key binding which stages share units",
        )


def readings(
    tree: Mapping[str, Any], model: m.ArchModel, arch: Arch, machine: Mapping[str, Any]
) -> tuple[str, ...]:
    """Say which meaning was taken of what AccelForge's versions read in different ways.

    Parameters
    ----------
    tree
        The input as a tree of plain values.
    model, arch
        The architecture as written, and as evaluated.
    machine
        The properties of the machine under ``schedule:``.

    Returns
    -------
    tuple of str
        A sentence for each such field or word.
    """
    fixed: list[str] = []
    busy: list[str] = []
    seen = {c.name: c for path in arch.paths.values() for c in path}
    for component in _components(model.nodes):
        known = seen.get(component.name)
        if known is None:
            continue
        overridden = (machine.get("latency") or {}).get(component.name, {})
        for action in getattr(component, "actions", ()):
            if action.latency is None or action.name in overridden:
                continue
            name = f"{component.name} {action.name}"
            if action.throughput is not None:
                fixed += [name] if known.latency.get(action.name) else []
            elif any(port.durations.get(action.name) for port in known.ports):
                busy.append(name)
    found = []
    if fixed:
        found.append(
            "A latency beside a throughput is a fixed latency, as on AccelForge's branch latency"
            f" (its release ignores it): {', '.join(fixed)}."
        )
    if busy:
        found.append(
            "A latency without a throughput is the time of one action, as in AccelForge's release"
            f" (a fixed latency on its branch latency): {', '.join(busy)}."
        )
    if copies := [name for name in identity_copies(tree) if name in arch.paths]:
        found.append(
            "identity(...) is a copy, as on AccelForge's branch operations (a computation in its"
            f" release): {', '.join(copies)}."
        )
    return tuple(found)


def _components(nodes: list[Any]) -> Iterator[m.SpatialableModel]:
    for node in nodes:
        if isinstance(node, m.SpatialableModel):
            yield node
        yield from _components(getattr(node, "nodes", []))
