"""What the service is measured beside: the bare socket, the naive service, and its peers."""
