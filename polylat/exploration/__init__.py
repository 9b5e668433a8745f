"""Exploration of the variants of a mapping: which of all its schedules are on the Pareto front."""
