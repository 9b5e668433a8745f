"""Read the input, YAML or plain data: check its shape and evaluate its expressions."""
