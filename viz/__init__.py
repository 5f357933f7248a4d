"""The page that streams propensity curves, and the HTTP API beside it."""
