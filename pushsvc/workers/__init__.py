"""Several processes of one machine that serve on one port, with one log.

A supervisor holds the sockets that listen, starts the workers and replaces those that end. Each
worker is a whole service: it reads the same log as the others, so that a client may come back to
any of them. What is asked of one and is another's, or everybody's, goes from worker to worker."""
