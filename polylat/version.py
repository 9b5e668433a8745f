"""The version of polylat; the metadata of its packages are built from it."""

from __future__ import annotations

__all__ = ["__version__"]

__version__ = "0.2.0"
