"""Listening sockets, and the server on them."""
