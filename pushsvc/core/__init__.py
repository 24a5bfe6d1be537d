"""The product without I/O: no trio, no sockets, no clock (time is an argument).

Read in this order: `limits` and `series` (the data model), `promql` and `selector` (asking for
series), `history` (a series' past) and `budget` (of all of them), `catalog` (all series), `cursor`,
`merge` and `replay` (everything since some point), `view` and `subscriber` (shared work, and who
shares it), `schedule`, `arrivals` and `hub` (everything together), `wire` (the documents of
protocol v1), `negotiate` (which transport answers); `duration` and `thin` on the side.
"""
