"""Benchmarks: polylat compared with other tools that compute the same numbers."""
