"""The embedded store: one SQLite file in WAL mode, read while it is written."""
