"""The product without I/O: no trio, no sockets, no clock (time is an argument).

Read in this order: `series` (the data model), `selector` (asking for series), `history` (a
series' past), `catalog` (all series), `cursor` and `view` (shared work and replay), `wire` (the
documents of protocol v1), `negotiate` (which transport answers).
"""
