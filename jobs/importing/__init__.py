"""Somebody's log -> a log in the event's columns, mapped with SQL."""
