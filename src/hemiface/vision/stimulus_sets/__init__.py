"""Sets of stimuli: from pictures of faces to what people see, in which order, and what it is."""
