"""The path doctor: finds out from what happens to connections what lies between here and a service.

`judge` holds the judgements and `diagnosis` combines them, without I/O: `Measured` in, `Report`
out. `probes` takes the measurements and `examine` runs them side by side, as the page does in a
browser; `advice` knows the proxies' settings, and `text` formats a report.
"""
