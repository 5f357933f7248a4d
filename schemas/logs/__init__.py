"""Logs: files of events, whatever their format, into columns of events."""
