"""The structure of the package: directions of imports, light imports, names, and sizes."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator
from graphlib import CycleError, TopologicalSorter
from itertools import chain
from pathlib import Path
from statistics import median

import pytest

from builders import ROOT
from requirements.lowest import lowest_versions, requirements

PACKAGE = ROOT / "polylat"
HEAVY = {
    *("accelforge", "click", "distributed", "islpy", "jinja2", "joblib", "networkx", "numba"),
    *("numpy", "pandas", "pyarrow", "pydantic", "rich", "ruamel", "tqdm"),
}
SLOW = {"islpy", "networkx", "numba", "numpy"}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
STANDARD = set(sys.stdlib_module_names)


def module_of(path: Path) -> str:
    """The dotted name of a file of the package."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


TREES = {
    module_of(path): ast.parse(path.read_text(encoding="utf-8")) for path in PACKAGE.rglob("*.py")
}


def imports_of_polylat(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """The modules of polylat that a tree imports anywhere, each with its line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name in TREES:
                    yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom) and node.module in TREES:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield node.lineno, inner if inner in TREES else node.module


def loaded(code: str) -> set[str]:
    """Packages that are in `sys.modules` of a fresh interpreter after `code`."""
    report = "import sys; print(*{name.split('.')[0] for name in sys.modules})"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{report}"],
        check=True,
        capture_output=True,
        cwd=ROOT,
        text=True,
    )
    return set(done.stdout.split())


def imported(path: Path) -> set[str]:
    """Other packages that a file imports anywhere."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.split(".")[0])
    return names


def test_imports_run_in_one_direction() -> None:
    """As the contracts in pyproject.toml say."""
    pytest.importorskip("importlinter", reason="the extra `lint` is not installed")
    command = (
        "from importlinter.cli import lint_imports; raise SystemExit(lint_imports(no_cache=True))"
    )
    done = subprocess.run(
        [sys.executable, "-c", command], check=False, capture_output=True, cwd=ROOT, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_modules_do_not_import_each_other_in_a_circle() -> None:
    """Imports in functions and for type checking included; `polylat` itself imports on demand."""
    graph = {
        module: {target for _, target in imports_of_polylat(tree)} - {module, "polylat"}
        for module, tree in TREES.items()
        if module != "polylat"
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_no_function_imports_polylat() -> None:
    found = {
        f"{module}:{line}"
        for module, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        for line, _ in imports_of_polylat(node)
    }
    assert not found


def test_public_classes_have_names_of_their_own() -> None:
    names = Counter(
        node.name
        for tree in TREES.values()
        for node in tree.body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    )
    assert not {name for name, count in names.items() if count > 1}


def test_the_package_can_be_surveyed() -> None:
    """Few modules beside the packages, and no long ones."""
    entries = [path for path in PACKAGE.iterdir() if path.name != "__pycache__"]
    assert len([path for path in entries if path.is_file()]) <= 13
    lengths = {
        str(path.relative_to(ROOT)): path.read_text(encoding="utf-8").count("\n")
        for path in PACKAGE.rglob("*.py")
    }
    assert not {name: length for name, length in lengths.items() if length > 600}
    assert median(lengths.values()) <= 200


def test_importing_polylat_is_light() -> None:
    assert not loaded("import polylat") & HEAVY


@pytest.mark.parametrize("name", ["Spec", "roofline"])
def test_reading_a_name_of_polylat_loads_no_more_than_it_needs(name: str) -> None:
    assert not loaded(f"import polylat; polylat.{name}") & SLOW


def test_scheduling_needs_no_isl() -> None:
    modules = ("critical_path", "extrapolation", "list_scheduling", "timing")
    imports = "; ".join(f"import polylat.schedule.{module}" for module in modules)
    assert not loaded(imports) & {"islpy", "pydantic", "jinja2"}


def test_only_lowering_proof_and_relations_know_isl() -> None:
    allowed = {"analysis/isl_pieces.py", "analysis/relation.py", "analysis/results.py"}
    allowed |= {"closed_form/closed_form.py", "closed_form/formula.py"}  # domains
    allowed |= {"closed_form/verification.py"}
    package = ROOT / "polylat"
    users = {
        path.relative_to(package).as_posix()
        for path in package.rglob("*.py")
        if "islpy" in imported(path)
    }
    assert {name for name in users if not name.startswith(("lowering/", "proof/"))} == allowed


def test_the_input_is_plain_data() -> None:
    users = {
        path.name
        for path in (ROOT / "polylat" / "spec").rglob("*.py")
        if {"islpy", "networkx", "numba", "numpy"} & imported(path)
    }
    assert not users


ALSO_INSTALLED = {
    "pydantic_core": "pydantic",  # pydantic depends on one release of it
    "symengine": "accelforge",  # its mapper computes with it
}
"""Imported package → the declared dependency that brings it."""
ON_REQUEST = {"import_module", "find_spec", "_import"}
"""Functions that import the module of which they get the name, or ask for it."""


def named_on_request(tree: ast.AST) -> Iterator[str]:
    """Packages that are imported by a name in a text."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            name = getattr(node.func, "attr", getattr(node.func, "id", None))
            if name in ON_REQUEST:
                yield str(node.args[0].value).split(".")[0]


def declared(requirements: Iterable[str]) -> set[str]:
    """The packages that requirements name, as they are imported."""
    names = {re.split(r"[^\w.-]", requirement)[0] for requirement in requirements}
    return {name.lower().partition(".")[0].replace("-", "_") for name in names}


def test_every_imported_package_is_declared() -> None:
    project = PROJECT["project"]
    needed = declared(project["dependencies"])
    optional = declared(chain(*project["optional-dependencies"].values())) - needed
    first: set[str] = set()
    later: set[str] = set()
    for path in PACKAGE.rglob("*.py"):
        tree = TREES[module_of(path)]
        top = {
            name.split(".")[0]
            for node in tree.body
            if isinstance(node, (ast.Import, ast.ImportFrom))
            for name in (
                [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else [node.module or ""]
            )
        }
        first |= top
        later |= (imported(path) | set(named_on_request(tree))) - top
    first, later = (
        {ALSO_INSTALLED.get(name, name) for name in names} - STANDARD - {"polylat"}
        for names in (first, later)
    )
    assert first <= needed
    assert later <= needed | optional
    assert needed == (first | later) & needed  # nothing is declared that is not imported


def test_bounds_are_lower_bounds_and_the_lock_obeys_them() -> None:
    """`make test-lowest` tests what pyproject.toml declares, `make test` what the lock names."""
    lowest = lowest_versions(requirements())
    lock = {}
    for line in (ROOT / "requirements" / "lock.txt").read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            name, _, version = line.partition("==")
            lock[canonical(name)] = version
    assert not {name for name in lowest if canonical(name) not in lock} - {"accelforge"}
    for name, version in lowest.items():
        if name != "accelforge":
            assert release(lock[canonical(name)]) >= release(version), name


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def release(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", version)[:3]]


def test_every_folder_of_the_package_is_a_package() -> None:
    # import-linter does not see into a folder without __init__.py.
    folders = {path.parent for path in PACKAGE.rglob("*.py")}
    assert not {folder.name for folder in folders if not (folder / "__init__.py").exists()}


def test_the_oracle_is_independent() -> None:
    """It imports nothing of what it checks, and nothing but the standard library."""
    for path in (ROOT / "tests" / "oracle").glob("*.py"):
        assert imported(path) <= STANDARD, path
