"""Rendered faces ("phantom faces"): a data set without a download whose right answers are known."""
