"""Networks as files: what is shipped, how it is run without torch, and what calibrates it."""
