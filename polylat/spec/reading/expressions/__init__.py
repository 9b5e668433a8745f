"""Expressions of the input: numbers, sets of names, and latencies."""
