"""Latencies in closed form: formulas in sizes, times and slots, and the domains they hold in."""
