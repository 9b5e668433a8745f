"""Files: finding and reading them, and the values of those that are included."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from polylat.errors import SpecError
from polylat.spec.reading.suggest import did_you_mean

MAX_BYTES = 20_000_000


def has_template(text: str) -> bool:
    """Whether a text contains anything that Jinja would change."""
    return "{{" in text or "{%" in text or "{#" in text


def find_paths(pattern: object, path: str, include_dirs: Iterable[str]) -> list[str]:
    """The files that a pattern names, next to a file and in the include directories."""
    if isinstance(pattern, (list, tuple)):
        return [p for part in pattern for p in find_paths(part, path, include_dirs)]
    name = str(pattern)
    roots = [""] if os.path.isabs(name) else [os.path.dirname(path), *include_dirs]
    found: list[str] = []
    for root in roots:
        full = os.path.abspath(os.path.realpath(os.path.join(root, name)))
        found.extend(sorted(glob.glob(full)))
    unique = list(dict.fromkeys(os.path.realpath(os.path.abspath(p)) for p in found))
    if not unique:
        raise SpecError(
            f"there is no file {name!r}",
            where=os.path.basename(path) or path,
            mend=did_you_mean(os.path.basename(name), _siblings(path)),
        )
    return unique


def _siblings(path: str) -> list[str]:
    """Names of the YAML files (or others of that ending) where the file should be."""
    endings = {".yaml", ".yml", Path(path).suffix}
    try:
        names = sorted(p.name for p in Path(path).parent.iterdir() if p.is_file())
        return [n for n in names if Path(n).suffix in endings and not n.startswith(".")][:200]
    except OSError:
        return []


class Several:
    """The trees of several included files."""

    def __init__(self, trees: list[Any]) -> None:
        self.trees = trees


def pick(loaded: Mapping[str, Any], text: str, where: str) -> Any:
    """The value that ``!include_loaded name.key.key`` stands for."""
    name, *keys = text.strip().split(".")
    if name not in loaded:
        raise SpecError(f"nothing was included as {name!r}", where=where)
    value = loaded[name]
    several = isinstance(value, Several)
    values: list[Any] = value.trees if isinstance(value, Several) else [value]
    for key in keys:
        picked = []
        for tree in values:
            if isinstance(tree, dict) and key in tree:
                picked.append(tree[key])
            elif isinstance(tree, list) and key.isdecimal() and int(key) < len(tree):
                picked.append(tree[int(key)])
            else:
                known = list(tree) if isinstance(tree, dict) else []
                raise SpecError(
                    f"the included file has no key {key!r}",
                    where=where,
                    mend=did_you_mean(key, known),
                )
        values = picked
    return list(values) if several else values[0]


def read_text(path: str, *, included: bool = False) -> str:
    """The text of a file; an included one must be a regular file, which cannot block."""
    if included and os.path.exists(path) and not os.path.isfile(path):
        raise SpecError("this is no regular file", where=os.path.basename(path) or path)
    try:
        with open(path, "rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except IsADirectoryError:
        raise SpecError(
            "this is a directory", where=os.path.basename(path) or path, mend="name a file"
        ) from None
    except FileNotFoundError:
        raise SpecError(
            "there is no such file",
            where=os.path.basename(path) or path,
            mend=did_you_mean(os.path.basename(path), _siblings(path)) or "check the path",
        ) from None
    except OSError as error:
        raise SpecError(
            f"the file cannot be read: {error.strerror}", where=os.path.basename(path) or path
        ) from None
    if len(raw) > MAX_BYTES:
        raise SpecError("the file is larger than 20 MB", where=os.path.basename(path) or path)
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SpecError(
            f"the file is not UTF-8 (byte {error.start})",
            where=os.path.basename(path) or path,
            mend="save it as UTF-8",
        ) from None
