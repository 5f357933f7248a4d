"""Actions: what marketing can do next, and what each would add to a propensity."""
