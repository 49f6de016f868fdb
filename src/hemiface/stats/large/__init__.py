"""Predictions that outgrow memory: the same tables from counts, in memory that rows don't move.

`buckets` deals the rows by group to files that fit into memory, `counts` adds up what every
statistic needs of each, `ranks` sorts scores where order matters, and `sample` makes of it a Sample
that the tables of `hemiface.stats` take. What of them can't be had so is named by `sample.GAPS`.
"""
