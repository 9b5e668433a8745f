"""Accesses of leaves: which, in which tile iterations, and of how many values."""
