"""Dead letters: looked at, and sent in again once what was wrong is mended."""
