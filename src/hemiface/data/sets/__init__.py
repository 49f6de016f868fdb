"""The published data sets: each file knows how one is laid out, and lists its pictures."""
