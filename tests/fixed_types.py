"""Find the functions that name a NumPy type of numbers with a fixed number of bits."""

from __future__ import annotations

import ast
from collections.abc import Iterator


def functions_with_fixed_types(tree: ast.Module) -> Iterator[str]:
    """The functions that name a NumPy type of numbers."""

    def walk(node: ast.AST, name: tuple[str, ...]) -> Iterator[str]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef | ast.ClassDef):
                yield from walk(child, (*name, child.name))
                continue
            named = child.attr if isinstance(child, ast.Attribute) else ""
            if named.rstrip("0123456789") in ("int", "uint", "float") and named[-1:].isdigit():
                yield ".".join(name)
            yield from walk(child, name)

    yield from walk(tree, ())
