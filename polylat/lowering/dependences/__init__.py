"""Dependences between tile iterations and transfers: flow, barriers and capacity."""
