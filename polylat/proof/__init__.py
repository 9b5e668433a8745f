"""Proof that a schedule keeps every rule of the model, which is derived anew from the mapping."""
