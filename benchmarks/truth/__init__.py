"""Cycle counts of real designs against the model: ``make truth``."""
