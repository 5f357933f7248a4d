"""The decorators of compiled functions, and the hash that all of them share."""
