"""Parse Einsums written as text: ``Z[b, m] = A[b, M: p] * W[p, m]``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from polylat.errors import SpecError
from polylat.spec.reading.location import Location
from polylat.spec.reading.suggest import format_value
from polylat.spec.reading.tree import TreeMapping, TreeSequence

_NAME = re.compile(r"[A-Za-z_]\w*\Z", re.ASCII)
_RANK = re.compile(r"[A-Z#$@]\w*\Z", re.ASCII)
_TENSOR = re.compile(r"([A-Za-z_]\w*)\[([^\[\]]*)\]", re.ASCII)
_IDENTITY = re.compile(r"identity\([A-Za-z_]\w*\[[^\[\]]*\]\)\Z", re.ASCII)
_SHIFTED = re.compile(r"([a-z_]\w*)[+-]\d+\Z", re.ASCII)
_SPACE = re.compile(r"\s+")
_FORM = 'Z[m, n] = A[m, k] * B[k, n], with "RANK: expression" where a rank needs a name'
_MAX_LENGTH = 10_000
_MAX_NESTING = 10


def expand_einsum_texts(data: Any, at: Location) -> Any:
    """Replace Einsums written as text by mappings, and flatten nested lists of Einsums.

    As in AccelForge, the accesses are the inputs in order of appearance, then the output, and the
    Einsum is named after its output. An identity, ``B[m] = identity(A[m])``, is a copy, as on
    AccelForge's branch ``operations``, unless it says ``is_copy_operation: false``.

    Parameters
    ----------
    data
        The input as a tree of plain values.
    at
        The root of the input.

    Returns
    -------
    Any
        The input with every Einsum as a mapping; `data` if it has no list of Einsums.

    Raises
    ------
    SpecError
        If a text is not an Einsum, or contradicts the keys next to it.
    """
    workload = data.get("workload") if isinstance(data, dict) else None
    entries = workload.get("einsums") if isinstance(workload, dict) else None
    if not isinstance(entries, list) or not isinstance(workload, dict):
        return data
    found, lines = TreeSequence(), []
    for entry, place, line in _flatten(entries, at / "workload" / "einsums", 0):
        found.append(_expand_entry(entry, place))
        lines.append(line)
    found.lines = lines
    return _with(data, "workload", _with(workload, "einsums", found))


def einsum_entries(entries: list[Any], at: Location) -> list[tuple[Any, Location]]:
    """Return the Einsums of a list, of nested lists too.

    Parameters
    ----------
    entries
        The list of Einsums, which may contain lists.
    at
        Its location in the input.

    Returns
    -------
    list of (entry, Location)
        The entries, as written.

    Raises
    ------
    SpecError
        The lists are nested too deeply.
    """
    return [(entry, place) for entry, place, _ in _flatten(entries, at, 0)]


def identity_copies(data: Mapping[str, Any]) -> list[str]:
    """Return the Einsums that are copies because their text is an identity.

    Parameters
    ----------
    data
        The input as a tree of plain values, with Einsums as written.

    Returns
    -------
    list of str
        Their names.
    """
    found = []
    for entry, _ in einsum_entries(data["workload"]["einsums"], Location(data)):
        table = {"einsum": entry} if isinstance(entry, str) else entry
        text = table.get("einsum")
        if isinstance(text, str) and _is_identity(text) and "is_copy_operation" not in table:
            found.append(text.partition("[")[0].strip())
    return found


def tensor_in_text(entry: Any, tensor: str) -> str:
    """Return the ranks by which an Einsum accesses a tensor.

    Parameters
    ----------
    entry
        An Einsum as written: its text, or a mapping.
    tensor
        The tensor.

    Returns
    -------
    str
        What is between the brackets; empty if the Einsum does not access it, or is no text.
    """
    text = entry.get("einsum") if isinstance(entry, dict) else entry
    found = _TENSOR.findall(text) if isinstance(text, str) else []
    return next((str(ranks) for name, ranks in found if name == tensor), "")


def _is_identity(text: str) -> bool:
    """Return whether the right side of an Einsum is ``identity(A[m])``."""
    return _IDENTITY.match("".join(text.partition("=")[2].split())) is not None


def _with(table: dict[str, Any], key: str, value: Any) -> TreeMapping:
    """Return a copy of a mapping with one value replaced."""
    result = TreeMapping(table.items())
    result[key] = value
    if isinstance(table, TreeMapping):
        result.lines, result.line = table.lines, table.line
    return result


def _flatten(entries: list[Any], at: Location, depth: int) -> list[tuple[Any, Location, Any]]:
    if depth > _MAX_NESTING:
        raise SpecError(f"lists nested more than {_MAX_NESTING} deep", where=str(at))
    found: list[tuple[Any, Location, Any]] = []
    for index, entry in enumerate(entries):
        place = at / index
        if isinstance(entry, list):
            found.extend(_flatten(entry, place, depth + 1))
        else:
            found.append((entry, place, place.line))
    return found


def _expand_entry(entry: Any, at: Location) -> Any:
    if isinstance(entry, str):
        line = at.line
        entry, text_at = TreeMapping([("einsum", entry)]), at
        if line is not None:
            entry.lines = {"einsum": line}
    else:
        text_at = at / "einsum"
    if not isinstance(entry, dict) or "einsum" not in entry:
        return entry
    text = entry["einsum"]
    if not isinstance(text, str):
        raise SpecError("must be the text of an Einsum", where=str(text_at), fix=f"write {_FORM}")
    name, accesses = _parse(text, text_at)
    _add_keys(accesses, entry.get("tensor_accesses") or [], text, at / "tensor_accesses")
    result = TreeMapping((k, v) for k, v in entry.items() if k not in ("einsum", "tensor_accesses"))
    if isinstance(entry, TreeMapping):
        result.lines = dict(entry.lines)
    result["name"] = name
    result["tensor_accesses"] = TreeSequence(accesses)
    if _is_identity(text):
        result.setdefault("is_copy_operation", True)
    line = text_at.line
    if line is not None:
        result.lines.setdefault("name", line)
        result.lines["tensor_accesses"] = line
    return result


def _add_keys(accesses: list[TreeMapping], more: Any, text: str, at: Location) -> None:
    """Add the keys that are given beside the text of an Einsum: to all accesses of a tensor."""
    by_name: dict[str, list[TreeMapping]] = {}
    for access in accesses:
        by_name.setdefault(access["name"], []).append(access)
    if not isinstance(more, list):
        raise SpecError("must be a list", where=str(at))
    for index, given in enumerate(more):
        place = at / index
        if not isinstance(given, dict) or not isinstance(given.get("name"), str):
            raise SpecError("must be a mapping with a name", where=str(place))
        if given["name"] not in by_name:
            raise SpecError(
                f"tensor {format_value(given['name'])} is not in the Einsum {format_value(text)}",
                where=str(place),
            )
        for own in by_name[given["name"]]:
            for key in (key for key in given if key != "name"):
                if key in own:
                    raise SpecError(
                        f"{key} is already given by the Einsum's text", where=str(place / key)
                    )
                own[key] = given[key]


def _parse(text: str, at: Location) -> tuple[str, list[TreeMapping]]:
    """Parse the text of an Einsum.

    Parameters
    ----------
    text
        The text.
    at
        Location of the text in the input.

    Returns
    -------
    tuple of (str, list of TreeMapping)
        Name of the Einsum, and its tensor accesses: inputs, then the output.

    Raises
    ------
    SpecError
        If the text is not an Einsum.
    """

    def wrong(why: str) -> SpecError:
        return SpecError(f"{format_value(text)}: {why}", where=str(at), fix=f"write {_FORM}")

    if len(text) > _MAX_LENGTH:
        raise wrong("it is too long")
    bare = _SPACE.sub("", text)
    if bare.count("=") != 1:
        raise wrong("an Einsum has exactly one '='")
    left, right = bare.split("=")
    match = _TENSOR.fullmatch(left)
    if match is None:
        raise wrong("the left side of '=' must be one tensor with its ranks in brackets")
    inputs = _TENSOR.findall(right)
    if not inputs:
        raise wrong(
            "the right side of '=' must have at least one tensor with its ranks in brackets"
        )
    rest = _TENSOR.sub("", right)
    if "[" in rest or "]" in rest:
        raise wrong("its brackets do not match")
    accesses: list[TreeMapping] = []
    sides: list[tuple[str, str, bool]] = [(name, ranks, False) for name, ranks in inputs]
    sides.append((match[1], match[2], True))
    for name, ranks, output in sides:
        projection: dict[str, str] = {}
        for part in ranks.split(","):
            rank, colon, index = part.partition(":")
            shifted = _SHIFTED.match(part)
            if shifted:
                rank, index = shifted[1].upper(), part
            elif not colon:
                rank, index = part.upper(), part
                if not _NAME.match(part) or part[:1].isupper():
                    raise wrong(
                        f"{part!r} is not a rank variable (a name that starts in lower case)"
                        if part
                        else f"a rank of {name!r} is empty"
                    )
            elif not _RANK.match(rank) or not index:
                raise wrong(f"{part!r} is not of the form RANK: expression, RANK in upper case")
            if rank in projection:
                raise wrong(f"the rank {rank!r} of {name!r} is given twice")
            projection[rank] = index
        before = [access["projection"] for access in accesses if access["name"] == name]
        if not output and projection in before:
            continue  # A[m] * A[m] is read once, as in AccelForge
        accesses.append(
            TreeMapping(
                [
                    ("name", name),
                    ("projection", TreeMapping(projection.items())),
                    ("output", output),
                ]
            )
        )
    return str(match[1]), accesses
