"""Benchmarks: the service beside its rivals, on the same work, interleaved in one run.

`python -m tests.bench --help` tells what is measured. Nothing here is collected by pytest.

systems     what is measured: the service, and the naive one (`naive`); each in its own process
load        the load generator: subscribers and their publisher, in a process of its own
sequence    what the subscribers check: every sample once and in order, and when it was published
transport   the client's end of each transport, as little of it as is correct
producer    the load generator for ingest
fanout, ingest, memory    the three questions, each a list of cases
report      medians, ratios, tables and JSON
"""
