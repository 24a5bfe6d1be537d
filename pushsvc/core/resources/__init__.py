"""What may be used up, and whose share that is."""
