"""What is read off a solution: critical path, slack, sensitivities, occupancy, relations."""
