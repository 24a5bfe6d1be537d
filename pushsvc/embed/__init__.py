"""The service as a part of another program on Trio: what `pushsvc` exports."""
