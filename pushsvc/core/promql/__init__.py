"""PromQL's text: what is written is read by `promql-parser`, and refused in words of ours.

`tokens` takes a text apart, `parsing` has it read, `faults` finds the place where it goes wrong,
and `errors` says so.
"""
