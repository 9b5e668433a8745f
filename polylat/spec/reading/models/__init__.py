"""Pydantic models of the input: which keys exist, and which kind of value each key takes.

Values stay as written; expressions are evaluated later. Keys that only matter for energy, area or
a mapper are accepted with any value.
"""
