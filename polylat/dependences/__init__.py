"""Dependences between tile iterations: flow, barriers, capacity; and legality."""
