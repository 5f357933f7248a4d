"""Contracts: what an event, a scored row and a dead letter are, and how they look as bytes."""
