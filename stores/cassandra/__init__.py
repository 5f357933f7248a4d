"""The store for clusters: Cassandra, or what speaks its protocol."""
