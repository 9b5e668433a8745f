"""Read the input, YAML or plain data: check its shape and evaluate its expressions.

The libraries needed (PyYAML, Jinja, pydantic, simpleeval) are imported on first use, not with
polylat.
"""
