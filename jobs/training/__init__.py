"""Models from logs: trained, calibrated, graded and reported."""
