"""PromQL's text: `promql-parser` reads it, and errors are told in our own words.

`tokens` takes a text apart, `parsing` has the parser read it, `faults` finds the place of an error,
and `errors` describes it.
"""
