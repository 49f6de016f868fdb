"""A Predictions table -> result tables, figures and one self-contained HTML page."""
