"""Expressions: PromQL that is more than a selector, worked out at a step from what is stored.

`reading` makes a `tree` of a text, `evaluate` works it out, and the other modules have a part of
the language each. None of them does any I/O or asks for the time: a result depends only on the
expression, the step and the rows of the series that it names.
"""
