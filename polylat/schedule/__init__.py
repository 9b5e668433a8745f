"""Schedules of task graphs: arrays in, times out; independent of mappings and of ISL."""
