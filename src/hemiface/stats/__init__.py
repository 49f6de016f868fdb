"""Statistics: the Predictions table in, a result table out. Files are named as their tables."""
