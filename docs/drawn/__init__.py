"""Small examples of the model's rules: mappings that polylat analyzes."""
