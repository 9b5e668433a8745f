"""Benchmarks: polylat's engine and analyses against other ways to the same numbers."""
