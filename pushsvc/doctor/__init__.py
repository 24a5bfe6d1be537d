"""The path doctor: what lies between here and a service, told from what it does to connections.

`judge` holds the judgements and `diagnosis` all of them together, without I/O: `Measured` in,
`Report` out. `probes` takes the measurements and `examine` runs them side by side, as the page does
in a browser; `advice` knows the proxies' settings, and `text` writes a report down.
"""
