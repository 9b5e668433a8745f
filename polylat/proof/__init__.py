"""Proof that a schedule keeps every rule of the model: rules derived anew, decided by ISL."""
