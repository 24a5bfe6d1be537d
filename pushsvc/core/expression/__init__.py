"""Expressions: PromQL that is more than a selector, worked out at a step from what is stored.

`tree` reads one, `evaluate` works it out, and the others know a part of the language each. None of
them does any I/O or asks for the time: a result is a function of the expression, the step and the
rows of the series it names.
"""
