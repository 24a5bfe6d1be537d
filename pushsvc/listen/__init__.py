"""Sockets that listen, and the server on them."""
