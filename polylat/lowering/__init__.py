"""Lowering of a mapping to paths, ISL relations, tile iterations and a task graph."""
