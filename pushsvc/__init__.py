"""Real-time push service for dashboards.

core/        the product without I/O: series, selectors, history, views, replay
hub          Trio meets the core: ordering, ticking, waking subscribers
journal/     the ordered log of batches
ingest/      producers' formats: bytes in, Batch out
transport/   WebSocket, SSE, NDJSON and long polling over one subscriber loop
app, server  the Quart routes, and Hypercorn on Trio that serves them
service      the composition root: start and stop order
client       a Python client; cli, demo: what a terminal sees
"""

__version__ = "0.1.0"
