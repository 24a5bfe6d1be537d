"""Several processes of one machine that serve on one port, with one log.

A supervisor holds the listening sockets, starts the workers and replaces those that end. Each
worker is a whole service: it reads the same log as the others, so that a client may come back to
any of them. A request to one worker about another's streams, or about all of them, is passed from
worker to worker.
"""
