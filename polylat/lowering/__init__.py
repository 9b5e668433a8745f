"""The mapping as paths, ISL relations and arrays of tile iterations. Only here is ISL spoken."""
