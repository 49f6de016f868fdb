"""Files to Images: readers, the cache, the audit, rendered faces; outsiders' predictions."""
