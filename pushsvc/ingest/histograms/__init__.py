"""Histograms whose buckets are exponential, kept as classic ones."""
