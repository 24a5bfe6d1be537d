"""The demo: this machine's own metrics, published through the public HTTP API."""
