"""Exploration: which schedule of a mapping, of all that its choices allow, is the best."""

from __future__ import annotations

from polylat.exploration.search import Exploration, Result, explore
from polylat.exploration.space import Choice

__all__ = ["Choice", "Exploration", "Result", "explore"]
