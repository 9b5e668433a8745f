"""What imports what: import-linter's contracts, and what must stay out of light imports."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
HEAVY = {
    *("accelforge", "click", "distributed", "islpy", "jinja2", "joblib", "networkx", "numba"),
    *("numpy", "pandas", "pyarrow", "pydantic", "rich", "ruamel", "tqdm"),
}
STANDARD = set(sys.stdlib_module_names)


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
    """Packages that a file imports anywhere."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
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


def test_importing_polylat_is_light() -> None:
    assert not loaded("import polylat") & HEAVY


def test_reading_a_name_of_polylat_loads_no_more_than_it_needs() -> None:
    assert not loaded("import polylat; polylat.Spec") & {"islpy", "numba", "numpy"}
    assert not loaded("import polylat; polylat.roofline") & {"islpy", "numba", "numpy"}


def test_scheduling_needs_no_isl() -> None:
    modules = ("critical_path", "extrapolation", "list_scheduling", "timing")
    imports = "; ".join(f"import polylat.schedule.{module}" for module in modules)
    assert not loaded(imports) & {"islpy", "pydantic", "jinja2"}


def test_every_folder_of_the_package_is_a_package() -> None:
    # import-linter does not see into a folder without __init__.py.
    folders = {path.parent for path in (ROOT / "polylat").rglob("*.py")}
    assert not {folder.name for folder in folders if not (folder / "__init__.py").exists()}


def test_the_oracle_is_on_its_own() -> None:
    """It shares nothing with what it checks, and stands on the standard library."""
    assert imported(ROOT / "tests" / "oracle.py") <= STANDARD
