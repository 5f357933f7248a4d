"""Sequences: each user's events in order, packed, in any order of arrival."""
