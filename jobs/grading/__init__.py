"""Live grading: how the scores that are stored did, once their labels are known."""
