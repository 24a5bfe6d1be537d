"""The service as a part of somebody else's program on Trio: what `pushsvc` offers by name."""
