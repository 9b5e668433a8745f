"""Jinja templates in the input's files, in a sandbox with a bound on the work."""
