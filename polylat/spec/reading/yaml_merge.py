"""Merge keys of YAML: ``<<``, and ``<<<`` for a deep merge."""

from __future__ import annotations

from typing import Any

from polylat.spec.reading.tree import TreeMapping, TreeSequence


def merge_sources(into: TreeMapping, sources: list[dict[str, Any]], *, deep: bool) -> None:
    """Merge the mappings of a merge key; for a deep merge, they are combined first.

    Parameters
    ----------
    into
        The mapping to change, whose keys take precedence.
    sources
        The mappings to merge; earlier ones take precedence.
    deep
        As for `merge`.
    """
    if deep and len(sources) > 1:
        combined = TreeMapping()
        for source in sources:
            merge(combined, source, deep=True)
        sources = [combined]
    for source in sources:
        merge(into, source, deep=deep)


def merge(into: TreeMapping, source: dict[str, Any], *, deep: bool) -> None:
    """Merge a mapping into another one, whose keys take precedence.

    Parameters
    ----------
    into
        The mapping to change.
    source
        The mapping to merge.
    deep
        Whether nested mappings are merged and lists appended, too, unless the value in `into` is
        marked ``!nomerge``.
    """
    for key, value in source.items():
        if key not in into:
            into[key] = value
            line = source.lines.get(key) if isinstance(source, TreeMapping) else None
            if line is not None:
                into.lines[key] = line
        elif deep:
            existing = into[key]
            if getattr(existing, "nomerge", False):
                continue
            if isinstance(existing, TreeMapping) and isinstance(value, dict):
                copy = TreeMapping(existing.items())
                copy.lines, copy.line, copy.file = (
                    dict(existing.lines),
                    existing.line,
                    existing.file,
                )
                merge(copy, value, deep=True)
                into[key] = copy
            elif isinstance(existing, TreeSequence) and isinstance(value, list):
                joined = TreeSequence([*existing, *value])
                joined.lines = [*existing.lines, *getattr(value, "lines", [])]
                joined.file = existing.file
                into[key] = joined
