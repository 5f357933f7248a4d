"""Adapters between the logic and Bytewax: sources, steps and outputs."""
