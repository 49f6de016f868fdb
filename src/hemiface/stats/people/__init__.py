"""What people answered, by the statistics of networks: people's trials in, tables out.

`trials` holds the sample: who answered what, and the draws; every other file is named as its table.
A network that saw the same stimuli is scored on the very same trials (`Trials.answered_by`).
"""
