"""From a lowered mapping to its schedules: sampling, extrapolation, orders of service."""
