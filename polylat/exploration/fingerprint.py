"""Fingerprints: texts that are equal for equal values, in every process."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from fractions import Fraction
from typing import Any

__all__ = ["fingerprint"]


def fingerprint(value: object) -> str:
    """Return a text that is equal for equal values, in every process.

    Parameters
    ----------
    value
        A value made of dataclasses, mappings, sequences, sets, fractions and JSON's types. The
        names of dataclasses count, and their fields that are compared.

    Returns
    -------
    str
        64 hexadecimal digits (SHA-256).

    Examples
    --------
    >>> fingerprint({"a": (1, 2), "b": None}) == fingerprint({"b": None, "a": [1, 2]})
    True
    """
    text = json.dumps(_plain(value), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _plain(value: object) -> Any:
    """Return a value as JSON's types, with sets and mappings in a fixed order."""
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name)) for f in fields(value) if f.compare} | {
            "": type(value).__name__
        }
    if isinstance(value, Mapping):
        pairs = [[_plain(k), _plain(v)] for k, v in value.items()]
        return sorted(pairs, key=lambda pair: json.dumps(pair[0], sort_keys=True))
    if isinstance(value, frozenset | set):
        return sorted((_plain(v) for v in value), key=lambda v: json.dumps(v, sort_keys=True))
    if isinstance(value, tuple | list):
        return [_plain(v) for v in value]
    if isinstance(value, Fraction):
        return str(value)
    return value
