"""Proofs about schedules: pieces, the rules as ISL relations, and what decides them."""
