"""Features: numbers of a user's sequence at a time, and the recursion that computes them in the stream."""
