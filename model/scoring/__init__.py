"""Scoring: the logistic regression, its training record, and whether it can be believed."""
