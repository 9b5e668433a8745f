"""Fuzzing: mutations of the project's own inputs, each of which must give a result or an error."""
