"""What a study consists of, what of it is done, and the jobs that do the rest."""
