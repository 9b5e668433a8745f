"""Write an input as AccelForge's YAML: its mapping and options as plain data, and the text."""
