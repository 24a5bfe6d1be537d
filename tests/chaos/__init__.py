"""Dashboards that change transports, are cut off and read slowly, over real sockets.

Everything goes through the public protocol; what they end up with is compared with what was
published. A seed makes a script of steps; one that fails is shortened to the steps it takes.
"""
