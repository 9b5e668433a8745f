"""Scheduling a task graph. Knows neither mappings nor ISL: arrays in, times out."""
