"""The exception of a check that fails, before it becomes a `CertificateError`."""

from __future__ import annotations

__all__ = ["BrokenRule"]


class BrokenRule(Exception):
    """A rule is broken; the message says how, in the user's words."""
