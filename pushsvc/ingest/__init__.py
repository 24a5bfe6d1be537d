"""Producers' formats: bytes in, a Batch or a precise error out. One module per format, no I/O."""
