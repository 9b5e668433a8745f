"""Print the lowest version of every dependency that pyproject.toml allows, as constraints for pip.

`make test-lowest` installs these and runs the fast tests: the declared bounds are tested ones.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterable
from itertools import chain
from pathlib import Path

_PYPROJECT = Path(__file__).resolve().parents[1] / "pyproject.toml"
_REQUIREMENT = re.compile(r"([A-Za-z0-9._-]+)>=([0-9][0-9A-Za-z.]*)(; .+)?")


def requirements() -> list[str]:
    """Return what pyproject.toml requires, extras included."""
    project = tomllib.loads(_PYPROJECT.read_text(encoding="utf-8"))["project"]
    return [*project["dependencies"], *chain(*project["optional-dependencies"].values())]


def lowest_versions(required: Iterable[str]) -> dict[str, str]:
    """Return the lowest version of each package.

    Parameters
    ----------
    required
        Requirements of the form ``name>=version``, perhaps with a marker.

    Returns
    -------
    dict
        Name of the package → version.

    Raises
    ------
    ValueError
        A requirement has another form, or two of them give different versions of one package.
    """
    versions: dict[str, str] = {}
    for requirement in required:
        match = _REQUIREMENT.fullmatch(requirement)
        if match is None:
            raise ValueError(f"{requirement}: write name>=version")
        name, version = match[1], match[2]
        if versions.setdefault(name, version) != version:
            raise ValueError(f"{requirement}: elsewhere {name}>={versions[name]}")
    return versions


if __name__ == "__main__":
    for package, lowest in sorted(lowest_versions(requirements()).items()):
        sys.stdout.write(f"{package}=={lowest}\n")
