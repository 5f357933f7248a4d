"""Where scored rows are kept: one interface, and a store for each database."""
